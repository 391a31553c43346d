"""Objects of which each is as dear to the API server as its kind can be, and ordinary ones of as many bytes."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable
from typing import Any

from tests.apiserver.objects import SPEC, deployment

Object = dict[str, Any]
BYTES = 600_000
"""Of each object, about; what is less has its definition's limits against it."""


def _request(name: str, **fields: Any) -> Object:
    return deployment(name, request=copy.deepcopy(SPEC["request"]) | fields)


def _tools(name: str, schema: Object, count: int = 128) -> Object:
    tools = [{"name": f"t{n}", "input_schema": {"type": "object", **schema}} for n in range(count)]
    return _request(name, tools=tools)


def _keys(count: int) -> Object:
    return {f"k{n}": {} for n in range(count)}


def _eval_set(name: str, tests: list[Object]) -> Object:
    metadata = {"name": name}
    body = {"apiVersion": "claudeops.dev/v1alpha1", "kind": "ClaudeEvalSet", "metadata": metadata}
    return {**body, "spec": {"tests": tests}}


def _item(number: int, **fields: Any) -> Object:
    return {"id": str(number), "input": "x", "assert": [{"type": "is-json"}], **fields}


def _config_map(name: str, text: str) -> Object:
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name}, "data": {"text": text}}


def _toolsets(name: str) -> Object:
    servers = [{"type": "url", "name": f"s{n}", "url": "https://example.com"} for n in range(20)]
    sets = [{"type": "mcp_toolset", "mcp_server_name": f"s{n}"} for n in range(20)]
    own = [{"name": f"t{n}", "input_schema": {"type": "object"}} for n in range(108)]
    return _request(name, mcp_servers=servers, tools=[*own, *sets], betas=["mcp-client-2025-11-20"])


def _subagents(name: str) -> Object:
    tools = _tools(name, {})["spec"]["request"]["tools"]
    return deployment(name, subagents={f"a{n}": {"request": {"tools": tools}} for n in range(32)})


def _lists(name: str) -> Object:
    """All lists of a spec that have entries with rules of their own, full."""
    steps = [{"bake": {"minDuration": "1m", "maxDuration": "2m"}} for _ in range(50)]
    metrics = [{"name": f"m{n}", "prometheus": {"query": "x" * 8_000}, "threshold": {"max": 1.0}} for n in range(32)]
    canary = {"steps": steps, "analysis": {"interval": "5s", "metrics": metrics}}
    env = [{"name": f"E{n}", "valueFrom": {"secretKeyRef": {"name": "s", "key": "k"}}} for n in range(64)]
    budgets = [{"surface": f"s{n}", "metric": "duration", "percentile": 95, "max": "1s"} for n in range(32)]
    return deployment(name, strategy={"canary": canary}, env=env, budgets=budgets)


KINDS: dict[str, Callable[[str], Object]] = {
    "a small ClaudeDeployment": deployment,
    "a ConfigMap of text": lambda name: _config_map(name, "word " * (BYTES // 5)),
    "a system prompt": lambda name: _request(name, system=[{"type": "text", "text": "word " * (BYTES // 5)}]),
    "128 tools with text in their schemas": lambda name: _tools(name, {"description": "word " * (BYTES // 128 // 5)}),
    "128 tools with [{}, {}, ...] in their schemas": lambda name: _tools(name, {"x": [{}] * (BYTES // 128 // 4)}),
    "128 tools with {k0: {}, ...} in their schemas": lambda name: _tools(name, {"x": _keys(BYTES // 128 // 12)}),
    "128 tools with as many values as they may have": lambda name: _tools(
        name, {"x": [{}] * 70, "description": "word " * (BYTES // 128 // 5 - 100)}
    ),
    "a field with as many values as it may have, far down": lambda name: _request(
        name, extra={f"k{n}": json.loads("[" * 15 + "]" * 15) for n in range(620)}
    ),
    "a field with as many values as it may have, in long lists": lambda name: _request(
        name, extra={f"k{n}": [{}] * 1_000 for n in range(9)}
    ),
    "a field with 9,000 long keys": lambda name: _request(
        name, extra={f"k{n}": {f"{m:050}": {} for m in range(1_000)} for n in range(9)}
    ),
    "a field with as many long keys as it may have": lambda name: _request(
        name, extra={f"k{n}": {f"{m:064}": {} for m in range(900)} for n in range(2)}
    ),
    "20 MCP servers and their toolsets": _toolsets,
    "32 subagents with 128 tools each": _subagents,
    "all lists full": _lists,
    "metadata with many keys": lambda name: _request(name, metadata=_keys(BYTES // 14)),
    "an unknown field with many keys": lambda name: _request(name, extra=_keys(BYTES // 14)),
    "an unknown field with a long list": lambda name: _request(name, extra=[{}] * (BYTES // 4)),
    "an eval set of 200 long items": lambda name: _eval_set(name, [_item(n, input="x" * 3_000) for n in range(200)]),
    "an eval set of 200 items with 200 asserts each": lambda name: _eval_set(
        name, [_item(n, **{"assert": [{"type": "is-json"}] * 200}) for n in range(200)]
    ),
    "an eval set of 200 nested conversations": lambda name: _eval_set(
        name,
        [
            {"id": str(n), "messages": [{"role": "user", "x": [{}] * 700}], "assert": [{"type": "is-json"}]}
            for n in range(200)
        ],
    ),
    "an eval set of regular expressions": lambda name: _eval_set(
        name,
        [_item(n, **{"assert": [{"type": "regex", "value": "(x?y*){1,9}" * 270}]}) for n in range(200)],
    ),
}


def size(body: Object) -> int:
    """Bytes of an object as JSON."""
    return len(json.dumps(body, separators=(",", ":")))
