"""The documents about the gateway are in step with it."""

from __future__ import annotations

import argparse
import io
import json
import re
from pathlib import Path

import jsonschema
import pytest
from tests.gateway.harness import make_arm

from claude_operator.api.evidence import OUTCOMES, Evidence, json_schemas
from claude_operator.api.gateway import MEMORY, MIB, parse_config
from claude_operator.core.request.outcomes import TABLE
from claude_operator.gateway.call import Call
from claude_operator.gateway.cli import add_arguments
from claude_operator.gateway.evidence import EvidenceStore
from claude_operator.gateway.log import call_fields
from claude_operator.gateway.memory import MemoryBudget
from claude_operator.gateway.metrics import Metrics
from claude_operator.gateway.usage_metrics import UsageCollector
from claude_operator.gateway.usage_page import UsageStore
from claude_operator.log import Log

DOCS = Path(__file__).parents[2] / "docs"
PAGE = (DOCS / "gateway.md").read_text()
SCHEMA = json.loads((DOCS / "gateway-config.schema.json").read_text())


def test_the_schema_is_the_generated_one() -> None:
    assert json.loads(json.dumps(json_schemas())) == SCHEMA, (
        "write docs/gateway-config.schema.json again from claude_operator.api.evidence.json_schemas()"
    )


def test_the_example_is_a_config_by_schema_and_by_parser() -> None:
    (example,) = re.findall(r"```json\n(.*?)```", PAGE, re.DOTALL)
    jsonschema.validate(json.loads(example), {"$ref": "#/$defs/GatewayConfig", "$defs": SCHEMA["$defs"]})
    assert [arm.weight for arm in parse_config(example).arms] == [9000, 1000]
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate({"generation": 1}, SCHEMA)


def test_evidence_is_what_the_schema_says() -> None:
    store = EvidenceStore()
    counters = store.generation(1).counters(make_arm().revision, "stable", "other", "none")
    counters.add("ok", stop_reason="end_turn", tokens={"input": 1}, ttft=0.5, duration=1.5, cost=None)
    store.bad.add("uid", 1, make_arm().revision, "other", "error", "session:a", store.clock())
    document = json.loads(store.document(1, 2.0, ""))
    assert len(document["bad"]) == 1
    jsonschema.validate(document, {"$ref": f"#/$defs/{Evidence.__name__}", "$defs": SCHEMA["$defs"]})


def test_every_metric_is_named() -> None:
    registry = Metrics().registry
    registry.register(UsageCollector(UsageStore()))
    names = {metric.name + ("_total" if metric.type == "counter" else "") for metric in registry.collect()}
    registered = {name for name in names if not name.startswith("process_")}
    documented = set(re.findall(r"^\| `((?:gen_ai|claude_gateway)_\w+)` \|", PAGE, re.MULTILINE))
    assert documented == registered


def test_every_field_of_the_log_is_named() -> None:
    output = io.StringIO()
    Log(output, "json").write("call", call_fields(Call("GET", "/v1/models", 0.0, None)))
    fields = set(json.loads(output.getvalue())) - {"time", "level", "message"}
    section = PAGE[PAGE.index("## The log") : PAGE.index("## Ending")]
    assert fields == set(re.findall(r"`(\w+)`", section))


def test_every_option_on_the_page_exists() -> None:
    parser = argparse.ArgumentParser()
    add_arguments(parser)
    known = set(re.findall(r"--[a-z-]+", parser.format_help()))
    assert set(re.findall(r"--[a-z][a-z-]+", PAGE)) <= known


def test_the_table_of_outcomes_is_the_codes() -> None:
    section = PAGE[PAGE.index("| Outcome | What it is |") :].partition("\n\n")[0]
    rows = re.findall(r"^\| `(\w+)` \| (.+) \|$", section, re.MULTILINE)
    assert sorted(name for name, _ in rows) == sorted(OUTCOMES)
    assert [name for name, _ in rows][: len(TABLE)] == [row.outcome for row in TABLE]
    for row, (_, text) in zip(TABLE, rows, strict=False):
        assert set(map(int, re.findall(r"\b[1-5][0-9]{2}\b", text))) == row.statuses
        words = set(re.findall(r"`([a-z_]+)`", text))
        assert words == row.types | row.codes | set(row.says)
        assert set(re.findall(r'"([^"]+)"', text)) == {*row.begins, *row.says.values()}


def test_the_shares_of_the_default_limit_are_the_codes() -> None:
    section = PAGE[PAGE.index("### Memory") : PAGE.index("## Where the config comes from")]
    told = re.findall(r"^\| .+ \| .+ \| ([0-9,]+)( MiB)? \|$", section, re.MULTILINE)
    budget = MemoryBudget.of(MEMORY)
    assert [int(number.replace(",", "")) * (MIB if unit else 1) for number, unit in told] == [
        budget.large,
        budget.small,
        budget.answers,
        budget.pass_through // (MIB // 2),
        budget.calls,
        budget.stalled,
        budget.connections,
        budget.heads,
        budget.values,
    ]
