"""Cells of simulated conversations: kept, judged and shown; one that is missing says nothing."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from bench.judge import __main__ as command
from bench.judge.__main__ import arguments, main
from bench.judge.conversations import runner
from bench.judge.conversations.arms import Step, play
from bench.judge.conversations.cases import CASES, Case, Right
from bench.judge.conversations.cells import Kept, added, load, save
from bench.judge.conversations.judged import FAST, Ended, run
from bench.judge.conversations.others import RULES, _minutes, load_rivals, simulate_rivals
from bench.judge.conversations.report import BEGIN, END, markdown, replaced
from bench.judge.conversations.runner import Settings, simulate
from bench.judge.conversations.sessions import ERROR, draw
from bench.judge.conversations.verdicts import judged
from bench.judge.kept import RESULTS
from bench.judge.scenarios import find

BY_NAME = {one.name: one for one in CASES}
NULL, FOUND = BY_NAME["agents"], BY_NAME["agents+20"]
HELD = replace(NULL, right=Right("held", words="shorter"))


def kept(case: Case, *ended: tuple[int, Ended], way: str = "fast") -> Kept:
    rollouts = [one for count, one in ended for _ in range(count)]
    return added(Kept(case.name, way, 1, "code"), case, rollouts)  # type: ignore[arg-type]


BACK = Ended("rolled back", 60, 90.0, 16.0, "errors")
LATE = Ended("rolled back", 90, 120.0, 16.0, "errors")
DEAR = Ended("rolled back", 60, 90.0, 40.0, "errors")
ON = Ended("promoted", 14_000, 1800.0, 0.0)
SPLIT = Ended("promoted", 14_000, 1800.0, 0.0, holds=("SplitMismatch",))
TOLD = Ended("held", 900, 1200.0, 0.0, words="start\nanswers are 80 % shorter")
SILENT = Ended("held", 900, 1200.0, 0.0, words="start")


@pytest.mark.parametrize(
    ("case", "cell", "answer"),
    [
        (NULL, None, "missing"),
        (NULL, kept(NULL), "missing"),
        (NULL, kept(NULL, (999, ON)), "open"),
        (NULL, kept(NULL, (1000, ON)), "kept"),
        (NULL, kept(NULL, (993, ON), (7, BACK)), "kept"),
        (NULL, kept(NULL, (992, ON), (8, BACK)), "open"),
        (NULL, kept(NULL, (980, ON), (20, BACK)), "broken"),
        (NULL, kept(NULL, (90, ON), (10, BACK)), "broken"),
        (NULL, kept(NULL, (950, ON), (50, SPLIT)), "kept"),
        (NULL, kept(NULL, (945, ON), (55, SPLIT)), "open"),
        (NULL, kept(NULL, (900, ON), (100, SPLIT)), "broken"),
        (NULL, kept(NULL, (50, ON), way="slow"), "kept"),
        (NULL, kept(NULL, (45, ON), (5, BACK), way="slow"), "broken"),
        (FOUND, kept(FOUND, (100, BACK)), "kept"),
        (FOUND, kept(FOUND, (99, BACK)), "open"),
        (FOUND, kept(FOUND, (98, BACK), (2, ON)), "open"),
        (FOUND, kept(FOUND, (90, BACK), (10, ON)), "broken"),
        (FOUND, kept(FOUND, (100, LATE)), "broken"),
        (FOUND, kept(FOUND, (100, DEAR)), "broken"),
        (HELD, kept(HELD, (50, TOLD)), "kept"),
        (HELD, kept(HELD, (50, BACK)), "kept"),
        (HELD, kept(HELD, (50, SILENT)), "broken"),
        (HELD, kept(HELD, (40, TOLD), (10, ON)), "broken"),
        (BY_NAME["surface+1"], kept(BY_NAME["surface+1"], (10, ON)), "told"),
    ],
)
def test_a_cell_is_judged_by_what_is_right_in_it(case: Case, cell: Kept | None, answer: str) -> None:
    assert judged(case, cell).answer == answer


def test_a_cell_grows_while_code_and_seed_stay(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[int] = []
    monkeypatch.setattr(
        runner, "_some", lambda case, way, seed, first, last: asked.extend(range(first, last)) or [ON] * (last - first)
    )
    simulate([(NULL, "fast")], Settings(tmp_path, 3))
    simulate([(NULL, "fast")], Settings(tmp_path, 25))
    assert asked == list(range(25))
    found = load(tmp_path, NULL.name, "fast")
    assert found is not None
    assert (found.rollouts, found.count("promoted"), found.seed) == (25, 25, 1)
    assert found.date
    assert found.commit
    simulate([(NULL, "fast")], Settings(tmp_path, 4, seed=2))
    found = load(tmp_path, NULL.name, "fast")
    assert found is not None
    assert (found.rollouts, found.seed) == (4, 2)
    save(tmp_path, replace(found, code="of yesterday"))
    simulate([(NULL, "fast")], Settings(tmp_path, 2, seed=2))
    found = load(tmp_path, NULL.name, "fast")
    assert found is not None
    assert found.rollouts == 2


def test_time_that_is_up_keeps_what_is_done(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(runner, "_some", lambda case, way, seed, first, last: [ON] * (last - first))
    simulate([(NULL, "fast"), (FOUND, "fast")], Settings(tmp_path, 100, seconds=-1.0))
    found = load(tmp_path, NULL.name, "fast")
    assert found is not None
    assert found.rollouts == 10
    assert load(tmp_path, FOUND.name, "fast") is None


def test_figures_are_those_of_all_rollouts() -> None:
    cell = added(kept(FOUND, (3, BACK)), FOUND, [LATE, ON, DEAR])
    assert cell.requests == [60, 60, 60, 60, 90]
    assert cell.median_requests == 60
    assert cell.mean_excess[0] == pytest.approx((4 * 16 + 40) / 6)
    assert cell.reasons == {"errors": 5}
    assert cell.share("rolled back") == pytest.approx(5 / 6)


def test_what_is_missing_is_shown_as_missing(tmp_path: Path) -> None:
    save(tmp_path, kept(NULL, (1000, ON)))
    text = markdown(tmp_path, [NULL, FOUND])
    rows = [line for line in text.splitlines() if line.startswith("| agents")]
    assert len(rows) == 4
    assert sum("**missing**" in row for row in rows) == 3
    assert "1 kept, 1 missing" in text
    assert "- counted by the gateways' own code: 2 missing" in text
    (row,) = (row for row in rows if "**missing**" not in row)
    assert "1,000 | 0 % (0.0–0.4)" in row
    assert "seed 1" in row
    assert len({line.replace(" | ", "|").count("|") for line in rows}) == 1


def test_the_page_keeps_all_but_the_part() -> None:
    once = replaced("# Page\n\ntext\n", "new")
    assert once == f"# Page\n\ntext\n\n{BEGIN}\n\nnew\n\n{END}\n"
    assert replaced(once + "after\n", "newer") == f"# Page\n\ntext\n\n{BEGIN}\n\nnewer\n\n{END}\nafter\n"


def test_a_rollout_under_the_judge() -> None:
    found = run(BY_NAME["agents-broken"], FAST, seed=1, number=0)
    assert (found.end, found.reason) == ("rolled back", "errors")
    assert found.requests == found.excess <= 10
    again = run(BY_NAME["agents-broken"], FAST, seed=1, number=0)
    assert again == found


def test_a_step_that_ends_on_evidence() -> None:
    case = replace(BY_NAME["single"], steps="evidence", step_seconds=1200.0)
    found = run(case, FAST, seed=1, number=0)
    assert found.end == "promoted"
    assert found.seconds < 3600.0


def test_other_rules_see_the_same_conversations(tmp_path: Path) -> None:
    case = replace(BY_NAME["agents+20"], step_seconds=120.0)
    for rollouts in (1, 2):
        simulate_rivals(tmp_path, case, seed=3, rollouts=rollouts)
    found = load_rivals(tmp_path, case.name)
    assert set(found) == set(RULES)
    assert {one.rollouts for one in found.values()} == {2}
    steps = [Step(120.0 * index, weight) for index, weight in enumerate(case.weights)]
    played = play(case, draw(case, seed=3, number=0), steps)
    for by_conversation in (False, True):
        minutes = [minute for _, minute in _minutes(case, played, steps, by_conversation)]
        assert [one.weight for one in minutes] == [0.01] * 2 + [0.1] * 2 + [0.5] * 2
        assert [one.last_of_step for one in minutes] == [False, True] * 3
        canary = [sum(getattr(one.canary, what) for one in minutes) for what in ("requests", "errors")]
        here = played.canary
        if by_conversation:
            failed = played.unit[here & (played.outcome == ERROR)]
            assert canary == [len(set(played.unit[here].tolist())), len(set(failed.tolist()))]
        else:
            assert canary == [(here & (played.outcome <= ERROR)).sum(), (here & (played.outcome == ERROR)).sum()]
    assert "GrowthBook" in markdown(tmp_path, [case])


def test_the_command(tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(command, "DOCS", tmp_path)
    words = ["--results", str(tmp_path / "results"), "--way", "fast", "--jobs", "1", "--rivals", "1"]
    main([*words, "--cell", "agents-broken", "--rollouts", "1"])
    assert "(`agents-broken`)" in capsys.readouterr().out
    main([*words, "--render", "--docs"])
    page = (tmp_path / "judge-benchmark.md").read_text()
    assert page.startswith("# The judge beside other rules")
    assert page.count(BEGIN) == page.count(END) == 1
    fast = sum("fast" in one.ways for one in CASES)
    assert f"- counted with arrays: 1 cannot tell, {fast - 1} missing" in page
    assert f"- counted by the gateways' own code: {len(CASES)} missing" in page
    assert page.count("| **missing** |") == len(find([])) + fast + len(CASES) - 1
    main(["--list"])
    assert capsys.readouterr().out.splitlines()[-len(CASES) :] == list(BY_NAME)


def test_arguments() -> None:
    assert arguments(["--quick"]).few == runner.QUICK
    assert arguments(["--quick"]).results != RESULTS
    assert arguments([]).results == RESULTS
    chosen = arguments(["--cell", "null", "agents", "--way", "slow"])
    assert [one.name for one in chosen.scenarios] == ["null"]
    assert [one.name for one in chosen.cases] == ["agents"]
    assert chosen.ways == ("slow",)
    assert arguments(["--cell", "agents"]).scenarios == ()
    assert not {one.name for one in find([])} & set(BY_NAME)
