"""Bytes of what a gateway tells the operator in a reading, after many conversations.

`.venv/bin/python -m bench.gateway.evidence_size [--conversations 50000] [--errors 0.02]`. Conversations of four calls
begin under four weights, one after the other. Printed: the document, and as it is sent, in gzip; both also with the
earlier reading that an operator asks for after a restart.
"""

from __future__ import annotations

import argparse
import random

from tests.gateway.harness import make_arm
from tests.gateway.speakers import Process, arms

from claude_operator.api.evidence import parse_evidence
from claude_operator.api.packing import pack

_WEIGHTS = (100, 1000, 5000, 9000)  # basis points
_TURNS = (0, 1, 3, 9)  # of which each conversation has a call


def fill(process: Process, conversations: int, errors: float) -> int:
    """Have the process count them; returns the number of calls."""
    chance, calls = random.Random(1), 0
    process.run(1, make_arm())
    for generation, weight in enumerate(_WEIGHTS, 2):
        process.run(generation, *arms(weight))
        for number in range(conversations // len(_WEIGHTS)):
            for turn in _TURNS:
                answered = [{"role": role, "content": "x"} for _ in range(turn) for role in ("user", "assistant")]
                messages = [*answered, {"role": "user", "content": "x"}]
                call = process.begin_call(messages, session=f"{generation}-{number}")
                call.first_content = 1.0 + chance.lognormvariate(0.0, 0.5)
                usage = {"input_tokens": chance.randrange(10, 9000), "output_tokens": chance.randrange(1, 900)}
                process.end_call(call, "error" if chance.random() < errors else "ok", usage=usage)
                calls += 1
    return calls


def read(process: Process, since: str) -> bytes:
    """As the operator asks."""
    return process.store.document(
        5, 1.0, "", since=since, keep=True, callers=True, units=True, grading=True, drill=True, budgets=True
    )


def main() -> None:
    """Fill one process and print."""
    parser = argparse.ArgumentParser(prog="python -m bench.gateway.evidence_size", description=__doc__)
    parser.add_argument("--conversations", type=int, default=50_000)
    parser.add_argument("--errors", type=float, default=0.02, help="share of the calls that fail")
    options = parser.parse_args()
    process = Process()
    calls = fill(process, options.conversations, options.errors)
    first = read(process, "")
    known = parse_evidence(first)
    again = read(process, f"{known.boot_id}.{known.reading}")
    print(f"{options.conversations:,} conversations, {calls:,} calls")
    for name, document in (("a reading", first), ("with an earlier one", again)):
        print(f"{name:20} {len(document):>9,} bytes, {len(pack(document)):>9,} as sent")


if __name__ == "__main__":
    main()
