"""Whatever stands in status: no pass fails, and none gives users an ungated or failed revision, or nothing."""

from __future__ import annotations

import datetime as dt
from dataclasses import replace
from functools import cache
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError
from tests.scenarios.process import SITE
from tests.scenarios.world import UNPROVEN, Rates, World

from claude_operator.api.evals import EvalRunStatus
from claude_operator.api.gateway import GatewayConfig, dump_config, parse_config
from claude_operator.api.kinds import KINDS, object_schema
from claude_operator.api.status import DeploymentStatus
from claude_operator.core.judge.evidence.increments import Increments
from claude_operator.core.judge.evidence.sample import Counts, Sample
from claude_operator.core.reconcile.decide import decide
from claude_operator.core.reconcile.observation import GatewayPod, GatewayView, Observation
from claude_operator.core.reconcile.plausible import plausible
from claude_operator.core.reconcile.progress import reading_due

Object = dict[str, Any]

STEPS = [
    {"setWeight": 10},
    {"bake": {"minDuration": "5s", "minRequests": 5}},
    {"setWeight": 30},
    {"bake": {"minDuration": "5s", "minRequests": 5}},
    {"setWeight": 60},
    {"bake": {"minDuration": "5m", "minRequests": 5}},
]
STRATEGY = {"canary": {"steps": STEPS, "analysis": UNPROVEN, "rollbackWindow": {"duration": "1h"}}}
EVALS = {"setRef": {"name": "support-evals"}}
UNKNOWN = "support-0000000000"
PASSES = 8


@cache
def worlds() -> dict[str, tuple[World, dict[str, str]]]:
    """A deployment that serves, with a revision that was rolled back: its ways from there, and whose name is whose."""
    world = World(World.spec(strategy=STRATEGY, evals=EVALS))
    world.add_eval_set()
    names: dict[str, str] = {"unknown": UNKNOWN}

    def gated(prompt: str) -> str:
        known = set(world.revisions)
        world.say(prompt)
        world.run(3)
        (name,) = set(world.revisions) - known
        world.finish_eval("Passed", "20 of 20 items passed")
        return name

    world.run(3)
    (names["stable"],) = world.revisions
    world.finish_eval("Passed", "20 of 20 items passed")
    world.settle()
    names["superseded"] = gated("Be loud.")
    names["failed"] = gated("Be brief.")
    world.rates[names["failed"]] = Rates(error=0.8)
    world.settle()
    assert world.parsed.rollout
    assert world.parsed.rollout.outcome == "RolledBack"
    after_a_failure = world.fork()
    known = set(world.revisions)
    world.say("Be rude.")
    world.run(3)
    (names["ungated"],) = set(world.revisions) - known
    at_the_gate = world.fork()
    names["gated"] = gated("Be polite.")
    world.until(lambda w: w.weight == 1000)
    trial = world.fork()
    world.until(lambda w: w.weight == 6000)
    return {
        "failed": (after_a_failure, names),
        "at the gate": (at_the_gate, names),
        "at 10 %": (trial, names),
        "at 60 %": (world, names),
    }


@cache
def observed(way: str) -> Observation:
    world, _ = worlds()[way]
    return world.observe()


def seen(way: str, config: str) -> Observation:
    """What a pass sees; `config` is live, gone, or gone with gateways that do not answer."""
    observation = observed(way)
    if config == "live":
        return observation
    pods = observation.gateway.pods
    if config == "silent":
        pods = tuple(replace(pod, generation=None) for pod in pods)
    return replace(observation, config=None, gateway=replace(observation.gateway, pods=pods))


# ---------------------------------------------------------------------------------------- any status at all

NAMES = st.deferred(lambda: st.sampled_from(sorted({"", *next(iter(worlds().values()))[1].values()})))
MOMENTS = st.sampled_from(
    [
        "0001-01-01T00:00:00Z",
        "1970-01-01T00:00:00Z",
        "2026-11-24T10:00:00Z",
        "2026-11-24T10:01:30+05:00",
        "2031-01-01T00:00:00Z",
        "9999-12-31T23:59:59Z",
    ]
)
NUMBERS = st.sampled_from([0, 1, 3, 5, 10, 60, 99, 100, 6000, -1, 0.1, -0.0, 64.1, 1e9, -1e9, 1e300, -1e300, 1e-300])
WHOLE = st.sampled_from([0, 1, 2, 3, 5, 99, 1000, -1, 10**9, 2**53, 2**63 - 1, -(2**63)])
DURATIONS = st.sampled_from(["5s", "0s", "1h", "8760h", "99999999999999999999999h"])
WORDS = st.sampled_from(["", "None", "errors", "Promoted", "RolledBack", "OfAnotherVersion", "x" * 2000, "\U0001f600"])
TEXTS = NAMES | WORDS


def values(node: Object) -> st.SearchStrategy[Any]:
    """What the API server lets in at a place of the schema."""
    if "enum" in node:
        return st.sampled_from(node["enum"])
    match node.get("type"):
        case "object" if "properties" in node:
            known = {name: values(child) for name, child in node["properties"].items()}
            needed = {name: known.pop(name) for name in node.get("required", ())}
            return st.fixed_dictionaries(needed, optional=known)
        case "array":
            return st.lists(values(node["items"]), max_size=4)
        case "integer":
            return WHOLE
        case "number":
            return NUMBERS
        case "boolean":
            return st.booleans()
        case "string" if node.get("format") == "date-time":
            return MOMENTS
        case "string" if "pattern" in node:
            return DURATIONS if "ms|s|m|h" in node["pattern"] else st.sampled_from(["0.5%", "100%", "0%"])
        case "string":
            return TEXTS
    return st.just({})


@cache
def fields() -> dict[str, st.SearchStrategy[Any]]:
    """By field of the status, anything that the API server lets in."""
    kind = next(kind for kind in KINDS if kind.kind == "ClaudeDeployment")
    status: Object = object_schema(kind)["properties"]["status"]
    return {name: values(node) for name, node in status["properties"].items()}


@st.composite
def statuses(draw: st.DrawFn, real: Object) -> Object:
    """A status of which anything between one field and all is not ours."""
    made = dict(real) if draw(st.booleans()) else {}
    traffic = ["stableRevision", "canaryRevision", "step", "rollout", "rollouts", "soak", "replaced", "judgement"]
    traffic += ["draining"]
    for name in draw(st.lists(st.sampled_from([*traffic, *traffic, *sorted(fields())]), min_size=1, max_size=9)):
        made[name] = draw(fields()[name])
    rollout = made.get("rollout")
    if isinstance(rollout, dict) and draw(st.booleans()):
        rollout["plan"] = (real.get("rollout") or {}).get("plan") or {}
        step = made.get("step")
        if isinstance(step, dict) and draw(st.booleans()):  # one that could be so
            index = draw(st.integers(0, len(STEPS) - 1))
            weight = (10, 30, 60)[index // 2]
            step |= {"index": index, "action": "bake" if index % 2 else "setWeight", "weight": weight}
            made["canaryRevision"] = rollout["revision"]
            rollout.pop("outcome", None)
    return made


def parsed(raw: Object) -> DeploymentStatus:
    """As the shell reads it: what the model refuses is cleared."""
    try:
        return DeploymentStatus.model_validate(raw)
    except ValidationError:
        return DeploymentStatus()


def later(obs: Observation) -> tuple[Observation, GatewayConfig | None, str]:
    """One pass, and what the next one sees."""
    decision = decide(obs, SITE)
    status = DeploymentStatus.model_validate(decision.status.to_dict())
    config = obs.config if decision.config is None else parse_config(dump_config(decision.config))
    revisions = dict(obs.revisions)
    runs = dict(obs.eval_runs)
    for body in decision.creations:
        if body["kind"] == "ClaudeRevision":
            name = body["metadata"]["name"]
            revisions[name] = {**body, "metadata": {**body["metadata"], "uid": name, "creationTimestamp": ""}}
        else:
            runs[body["metadata"]["name"]] = EvalRunStatus(phase="Running")
    for one in decision.revision_states:
        if one.name in revisions:
            revisions[one.name] = {**revisions[one.name], "status": {"state": one.state, "eval": one.eval}}
    for body in decision.deletions:
        revisions.pop(body["metadata"]["name"], None)
    now = obs.now + dt.timedelta(seconds=min(decision.requeue or 1.0, 2.0))
    pods = tuple(
        GatewayPod(pod.name, True, config.generation if config else pod.generation) for pod in obs.gateway.pods
    )
    again = replace(
        obs,
        now=now,
        status=status,
        config=config,
        revisions=revisions,
        eval_runs=runs,
        gateway=GatewayView(True, len(pods), pods),
        increments=reading(config) if reading_due(plausible(status, now)[0], now) == 0 else None,
    )
    return again, decision.config, decision.error


def reading(config: GatewayConfig | None) -> Increments:
    arms = config.arms if config else []
    counts = {arm.revision: Counts(requests=40, ok=40, conversations=40) for arm in arms if arm.weight}
    cells = {(config.generation if config else 1, "other", name): Sample(one) for name, one in counts.items()}
    return Increments(cells, 40 * len(cells))


def check(way: str, config: str, raw: Object) -> None:
    _, names = worlds()[way]
    obs = seen(way, config)
    before = obs.config
    live = {arm.revision: arm.weight for arm in before.arms} if before else {names["stable"]: 10_000}
    obs = replace(obs, status=parsed(raw))
    if reading_due(plausible(obs.status, obs.now)[0], obs.now) == 0:
        obs = replace(obs, increments=reading(before))
    writes = 0
    for number in range(PASSES):
        after, wanted, _ = later(obs)
        told = after.status
        if wanted is not None:
            writes += wanted != obs.config
            assert wanted.arms, "nobody is served"
            given = {arm.revision: arm.weight for arm in wanted.arms if arm.weight}
            assert sum(given.values()) == 10_000
            assert not {names["ungated"], UNKNOWN} & set(given), "an ungated revision is served"
            kept = wanted.arm("former")
            assert kept is None or kept.revision in (names["stable"], names["gated"]), "what never served is kept"
            assert kept is None or number or config != "live", "nothing has been replaced"
            trial = told.rollout
            if names["failed"] in given:  # only where the spec asks for it anew, from the first step on
                assert number, "what failed is served"
                assert trial is not None
                assert (way, trial.revision, trial.outcome) == ("failed", names["failed"], None)
                assert told.step is not None
                assert given[names["failed"]] == 1000
            else:
                assert set(given) <= {names["stable"], names["gated"]}
            if number == 0 and before is not None:
                more = given.get(names["gated"], 0)
                steps = {0: 0, 1000: 3000, 6000: 10_000}
                assert more <= steps[live.get(names["gated"], 0)], "more than a step at once"
            if number == 0 and before is None:
                assert given == {names["stable"]: 10_000}, "without a config there is no canary"
        assert told.stable_revision in (names["stable"], names["gated"])
        obs = after
    assert writes <= 5, "the config is written again and again"


@pytest.mark.parametrize("config", ["live", "gone", "silent"])
@pytest.mark.parametrize("way", ["failed", "at the gate", "at 10 %", "at 60 %"])
def test_any_status(way: str, config: str) -> None:
    world, _ = worlds()[way]

    @settings(max_examples=30)
    @given(statuses(world.status))
    def holds(raw: Object) -> None:
        check(way, config, raw)

    holds()
