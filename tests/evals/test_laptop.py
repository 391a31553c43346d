"""A run on a laptop: its bar, its table, its JSON."""

from __future__ import annotations

import io
import json
from pathlib import Path

import pytest
from tests.evals.servers import Body, Refusal, Text, question, upstream

from claude_operator.core.evals.gate import Result
from claude_operator.evals.ask import Infrastructure
from claude_operator.evals.laptop import Options, as_json, as_text, load, run_work

SET = """
tests:
- {id: charged-twice, input: twice, critical: true, assert: [{type: equals, value: billing}]}
- {id: parcel, input: parcel, assert: [{type: equals, value: delivery}]}
- {id: hello, input: hello, assert: [{type: is-json}]}
gate: {passRate: 0.2, margin: 0.6}
execution: {epochs: 1}
"""
ANSWERS = {
    ("NEW", "twice"): "billing",
    ("NEW", "parcel"): "delivery",
    ("OLD", "twice"): "billing",
    ("OLD", "hello"): "{}",
}


def script(body: Body) -> Text:
    return Text(ANSWERS.get((body["system"][0]["text"], question(body)), "no"))


async def go(tmp_path: Path, answer=script, baseline: str | None = "OLD", bar: io.StringIO | None = None) -> Result:
    def write(name: str, text: str) -> Path:
        (tmp_path / name).write_text(text)
        return tmp_path / name

    def request(system: str) -> Path:
        text = f"{{model: claude-haiku-5-5, max_tokens: 16, system: [{{type: text, text: {system}}}]}}"
        return write(f"{system.lower()}.yaml", text)

    async with upstream(answer) as api:
        old = request(baseline) if baseline else None
        options = Options(
            write("set.yaml", SET), request("NEW"), old, None, api.url, write("key", "sk-test"), tmp_path / "env"
        )
        return await run_work(load(options, {}), bar)


async def test_the_table(tmp_path: Path) -> None:
    assert as_text(await go(tmp_path)).splitlines() == [
        "ARM        PASSED  RATE   REFUSED  INPUT  OUTPUT  COST",
        "candidate  2/3     66.7%  0        345    21      $0.000018",
        "baseline   2/3     66.7%  0        345    21      $0.000018",
        "",
        "FAILED  CRITICAL  BASELINE  CHECK",
        "hello             passed    is-json",
        "",
        "Passed: no item is shown to be worse than on old; 2 items are too few to rule out a drop of 60 points (that"
        " takes 4 at least); 2 of 3 (66.7 %) against 2 of 3 (66.7 %) of old in 1 epoch; 1 better, 1 worse",
    ]


async def test_json_has_the_fields_of_the_status(tmp_path: Path) -> None:
    document = json.loads(as_json(await go(tmp_path, lambda _: Text("no", "refusal"), None)))
    assert (document["phase"], document["reason"]) == ("Failed", "CriticalItemFailed")
    assert document["candidate"]["refused"] == 3
    assert document["failedItems"][0] == {
        "id": "charged-twice",
        "critical": True,
        "assertion": "refusal",
        "passed": 0,
    }
    assert "baseline" not in document


async def test_a_refused_request_has_no_table(tmp_path: Path) -> None:
    result = await go(tmp_path, lambda _: Refusal(400, message="max_tokens: no"))
    assert as_text(result) == (
        "Failed: the Claude API refuses the request of item charged-twice: max_tokens: no (400 invalid_request_error)\n"
    )
    assert json.loads(as_json(result))["reason"] == "RequestRejected"


async def test_without_a_result(tmp_path: Path) -> None:
    with pytest.raises(Infrastructure, match="invalid x-api-key"):
        await go(tmp_path, lambda _: Refusal(401, "authentication_error", "invalid x-api-key"))


async def test_the_bar(tmp_path: Path) -> None:
    bar = io.StringIO()
    await go(tmp_path, bar=bar)
    shown = bar.getvalue().split("\r")
    assert shown[1] == "█" * 10 + "░" * 20 + " 1/3"
    assert shown[-1] == "█" * 30 + " 3/3\n"
