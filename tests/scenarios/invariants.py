"""What must hold of a world at every pass and after every write of a status or of the gateways' config."""

from __future__ import annotations

import datetime as dt
import math
from typing import Any

from tests.scenarios.gateways import Pod

from claude_operator.api.base import seconds
from claude_operator.api.conditions import Reason, Type
from claude_operator.api.gateway import GatewayConfig
from claude_operator.api.status import DeploymentStatus
from claude_operator.core.judge.ledger import config_map
from claude_operator.core.reconcile.decision import Decision
from claude_operator.core.reconcile.observation import Observation
from claude_operator.core.reconcile.progress import canary_weight
from claude_operator.kube.client import Object
from claude_operator.replay.replay import replay

_REASONS = frozenset(Reason)


class Invariants:
    """Checks of a World."""

    now: dt.datetime
    pods: list[Pod]
    owner: Object
    status: Object
    config: GatewayConfig | None
    parsed: DeploymentStatus
    weight: int

    def __init__(self) -> None:
        self._ended: set[tuple[str, int]] = set()

    def ledger(self, name: str) -> dict[str, str]:
        """Data of a ledger."""
        raise NotImplementedError

    def _check_decision(self, seen: Observation, decision: Decision) -> None:
        assert not (decision.backward and decision.creations), "a creation may fail before the traffic is taken back"
        self._check_seen(seen, decision.status)
        assert decision.requeue is None or decision.requeue >= 0
        if decision.config is not None and seen.config is not None:
            differs = decision.config != seen.config
            assert decision.config.generation == seen.config.generation + differs
        conditions = {one.type: one for one in decision.status.conditions}
        assert list(conditions) == [one.value for one in Type]
        before = {one.type: one for one in seen.status.conditions}
        for type_, one in conditions.items():
            assert one.reason in _REASONS, one
            assert one.message, one
            assert not _ends_with_a_full_stop(one.message), one
            assert "None" not in one.message, one
            assert one.observed_generation == self.owner["metadata"]["generation"]
            old = before.get(type_)
            if old is not None and old.status == one.status:
                assert one.last_transition_time == old.last_transition_time, one
            else:
                assert one.last_transition_time == seen.now.replace(microsecond=0), one
        for event in decision.events:
            assert event.note
            assert not _ends_with_a_full_stop(event.note), event
            assert "None" not in event.note, event

    def _check_seen(self, seen: Observation, after: DeploymentStatus) -> None:
        """No step is left behind by a pass that has not seen its last part, unless a person says so."""
        before, rollout = seen.status, seen.status.rollout
        step, now = before.step, after.step
        if rollout is None or step is None or rollout.outcome is not None or not canary_weight(before):
            return
        promoted = after.rollout is not None and after.rollout.outcome == "Promoted"
        if not promoted and (now is None or now.index == step.index):
            return
        if step.action == "setWeight" or self._asked(rollout.revision, step.index, "full"):
            return
        new = seen.increments
        assert new is not None, "a step ends without a reading"
        assert not new.baseline, "a step ends with a baseline"
        assert not new.unreachable, "a step ends while a pod is silent"
        assert new.of(rollout.revision).counts.judged, "a step ends without an answer of the canary"
        assert new.of(rollout.revision).counts.ok, "a canary goes on that fails everything"

    def _check_ledger(self) -> None:
        """At the end of a rollout: the judge comes to the same from its ledger.

        A tick that took traffic back and whose status was lost stands in the ledger alone.
        """
        status = self.parsed
        rollout, judgement = status.rollout, status.judgement
        if rollout is None or rollout.outcome is None or judgement is None or judgement.recorded is None:
            return
        pages = self.ledger(config_map.name(rollout.revision, rollout.attempt))
        assert judgement.started_at is not None
        last = (judgement.recorded - judgement.started_at).total_seconds()
        ticks = [tick for tick in replay(pages[config_map.TICKS].splitlines()) if tick["t"] <= last + 1e-6]
        assert ticks, pages
        assert math.isclose(ticks[-1]["total"], judgement.evidence, rel_tol=1e-9), (ticks[-1], judgement)

    def _check_config(self, before: GatewayConfig | None) -> None:
        config = self.config
        assert config is not None
        assert not config.arms or sum(arm.weight for arm in config.arms) == 10_000
        if before is None:
            return
        assert config.generation == before.generation + 1
        assert not before.arms or config.arms, "all traffic is refused"
        rollout = self.parsed.rollout
        canary = config.arm("canary")
        was = next((arm.weight for arm in before.arms if canary and arm.revision == canary.revision), 0)
        stable, stable_was = config.arm("stable"), before.arm("stable")
        if config.settled and config.settled.outcome != "Promoted" and config.settled != before.settled:
            self._ended.add((config.settled.revision, config.settled.attempt))
            assert stable == stable_was or (stable and stable_was and stable.revision == stable_was.revision)
            assert canary is None or canary.weight == 0
        if canary and canary.weight > was:
            assert rollout is not None
            assert canary.weight == canary_weight(self.parsed), "more traffic is given than is told"
            assert rollout.outcome is None
            assert canary.revision == rollout.revision
            assert (rollout.revision, rollout.attempt) not in self._ended, "the weight rises after the end"
            weights = {round(step.set_weight * 100) for step in rollout.plan.steps if step.set_weight is not None}
            assert canary.weight in weights

    def _check_status(self, before: DeploymentStatus) -> None:
        """Steps follow each other, each as long as its plan says; what ended stays ended."""
        after = self.parsed
        assert after.to_dict() == self.status, "a status is not read as it is written"
        old, new = before.rollout, after.rollout
        told = canary_weight(after)
        assert self.weight <= told or (new and new.outcome == "Promoted"), "less traffic is told than is given"
        if before.stable_revision and after.stable_revision != before.stable_revision:
            assert new is not None
            assert new.outcome == "Promoted"
            assert after.stable_revision == new.revision
        same = old is not None and new is not None and (old.revision, old.attempt) == (new.revision, new.attempt)
        if same and old and new and old.outcome is not None:
            assert new.outcome == old.outcome
        if not same and new is not None and new.outcome is None:
            assert (new.revision, new.attempt) not in self._ended, "an attempt that has ended begins again"
            assert after.step is None or after.step.index == 0
        if before.step is None or not same or new is None:
            if after.step is not None and same:
                assert after.step.index == 0, "the first step is skipped"
            return
        if after.step is None:
            assert new.outcome is not None or self.config is None, "a step is lost"
            if new.outcome == "Promoted" and not self._asked(new.revision, "full", before.step.index):
                assert before.step.index == len(new.plan.steps) - 1, "steps are skipped"
                self._check_length(before, new)
            return
        if after.step.index == before.step.index:
            assert after.step.started_at == before.step.started_at
            return
        assert after.step.index == before.step.index + 1, "a step is skipped or repeated"
        self._check_length(before, new)

    def _asked(self, revision: str, *what: object) -> bool:
        value = self.owner["metadata"]["annotations"].get("claudeops.dev/promote")
        attempt = self.parsed.rollout.attempt if self.parsed.rollout else 0
        return value in {f"{revision}/{attempt}/{one}" for one in what}

    def _check_length(self, before: DeploymentStatus, rollout: Any) -> None:
        """The step that ends was as long as planned, and nothing was left unserved."""
        present = before.step
        assert present is not None
        generation = self.config.generation if self.config else None
        for pod in self.pods:
            assert pod.ready_at <= self.now, "a step ends while a pod is away"
            assert pod.config, "a step ends before every pod serves it"
            assert pod.config.generation == generation, "a step ends before every pod serves it"
        if self._asked(rollout.revision, present.index, "full"):
            return
        step = rollout.plan.steps[present.index]
        lasted = (self.now - present.started_at).total_seconds()
        if step.bake:
            assert lasted >= seconds(step.bake.min_duration), "a bake is too short"
            assert self.parsed.judgement is not None
        if step.pause:
            assert step.pause.duration is not None, "nobody has promoted"
            assert lasted >= seconds(step.pause.duration), "a pause is too short"


def _ends_with_a_full_stop(sentence: str) -> bool:
    """Whether it does; a command may end with three, for what a person fills in."""
    return sentence.endswith(".") and not sentence.endswith("...")
