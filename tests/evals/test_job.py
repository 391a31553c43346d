"""The Job of a ClaudeEvalRun: what it reads, what it writes, and with which code it ends."""

from __future__ import annotations

import asyncio
import io
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest
from kubernetes.aio import client as aio
from tests.evals.servers import Body, Cluster, Refusal, Text, Upstream, cluster, question, upstream
from tests.waiting import until

from claude_operator.core.evals.contents import Contents
from claude_operator.core.evals.sets import set_hash
from claude_operator.core.render import eval_stores
from claude_operator.core.spec.policy import Policy
from claude_operator.evals.inputs import JobPaths
from claude_operator.evals.job import run_job
from claude_operator.kube.client import Kube
from claude_operator.log import Log

SET = {
    "defaultTest": {"assert": [{"type": "equals", "value": "billing"}]},
    "tests": [{"id": "a", "input": "SECRET QUESTION a", "critical": True}, {"id": "b", "input": "SECRET QUESTION b"}],
    "gate": {"passRate": 0.5, "margin": 0.1},
    "execution": {"epochs": 1},
}
DATASET = {
    "execution": SET["execution"],
    "defaultTest": SET["defaultTest"],
    "dataset": {"configMapKeyRef": {"name": "questions", "key": "items.jsonl"}},
}
TOKEN = {
    "mcp_servers": [{"type": "url", "name": "d", "url": "https://d.example.com", "authorization_token": "$(DOCS)"}]
}


@dataclass
class Scene:
    """A namespace with one run in it, and an upstream."""

    cluster: Cluster
    upstream: Upstream
    run: dict[str, Any]
    paths: JobPaths
    output: io.StringIO = field(default_factory=io.StringIO)

    def add(self, plural: str, name: str, **fields: Any) -> None:
        self.cluster.add(plural, name, **fields)

    def add_stores(self) -> None:
        """What the operator makes before it makes the Job."""
        eval_set = {"apiVersion": "v1", "kind": "ClaudeEvalSet", "metadata": {"name": "support", "namespace": "demo"}}
        eval_set["metadata"]["uid"] = "u1"
        run = {"apiVersion": "v1", "kind": "ClaudeEvalRun", **self.run}
        for store in eval_stores(run, eval_set):
            plural = "secrets" if store["kind"] == "Secret" else "configmaps"
            self.cluster.add(plural, store["metadata"]["name"])["metadata"] |= store["metadata"]

    def revision(self, name: str, system: str, **request: Any) -> None:
        fields = {"model": "claude-haiku-5-5", "max_tokens": 16, "system": [{"type": "text", "text": system}]}
        self.add("clauderevisions", name, spec={"request": fields | request})

    async def go(self) -> int:
        configuration = aio.Configuration()
        configuration.host = self.cluster.url
        async with Kube(configuration) as kube:
            return await run_job(kube, self.paths, Log(self.output, "json"))

    @property
    def status(self) -> dict[str, Any]:
        return dict(self.run.get("status") or {})

    @property
    def events(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.output.getvalue().splitlines()]


@asynccontextmanager
async def scene(tmp_path: Path, script: Any = lambda _: Text(), **spec: Any) -> AsyncIterator[Scene]:
    key, env = tmp_path / "api-key", tmp_path / "env"
    key.write_text("sk-SECRET\n")
    env.mkdir()
    async with upstream(script) as api, cluster() as objects:
        fields = {"revision": "new", "setRef": "support", "upstream": {"baseURL": api.url}, **spec}
        run = objects.add("claudeevalruns", "new-12345678", spec=fields)
        made = Scene(objects, api, run, JobPaths("new-12345678", "demo", key, env))
        made.add("claudeevalsets", "support", spec=SET)
        made.add_stores()
        made.revision("new", "NEW")
        made.revision("old", "OLD")
        yield made


def system(body: Body) -> str:
    return str(body["system"][0]["text"])


async def test_a_run_that_passes(tmp_path: Path) -> None:
    def script(body: Body) -> Text:
        return Text("other") if (system(body), question(body)) == ("OLD", "SECRET QUESTION b") else Text()

    async with scene(tmp_path, script, baselineRevision="old", setHash=set_hash(SET)) as it:
        it.run["status"] = {"phase": "Running", "attempts": 2, "message": "429", "retryAt": "2026-11-20T12:00:00Z"}
        assert await it.go() == 0
    status = it.status
    assert (status["phase"], status["reason"], status["attempts"]) == ("Passed", "TooFewItems", 2)
    assert status["message"].startswith("Passed: no item is shown to be worse than on old; 1 item is too few")
    assert status["message"].endswith("; 2 of 2 (100 %) against 1 of 2 (50 %) of old in 1 epoch; 1 better, 0 worse")
    assert (status["rule"], status["epochs"], status["setHash"]) == ("TooFewItems", 1, set_hash(SET))
    [quality] = status["comparisons"]
    assert (quality["metric"], quality["verdict"], quality["items"]) == ("quality", "TooFewItems", 1)
    assert (status["done"], status["total"], status["better"], status["worse"]) == (2, 2, 1, 0)
    assert status["candidate"]["costUSD"] > 0
    assert status["candidate"]["inputTokens"] == 230
    assert status["startedAt"] <= status["finishedAt"]
    assert "retryAt" not in status
    [condition] = status["conditions"]
    assert (condition["type"], condition["status"], condition["reason"]) == ("Complete", "True", "TooFewItems")
    first, *_ = it.cluster.writes
    assert (first["phase"], first["total"], first["message"]) == ("Running", 2, "")
    assert all("attempts" not in write for write in it.cluster.writes)
    assert len(it.upstream.calls) == 4
    assert it.upstream.calls[0].headers["authorization"] == "Bearer sk-SECRET"


async def test_the_status_names_the_models_that_grade(tmp_path: Path) -> None:
    async with scene(tmp_path) as it:
        it.add("claudeevalsets", "support", spec=SET | {"graders": [{"name": "default", "model": "claude-opus-5-5"}]})
        assert await it.go() == 0
    assert it.status["graders"] == ["default: claude-opus-5-5"]


async def test_another_run_under_its_name_gets_neither_the_key_nor_a_result(tmp_path: Path) -> None:
    """It was deleted without its Job, and made again: with another upstream, or with no other difference."""
    async with scene(tmp_path) as it:
        it.paths = replace(it.paths, uid=it.run["metadata"]["uid"])
        assert await it.go() == 0
        calls = len(it.upstream.calls)
        assert calls
        it.run["status"] = {}
        it.run["metadata"]["uid"] = "another"
        it.cluster.writes.clear()
        assert await it.go() == 1
    assert len(it.upstream.calls) == calls
    assert it.cluster.writes == []
    assert it.events[-1]["message"].startswith("another ClaudeEvalRun has this name now")


async def test_a_run_that_is_replaced_while_it_is_asked_gets_no_result(tmp_path: Path) -> None:
    def script(_: Body) -> Text:
        it.run["metadata"]["uid"] = "another"
        return Text()

    async with scene(tmp_path, script) as it:
        it.paths = replace(it.paths, uid=it.run["metadata"]["uid"])
        assert await it.go() == 1
    assert it.status["phase"] == "Running"


async def test_a_revision_that_somebody_made_is_not_asked(tmp_path: Path) -> None:
    """Under the name of one that the operator made, and with another content."""
    async with scene(tmp_path, deployment="support") as it:
        assert await it.go() == 1
        assert it.upstream.calls == []
    assert it.status["phase"] == "Error"
    assert "the ClaudeRevision new does not have the content that its name stands for" in it.status["message"]


async def test_an_invalid_regular_expression_is_an_invalid_set(tmp_path: Path) -> None:
    async with scene(tmp_path) as it:
        odd = {"tests": [{"id": "a", "input": "x", "assert": [{"type": "regex", "value": "a("}]}]}
        it.add("claudeevalsets", "support", spec=odd)
        assert await it.go() == 1
        assert it.upstream.calls == []
    assert (it.status["phase"], it.status["reason"]) == ("Error", "InvalidSet")
    assert "the ClaudeEvalSet support, test 1 (a): 'a(' is not a regular expression" in it.status["message"]


async def test_a_run_that_fails_and_says_nothing_of_questions_answers_or_keys(tmp_path: Path) -> None:
    async with scene(tmp_path, lambda _: Text("SECRET ANSWER")) as it:
        assert await it.go() == 100
    assert (it.status["phase"], it.status["reason"]) == ("Failed", "CriticalItemFailed")
    assert it.status["failedItems"] == [
        {"id": "a", "critical": True, "assertion": "equals: billing", "passed": 0},
        {"id": "b", "critical": False, "assertion": "equals: billing", "passed": 0},
    ]
    assert "SECRET" not in it.output.getvalue() + json.dumps(it.cluster.writes)
    assert [event["message"] for event in it.events] == ["asking", "estimated", "ended"]


async def test_a_dataset(tmp_path: Path) -> None:
    text = '{"id": "x", "input": "1"}\n{"id": "y", "input": "2"}\n{"id": "z", "input": "3"}\n'
    async with scene(tmp_path, setHash=set_hash(DATASET, Contents({("questions", "items.jsonl"): text}))) as it:
        it.add("claudeevalsets", "support", spec=DATASET)
        it.add("configmaps", "questions", data={"items.jsonl": text})
        assert await it.go() == 0
    assert it.status["candidate"]["items"] == 3


async def test_items_and_files_of_several_config_maps(tmp_path: Path) -> None:
    sources = [{"name": "one", "key": "a.csv"}, {"name": "two", "key": "b.yaml"}]
    spec = {"dataset": {"configMaps": sources}, "files": [{"name": "docs"}]}
    texts = {("one", "a.csv"): "input,__expected\n1,billing\n", ("docs", "a.txt"): "billing"}
    texts[("two", "b.yaml")] = (
        "- {id: b, input: '{{a}}', vars: {a: file://a.txt}, assert: [{type: equals, value: billing}]}"
    )
    async with scene(tmp_path, setHash=set_hash(spec, Contents(texts))) as it:
        it.add("claudeevalsets", "support", spec=spec)
        for (name, key), text in texts.items():
            it.add("configmaps", name, data={key: text})
        assert await it.go() == 0, it.status
    assert it.status["candidate"]["items"] == 2
    assert {question(call.body) for call in it.upstream.calls} == {"1", "billing"}


async def test_items_of_a_volume(tmp_path: Path) -> None:
    """What was read is in the hash that the run reports, and another content than that of the run before is told."""
    spec = {"dataset": {"volume": {"claimName": "exam", "path": "items.jsonl"}}, "execution": SET["execution"]}
    volume = tmp_path / "volume"
    volume.mkdir()
    (volume / "items.jsonl").write_text('{"input": "1", "assert": [{"type": "equals", "value": "billing"}]}\n')
    async with scene(tmp_path, setHash=set_hash(spec)) as it:
        it.paths = replace(it.paths, volume=volume)
        found = it.cluster.add("claudeevalsets", "support", spec=spec)
        assert await it.go() == 0, it.status
        first = it.status
        found["status"] = {"setHash": first["setHash"]}
        it.run["status"] = {}
        assert await it.go() == 0
        assert it.status["setHash"] == first["setHash"]
        assert "has changed" not in it.status["message"]
        (volume / "items.jsonl").write_text('{"input": "2", "assert": [{"type": "equals", "value": "billing"}]}\n')
        it.run["status"] = {}
        assert await it.go() == 0
    changed = f"has changed since the run before (now {it.status['setHash'][:8]}, then {first['setHash'][:8]})"
    assert changed in it.status["message"]
    assert first["setHash"] != set_hash(spec)
    assert [question(call.body) for call in it.upstream.calls] == ["1", "2"], "what is the same is not paid twice"


async def test_a_volume_without_the_file(tmp_path: Path) -> None:
    spec = {"dataset": {"volume": {"claimName": "exam", "path": "items.jsonl"}}}
    async with scene(tmp_path) as it:
        it.paths = replace(it.paths, volume=tmp_path / "none")
        it.add("claudeevalsets", "support", spec=spec)
        assert await it.go() == 1
    assert it.status["reason"] == "InvalidSet"
    assert "there is no file items.jsonl on the volume: put the items there" in it.status["message"]


POLITE = "llm-rubric: is polite"
JUDGED = {
    "tests": [{"id": "a", "input": "Hello?", "assert": [{"type": "llm-rubric", "value": "is polite"}]}],
    "graders": [{"name": "default", "model": "claude-opus-5-5"}],
    "calibration": {"configMapKeyRef": {"name": "labels", "key": "labels.jsonl"}, "minKappa": 0.4},
    "execution": SET["execution"],
}


def label(text: str, holds: bool | None, **more: Any) -> str:
    return json.dumps({"id": "a", "arm": "candidate", "check": POLITE, "text": text, "holds": holds} | more)


def grader(body: Body) -> Text:
    """A grader that finds polite whatever has the word please."""
    if "output_config" not in body:
        return Text("please")
    polite = "please" in question(body).rpartition("Hello?")[2]
    return Text(json.dumps({"criterion_1": {"reason": "said so", "decision": polite}}))


@pytest.mark.parametrize(
    ("lines", "found", "says"),
    [
        # Agreed 3 of 5; chance (3 * 3 + 2 * 2) / 25 = 0.52; 0.08 / 0.48.
        (
            [
                label("please 1", True), label("please 2", True), label("please 3", False), label("no 1", True),
                label("no 2", False), label("no 3", None), label("of another check", True, check="equals: x"),
            ],
            {"answers": 5, "agreed": 3, "lenient": 1, "strict": 1, "unused": 1, "kappa": 0.1667, "minKappa": 0.4},
            "Cohen's kappa is 0.17 (95 % interval",
        ),
        (["{}"], {"answers": 0}, "labels.jsonl, line 1: "),
        ([label("x", True, id="gone")], {"unused": 1}, "no label is of an item and a check of the set"),
        ([label("no 3", None)], {"answers": 0}, "no line is judged"),
        ([], {"answers": 0}, "the labels in the ConfigMap labels, key labels.jsonl, are not there: put them there"),
    ],
)  # fmt: skip
async def test_graders_are_compared_with_people(
    tmp_path: Path, lines: list[str], found: dict[str, Any], says: str
) -> None:
    async with scene(tmp_path, grader, setHash=set_hash(JUDGED)) as it:
        it.add("claudeevalsets", "support", spec=JUDGED)
        it.add("configmaps", "labels", data={"labels.jsonl": "\n".join(lines)} if lines else {})
        assert await it.go() == 0, it.status
        asked = len(it.upstream.calls)
        it.run["status"] = {}
        assert await it.go() == 0
    assert it.status["calibration"] | found == it.status["calibration"]
    assert says in it.status["message"]
    assert len(it.upstream.calls) == asked, "votes are kept"


async def test_a_grader_that_fails_on_labels_fails_no_run(tmp_path: Path) -> None:
    def script(body: Body) -> Text | Refusal:
        return Refusal(400, "invalid_request_error") if "no 1" in str(body) else grader(body)

    async with scene(tmp_path, script) as it:
        it.add("claudeevalsets", "support", spec=JUDGED)
        it.add("configmaps", "labels", data={"labels.jsonl": label("no 1", False)})
        assert await it.go() == 0, it.status
    assert it.status["calibration"]["trouble"].startswith(
        "the graders were not asked about all labels: the API refuses"
    )


async def test_an_empty_set_is_inconclusive(tmp_path: Path) -> None:
    async with scene(tmp_path) as it:
        it.add("claudeevalsets", "support", spec={"tests": []})
        assert await it.go() == 101
    assert (it.status["phase"], it.status["reason"]) == ("Inconclusive", "EmptySet")
    assert not it.upstream.calls


@pytest.mark.parametrize(("phase", "code"), [("Passed", 0), ("Failed", 100), ("Inconclusive", 101)])
async def test_a_finished_run_is_never_made_again(tmp_path: Path, phase: str, code: int) -> None:
    async with scene(tmp_path) as it:
        it.run["status"] = {"phase": phase}
        assert await it.go() == code
    assert not it.upstream.calls
    assert not it.cluster.writes


async def test_a_result_of_another_job_stands(tmp_path: Path) -> None:
    async with scene(tmp_path) as it:

        def script(_: Body) -> Text:
            it.run["status"] = {"phase": "Failed", "message": "theirs"}
            return Text()

        it.upstream.script = script
        assert await it.go() == 100
    assert it.status == {"phase": "Failed", "message": "theirs"}


async def test_what_is_served_is_evaluated(tmp_path: Path) -> None:
    async with scene(tmp_path) as it:
        (it.paths.env / "DOCS").write_text("tok\n")
        it.revision("new", "NEW", betas=["one-beta"], **TOKEN)
        assert await it.go() == 0
    call = it.upstream.calls[0]
    assert call.body["mcp_servers"][0]["authorization_token"] == "tok"
    assert call.headers["anthropic-beta"] == "one-beta,mcp-client-2025-11-20"
    assert call.body["stream"] is True
    assert "betas" not in call.body


TOOLSET = {"type": "mcp_toolset", "mcp_server_name": "d"}


async def test_what_is_really_called_is_named_while_the_run_is_under_way(tmp_path: Path) -> None:
    async with scene(tmp_path) as it:
        (it.paths.env / "DOCS").write_text("tok\n")
        it.revision("new", "NEW", tools=[TOOLSET], **TOKEN)
        assert await it.go() == 0
    first, *_ = it.cluster.writes
    assert first["message"].startswith("this run really calls the MCP server d in at most 8 requests")
    assert it.status["realCalls"] == [{"kind": "MCP server", "name": "d", "requests": 8}]
    assert "calls servers" in [event["message"] for event in it.events]
    assert "really calls" not in it.status["message"], "the run is over"


async def test_a_run_without_mcp_servers(tmp_path: Path) -> None:
    async with scene(tmp_path, mcp="Off", baselineRevision="old") as it:
        it.revision("new", "NEW", tools=[TOOLSET], **TOKEN)
        it.revision("old", "OLD", tools=[{"type": "web_search_20260318", "name": "web_search"}])
        assert await it.go() == 0
    assert all("mcp_servers" not in call.body and call.body["tools"] == [] for call in it.upstream.calls)
    assert it.status["leftOut"] == ["MCP server d", "server tool web_search"]
    assert "realCalls" not in it.status or it.status["realCalls"] == []
    assert "asked without the MCP server d, the server tool web_search (evals.mcp: Off)" in it.status["message"]


@pytest.mark.parametrize(
    ("change", "reason", "message"),
    [
        ({"setRef": ""}, "InvalidRun", "the run's spec cannot be read: setRef: "),
        ({"setHash": "0" * 64}, "SetChanged", "has changed since this run was made"),
        ({"revision": "none"}, "NotFound", "the ClaudeRevision none does not exist"),
        ({"baselineRevision": "none"}, "NotFound", "the ClaudeRevision none does not exist"),
        ({"setRef": "none"}, "NotFound", "the ClaudeEvalSet none does not exist"),
        ({"setRef": "dataset"}, "NotFound", "the ConfigMap questions does not exist"),
        ({"setRef": "keyless"}, "NotFound", "the ConfigMap empty has no key k: put the items there"),
        ({"setRef": "unreadable"}, "InvalidSet", "cannot be read: tests[0].assert[0].type"),
        ({"setRef": "unchecked"}, "InvalidSet", "ClaudeEvalSet unchecked, test 1 (a): nothing is checked"),
        ({"revision": "token"}, "Infrastructure", "refers to $(DOCS), which has no value yet"),
        ({"setRef": "prefilled"}, "InvalidSet", "item a: messages[0]: the first message has role assistant"),
    ],
    ids=lambda value: str(value)[:40],
)
async def test_a_run_that_cannot_begin_is_an_error(
    tmp_path: Path, change: dict[str, Any], reason: str, message: str
) -> None:
    async with scene(tmp_path, **change) as it:
        it.add("claudeevalsets", "dataset", spec=DATASET)
        it.add("claudeevalsets", "keyless", spec={"dataset": {"configMapKeyRef": {"name": "empty", "key": "k"}}})
        it.add("configmaps", "empty")
        unreadable = {"tests": [{"id": "a", "input": "x", "assert": [{"type": "vibes", "value": "SECRET"}]}]}
        it.add("claudeevalsets", "unreadable", spec=unreadable)
        it.add("claudeevalsets", "unchecked", spec={"tests": [{"id": "a", "input": "x"}]})
        turns = [{"role": "assistant", "content": "Hello"}, {"role": "user", "content": "hi"}]
        asked = {"id": "a", "messages": turns, "assert": [{"type": "contains", "value": "x"}]}
        it.add("claudeevalsets", "prefilled", spec={"tests": [asked]})
        it.revision("token", "T", **TOKEN)
        it.run["status"] = {"phase": "Pending", "retryAt": "2026-11-20T12:00:00Z"}
        assert await it.go() == 1
    assert (it.status["phase"], it.status["reason"]) == ("Error", reason)
    assert "retryAt" not in it.status, "an old one would have it tried again at once"
    assert message in it.status["message"]
    assert "SECRET" not in it.status["message"]
    assert it.status["conditions"][0]["status"] == "False"
    assert not it.upstream.calls


@pytest.mark.parametrize("hosts", [("tools.example",), ("127.0.0.1:{port}",)], ids=["upstream", "MCP server"])
async def test_a_host_that_is_not_allowed_gets_neither_the_key_nor_a_value(
    tmp_path: Path, hosts: tuple[str, ...]
) -> None:
    """The operator asks before it makes a Job; the list may have been narrowed since."""
    async with scene(tmp_path, baselineRevision="old") as it:
        (it.paths.env / "DOCS").write_text("tok\n")
        it.revision("old", "OLD", **TOKEN)
        port = it.upstream.url.rpartition(":")[2]
        it.paths = replace(it.paths, policy=Policy(allowed_hosts=tuple(one.format(port=port) for one in hosts)))
        assert await it.go() == 1
        allowed = it.paths.policy.allowed_hosts
        if "tools.example" not in allowed:
            assert "ClaudeRevision old, spec.request.mcp_servers[0].url: " in it.status["message"]
        assert (it.status["phase"], it.status["reason"]) == ("Error", "Infrastructure")
        assert "is not an allowed host" in it.status["message"]
    assert not it.upstream.calls


async def test_without_a_key(tmp_path: Path) -> None:
    async with scene(tmp_path) as it:
        it.paths.upstream_key.unlink()
        assert await it.go() == 1
    assert it.status["phase"] == "Error"
    assert "apiKeySecretRef has no key" in it.status["message"]


async def test_infrastructure_leaves_the_phase_open(tmp_path: Path) -> None:
    async with scene(tmp_path, lambda _: Refusal(401, "authentication_error", "invalid x-api-key")) as it:
        assert await it.go() == 1
    assert (it.status["phase"], it.status["reason"]) == ("Running", "Infrastructure")
    assert it.status["message"] == "the Claude API answers 401: invalid x-api-key"
    assert "candidate" not in it.status


async def test_a_refused_candidate(tmp_path: Path) -> None:
    def script(body: Body) -> Text | Refusal:
        return Refusal(404, "not_found_error", "model: claude-x") if system(body) == "NEW" else Text()

    async with scene(tmp_path, script, baselineRevision="old") as it:
        assert await it.go() == 100
    assert (it.status["phase"], it.status["reason"]) == ("Failed", "RequestRejected")
    assert "model: claude-x (404 not_found_error)" in it.status["message"]


async def test_progress_is_written_while_it_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("claude_operator.evals.job._PROGRESS_SECONDS", 0.02)

    async def script(body: Body) -> Text:
        if question(body).endswith("b"):
            await until(lambda: it.status.get("done") == 1)
        return Text()

    async with scene(tmp_path, script) as it:
        assert await it.go() == 0
    assert 1 in [write.get("done") for write in it.cluster.writes]


async def test_being_stopped(tmp_path: Path) -> None:
    async def script(_: Body) -> Text:
        await asyncio.sleep(30)
        return Text()

    async with scene(tmp_path, script) as it:
        job = asyncio.create_task(it.go())
        await it.upstream.arrived.wait()
        job.cancel()
        assert await job == 1
    assert (it.status["phase"], it.status["message"]) == ("Running", "the Job was stopped before the run ended")


async def test_a_result_is_written_again_after_a_failure(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("claude_operator.evals.job._WRITE_PAUSE", 0.001)
    async with scene(tmp_path) as it:

        def script(_: Body) -> Text:
            it.cluster.failures = [500, 503]
            return Text()

        it.upstream.script = script
        assert await it.go() == 0
    assert it.status["phase"] == "Passed"


async def test_a_result_that_cannot_be_written_is_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("claude_operator.evals.job._WRITE_PAUSE", 0.001)
    async with scene(tmp_path) as it:

        def script(_: Body) -> Text:
            it.cluster.failures = [500] * 99
            return Text()

        it.upstream.script = script
        assert await it.go() == 1
    assert it.status["phase"] == "Running"


async def test_the_report_is_there_though_the_run_could_not_be_read_at_first(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("claude_operator.evals.job._WRITE_PAUSE", 0.001)
    async with scene(tmp_path) as it:

        def script(_: Body) -> Text:
            it.cluster.read_failures = [403]
            return Text()

        it.upstream.script = script
        assert await it.go() == 0
        report = it.cluster.objects["/api/v1/namespaces/demo/configmaps/new-12345678-report"]
    assert report.get("binaryData")


async def test_no_such_run_and_no_rights(tmp_path: Path) -> None:
    async with scene(tmp_path) as it:
        it.cluster.failures = [403]
        assert await it.go() == 1
        assert not it.upstream.calls
        it.cluster.objects.clear()
        assert await it.go() == 1
