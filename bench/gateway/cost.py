"""CPU time that the gateway spends on a request's body and on the history that the judge reads, each beside a peer.

`.venv/bin/python -m bench.gateway.cost [--repeats 50]`. Microseconds, least and median of the repeats, and the ratio of
the medians. The peers, in C throughout, do the least that a program does that reads the whole body: decode it with
orjson and encode it again.
"""

from __future__ import annotations

import argparse
import json
import statistics
import time
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import msgspec
import orjson

from claude_operator.api.gateway import BASIS_POINTS, Arm
from claude_operator.core.request.compose import compose, prepare
from claude_operator.gateway.cohorts import SLOT_SECONDS, SLOTS, CohortHistory

_HOUR = {"type": "ephemeral", "ttl": "1h"}
_SHORT = {"type": "ephemeral"}


class Work(NamedTuple):
    """What is measured, and what beside it."""

    name: str
    ours: Callable[[], object]
    peer: Callable[[], object]


class Cost(NamedTuple):
    """Microseconds of CPU time."""

    least: float
    median: float


def conversation(kilobytes: int, *controls: dict[str, Any] | None) -> bytes:
    """A client's body of about so many kB; each of `controls` makes a last turn that has this breakpoint, or none."""
    words = "Where is my order, please? " * 40
    turns: list[dict[str, Any]] = [{"type": "text", "text": words}] * (kilobytes * 1000 // (len(words) + 70))
    turns += [{"type": "text", "text": "Hi"} | ({"cache_control": one} if one else {}) for one in controls]
    messages = [{"role": "user", "content": [turn]} for turn in turns]
    return json.dumps({"model": "m", "max_tokens": 1, "messages": messages}).encode()


def works() -> list[Work]:
    """All that is measured."""
    system = [{"type": "text", "text": "be brief", "cache_control": _HOUR}]
    tools = [{"name": "a", "input_schema": {"type": "object"}}]
    request = {"model": "claude-opus-5-5", "max_tokens": 64, "system": system, "tools": tools}
    prepared = prepare(Arm("app-5f6d8c1a2b", "stable", 10_000, request), {})
    decoder = msgspec.json.Decoder(dict[str, msgspec.Raw])
    bodies = {
        "compose a body of 200 kB": conversation(200),
        "compose one with breakpoints in messages": conversation(200, None, _SHORT),
        "compose a body of 2 MB": conversation(2000),
    }
    found = [
        Work(name, lambda body=body: compose(prepared, decoder.decode(body)), lambda body=body: again(body))  # type: ignore[misc]
        for name, body in bodies.items()
    ]
    history = CohortHistory(0.0)
    for slot in range(SLOTS):
        for number in range(BASIS_POINTS):
            history.add(number, "error", 1.0, 0.01, SLOT_SECONDS * slot)
    document = history.document("boot", SLOT_SECONDS * (SLOTS - 1))
    told = Work("tell the history of every cohort", lambda: history.document("boot", SLOT_SECONDS * (SLOTS - 1)),
                lambda: again(document))  # fmt: skip
    return [*found, told]


def again(body: bytes) -> bytes:
    """Decoded and encoded."""
    return orjson.dumps(orjson.loads(body))


def measured(work: Callable[[], object], repeats: int) -> Cost:
    """What a call costs."""
    spent = []
    for _ in range(repeats):
        began = time.thread_time_ns()
        work()
        spent.append((time.thread_time_ns() - began) / 1000.0)
    return Cost(min(spent), statistics.median(spent))


def main(words: Sequence[str] | None = None) -> None:
    """Measure and print a table."""
    parser = argparse.ArgumentParser(prog="python -m bench.gateway.cost", description=__doc__)
    parser.add_argument("--repeats", type=int, default=50, metavar="N")
    repeats: int = parser.parse_args(words).repeats
    if repeats < 1:
        parser.error("--repeats must be at least 1")
    print("| work | least µs | median µs | orjson, median µs | ratio |\n| --- | --- | --- | --- | --- |")
    for work in works():
        ours, peer = measured(work.ours, repeats), measured(work.peer, repeats)
        ratio = ours.median / max(peer.median, 0.001)
        print(f"| {work.name} | {ours.least:.0f} | {ours.median:.0f} | {peer.median:.0f} | {ratio:.2f} |", flush=True)


if __name__ == "__main__":
    main()
