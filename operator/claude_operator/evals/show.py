"""A report as text for a terminal."""

from __future__ import annotations

from collections.abc import Iterator

from claude_operator.core.evals.report import Report
from claude_operator.core.evals.summary import Change, Side, Summary, summarise
from claude_operator.core.text import count
from claude_operator.evals.plain import columns, dollars, line, metric_difference, metric_value, points, rate

__all__ = ["as_text"]

_MOST_ITEMS = 20
_MOST_CHECKS = 10


def as_text(report: Report) -> str:
    """The arms, what changed, the checks that failed, the slices, and the verdict last."""
    summary = summarise(report)
    blocks = [
        _arms(summary),
        _metrics(summary),
        _changed(summary),
        _checks(summary),
        _slices(summary),
        _notes(report, summary),
    ]
    return "\n".join(block for block in blocks if block)


def _arms(summary: Summary) -> str:
    if not summary.arms:
        return ""
    rows = [["ARM", "PASSED", "RATE", "SCORE", "REFUSED", "INPUT", "OUTPUT", "COST"]]
    rows += [
        [
            arm.name,
            f"{arm.passed}/{arm.answers}",
            rate(arm.passed / arm.answers),
            rate(arm.score),
            str(arm.refused),
            str(arm.input_tokens),
            str(arm.output_tokens),
            dollars(arm.cost_usd),
        ]
        for arm in summary.arms
    ]
    return columns(rows)


def _metrics(summary: Summary) -> str:
    if not summary.metrics:
        return ""
    rows = [["METRIC", "VERDICT", "BASELINE", "CANDIDATE", "DIFFERENCE", "AT LEAST", "AT MOST", "MARGIN"]]
    rows += [
        [
            line(one.metric, 20),
            line(one.verdict, 20),
            metric_value(one, one.baseline),
            metric_value(one, one.candidate),
            *(metric_difference(one, value) for value in (one.difference, one.lower, one.upper)),
            metric_difference(one, one.margin, signed=False),
        ]
        for one in summary.metrics
    ]
    return columns(rows)


def _changed(summary: Summary) -> str:
    if not summary.changes:
        return ""
    rows = [["ITEM", "", "BASELINE", "CANDIDATE", "CHECK"]]
    rows += [
        [line(one.id, 40), _word(one), _passed(one.baseline), _passed(one.candidate), _why(one)]
        for one in summary.changes[:_MOST_ITEMS]
    ]
    left = len(summary.changes) - _MOST_ITEMS
    return columns(rows) + (f"... and {left} more: --html FILE has them all\n" if left > 0 else "")


def _word(one: Change) -> str:
    word = "failed" if one.difference is None else "worse" if one.difference < 0 else "better"
    return f"{word}, critical" if one.critical else word


def _passed(side: Side | None) -> str:
    return "-" if side is None else f"{side.passed}/{side.answers}"


def _why(one: Change) -> str:
    """Of the side that is worse."""
    side = one.candidate if one.difference is None or one.difference < 0 else one.baseline
    if side is None or not side.failed:
        return ""
    return line(f"{side.failed}: {side.why}" if side.why else side.failed)


def _checks(summary: Summary) -> str:
    if not summary.checks:
        return ""
    rows = [["FAILED CHECK", "BASELINE", "CANDIDATE", "WHY"]]
    rows += [
        [line(one.check, 60), str(one.baseline), str(one.candidate), line(one.why, 60)]
        for one in summary.checks[:_MOST_CHECKS]
    ]
    return columns(rows)


def _slices(summary: Summary) -> str:
    if not summary.slices:
        return ""
    rows = [["SLICE", "ITEMS", "BASELINE", "CANDIDATE", "POINTS"]]
    for one in summary.slices:
        difference = None if one.candidate is None or one.baseline is None else one.candidate - one.baseline
        name = line(f"{one.key}={one.value}", 40)
        rows.append([name, str(one.items), rate(one.baseline), rate(one.candidate), points(difference)])
    return columns(rows)


def _notes(report: Report, summary: Summary) -> str:
    return "".join(f"{text}\n" for text in _sentences(report, summary))


def _sentences(report: Report, summary: Summary) -> Iterator[str]:
    for one in summary.held_out:
        share = one.passed / one.answers if one.answers else None
        yield f"Held out: {count(one.items, 'item')}, {rate(share)} of the {one.arm}'s answers passed"
    if summary.graders:
        yield f"Graded by {line(', '.join(summary.graders), 300)}"
    if report.run.left_out:
        yield f"This report is shortened: it lacks {line(report.run.left_out, 200)}"
    yield line(report.run.message or f"{report.run.phase or 'Unknown'}: the report has no message", 1500)
    if report.run.partial not in report.run.message:
        yield line(report.run.partial, 1500)
