"""claude-operator judge: what comes in and out, and the exit codes."""

from __future__ import annotations

import io
import json
import re
import subprocess
import sys
import xml.etree.ElementTree as ET
from pathlib import Path
from typing import Any

import pytest
import yaml

from claude_operator.__main__ import main
from claude_operator.replay.replay import replay

ROOT = Path(__file__).parents[2]
HEADER = {
    "ledger": 1,
    "deployment": "support",
    "revision": "support-7b9e21c3d4",
    "stable": "support-5f6d8c1a2b",
    "analysis": {"falseRollbackRate": 0.05, "metrics": [{"name": "errors"}]},
}


def line(t: float, bad: int = 1, **more: Any) -> str:
    return json.dumps({"t": t, "weight": 0.01, "metrics": {"errors": {"stable": [500, 2], "canary": [5, bad]}}, **more})


FAILING = [line(5), line(10, 2), line(15, 3)]
LEDGER = {
    "earlier.jsonl": "\n".join([json.dumps(HEADER), line(5, leading="errors")]) + "\n",
    "ticks.jsonl": "\n".join([json.dumps(HEADER | {"ticks": 1}), line(10, leading="errors")]) + "\n",
    "points.jsonl": '[5,1.0,3.0,{"errors":3.0},"Inconclusive"]\n[10,1.0,9.0,{"errors":9.0},"Fail"]\n',
}
CONFIG_MAP = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "x"}, "data": LEDGER}


@pytest.fixture
def ticks(tmp_path: Path) -> Path:
    path = tmp_path / "ticks.jsonl"
    path.write_text("\n".join(FAILING) + "\n")
    return path


def test_replay_writes_a_line_a_tick(ticks: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["judge", "replay", str(ticks)]) == 0
    out, err = capsys.readouterr()
    assert [json.loads(text) for text in out.splitlines()] == list(replay(FAILING))
    assert err == ""


def test_the_exit_code_tells_the_verdict_where_asked(ticks: Path, tmp_path: Path) -> None:
    assert main(["judge", "replay", str(ticks), "--exit-code"]) == 1
    assert main(["judge", "replay", str(ticks), "--exit-code", "--alpha", "1e-9"]) == 0
    assert main(["judge", "replay", str(ticks)]) == 0


def test_options_reach_the_judge(ticks: Path, capsys: pytest.CaptureFixture[str]) -> None:
    options = [
        "--alpha",
        "0.5",
        "--set",
        "metrics.errors.maxIncrease=50%",
        "--set",
        "metrics.cost.weight=1",
        "--beyond",
    ]
    assert main(["judge", "replay", str(ticks), *options]) == 0
    out, err = capsys.readouterr()
    overrides = ["metrics.errors.maxIncrease=50%"]
    assert [json.loads(text) for text in out.splitlines()] == list(
        replay(FAILING, alpha=0.5, overrides=overrides, beyond=True)
    )
    assert err == f"claude-operator judge: {ticks}: no line has cost, so its settings change little or nothing\n"


def as_json(document: Any) -> str:
    return json.dumps(document, indent=4)


def as_yaml(document: Any) -> str:
    return yaml.safe_dump(document)


@pytest.mark.parametrize("written", [as_json, as_yaml])
def test_a_ledger_comes_as_kubectl_prints_it(
    written: Any, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "stdin", io.StringIO(written(CONFIG_MAP)))
    assert main(["judge", "replay", "-"]) == 0
    found = [json.loads(text) for text in capsys.readouterr().out.splitlines()]
    assert [(tick["t"], tick["threshold"]) for tick in found] == [(5.0, 20.0), (10.0, 20.0)]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "line 1: there is no line: write a tick, for example"),
        ("no: ticks", "line 1: not JSON (Expecting value: line 1 column 1 (char 0)): write one tick a line"),
        (f"{line(5)}\n{line(4)}", "line 2: t 4 is before 5 of the line before"),
        (as_json({"kind": "List", "items": []}), "this is a List: write one ledger, for example with kubectl get"),
        (
            as_yaml({"kind": "ConfigMap", "data": {"x": "y"}}),
            "this ConfigMap has no ticks.jsonl, so it is not",
        ),
        (as_json({"kind": "ConfigMap"}), "this ConfigMap has no ticks.jsonl, so it is not"),
    ],
)
@pytest.mark.parametrize("command", ["replay", "plot"])
def test_bad_input(command: str, text: str, words: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "in"
    path.write_text(text)
    assert main(["judge", command, str(path)]) == 2
    out, err = capsys.readouterr()
    assert (out, words in err, err.count("\n")) == ("", True, 1)


def test_no_file_no_text_no_rate(ticks: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["judge", "replay", str(tmp_path / "none")]) == 2
    assert "No such file" in capsys.readouterr().err
    (tmp_path / "binary").write_bytes(b"\xff\xfe\x00")
    assert main(["judge", "replay", str(tmp_path / "binary")]) == 2
    assert "this is not text: write one tick a line, as JSON" in capsys.readouterr().err
    assert main(["judge", "replay", str(ticks), "--set", "judge=Tick"]) == 2
    assert "must be 'Sequential', 'Threshold' or 'MannWhitney'" in capsys.readouterr().err
    for bad in ("0", "1", "x", "nan"):
        with pytest.raises(SystemExit) as left:
            main(["judge", "replay", str(ticks), "--alpha", bad])
        assert left.value.code == 2
        assert f"{bad} is not a probability: write for example 0.01" in capsys.readouterr().err


def test_a_reader_that_leaves_is_no_error(tmp_path: Path) -> None:
    path = tmp_path / "many"
    path.write_text("\n".join(line(t) for t in range(3000)))
    command = [sys.executable, "-m", "claude_operator", "judge", "replay", str(path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, cwd=ROOT / "operator") as process:
        assert process.stdout and process.stderr
        assert json.loads(process.stdout.readline())["t"] == 0.0
        process.stdout.close()
        assert process.stderr.read() == b""
        assert process.wait(20) == 0


# -------------------------------------------------------------------------------------------------------- plot


def words(picture: str) -> list[str]:
    return [text.text or "" for text in ET.fromstring(picture).iter("{http://www.w3.org/2000/svg}text")]


def test_plot_of_ticks(ticks: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["judge", "plot", str(ticks)]) == 0
    picture = capsys.readouterr().out
    assert "rolled back after 10 s: errors" in words(picture)
    out = tmp_path / "out.svg"
    assert main(["judge", "plot", str(ticks), "-o", str(out), "--alpha", "1e-9", "--title", "mine"]) == 0
    assert {"mine", "at 1e+09"} <= set(words(out.read_text()))


def test_plot_of_a_ledger_shows_its_points(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "ledger.json"
    path.write_text(as_json(CONFIG_MAP))
    assert main(["judge", "plot", str(path)]) == 0
    found = words(capsys.readouterr().out)
    title = "support: support-7b9e21c3d4 against support-5f6d8c1a2b"
    assert {title, "at 20", "rolled back after 10 s: errors"} <= set(found)
    assert main(["judge", "plot", str(path), "--alpha", "1e-6"]) == 0  # another plan: what the pages hold of it
    assert not any(text.startswith("rolled") for text in words(capsys.readouterr().out))


def test_plot_of_points_alone(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "points.jsonl"
    path.write_text(LEDGER["points.jsonl"])
    assert main(["judge", "plot", str(path), "--alpha", "0.25"]) == 0
    assert {"at 4", "rolled back after 10 s"} <= set(words(capsys.readouterr().out))


# -------------------------------------------------------------------------------------------------------- docs


def test_the_documented_lines_are_read_and_come_to_what_is_said() -> None:
    blocks = re.findall(r"```json\n(.*?)```", (ROOT / "docs" / "judge-replay.md").read_text(), re.DOTALL)
    examples = [block.splitlines() for block in blocks]
    for block in examples:
        if '"metrics"' in block[0]:
            assert list(replay(block))
    ticks = next(block for block in examples if '"metrics"' in block[0])
    told = next(block for block in examples if '"threshold"' in block[0])
    assert [json.loads(one) for one in told] == [
        {**tick, "evidence": {name: pytest.approx(value, rel=1e-2) for name, value in tick["evidence"].items()}}
        | {"total": pytest.approx(tick["total"], rel=1e-2)}
        for tick in replay(ticks)
    ]


def test_the_help_says_what_a_line_is(capsys: pytest.CaptureFixture[str]) -> None:
    for command in ("replay", "plot"):
        with pytest.raises(SystemExit):
            main(["judge", command, "--help"])
        out = capsys.readouterr().out
        assert '{"t": 5, "weight": 0.01, "metrics": {"errors": {"stable": [500, 2], "canary": [5, 1]}}}' in out
        assert "exit codes:" in out
