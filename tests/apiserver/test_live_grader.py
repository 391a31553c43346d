"""The grader of live answers on a real API server: what its account may do, and what is left where it ends."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from pathlib import Path
from random import Random
from typing import Any

import pytest
from tests.apiserver.client import Client, is_refused, wait_for
from tests.apiserver.objects import deployment, secret
from tests.apiserver.process import Operator, account, token_of
from tests.apiserver.server import ApiServer
from tests.apiserver.test_hostile import eval_set

from claude_operator.api.grading import STATE_KEY
from claude_operator.api.samples import Sample, SampledAnswer
from claude_operator.evals.live.failed import failed_sample, kept
from claude_operator.evals.live.spending import State
from claude_operator.evals.live.store import SecretStore
from claude_operator.kube.client import Kube

STORE, GRADER = "support-failed-samples", "support-grader"
LIVE = {
    "rubric": ["It answers what was asked."],
    "graders": [{"name": "default", "model": "claude-sonnet-5-5"}],
    "keepFailed": 200,
}


def evals(live: dict[str, Any] | None) -> dict[str, Any]:
    return {"setRef": {"name": "s"}, "required": False, "live": live}


async def test_a_grader_writes_its_one_secret_and_where_it_ends_no_answer_is_left(
    server: ApiServer,
    programs: Path,
    admin: Client,
    namespace: str,
    operate: Callable[..., Operator],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    config, _ = account(server, programs / "helm", namespace, tmp_path)  # the chart's rights are enough
    for body in (secret(), eval_set("s", "."), deployment(evals=evals(LIVE))):
        admin.create(body, namespace)
    operate(kubeconfig=config).until_leading()
    wait_for(lambda: admin.get("Secret", STORE, namespace), 60, "there is no Secret for the grader")
    wait_for(lambda: admin.get("Deployment", GRADER, namespace), 60, "there is no grader")
    owner = admin.take("ClaudeDeployment", "support", namespace)["metadata"]["uid"]

    token = token_of(admin, GRADER, namespace)
    grader = server.client(token)
    wait_for(lambda: not is_refused(lambda: grader.take("Secret", STORE, namespace)), 30, "it may not read its Secret")
    mine = {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "mine", "namespace": namespace}}
    assert is_refused(lambda: grader.create(mine, namespace))
    assert is_refused(lambda: grader.list("Secret", namespace))
    assert is_refused(lambda: grader.delete("Secret", STORE, namespace))
    for name in ("anthropic", "support-client", "support-gateway", GRADER):
        assert is_refused(lambda name=name: grader.take("Secret", name, namespace))
        assert is_refused(lambda name=name: grader.patch("Secret", name, namespace, {"data": {"a": "YQ=="}}))
    for kind, name in (("ConfigMap", GRADER), ("ConfigMap", "support-gateway"), ("ClaudeDeployment", "support")):
        assert is_refused(lambda kind=kind, name=name: grader.take(kind, name, namespace))
    assert is_refused(lambda: grader.list("Pod", namespace))

    kubeconfig = tmp_path / "grader.kubeconfig"
    kubeconfig.write_text(json.dumps(server.config(token)))
    monkeypatch.setenv("KUBECONFIG", str(kubeconfig))
    async with await Kube.from_environment() as kube:
        store = SecretStore(kube, namespace, STORE, owner)
        assert await store.read() == (State(), [])
        found = kept([failed_sample(one, "llm-rubric", "") for one in answers(200)], 200, time.time())
        assert len(found) > 20
        await store.write(State("2026-03-01", 1.5), found)
        assert await store.read() == (State("2026-03-01", 1.5), found)

    admin.patch("ClaudeDeployment", "support", namespace, {"spec": {"evals": evals(None)}})
    gone = {STATE_KEY}
    wait_for(lambda: set(admin.take("Secret", STORE, namespace)["data"]) == gone, 60, "the answers are still there")
    assert admin.take("Deployment", GRADER, namespace)["spec"]["replicas"] == 0
    wait_for(lambda: is_refused(lambda: grader.take("Secret", STORE, namespace)), 30, "it may write as it ends")


def answers(count: int) -> list[Sample]:
    """Answers of 32 KiB that cannot be packed well."""
    text = [Random(number).randbytes(16_000).hex() for number in range(count)]
    asked = [{"role": "user", "content": "Where is it?"}]
    return [
        Sample(
            f"b.{number}",
            "app",
            "canary",
            "chat",
            f"t{number}",
            time.time(),
            asked,
            SampledAnswer(one, "end_turn", "m"),
        )
        for number, one in enumerate(text)
    ]


def test_what_cannot_be_graded_is_refused_by_the_api_server_with_a_sentence(admin: Client, namespace: str) -> None:
    for change, said in (
        ({"sampleRate": "0"}, "is not a share"),
        ({"sampleRate": "1.5"}, "is not a share"),
        ({"minPerMinute": 60, "maxPerMinute": 100}, "is less than both arms' minPerMinute together"),
        ({"keepFailed": 201}, "200"),
    ):
        with pytest.raises(AssertionError, match=said):
            admin.create(deployment(evals=evals({**LIVE, **change})), namespace)
