"""What others wrote cannot steer the terminal of the person who looks at it."""

from __future__ import annotations

import copy
import csv
import io
from typing import Any

import pytest
from tests.cli.test_views import in_progress, rolled_back

from claude_operator.cli.events import Event
from claude_operator.cli.terminal import Terminal
from claude_operator.cli.view.diff import diff_facts, diff_view
from claude_operator.cli.view.history import history_facts, history_view
from claude_operator.cli.view.paint import to_text, visible
from claude_operator.cli.view.status import list_facts, list_view, status_facts, status_view
from claude_operator.cli.view.why import chosen_trial, why_facts, why_view

EVIL = "\x1b]0;owned\x07\x1b[2J\x9b1A\u202egood [/x] [a-z]+ :100:"


def assert_harmless(text: str) -> None:
    assert "u001b" in text
    assert not set(text) & set("\x1b\x07\x9b\u202e")
    assert "💯" not in text


def test_prompts_events_messages_and_logs_are_shown_as_text() -> None:
    old, new = ({"request": {"model": EVIL, "system": f"{text} {EVIL}", "tools": [{"name": EVIL}]}} for text in "ab")
    assert_harmless(to_text(diff_view(diff_facts("a", old, "b", new))))
    obj: dict[str, Any] = copy.deepcopy(in_progress().owner)
    obj["spec"]["request"]["model"] = obj["status"]["stableRevision"] = EVIL
    event = Event("2026-11-24T10:00:00Z", "Normal", EVIL, EVIL)
    world = rolled_back()
    assert_harmless(to_text(status_view(status_facts(obj, [event]), world.now)))
    assert_harmless(to_text(list_view(list_facts([obj]))))
    revisions = copy.deepcopy(list(world.revisions.values()))
    revisions[0]["spec"]["request"]["model"] = EVIL
    assert_harmless(to_text(history_view(history_facts(world.owner, revisions), world.now)))
    call = {"time": EVIL, "requestId": EVIL, "status": 400, "outcome": "error", "explanation": EVIL}
    facts = why_facts(world.owner, chosen_trial(world.owner, None), None, [call], EVIL)
    assert_harmless(to_text(why_view(facts)))


def test_lines_and_errors_too(capsys: pytest.CaptureFixture[str]) -> None:
    terminal = Terminal("table")
    terminal.show({}, EVIL)
    terminal.line(EVIL)
    assert_harmless(capsys.readouterr().out)
    terminal.warn(EVIL)
    terminal.fail(EVIL)
    assert_harmless(capsys.readouterr().err)


def test_what_people_write_stays_as_it_is() -> None:
    text = "Grüße, 你好\n\tfamily: 👨\u200d👩 שלום"
    assert visible({"a": [text, 1, None]}) == {"a": [text, 1, None]}


@pytest.mark.parametrize("name", ["=1+1", "+1", "-1+1", "@SUM(A1)", "\t=1", '=HYPERLINK("http://evil","x")'])
def test_a_spreadsheet_runs_no_name(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    Terminal("csv").rows(["team", "costUSD"], [[name, 1.5], ["care, north", -2], [EVIL, ""]])
    text = capsys.readouterr().out
    assert "\x1b" not in text
    rows = list(csv.reader(io.StringIO(text)))
    assert rows[:3] == [["team", "costUSD"], [f"'{name}", "1.5"], ["care, north", "-2"]]
