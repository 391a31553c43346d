"""A run on a laptop: a table, a report, part of a set, several candidates, an arm against itself."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
from tests.evals.servers import Body, Refusal, Text, Upstream, question, upstream

from claude_operator.core.evals.choice import Choice
from claude_operator.core.evals.report import read_report, write_report
from claude_operator.core.evals.selfcheck import sentence
from claude_operator.evals.ask import Infrastructure
from claude_operator.evals.html import as_html
from claude_operator.evals.junit import as_junit
from claude_operator.evals.laptop import Ended, Options, as_json, load, run_work
from claude_operator.evals.several import check_self, matrix_code, matrix_text, run_matrix
from claude_operator.evals.show import as_text

SET = """
tests:
- {id: charged-twice, input: twice, critical: true, assert: [{type: equals, value: billing}]}
- {id: parcel, input: parcel, assert: [{type: equals, value: delivery}]}
- {id: hello, input: hello, assert: [{type: is-json}], metadata: {topic: none}}
gate: {passRate: 0.2, margin: 0.6, onInconclusive: Block}
execution: {epochs: 2}
"""
ANSWERS = {
    ("NEW", "twice"): "billing",
    ("NEW", "parcel"): "delivery",
    ("OLD", "twice"): "billing",
    ("OLD", "hello"): "{}",
}


def script(body: Body) -> Text:
    return Text(ANSWERS.get((body["system"][0]["text"], question(body)), "no"))


def silent(done: int, total: int) -> None:
    """Tell nobody."""


def request(tmp_path: Path, system: str, model: str = "claude-haiku-5-5") -> Path:
    path = tmp_path / f"{system.lower()}.yaml"
    path.write_text(f"{{model: {model}, max_tokens: 16, system: [{{type: text, text: {system}}}]}}")
    return path


def options(tmp_path: Path, api: Upstream, *systems: str, baseline: str | None = "OLD", text: str = SET) -> Options:
    (tmp_path / "set.yaml").write_text(text)
    (tmp_path / "key").write_text("sk-test")
    return Options(
        tmp_path / "set.yaml",
        tuple(request(tmp_path, system) for system in systems or ("NEW",)),
        request(tmp_path, baseline) if baseline else None,
        base_url=api.url,
        upstream_key=tmp_path / "key",
        env=tmp_path / "env",
    )


async def go(tmp_path: Path, answer=script, baseline: str | None = "OLD", **more: object) -> Ended:
    async with upstream(answer) as api:
        given = replace(options(tmp_path, api, baseline=baseline), **more)
        return await run_work(load(given, {}), silent)


async def test_the_table(tmp_path: Path) -> None:
    lines = as_text((await go(tmp_path)).report).splitlines()
    assert lines[:3] == [
        "ARM        PASSED  RATE   SCORE  REFUSED  INPUT  OUTPUT  COST",
        "candidate  4/6     66.7%  66.7%  0        690    42      $0.000037",
        "baseline   4/6     66.7%  66.7%  0        690    42      $0.000037",
    ]
    assert ["hello", "worse", "2/2", "0/2"] in [text.split()[:4] for text in lines]
    assert ["parcel", "better", "0/2", "2/2"] in [text.split()[:4] for text in lines]
    assert lines[-1].startswith("Passed: ")


async def test_the_report_has_what_was_asked_and_answered(tmp_path: Path) -> None:
    ended = await go(tmp_path)
    report = read_report(write_report(ended.report), "x")
    assert (report.run.set, report.run.candidate, report.run.baseline) == ("set", "new", "old")
    assert report.run.result["phase"] == report.run.phase == "Passed"
    assert report.run.gate["margin"] == 0.6
    first = report.outcomes[0]
    assert (first.id, first.arm, first.question, first.text, first.critical) == (
        "charged-twice",
        "candidate",
        "twice",
        "billing",
        True,
    )
    assert len(report.outcomes) == 3 * 2 * 2


async def test_json_has_the_fields_of_the_status(tmp_path: Path) -> None:
    ended = await go(tmp_path, lambda _: Text("no", "refusal"), None)
    document = json.loads(as_json(ended.result))
    assert (document["phase"], document["reason"]) == ("Failed", "CriticalItemFailed")
    assert document["candidate"]["refused"] == 6
    assert document["failedItems"][0]["id"] == "charged-twice"
    assert "baseline" not in document


async def test_a_refused_request_has_no_table(tmp_path: Path) -> None:
    ended = await go(tmp_path, lambda _: Refusal(400, message="max_tokens: no"))
    assert as_text(ended.report) == (
        "Failed: the Claude API refuses the request of item charged-twice: max_tokens: no (400 invalid_request_error)\n"
    )
    assert json.loads(as_json(ended.result))["reason"] == "RequestRejected"


async def test_without_a_result(tmp_path: Path) -> None:
    with pytest.raises(Infrastructure, match="invalid x-api-key"):
        await go(tmp_path, lambda _: Refusal(401, "authentication_error", "invalid x-api-key"))


async def test_epochs_in_place_of_the_sets(tmp_path: Path) -> None:
    assert len((await go(tmp_path, epochs=4)).report.outcomes) == 3 * 2 * 4


async def test_a_part_of_the_set_never_passes(tmp_path: Path) -> None:
    ended = await go(tmp_path, choice=Choice(("charged*",)))
    assert {line.id for line in ended.report.outcomes} == {"charged-twice"}
    assert (ended.result.phase, ended.report.run.phase) == ("Inconclusive", "Inconclusive")
    assert json.loads(as_json(ended.result))["phase"] == "Inconclusive"
    shown = as_text(ended.report)
    assert shown.count("only 1 of 3 items were asked (--filter charged*), so this is no verdict for the gate") == 1


async def test_what_failed_before(tmp_path: Path) -> None:
    report = tmp_path / "report.jsonl"
    report.write_bytes(write_report((await go(tmp_path)).report))
    ended = await go(tmp_path, failed=report)
    assert {line.id for line in ended.report.outcomes} == {"hello"}


HELD_OUT = """
tests:
- {id: open, input: twice, assert: [{type: equals, value: billing}], metadata: {topic: money}}
- {id: SECRET-ID, input: SECRET-INPUT, heldOut: true, critical: %s, metadata: {topic: SECRET-TOPIC},
   assert: [{type: equals, value: SECRET-VALUE}]}
execution: {epochs: 1}
"""


@pytest.mark.parametrize("critical", ["true", "false"])
@pytest.mark.parametrize("answer", [script, lambda _: Refusal(400, message="no")], ids=["fails", "refused"])
async def test_held_out_items_are_counted_and_shown_nowhere(tmp_path: Path, answer, critical: str) -> None:
    async with upstream(answer) as api:
        given = replace(options(tmp_path, api, text=HELD_OUT % critical), choice=Choice())
        ended = await run_work(load(given, {}), silent)
    shown = [as_text(ended.report), as_html(ended.report), as_junit(ended.report), as_json(ended.result)]
    assert [text for text in [*shown, write_report(ended.report).decode()] if "SECRET" in text] == []
    if ended.report.outcomes:
        assert [(one.arm, one.items, one.passed) for one in ended.report.held_out] == [
            ("candidate", 1, 0),
            ("baseline", 1, 0),
        ]


async def test_what_is_kept_is_not_asked_again(tmp_path: Path) -> None:
    async with upstream(script) as api:
        given = replace(options(tmp_path, api), keep=tmp_path / "kept")
        first = await run_work(load(given, {}), silent)
        asked = len(api.calls)
        second = await run_work(load(given, {}), silent)
        assert (asked, len(api.calls)) == (12, 12)
    assert [line.text for line in first.report.outcomes] == [line.text for line in second.report.outcomes]


MANY = "tests:\n" + "".join(
    f"- {{id: i{n}, input: q{n}, assert: [{{type: equals, value: billing}}]}}\n" for n in range(40)
)
MANY += "gate: {margin: 0.3}\nexecution: {epochs: 1, maxConcurrency: 16}\n"


def by_model(body: Body) -> Text:
    wrong = body["system"][0]["text"] == "BAD"
    return Text("no" if wrong else "billing", model=body["model"])


async def test_the_cheapest_of_several(tmp_path: Path) -> None:
    async with upstream(by_model) as api:
        given = options(tmp_path, api, "NEW", "BAD", text=MANY)
        models = ("claude-haiku-5-5", "claude-sonnet-5-5")
        request(tmp_path, "OLD", "claude-opus-5-5")
        ended = await run_matrix(load(replace(given, models=models), {}), silent)
        # The baseline is asked, and paid, once.
        assert len([call for call in api.calls if call.body["system"][0]["text"] == "OLD"]) == 40
    rows = [row for row, _ in ended]
    assert [row.name for row in rows] == [
        "new/claude-haiku-5-5",
        "new/claude-sonnet-5-5",
        "bad/claude-haiku-5-5",
        "bad/claude-sonnet-5-5",
    ]
    assert [row.result.phase for row in rows] == ["Passed", "Passed", "Failed", "Failed"]
    assert all(one.alpha <= 0.05 / 4 for row in rows for one in row.result.comparisons)
    assert matrix_code(rows, "") == 0
    shown = matrix_text(rows, "old", "").splitlines()
    assert shown[0].split() == [
        "CANDIDATE",
        "PHASE",
        "POINTS",
        "AT",
        "LEAST",
        "COST",
        "AN",
        "ITEM",
        "COST",
        "AT",
        "MOST",
    ]
    assert shown[-1].startswith("new/claude-haiku-5-5 is the cheapest that passes: it is not worse than old and costs ")


async def test_tokens_without_a_price_are_capped_over_all_candidates_together(tmp_path: Path) -> None:
    text = MANY.replace("execution: {", "execution: {maxTokens: 12000, ")
    async with upstream(by_model) as api:
        given = options(tmp_path, api, "NEW", "NEW", text=text)
        request(tmp_path, "OLD", "somebody-3")
        rows = [
            row for row, _ in await run_matrix(load(replace(given, models=("somebody-1", "somebody-2")), {}), silent)
        ]
    # 122 tokens an answer: 40 of the baseline and 40 of the first fit, 40 of the next one do not
    assert [row.result.reason for row in rows[:2]] == [rows[0].result.reason, "BudgetReached"]
    assert rows[0].result.reason != "BudgetReached"
    assert len(api.calls) * 122 <= 12_000


async def test_a_part_of_the_set_names_no_cheapest(tmp_path: Path) -> None:
    async with upstream(by_model) as api:
        given = options(tmp_path, api, "NEW", "NEW", text=MANY)
        request(tmp_path, "OLD", "claude-opus-5-5")
        work = load(replace(given, choice=Choice(sample=35)), {})
        rows = [row for row, _ in await run_matrix(work, silent)]
    assert matrix_code(rows, work.partial) == 101
    assert matrix_text(rows, "old", work.partial).splitlines()[-1].startswith("only 35 of 40 items were asked")


async def test_an_arm_against_itself_says_where_the_budget_ended_it(tmp_path: Path) -> None:
    text = MANY.replace("execution: {", "execution: {maxCostUSD: 0.000001, ")
    assert text != MANY
    async with upstream(by_model) as api:
        with pytest.raises(ValueError, match=r"nothing was asked, because .*execution\.maxCostUSD"):
            await check_self(load(options(tmp_path, api, baseline=None, text=text), {}), 20, silent)
        assert api.calls == []


async def test_an_arm_against_itself(tmp_path: Path) -> None:
    async with upstream(by_model) as api:
        found = await check_self(load(options(tmp_path, api, baseline=None, text=MANY), {}), 20, silent)
        assert len(api.calls) == 80
    assert (found.times, found.epochs, found.passed) == (20, 1, 20)
    assert sentence(found).startswith(
        "In 20 comparisons of the arm with itself, 1 epoch against as many, the gate failed 0"
    )
