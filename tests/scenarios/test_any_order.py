"""Whatever people, traffic, pods and crashes do in whatever order: the invariants of the world hold."""

from __future__ import annotations

from functools import cache

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, rule
from tests.scenarios.world import UNPROVEN, Rates, World

STEPS = [
    {"setWeight": 10},
    {"bake": {"minDuration": "5s", "minRequests": 5}},
    {"setWeight": 50},
    {"pause": {"duration": "3s"}},
]
PROMPTS = ("Be kind.", "Be brief.", "Be polite.")


@cache
def _served() -> World:
    world = World(World.spec(strategy={"canary": {"steps": STEPS, "analysis": UNPROVEN}}))
    world.settle()
    return world


class AnyOrder(RuleBasedStateMachine):
    """One deployment that already serves its first revision."""

    @initialize()
    def start(self) -> None:
        self.world = _served().fork().begin()

    @rule(prompt=st.sampled_from(PROMPTS))
    def says(self, prompt: str) -> None:
        self.world.say(prompt)

    @rule(prompt=st.sampled_from(PROMPTS), seconds=st.integers(5, 12))
    def says_and_waits(self, prompt: str, seconds: int) -> None:
        self.world.say(prompt)
        self.world.run(seconds)

    @rule(seconds=st.sampled_from([0.5, 3, 12]))
    def waits(self, seconds: float) -> None:
        self.world.run(seconds)

    @rule(
        name=st.sampled_from(["promote", "abort", "retry"]),
        what=st.sampled_from(["full", "0", "1", "2", "3", None]),
    )
    def annotates(self, name: str, what: str | None) -> None:
        rollout = self.world.parsed.rollout
        attempt = f"/{rollout.attempt}" if rollout and name == "promote" else ""
        self.world.annotate(name, f"{rollout.revision}{attempt}/{what}" if rollout and what else None)

    @rule(paused=st.booleans())
    def pauses(self, paused: bool) -> None:
        self.world.edit(f"paused: {paused}", paused=paused)

    @rule(evals=st.booleans(), required=st.booleans())
    def declares_evals(self, evals: bool, required: bool) -> None:
        self.world.add_eval_set()
        self.world.edit(evals={"setRef": {"name": "support-evals"}, "required": required} if evals else None)

    @rule(phase=st.sampled_from(["Passed", "Failed", "Inconclusive", "Error"]))
    def evals_end(self, phase: str) -> None:
        if self.world.runs and list(self.world.runs.values())[-1].phase in ("Running", "Error"):
            self.world.finish_eval(phase, "the scores")

    @rule(paid=st.booleans())
    def secret(self, paid: bool) -> None:
        if paid:
            self.world.add_secret()
        else:
            self.world.drop_secret()
        self.world.user("the Secret is there" if paid else "the Secret is gone")

    @rule(error=st.sampled_from([0.0, 0.5, 1.0]), stable=st.booleans())
    def fails(self, error: float, stable: bool) -> None:
        status = self.world.parsed
        name = status.stable_revision if stable else status.canary_revision
        if name:
            self.world.rates[name] = Rates(error=error)

    @rule(traffic=st.sampled_from([0.0, 40.0]))
    def traffic(self, traffic: float) -> None:
        self.world.traffic = traffic

    @rule(pod=st.integers(0, 1))
    def pod_restarts(self, pod: int) -> None:
        self.world.restart_pod(pod)

    @rule(pod=st.integers(0, 1), silent=st.booleans())
    def pod_is_silent(self, pod: int, silent: bool) -> None:
        self.world.pods[pod].silent = silent

    @rule()
    def operator_restarts(self) -> None:
        self.world.restart_operator()

    @rule(offset=st.integers(0, 4), fault=st.sampled_from(["crash", "conflict"]))
    def write_fails(self, offset: int, fault: str) -> None:
        self.world.fail_write(self.world.writes + offset, fault)

    def teardown(self) -> None:
        """Everything heals, and then the newest revision is served, or its failure stands."""
        world = getattr(self, "world", None)
        if world is None:
            return
        world.add_secret()
        world.rates, world.traffic = {}, 40.0
        for pod in world.pods:
            pod.silent = False
        world.edit("all is well again", paused=False, evals=None)
        world.run(1)
        world.settle(600)
        world.run(1)
        world.check_quiet()
        status = world.parsed
        assert status.canary_revision is None
        assert world.weight == 0
        assert world.config
        assert [arm.revision for arm in world.config.arms if arm.weight] == [status.stable_revision]


TestAnyOrder = AnyOrder.TestCase
TestAnyOrder.settings = settings(max_examples=8, stateful_step_count=12, deadline=None)
