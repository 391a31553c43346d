"""A report as JUnit XML, which CI servers show.

The gate decides and not the single item, so a CI server must not turn red over an item that the gate allows: an item
that failed is a failure only where the gate failed, and else skipped, with what happened as the reason.
"""

from __future__ import annotations

import re
from xml.etree import ElementTree as Tree

from claude_operator.core.evals.report import CANDIDATE, OutcomeLine, Report
from claude_operator.core.evals.summary import summarise
from claude_operator.evals.plain import line, printable

__all__ = ["as_junit"]

_NOT_XML = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
_LONGEST_ID = 200


def as_junit(report: Report) -> str:
    """A suite with the gate as its first case and a case an item; held-out items are in their sum alone."""
    run = report.run
    name = line(run.set, _LONGEST_ID) or "evals"
    suite = Tree.Element("testsuite", {"name": name})
    gate = Tree.SubElement(suite, "testcase", {"classname": name, "name": "the gate"})
    if run.phase == "Failed":
        _say(gate, "failure", run.message)
    elif run.phase != "Passed" or run.partial:
        _say(gate, "error" if run.phase != "Passed" else "skipped", run.partial or run.message)
    items: dict[str, list[OutcomeLine]] = {}
    for one in report.outcomes:
        if one.arm == CANDIDATE:
            items.setdefault(one.id, []).append(one)
    for key, lines in items.items():
        _item(Tree.SubElement(suite, "testcase", {"classname": name, "name": line(key, _LONGEST_ID)}), lines, run.phase)
    _output(suite, report)
    for count, tag in (
        ("tests", "testcase"),
        ("failures", "*/failure"),
        ("errors", "*/error"),
        ("skipped", "*/skipped"),
    ):
        suite.set(count, str(len(suite.findall(tag))))
    root = Tree.Element("testsuites", {key: suite.get(key, "0") for key in ("tests", "failures", "errors", "skipped")})
    root.append(suite)
    Tree.indent(root)
    return Tree.tostring(root, encoding="unicode", xml_declaration=True) + "\n"


def _item(case: Tree.Element, lines: list[OutcomeLine], phase: str) -> None:
    case.set("time", f"{sum(one.seconds or 0.0 for one in lines):.3f}")
    failed = [one for one in lines if one.failed]
    if not failed:
        return
    said = f"{len(lines) - len(failed)} of {len(lines)} answers passed: {failed[0].failed}"
    if phase == "Failed":
        _say(case, "failure", said, _details(failed))
    else:
        _say(case, "skipped", f"{said} (the gate allows it)" if phase == "Passed" else said)


def _details(failed: list[OutcomeLine]) -> str:
    parts = []
    for one in failed:
        checks = [f"{each.check}: {each.why}" if each.why else each.check for each in one.checks if not each.holds]
        answer = [] if one.text is None else [f"answer: {one.text}"]
        parts.append("\n".join([f"epoch {one.epoch}: {'; '.join(checks) or one.failed}", *answer]))
    return "\n\n".join(parts)


def _output(suite: Tree.Element, report: Report) -> None:
    """The verdict, and the sums of held-out items."""
    held_out = [
        f"held out, {one.arm}: {one.passed} of {one.answers} answers passed" for one in summarise(report).held_out
    ]
    Tree.SubElement(suite, "system-out").text = _clean("\n".join([report.run.message, *held_out]))


def _say(case: Tree.Element, tag: str, message: str, details: str = "") -> None:
    element = Tree.SubElement(case, tag, {"message": _clean(line(message, 1000))})
    element.text = _clean(details) or None


def _clean(text: str) -> str:
    """What XML can hold."""
    return _NOT_XML.sub("?", printable(text))
