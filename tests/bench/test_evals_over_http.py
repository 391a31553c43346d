"""Gates over HTTP beside those in process, and what a run takes: smaller forms of what `bench.evals` measures."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from bench.evals import promptfoo
from bench.evals.http import differences, gate, table
from bench.evals.processes import Api, Ran, run, serving
from bench.evals.sets import read
from bench.evals.speed import OURS, Once, Plan, Runs, measure, ours, theirs
from bench.evals.speed import table as speed_table


@pytest.fixture(scope="module")
def api(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Api]:
    with serving(tmp_path_factory.mktemp("simulator")) as made:
        yield made


@pytest.mark.slow
def test_a_gate_over_http_is_the_same_as_in_process(api: Api) -> None:
    [questions] = read(None)
    gates = [gate(api, questions, size, "-10", 0, seed=1) for size in (8, 30)]
    assert [one.differs for one in gates] == [[], []]
    assert [one.paid for one in gates] == [one.requests for one in gates]
    assert "| 8 | -10 | 1 |" in table(gates)


@pytest.mark.slow
@pytest.mark.parametrize("tool", [OURS, promptfoo.NAME])
def test_a_run_is_measured_and_the_same_run_again(api: Api, tool: str) -> None:
    """What the second run pays is told whatever it is; ours pays nothing."""
    if tool == promptfoo.NAME and not promptfoo.is_installed():
        pytest.skip("promptfoo is not installed: python -m bench.evals.speed installs it")
    plan = Plan(read(None)[0].part(range(12)), latency=0.01)
    told: list[str] = []
    found = measure(api, plan, {tool: ours if tool == OURS else theirs}, 1, told.append)
    [first], [second] = found[tool].first, found[tool].second
    assert (first.paid, len(told)) == (12 * 3 * 2 if tool == OURS else first.paid, 2)
    assert (second.paid == 0) or tool != OURS
    for one in (first, second):
        assert one.ran.seconds > 0 < one.ran.cpu_seconds
        assert 10e6 < one.ran.peak <= one.ran.peak_of_all


def test_memory_is_that_of_the_program_and_of_what_it_starts(api: Api, tmp_path: Path) -> None:
    large = "import time; held = bytearray(60_000_000); time.sleep(0.5)"
    script = f"import subprocess, sys; print('out'); subprocess.run([sys.executable, '-c', {large!r}]); sys.exit(7)"
    ran = run(api, [sys.executable, "-c", script], os.environ, tmp_path)
    assert (ran.code, ran.output) == (7, "out\n")
    assert 60e6 < ran.peak < ran.peak_of_all


def test_documents_that_differ() -> None:
    ours = {"phase": "Passed", "costUSD": 0.1 + 0.2, "slices": [{"items": 3}], "only": None}
    theirs = {"phase": "Passed", "costUSD": 0.3, "slices": [{"items": 3}]}
    assert differences(ours, theirs) == []
    assert differences(ours, theirs | {"phase": "Failed", "slices": [{"items": 4}]}) == ["phase", "slices[0].items"]
    assert differences(ours, theirs | {"slices": []}) == ["slices"]
    assert differences(1, 2) == ["all"]


def test_the_table_shows_least_median_and_most() -> None:
    def once(seconds: float, paid: int) -> Once:
        return Once(Ran(0, "", "", seconds, 1.0, 90_000_000, 120_000_000), paid, 0.5)

    plan = Plan(read(None)[0].part(range(10)), latency=0.8)
    runs = Runs([once(4.0, 60), once(3.0, 60), once(6.0, 60)], [once(1.0, 0), once(1.0, 0), once(1.0, 0)])
    shown = speed_table(plan, {"this": runs}).splitlines()
    assert shown[:2] == ["| | this |", "|---|---|"]
    assert "| seconds | 3.0 / 4.0 / 6.0 |" in shown
    assert "| times the 3 s that 16 at a time allow | 1.00 / 1.33 / 2.00 |" in shown
    assert "| peak memory of the largest process, MB | 90 |" in shown
    assert "| requests paid | 60 |" in shown
    assert "| again: requests paid | 0 |" in shown
