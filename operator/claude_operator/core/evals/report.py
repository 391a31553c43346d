"""The report of a run: JSON lines, first the run, then each outcome, and of held-out items their sum alone.

People and models wrote what is in it, so it is hostile text to whatever shows it. A reader passes over fields and kinds
of lines that it does not know: a later version has written them.
"""

from __future__ import annotations

import gzip
import zlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Any, Literal

import msgspec

from claude_operator.api.faults import decode
from claude_operator.core.evals.outcomes import Answer, CheckResult, Outcome
from claude_operator.core.evals.sets import Item

__all__ = [
    "BASELINE",
    "CANDIDATE",
    "KEY",
    "Graded",
    "HeldOutLine",
    "OutcomeLine",
    "Report",
    "RunLine",
    "camel",
    "make_report",
    "outcomes_of",
    "pack_report",
    "read_report",
    "write_report",
]

ArmName = Literal["candidate", "baseline"]
CANDIDATE: ArmName = "candidate"
BASELINE: ArmName = "baseline"

KEY = "report.jsonl.gz"
"""Of what `pack_report` makes, in the ConfigMap of a run."""

LONGEST_TEXT = 20_000  # characters of an answer or a question; the rest is cut off
LONGEST_WHY = 2_000  # characters of what a check says
MOST_BYTES = 128 << 20  # of a report that is read, unpacked
MOST_LINES = 500_000

_GZIP = b"\x1f\x8b"
_CUT = " [the rest is cut off]"
_Count = Annotated[int, msgspec.Meta(ge=0)]


def camel(name: str) -> str:
    """A field's name in JSON: `costUSD` for `cost_usd`."""
    first, *others = name.split("_")
    return first + "".join("USD" if word == "usd" else word.title() for word in others)


class RunLine(msgspec.Struct, frozen=True, kw_only=True, tag_field="kind", tag="run", rename=camel):
    """What was run, and how it ended. `result` has the fields of ClaudeEvalRun.status."""

    set: str = ""
    set_hash: str = ""
    candidate: str = ""
    baseline: str | None = None
    phase: str = ""
    reason: str = ""
    message: str = ""
    gate: dict[str, Any] = {}
    result: dict[str, Any] = {}
    partial: str = ""
    """Why this is not the whole set, and so no verdict for the gate; empty where it is."""
    left_out: str = ""
    """What the report lacks so that it fits into its place."""


class OutcomeLine(msgspec.Struct, frozen=True, kw_only=True, tag_field="kind", tag="outcome", rename=camel):
    """What an arm made of an item in one epoch. `text` and `question` are None where they are not kept."""

    id: str
    arm: ArmName
    epoch: _Count = 0
    score: float = 1.0
    failed: str = ""
    refused: bool = False
    stop: str = ""
    input_tokens: _Count = 0
    output_tokens: _Count = 0
    cost_usd: float | None = None
    grader_cost_usd: float | None = 0.0
    seconds: float | None = None
    critical: bool = False
    checks: tuple[CheckResult, ...] = ()
    metadata: dict[str, str] = {}
    question: str | None = None
    text: str | None = None

    @property
    def outcome(self) -> Outcome:
        """As the gate reads it."""
        return Outcome(
            self.failed,
            self.score,
            self.refused,
            self.input_tokens,
            self.output_tokens,
            self.cost_usd,
            self.seconds,
            self.grader_cost_usd,
            results=self.checks,
        )


class HeldOutLine(msgspec.Struct, frozen=True, kw_only=True, tag_field="kind", tag="heldOut", rename=camel):
    """What an arm made of all held-out items together: which of them failed is in no report."""

    arm: ArmName
    items: _Count = 0
    answers: _Count = 0
    passed: _Count = 0
    """Answers that passed."""


_KINDS: dict[str, type[RunLine | OutcomeLine | HeldOutLine]] = {
    "run": RunLine,
    "outcome": OutcomeLine,
    "heldOut": HeldOutLine,
}


class _Kind(msgspec.Struct):
    kind: str


@dataclass(frozen=True, slots=True)
class Graded:
    """A graded answer, and the answer itself where it is at hand."""

    outcome: Outcome
    answer: Answer | None = None


@dataclass(frozen=True, slots=True)
class Report:
    """A run with its outcomes, in the order of the set: by item, arm, epoch."""

    run: RunLine
    outcomes: tuple[OutcomeLine, ...] = ()
    held_out: tuple[HeldOutLine, ...] = ()


Outcomes = Mapping[str, Sequence[Graded]]
"""By item id, an answer an epoch."""


def outcomes_of(graded: Outcomes) -> dict[str, list[Outcome]]:
    """What the gate reads of them."""
    return {name: [one.outcome for one in epochs] for name, epochs in graded.items()}


def make_report(run: RunLine, items: Sequence[Item], arms: Mapping[ArmName, Outcomes], *, keep_text: bool) -> Report:
    """A report of what the arms answered; with `keep_text` what was asked and answered, too."""
    shown = [item for item in items if not item.held_out]
    hidden = [item for item in items if item.held_out]
    outcomes = tuple(
        _outcome(item, arm, epoch, one, keep_text)
        for item in shown
        for arm, graded in arms.items()
        for epoch, one in enumerate(graded.get(item.id, ()))
    )
    return Report(run, outcomes, tuple(_held_out(arm, hidden, graded) for arm, graded in arms.items() if hidden))


def write_report(report: Report) -> bytes:
    """The report as JSON lines."""
    return b"".join(msgspec.json.encode(line) + b"\n" for line in _lines(report))


def pack_report(report: Report, limit: int) -> bytes:
    """The report, compressed to `limit` bytes at most; what does not fit is left out, and that is said."""
    for left_out, shorten in _SHORTER:
        outcomes = tuple(line for line in map(shorten, report.outcomes) if line is not None)
        run = msgspec.structs.replace(report.run, left_out=left_out) if outcomes != report.outcomes else report.run
        packed = gzip.compress(write_report(Report(run, outcomes, report.held_out)), mtime=0)
        if len(packed) <= limit:
            return packed
    raise ValueError(f"the report's first line alone does not fit into {limit} bytes")


def read_report(data: bytes, what: str) -> Report:
    """Read a report, packed or not; raises ValueError that begins with `what` and says which line is wrong, and how."""
    lines = _unpacked(data, what).split(b"\n", MOST_LINES)
    if len(lines) > MOST_LINES:
        raise ValueError(f"{what}: more than {MOST_LINES:,} lines; a report has one an answer")
    run: RunLine | None = None
    outcomes: dict[tuple[str, str, int], OutcomeLine] = {}
    held_out: dict[str, HeldOutLine] = {}
    for number, text in enumerate(lines, 1):
        if not text.strip():
            continue
        place = f"{what}, line {number}"
        type_ = _KINDS.get(decode(text, _Kind, place).kind)
        if run is None and type_ is not RunLine:
            raise ValueError(f"{what}: this is no report of a run: its first line is not of the kind run")
        line = decode(text, type_, place) if type_ else None
        if isinstance(line, RunLine):
            if run is not None:
                raise ValueError(f"{place}: a second run; keep one report in a file")
            run = line
        elif isinstance(line, OutcomeLine):
            if outcomes.setdefault((line.id, line.arm, line.epoch), line) is not line:
                raise ValueError(f"{place}: epoch {line.epoch} of {line.id!r} on the {line.arm} is there twice")
        elif isinstance(line, HeldOutLine):
            held_out[line.arm] = line
    if run is None:
        raise ValueError(f"{what}: empty; give a file that `eval run --report FILE` has written")
    return Report(run, tuple(outcomes.values()), tuple(held_out.values()))


def _unpacked(data: bytes, what: str) -> bytes:
    if data.startswith(_GZIP):
        stream = zlib.decompressobj(zlib.MAX_WBITS | 16)
        try:
            data = stream.decompress(data, MOST_BYTES + 1)
        except zlib.error:
            raise ValueError(f"{what}: the compressed report is damaged; get it again") from None
        if not stream.eof and len(data) <= MOST_BYTES:
            raise ValueError(f"{what}: the compressed report is cut off; get it again")
    if len(data) > MOST_BYTES:
        raise ValueError(f"{what}: larger than {MOST_BYTES >> 20} MiB; this is no report of a run")
    return data


def _lines(report: Report) -> Iterator[RunLine | HeldOutLine | OutcomeLine]:
    yield report.run
    yield from report.held_out
    yield from report.outcomes


def _outcome(item: Item, arm: ArmName, epoch: int, graded: Graded, keep_text: bool) -> OutcomeLine:
    one, answer = graded.outcome, graded.answer
    return OutcomeLine(
        id=_clean(item.id, LONGEST_WHY),
        arm=arm,
        epoch=epoch,
        score=one.score,
        failed=_clean(one.failed, LONGEST_WHY),
        refused=one.refused,
        stop=_clean(answer.stop_reason, LONGEST_WHY) if answer else "",
        input_tokens=one.input_tokens,
        output_tokens=one.output_tokens,
        cost_usd=one.cost_usd,
        grader_cost_usd=one.grader_cost_usd,
        seconds=one.seconds,
        critical=item.critical,
        checks=tuple(_check(each, keep_text) for each in one.results),
        metadata={_clean(key, LONGEST_WHY): _clean(value, LONGEST_WHY) for key, value in item.metadata.items()},
        question=_question(item) if keep_text and not epoch and arm == CANDIDATE else None,
        text=_shown(answer) if keep_text and answer else None,
    )


def _check(one: CheckResult, keep_text: bool) -> CheckResult:
    """A check's result; a grader's reason may quote the answer, and is shown only where the answer is."""
    return CheckResult(
        _clean(one.check, LONGEST_WHY),
        one.holds,
        one.score,
        _clean(one.why, LONGEST_WHY),
        _clean(one.metric, LONGEST_WHY),
        _clean(one.reason, LONGEST_WHY) if keep_text else "",
    )


def _held_out(arm: ArmName, items: Sequence[Item], graded: Outcomes) -> HeldOutLine:
    answers = [one.outcome for item in items for one in graded.get(item.id, ())]
    return HeldOutLine(arm=arm, items=len(items), answers=len(answers), passed=sum(one.passed for one in answers))


def _shown(answer: Answer) -> str:
    """The answer's text, then its tool calls as lines of their own."""
    calls = (f"\n[{call.name} {_json(call.input)}]" for call in answer.calls)
    return _clean((answer.text + "".join(calls)).lstrip("\n"), LONGEST_TEXT)


def _question(item: Item) -> str:
    """The text of the last message of the user."""
    messages = msgspec.json.decode(item.messages)
    asked = next((one for one in reversed(messages) if isinstance(one, dict) and one.get("role") == "user"), {})
    content = asked.get("content")
    blocks = content if isinstance(content, list) else [{"type": "text", "text": content}]
    texts = [block.get("text") or f"[{block.get('type')}]" for block in blocks if isinstance(block, dict)]
    return _clean("\n".join(map(str, texts)), LONGEST_TEXT)


def _json(value: Any) -> str:
    try:
        return msgspec.json.encode(value).decode()
    except (UnicodeEncodeError, OverflowError, RecursionError, TypeError):
        return "arguments that are not JSON"


def _clean(text: str, longest: int) -> str:
    """`text` that can be written as UTF-8, and is not too long."""
    kept = text if len(text) <= longest else text[:longest] + _CUT
    return kept.encode("utf-8", "replace").decode()


def _without_text(line: OutcomeLine) -> OutcomeLine:
    return msgspec.structs.replace(line, text=None, question=None)


def _without_checks(line: OutcomeLine) -> OutcomeLine:
    return msgspec.structs.replace(line, text=None, question=None, checks=())


def _failed_alone(line: OutcomeLine) -> OutcomeLine | None:
    return _without_checks(line) if line.failed else None


_SHORTER: tuple[tuple[str, Callable[[OutcomeLine], OutcomeLine | None]], ...] = (
    ("", lambda line: line),
    ("questions and answers", _without_text),
    ("questions, answers and the checks' own words", _without_checks),
    ("all about answers that passed, and of the others everything but which check failed", _failed_alone),
    ("all about single answers", lambda line: None),
)
