"""`eval calibrate` from a report to kappa."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from tests.core.evals.test_calibration import report

from claude_operator.__main__ import main
from claude_operator.core.evals.report import write_report


def test_draw_label_and_compare(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file, labels = tmp_path / "report.jsonl", tmp_path / "labels.jsonl"
    file.write_bytes(write_report(report()))
    words = ["eval", "calibrate", str(labels), "--report", str(file)]
    assert main([*words, "--draw", "12"]) == 0
    assert capsys.readouterr().out == f"{labels}: 12 answers; write true or false in place of null after holds\n"
    assert main(words) == 1
    assert "no line is judged" in capsys.readouterr().err

    lines = [json.loads(line) for line in labels.read_text().splitlines()]
    labels.write_text("".join(json.dumps({**one, "holds": int(one["id"][1:]) % 3 > 0}) + "\n" for one in lines))
    assert main(words) == 0
    out = capsys.readouterr().out
    assert out.startswith("They agree on 12 of 12 answers (100 %)")
    assert "Cohen's kappa is 1.00" in out

    assert main([*words, "--draw", "12"]) == 1  # an hour of work is not overwritten
    assert "is there already" in capsys.readouterr().err


@pytest.mark.parametrize("words", [["none", "--report", "none"], ["{folder}", "--report", "{file}"]])
def test_what_cannot_be_used(words: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "file").write_bytes(write_report(report()))
    paths = {"folder": tmp_path, "file": tmp_path / "file"}
    assert main(["eval", "calibrate", *(word.format(**paths) for word in words)]) == 1
    assert capsys.readouterr().err.startswith("claude-operator eval: ")
