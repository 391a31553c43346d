"""What is wrong with a spec beyond the API server's own checks, each message word for word."""

from __future__ import annotations

import datetime as dt
from pathlib import Path
from typing import Any

import pytest
import yaml

from claude_operator.api.conditions import Reason
from claude_operator.api.deployment import DeploymentSpec, Step
from claude_operator.core.catalogue.table import Model
from claude_operator.core.spec.validate import problems, warning

TODAY = dt.date(2026, 11, 24)
EXAMPLES = Path(__file__).parents[3] / "examples"
KEY = {"name": "anthropic", "key": "api-key"}


def spec(request: dict[str, Any] | None = None, **fields: Any) -> DeploymentSpec:
    base = {"model": "claude-opus-5-5", "max_tokens": 2048}
    upstream = {"apiKeySecretRef": KEY, **fields.pop("upstream", {})}
    return DeploymentSpec.model_validate({"request": base | (request or {}), "upstream": upstream, **fields})


def messages(reason: Reason, request: dict[str, Any] | None = None, **fields: Any) -> list[str]:
    found = problems(spec(request, **fields), today=TODAY)
    assert {problem.reason for problem in found} <= {reason}
    return [problem.message for problem in found]


def steps(*entries: dict[str, Any]) -> dict[str, Any]:
    return {"strategy": {"canary": {"steps": list(entries)}}}


def subagent(**request: Any) -> dict[str, Any]:
    return {"subagents": {"helper": {"request": request}}}


def prompt(ttl: str | None = None, key: str = "a") -> dict[str, Any]:
    control = {"cache_control": {"type": "ephemeral", "ttl": ttl}} if ttl else {}
    return {"configMapKeyRef": {"name": "prompts", "key": key}, **control}


def block(ttl: str) -> dict[str, Any]:
    return {"type": "text", "text": "x", "cache_control": {"type": "ephemeral", "ttl": ttl}}


@pytest.mark.parametrize("path", sorted(EXAMPLES.rglob("claudedeployment*.yaml")), ids=lambda path: path.parent.name)
def test_the_examples_are_accepted(path: Path) -> None:
    documents = [one for one in yaml.safe_load_all(path.read_text()) if one["kind"] == "ClaudeDeployment"]
    assert documents
    for document in documents:
        assert problems(DeploymentSpec.model_validate(document["spec"]), today=TODAY) == []


VALID = [
    {},
    {"promptFrom": [prompt("1h"), prompt("5m", "b")]},
    {"env": [{"name": "A", "valueFrom": {"secretKeyRef": {"name": "docs.example", "key": "TOKEN_1.x"}}}]},
    {"evals": {"setRef": {"name": "support-evals"}}},
    {"upstream": {"baseURL": "http://simulator.claude-system.svc:8081/base"}},
    {"upstream": {"timeouts": {"connect": "500ms", "idle": "20m", "total": "1h30m"}}},
    {
        "gateway": {
            "resources": {"requests": {"cpu": "100m", "memory": "64Mi"}, "limits": {"cpu": 0.1, "memory": "64Mi"}}
        }
    },
    {"gateway": {"resources": {"limits": {"example.com/gpu": 1, "hugepages-2Mi": "1e3", "ephemeral-storage": "1Gi"}}}},
    steps(),
    steps({"setWeight": 0.01}, {"bake": {"minDuration": "1m", "maxDuration": "60s"}}, {"pause": {}}),
    steps({"bake": {"minRequests": 0}}, {"setWeight": 99.99}, {"bake": {}}),
    steps({"pause": {"duration": "8760h"}}, {"setWeight": 100}),
]


@pytest.mark.parametrize("fields", VALID)
def test_valid(fields: dict) -> None:
    assert problems(spec(**fields), today=TODAY) == []


INVALID = [
    (
        {"promptFrom": [prompt(key="b"), prompt(), prompt()]},
        "spec.promptFrom: key a of ConfigMap prompts is listed 2 times: name each key once",
    ),
    (
        {"promptFrom": [{"configMapKeyRef": {"name": "../secrets", "key": "a"}}]},
        "spec.promptFrom[0].configMapKeyRef.name: '../secrets' is not the name of an object: write lower case letters,"
        " digits,"
        " - and .",
    ),
    (
        {"upstream": {"apiKeySecretRef": {"name": "anthropic", "key": "api/key"}}},
        "spec.upstream.apiKeySecretRef.key: 'api/key' is not a key: write letters, digits, -, _ and .",
    ),
    (
        {"env": [{"name": "A", "valueFrom": {"secretKeyRef": {"name": "Docs", "key": "a"}}}]},
        "spec.env[0].valueFrom.secretKeyRef.name: 'Docs' is not the name of an object: write lower case letters,"
        " digits, -"
        " and .",
    ),
    (
        {"evals": {"setRef": {"name": "my set"}}},
        "spec.evals.setRef.name: 'my set' is not the name of an object: write lower case letters, digits, - and .",
    ),
    (
        {"upstream": {"timeouts": {"total": "0s"}}},
        "spec.upstream.timeouts.total: 0s makes every request fail: write for example 5s or 10m",
    ),
    (
        steps({"setWeight": 1}, {"bake": {"minDuration": "30m", "maxDuration": "10m"}}),
        "spec.strategy.canary.steps[1].bake.maxDuration: 10m is shorter than minDuration 30m: raise maxDuration or"
        " lower minDuration",
    ),
    (
        steps({"pause": {"duration": "99999999999999999999h"}}),
        "spec.strategy.canary.steps[0].pause.duration: 99999999999999999999h is more than a year: write 8760h or less",
    ),
    (
        {"strategy": {"canary": {"analysis": {"interval": "8761h"}}}},
        "spec.strategy.canary.analysis.interval: 8761h is more than a year: write 8760h or less",
    ),
    (
        {"strategy": {"canary": {"soak": {"duration": "99999999999999999999h"}}}},
        "spec.strategy.canary.soak.duration: 99999999999999999999h is more than a year: write 8760h or less",
    ),
    (
        {"strategy": {"canary": {"rollbackWindow": {"duration": "0s"}}}},
        "spec.strategy.canary.rollbackWindow.duration: must be longer than 0: write for example 1h",
    ),
    (
        {"strategy": {"canary": {"analysis": {"warmup": "8761h"}}}},
        "spec.strategy.canary.analysis.warmup: 8761h is more than a year: write 8760h or less",
    ),
    (
        {"strategy": {"canary": {"analysis": {"toleratedIncrease": "0.0%"}}}},
        "spec.strategy.canary.analysis.toleratedIncrease: no amount of traffic can show an increase of 0: write for"
        " example 0.5%, or 100% to ask for no proof",
    ),
    (
        steps({"setWeight": 0}, {"bake": {}}, {"setWeight": 10}),
        "spec.strategy.canary.steps[1].bake: it waits for 100 requests while the canary gets none: put a setWeight"
        " above 0 before it, or write minRequests: 0",
    ),
    (
        {"gateway": {"resources": {"limits": {"memory": "256 MB"}}}},
        "spec.gateway.resources.limits.memory: '256 MB' is not a quantity: write for example 100m, 0.5, 256Mi or 1Gi",
    ),
    (
        {"gateway": {"resources": {"requests": {"cpu": 2}, "limits": {"cpu": "1900m"}}}},
        "spec.gateway.resources.requests.cpu: 2 is more than the limit: lower it, or raise"
        " gateway.resources.limits.cpu",
    ),
    (
        {"gateway": {"resources": {"requests": {"memory": "1Gi"}, "limits": {"memory": "1000M"}}}},
        "spec.gateway.resources.requests.memory: 1Gi is more than the limit: lower it, or raise"
        " gateway.resources.limits.memory",
    ),
    (
        {"gateway": {"resources": {"requests": {"cpus": 1}}}},
        "spec.gateway.resources.requests.cpus: is not a resource: write cpu, memory or ephemeral-storage",
    ),
    (
        {"upstream": {"baseURL": "https://api.anthropic.com/v1/"}},
        "spec.upstream.baseURL: /v1/messages is put after it: remove /v1 and what follows",
    ),
    (
        {"upstream": {"baseURL": "https://user:word@proxy.example"}},
        "spec.upstream.baseURL: it has a user or password: remove them, the key belongs in upstream.apiKeySecretRef",
    ),
    (
        {"upstream": {"baseURL": "https://proxy.example/?to=claude"}},
        "spec.upstream.baseURL: it has a ? or a #: remove what follows, the path of a request is put after it",
    ),
    *(
        (
            {"upstream": {"baseURL": url}},
            "spec.upstream.baseURL: it has no valid host and port: write for example https://api.anthropic.com",
        )
        for url in ("https://:443", "https://host:port", "https://host:99999", "http://[::1")
    ),
]


@pytest.mark.parametrize(("fields", "message"), INVALID)
def test_invalid_spec(fields: dict, message: str) -> None:
    assert messages(Reason.INVALID_SPEC, **fields) == [message]


def test_a_weight_finer_than_a_cohort() -> None:
    """The schema refuses it too; a spec may have been stored before the schema did."""
    fine = spec()
    canary = fine.strategy.canary.model_copy(update={"steps": [Step.model_construct(set_weight=0.125)]})
    fine = fine.model_copy(update={"strategy": fine.strategy.model_copy(update={"canary": canary})})
    assert [problem.message for problem in problems(fine, today=TODAY)] == [
        "spec.strategy.canary.steps[0].setWeight: 0.125 is too fine: write 0.12"
    ]


@pytest.mark.parametrize("weight", [0.01, 0.07, 0.29, 1.1, 33.33, 57.97, 99.99])
def test_hundredths_are_weights(weight: float) -> None:
    assert problems(spec(**steps({"setWeight": weight})), today=TODAY) == []


CACHE = (
    "cache_control: 5 breakpoints over tools, promptFrom, system and the top level, the API takes 4: keep those at the"
    " end of the longest prefixes that stay the same"
)
ORDER = (
    "cache_control: ttl 1h comes after 5m, in the order tools, promptFrom, system, top level: give the earlier ones"
    " 1h or the later ones 5m"
)
OLD = "claude-haiku-4-5-20251001"
REQUESTS = [
    (
        {"max_tokens": 200_000},
        {},
        "request.max_tokens: 200000 is more than claude-opus-5-5 gives: write 128000 or less",
    ),
    (
        {"model": "claude-opus-5-5-20260922"},
        {},
        "request.model: claude-opus-5-5-20260922 does not exist, from Claude 4.6 on an id has no date: write"
        " claude-opus-5-5",
    ),
    ({"system": [block("1h")] * 4}, {"promptFrom": [prompt("1h")]}, f"request.{CACHE}"),
    ({"system": [block("1h")]}, {"promptFrom": [prompt("5m")]}, f"request.{ORDER}"),
    # What a subagent inherits is judged by its own model.
    (
        {"max_tokens": 100_000},
        subagent(model=OLD),
        f"subagents.helper.request.max_tokens: 100000 is more than {OLD} gives: write 64000 or less",
    ),
    (
        {"output_config": {"effort": "high"}},
        subagent(model=OLD),
        f"subagents.helper.request.output_config.effort: {OLD} does not take it: remove it",
    ),
    (
        {"model": OLD, "temperature": 0.2},
        subagent(model="claude-opus-5-5"),
        "subagents.helper.request.temperature: claude-opus-5-5 refuses it: remove it, and steer with system or"
        " output_config.effort",
    ),
    (
        {},
        subagent(tool_choice={"type": "any"}, tools=[{"name": "a", "input_schema": {"type": "object"}}]),
        "subagents.helper.request.tool_choice.type: claude-opus-5-5 does not take 'any': write auto, and ask for the"
        " tool in system",
    ),
    (
        {},
        subagent(inference_geo="mars"),
        "subagents.helper.request.inference_geo: 'mars' is not one of its values: write us or global",
    ),
    (
        {"betas": ["mcp-client-2025-11-20"]},
        subagent(mcp_servers=[{"type": "url", "name": "docs", "url": "https://mcp.example.com"}]),
        "subagents.helper.request.tools: MCP server 'docs' has 0 toolsets: write {type: mcp_toolset, mcp_server_name:"
        " docs} exactly once",
    ),
    # The prompts of ConfigMaps go with the request's system, tools that the subagent adds stand before them.
    (
        {},
        subagent(tools=[{"name": "a", "input_schema": {"type": "object"}, "cache_control": {"type": "ephemeral"}}])
        | {"promptFrom": [prompt("1h")]},
        f"subagents.helper.request.{ORDER}",
    ),
    # Shapes that the schema knows of the request only.
    (
        {},
        subagent(system="You are brief."),
        "subagents.helper.request.system: has the wrong shape: write a list of text blocks: [{type: text, text: ...}]",
    ),
    ({}, subagent(system=[{"type": "text"}]), "subagents.helper.request.system[0].text: Field required"),
    (
        {},
        subagent(betas="a-1"),
        "subagents.helper.request.betas: has the wrong shape: write a list: [mcp-client-2025-11-20]",
    ),
    (
        {},
        subagent(max_tokens="2048"),
        "subagents.helper.request.max_tokens: has the wrong shape: write a whole number: 2048",
    ),
    (
        {},
        subagent(tools=[{"name": "a b", "input_schema": {"type": "object"}}]),
        "subagents.helper.request.tools[0].name: is not a tool name: write 1 to 64 letters, digits, _ or -",
    ),
    (
        {},
        subagent(cache_control={"type": "ephemeral", "ttl": "2h"}),
        "subagents.helper.request.cache_control.ttl: Input should be '5m' or '1h'",
    ),
    ({}, subagent(messages=[]), "subagents.helper.request.messages: this field comes from the client: remove it"),
]


@pytest.mark.parametrize(("request_", "fields", "message"), REQUESTS)
def test_invalid_request(request_: dict, fields: dict, message: str) -> None:
    assert messages(Reason.INVALID_REQUEST, request_, **fields) == [f"spec.{message}"]


def test_a_subagents_own_system_stands_without_the_prompts_of_config_maps() -> None:
    fields = subagent(system=[block("1h")] * 4) | {"promptFrom": [prompt("5m")]}
    assert problems(spec(**fields), today=TODAY) == []


def test_what_a_subagent_only_inherits_is_told_once() -> None:
    found = messages(Reason.INVALID_REQUEST, {"inference_geo": "mars"}, **subagent(max_tokens=5))
    assert found == ["spec.request.inference_geo: 'mars' is not one of its values: write us or global"]


@pytest.mark.parametrize("model", ["claude-opus-9", "claude-2.1", "claude-opus-4-1", "claude-opus-4-1-20250805"])
def test_unknown_and_retired_models_are_no_problem_here(model: str) -> None:
    assert problems(spec({"model": model}, **subagent(model=model)), today=TODAY) == []


def test_fields_of_tomorrow_are_no_problem() -> None:
    fields = {"future": {"a": [1, None]}, "thinking": {"type": "adaptive", "future": 1}}
    assert problems(spec(fields, **subagent(**fields)), today=TODAY) == []


def test_the_clusters_own_models_hold_before_the_shipped_ones() -> None:
    own = {"claude-opus-5-5": Model(id="claude-opus-5-5", max_output_tokens=1000)}
    assert [problem.message for problem in problems(spec(), today=TODAY, models=own)] == [
        "spec.request.max_tokens: 2048 is more than claude-opus-5-5 gives: write 1000 or less"
    ]


def test_everything_wrong_is_told_at_once_the_spec_before_the_request() -> None:
    wrong = spec({"inference_geo": "mars"}, upstream={"timeouts": {"idle": "0s", "connect": "0s"}})
    assert [problem.reason for problem in problems(wrong, today=TODAY)] == [
        Reason.INVALID_SPEC,
        Reason.INVALID_SPEC,
        Reason.INVALID_REQUEST,
    ]


MARKED = {"type": "text", "text": "x", "cache_control": {"type": "ephemeral"}}
MARKED_TOOL = {"name": "a", "input_schema": {"type": "object"}, "cache_control": {"type": "ephemeral"}}


@pytest.mark.parametrize(
    ("overrides", "fields", "told"),
    [
        ({"system": "Append"}, {"request": {"system": [MARKED]}}, "system"),
        ({"system": "Append"}, {"promptFrom": [prompt("1h")]}, "system"),
        ({"system": "Append"}, subagent(system=[MARKED]), "system"),
        ({"tools": "Append"}, {"request": {"tools": [MARKED_TOOL]}}, "tools"),
        ({"tools": "Append"}, {"request": {"system": [MARKED]}}, "tools"),
        ({"system": "Append"}, {"request": {"tools": [MARKED_TOOL]}}, None),
        ({"system": "Append"}, {"promptFrom": [prompt()], "request": {"cache_control": {"type": "ephemeral"}}}, None),
        ({"system": "Prepend", "tools": "Prepend"}, {"request": {"system": [MARKED], "tools": [MARKED_TOOL]}}, None),
        (None, {"request": {"system": [MARKED]}}, None),
    ],
)
def test_a_breakpoint_behind_the_clients_part_is_warned_of(
    overrides: dict[str, str] | None, fields: dict[str, Any], told: str | None
) -> None:
    found = warning(spec(**fields, overrides=overrides))
    assert (found and found.message.partition(":")[0]) == (told and f"spec.overrides.{told}")


def test_a_drill_s_schedule_and_length_are_checked() -> None:
    valid = {"schedule": "0 10 * * 2", "mode": "Live", "weight": 1, "maxRequests": 5, "maxDuration": "10m"}
    assert messages(Reason.INVALID_SPEC, drill=valid) == []
    (found,) = messages(Reason.INVALID_SPEC, drill={"schedule": "0 25 * * 2"})
    assert found.startswith("spec.drill.schedule: the hour '25' is outside 0 to 23; write five fields, for example")
    for length in ("29s", "25h", "0s"):
        (found,) = messages(Reason.INVALID_SPEC, drill={"maxDuration": length})
        assert found == f"spec.drill.maxDuration: {length} is not between 30s and 24h; write for example 10m"
