"""The gate's benchmark: what it draws, the rules beside the gate's, and a small run as a whole."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from bench.evals import rules
from bench.evals.__main__ import SIZES, WORSE, main, simulate
from bench.evals.draws import MEAN, draw
from bench.evals.refute import search
from bench.evals.sets import read
from scipy import stats  # type: ignore[import-untyped]

GATES = 400


def passes(rule: str, size: int, worse: float, gates: int = GATES) -> int:
    chance = np.random.default_rng((7, size))
    return sum(rules.OTHERS[rule](*draw(chance, size, worse).ask(chance, rules.EPOCHS)) for _ in range(gates))


def test_what_is_drawn_is_as_hard_as_it_says() -> None:
    chance = np.random.default_rng(1)
    arms = draw(chance, 200_000, 0.05)
    assert arms.baseline.mean() == pytest.approx(MEAN, abs=0.002)
    assert pytest.approx(0.9, abs=0.002) == MEAN
    assert (arms.baseline - arms.candidate).mean() == pytest.approx(0.05, abs=0.002)
    ours, theirs = draw(chance, 100_000, 0.0).ask(chance, 3)
    assert ours.shape == theirs.shape == (100_000, 3)
    assert (ours.mean(axis=1) - theirs.mean(axis=1)).var() == pytest.approx(0.028, abs=0.002)


@pytest.mark.parametrize("freedom", [1, 4, 7, 99, 999])
def test_students_t(freedom: int) -> None:
    assert rules.t_quantile(freedom) == pytest.approx(stats.t.ppf(0.95, freedom), abs=1e-4)


@pytest.mark.parametrize(("size", "worse", "expected"), [(100, 0.0, 0.58), (100, 0.02, 0.15), (200, 0.0, 0.8)])
def test_students_t_lets_through_what_others_found(size: int, worse: float, expected: float) -> None:
    assert passes("paired, Student's t", size, worse) / GATES == pytest.approx(expected, abs=0.06)


def test_students_t_is_not_valid_and_the_shipped_test_is() -> None:
    """A candidate at exactly the margin; of 400 gates at 5 %, more than 31 pass in 1 of 200 such tests."""
    allowed = int(stats.binom.ppf(0.995, GATES, rules.ALPHA))
    assert passes("paired, Student's t", 8, rules.MARGIN) > allowed
    for size in (5, 8, 50, 100, 200):
        assert passes("paired, the shipped test", size, rules.MARGIN) <= allowed
        assert passes("paired, bets", size, rules.MARGIN) <= allowed


def test_the_gate_is_the_products() -> None:
    cell = simulate(read(None), 120, "same", range(3), seed=1)
    assert cell.gates == 3
    assert sum(cell.shipped.values()) == 3
    assert cell.epochs >= 9
    few = simulate(read(None), 8, "same", range(3), seed=1)
    assert few.shipped == Counter({"too few": 3})


def test_files_of_the_user(tmp_path: Path) -> None:
    (tmp_path / "banking77_test.csv").write_text('text,category\n"Where, please?",card_arrival\n')
    problem = {"question": "1 + 1?", "answer": "It is\n#### 2"}
    (tmp_path / "gsm8k_test.jsonl").write_text(json.dumps(problem) + "\n")
    banking, gsm = read(tmp_path)
    assert (banking.name, gsm.name) == ("BANKING77", "GSM8K")
    for questions in (banking, gsm):
        [(wrong, right)] = questions.graded
        assert (wrong.passed, right.passed) == (False, True)
        assert right.cost_usd


def test_a_quick_run_compares_all_rules(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    kept = tmp_path / "cells.json"
    assert main(["--quick", "--sizes", "5", "50", "--json", str(kept)]) == 0
    printed = capsys.readouterr().out
    assert "4 gates a cell, made up, seed 1" in printed
    for name in rules.OTHERS:
        assert printed.count(f"| {name} |") == 2
    cells = json.loads(kept.read_text())
    assert len(cells) == 2 * len(WORSE)
    kept.write_text(json.dumps(cells[:-1]))
    assert main(["--quick", "--sizes", "5", "50", "--json", str(kept)]) == 0
    assert capsys.readouterr().out == printed, "only the cell that was missing is simulated"
    assert json.loads(kept.read_text()) == cells
    assert max(SIZES) == 1000


def test_no_candidate_at_the_margin_is_found_that_passes_too_often(capsys: pytest.CaptureFixture[str]) -> None:
    found = search(10, 0.3, rules.ALPHA, seed=1, rounds=1, drawn=10)
    assert found.passed <= rules.ALPHA + 0.006  # three standard errors of 10,000 draws
    assert sum(found.shares) == pytest.approx(1, abs=1e-3)
    assert main(["--refute", "--quick"]) == 0
    assert "| 10 | 0.3 |" in capsys.readouterr().out
