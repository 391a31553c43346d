"""`claude-operator eval run` as a process, both ways."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
import yaml
from tests.evals.servers import Body, Text, cluster, question, upstream
from tests.waiting import HANGS

from claude_operator.__main__ import main

SET = """
kind: ClaudeEvalSet
spec:
  tests:
  - {id: charged-twice, input: twice, critical: true, assert: [{type: equals, value: billing}]}
  - {id: parcel, input: parcel, assert: [{type: equals, value: delivery}]}
  gate: {passRate: 0.5, margin: 0.6}
"""
REQUEST = "{model: claude-haiku-5-5, max_tokens: 16, system: [{type: text, text: %s}]}"


@asynccontextmanager
async def process(*words: str | Path, **environment: str) -> AsyncIterator[asyncio.subprocess.Process]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("ANTHROPIC_", "KUBE"))}
    started = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "claude_operator", "eval", "run", *map(str, words),
        stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE, env={**kept, **environment},
    )  # fmt: skip
    try:
        yield started
    finally:
        if started.returncode is None:
            started.kill()
        await started.communicate()


async def result(*words: str | Path, **environment: str) -> tuple[int | None, str, str]:
    async with process(*words, **environment) as started:
        out, err = await started.communicate()
        return started.returncode, out.decode(), err.decode()


def files(tmp_path: Path) -> list[str | Path]:
    (tmp_path / "set.yaml").write_text(SET)
    (tmp_path / "new.yaml").write_text(REQUEST % "NEW")
    (tmp_path / "old.yaml").write_text(REQUEST % "OLD")
    return ["-f", tmp_path / "set.yaml", "--request", tmp_path / "new.yaml", "--baseline", tmp_path / "old.yaml"]


def script(body: Body) -> Text:
    right = {"twice": "billing", "parcel": "delivery"}[question(body)]
    return Text("no" if (body["system"][0]["text"], right) == ("OLD", "delivery") else right)


@pytest.mark.slow
async def test_on_a_laptop(tmp_path: Path) -> None:
    async with upstream(script) as api:
        code, out, err = await result(*files(tmp_path), "--base-url", api.url, ANTHROPIC_API_KEY="sk-test")
    assert (code, err.splitlines()[-1]) == (0, "6 of 6")
    first = err.splitlines()[0]
    assert first.startswith("estimated cost: about $0.0")
    assert first.endswith("for 12 requests; up to 4 times as much where the gate asks for more epochs")
    assert out.splitlines()[-1].startswith("Passed: ")
    assert out.splitlines()[-1].endswith("; 2 of 2 (100 %) against 1 of 2 (50 %) of old in 3 epochs; 1 better, 0 worse")


@pytest.mark.slow
async def test_several_candidates_have_a_report_each(tmp_path: Path) -> None:
    words = [*files(tmp_path), "--model", "claude-haiku-5-5", "--model", "claude-opus-5-5"]
    words += ["--report", tmp_path / "r.jsonl", "--html", tmp_path / "r.html", "--junit", tmp_path / "r.xml"]
    async with upstream(script) as api:
        code, out, _ = await result(*words, "-o", "json", "--base-url", api.url, ANTHROPIC_API_KEY="sk-test")
        shown = await result(*words, "--base-url", api.url, ANTHROPIC_API_KEY="sk-test")
    assert (code, shown[0]) == (101, 101)  # two items cannot show that anything is not worse
    document = json.loads(out)
    assert document["cheapest"] is None
    assert [one["name"] for one in document["candidates"]] == ["claude-haiku-5-5", "claude-opus-5-5"]
    assert {one["phase"] for one in document["candidates"]} == {"Passed"}
    assert "Keep old: the set has too few items" in shown[1].splitlines()[-1]
    for name in ("r-claude-haiku-5-5.jsonl", "r-claude-opus-5-5.html", "r-claude-opus-5-5.xml"):
        assert (tmp_path / name).stat().st_size


@pytest.mark.slow
async def test_an_arm_against_itself(tmp_path: Path) -> None:
    words = files(tmp_path)[:4]
    async with upstream(script) as api:
        code, out, _ = await result(*words, "--self", "10", "--base-url", api.url, ANTHROPIC_API_KEY="sk-test")
        assert len(api.calls) == 2 * 3 * 2
    assert (code, out) == (
        0,
        "In 10 comparisons of the arm with itself, 3 epochs against as many, the gate failed 0 (0 %), could not tell 0"
        " (0 %) and passed 10 (100 %).\n",
    )


def kubeconfig(tmp_path: Path, url: str) -> str:
    path = tmp_path / "kubeconfig"
    document = {
        "current-context": "c",
        "clusters": [{"name": "c", "cluster": {"server": url}}],
        "users": [{"name": "c", "user": {}}],
        "contexts": [{"name": "c", "context": {"cluster": "c", "user": "c"}}],
    }
    path.write_text(yaml.safe_dump(document))
    return str(path)


@pytest.mark.slow
async def test_in_a_pod_until_it_is_told_to_stop(tmp_path: Path) -> None:
    async def slow(_: Body) -> Text:
        await asyncio.sleep(30)
        return Text()

    (tmp_path / "key").write_text("sk-test")
    async with upstream(slow) as api, cluster() as objects:
        run = objects.add(
            "claudeevalruns",
            "new-1",
            spec={"revision": "new", "setRef": "support", "upstream": {"baseURL": api.url}},
        )
        objects.add("claudeevalsets", "support", spec=yaml.safe_load(SET)["spec"])
        objects.add("clauderevisions", "new", spec={"request": yaml.safe_load(REQUEST % "NEW")})
        words = ["--run", "new-1", "--run-uid", run["metadata"]["uid"], "--namespace", "demo", "--log-format", "json"]
        words += ["--upstream-key-file", str(tmp_path / "key"), "--allowed-address", "127.0.0.1"]
        environment = {"KUBECONFIG": kubeconfig(tmp_path, objects.url)}
        async with process(*words, **environment) as started:
            await asyncio.wait_for(api.arrived.wait(), HANGS)
            started.send_signal(signal.SIGTERM)
            out, err = await asyncio.wait_for(started.communicate(), HANGS)
            assert (started.returncode, err) == (1, b"")
        assert [json.loads(line)["message"] for line in out.splitlines()] == ["asking", "estimated", "no result"]
        assert (run["status"]["phase"], run["status"]["message"]) == (
            "Running",
            "the Job was stopped before the run ended",
        )


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["-f", "x"], "-f needs --request: the file with the request to evaluate"),
        (["--run", "x"], "--run needs --namespace"),
        (["-f", "x", "--request", "a", "--request", "b"], "several candidates need --baseline"),
        (["-f", "x", "--request", "a", "--model", "b", "--model", "c"], "several candidates need --baseline"),
        (["-f", "x", "--request", "a", "--self", "--baseline", "b"], "leave out --baseline"),
        (["-f", "x", "--request", "a", "--from", "r"], "--from belongs to --self"),
        (["-f", "x", "--request", "a", "--self", "--from", "r"], "--from asks nothing: leave out --request"),
        (["-f", "x", "--request", "a", "--max-cost", "two"], "'two' is not an amount in US dollars; write for example"),
        (["-f", "x", "--request", "a", "--max-cost", "nan"], "'nan' is not an amount in US dollars"),
        (["-f", "x", "--request", "a", "--sample", "0"], "'0' must be a whole number from 1 to 1,000,000"),
        (["-f", "x", "--request", "a", "--epochs", "two"], "'two' must be a whole number from 1 to 50"),
        ([], "one of the arguments -f/--file --run is required"),
    ],
)
def test_options_that_do_not_fit(words: list[str], message: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit, match="2"):
        main(["eval", "run", *words])
    assert message in capsys.readouterr().err


NOWHERE = ["--base-url", "http://127.0.0.1:1"]


def test_an_estimate_above_the_most_asks_nothing(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ANTHROPIC_API_KEY", "sk-test")
    words = [*map(str, files(tmp_path)), "--max-cost", "0.0001", *NOWHERE]
    assert main(["eval", "run", *words]) == 1
    told = capsys.readouterr().err.splitlines()
    assert told[0].startswith("estimated cost: about $0.0")
    assert told[1].endswith("more than --max-cost 0.0001: nothing was asked")
    assert len(told) == 2, "nobody is asked, so nobody is missed"


def test_servers_that_will_be_called_are_named_before(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ANTHROPIC_API_KEY", "sk-test")
    words = [*map(str, files(tmp_path)[:4]), "--max-cost", "0", *NOWHERE]
    calling = {
        "mcp_servers": [{"type": "url", "name": "docs", "url": "https://docs.example"}],
        "model": "claude-haiku-5-5",
    }
    request = {**calling, "max_tokens": 16, "tools": [{"type": "mcp_toolset", "mcp_server_name": "docs"}]}
    (tmp_path / "new.yaml").write_text(yaml.safe_dump(request))
    assert main(["eval", "run", *words]) == 1
    assert "warning: this run really calls the MCP server docs in at most 24 requests" in capsys.readouterr().err
    assert main(["eval", "run", *words, "--mcp", "off"]) == 1
    assert "warning" not in capsys.readouterr().err
    owner = {"kind": "ClaudeDeployment", "spec": {"request": request, "upstream": {}}}
    for mode, warned in (("Off", False), ("Real", True)):
        spec = {**owner["spec"], "evals": {"setRef": {"name": "s"}, "mcp": mode}}  # type: ignore[dict-item]
        (tmp_path / "new.yaml").write_text(yaml.safe_dump({**owner, "spec": spec}))
        assert main(["eval", "run", *words]) == 1
        assert ("warning" in capsys.readouterr().err) == warned


def test_the_answers_of_an_earlier_run_against_themselves(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "report.jsonl"
    lines = [{"kind": "run", "set": "s", "candidate": "new", "baseline": "old"}]
    for item, arm, failed in (
        ("charged-twice", "candidate", "x"),
        ("charged-twice", "baseline", ""),
        ("parcel", "baseline", ""),
    ):
        lines += [{"kind": "outcome", "id": item, "arm": arm, "epoch": epoch, "failed": failed} for epoch in range(4)]
    path.write_text("".join(json.dumps(one) + "\n" for one in lines))
    words = ["eval", "run", *map(str, files(tmp_path)[:2]), "--self", "10", "--from", str(path)]
    assert main(words) == 0
    told = capsys.readouterr().out
    assert told.startswith(
        "In 10 comparisons of the arm with itself, 2 epochs against as many, the gate failed 0 (0 %)"
    )
    path.write_text(json.dumps({**lines[0], "leftOut": "answers"}) + "\n")
    assert main(words) == 1
    assert "lacks some answers (answers): take a whole report" in capsys.readouterr().err
    path.write_text(json.dumps(lines[0]) + "\n")
    assert main(words) == 1
    assert "has answers to no item of" in capsys.readouterr().err


def test_what_cannot_be_read_is_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["eval", "run", "-f", str(tmp_path / "none"), "--request", "x"]) == 1
    assert capsys.readouterr().err.startswith("claude-operator eval: ")


def test_help_is_enough(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit, match="0"):
        main(["eval", "run", "--help"])
    shown = capsys.readouterr().out
    assert "exit codes: 0 passed, 100 failed, 101 inconclusive" in " ".join(shown.split())
