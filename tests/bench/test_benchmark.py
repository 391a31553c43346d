"""The benchmark as a whole: one run compares all rules on the same traffic and writes what it found."""

from __future__ import annotations

import json
import math
import xml.etree.ElementTree as ET
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from bench.judge import runner
from bench.judge.__main__ import arguments, main
from bench.judge.intervals import median_interval, wilson
from bench.judge.ours import Ours
from bench.judge.reference import Reference
from bench.judge.rules import Context
from bench.judge.runner import Outcome, Settings, adaptive, fixed, rules_of, run, summary
from bench.judge.scenarios import Scenario, find
from bench.judge.ticks import Tick
from bench.judge.traffic import Rollout


def scenario(name: str) -> Scenario:
    return find([name])[0]


class After:
    """Rolls back after so many ticks, and remembers what it saw."""

    reason = "patience"

    def __init__(self, context: Context, ticks: int, seen: list[Tick] | None = None, ready: int = 10**9) -> None:
        self._left, self._ready, self._ticks = ticks, ready, 0
        self.seen = [] if seen is None else seen

    def step(self, tick: Tick) -> bool:
        self.seen.append(tick)
        self._ticks += 1
        return self._ticks >= self._left

    def ready(self, weight: float) -> bool:
        return self._ticks % self._ready == 0


# --------------------------------------------------------------------------------------------- intervals


def test_wilsons_interval() -> None:
    assert wilson(0, 10) == pytest.approx((0.0, 0.2775), abs=1e-4)
    assert wilson(1, 10) == pytest.approx((0.0179, 0.4042), abs=1e-4)
    assert wilson(10, 10) == pytest.approx((0.7225, 1.0), abs=1e-4)
    assert wilson(40, 2000) == pytest.approx((0.0147, 0.0271), abs=1e-4)
    with pytest.raises(ValueError, match="3 of 2 is no share"):
        wilson(3, 2)
    with pytest.raises(ValueError, match="0 of 0 is no share"):
        wilson(0, 0)


def test_wilsons_interval_covers() -> None:
    found = np.random.default_rng(1).binomial(300, 0.02, 2000).tolist()
    covered = [wilson(count, 300)[0] <= 0.02 <= wilson(count, 300)[1] for count in found]
    assert np.mean(covered) == pytest.approx(0.95, abs=0.025)


def test_the_medians_interval_covers() -> None:
    assert median_interval([1.0] * 5) is None
    samples = np.random.default_rng(1).exponential(size=(2000, 31)).tolist()
    intervals = [median_interval(sample) for sample in samples]
    covered = [interval is not None and interval[0] <= math.log(2) <= interval[1] for interval in intervals]
    assert 0.94 <= np.mean(covered) <= 0.985


# ------------------------------------------------------------------------------------------------ runner


def test_every_rule_sees_the_same_ticks_until_it_rolls_back() -> None:
    seen: dict[str, list[Tick]] = {"early": [], "late": [], "never": []}
    limits = {"early": 7, "late": 50, "never": 10**9}
    rules = {name: lambda context, name=name: After(context, limits[name], seen[name]) for name in seen}
    rollout = Rollout(scenario("errors+2"), seed=1, number=0)
    found = fixed(rollout, rules)
    assert [len(ticks) for ticks in seen.values()] == [7, 50, 120]
    assert seen["never"][:7] == seen["early"]
    ticks = seen["never"]
    for name, last in (("early", 7), ("late", 50), ("never", 120)):
        requests = sum(tick.canary.requests for tick in ticks[:last])
        end = "promoted" if name == "never" else "rolled back"
        reason = "" if name == "never" else "patience"
        expected = Outcome(end, requests, 15.0 * last, pytest.approx(0.02 * requests), reason)
        assert found[name] == expected


def test_steps_that_end_on_evidence() -> None:
    rollout = Rollout(scenario("adaptive+2"), seed=1, number=0)
    seen: list[Tick] = []
    found = adaptive(rollout, lambda context: After(context, 10**9, seen, ready=30))
    assert (found.end, found.seconds) == ("promoted", 90 * 15.0)
    assert [tick.weight for tick in seen] == [0.01] * 30 + [0.10] * 30 + [0.50] * 30
    assert [tick.index for tick in seen] == list(range(90))
    assert found.requests == sum(tick.canary.requests for tick in seen)
    assert adaptive(rollout, lambda context: After(context, 75, ready=30)).end == "rolled back"


def test_a_step_without_enough_evidence_is_held() -> None:
    short = replace(scenario("adaptive+0"), step_seconds=120.0)
    found = adaptive(Rollout(short, seed=1, number=0), lambda context: After(context, 10**9))
    assert (found.end, found.seconds) == ("held", 120.0)


def test_summary() -> None:
    outcomes = [
        Outcome("rolled back", 10, 60.0, 1.0, "errors"),
        Outcome("rolled back", 30, 120.0, 2.0, "ttft"),
        Outcome("promoted", 500, 1800.0, 9.0),
        Outcome("held", 100, 600.0, 0.0),
    ]
    cell = summary("null", "ours", outcomes)
    assert (cell.rollouts, cell.rolled_back, cell.promoted, cell.held, cell.rate) == (4, 2, 1, 1, 0.5)
    assert (cell.median_requests, cell.median_minutes, cell.mean_excess) == (20.0, 1.5, 3.0)
    assert cell.median_minutes_to_promotion == 30.0
    assert cell.rate_interval == wilson(2, 4)
    assert cell.reasons == {"errors": 1, "ttft": 1}


def test_the_number_of_jobs_changes_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(runner, "_SEGMENT", 2)
    told: list[tuple[str, int]] = []
    one = run([scenario("errors+20")], Settings(5), lambda name, count: told.append((name, count)))
    monkeypatch.setattr(runner, "_SEGMENT", 5)
    assert run([scenario("errors+20")], Settings(5)) == one
    assert told == [("errors+20", 2), ("errors+20", 2), ("errors+20", 1)]


@pytest.mark.slow
def test_two_processes_find_what_one_finds() -> None:
    scenarios = [scenario("errors+20"), scenario("adaptive+20")]
    assert run(scenarios, Settings(30, jobs=2)) == run(scenarios, Settings(30))


def test_rules_are_named_by_what_they_watch() -> None:
    assert list(rules_of(scenario("ttft-2"))) == ["ours", "p95-budget/ttft", "p95-ratio/ttft", "kayenta-p95/ttft"]
    assert list(rules_of(scenario("adaptive+0"))) == ["ours"]
    assert len(rules_of(scenario("null"))) == 1 + 8 + 3 + 3


# ------------------------------------------------------------------------------------------------- judge


@pytest.mark.parametrize(
    ("name", "reason"),
    [("errors+20", "errors"), ("broken", "errors"), ("ttft-2", "timeToFirstToken"), ("cost-2", "cost")],
)
def test_our_judge_sees_a_clear_regression(name: str, reason: str) -> None:
    cell = run([scenario(name)], Settings(4))[0]
    assert (cell.rule, cell.rolled_back) == ("ours", 4)
    assert cell.reasons[reason] >= 3


def test_our_judge_lets_an_equal_canary_pass() -> None:
    assert run([scenario("adaptive+0")], Settings(4))[0].promoted == 4


def test_the_pre_period_takes_the_difference_between_units_out() -> None:
    unequal = replace(scenario("units-slow"), units=20, units_ttft_sd=1.0, units_cost_sd=0.0)
    plain, offset = [], []
    for number in range(6):
        rollout = Rollout(unequal, seed=1, number=number)
        for judge, found in ((Reference(), plain), (Reference(rollout.pre_period), offset)):
            for tick in rollout.fixed():
                judge.observe(tick, ())
            found.append(judge.evidence()[0] >= 100)
    assert any(plain)
    assert not any(offset)


def test_our_judge_is_a_rule() -> None:
    judge = Ours(Context((0.01, 0.10, 0.50), 600.0, 15.0))
    assert not judge.ready(0.10)
    ticks = Rollout(scenario("broken"), seed=1, number=0).fixed()
    assert any(judge.step(tick) for tick in ticks)
    assert judge.reason == "errors"


# ----------------------------------------------------------------------------------------------- command


def test_a_run_writes_tables_figures_and_plots(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    names = ["null", "errors+20", "ttft-2", "adaptive+20"]
    main(["--rollouts", "2", "--jobs", "1", "--out", str(tmp_path / "out"), "--scenario", *names])
    found = json.loads((tmp_path / "out/results.json").read_text())
    assert (found["rollouts"], found["seed"], found["tickSeconds"]) == (2, 1, 15.0)
    cells = {(cell["scenario"], cell["rule"]): cell for cell in found["cells"]}
    assert len(cells) == 15 + 9 + 4 + 1
    assert cells["errors+20", "ours"]["rate"] == 1.0
    text = (tmp_path / "out/results.md").read_text()
    for heading in (
        "False rollbacks, rules on errors",
        "Regressions, rules on errors",
        "Regressions, rules on time to first token",
        "Whole policies of claude-operator",
        "Every figure",
    ):
        assert f"## {heading}\n" in text
    assert "Regressions, rules on cost" not in text
    for line in text.splitlines():
        assert not line.startswith("|") or line.endswith("|")
    for name in ("false-rollbacks.svg", "detection.svg"):
        root = ET.fromstring((tmp_path / "out" / name).read_text())
        words = [element.text for element in root.iter("{http://www.w3.org/2000/svg}text")]
        assert "claude-operator's judge, α = 1 %" in words
    out, err = capsys.readouterr()
    assert "False rollbacks" in out
    assert "Every figure" not in out
    assert "null: done; 2/8 rollouts" in err


def test_arguments(capsys: pytest.CaptureFixture[str]) -> None:
    assert arguments([]).rollouts == 2000
    assert arguments(["--quick"]).rollouts == 15
    assert arguments(["--quick", "--rollouts", "7"]).rollouts == 7
    for words, message in (
        (["--rollouts", "-1"], "must be at least 1"),
        (["--tick", "25"], "--tick 25 does not divide a minute; write 5"),
        (["--scenario", "nul"], "no scenario nul; there are: null"),
    ):
        with pytest.raises(SystemExit):
            arguments(words)
        assert message in capsys.readouterr().err
