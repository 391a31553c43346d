"""The benchmark as a whole: one run compares all rules on the same traffic and writes what it found."""

from __future__ import annotations

import json
import math
import xml.etree.ElementTree as ET
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from bench.judge import __main__ as command
from bench.judge import runner
from bench.judge.__main__ import arguments, main
from bench.judge.intervals import median_interval, wilson
from bench.judge.ours import Ours, OursByPod, OursOfBefore
from bench.judge.promises import PROMISES, floor_minutes, judged
from bench.judge.reference import Reference
from bench.judge.rules import Context
from bench.judge.runner import Cell, Outcome, Settings, adaptive, finished, fixed, rollouts_of, rules_of, run, summary
from bench.judge.scenarios import SCENARIOS, Scenario, find
from bench.judge.ticks import Tick
from bench.judge.traffic import Rollout

from claude_operator.core.judge.stats.detectable import promotion_needed


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
    rollout = Rollout(scenario("errors+2"), seed=1, number=0, tick_seconds=15.0)
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
    rollout = Rollout(scenario("adaptive+2"), seed=1, number=0, tick_seconds=15.0)
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
    assert cell.mean_excess_interval == pytest.approx((3.0 - 3.466, 3.0 + 3.466), abs=0.01)
    assert cell.median_minutes_to_promotion_interval is None
    assert (cell.rollouts, cell.rolled_back, cell.promoted, cell.held, cell.rate) == (4, 2, 1, 1, 0.5)
    assert (cell.median_requests, cell.median_minutes, cell.mean_excess) == (20.0, 1.5, 3.0)
    assert cell.median_minutes_to_promotion == 30.0
    assert cell.rate_interval == wilson(2, 4)
    assert cell.reasons == {"errors": 1, "ttft": 1}


def test_the_number_of_jobs_changes_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(runner, "_SEGMENT", 2)
    told: list[tuple[str, int]] = []
    ((name, one),) = finished([scenario("errors+20")], Settings(5), lambda name, count: told.append((name, count)))
    monkeypatch.setattr(runner, "_SEGMENT", 5)
    assert run([scenario(name)], Settings(5)) == one
    assert told == [("errors+20", 2), ("errors+20", 2), ("errors+20", 1)]


@pytest.mark.slow
def test_two_processes_find_what_one_finds() -> None:
    scenarios = [scenario("errors+20"), scenario("adaptive+20")]
    assert run(scenarios, Settings(30, jobs=2)) == run(scenarios, Settings(30))


def test_rules_are_named_by_what_they_watch() -> None:
    ttft = ["ours", "ours-no-margins", "p95-budget/ttft", "p95-ratio/ttft", "kayenta-p95/ttft"]
    assert list(rules_of(scenario("ttft-2"))) == ttft
    assert list(rules_of(scenario("adaptive+0"))) == ["ours"]
    assert list(rules_of(scenario("fixed+0"))) == ["ours"]
    assert list(rules_of(scenario("errors+2")))[:2] == ["ours", "consecutive"]
    assert list(rules_of(scenario("quiet-bursty-10")))[:3] == ["ours", "ours-no-margins", "ours-by-pod"]
    assert len(rules_of(scenario("null"))) == 2 + 10 + 3 + 3


def test_rollouts_are_spent_where_small_shares_are_promised() -> None:
    settings = Settings(9, 5, 3)
    assert set(rollouts_of(scenario("ttft-2"), settings).items()) >= {("ours", 5), ("ours-no-margins", 5)}
    null = rollouts_of(scenario("null"), settings)
    assert (null["ours"], null["ours-no-margins"], null["z-test"]) == (9, 9, 3)
    bursty = rollouts_of(scenario("bursty-2"), settings)
    assert (bursty["ours"], bursty["ours-no-margins"], bursty["ours-by-pod"]) == (9, 5, 5)
    assert rollouts_of(scenario("adaptive+0.5"), settings) == {"ours": 9}
    cells = {cell.rule: cell for cell in run([scenario("errors+20")], Settings(2, 1, 1))}
    assert (cells["ours"].rollouts, cells["z-test"].rollouts) == (2, 1)


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
    unequal = replace(scenario("units"), units=20, units_cv=0.0, units_ttft_sd=1.0, units_cost_sd=0.0)
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


def test_failing_conversations_may_be_counted_by_pod() -> None:
    context = Context((0.01, 0.10, 0.50), 600.0, 15.0)
    judges = OursOfBefore(context), OursByPod(context)
    for tick in Rollout(scenario("bursty-10"), seed=1, number=0).fixed():
        if any(tuple(judge.step(tick) for judge in judges)):
            break
    one, by_pod = (judge.seen("errors") for judge in judges)
    assert 0 < one[0] < by_pod[0]
    assert 0 < one[1] < by_pod[1]


# ---------------------------------------------------------------------------------------------- promises


def cell_of(name: str, rule: str, rollouts: int, rolled_back: int, requests: int = 10) -> Cell:
    back = [Outcome("rolled back", requests, 60.0, 0.0)] * rolled_back
    return summary(name, rule, [*back, *[Outcome("promoted", 9000, 540.0, 0.0)] * (rollouts - rolled_back)])


@pytest.mark.parametrize(
    ("rollouts", "rolled_back", "kept"),
    [(2000, 19, True), (2000, 20, False), (1000, 5, None), (1000, 30, False), (2000, 0, True), (10, 0, None)],
)
def test_false_rollbacks_take_2000_rollouts_to_tell(rollouts: int, rolled_back: int, kept: bool | None) -> None:
    assert [one.kept for one in judged([cell_of("null", "ours", rollouts, rolled_back)])] == [kept]


def test_a_promise_is_of_one_figure() -> None:
    cells = [
        cell_of("broken", "ours", 500, 500, requests=3),
        cell_of("ttft-1.3", "ours-no-margins", 500, 500, requests=111),
        cell_of("ttft-2", "ours", 20, 20, requests=60),
        cell_of("slow-tail", "ours-no-margins", 500, 474),
        cell_of("adaptive+0", "ours", 2000, 29),
    ]
    found = {(one.promise.scenario, one.promise.figure): one.kept for one in judged(cells)}
    assert found == {
        ("broken", "rolled back"): True,
        ("broken", "requests"): True,
        ("ttft-1.3", "requests"): False,
        ("ttft-2", "requests"): False,
        ("slow-tail", "rolled back"): False,
        ("slow-tail", "requests"): True,
        ("adaptive+0", "promoted"): True,
        ("adaptive+0", "minutes"): True,
    }
    assert judged([cell_of("errors+0.5", "ours", 9, 9)]) == []
    assert [one.kept for one in judged([cell_of("broken", "ours", 500, 0)])] == [False, False]


def test_promises_name_what_is_there() -> None:
    for promise in PROMISES:
        one = scenario(promise.scenario)
        assert rollouts_of(one, Settings(2000, 500, 400))[promise.rule] >= max(promise.rollouts, 500)
    assert len(PROMISES) == len({(one.scenario, one.rule, one.figure) for one in PROMISES})


def test_floors_are_those_of_theory() -> None:
    floors = {(one.scenario, one.rule, one.figure): one.floor for one in PROMISES}
    assert floors["errors+2", "ours", "requests"] == pytest.approx(232, abs=1)
    assert floors["errors+20", "ours", "excess"] == pytest.approx(0.2 * 8.76, rel=0.01)
    shift = math.log(1.3 / 1.1)
    expected = math.log(100) * 2 * 0.36 / (shift * shift * 0.99)
    assert floors["ttft-1.3", "ours", "requests"] == pytest.approx(expected)
    assert floors["null", "ours-no-margins", "rolled back"] is None
    one_step = replace(scenario("adaptive+0"), weights=(0.5,))
    assert floor_minutes(one_step) == pytest.approx(promotion_needed(0.005, 0.005, 0.5, 20.0) / 25.0 / 60.0)
    assert floor_minutes(scenario("adaptive+0")) > 2 * floor_minutes(one_step)


# ----------------------------------------------------------------------------------------------- command


def test_a_run_writes_tables_figures_and_plots(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(command, "DOCS", tmp_path / "docs")
    (tmp_path / "docs").mkdir()
    names = ["null", "errors+20", "ttft-2", "quiet-errors+20", "adaptive+20"]
    folders = ["--out", str(tmp_path / "out"), "--results", str(tmp_path / "results")]
    main(["--rollouts", "2", "--jobs", "1", *folders, "--docs", "--cell", *names])
    found = json.loads((tmp_path / "out/results.json").read_text())
    assert (found["rollouts"], found["rivals"], found["seed"], found["tick_seconds"]) == (2, 2, 1, None)
    cells = {(cell["scenario"], cell["rule"]): cell for cell in found["cells"]}
    assert len(cells) == 18 + 11 + 5 + 11 + 1
    assert cells["errors+20", "ours"]["rate"] == 1.0
    text = (tmp_path / "out/results.md").read_text()
    for heading in (
        "# Promises",
        "## 2. Errors are seen in time",
        "# False rollbacks, rules on errors",
        "# Regressions, rules on errors",
        "# Regressions, rules on time to first token",
        "# Regressions at 5 requests/s, rules on errors",
        "# Whole policies of claude-operator",
        "# Every figure",
    ):
        assert f"#{heading}\n" in text
    assert "Regressions, rules on cost" not in text
    tables = [[]]  # type: list[list[str]]
    for line in text.splitlines():
        tables[-1].append(line) if line.startswith("|") else tables.append([])
    for table in tables:
        assert len({line.replace(" | ", "|").count("|") for line in table}) <= 1
    page = (tmp_path / "docs/judge-benchmark.md").read_text()
    assert page.startswith(text)
    assert "## Conversations" in page[len(text) :]
    for name in ("false-rollbacks", "detection", "false-rollbacks-quiet"):
        assert f"](img/judge-{name}.svg)" in text
        picture = (tmp_path / f"docs/img/judge-{name}.svg").read_text()
        assert picture == (tmp_path / f"out/img/judge-{name}.svg").read_text()
        words = [element.text for element in ET.fromstring(picture).iter("{http://www.w3.org/2000/svg}text")]
        assert ("claude-operator's judge, α = 1 %" in words) is (name != "false-rollbacks-quiet")
    out, err = capsys.readouterr()
    assert "## Promises" in out
    assert "False rollbacks" not in out
    assert "null: done; 2/10 rollouts" in err


def test_a_run_that_was_stopped_goes_on(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folders = ["--out", str(tmp_path), "--results", str(tmp_path)]
    words = ["--rollouts", "2", "--jobs", "1", *folders, "--scenario", "broken", "errors+20"]
    main(words)
    whole = (tmp_path / "results.json").read_text()
    done = (tmp_path / "requests/broken.json").read_text()
    (tmp_path / "requests/broken.json").unlink()
    capsys.readouterr()
    main([*words, "--resume"])
    assert "errors+20" not in capsys.readouterr().err
    assert (tmp_path / "results.json").read_text() == whole
    assert (tmp_path / "requests/broken.json").read_text() == done
    main([*words, "--resume", "--seed", "2"])
    assert "errors+20: done" in capsys.readouterr().err
    assert (tmp_path / "results.json").read_text() != whole


def test_arguments(capsys: pytest.CaptureFixture[str]) -> None:
    def numbers(*words: str) -> tuple[int, int, int]:
        chosen = arguments(words)
        return chosen.rollouts, chosen.others, chosen.rivals

    assert numbers() == (2000, 500, 400)
    assert numbers("--quick") == (4, 4, 4)
    assert numbers("--quick", "--rollouts", "7") == (7, 4, 4)
    assert numbers("--rollouts", "7") == (7, 7, 7)
    assert numbers("--rivals", "7", "--others", "9") == (2000, 9, 7)
    for words, message in (
        (["--rollouts", "-1"], "must be at least 1"),
        (["--rivals", "0"], "must be at least 1"),
        (["--tick", "25"], "--tick 25 does not divide a minute; write 5"),
        (["--scenario", "nul"], "no scenario nul; there are: null"),
    ):
        with pytest.raises(SystemExit):
            arguments(words)
        assert message in capsys.readouterr().err


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_the_quick_run(tmp_path: Path) -> None:
    """Few rollouts: limits that a judge which keeps its promises passes in all but one of 100,000 runs or so."""
    main(["--quick", "--jobs", "1", "--out", str(tmp_path), "--cell", *(one.name for one in find([]))])
    found = json.loads((tmp_path / "results.json").read_text())
    cells = {(cell["scenario"], cell["rule"]): cell for cell in found["cells"]}
    false = sum(cells[one.name, "ours"]["rolled_back"] for one in SCENARIOS if one.null)
    assert false <= 6  # of 76, each with a chance of 1 % at most
    for name, rule, most in (
        ("errors+20", "ours", 40),
        ("broken", "ours", 12),
        ("errors+2", "ours", 1200),
        ("ttft-2", "ours-no-margins", 80),
        ("ttft-1.3", "ours-no-margins", 300),
        ("cost-2", "ours-no-margins", 300),
    ):
        cell = cells[name, rule]
        assert cell["rolled_back"] == cell["rollouts"], name
        assert cell["median_requests"] <= most, name
    assert cells["adaptive+0", "ours"]["promoted"] >= 2
    for name in ("adaptive+2", "adaptive+20", "quiet-adaptive+2", "quiet-adaptive+20"):
        assert cells[name, "ours"]["promoted"] == 0, name
    assert cells["drift", "failure-limit"]["rate"] == 1.0  # a fixed limit takes a rate that rises on both arms for harm
