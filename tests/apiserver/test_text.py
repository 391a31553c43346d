"""Every kind of text in every string of the API goes through the real API server and comes back equal."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from tests.apiserver.objects import SPEC, deployment
from tests.apiserver.schemas import filled, schemas, strings
from tests.apiserver.server import ApiServer

from claude_operator.kube.client import Kube, Object
from claude_operator.kube.resources import (
    BY_KIND,
    CLAUDE_DEPLOYMENTS,
    CLAUDE_EVAL_RUNS,
    CLAUDE_MODELS,
    CLAUDE_REVISIONS,
    CONFIG_MAPS,
)
from claude_operator.shell.events import Recorder

STRANGE = "\x00\x01\t\n\r\x1b\x7f\x80\x85\x9f\xa0\xad\u2028\u2029\u200b\ufeff\ufffd\ufffe\uffff\U0001f600\U0010ffff"
WORDS = [
    "---",
    "...",
    "null",
    "~",
    "yes",
    "0x1F",
    "1e9",
    ": ",
    " #",
    "'\"",
    "\\",
    "\\u0041",
    "%YAML",
    "&a *a !!b",
    "<<",
    "? ",
]
TEXTS = st.lists(
    st.characters(exclude_categories=["Cs"]) | st.sampled_from(STRANGE) | st.sampled_from(WORDS),
    min_size=1,
    max_size=40,
).map("".join)
# bytes for each text, so that an object with one in every string is half as large as etcd takes
ROOM = 700_000 // len(list(strings(filled(schemas("status")["ClaudeDeployment"], "x"))))
REVISION: Object = {
    "apiVersion": "claudeops.dev/v1alpha1", "kind": "ClaudeRevision", "metadata": {"name": "r"},
    "spec": {"request": {"model": "m", "max_tokens": 1}},
}  # fmt: skip
MODEL: Object = {
    "apiVersion": "claudeops.dev/v1alpha1", "kind": "ClaudeModel", "metadata": {"name": "strange"},
    "spec": {"id": "strange", "state": "Active"},
}  # fmt: skip
RUN: Object = {
    "apiVersion": "claudeops.dev/v1alpha1", "kind": "ClaudeEvalRun", "metadata": {"name": "e"},
    "spec": {"revision": "r", "setRef": "s", "setHash": "h"},
}  # fmt: skip


def run(main: Coroutine[Any, Any, None]) -> None:
    async def whole() -> None:
        await main
        await asyncio.sleep(0.02)  # closed connections of TLS end

    asyncio.run(whole())


def same(left: Any, right: Any) -> bool:
    """Whether the strings of one are those of the other, in order of the fields' names."""
    return sorted(strings(left)) == sorted(strings(right))


def test_a_long_prompt_of_strange_characters(environment: None, namespace: str) -> None:
    text = "\u2028é😀" * 60_000  # 540 KB, 780 KB as it is sent

    async def main() -> None:
        async with await Kube.from_environment() as kube:
            body = deployment(request={**SPEC["request"], "system": [{"type": "text", "text": text}]})
            body["metadata"]["namespace"] = namespace
            await kube.apply(CLAUDE_DEPLOYMENTS, body, field_manager="test")
            found = await kube.get(CLAUDE_DEPLOYMENTS, "support", namespace)
            assert found is not None
            assert found["spec"]["request"]["system"][0]["text"] == text

    run(main())


async def write_everywhere(kube: Kube, namespace: str, text: str) -> None:
    """Write the text as the operator and the eval Job write, and read it back each time."""
    tools = [{"name": "look", "description": text, "input_schema": {"type": "object", "description": text}}]
    request = {**SPEC["request"], "system": [{"type": "text", "text": text}], "tools": tools}
    body = deployment(request=request)
    body["metadata"] |= {"namespace": namespace, "annotations": {"example.com/note": text}}
    await kube.apply(CLAUDE_DEPLOYMENTS, body, field_manager="test")
    found = await kube.get(CLAUDE_DEPLOYMENTS, "support", namespace)
    assert found is not None
    assert found["spec"]["request"] == request
    assert found["metadata"]["annotations"] == {"example.com/note": text}
    config: Object = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "c", "namespace": namespace}}
    await kube.apply(CONFIG_MAPS, {**config, "data": {"config.json": text}}, field_manager="test")
    found = await kube.get(CONFIG_MAPS, "c", namespace)
    assert found is not None
    assert found["data"] == {"config.json": text}
    for resource, name in ((CLAUDE_DEPLOYMENTS, "support"), (CLAUDE_EVAL_RUNS, "e"), (CLAUDE_REVISIONS, "r")):
        status = filled(schemas("status")[resource.kind], text)
        assert text in set(strings(status)) or len(text) > 1000
        metadata = {"name": name, "namespace": namespace}
        applied = {"apiVersion": resource.api_version, "kind": resource.kind, "metadata": metadata, "status": status}
        await kube.apply(resource, applied, field_manager="test", subresource="status")
        found = await kube.get(resource, name, namespace)
        assert found is not None
        assert same(found["status"], status)
        await kube.patch_status(resource, name, namespace, status)  # as eval results are written
        found = await kube.get(resource, name, namespace)
        assert found is not None
        assert same(found["status"], status)


async def prepare(kube: Kube, namespace: str) -> None:
    for body in (REVISION, RUN, MODEL):
        resource = BY_KIND[body["kind"]]
        metadata = {**body["metadata"], **({"namespace": namespace} if resource.namespaced else {})}
        await kube.apply(resource, {**body, "metadata": metadata}, field_manager="test")


@pytest.fixture
def environment(server: ApiServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KUBECONFIG", str(server.kubeconfig))
    monkeypatch.delenv("KUBERNETES_SERVICE_HOST", raising=False)


def test_every_text_comes_back_equal(environment: None, namespace: str) -> None:
    @settings(max_examples=40, suppress_health_check=list(HealthCheck))
    @given(TEXTS)
    @example("Be kind. 😀")
    @example(STRANGE)
    @example("".join(WORDS))
    @example("  leading, trailing and    inner  ")
    @example("é" * (ROOM // 2))
    @example("\u2028" * (ROOM // 3))
    def check(text: str) -> None:
        async def main() -> None:
            async with await Kube.from_environment() as kube:
                await prepare(kube, namespace)
                await write_everywhere(kube, namespace, text)

        run(main())

    check()


def test_a_models_status_and_an_events_note(environment: None, server: ApiServer, namespace: str) -> None:
    emitted: list[str] = []

    async def main() -> None:
        async with await Kube.from_environment() as kube:
            await prepare(kube, namespace)
            status = filled(schemas("status")["ClaudeModel"], STRANGE)
            await kube.patch_status(CLAUDE_MODELS, "strange", None, status)
            found = await kube.get(CLAUDE_MODELS, "strange")
            assert found is not None
            assert same(found["status"], status)
            await kube.delete(CLAUDE_MODELS, "strange")
            run = await kube.get(CLAUDE_EVAL_RUNS, "e", namespace)
            assert run is not None
            recorder = Recorder(kube, instance="one", on_emit=emitted.append)
            for note in (STRANGE, "lone \ud83d", "😀" * 2000):
                await recorder.emit(run, type="Normal", reason="Said", note=note, action="Said")

    run(main())
    notes = [one["note"] for one in server.admin().list("Event", namespace)]
    assert emitted == ["Said"] * 3
    assert set(notes) == {STRANGE, "lone ?", "😀" * 255 + "…"}


def test_a_lone_surrogate_is_stored_as_a_replacement(environment: None, namespace: str) -> None:
    async def main() -> None:
        async with await Kube.from_environment() as kube:
            metadata = {"name": "c", "namespace": namespace}
            body: Object = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, "data": {"a": "x\ud83dy"}}
            await kube.apply(CONFIG_MAPS, body, field_manager="test")
            found = await kube.get(CONFIG_MAPS, "c", namespace)
            assert found is not None
            assert found["data"] == {"a": "x\ufffdy"}

    run(main())
