"""A report as text, as JUnit XML and as JSON, from files and from the cluster."""

from __future__ import annotations

import base64
import json
from pathlib import Path
from xml.etree import ElementTree as Tree

import pytest
from tests.evals.reports import HOSTILE, MESSAGE, shown
from tests.evals.servers import cluster
from tests.evals.test_cli import kubeconfig

from claude_operator.__main__ import main
from claude_operator.core.evals.report import CANDIDATE, RunLine, make_report, pack_report, write_report
from claude_operator.evals.junit import as_junit
from claude_operator.evals.plain import line, printable
from claude_operator.evals.show import as_text
from claude_operator.evals.show_cli import as_json


def test_text() -> None:
    lines = as_text(shown()).splitlines()
    assert lines[:3] == [
        "ARM        PASSED  RATE   SCORE  REFUSED  INPUT  OUTPUT  COST",
        "candidate  8/12    66.7%  66.7%  0        10800  480     $0.0240",
        "baseline   11/12   91.7%  91.7%  0        10800  480     $0.0240",
    ]
    assert [text.split() for text in lines[4:7]] == [
        ["METRIC", "VERDICT", "BASELINE", "CANDIDATE", "DIFFERENCE", "AT", "LEAST", "AT", "MOST", "MARGIN"],
        ["quality", "Worse", "91.7%", "66.7%", "-25.0", "points", "-41.0", "points", "-9.0", "points", "3.0", "points"],
        ["cost", "NotWorse", "$0.002000", "$0.002000", "+0.0%", "+0.0%", "+4.0%", "20.0%"],
    ]
    lines = lines[4:]
    assert lines[4].split() == ["ITEM", "BASELINE", "CANDIDATE", "CHECK"]
    # Worse first, then better; what is the same on both is not there.
    assert [text.split()[:2] for text in lines[5:8]] == [
        ["charged-twice", "worse,"],
        ["hostile", "worse"],
        ["parcel", "better"],
    ]
    assert "3/3       2/3" in lines[5]
    assert lines[5].endswith("equals 'billing': the answer is 'delivery'")
    assert lines[-3:] == [
        "Held out: 1 item, 0.0% of the candidate's answers passed",
        "Held out: 1 item, 100.0% of the baseline's answers passed",
        MESSAGE,
    ]
    assert "topic=other     2      100.0%    50.0%      -50.0" in lines


def test_text_without_a_baseline_lists_what_failed() -> None:
    lines = as_text(shown(baseline=False)).splitlines()
    assert [text.split()[:2] for text in lines[4:6]] == [["charged-twice", "failed,"], ["hostile", "failed"]]


def test_comparisons_of_another_form_are_left_out() -> None:
    report = make_report(RunLine(message="x", result={"comparisons": "none"}), [], {}, keep_text=True)
    assert as_text(report) == "x\n"


def test_graders_are_named() -> None:
    report = make_report(RunLine(message="x", result={"graders": ["strict: claude-opus-5-5"]}), [], {}, keep_text=True)
    assert as_text(report) == "Graded by strict: claude-opus-5-5\nx\n"
    other = make_report(RunLine(message="x", result={"graders": 1}), [], {}, keep_text=True)
    assert as_text(other) == "x\n"


def test_text_of_a_run_without_answers() -> None:
    report = make_report(
        RunLine(phase="Failed", message="Failed: 400", left_out="all", partial="Two items alone."),
        [],
        {},
        keep_text=True,
    )
    assert as_text(report) == "This report is shortened: it lacks all\nFailed: 400\nTwo items alone.\n"


def test_no_text_of_others_moves_the_cursor_or_turns_the_writing() -> None:
    for text in (as_text(shown()), as_junit(shown()), printable(HOSTILE)):
        assert not set(text) & set("\x00\x1b\u202e\r")
    assert printable("a\r\nb\tc é 👩\u200d👩") == "a\nb\tc é 👩\u200d👩"
    assert line("a\nb" * 1000, 10) == "a ba ba b…"


def test_held_out_items_are_named_nowhere(tmp_path: Path) -> None:
    for text in (as_text(shown()), as_junit(shown()), as_json(shown())):
        assert "secret" not in text


@pytest.mark.parametrize(
    ("report", "counts", "gate"),
    [
        (shown(), (5, 3, 0, 0), "failure"),
        (shown("Passed"), (5, 0, 0, 2), None),
        (shown("Inconclusive"), (5, 0, 1, 2), "error"),
        (shown("Passed", partial="Two items alone."), (5, 0, 0, 3), "skipped"),
        (shown("Failed", keep_text=False), (5, 3, 0, 0), "failure"),
    ],
)
def test_junit(report: object, counts: tuple[int, ...], gate: str | None) -> None:
    root = Tree.fromstring(as_junit(report))
    names = ("tests", "failures", "errors", "skipped")
    assert tuple(int(root.get(name)) for name in names) == counts
    [suite] = root
    assert tuple(int(suite.get(name)) for name in names) == counts
    first, *items = suite.findall("testcase")
    assert [one.tag for one in first] == ([gate] if gate else [])
    assert [one.get("name") for one in items] == ["charged-twice", "parcel", "shouting", "hostile"]
    assert items[0].get("time") == "3.750"
    [said] = items[0]
    assert said.get("message").startswith("2 of 3 answers passed: equals 'billing'")
    assert "held out, candidate: 0 of 3 answers passed" in suite.find("system-out").text


def test_json() -> None:
    document = json.loads(as_json(shown()))
    assert document["run"]["setHash"] == "9f2ab0"
    assert document["summary"]["arms"][0]["costUSD"] == pytest.approx(0.024)
    assert [one["id"] for one in document["summary"]["changes"]] == ["charged-twice", "hostile", "parcel"]


def test_a_file(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file, page, junit = tmp_path / "report", tmp_path / "page.html", tmp_path / "junit.xml"
    file.write_bytes(pack_report(shown(), 1 << 20))
    assert main(["eval", "show", str(file), "--html", str(page), "--junit", str(junit)]) == 0
    assert capsys.readouterr().out == as_text(shown())
    assert page.read_text().startswith("<!doctype html>")
    assert Tree.parse(junit).getroot().tag == "testsuites"
    assert main(["eval", "show", str(file), "--json"]) == 0
    assert capsys.readouterr().out == as_json(shown())


@pytest.mark.parametrize("words", [["none/report"], ["{file}"], ["{report}", "--html", "{folder}"]])
def test_what_cannot_be_read_or_written_is_told(
    words: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "file").write_text("a: 1")
    (tmp_path / "report").write_bytes(write_report(shown()))
    paths = {"file": tmp_path / "file", "report": tmp_path / "report", "folder": tmp_path}
    assert main(["eval", "show", *(word.format(**paths) for word in words)]) == 1
    out, err = capsys.readouterr()
    assert (out, err.startswith("claude-operator eval: ")) == ("", True)


async def run_in_cluster(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, url: str) -> int:
    import asyncio

    monkeypatch.setenv("KUBECONFIG", kubeconfig(tmp_path, url))
    monkeypatch.delenv("KUBERNETES_SERVICE_HOST", raising=False)
    monkeypatch.chdir(tmp_path)
    return await asyncio.to_thread(main, ["eval", "show", name, "--namespace", "demo"])


async def test_a_run_in_the_cluster(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    packed = base64.b64encode(pack_report(shown(), 1 << 20)).decode()
    async with cluster() as objects:
        objects.add("claudeevalruns", "new-1", spec={"revision": "new"})
        objects.add("configmaps", "new-1-report", binaryData={"report.jsonl.gz": packed})
        assert await run_in_cluster(tmp_path, monkeypatch, "new-1", objects.url) == 0
    assert capsys.readouterr().out == as_text(shown())


async def test_a_run_without_a_report(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    async with cluster() as objects:
        objects.add("configmaps", "new-1-report")
        objects.add(
            "claudeevalruns", "new-1", spec={"revision": "new"}, status={"phase": "Running", "message": "3 of 9"}
        )
        assert await run_in_cluster(tmp_path, monkeypatch, "new-1", objects.url) == 0
        assert capsys.readouterr().out.endswith("the cluster has no report of this run\n3 of 9\n")
        assert await run_in_cluster(tmp_path, monkeypatch, "other", objects.url) == 1
        assert "no ClaudeEvalRun of this name in the namespace demo" in capsys.readouterr().err


def test_no_cluster(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setenv("KUBECONFIG", str(tmp_path / "none"))
    monkeypatch.delenv("KUBERNETES_SERVICE_HOST", raising=False)
    assert main(["eval", "show", "new-1"]) == 1
    assert "the Kubernetes API is not configured" in capsys.readouterr().err


def test_a_report_without_anything_is_shown_too() -> None:
    report = make_report(RunLine(), [], {CANDIDATE: {}}, keep_text=True)
    assert as_text(report) == "Unknown: the report has no message\n"
    assert Tree.fromstring(as_junit(report)).get("errors") == "1"
