"""`eval improve` on a simulated editor: what it writes is truly better, or it writes nothing."""

from __future__ import annotations

from dataclasses import replace

import pytest
from bench.evals.improve import EDITORS, Cell, Found, main, run_once, table

RUNS = 6
EVERY_KIND, NONE_BETTER = EDITORS[:2]


def runs(cell: Cell) -> Found:
    total = Found()
    for seed in range(100, 100 + RUNS):
        total.add(run_once(replace(cell, rounds=2), seed))
    return total


@pytest.mark.slow
def test_a_better_prompt_is_found_and_never_a_wrong_one() -> None:
    found = runs(EVERY_KIND)
    assert (found.runs, found.wrong) == (RUNS, 0)
    assert 0 < found.better <= found.offered
    assert found.most <= 6
    assert found.cost <= EVERY_KIND.max_cost


@pytest.mark.slow
def test_where_none_is_better_none_is_written() -> None:
    found = runs(NONE_BETTER)
    assert (found.better, found.wrong, found.offered) == (0, 0, 0)


@pytest.mark.slow
def test_the_same_seed_gives_the_same_run() -> None:
    cell = replace(EVERY_KIND, rounds=1)
    assert run_once(cell, 5) == run_once(cell, 5)


def test_the_table() -> None:
    shown = table({"an editor": Found(100, 80, 1, 90, 2, 450, 9, 0.25)})
    assert "| an editor | 100 | 80 | 19 | **1** | 90 | 4.5, 9 | 2 | $0.250 |" in shown


@pytest.mark.slow
def test_it_runs_as_a_command(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--quick", "--items", "60"]) == 0
    assert f"| {EVERY_KIND.name} | 2 |" in capsys.readouterr().out
