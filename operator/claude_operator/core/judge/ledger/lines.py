"""Ticks as lines of JSON: what a replay reads and what a ledger holds; described in docs/judge-replay.md."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Iterator, Sequence
from typing import Annotated, Any, Literal, NoReturn

from pydantic import Field, ValidationError, model_validator

from claude_operator.api.analysis import Analysis
from claude_operator.api.base import StatusModel
from claude_operator.api.faults import first_fault
from claude_operator.api.status import MetricState, Moment, Offsets
from claude_operator.core.judge.evidence.sample import Values
from claude_operator.core.judge.judges.comparisons import Arm, Comparison, Firsts
from claude_operator.core.judge.ledger.reading import EXAMPLE, UNUSED_OFFSETS, Line, LineError, Reader, refuse
from claude_operator.core.judge.metrics import EARLIER_DEFAULT, EARLIER_WEIGHTS, KINDS, Binary
from claude_operator.core.judge.stats import eprocess

__all__ = ["Header", "Line", "LineError", "parse", "read_json", "strata", "write_json", "written_offsets"]


class Header(StatusModel):
    """The first line of a page: what was judged and how, and the judge's memory at the start of the page."""

    ledger: Literal[1]
    deployment: str = ""
    revision: str = ""
    stable: str = ""
    attempt: int = 1
    started_at: Moment | None = None
    analysis: Analysis = Analysis()
    price_ratio: Annotated[float, Field(gt=0, le=1e6)] = 1.0
    by_period: bool = False
    """Whether values are compared by the period of a conversation: ledgers of before were not."""
    ticks: Annotated[int, Field(ge=0)] = 0
    state: list[MetricState] = Field(default=[])

    @model_validator(mode="before")
    @classmethod
    def _read_older_form(cls, stored: Any) -> Any:
        """Earlier, an analysis also said what its bad events are: that is known by how they are written."""
        analysis = stored.get("analysis") if isinstance(stored, dict) else None
        if not isinstance(analysis, dict):
            return stored
        return {**stored, "analysis": {key: value for key, value in analysis.items() if key != "unit"}}

    @property
    def rollout(self) -> tuple[Any, ...]:
        """What tells one rollout from another."""
        return self.deployment, self.revision, self.attempt, self.started_at


def parse(lines: Iterable[str]) -> Iterator[Header | Line]:
    """Headers and lines in their order, blank lines left out; raises `LineError`."""
    last, headed, begun = -math.inf, False, False
    for number, text in enumerate(lines, 1):
        if not text.strip():
            continue
        document = _document(text, number)
        if "ledger" in document:
            if begun and not headed:
                refuse(number, "the header must come before the ticks: move it to the first line")
            last, headed, begun = -math.inf, True, True
            yield _header(document, number)
            continue
        begun = True
        # What the operator has counted, it has counted: only what others write is doubted.
        line = Reader(number, trusted=headed).line(document)
        if line.t < last:
            refuse(number, f"t {line.t:g} is before {last:g} of the line before: sort the lines by time")
        last = line.t
        yield line


def strata(comparisons: Sequence[Comparison]) -> list[dict[str, Any]]:
    """`metrics` of each line of a tick, at least one: a metric's n-th comparison stands in the n-th line."""
    found: list[dict[str, Any]] = [{}]
    for one in comparisons:
        name = one.metric
        row = next((line for line in found if name not in line), None)
        if row is None:
            row = {}
            found.append(row)
        row[name] = {"stable": _written(name, one.stable), "canary": _written(name, one.canary)}
        if one.share:
            row[name]["share"] = one.share
        elif one.by_unit:
            row[name]["conversations"] = True
    return found


def written_offsets(offsets: Offsets) -> dict[str, Any]:
    """Those that the evidence of harm goes by."""
    return offsets.model_dump(by_alias=True, exclude=UNUSED_OFFSETS)


def read_json(text: str) -> Any:
    """A JSON document without NaN and infinity; raises `ValueError`."""
    try:
        return _DECODER.decode(text)
    except RecursionError:
        raise ValueError("too deeply nested") from None


def write_json(document: Any) -> str:
    """One line without blanks."""
    return _ENCODER.encode(document)


def _document(text: str, number: int) -> dict[str, Any]:
    try:
        document = read_json(text)
    except ValueError as error:
        refuse(number, f"not JSON ({error}): write one tick a line, for example {EXAMPLE}")
    if not isinstance(document, dict):
        refuse(number, f"not an object: write for example {EXAMPLE}")
    return document


def _header(document: dict[str, Any], number: int) -> Header:
    try:
        header = Header.model_validate(document)
    except ValidationError as error:
        refuse(number, f"{first_fault(error, 'header')}; use the header as the operator wrote it")
    for state in header.state:
        if state.name not in KINDS or not _whole(state):
            refuse(number, f"header.state: {state.name} is damaged; use the header as the operator wrote it")
    metrics = EARLIER_DEFAULT if header.analysis.metrics is None else header.analysis.metrics
    weighed = [one.model_copy(update={"weight": one.weight or EARLIER_WEIGHTS.get(one.name)}) for one in metrics]
    return header.model_copy(update={"analysis": header.analysis.model_copy(update={"metrics": weighed})})


def _whole(state: MetricState) -> bool:
    """Whether the lists have the lengths that the engine counts on."""
    if len(state.canary) != 2 or len(state.stable) != 2:
        return False
    if isinstance(KINDS[state.name], Binary):
        return not state.edges
    return len(state.logs) == len(state.edges) * eprocess.EDGES.size


def _written(name: str, arm: Arm) -> Any:
    if isinstance(arm, Firsts):
        bad = {"bad": {str(turn): count for turn, count in arm.bad.items()}} if arm.bad else {}
        return {"entries": list(arm.entries)} | bad
    if not isinstance(arm, Values):
        return list(arm)
    if not arm.count:
        return {"count": 0}
    found: dict[str, Any] = {"count": arm.count, "lnSum": arm.ln_sum, "lnSumSq": arm.ln_sum_sq}
    if getattr(KINDS[name], "raw", False):
        found |= {"sum": arm.sum, "sumSq": arm.sum_sq}
    if arm.buckets:
        low, high = min(arm.buckets), max(arm.buckets)
        if high - low < 4 * len(arm.buckets):
            found |= {"first": low, "buckets": [arm.buckets.get(index, 0) for index in range(low, high + 1)]}
        else:
            found["buckets"] = {str(index): count for index, count in sorted(arm.buckets.items())}
    return found


def _no_constant(word: str) -> NoReturn:
    raise ValueError(f"{word} is not a number")


_ENCODER = json.JSONEncoder(separators=(",", ":"), allow_nan=False)
_DECODER = json.JSONDecoder(parse_constant=_no_constant)
