"""What the chart's admission policies refuse, against the table of checks, on a real API server.

The policies are enforced with failurePolicy Fail: a rule that cannot be evaluated would show.
"""

from __future__ import annotations

import datetime as dt
import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from bench.apiserver.objects import KINDS
from tests.apiserver.admitting import (
    PLAIN,
    TODAY,
    changed,
    enforce,
    lift,
    overlaid,
    publish_models,
    refused,
    said,
    warnings,
)
from tests.apiserver.client import CRDS, Client, wait_for
from tests.apiserver.conftest import clear, new_namespace, started
from tests.apiserver.objects import SPEC, deployment
from tests.apiserver.server import ApiServer
from tests.core.catalogue.check_examples import FINDS
from tests.core.catalogue.check_examples import request as request_of
from tests.core.catalogue.test_checks import FAILS, PASSES
from tests.simulator.harness import running_simulator

from claude_operator.core.admission.table import BY_DEFINITION, ELSEWHERE, RULES
from claude_operator.core.catalogue.checks.check import CHECKS, Finding, Severity, check_request
from claude_operator.core.catalogue.lifecycle import Lifecycle, lifecycle_of, model_of

Object = dict[str, Any]
OLD, OLDER = "claude-sonnet-4-6", "claude-haiku-4-5-20251001"
BOOK = {"name": "book", "input_schema": {"type": "object"}}
THINKS = {"type": "enabled", "budget_tokens": 1500}
CONTRADICTIONS: list[tuple[str, Object]] = [
    (OLD, {"stop_sequences": ["  "]}),
    (OLD, {"stop_sequences": ["END", "\t\n"]}),
    (OLD, {"temperature": 0.3, "top_p": 0.9}),
    (OLDER, {"temperature": 0.2, "thinking": THINKS}),
    (OLDER, {"top_p": 0.5, "thinking": THINKS}),
    (OLDER, {"top_k": 5, "thinking": THINKS}),
    (OLD, {"tools": [{"type": "web_search", "name": "web_search"}]}),
    (OLDER, {"tools": [{"type": "web_search_20260318", "name": "web_search"}]}),
    (OLDER, {"tools": [{"type": "web_fetch_20260209", "name": "web_fetch"}]}),
    (OLD, {"tools": [BOOK | {"defer_loading": True}]}),
    (OLD, {"tools": [BOOK], "tool_choice": {"type": "maybe"}}),
    (OLD, {"tools": [BOOK], "tool_choice": {"name": "book"}}),
    (OLD, {"tools": [BOOK], "tool_choice": {"type": "tool", "name": "reserve"}}),
    (OLD, {"tool_choice": {"type": "any"}}),
    (OLD, {"tools": [BOOK], "tool_choice": {"type": "tool", "name": "book"}, "thinking": THINKS}),
    ("claude-opus-5-5", {"tools": [BOOK], "tool_choice": {"type": "any"}}),
    (OLD, {"container": {"skills": [{"type": "anthropic", "skill_id": "pptx"}]}}),
    (OLD, {"system": [{"type": "text", "text": "x", "cache_control": {"type": "lasting"}}]}),
    (OLD, {"cache_control": {"type": "ephemeral", "ttl": "2h"}}),
    (OLD, {"system": [{"type": "text", "text": ""}]}),
    (OLD, {"system": [{"type": "text", "text": "", "cache_control": {"type": "ephemeral"}}]}),
    (OLD, {"context_management": {"edits": [{"type": "clear_tool_uses_20250919"}]}}),
    (OLDER, {"betas": ["compact-2026-01-12"], "context_management": {"edits": [{"type": "compact_20260112"}]}}),
    (OLDER, {"betas": ["compact-2026-09-04"], "compaction": {"type": "summarize"}}),
    (OLDER, {"betas": ["task-budgets-2026-03-13"], "output_config": {"task_budget": {"total": 20_000}}}),
]
EXAMPLES = [{"model": model, "max_tokens": 2048, **fields} for model, fields, *_ in (*PASSES, *FAILS, *CONTRADICTIONS)]
NEVER_REJECT = {"onLegacy": "Ignore", "onDeprecated": "Ignore", "onRetired": "Ignore"}


@pytest.fixture(scope="module")
def modelled(programs: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[ApiServer]:
    """A server with the ClaudeModels of one day, which no operator changes."""
    server = started(programs, tmp_path_factory.mktemp("admission"))
    publish_models(server.admin())
    yield server
    server.stop()


@pytest.fixture(scope="module")
def strict(modelled: ApiServer, programs: Path) -> Iterator[tuple[Client, str]]:
    """A client, and a namespace in which the policies are in force."""
    admin = modelled.admin()
    namespace = new_namespace(admin, "strict")
    policies = enforce(admin, programs / "helm", namespace)
    yield admin, namespace
    lift(admin, policies)


def errors(request: Object) -> list[Finding]:
    """What the table refuses of a request."""
    found = check_request(model_of(str(request["model"])), request, today=TODAY)
    return [one for one in found if one.check_id in SPEC_ERRORS]


SPEC_ERRORS = [check.id for check in CHECKS if check.severity is Severity.ERROR and check.where not in ELSEWHERE]


@pytest.mark.parametrize("check", SPEC_ERRORS)
def test_every_error_is_refused_in_the_words_of_the_table(check: str, strict: tuple[Client, str]) -> None:
    example = FINDS[check]
    request = request_of(example.model, example.finds)
    for at, body in (("spec.request.", deployment(request=request)), ("spec.subagents.s.request.", overlaid(request))):
        why = said(strict[0], body, strict[1])
        if "ValidatingAdmissionPolicy" in why:
            assert check not in BY_DEFINITION
            assert why.endswith(f"denied request: {at}{example.message}")
        else:  # the definition comes first; some of its rules hold for the request alone
            assert " is invalid: " in why
            assert at == "spec.request." or check in BY_DEFINITION, why


@pytest.mark.parametrize("check", SPEC_ERRORS)
def test_the_nearest_request_without_the_error_is_taken(check: str, strict: tuple[Client, str]) -> None:
    example = FINDS[check]
    known = example.known if example.passes_known is None else example.passes_known
    overrides = {"tools": "Prepend"} if "tools" in known.get("client", ()) else {}
    request = request_of(example.model, example.passes)
    for body in (deployment(request=request), overlaid(request)):
        body["spec"] |= {"overrides": overrides, "lifecycle": NEVER_REJECT}
        assert not said(strict[0], body, strict[1])


def test_admission_refuses_what_the_table_refuses_and_nothing_else(strict: tuple[Client, str]) -> None:
    for request in EXAMPLES:
        expected = bool(errors(request))
        for body in (deployment(request=request), overlaid(request)):
            body["spec"]["lifecycle"] = NEVER_REJECT
            why = said(strict[0], body, strict[1])
            assert bool(why) == expected, (request, why)
            assert "resulted in error" not in why


async def test_the_simulator_refuses_what_admission_refuses(strict: tuple[Client, str]) -> None:
    """On the older of the API's two versions: what the newer refuses besides, a client's header decides. Fields that
    nobody knows may be new in the API, and admission lets them in."""
    every = [request_of(FINDS[check].model, FINDS[check].finds) for check in SPEC_ERRORS]
    async with running_simulator() as simulator:
        for request in (one for one in (*EXAMPLES, *every) if "a_field_of_tomorrow" not in one):
            body = overlaid(request)
            body["spec"]["lifecycle"] = NEVER_REJECT
            taken = not said(strict[0], body, strict[1])
            betas = ",".join(request.get("betas", ()))
            sent = {key: value for key, value in request.items() if key != "betas"}
            conversation = {"messages": [{"role": "user", "content": "Hello"}]}
            headers = {"anthropic_version": "2023-06-01"} | ({"anthropic_beta": betas} if betas else {})
            status, answer = await simulator.ask(sent | conversation, **headers)
            if status == 404:  # a model that nobody knows is let in, and one that is Retired as spec.lifecycle says
                assert lifecycle_of(request["model"], TODAY).lifecycle in (Lifecycle.UNKNOWN, Lifecycle.RETIRED)
            else:
                assert (status == 200) == taken, (request, answer)


# Of each field values of all kinds that the definition takes: what it leaves to the API may be anything.
ODD = [7, "x", "", 1.5, True, [], {}, [7, {}], {"type": 7}, {"type": []}, {"type": "enabled", "budget_tokens": "x"}]
FIELDS: dict[str, list[Any]] = {
    "model": ["claude-opus-5-5", OLD, "claude-haiku-4-5-20251001", "claude-haiku-4-5", "claude-opus-9", "x" * 128],
    "max_tokens": [0, 1, 2048, 30_000, 64_001, 10**12],
    "thinking": [
        {},
        {"type": "adaptive"},
        {"type": "enabled", "budget_tokens": 1024},
        {"type": "enabled", "budget_tokens": 1e3},
        {"type": "between_tools", "more": [1]},
        {"type": {"a": 1}},
        {"budget_tokens": 5},
    ],
    "output_config": [
        {},
        {"effort": "high"},
        {"effort": "xhigh"},
        {"effort": 3},
        {"effort": ["low"]},
        {"format": {"type": "json_schema"}},
        {"task_budget": {"total": 1}},
        {"task_budget": 5},
        {"task_budget": {"total": "many"}},
    ],
    "tool_choice": [{}, {"type": "any"}, {"type": "tool", "name": "a"}, {"type": "tool", "name": ["a"]}, {"type": 4}],
    "tools": [
        [],
        [{"name": "a", "input_schema": {"type": "object"}}],
        [{"name": "a", "input_schema": {"type": "object"}, "strict": True, "defer_loading": True}],
        [{"name": "a", "input_schema": {"type": "object"}, "strict": "yes", "defer_loading": 1.5}],
        [{"name": "memory", "type": "memory_20250818"}, {"name": "x", "type": "memory_20250818"}],
        [{"type": "mcp_toolset", "mcp_server_name": "docs"}, {"type": "no such type", "name": "b"}],
        [{"type": "web_search_20260318", "name": "web_search", "allowed_callers": [1]}],
    ],
    "betas": [[], ["a,b"], ["line\nbreak"], ["compact-2026-01-12"], ["task-budgets-2026-03-13", "output-1"]],
    "context_management": [
        {},
        {"edits": [{"type": "compact_20260112", "trigger": {"value": 5}}]},
        {"edits": [{"type": "clear_thinking_20251015"}, 7, []]},
        {"edits": {"type": "compact_20260112"}},
        {"edits": [{"type": 5, "trigger": 5}]},
    ],
    "compaction": ODD,
    "container": [*ODD, {"skills": [{"type": "anthropic"}]}, {"skills": "all"}],
    "stop_sequences": [[], ["a", " \t\n "], ["\u00a0"], ["\u0007 \u4f60\U0001f600"]],
    "temperature": [0, 1, 0.5, 1.5],
    "top_p": [0.5, 0.99],
    "top_k": [3],
    "service_tier": ["auto", "x\ny"],
    "inference_geo": ["us", ""],
    "speed": ["fast", "standard", "\u0000x"],
    "cache_control": [{"type": "ephemeral"}, {"type": "ephemeral", "ttl": "1h"}],
}


@pytest.mark.parametrize("seed", range(12))
def test_strange_values_are_judged_alike(seed: int, strict: tuple[Client, str]) -> None:
    draw = random.Random(seed)
    for _ in range(25):
        names = draw.sample(sorted(FIELDS), draw.randint(1, 6))
        request = PLAIN | {name: draw.choice(FIELDS[name]) for name in names}
        why = said(strict[0], overlaid(request), strict[1])
        assert "resulted in error" not in why, (request, why)
        assert bool(why) == bool(errors(request)), (request, why, errors(request))


def test_all_that_is_wrong_is_said_at_once_and_of_each_request(strict: tuple[Client, str]) -> None:
    wrong = {"service_tier": "none", "stop_sequences": [" "]}
    body = deployment(request=PLAIN | wrong, subagents={"a": {"request": {"speed": "x"}}, "b": {"request": wrong}})
    why = said(strict[0], body, strict[1])
    assert "spec.request.service_tier: 'none' is not one of its values: write auto or standard_only; " in why
    assert "spec.request.stop_sequences[0]: ' ' is blank" in why
    assert "spec.subagents.a.request.speed: 'x' is not one of its values: write standard or fast" in why
    assert "spec.subagents.b" not in why  # the same as the request's


def test_a_long_answer_ends_and_one_with_control_characters_is_replaced(
    modelled: ApiServer, strict: tuple[Client, str]
) -> None:
    tools = [{"type": f"no such tool {n}", "name": f"t{n}"} for n in range(128)]
    why = refused(modelled.kubectl, overlaid(PLAIN | {"tools": tools}), strict[1])
    assert "spec.subagents.s.request.tools: 'no such tool 0' is not a type of tool: write one with its date" in why
    assert why.endswith("...")
    assert len(why) < 1_500
    why = said(strict[0], deployment(request=PLAIN | {"speed": "\u0007"}), strict[1])
    assert "the Claude API refuses this request: `kubectl claude lint` says what to change" in why


@pytest.mark.parametrize("title", KINDS)
def test_the_largest_objects_are_judged_within_the_limits_of_cost(title: str, strict: tuple[Client, str]) -> None:
    body = KINDS[title]("large")
    if body["kind"] == "ClaudeDeployment":
        assert "ValidatingAdmissionPolicy" not in said(strict[0], body, strict[1])


def test_many_subagents_with_all_their_lists_full_are_judged(strict: tuple[Client, str]) -> None:
    admin, namespace = strict
    tools = [{"name": f"tool_{n}", "input_schema": {"type": "object"}} for n in range(128)]
    full = {
        "model": "claude-opus-5",
        "max_tokens": 100,
        "tools": tools,
        "tool_choice": {"type": "tool", "name": "tool_127"},
        "betas": [f"beta-{n}" for n in range(32)],
        "stop_sequences": [f"stop {n}" for n in range(1024)],
        "system": [{"type": "text", "text": "words " * 100}] * 64,
    }
    own = {"betas": full["betas"], "stop_sequences": full["stop_sequences"][:100], "tools": tools[96:]}
    subagents = {f"a{n}": {"request": own | {"model": "claude-opus-5"}} for n in range(31)}
    assert not said(admin, deployment(request=full, subagents=subagents), namespace)
    last = {"z": {"request": own | {"tools": tools[:32]}}}
    why = said(admin, deployment(request=full, subagents=subagents | last), namespace)
    assert "spec.subagents.z.request.tool_choice.name: no tool is named 'tool_127': write tool_0 or tool_1" in why


def test_breakpoints_of_prompts_count(strict: tuple[Client, str]) -> None:
    admin, namespace = strict
    control = {"type": "ephemeral"}
    prompts = [{"configMapKeyRef": {"name": "m", "key": f"k{n}"}, "cache_control": control} for n in range(3)]
    tool = {"name": "a", "input_schema": {"type": "object"}, "cache_control": control}
    ask = lambda **own: said(  # noqa: E731
        admin, deployment(request=PLAIN, promptFrom=prompts, subagents={"s": {"request": own}}), namespace
    )
    assert not ask(tools=[tool])
    assert "spec.subagents.s.request.cache_control: 5 breakpoints" in ask(tools=[tool], cache_control=control)
    block = {"type": "text", "text": "x", "cache_control": control}
    assert not ask(tools=[tool], cache_control=control, system=[block])  # its own system has no prompts in it


def test_tools_of_clients_may_be_forced(strict: tuple[Client, str]) -> None:
    admin, namespace = strict
    forced = {"model": OLD, "max_tokens": 10, "tool_choice": {"type": "tool", "name": "reserve"}}
    assert "forces a tool, and there are no tools" in said(admin, deployment(request=forced), namespace)
    assert not said(admin, deployment(request=forced, overrides={"tools": "Append"}), namespace)
    assert said(admin, deployment(request=forced, overrides={"system": "Append"}), namespace)


@pytest.mark.parametrize(
    ("model", "policy", "refused"),
    [
        ("claude-opus-5-5", {"onLegacy": "Reject", "onDeprecated": "Reject"}, ""),
        ("claude-opus-9", {"onLegacy": "Reject", "onDeprecated": "Reject"}, ""),
        ("claude-opus-4-8", {}, ""),
        ("claude-opus-4-8", {"onLegacy": "Reject"}, "claude-opus-4-8 is Legacy: claude-opus-5-5 is newer"),
        ("claude-sonnet-4-5-20250929", {}, ""),
        (
            "claude-sonnet-4-5-20250929",
            {"onDeprecated": "Reject"},
            "claude-sonnet-4-5-20250929 is Deprecated: retires 2026-11-30 (in 6 days); use claude-sonnet-5-5"
            " (spec.lifecycle.onDeprecated: Reject)",
        ),
        ("claude-opus-4-1-20250805", {}, "claude-opus-4-1-20250805 is Retired since 2026-08-05: requests for it fail"),
        ("claude-opus-4-1", {}, "claude-opus-4-1-20250805 is Retired since 2026-08-05: requests for it fail"),
        ("claude-opus-4-1-20250805", {"onRetired": "Warn"}, ""),
        ("claude-opus-4-1-20250805", {"onRetired": "Ignore"}, ""),
    ],
)
def test_a_state_is_refused_where_the_policy_rejects_it(
    model: str, policy: Object, refused: str, strict: tuple[Client, str]
) -> None:
    for body in (
        deployment(request=PLAIN | {"model": model}, lifecycle=policy),
        deployment(request=PLAIN, lifecycle=policy, subagents={"s": {"request": {"model": model}}}),
    ):
        why = said(strict[0], body, strict[1])
        assert refused in why
        assert bool(why) == bool(refused), why


def test_another_platform_has_states_of_its_own(strict: tuple[Client, str]) -> None:
    admin, namespace = strict
    upstream = SPEC["upstream"] | {"platform": "Bedrock"}
    retired = deployment(request=PLAIN | {"model": "claude-opus-4-1-20250805"}, upstream=upstream)
    assert not said(admin, retired, namespace)  # of Bedrock nothing is known
    status = {"status": {"platforms": {"Bedrock": "Retired"}}}
    admin.patch("ClaudeModel", "claude-opus-4-1-20250805", None, status, subresource="status")
    try:
        why = wait_for(lambda: said(admin, retired, namespace), 60, "the state is not seen")
        assert "claude-opus-4-1-20250805 is Retired on Bedrock (spec.lifecycle.onRetired: Reject)" in why
    finally:
        publish_models(admin)


def test_a_fast_mode_ends_on_its_day(strict: tuple[Client, str]) -> None:
    admin, namespace = strict
    fast = {"model": "claude-opus-4-8", "max_tokens": 10, "speed": "fast"}
    beta = {"betas": ["fast-mode-2026-02-01"]}
    assert "betas: speed fast is a beta on claude-opus-4-8" in said(admin, overlaid(fast), namespace)
    assert not said(admin, overlaid(fast | beta), namespace)
    publish_models(admin, dt.date(2026, 12, 1))
    try:
        why = wait_for(lambda: said(admin, overlaid(fast | beta), namespace), 60, "its end is not seen")
        assert "speed: claude-opus-4-8 had a fast mode until 2026-11-30: remove it" in why
    finally:
        publish_models(admin)
        wait_for(lambda: not said(admin, overlaid(fast | beta), namespace), 60, "it is not back")


@pytest.mark.parametrize("check", [rule.check for rule in RULES if rule.check not in SPEC_ERRORS])
def test_a_warning_is_told_in_the_words_of_the_table(
    check: str, modelled: ApiServer, strict: tuple[Client, str]
) -> None:
    example = FINDS[check]
    for fields, is_told in ((example.finds, True), (example.passes, False)):
        request = request_of(example.model, fields)
        for at, body in (
            ("spec.request.", deployment(request=request)),
            ("spec.subagents.s.request.", overlaid(request)),
        ):
            body["spec"]["lifecycle"] = NEVER_REJECT
            told = "\n".join(warnings(modelled.kubectl, body, strict[1]))
            assert (at + example.message in told) == is_told, told


def test_warnings_are_told_and_the_object_is_taken(modelled: ApiServer, strict: tuple[Client, str]) -> None:
    request = {"model": "claude-sonnet-4-5", "max_tokens": 10, "temperature": 0.4, "betas": ["pdfs-2024-09-25"]}
    ask = lambda **spec: "\n".join(warnings(modelled.kubectl, deployment(**spec), strict[1]))  # noqa: E731
    told = ask(request=request)
    assert "spec.request.temperature: requests of clients that send anthropic-version 2026-10-21" in told
    assert "spec.request.betas: pdfs-2024-09-25 is obsolete: remove it: PDFs need no beta" in told
    assert "is an alias, whose model can change under a revision: write claude-sonnet-4-5-20250929" in told
    assert (
        "is Deprecated: retires 2026-11-30 (in 6 days); use claude-sonnet-5-5 (spec.lifecycle.onDeprecated: Warn)"
        in told
    )
    ignored = {"onDeprecated": "Ignore"}
    assert "is Deprecated" not in ask(request=request, lifecycle=ignored)
    assert not ask(request=PLAIN)


def test_what_was_accepted_before_can_change_in_all_but_its_request(modelled: ApiServer, programs: Path) -> None:
    admin = modelled.admin()
    namespace = new_namespace(admin, "before")
    wrong = PLAIN | {"model": "claude-opus-4-1-20250805", "max_tokens": 10**6, "service_tier": "x"}
    admin.create(deployment("old", request=wrong, subagents={"s": {"request": {"speed": "x"}}}), namespace)
    policies = enforce(admin, programs / "helm", namespace)
    try:
        edit = lambda patch: changed(admin, "old", namespace, patch)  # noqa: E731
        assert not edit({"metadata": {"annotations": {"claudeops.dev/abort": "old-1/1"}, "finalizers": ["a.b/c"]}})
        assert not edit({"spec": {"paused": True}})
        assert not edit({"spec": {"gateway": {"replicas": 3}}})
        assert not edit({"spec": {"strategy": {"canary": {"steps": []}}}})
        assert not edit({"spec": {"lifecycle": {"onRetired": "Reject", "onLegacy": "Reject"}}})
        admin.patch("ClaudeDeployment", "old", namespace, {"status": {"stableRevision": "a"}}, subresource="status")
        assert "spec.request.service_tier: 'x'" in edit({"spec": {"request": {"top_level": 1}}})
        assert "spec.subagents.s.request.speed: 'x'" in edit({"spec": {"subagents": {"t": {"request": {}}}}})
        mended = {"request": {"service_tier": None, "max_tokens": 10}, "subagents": None}
        assert not edit({"spec": mended})  # a model that was there before is let be
        assert "claude-3-opus-20240229 is Retired" in edit({"spec": {"request": {"model": "claude-3-opus-20240229"}}})
        assert not edit({"spec": {"request": {"model": "claude-opus-5-5"}}})
        assert "claude-opus-4-1-20250805 is Retired" in edit({"spec": {"request": {"model": "claude-opus-4-1"}}})
        # What status shows in use serves, or did a moment ago: going back to it is never refused here.
        used = [{"id": "claude-opus-4-1-20250805", "lifecycle": "Retired", "where": ["request"]}]
        judge = [{"id": "claude-3-opus-20240229", "lifecycle": "Retired", "where": ["judge answers"]}]
        told = {"status": {"models": used + judge}}
        admin.patch("ClaudeDeployment", "old", namespace, told, subresource="status")
        assert not edit({"spec": {"request": {"model": "claude-opus-4-1-20250805"}}})
        assert "is Retired" in edit({"spec": {"request": {"model": "claude-3-opus-20240229"}}})
        kept = {"status": {"models": [], "keptModels": ["claude-3-opus-20240229"]}}
        admin.patch("ClaudeDeployment", "old", namespace, kept, subresource="status")
        assert not edit({"spec": {"request": {"model": "claude-3-opus-20240229"}}})
        assert not edit({"metadata": {"finalizers": None}})
    finally:
        lift(admin, policies)
        clear(admin, namespace)


def test_without_models_everything_can_be_written(own_server: ApiServer, programs: Path) -> None:
    """The definition of ClaudeModel is gone, as when it was deleted by mistake."""
    admin = own_server.admin()
    namespace = new_namespace(admin, "bare")
    publish_models(admin)
    policies = enforce(admin, programs / "helm", namespace, failing="Ignore")
    admin.create(deployment("mine", request=PLAIN), namespace)
    admin.call("DELETE", f"{CRDS.path()}/claudemodels.claudeops.dev")
    much = deployment("probe", request=PLAIN | {"max_tokens": 10**6})
    wait_for(lambda: not said(admin, much, namespace), 60, "what cannot be judged is refused")
    assert not changed(admin, "mine", namespace, {"metadata": {"annotations": {"a": "b"}}})
    assert not changed(admin, "mine", namespace, {"spec": {"request": {"max_tokens": 10**6}}})
    assert "service_tier" in said(admin, deployment(request=PLAIN | {"service_tier": "x"}), namespace)
    lift(admin, policies)
