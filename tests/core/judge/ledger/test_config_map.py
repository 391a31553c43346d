"""The ledger: what it holds comes to the evidence that was judged, whatever was lost, and never grows too large."""

from __future__ import annotations

import datetime as dt
import itertools
import json
import random
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from claude_operator.api.analysis import Analysis
from claude_operator.api.status import Judgement, Offsets
from claude_operator.core.judge import assessment
from claude_operator.core.judge.evidence.context import Context
from claude_operator.core.judge.evidence.increments import Increments
from claude_operator.core.judge.evidence.sample import Counts, Sample, Values
from claude_operator.core.judge.evidence.units import UnitKey, UnitSample
from claude_operator.core.judge.ledger import pages
from claude_operator.core.judge.ledger.config_map import (
    EARLIER,
    LIMIT,
    POINTS,
    TICKS,
    Trial,
    appended,
    name,
    readable,
    worth,
)
from claude_operator.core.judge.ledger.lines import Header, parse
from claude_operator.core.judge.ledger.points import Point, read_points, thinned, with_point, write_points
from claude_operator.core.judge.metrics import PERIODS
from claude_operator.replay.replay import replay

STABLE, CANARY = "support-5f6d8c1a2b", "support-7b9e21c3d4"
START = dt.datetime(2026, 3, 1, 12, 0, 0, 123456, tzinfo=dt.UTC)
METRICS = ["errors", "refusals", "maxTokens", "toolUse", "timeToFirstToken", "duration", "cost", "outputTokens"]
EVERYTHING = Analysis.model_validate({"metrics": [{"name": one} for one in METRICS], "warmup": "20s"})
KINDS_OF_EVENTS = ("error", "refusal", "tool_use", "of a later version")
QUANTITIES = ("timeToFirstToken", "duration", "cost", "outputTokens")


def arm(draw: random.Random, requests: int, bad: float = 0.01, slow: float = 1.0) -> Sample:
    errors = sum(draw.random() < bad for _ in range(requests))
    ok = requests - errors
    refusals, tools = (sum(draw.random() < share for _ in range(ok)) for share in (0.02, 0.4))
    counts = Counts(requests, ok, errors, 0, refusals, tool_use=tools, bad_errors=errors, bad_refusals=refusals)
    values: dict[tuple[str, str], Values] = {}
    for quantity, cache in itertools.product(QUANTITIES, ("none", "read")):
        n = draw.randint(0, ok)
        if n:
            values[quantity, cache] = Values.of([slow * draw.lognormvariate(-1.0, 0.7) for _ in range(n)])
    return Sample(counts, values)


def conversations(draw: random.Random, entries: int, bad: float, slow: float) -> UnitSample:
    first_bad = {
        (kind, turn): sum(draw.random() < bad for _ in range(entries))
        for kind in KINDS_OF_EVENTS
        for turn in (0, 4, 32)
    }
    values = {
        (quantity, cache): Values.of([slow * draw.lognormvariate(-1.0, 0.7) for _ in range(entries)])
        for quantity, cache in itertools.product(QUANTITIES, ("none", "read"))
        if entries
    }
    return UnitSample(entries, {key: count for key, count in first_bad.items() if count}, values)


class World:
    """An operator that stores its judgement in a status and its ledger in a ConfigMap, and may lose either write."""

    def __init__(self, analysis: Analysis, seed: int = 1) -> None:
        self.analysis = analysis
        self.draw = random.Random(seed)
        self.status: Judgement | None = None
        self.data: dict[str, str] | None = None
        self.now = START
        self.weight = 100
        self.price_ratio = 1.0
        self.offsets: list[Offsets] = []
        self.history = Values()
        self.remembers = True

    def tick(
        self,
        canary: int = 20,
        stable: int = 80,
        *,
        bad: float = 0.01,
        slow: float = 1.0,
        surfaces: int = 1,
        keep: str = "both",
        seconds: float = 5.0,
        by_unit: float = 0.0,
    ) -> bool:
        """Whether the tick was recorded in both places. `by_unit`: share that comes from gateways that count units."""
        self.now += dt.timedelta(seconds=seconds)
        cells = {}
        for surface in map(str, range(surfaces)):
            cells[7, surface, CANARY] = arm(self.draw, canary, bad, slow)
            cells[7, surface, STABLE] = theirs = arm(self.draw, stable)
            for cache in ("none", "read"):
                self.history = self.history.plus(theirs.quantity("cost", (cache,)))
        context = Context(
            weight=self.weight,
            generation=7,
            offsets=self.offsets,
            price_ratio=self.price_ratio,
            history={"cost": self.history if self.remembers else Values()},
        )
        units = {}
        for era, canary_weight in ((5, 100), (7, 1000)) if by_unit else ():
            live = ((STABLE, 10_000 - canary_weight), (CANARY, canary_weight))
            for period, (revision, of) in itertools.product(PERIODS, ((CANARY, canary), (STABLE, stable))):
                slower = slow if revision == CANARY else 1.0
                new = conversations(self.draw, round(by_unit * of / 4), bad, slower)
                units[UnitKey(era, live, "chat", period, revision)] = new
        alone = {} if by_unit == 1.0 else cells if by_unit else None
        found = Increments(cells, traffic=canary + stable, units=units, alone=alone)
        after, compared = assessment.assess(
            self.status, self.analysis, found, stable=STABLE, canary=CANARY, now=self.now, context=context
        )
        recorded = worth(self.status, after, compared)
        if recorded:
            data = appended(self.data, before=self.status, after=after, comparisons=compared, trial=self.trial())
            assert sum(len(key) + len(text.encode()) for key, text in data.items()) <= LIMIT
            after = after.model_copy(update={"recorded": after.last_tick})
            if keep != "status":
                self.data = data
        if keep != "ledger":
            self.status = Judgement.model_validate_json(json.dumps(after.model_dump(by_alias=True, mode="json")))
        return recorded and keep == "both"

    def trial(self, **more: Any) -> Trial:
        known: dict[str, Any] = {"deployment": "support", "revision": CANARY, "stable": STABLE, "attempt": 1}
        return Trial(**known | {"analysis": self.analysis, "price_ratio": self.price_ratio} | more)

    def replayed(self, key: str = TICKS) -> list[dict[str, Any]]:
        assert self.data
        return list(replay(self.data[key].splitlines()))

    def agrees(self) -> None:
        """The replay of the present page, and of both, comes to what the status says."""
        assert self.data and self.status
        both = self.data[EARLIER].splitlines() + self.data[TICKS].splitlines()
        for last in (self.replayed()[-1], list(replay(both))[-1]):
            assert last["total"] == pytest.approx(self.status.evidence, rel=1e-9)
            assert last["evidence"] == pytest.approx({one.name: one.evidence for one in self.status.state}, rel=1e-9)
            assert (last["leading"], last["weight"]) == (self.status.leading, self.status.weight / 10_000)
            assert last["t"] == pytest.approx((self.status.recorded - self.status.started_at).total_seconds())
            assert (last["verdict"] == "Fail") == (self.status.verdict == "Fail")


def headers(text: str) -> list[Header]:
    return [one for one in parse(text.splitlines()) if isinstance(one, Header)]


def ticks(text: str) -> int:
    return len({json.loads(line)["t"] for line in text.splitlines() if "ledger" not in json.loads(line)})


# ---------------------------------------------------------------------------------------------- the property


@st.composite
def looks(draw: st.DrawFn) -> dict[str, Any]:
    return {
        "canary": draw(st.sampled_from([0, 1, 8, 40])),
        "stable": draw(st.sampled_from([0, 4, 60, 200])),
        "bad": draw(st.sampled_from([0.0, 0.01, 0.3])),
        "slow": draw(st.sampled_from([1.0, 1.0, 2.0])),
        "surfaces": draw(st.sampled_from([1, 1, 3])),
        "keep": draw(st.sampled_from(["both", "both", "both", "ledger", "status"])),
        "weight": draw(st.sampled_from([100, 100, 1000])),
        "ratio": draw(st.sampled_from([1.0, 1.0, 1.0, 2.0])),
        "by_unit": draw(st.sampled_from([0.0, 0.5, 1.0])),
    }


@settings(max_examples=30, deadline=None)
@given(st.lists(looks(), min_size=1, max_size=14), st.integers(0, 1000), st.sampled_from([0.5, 0.01, 1e-6]))
def test_a_replay_comes_to_the_evidence_that_was_judged(story: list[dict[str, Any]], seed: int, rate: float) -> None:
    world = World(EVERYTHING.model_copy(update={"false_rollback_rate": rate}), seed)
    world.offsets = [Offsets(weight=1000, errors=1.2, time_to_first_token=0.1, cost=-0.3)]
    for look in story:
        world.weight, world.price_ratio = look.pop("weight"), look.pop("ratio")
        if world.tick(**look):
            world.agrees()
    if world.status is None or world.status.verdict != "Fail":
        world.weight += 1
        assert world.tick()
        world.agrees()


@pytest.mark.parametrize("judge", ["Sequential", "Threshold", "MannWhitney"])
def test_every_judge_has_a_ledger(judge: str) -> None:
    limits = [{"name": "errors", "threshold": {"max": 0.5}}] if judge == "Threshold" else None
    world = World(Analysis.model_validate({"judge": judge, "metrics": limits}))
    for _ in range(8):
        world.tick(bad=0.2)
    world.agrees()


@settings(max_examples=10, deadline=None)
@given(st.lists(looks(), min_size=2, max_size=14), st.integers(0, 1000))
def test_a_page_that_is_read_with_care_is_continued_in_the_same_way(story: list[dict[str, Any]], seed: int) -> None:
    quick, careful = World(EVERYTHING, seed), World(EVERYTHING, seed)
    for look in story:
        for world in (quick, careful):
            world.weight, world.price_ratio = look["weight"], look["ratio"]
            world.tick(**{key: value for key, value in look.items() if key not in ("weight", "ratio")})
        if careful.data:  # with blanks, as it is never written
            careful.data = {key: dumped(text, blanks=True) for key, text in careful.data.items()}
            assert quick.data == {key: dumped(text) for key, text in careful.data.items()}
            if len(careful.data[TICKS]) > 30_000:  # blanks count, and pages turn by their size
                break


def dumped(text: str, blanks: bool = False) -> str:
    separators = None if blanks else (",", ":")
    return "".join(json.dumps(json.loads(line), separators=separators) + "\n" for line in text.splitlines())


# ------------------------------------------------------------------------------------------- pages and their size


def test_a_tick_reads_one_header_of_all_that_went_before(monkeypatch: pytest.MonkeyPatch) -> None:
    world = World(EVERYTHING)
    for _ in range(40):
        world.tick(30, 60)
    assert world.data and world.data[EARLIER]
    read: list[str] = []
    plain = pages.read_json
    monkeypatch.setattr(pages, "read_json", lambda text: read.append(text) or plain(text))
    world.tick(30, 60)
    assert [json.loads(text)["ledger"] for text in read] == [1]


def test_a_long_rollout_stays_small_and_keeps_the_page_before() -> None:
    world = World(EVERYTHING)
    for _ in range(60):
        assert world.tick(30, 60)
    assert world.data
    world.agrees()
    earlier, page = headers(world.data[EARLIER]), headers(world.data[TICKS])
    assert page[0].ticks == earlier[0].ticks + ticks(world.data[EARLIER])
    assert page[0].ticks + ticks(world.data[TICKS]) == 60
    assert len(read_points(world.data[POINTS])) == 60
    assert len(world.data[TICKS]) <= 48 * 1024


def test_one_tick_too_large_for_a_page_leaves_a_gap() -> None:
    world = World(EVERYTHING)
    for _ in range(3):
        world.tick()
    assert world.data
    before = world.data[TICKS]
    world.tick(60, 60, surfaces=60)
    assert (world.data[TICKS], world.data[EARLIER]) == ("", before)
    assert world.tick()
    assert [header.ticks for header in headers(world.data[TICKS])] == [4]
    world.agrees()


def test_thresholds_of_ones_own_do_not_fill_the_page() -> None:
    query = {"address": "http://prometheus:9090", "query": "x" * 8000}
    own = [{"name": f"own{i}", "prometheus": query, "threshold": {"max": 1}} for i in range(30)]
    world = World(Analysis.model_validate({"metrics": [{"name": "errors"}, *own]}))
    assert world.tick()
    assert world.data and len(world.data[TICKS]) < 2000
    world.agrees()


def test_the_format() -> None:
    world = World(Analysis.model_validate({"metrics": [{"name": "errors"}]}))
    world.offsets = [Offsets(weight=100, errors=1.25)]
    world.tick(10, 90, bad=0.0)
    world.tick(10, 90, bad=0.5, surfaces=2)
    assert world.data and world.status
    header, first, second, third = map(json.loads, world.data[TICKS].splitlines())
    assert {key: header[key] for key in ("ledger", "deployment", "revision", "stable", "attempt")} == {
        "ledger": 1,
        "deployment": "support",
        "revision": CANARY,
        "stable": STABLE,
        "attempt": 1,
    }
    assert (header["startedAt"], header["ticks"], header["state"]) == ("2026-03-01T12:00:05.123Z", 0, [])
    assert header["analysis"]["falseRollbackRate"] == 0.01
    assert (first["t"], first["weight"], first["metrics"]["errors"]["canary"]) == (0.0, 0.01, [10, 0])
    assert first["offsets"] == {"errors": 1.25, "timeToFirstToken": 0.0, "cost": 0.0}
    assert second["t"] == third["t"] == 5.0
    assert set(third) == {"t", "weight", "metrics"}
    assert second["total"] == world.status.evidence
    assert (second["verdict"], second["leading"]) == (world.status.verdict, "errors")
    assert second["evidence"] == {"errors": world.status.state[0].evidence}
    last = json.loads(world.data[POINTS].splitlines()[-1])
    assert last[:2] == [5.0, 1.0]
    assert last[4] == world.status.verdict
    assert name(CANARY, 2) == f"{CANARY}-2-ledger"


def test_edges_that_are_chosen_on_the_way_begin_a_section() -> None:
    world = World(Analysis.model_validate({"metrics": [{"name": "cost"}], "warmup": "0s"}))
    for _ in range(6):
        world.tick(10, 30)
    assert world.data
    found = headers(world.data[TICKS])
    assert [bool(header.state and header.state[0].edges) for header in found] == [False, True]
    assert 0 < found[1].ticks < 6
    world.agrees()


def test_a_replay_chooses_no_edges_that_the_operator_did_not() -> None:
    world = World(Analysis.model_validate({"metrics": [{"name": "cost"}], "warmup": "0s"}))
    world.remembers = False  # as after a restart
    for _ in range(4):
        world.tick(40, 300, slow=1.5)
    assert world.status and not world.status.state[0].edges
    world.agrees()


# ------------------------------------------------------------------------------------------ what is lost or foreign


def test_a_tick_that_the_status_never_saw_is_dropped() -> None:
    world = World(EVERYTHING)
    world.tick()
    world.tick(bad=0.9, keep="ledger")
    world.tick(seconds=1.5)
    assert world.data
    assert [tick["t"] for tick in world.replayed()] == [0.0, 6.5]
    assert [point.t for point in read_points(world.data[POINTS])] == [0.0, 6.5]
    world.agrees()


def test_a_lost_write_leaves_a_gap() -> None:
    world = World(EVERYTHING)
    world.tick()
    world.tick(keep="status")
    world.tick()
    assert world.data
    assert [header.ticks for header in headers(world.data[TICKS])] == [0, 2]
    notes: list[str] = []
    assert [tick["t"] for tick in replay(world.data[TICKS].splitlines(), say=notes.append)] == [0.0, 10.0]
    assert notes == ["ticks 2 to 2 are missing; their evidence is taken as it was recorded"]
    world.agrees()


def test_a_tick_that_was_lost_with_its_operator_decides_nothing() -> None:
    world = World(EVERYTHING)
    world.tick()
    world.tick(bad=1.0, keep="ledger")
    world.tick(keep="status")
    world.tick()
    assert [tick["verdict"] for tick in world.replayed()] == ["Inconclusive", "Fail", "Inconclusive"]
    world.agrees()


def test_a_clock_that_went_back_begins_a_section() -> None:
    world = World(Analysis.model_validate({"metrics": [{"name": "errors"}]}))
    world.tick()
    world.tick()
    world.tick(seconds=-2.0)
    assert [tick["t"] for tick in world.replayed()] == [0.0, 5.0, 3.0]
    world.agrees()
    world.tick()
    assert world.data
    assert [header.ticks for header in headers(world.data[TICKS])] == [0, 2]
    assert [tick["t"] for tick in world.replayed()] == [0.0, 5.0, 3.0, 8.0]
    assert [point.t for point in read_points(world.data[POINTS])] == [0.0, 3.0, 8.0]
    world.agrees()


DAMAGE = {
    "nothing": {},
    "no JSON": {TICKS: "{", EARLIER: "\x00", POINTS: "["},
    "other JSON": {TICKS: "3\n[]\nnull", EARLIER: '"x"', POINTS: "{}\n[1,2]\n[1,1,1e999,{},{}]\n[1,1,1,[],5]"},
    "no state": {TICKS: '{"ledger":1}\n{"t":0,"metrics":{}}'},
    "no header": {TICKS: '{"t":0,"metrics":{}}'},
    "deep": {TICKS: "[" * 100_000, POINTS: "[" * 100_000},
    "long number": {TICKS: f'{{"t":{"9" * 5000}}}', POINTS: f"[{'9' * 400},1,1,{{}},{'9' * 5000}]"},
    "large": {EARLIER: "x" * 10**6, TICKS: " " * 10**6, POINTS: '[1,1,1,{},""]\n' * 10_000},
}


@pytest.mark.parametrize("damage", DAMAGE.values(), ids=DAMAGE)
def test_what_is_damaged_is_begun_anew(damage: dict[str, str]) -> None:
    world = World(EVERYTHING)
    world.tick()
    world.tick()
    world.data = damage
    assert world.tick()
    assert [header.ticks for header in headers(world.data[TICKS])] == [2]
    world.agrees()


@pytest.mark.parametrize("cut", range(0, 4000, 97))
def test_a_page_that_was_cut_or_edited_never_raises(cut: int) -> None:
    world = World(EVERYTHING)
    world.tick()
    world.tick()
    assert world.data
    page = world.data[TICKS]
    for text in (page[:cut], page[:cut] + "0" + page[cut + 1 :]):
        world.data = {**world.data, TICKS: text}
        assert world.status
        after = world.status.model_copy(update={"last_tick": world.now + dt.timedelta(seconds=5)})
        appended(world.data, before=world.status, after=after, comparisons=(), trial=world.trial())


SPOILS = {
    "inside": lambda lines: [*lines[:2], lines[2].replace("[", "", 1), *lines[3:]],
    "cut": lambda lines: [*lines[:2], lines[2][: lines[2].rindex(",")], *lines[3:]],
    "between": lambda lines: [*lines[:2], "", *lines[2:]],
    "no header": lambda lines: lines[1:],
    "no end": lambda lines: [*lines[:-2], lines[-2]],
}


@pytest.fixture(scope="module")
def long() -> World:
    world = World(EVERYTHING)
    for _ in range(40):
        world.tick(30, 60)
    return world


@pytest.mark.parametrize("key", [TICKS, EARLIER])
@pytest.mark.parametrize("spoil", SPOILS)
def test_a_spoiled_line_costs_its_page(long: World, key: str, spoil: str) -> None:
    assert long.data and readable(long.data) == long.data
    data = {**long.data, key: "\n".join(SPOILS[spoil](long.data[key].split("\n")))}
    for found in (readable(data), *([data] if spoil != "inside" else [])):
        world = World(EVERYTHING)
        world.status, world.now, world.data = long.status, long.now, found
        assert world.tick()
        if spoil == "no end":  # nothing is lost
            assert ticks(world.data[EARLIER]) == ticks(long.data[EARLIER])
        else:
            lost = key == EARLIER or spoil == "no header"  # a page without one may be anybody's
            assert world.data[EARLIER] == ("" if lost else long.data[EARLIER])
            starts = [header.ticks for header in headers(long.data[TICKS])] if key == EARLIER else [40]
            assert [header.ticks for header in headers(world.data[TICKS])] == starts
        world.agrees()


def test_another_rollouts_ledger_is_forgotten() -> None:
    world, other = World(EVERYTHING), World(EVERYTHING, seed=2)
    world.tick()
    world.tick()
    other.now += dt.timedelta(hours=1)
    other.tick()
    other.data = world.data
    assert other.tick()
    assert other.data and other.status
    assert (other.data[EARLIER], ticks(other.data[TICKS]), len(read_points(other.data[POINTS]))) == ("", 1, 1)
    other.agrees()


def test_quiet_ticks_are_not_recorded() -> None:
    world = World(EVERYTHING)
    world.tick()
    assert not world.tick(0, 0)
    world.weight = 1000
    assert world.tick(0, 0)  # the weight has changed
    assert not world.tick(0, 0, seconds=1)
    assert world.tick(0, 0, seconds=600)  # no data
    assert world.status and world.status.verdict == "NoData"
    assert ticks(world.data[TICKS]) == 3  # type: ignore[index]
    world.agrees()


# ------------------------------------------------------------------------------------------------------ points


def test_points_are_thinned_and_changes_stay() -> None:
    points = [
        Point(float(i), 1.0 if i < 333 else 10.0, 1.0, {"errors": 1.0}, "NoData" if i == 555 else "Inconclusive")
        for i in range(1000)
    ]
    kept = thinned(points, 10**6)
    assert len(kept) <= 300
    assert {333.0, 555.0, 556.0, 999.0} <= {point.t for point in kept}
    assert kept == sorted(kept, key=lambda point: point.t)
    flapping = [point._replace(verdict=str(i % 2)) for i, point in enumerate(points)]
    assert 100 < len(thinned(flapping, 10**6)) <= 300
    assert len(write_points(thinned(points, 2000))) <= 2000
    assert thinned(points, 10) == []
    assert read_points(write_points(kept)) == kept


def test_points_are_read_again_only_where_it_is_needed() -> None:
    def point(t: float) -> Point:
        return Point(t, 1.0, 1.0, {"errors": 1.0}, "Inconclusive")

    text = "damaged\n" + write_points([point(0.0), point(5.0)])
    following = with_point(text, point(10.0), recorded=5.0, size=10**6)
    assert following == text + write_points([point(10.0)])
    assert with_point(text, point(9.0), recorded=4.0, size=10**6) == write_points([point(0.0), point(9.0)])
    assert with_point(text, point(10.0), recorded=None, size=10**6) == write_points([point(10.0)])
    assert with_point(text, point(4.0), recorded=5.0, size=10**6) == write_points([point(0.0), point(4.0)])
    assert with_point(text, point(10.0), recorded=5.0, size=len(text) + 40) == write_points(
        [point(0.0), point(5.0), point(10.0)]
    )
    for other in (text[:-1], text.replace("damaged", "d\u00e4maged")):
        assert with_point(other, point(10.0), recorded=5.0, size=10**6) == following[len("damaged\n") :]
    many = write_points([point(float(t)) for t in range(300)])
    assert 100 < len(read_points(with_point(many, point(300.0), recorded=299.0, size=10**6))) < 200
