"""Each item on both sides: what it takes to pass, and each thing that keeps it from passing."""

from __future__ import annotations

import datetime as dt
from typing import Any

import pytest
from tests.core.checklist.cases import (
    CACHED,
    DAY,
    LONG,
    NOW,
    REVISION,
    RUN,
    SIGNED,
    TOOL,
    budget,
    case,
    content,
    found,
    spec,
    usage,
)

from claude_operator.api.checklist import BUILT_IN
from claude_operator.api.conditions import Reason
from claude_operator.api.evals import EvalRunStatus
from claude_operator.core.catalogue.table import Model
from claude_operator.core.checklist.case import UNSEEN, Case, Rehearsal
from claude_operator.core.checklist.content import MANY_TOOLS
from claude_operator.core.checklist.evaluate import CHECKS, evaluate
from claude_operator.core.checklist.items import BY_ID, ITEMS
from claude_operator.core.usage.state import Coverage

Object = dict[str, Any]
PLAIN = {"model": "claude-opus-5-5", "max_tokens": 1024}
SUBAGENTS = {"researcher": {"request": {"model": "claude-haiku-4-5-20251001"}}}
DATED = {"claude-x": Model("claude-x", line="x", not_retired_before=dt.date(2027, 6, 1))}
UNDATED = {"claude-x": Model("claude-x", line="x", released=dt.date(2026, 1, 1))}
GONE = {"claude-x": Model("claude-x", deprecated=dt.date(2026, 10, 1), retires=dt.date(2026, 12, 1), replacement="y")}
SERVER = {"type": "url", "name": "docs", "url": "https://docs.example"}
TOOLSET = {"type": "mcp_toolset", "mcp_server_name": "docs"}
SCOPED = TOOLSET | {"default_config": {"enabled": False}, "configs": {"search": {"enabled": True}}}
ALL = {"first": {"setWeight": 100}}


def run(phase: str, rule: str = "", **fields: Any) -> EvalRunStatus:
    return EvalRunStatus(phase=phase, rule=rule, message="the scores", **fields)  # type: ignore[arg-type]


def steps(*weights: float) -> Object:
    return {"canary": {"steps": [{"setWeight": one} for one in weights]}}


TABLE: list[tuple[str, Case, str, str]] = [
    # plumbing
    ("plumbing", case(), "Passed", "record every call"),
    ("plumbing", case(usage=None), "Unknown", "no gateway has told"),
    ("plumbing", case(usage=usage(coverage=Coverage(0, ("gateway-0",)))), "Unknown", "no gateway has told"),
    ("plumbing", case(usage=usage(0)), "Unknown", "send traffic"),
    ("plumbing", case(usage=usage(age=8)), "Unknown", "no call was answered in the last 7 days"),
    ("plumbing", case(usage=usage(age=7)), "Passed", ""),
    ("plumbing", case(content({"max_tokens": 21_333}), usage=usage(streamed=0)), "Passed", ""),
    ("plumbing", case(content({"max_tokens": 21_334}), usage=usage(streamed=0)), "Unknown", "have clients stream"),
    ("plumbing", case(content({"max_tokens": 21_334})), "Passed", ""),
    # model-by-eval
    ("model-by-eval", case(), "Passed", "compared it with the revision before"),
    ("model-by-eval", case(spec=spec(evals=None)), "Failed", "spec.evals is missing"),
    ("model-by-eval", case(run=run("Passed", "Floors"), stable=None), "Passed", "nothing to compare with"),
    ("model-by-eval", case(run=run("Passed", "TooFewItems")), "Passed", "model and effort are those of stable"),
    (
        "model-by-eval",
        case(run=run("Passed", "TooFewItems"), stable=content({"model": "claude-opus-4-6"})),
        "Failed",
        "the model changes, and",
    ),
    (
        "model-by-eval",
        case(content({"output_config": {"effort": "low"}}), run=run("Passed", "TooFewItems")),
        "Failed",
        "the effort changes",
    ),
    ("model-by-eval", case(run=run("Passed", "TooFewItems"), stable=None, serves=True), "Unknown", "too few items"),
    ("model-by-eval", case(run=run("Failed")), "Failed", "has failed: the scores"),
    ("model-by-eval", case(run=run("Running")), "Unknown", "the eval run has not ended"),
    # tools
    ("tools", case(), "Passed", "described and typed"),
    ("tools", case(content({"tools": []})), "Passed", "no tools"),
    (
        "tools",
        case(content({"tools": [{**TOOL, "name": f"t{n}"} for n in range(MANY_TOOLS)]})),
        "Passed",
        "few",
    ),
    (
        "tools",
        case(content({"tools": [{**TOOL, "name": f"t{n}"} for n in range(MANY_TOOLS + 1)]})),
        "Failed",
        "leave out what is not used",
    ),
    (
        "tools",
        case(content({"tools": [{**TOOL, "name": f"t{n}", "defer_loading": n > 0} for n in range(99)]})),
        "Passed",
        "",
    ),
    ("tools", case(content({"tools": [TOOL | {"description": "Looks."}]})), "Failed", "lookup_order: write what each"),
    (
        "tools",
        case(content({"tools": [TOOL | {"input_schema": {"type": "object", "properties": {"a": {}}}}]})),
        "Failed",
        "give each property",
    ),
    ("tools", case(content({"tools": [{"type": "web_search_20260318", "name": "web_search"}]})), "Passed", ""),
    ("tools", case(content({"tools": [TOOLSET], "mcp_servers": [SERVER]})), "Failed", "MCP server docs may use all"),
    ("tools", case(content({"tools": [SCOPED], "mcp_servers": [SERVER]})), "Passed", "limited to named tools"),
    (
        "tools",
        case(content({"mcp_servers": [SERVER | {"tool_configuration": {"allowed_tools": ["search"]}}]})),
        "Passed",
        "",
    ),
    (
        "tools",
        case(content(subagents={"researcher": {"request": {"tools": [TOOL | {"description": ""}]}}})),
        "Failed",
        "subagent researcher: tools without a description",
    ),
    # caching
    ("caching", case(), "Passed", "read from the cache"),
    ("caching", case(content({"system": [{"type": "text", "text": LONG}]})), "Failed", "set cache_control"),
    (
        "caching",
        case(content({"system": [{"type": "text", "text": LONG}], "cache_control": CACHED})),
        "Passed",
        "read from the cache",
    ),
    ("caching", case({"request": PLAIN}, cache=(Reason.NO_TRAFFIC, "")), "Passed", "too short"),
    ("caching", case(cache=(Reason.COLD, "text differs")), "Failed", "text differs"),
    ("caching", case(cache=(Reason.NOT_CACHED, "")), "Passed", "which stable lacks"),
    ("caching", case(cache=(Reason.NOT_CACHED, ""), serves=True), "Unknown", "too few calls"),
    ("caching", case(cache=(Reason.NO_TRAFFIC, "")), "Unknown", "too few calls"),
    ("caching", case(usage=usage(tokens=100_000)), "Passed", ""),
    ("caching", case(usage=usage(tokens=100_001)), "Failed", "context_management is not set"),
    (
        "caching",
        case(content({"context_management": {"edits": [{"type": "compact_20260112"}]}}), usage=usage(tokens=200_000)),
        "Passed",
        "",
    ),
    # workloads
    ("workloads", case(), "Passed", "no subagents"),
    ("workloads", case(content(subagents=SUBAGENTS)), "Failed", "asks subagent researcher: add items with subagent"),
    ("workloads", case(content(subagents=SUBAGENTS), asked={"": 20, "researcher": 3}), "Passed", "each subagent"),
    ("workloads", case(content(subagents=SUBAGENTS), asked=None), "Unknown", "is not seen"),
    ("workloads", case(spec=spec(evals=None)), "Failed", "no workload was evaluated"),
    ("workloads", case(run=None), "Unknown", "has no eval run yet"),
    # telemetry
    ("telemetry", case(), "Passed", "read from all gateways"),
    ("telemetry", case(usage=None), "Unknown", "not read yet"),
    ("telemetry", case(unpriced=["claude-x"]), "Failed", "no price is known of claude-x"),
    ("telemetry", case(usage=usage(fault="spend: broken")), "Unknown", "spend: broken"),
    ("telemetry", case(usage=usage(coverage=Coverage(1, ("gateway-1",)))), "Unknown", "gateway-1"),
    ("telemetry", case(usage=usage(read_at=NOW - dt.timedelta(seconds=600))), "Passed", ""),
    ("telemetry", case(usage=usage(read_at=NOW - dt.timedelta(seconds=601))), "Unknown", "2026-11-24 09:49 UTC"),
    ("telemetry", case(usage=usage(0)), "Unknown", "nothing to measure"),
    # latency-budgets
    ("latency-budgets", case(), "Passed", "each surface has a budget"),
    ("latency-budgets", case(spec=spec(budgets=None)), "Failed", "spec.budgets is empty"),
    ("latency-budgets", case(usage=None), "Unknown", "no gateway"),
    ("latency-budgets", case(usage=usage(unbudgeted=("batch",))), "Failed", "no budget names the surface batch"),
    (
        "latency-budgets",
        case(
            spec=spec(budgets=[{"surface": "other", "metric": "duration", "max": "30s"}]),
            usage=usage(unbudgeted=("batch",)),
        ),
        "Passed",
        "",
    ),
    ("latency-budgets", case(budgets=(budget("NoTraffic"),)), "Unknown", "had no calls"),
    ("latency-budgets", case(budgets=(budget("Over"),)), "Passed", "over now: chat timeToFirstToken"),
    # eval-gate
    ("eval-gate", case(), "Passed", f"{RUN} has passed"),
    ("eval-gate", case(spec=spec(evals=None)), "Failed", "spec.evals is missing"),
    (
        "eval-gate",
        case(spec=spec(evals={"setRef": {"name": "e"}, "required": False})),
        "Failed",
        "set it to true",
    ),
    ("eval-gate", case(run=None), "Unknown", f"{REVISION} has no eval run yet"),
    ("eval-gate", case(run=None, serves=True), "Failed", "the next revision will be gated"),
    ("eval-gate", case(run=run("Failed")), "Failed", "the scores"),
    ("eval-gate", case(run=run("Pending")), "Unknown", "has not ended"),
    ("eval-gate", case(run=run("Inconclusive")), "Unknown", "has no result (Inconclusive)"),
    ("eval-gate", case(run=run("Inconclusive", allowed=True)), "Passed", ""),
    ("eval-gate", case(run=run("Error")), "Unknown", "has no result (Error)"),
    # rollback
    ("rollback", case(), "Passed", "steps begin at 1 %, and a rollback was rehearsed: a drill on 2026-11-21"),
    ("rollback", case(spec=spec(strategy=steps(10, 50))), "Passed", "steps begin at 10 %"),
    ("rollback", case(spec=spec(strategy=steps())), "Failed", "no canary"),
    ("rollback", case(spec=spec(strategy=steps(100))), "Failed", "no canary"),
    ("rollback", case(rehearsals=()), "Failed", "run `kubectl claude drill support -n demo`"),
    ("rollback", case(rehearsals=(Rehearsal(NOW - 90 * DAY, "a drill"),)), "Passed", ""),
    ("rollback", case(rehearsals=(Rehearsal(NOW - 91 * DAY, "a drill"),)), "Failed", "older than 2160 h"),
    (
        "rollback",
        case(rehearsals=(Rehearsal(NOW - 8 * DAY, "a drill"),), spec=spec(checklist={"drillMaxAge": "168h"})),
        "Failed",
        "older than 168 h",
    ),
    ("rollback", case(rehearsals=(Rehearsal(NOW + DAY, "a drill"),)), "Failed", "no rollback was rehearsed"),
    ("rollback", case(failed_drill=(NOW - DAY, "nobody noticed")), "Failed", "the last drill has failed: nobody"),
    ("rollback", case(failed_drill=(NOW - 4 * DAY, "nobody noticed")), "Passed", ""),
    # model-pinned
    ("model-pinned", case(), "Passed", "claude-opus-5-5 has no retirement announced"),
    ("model-pinned", case(content({"model": "claude-haiku-4-5"})), "Failed", "write claude-haiku-4-5-20251001"),
    ("model-pinned", case(content({"model": "claude-x"})), "Unknown", "make a ClaudeModel"),
    (
        "model-pinned",
        case(content({"model": "claude-x"}), models=DATED),
        "Passed",
        "claude-x is not retired before 2027-06-01",
    ),
    (
        "model-pinned",
        case(content({"model": "claude-x"}), models=UNDATED),
        "Passed",
        "claude-x has no retirement announced",
    ),
    ("model-pinned", case(content({"model": "claude-opus-5"})), "Passed", "is not retired before 2027-07-24"),
    ("model-pinned", case(content({"model": "claude-haiku-4-5-20251001"})), "Passed", "before 2026-10-15"),
    ("model-pinned", case(content({"model": "claude-x"}), models=GONE), "Failed", "claude-x is Deprecated: retires"),
    (
        "model-pinned",
        case(content(subagents={"r": {"request": {"model": "claude-x"}}}), models=GONE),
        "Failed",
        "claude-x is Deprecated",
    ),
]


@pytest.mark.parametrize(("item", "one", "result", "says"), TABLE, ids=[f"{row[0]}-{n}" for n, row in enumerate(TABLE)])
def test_an_item(item: str, one: Case, result: str, says: str) -> None:
    finding = found(item, one)
    assert (finding.result, says in finding.message) == (result, True), finding
    assert len(finding.message) < 400
    if finding.is_open:
        assert ":" in finding.message, "what is open says what to do"


def test_each_item_that_is_read_has_both_sides() -> None:
    results: dict[str, set[str]] = {}
    for item, _, result, _ in TABLE:
        results.setdefault(item, set()).add(result)
    assert results.keys() == CHECKS.keys()
    for item, seen in results.items():
        assert "Passed" in seen, item
        assert seen - {"Passed"}, item


def test_the_fourteen_in_order() -> None:
    assert tuple(item.id for item in ITEMS) == BUILT_IN
    assert [item.number for item in ITEMS] == list(range(1, 15))
    assert {item.id for item in ITEMS if item.decided_by == "signature"} == set(SIGNED)
    assert [BY_ID[one].number for one in SIGNED] == [1, 6, 7, 8]
    assert [item.number for item in ITEMS if item.decided_by == "evals"] == [3, 9]
    assert CHECKS.keys() | set(SIGNED) == BY_ID.keys()


def test_all_pass() -> None:
    findings = evaluate(case())
    assert [one.id for one in findings] == list(BUILT_IN)
    assert [one.id for one in findings if one.is_open] == []


def test_nothing_is_known_of_a_revision_that_nobody_has_looked_at() -> None:
    bare = case({"request": PLAIN}, spec=spec(evals=None, budgets=None), run=None, usage=None, rehearsals=(),
                budgets=(), cache=(Reason.NO_TRAFFIC, ""), sight=UNSEEN)  # fmt: skip
    passed = {one.id for one in evaluate(bare) if not one.is_open}
    assert passed == {"tools", "caching", "model-pinned"}
