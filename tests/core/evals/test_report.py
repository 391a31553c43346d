"""The report of a run, written and read."""

from __future__ import annotations

import gzip
import json

import msgspec
import pytest

from claude_operator.core.evals import report as module
from claude_operator.core.evals.checks import Check
from claude_operator.core.evals.outcomes import Answer, CheckResult, Outcome, ToolCall
from claude_operator.core.evals.report import (
    Graded,
    Report,
    RunLine,
    make_report,
    pack_report,
    read_report,
    write_report,
)
from claude_operator.core.evals.sets import Item

RUN = RunLine(set="triage", set_hash="ab", candidate="new", baseline="old", phase="Failed", message="Failed: no")


def item(name: str, content: object = "I was charged twice.", **fields: object) -> Item:
    messages = msgspec.json.encode([{"role": "user", "content": content}])
    return Item(name, messages, (Check("equals", "billing"),), **fields)


def graded(text: str, holds: bool, **fields: object) -> Graded:
    check = CheckResult("equals 'billing'", holds, float(holds), "" if holds else f"it is {text!r}")
    outcome = Outcome("" if holds else check.check, float(holds), cost_usd=0.25, seconds=1.5, results=(check,))
    return Graded(outcome, Answer(text, "end_turn", "claude-haiku-5-5", {}, **fields))


def made(keep_text: bool = True) -> Report:
    items = [item("twice", critical=True, metadata={"topic": "money"}), item("secret", held_out=True)]
    arms = {
        module.CANDIDATE: {
            "twice": [graded("no", False), graded("billing", True)],
            "secret": [graded("no", False), graded("billing", True)],
        },
        module.BASELINE: {"twice": [graded("billing", True)], "secret": [graded("billing", True)]},
    }
    return make_report(RUN, items, arms, keep_text=keep_text)


def test_lines() -> None:
    run, ours, theirs, *outcomes = map(json.loads, write_report(made()).splitlines())
    assert run["kind"] == "run"
    assert (run["setHash"], run["baseline"], run["phase"], run["leftOut"]) == ("ab", "old", "Failed", "")
    assert ours == {"kind": "heldOut", "arm": "candidate", "items": 1, "answers": 2, "passed": 1}
    assert theirs == {"kind": "heldOut", "arm": "baseline", "items": 1, "answers": 1, "passed": 1}
    assert outcomes[0] == {
        "kind": "outcome",
        "id": "twice",
        "arm": "candidate",
        "epoch": 0,
        "score": 0.0,
        "failed": "equals 'billing'",
        "refused": False,
        "stop": "end_turn",
        "inputTokens": 0,
        "outputTokens": 0,
        "costUSD": 0.25,
        "graderCostUSD": 0.0,
        "seconds": 1.5,
        "critical": True,
        "checks": [
            {"check": "equals 'billing'", "holds": False, "score": 0.0, "why": "it is 'no'", "metric": "", "reason": ""}
        ],
        "metadata": {"topic": "money"},
        "question": "I was charged twice.",
        "text": "no",
    }
    assert [(one["arm"], one["epoch"]) for one in outcomes] == [("candidate", 0), ("candidate", 1), ("baseline", 0)]


def test_it_is_read_as_it_was_written() -> None:
    report = made()
    assert read_report(write_report(report), "x") == report
    assert read_report(pack_report(report, 1 << 20), "x") == report
    assert report.outcomes[0].outcome == graded("no", False).outcome


def test_of_held_out_items_there_is_their_sum_alone() -> None:
    assert b"secret" not in write_report(made())


def test_text_is_there_only_where_it_is_kept() -> None:
    lines = [json.loads(line) for line in write_report(made(keep_text=False)).splitlines()]
    assert [one.get("text") for one in lines] == [None] * len(lines)
    assert [one.get("question") for one in lines] == [None] * len(lines)


@pytest.mark.parametrize(
    ("content", "shown"),
    [
        ([{"type": "image", "source": {}}, {"type": "text", "text": "What is it?"}], "[image]\nWhat is it?"),
        ([], ""),
        ("x" * 30_000, "x" * module.LONGEST_TEXT + " [the rest is cut off]"),
    ],
)
def test_the_question(content: object, shown: str) -> None:
    arms = {module.CANDIDATE: {"a": [graded("no", False)]}}
    assert make_report(RUN, [item("a", content)], arms, keep_text=True).outcomes[0].question == shown


def test_text_that_is_no_utf_8_and_calls() -> None:
    strange = graded("\ud800 ok", True, calls=(ToolCall("refund", {"amount": 3}), ToolCall("x", "\ud800")))
    report = make_report(RUN, [item("a")], {module.CANDIDATE: {"a": [strange]}}, keep_text=True)
    [line] = read_report(write_report(report), "x").outcomes
    assert line.text == '? ok\n[refund {"amount":3}]\n[x arguments that are not JSON]'


@pytest.mark.parametrize(
    ("limit", "left_out"),
    [
        (1 << 20, ""),
        (20_000, "questions and answers"),
        (8_500, "questions, answers and the checks' own words"),
        (1_000, "all about answers that passed, and of the others everything but which check failed"),
        (250, "all about single answers"),
    ],
)
def test_what_does_not_fit_is_left_out_and_told(limit: int, left_out: str) -> None:
    digits = [msgspec.json.encode([i, i * 7919 % 10007]).hex() for i in range(1000)]
    answers = {digit: [graded(" ".join(digits[i % 90 :][:40]), i > 20)] for i, digit in enumerate(digits)}
    report = make_report(RUN, [item(one) for one in digits], {module.CANDIDATE: answers}, keep_text=True)
    packed = pack_report(report, limit)
    assert len(packed) <= limit
    read = read_report(packed, "x")
    assert read.run.left_out == left_out
    assert read.run.message == RUN.message


def test_a_place_that_is_too_small_for_anything() -> None:
    with pytest.raises(ValueError, match="does not fit into 10 bytes"):
        pack_report(made(), 10)


def test_what_a_later_version_writes_is_passed_over() -> None:
    lines = write_report(made()).splitlines()
    later = [json.dumps({**json.loads(line), "mood": 1}) for line in lines]
    text = "\n".join([*later, '{"kind": "weather"}', ""])
    assert read_report(text.encode(), "x") == made()


RUN_TEXT = write_report(Report(RUN))
LINE = b'{"kind": "outcome", "id": "a", "arm": "candidate"}\n'


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", "x: empty; give a file that `eval run --report FILE` has written"),
        (LINE, "x: this is no report of a run: its first line is not of the kind run"),
        (b"a: 1", "x, line 1: not JSON at line 1, column 1"),
        (b"\xff", "x, line 1: not UTF-8 at byte 0"),
        (RUN_TEXT + RUN_TEXT, "x, line 2: a second run; keep one report in a file"),
        (RUN_TEXT + LINE + LINE, "x, line 3: epoch 0 of 'a' on the candidate is there twice"),
        (RUN_TEXT + LINE.replace(b"candidate", b"third"), "x, line 2: arm: must be "),
        (RUN_TEXT + LINE.replace(b'"a"', b"1"), "x, line 2: id: must be text, not a whole number"),
        (RUN_TEXT + b'{"kind": "outcome"}', "x, line 2: id: is missing"),
        (RUN_TEXT + b"[" * 10_000, "x, line 2: "),
        (gzip.compress(RUN_TEXT)[:-12], "x: the compressed report is cut off"),
        (b"\x1f\x8bno", "x: the compressed report is damaged"),
    ],
)
def test_what_is_no_report(data: bytes, message: str) -> None:
    with pytest.raises(ValueError) as error:
        read_report(data, "x")
    assert str(error.value).startswith(message)


def test_bounds(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MOST_BYTES", 1000)
    for data in (RUN_TEXT + b" " * 2000, gzip.compress(RUN_TEXT + b" " * 2000)):
        with pytest.raises(ValueError, match="x: larger than 0 MiB"):
            read_report(data, "x")
    monkeypatch.setattr(module, "MOST_LINES", 2)
    with pytest.raises(ValueError, match="x: more than 2 lines"):
        read_report(RUN_TEXT + b"\n" * 5, "x")
