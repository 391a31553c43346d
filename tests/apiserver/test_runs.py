"""Eval runs on a real API server, which fills in and leaves out: what was asked counts, what somebody made does not."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from tests.apiserver.client import Client, wait_for
from tests.apiserver.objects import SPEC, deployment, secret
from tests.apiserver.process import Operator
from tests.apiserver.server import ApiServer
from tests.apiserver.test_hostile import eval_set

from claude_operator.core import names, render
from claude_operator.core.evals.asked import ONLY_THE_OPERATOR, spec_hash

Object = dict[str, Any]
EVALS = {"setRef": {"name": "s"}}
UPSTREAMS: list[Object] = [
    {"apiKeySecretRef": {"name": "anthropic", "key": "api-key"}},
    {"apiKeySecretRef": {"name": "a", "key": "k"}, "baseURL": "https://api.anthropic.com", "timeouts": {}},
    {"apiKeySecretRef": {"name": "a", "key": "k"}, "timeouts": {"connect": "7s"}},
    {"apiKeySecretRef": {"name": "a", "key": "k"}, "baseURL": "http://proxy.ai:8080"},
]


class Asked:
    """A ClaudeDeployment whose first revision is at its gate, and its run."""

    def __init__(self, admin: Client, namespace: str, operator: Operator, **spec: Any) -> None:
        self.admin, self.namespace, self.operator = admin, namespace, operator
        for body in (secret(), eval_set("s", "."), deployment(evals=EVALS, **spec)):
            admin.create(body, namespace)
        operator.until_leading()
        wait_for(lambda: self.jobs(), 60, "there is no Job")
        wait_for(
            lambda: (self.run.get("status") or {}).get("specHash"), 60, "the run's status does not tell of its Job"
        )

    def jobs(self) -> list[Object]:
        return self.admin.list("Job", self.namespace)

    @property
    def rollout(self) -> Object:
        found: Object = self.admin.take("ClaudeDeployment", "support", self.namespace)["status"]["rollout"]
        return found

    @property
    def run(self) -> Object:
        return self.admin.take("ClaudeEvalRun", self.rollout["evalRun"], self.namespace)

    def replace_run(self, body: Object) -> None:
        """Delete the run and make another of its name, before the operator makes its own again."""
        name = body["metadata"]["name"]
        gone = set[str]()

        def made() -> Object:
            if (found := self.admin.get("ClaudeEvalRun", name, self.namespace)) is not None:
                gone.add(found["metadata"]["uid"])
                self.admin.delete("ClaudeEvalRun", name, self.namespace)
            return self.admin.create(body, self.namespace)

        wait_for(made, 60, "the operator is always faster")
        for job in self.jobs():  # as the garbage collector does
            if any(names.is_controlled_by(job, uid) for uid in gone):
                self.admin.delete("Job", job["metadata"]["name"], self.namespace)

    def events(self, reason: str) -> list[str]:
        return [one["note"] for one in self.admin.list("Event", self.namespace) if one["reason"] == reason]


@pytest.mark.parametrize("upstream", UPSTREAMS, ids=str)
def test_what_is_stored_hashes_as_what_was_asked(admin: Client, namespace: str, upstream: Object) -> None:
    owner = admin.create(deployment(upstream=upstream), namespace)
    for number, baseline in enumerate(("support-0123456789", None)):
        asked = render.eval_run(owner, f"support-{number}123456789", baseline, "s", "f" * 64, owner["spec"]["upstream"])
        stored = admin.create(asked)
        assert spec_hash(stored["spec"]) == spec_hash(asked["spec"])
        for change in ({"setRef": "t"}, {"upstream": {"baseURL": "https://other.example.com"}}, {"attempt": 2}):
            assert spec_hash({**stored["spec"], **change}) != spec_hash(asked["spec"])


def test_a_run_that_is_made_again_with_another_upstream_gets_no_job_and_the_operators_takes_its_place(
    admin: Client, namespace: str, operate: Callable[..., Operator]
) -> None:
    asked = Asked(admin, namespace, operate())
    run = asked.run
    assert run["status"]["specHash"] == asked.rollout["evalRunSpec"] == spec_hash(run["spec"])
    own = {key: run["metadata"][key] for key in ("name", "labels", "ownerReferences")}
    stolen = {"apiKeySecretRef": {"name": "database", "key": "password"}, "baseURL": "https://yes.example.com"}
    asked.replace_run({**run, "metadata": own, "spec": {**run["spec"], "upstream": stolen}, "status": {}})
    wait_for(lambda: asked.events("EvalRunReplaced"), 60, "nobody is told")
    wait_for(lambda: spec_hash(asked.run["spec"]) == asked.rollout["evalRunSpec"], 60, "the run is not made again")
    wait_for(lambda: (asked.run.get("status") or {}).get("specHash"), 60, "it has no Job")
    assert not [job for job in asked.jobs() if "database" in str(job)]


def test_a_run_by_hand_ends_with_a_sentence(admin: Client, namespace: str, operate: Callable[..., Operator]) -> None:
    asked = Asked(admin, namespace, operate())
    spec = {"revision": asked.rollout["revision"], "setRef": "s", "upstream": UPSTREAMS[0], "deployment": "support"}
    body = {"apiVersion": "claudeops.dev/v1alpha1", "kind": "ClaudeEvalRun", "metadata": {"name": "mine"}, "spec": spec}
    admin.create(body, namespace)

    def status() -> Object:
        found: Object = admin.take("ClaudeEvalRun", "mine", namespace).get("status") or {}
        return found

    wait_for(lambda: status().get("reason") == "NotAsked", 60, "it is not told")
    assert status()["message"] == ONLY_THE_OPERATOR
    assert [one["status"] for one in status()["conditions"]] == ["True"]
    assert all(names.is_controlled_by(job, asked.run["metadata"]["uid"]) for job in asked.jobs())


def test_the_content_of_a_revision_is_its_names_whatever_the_api_server_makes_of_it(
    server: ApiServer, admin: Client, namespace: str, operate: Callable[..., Operator]
) -> None:
    """Numbers, null and text come back in another form than they were written in."""
    odd = {"a": 1.0, "b": 1e21, "c": None, "d": -0.0, "e": 12345678901234567890, "f": "\u2028<>&\x7f", "g": {}, "h": []}
    odd |= {"i": 0.1, "j": 1e-7, "k": 2**53 + 1, "l": [None, {"m": None}], "ö": "\U0001f600"}
    admin.create(secret(), namespace)
    request = {**SPEC["request"], "extra": odd, "output_config": odd}
    subagents = {"r": {"request": {"extra": odd}}}
    admin.create(deployment(request=request, subagents=subagents, overrides={}), namespace)
    for _ in range(2):  # one that made it, and one that finds it
        operator = operate()
        operator.until_leading()
        wait_for(lambda: admin.list("ClaudeRevision", namespace), 60, "there is no revision")
        edited = {"spec": {"gateway": {"replicas": 2 + _}}}
        wanted = admin.patch("ClaudeDeployment", "support", namespace, edited)["metadata"]["generation"]

        def accepted(wanted: int = wanted) -> Object | None:
            status = admin.take("ClaudeDeployment", "support", namespace).get("status") or {}
            found = {one["type"]: one for one in status.get("conditions", ())}.get("Accepted", {})
            return found if found.get("observedGeneration") == wanted else None

        found = wait_for(accepted, 60, "the edit is not seen")
        assert (found or accepted())["status"] == "True"
        operator.stop()
    assert len(admin.list("ClaudeRevision", namespace)) == 1
