"""A report as one page of HTML: it needs no network, no script and no other file, on a phone or on paper."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterator, Sequence

from claude_operator.core.evals.report import Report
from claude_operator.core.evals.summary import Change, Metric, Side, Summary, summarise
from claude_operator.core.text import count
from claude_operator.evals.markup import Markup, join, page, tag
from claude_operator.evals.plain import dollars, line, metric_difference, metric_value, points, rate
from claude_operator.evals.style import STYLE

__all__ = ["as_html"]

_HALF = 90  # of the width of an interval's picture
_MOST_ITEMS = 300
_MOST_WORDS = 500  # of an answer whose words are compared
_WORDS = re.compile(r"\s+|\w+|[^\w\s]")
_PHASES = {"Passed": "good", "Failed": "bad"}


def as_html(report: Report) -> str:
    """The verdict, the arms, the items that changed side by side (worse first), failed checks, slices."""
    summary = summarise(report)
    run = report.run
    title = f"{run.phase or 'Unknown'}: {run.set or 'eval run'}"
    parts = [_header(report), _arms(summary), _metrics(summary), _index(summary), _items(summary)]
    parts += [_checks(summary), _slices(summary)]
    return page(title, STYLE, tag("main", *parts))


def _header(report: Report) -> Markup:
    run = report.run
    against = join(" against ", tag("b", run.baseline)) if run.baseline else "without a baseline"
    notes = [tag("p", run.message, class_="verdict")]
    if run.partial not in run.message:
        notes.append(tag("p", run.partial, class_="note"))
    if run.left_out:
        notes.append(tag("p", f"This report is shortened: it lacks {run.left_out}.", class_="note"))
    badge = tag("span", run.phase or "Unknown", class_=f"badge {_PHASES.get(run.phase, 'open')}")
    return tag(
        "header",
        tag("h1", badge, " ", run.set or "Eval run"),
        tag("p", tag("b", run.candidate or "the candidate"), " ", against),
        *notes,
        tag("p", f"Set {run.set_hash}", class_="soft") if run.set_hash else "",
    )


def _arms(summary: Summary) -> Markup:
    rows = [
        [
            one.name,
            one.revision,
            f"{one.passed} of {one.answers}",
            rate(one.passed / one.answers),
            rate(one.score),
            str(one.refused),
            f"{one.input_tokens:,}",
            f"{one.output_tokens:,}",
            dollars(one.cost_usd),
            "-" if one.seconds is None else f"{one.seconds:.2f} s",
        ]
        for one in summary.arms
    ]
    heads = ["Arm", "Revision", "Answers passed", "Rate", "Score", "Refused", "Input", "Output", "Cost", "Mean time"]
    held_out = [
        tag("p", f"Held out: {count(one.items, 'item')}; {one.passed} of the {one.arm}'s {one.answers} answers passed.")
        for one in summary.held_out
    ]
    graders = tag("p", f"Graded by {', '.join(summary.graders)}.", class_="soft") if summary.graders else ""
    return join(_section("Arms", heads, rows), *held_out, graders)


def _metrics(summary: Summary) -> Markup:
    heads = ["Metric", "Verdict", "Baseline", "Candidate", "Difference", "Interval", "Margin", ""]
    rows = [
        [
            one.metric,
            tag("span", one.verdict, class_={"NotWorse": "good", "Worse": "bad"}.get(one.verdict, "open")),
            metric_value(one, one.baseline),
            metric_value(one, one.candidate),
            metric_difference(one, one.difference),
            f"{metric_difference(one, one.lower)} to {metric_difference(one, one.upper)}",
            metric_difference(one, one.margin, signed=False),
            _interval(one),
        ]
        for one in summary.metrics
    ]
    return _section("Metrics", heads, rows)


def _interval(one: Metric) -> Markup:
    """The interval as a picture: no difference in the middle, what is worse than the margin shaded."""
    most = 1.25 * max(abs(one.lower), abs(one.upper), abs(one.worst), 1e-9)

    def at(value: float) -> str:
        return f"{_HALF * (1 + min(max(value / most, -1.0), 1.0)):.1f}"

    start, end = (0.0, float(at(one.worst))) if one.worst < 0 else (float(at(one.worst)), 2.0 * _HALF)
    return tag(
        "svg",
        tag("rect", x=f"{start}", y="0", width=f"{end - start:.1f}", height="20", class_="beyond"),
        tag("line", x1=at(0.0), x2=at(0.0), y1="0", y2="20", class_="zero"),
        tag("line", x1=at(one.lower), x2=at(one.upper), y1="10", y2="10", class_="span"),
        tag("circle", cx=at(one.difference), cy="10", r="4"),
        viewBox=f"0 0 {2 * _HALF} 20",
        width=f"{2 * _HALF}",
        height="20",
        role="img",
        aria_label="the interval; shaded: worse than the margin",
    )


def _index(summary: Summary) -> Markup:
    """The items that changed, as a list that leads to each."""
    compared = any(one.difference is not None for one in summary.changes)
    title = "Items that changed" if compared or not summary.changes else "Items that failed"
    if not summary.changes:
        return tag("section", tag("h2", title), tag("p", "None."))
    rows = [
        [
            tag("a", line(one.id, 80), href=f"#item-{number}"),
            tag("span", _word(one), class_=_colour(one)),
            _passed(one.baseline),
            _passed(one.candidate),
        ]
        for number, one in enumerate(summary.changes[:_MOST_ITEMS], 1)
    ]
    more = len(summary.changes) - _MOST_ITEMS
    note = tag("p", f"{more:,} more are not on this page; the report has them.", class_="note") if more > 0 else ""
    return join(_section(title, ["Item", "", "Baseline", "Candidate"], rows), note)


def _items(summary: Summary) -> Markup:
    return join(*(_item(number, one) for number, one in enumerate(summary.changes[:_MOST_ITEMS], 1)))


def _item(number: int, one: Change) -> Markup:
    before, after = _compared(one)
    critical = tag("span", "critical", class_="badge bad") if one.critical else ""
    difference = "" if one.difference is None else f" ({points(one.difference)} points)"
    question = tag("blockquote", one.question, dir_="auto") if one.question else ""
    sides = [_side("Baseline", one.baseline, before)] if one.baseline else []
    return tag(
        "article",
        tag("h3", line(one.id, 128), " ", tag("span", f"{_word(one)}{difference}", class_=_colour(one)), " ", critical),
        question,
        tag("div", *sides, _side("Candidate", one.candidate, after), class_="sides"),
        id_=f"item-{number}",
    )


def _side(name: str, side: Side | None, text: Markup) -> Markup:
    if side is None:
        return tag("div", tag("h4", name), tag("p", "not asked, or the Claude API refused it", class_="soft"))
    failed = ""
    if side.failed:
        failed = tag("p", tag("b", "Failed: "), side.failed, f": {side.why}" if side.why else "", class_="why")
    stop = tag("p", f"stop_reason: {side.stop}", class_="soft") if side.stop not in ("", "end_turn") else ""
    shown = tag("p", "The answer is not kept.", class_="soft") if side.text is None else tag("pre", text, dir_="auto")
    return tag("div", tag("h4", f"{name}: {side.passed} of {side.answers} passed"), failed, stop, shown)


def _compared(one: Change) -> tuple[Markup, Markup]:
    """Both answers, with the words marked in which they differ."""
    before = (one.baseline.text if one.baseline else None) or ""
    after = (one.candidate.text if one.candidate else None) or ""
    ours, theirs = _WORDS.findall(before), _WORDS.findall(after)
    if not before or not after or max(len(ours), len(theirs)) > _MOST_WORDS:
        return join(before), join(after)
    steps = difflib.SequenceMatcher(None, ours, theirs, autojunk=False).get_opcodes()
    old = [_marked("del", ours[start:end], kind) for kind, start, end, _, _ in steps]
    new = [_marked("ins", theirs[start:end], kind) for kind, _, _, start, end in steps]
    return join(*old), join(*new)


def _marked(name: str, words: Sequence[str], kind: str) -> Markup:
    text = "".join(words)
    return join(text) if kind == "equal" or not text else tag(name, text)


def _checks(summary: Summary) -> Markup:
    if not summary.checks:
        return join()
    rows = [
        [
            line(one.check, 200),
            str(one.baseline),
            str(one.candidate),
            line(one.why, 300),
            line(", ".join(one.items), 200),
        ]
        for one in summary.checks
    ]
    return _section("Checks that failed", ["Check", "Baseline", "Candidate", "Why", "For example"], rows)


def _slices(summary: Summary) -> Markup:
    if not summary.slices:
        return join()
    rows = []
    for one in summary.slices:
        difference = None if one.candidate is None or one.baseline is None else one.candidate - one.baseline
        name = line(f"{one.key}: {one.value}", 100)
        rows.append([name, str(one.items), rate(one.baseline), rate(one.candidate), points(difference)])
    return _section("Slices", ["Slice", "Items", "Baseline", "Candidate", "Points"], rows)


def _section(title: str, heads: Sequence[str], rows: Sequence[Sequence[str]]) -> Markup:
    """A table with its title; nothing where it has no rows."""
    if not rows:
        return join()
    head = tag("tr", *(tag("th", one, scope="col") for one in heads))
    body = [tag("tr", *_cells(row)) for row in rows]
    table = tag("table", tag("thead", head), tag("tbody", *body))
    return tag(
        "section", tag("h2", title), tag("div", table, class_="wide", tabindex="0", role="region", aria_label=title)
    )


def _cells(row: Sequence[str]) -> Iterator[Markup]:
    yield tag("th", row[0], scope="row", dir_="auto")
    for one in row[1:]:
        yield tag("td", one, dir_="auto")


def _word(one: Change) -> str:
    if one.difference is None:
        return "failed"
    return "▼ worse" if one.difference < 0 else "▲ better"


def _colour(one: Change) -> str:
    return "good" if one.difference is not None and one.difference > 0 else "bad"


def _passed(side: Side | None) -> str:
    return "-" if side is None else f"{side.passed} of {side.answers}"
