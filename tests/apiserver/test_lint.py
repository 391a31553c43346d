"""`kubectl claude lint` beside a real API server: it refuses what that refuses, and asks it what is live."""

from __future__ import annotations

import copy
import datetime as dt
import os
import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from tests.apiserver.client import KINDS, ApiError, Client
from tests.apiserver.objects import deployment
from tests.apiserver.process import rendered
from tests.apiserver.server import ApiServer, environment
from tests.apiserver.test_people import bind
from tests.core.lint.test_schema import LET_IN, REFUSED
from tests.plugin import Plugin

from claude_operator.api.kinds import KINDS as OURS
from claude_operator.api.kinds import object_schema
from claude_operator.core.lint.schema import schema_faults
from claude_operator.core.usage.cache import CacheUsage, Entry, Sums
from claude_operator.core.usage.state import Usages, encode

Object = dict[str, Any]
ROOT = Path(__file__).parents[2]
SCHEMAS = {kind.kind: object_schema(kind) for kind in OURS}
_MUTATIONS = 600
_VALUES: tuple[Any, ...] = (
    None, None, True, 0, -1, 1.5, 10**7, "", "x", "1h", "soon", "a b", "0.5%", "$(A)", "https://a.b", [], {}, [{}],
    {"a": 1},
)  # fmt: skip


def refused(admin: Client, value: Object, namespace: str) -> str:
    """What the API server says against an object, empty where it would take it."""
    body = copy.deepcopy(value)
    body["metadata"].pop("namespace", None)
    path = KINDS[body["kind"]].path(namespace if KINDS[body["kind"]].namespaced else None)
    try:
        admin.call("POST", path, {"dryRun": "All", "fieldValidation": "Strict"}, body)
    except ApiError as error:
        return str(error)
    return ""


@pytest.mark.parametrize("value", LET_IN)
def test_the_server_takes_what_lint_lets_in(value: Object, admin: Client, namespace: str) -> None:
    assert refused(admin, value, namespace) == ""


@pytest.mark.parametrize(("value", "check", "path", "said"), REFUSED)
def test_the_server_refuses_what_lint_refuses(
    value: Object, check: str, path: str, said: str, admin: Client, namespace: str
) -> None:
    found = refused(admin, value, namespace)
    assert found
    if check == "schema-rule":  # the rules are the same, word for word
        assert said in found


def places(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """The path of every value below `spec`."""
    for key, one in value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ():
        yield (*path, key)
        yield from places(one, (*path, key))


def mutated(body: Object, draw: random.Random) -> Object:
    """With one to three values that are others, gone, doubled or swapped with another's."""
    found = copy.deepcopy(body)
    for _ in range(draw.randint(1, 3)):
        paths = list(places(found["spec"]))
        if not paths:
            break
        *path, last = draw.choice(paths)
        holder = found["spec"]
        for step in path:
            holder = holder[step]
        match draw.randrange(5):
            case 0:
                del holder[last]
            case 1 if isinstance(holder, list):
                holder.append(copy.deepcopy(holder[last]))
            case 2 if isinstance(holder, dict):
                holder[draw.choice(("unknown", f"{last}s", "name", "type"))] = copy.deepcopy(holder[last])
            case _:
                holder[last] = copy.deepcopy(draw.choice(_VALUES))
    return found


def seeds() -> list[Object]:
    """Objects with many fields: the examples, and one that has all that has rules."""
    files = sorted((ROOT / "examples").rglob("*.yaml"))
    documents = [one for file in files for one in yaml.safe_load_all(file.read_text()) if one]
    full = deployment(
        env=[{"name": "A", "valueFrom": {"secretKeyRef": {"name": "s", "key": "k"}}}],
        subagents={"scout": {"request": {"model": "claude-haiku-5-5", "max_tokens": 9}}},
        promptFrom=[{"configMapKeyRef": {"name": "p", "key": "k"}, "cache_control": {"type": "ephemeral"}}],
        budgets=[{"surface": "chat", "metric": "duration", "max": "8s"}],
        budget={"monthlyUSD": "2000"},
    )
    full["spec"]["request"] |= {
        "betas": ["mcp-client-2025-11-20"],
        "tools": [
            {"name": "a", "input_schema": {"type": "object"}, "cache_control": {"type": "ephemeral", "ttl": "1h"}},
            {"type": "mcp_toolset", "mcp_server_name": "m"},
        ],
        "mcp_servers": [{"type": "url", "name": "m", "url": "https://e.com", "authorization_token": "$(A)"}],
    }
    return [full, *(one for one in documents if one.get("kind") in ("ClaudeDeployment", "ClaudeEvalSet"))]


def test_the_verdict_on_changed_objects_is_the_servers(admin: Client, namespace: str) -> None:
    draw, bodies = random.Random(15), seeds()
    for one in bodies:
        assert refused(admin, one, namespace) == ""
    verdicts, differ = {True: 0, False: 0}, []
    for _ in range(_MUTATIONS):
        body = mutated(draw.choice(bodies), draw)
        said, faults = refused(admin, body, namespace), schema_faults(SCHEMAS[body["kind"]], body)
        verdicts[bool(said)] += 1
        if bool(said) != bool(faults):
            differ.append((said, faults, body["spec"]))
    assert not differ, f"{len(differ)} differ: {differ[:3]}"
    assert min(verdicts.values()) > _MUTATIONS / 10


# ------------------------------------------------------------------------------------------------- what is live


@pytest.fixture
def plugin(server: ApiServer, namespace: str, tmp_path: Path) -> Iterator[Plugin]:
    path = f"{Path(server.kubectl[0]).parent}:{os.environ['PATH']}"
    found = Plugin(tmp_path / "bin", namespace, environment(server.kubeconfig, {"HOME": str(tmp_path)}), path)
    yield found
    found.end_all()


def recorded(obj: Object, calls: int, cached: int) -> Object:
    """What the operator would have kept of the last hour."""
    now = int(dt.datetime.now(dt.UTC).timestamp())
    entry = Entry("support-1", "chat", "p", Sums(calls, calls * cached, calls * cached, 0))
    owner = {
        "apiVersion": obj["apiVersion"], "kind": "ClaudeDeployment", "controller": True,
        "name": "support", "uid": obj["metadata"]["uid"],
    }  # fmt: skip
    data = encode(Usages(cache=CacheUsage(slots={now // 600 * 600: (entry,)})))
    metadata = {"name": "support-usage", "ownerReferences": [owner]}
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, "binaryData": data}


def test_a_viewer_is_told_what_an_edit_costs_in_live_sessions(
    admin: Client, namespace: str, plugin: Plugin, programs: Path, tmp_path: Path
) -> None:
    for one in rendered(programs / "helm", "claude-system"):
        if one["kind"] == "ClusterRole" and one["metadata"]["name"].endswith("-view"):
            admin.apply(one)
    bind(admin, namespace, "vera", "system:aggregate-to-view", "claude-operator-view")
    prompt = [{"configMapKeyRef": {"name": "prompts", "key": "main"}}]
    request = {"model": "claude-opus-5-5", "max_tokens": 64, "cache_control": {"type": "ephemeral"}}
    texts = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "prompts"}, "data": {"main": "Help. " * 999}}
    admin.create(texts, namespace)
    obj = admin.create(deployment(request=request, promptFrom=prompt), namespace)
    new = tmp_path / "new.yaml"

    def write(text: str, **fields: Any) -> None:
        wanted = deployment(request={**request, **fields}, promptFrom=prompt)
        new.write_text(yaml.safe_dump_all([wanted, {**texts, "data": {"main": text}}]))

    write("Help at once. " * 999)
    words = ("lint", "-f", str(new), "--against", "live")
    assert "and what is cached of the conversation, in each live session" in plugin.run(*words)
    assert "the operator has recorded nothing yet" in plugin.run(*words)
    admin.create(recorded(obj, 1_200, 41_000), namespace)
    admin.patch(
        "ClaudeDeployment", "support", namespace, {"status": {"stableRevision": "support-1"}}, subresource="status"
    )
    said = plugin.run(*words, "--as=vera")
    assert (
        "rewrites 41k cached tokens in each of at most 1,200 live sessions: 49.2M tokens, about $236 once on"
        " claude-opus-5-5" in said
    )
    assert "(spec.promptFrom[0])" in said
    assert "each of 10 live sessions: 410k tokens" in plugin.run(*words, "--sessions=10")
    write("Help. " * 999)
    assert "nothing that is cached is written again" in plugin.run(*words)
    write("Help. " * 999, temperature=0.5)
    assert "spec.request.temperature" in plugin.run(*words, code=1)
    assert "there is no ClaudeRevision support-9" in plugin.run("lint", "-f", str(new), "--against=support-9", code=1)


def test_an_edit_against_a_revision(admin: Client, namespace: str, plugin: Plugin, tmp_path: Path) -> None:
    request = {"model": "claude-opus-5-5", "max_tokens": 64, "cache_control": {"type": "ephemeral"}}
    system = [{"type": "text", "text": "Help. " * 999}]
    revision = {
        "apiVersion": "claudeops.dev/v1alpha1",
        "kind": "ClaudeRevision",
        "metadata": {"name": "support-1"},
        "spec": {"request": {**request, "system": system}},
    }
    admin.create(revision, namespace)
    new = tmp_path / "new.yaml"
    new.write_text(yaml.safe_dump(deployment(request={**request, "system": system})))
    words = ("lint", "-f", str(new), "--against=support-1")
    assert "nothing that is cached is written again" in plugin.run(*words)
    new.write_text(yaml.safe_dump(deployment(request={**request, "system": system, "model": "claude-sonnet-5-5"})))
    facts = plugin.facts(*words)
    ((edit,), (rewrite,)) = facts["edits"], facts["edits"][0]["rewrites"]
    assert (edit["against"], rewrite["model"], rewrite["tokens"]) == ("support-1", "claude-sonnet-5-5", None)
    assert rewrite["tokensEach"] > 1_500
