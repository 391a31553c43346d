"""The views as they read: of objects that the operator's own code wrote, in a simulated cluster.

`UPDATE_GOLDENS=1 pytest tests/cli` writes them again.
"""

from __future__ import annotations

import copy
import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from rich.console import RenderableType
from tests.scenarios.world import Rates, World

from claude_operator.cli.calls import telling_calls
from claude_operator.cli.deployment import phase_of, status_of
from claude_operator.cli.events import Event
from claude_operator.cli.view.history import history_facts, history_view
from claude_operator.cli.view.paint import bar, to_text
from claude_operator.cli.view.status import list_facts, list_view, status_facts, status_view
from claude_operator.cli.view.why import chosen_trial, judgement_of, ledger_of, why_facts, why_view

GOLDEN = Path(__file__).parent / "golden"
BAKE = {"minDuration": "10s"}


def check(view: RenderableType, facts: Any, name: str) -> None:
    """The view is what is kept, and the facts are of JSON."""
    text, path = to_text(view), GOLDEN / f"{name}.txt"
    json.dumps(facts, allow_nan=False)
    if os.environ.get("UPDATE_GOLDENS"):
        path.write_text(text, encoding="utf-8")
    assert text == path.read_text(encoding="utf-8")


def on_trial(**fields: Any) -> World:
    """A canary at 10 % whose bake asks for evidence."""
    world = World(World.spec(strategy={"canary": {"steps": [{"setWeight": 10}, {"bake": BAKE}]}}), **fields)
    world.by_unit = True
    world.settle()
    world.begin()
    world.say("Be brief.")
    world.until(lambda w: w.weight == 1000)
    world.run(1)
    return world


def events(world: World) -> list[Event]:
    """Those of its transcript."""
    found = []
    for line in world.log:
        clock, mark, rest = line[:7], line[9], line[11:]
        if not rest.startswith((" ", "·")):
            reason, _, note = rest.partition(" ")
            hours, minutes, seconds = map(int, clock.split(":"))
            time = f"2026-11-24T{world.epoch.hour + hours:02d}:{world.epoch.minute + minutes:02d}:{seconds:02d}Z"
            found.append(Event(time, "Warning" if mark == "!" else "Normal", reason, note.strip()))
    return found


def in_progress() -> World:
    world = on_trial()
    world.run(30)
    return world


def rolled_back() -> World:
    world = on_trial()
    world.run(5)
    world.rates[status_of(world.owner).canary_revision or ""] = Rates(error=0.5, pace=1.3)
    world.settle()
    return world


def paused() -> World:
    world = on_trial()
    world.edit(paused=True)
    world.run(10)
    return world


def not_accepted() -> World:
    world = World()
    world.settle()
    world.begin()
    world.edit(evals={"setRef": {"name": "missing"}})
    world.run(60)
    return world


def cold_cache() -> World:
    """What the gateways have told of cost, cache and latency."""
    world = on_trial()
    status = world.owner["status"]
    status["cost"] = {
        "today": "$12.34",
        "month": "$310.20",
        "forecast": "$402.00",
        "unpriced": 3,
        "gateways": "2 of 2",
        "since": "2026-11-01T00:00:00Z",
        "at": "2026-11-24T10:00:00Z",
    }
    status["cache"] = {
        "revision": status["stableRevision"],
        "hitRatio": "31 %",
        "lost": "$1.20/h",
        "at": "2026-11-24T10:00:00Z",
    }
    budget = {"surface": "chat", "limit": "at most 1500ms", "target": "95 %", "window": "1h"}
    shown = {"asOf": "2026-11-24T10:00:00Z", "attainment": "97.3 %", "burnRate": "0.54", "calls": 812}
    over = {"attainment": "80 %", "burnRate": "4", "calls": 1200}
    status["budgets"] = [
        {**budget, **shown, "metric": "duration", "state": "Within"},
        {**budget, **shown, **over, "metric": "timeToFirstToken", "state": "Over"},
        {**budget, **shown, "metric": "throughput", "state": "NoTraffic", "attainment": "", "calls": 0},
    ]
    cold = {"type": "CacheEffective", "status": "False", "reason": "Cold", "lastTransitionTime": "2026-11-24T10:00:00Z"}
    said = "surface chat of support-c49a4f2c25 reads 31 % of its input tokens from the cache: in 58 of 60 calls …"
    others = [one for one in status["conditions"] if one["type"] != "CacheEffective"]
    status["conditions"] = [*others, {**cold, "message": said}]
    return world


def migrating() -> World:
    """A model that is Deprecated, and its replacement at 10 %."""
    request = {"model": "claude-sonnet-4-5-20250929", "max_tokens": 1024}
    lifecycle = {"migrate": {"to": "claude-sonnet-5-5", "onlyWithEvals": False}}
    steps = [{"setWeight": 10}, {"bake": BAKE}]
    world = World(World.spec(request=request, strategy={"canary": {"steps": steps}}))
    world.settle()
    world.begin()
    world.edit(lifecycle=lifecycle)
    world.until(lambda w: w.weight == 1000)
    world.run(1)
    return world


def never_seen() -> World:
    return World()


@pytest.mark.parametrize(
    "build",
    [in_progress, rolled_back, paused, not_accepted, cold_cache, migrating, never_seen],
    ids=lambda one: one.__name__,
)
def test_status(build: Callable[[], World]) -> None:
    world = build()
    facts = status_facts(world.owner, events(world))
    check(status_view(facts, world.now), facts, f"status_{build.__name__}")


def test_list() -> None:
    objects = [build().owner for build in (in_progress, rolled_back, never_seen)]
    facts = list_facts(objects)
    check(list_view(facts), facts, "list")


def test_what_the_operator_has_not_seen_is_unknown() -> None:
    world = World()
    world.settle()
    assert phase_of(world.owner).name == "Promoted"
    edited = copy.deepcopy(world.owner)
    edited["metadata"]["generation"] += 1
    assert phase_of(edited).name == "Unknown"
    assert phase_of(edited).code is None


def test_history() -> None:
    world = rolled_back()
    facts = history_facts(world.owner, sorted(world.revisions.values(), key=lambda one: one["metadata"]["name"]))
    check(history_view(facts, world.now), facts, "history")


def line(number: int, **fields: Any) -> str:
    call = {"time": f"2026-11-24T10:00:{number:02d}.000+00:00", "level": "info", "request_id": f"req_{number:04d}"}
    return json.dumps({**call, "status": 200, "outcome": "ok", "arm": "canary", **fields})


def test_why() -> None:
    world = rolled_back()
    trial = chosen_trial(world.owner, None)
    bad = {"revision": trial.revision, "status": 400, "outcome": "error", "error": "invalid_request_error"}
    log = [line(n, **bad, explanation="tools.0.input_schema: … is not supported") for n in range(9)]
    log += [line(20, revision=trial.revision), line(30, **{**bad, "revision": "another"}), "no line of a call", "[1]"]
    judgement = judgement_of(status_of(world.owner), trial)
    assert judgement is not None
    calls = telling_calls("\n".join(log), revision=trial.revision, metric=judgement.leading)
    assert [one["requestId"] for one in calls] == [f"req_{n:04d}" for n in (8, 7, 6, 5, 4)]
    ledger = {"data": world.ledger(ledger_of(trial))}
    facts = why_facts(world.owner, trial, ledger, calls)
    check(why_view(facts), facts, "why_rolled_back")


def test_why_of_an_earlier_rollout_has_the_evidence_of_its_ledger() -> None:
    world = rolled_back()
    first = chosen_trial(world.owner, None)
    world.say("Be precise.")
    world.until(lambda w: w.weight == 1000)
    trial = chosen_trial(world.owner, first.trial)
    assert judgement_of(status_of(world.owner), trial) is None
    facts = why_facts(world.owner, trial, {"data": world.ledger(ledger_of(trial))}, [], "the logs cannot be read")
    assert facts["metrics"][0]["name"] == "errors"
    assert facts["outcome"] == "RolledBack"
    assert "the logs cannot be read" in to_text(why_view(facts))


def test_the_slowest_calls_are_told_where_time_is_what_counts() -> None:
    log = "\n".join(line(n, revision="r", ttft_ms=n * 100.0, latency_ms=n * 200.0) for n in range(8))
    calls = telling_calls(log, revision="r", metric="timeToFirstToken early")
    assert [one["ttftMs"] for one in calls] == [700.0, 600.0, 500.0, 400.0, 300.0]


@pytest.mark.parametrize(("share", "cells"), [(0.0, 0), (1e-6, 1), (0.5, 12), (0.99, 23), (1.0, 24), (7.0, 24)])
def test_a_bar_is_full_at_its_threshold_and_never_before(share: float, cells: int) -> None:
    assert bar(share) == "█" * cells + "·" * (24 - cells)
