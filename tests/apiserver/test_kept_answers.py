"""Where answers are kept, on a real API server: its rights, its limits and its merges are those of a cluster."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from random import Random

import pytest
from tests.apiserver.client import Client, is_refused, wait_for
from tests.apiserver.process import Operator, account, token_of
from tests.apiserver.server import ApiServer
from tests.apiserver.test_runs import Asked

from claude_operator.core.evals.kept import SLOT_BYTES, SLOTS, pack_batch, read_batch, slot_names
from claude_operator.evals.keeping import Secrets
from claude_operator.kube.client import Kube
from claude_operator.kube.resources import CONFIG_MAPS

SLOT = slot_names("s")[0]


async def test_a_job_writes_what_was_made_for_it_and_nothing_else(
    server: ApiServer,
    programs: Path,
    admin: Client,
    namespace: str,
    operate: Callable[..., Operator],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    config, _ = account(server, programs / "helm", namespace, tmp_path)  # the chart's rights are enough
    asked = Asked(admin, namespace, operate(kubeconfig=config))
    run, eval_set = asked.run["metadata"], admin.take("ClaudeEvalSet", "s", namespace)["metadata"]
    for name in slot_names("s"):
        (owner,) = admin.take("Secret", name, namespace)["metadata"]["ownerReferences"]
        assert owner["uid"] == eval_set["uid"]
    report = f"{run['name']}-report"
    assert admin.take("ConfigMap", report, namespace)["metadata"]["ownerReferences"][0]["uid"] == run["uid"]

    token = token_of(admin, "support-eval", namespace)
    job = server.client(token)

    def may_write_the_report() -> bool:
        return not is_refused(lambda: job.patch("ConfigMap", report, namespace, {"binaryData": {"a": "YQ=="}}))

    wait_for(may_write_the_report, 30, "the Role does not name the run's report")
    secret = {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "mine", "namespace": namespace}}
    assert is_refused(lambda: job.create(secret, namespace))
    assert is_refused(lambda: job.create({**secret, "kind": "ConfigMap"}, namespace))
    assert is_refused(lambda: job.list("Secret", namespace))
    assert is_refused(lambda: job.take("Secret", "anthropic", namespace))
    assert is_refused(lambda: job.patch("Secret", "anthropic", namespace, {"data": {"api-key": "YQ=="}}))
    assert is_refused(lambda: job.delete("Secret", SLOT, namespace))

    kubeconfig = tmp_path / "job.kubeconfig"
    kubeconfig.write_text(json.dumps(server.config(token)))
    monkeypatch.setenv("KUBECONFIG", str(kubeconfig))
    async with await Kube.from_environment() as kube:
        ours, theirs = (Secrets(kube, namespace, "s", eval_set["uid"]) for _ in range(2))
        assert await ours.read() == await theirs.read() == []
        # Each fills all of it, and neither knows of the other: the API server's limit is in the way, and is minded.
        values = {number.to_bytes(34): Random(number).randbytes(SLOT_BYTES // 2 - 2000) for number in range(4 * SLOTS)}
        for number, (key, value) in enumerate(values.items()):
            await (ours, theirs)[number % 2].write(pack_batch({key: value}))
        found = [key for batch in await ours.read() for key in read_batch(batch)]
        assert set(found) <= set(values)
        assert len(found) == 2 * SLOTS
        await ours.clear()
        assert await theirs.read() == []


async def test_the_version_of_a_config_map_comes_without_its_content(
    server: ApiServer, admin: Client, namespace: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    body = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "items"}, "data": {"a": "x" * 900_000}}
    made = admin.create(body, namespace)
    kubeconfig = tmp_path / "admin.kubeconfig"
    kubeconfig.write_text(json.dumps(server.config(server.admin_token)))
    monkeypatch.setenv("KUBECONFIG", str(kubeconfig))
    async with await Kube.from_environment() as kube:
        assert await kube.version_of(CONFIG_MAPS, "items", namespace) == made["metadata"]["resourceVersion"]
        assert await kube.version_of(CONFIG_MAPS, "none", namespace) is None
