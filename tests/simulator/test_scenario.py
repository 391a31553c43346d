"""Scenarios: read, refused, replaced while it runs."""

from __future__ import annotations

import asyncio
import hashlib
import json
import os
import signal
import sys
from pathlib import Path
from typing import Any

import aiohttp
import pytest
import yaml
from tests.simulator.harness import FAST, HEADERS, Running, message
from tests.waiting import HANGS

from claude_operator.__main__ import main
from claude_operator.log import Log
from claude_operator.simulator.profile import Compiled, Profile, compile_scenario, load
from claude_operator.simulator.scenario import ScenarioError, parse
from claude_operator.simulator.watch import ScenarioFile

SYSTEM = "You are v4."
HASH = hashlib.sha256(SYSTEM.encode()).hexdigest()


def compiled(text: str) -> Compiled:
    return compile_scenario(parse(text), None)


def test_a_rule_gives_what_differs_from_the_defaults() -> None:
    scenario = compiled(
        """
        seed: 9
        answers: [{question: "  Where? ", answer: here}]
        defaults: {latency: {median: 300ms, p95: 900ms}, refusalRate: 0.1, outputTokens: 7}
        rules:
        - match: {model: "claude-opus-*", systemContains: v4}
          errorRate: 0.3
          refusalRate: 0
        - {name: slow, match: {systemHash: HASH}, latency: {median: 1.5s}}
        """.replace("HASH", HASH[:12])
    )
    first, slow, rest = scenario.profiles
    assert (scenario.seed, scenario.answers) == (9, {"Where?": "here"})
    assert (first.label, first.error_rate, first.refusal_rate, first.output_tokens) == ("rules[0]", 0.3, 0, 7)
    assert (slow.label, slow.median, slow.p95, slow.refusal_rate) == ("slow", 1.5, None, 0.1)
    assert (rest.label, rest.median, rest.p95, rest.error_rate) == ("defaults", 0.3, 0.9, 0)


@pytest.mark.parametrize(
    ("model", "system", "question", "label"),
    [
        ("claude-opus-5-5", SYSTEM, "Where?", "both"),
        ("claude-opus-5-5", "v3", "Where?", "opus"),
        ("claude-haiku-5-5", SYSTEM, "Where?", "hash"),
        ("claude-haiku-5-5", SYSTEM + " ", "Where?", "defaults"),
        ("claude-haiku-5-5", SYSTEM, "Where is my card?", "card"),
    ],
)
def test_the_first_rule_that_matches_counts(model: str, system: str, question: str, label: str) -> None:
    scenario = compiled(
        f"""
        rules:
        - {{name: both, match: {{model: claude-opus-5-5, systemContains: v4}}}}
        - {{name: opus, match: {{model: claude-opus-*}}}}
        - {{name: card, match: {{systemContains: v4, questionContains: card}}}}
        - {{name: hash, match: {{systemHash: {HASH[:8]!r}}}}}
        """
    )
    digest = hashlib.sha256(system.encode()).hexdigest()
    assert scenario.profile(model, system, digest, question).label == label


def test_nothing_is_a_scenario() -> None:
    assert compiled("").profiles == (Profile(),)
    assert (compiled("").seed, compile_scenario(parse("{seed: 4}"), None, seed=5).seed) == (1, 5)
    assert compile_scenario(parse("{}"), None, rate=9).profiles[-1].tokens_per_second == 9


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("a: [", "is not YAML at line "),
        ("[1]", "a scenario is an object"),
        ("{models: {}}", "models: is not a field here"),
        ("{defaults: {errorRate: 2}}", "defaults.errorRate: must be 1 or less"),
        ("{defaults: {latency: {median: 3}}}", "defaults.latency.median"),
        (
            "{defaults: {latency: {median: fast}}}",
            "defaults.latency.median: is not a duration; use e.g. 30s, 10m or 1500ms",
        ),
        ("{defaults: {latency: {median: 3s, p95: 1s}}}", "defaults.latency: p95 must be at least the median"),
        ("{rules: [{match: {modle: x}}]}", "rules[0].match.modle: is not a field here"),
        ("{rules: [{errorRate: 0.6, overloadRate: 0.6}]}", "rules[0]: errorRate, overloadRate, rateLimitRate and"),
        ("{rules: [{match: {systemHash: xyz}}]}", "rules[0].match.systemHash"),
        ("{answers: {file: a.jsonl}}", "only a scenario in a file can use it"),
        ("{defaults: {tokensPerSecond: 0}}", "defaults.tokensPerSecond: must be more than 0"),
        ("{defaults: {tokensPerSecond: .inf}}", "defaults.tokensPerSecond"),
    ],
)
def test_refused(text: str, said: str) -> None:
    with pytest.raises(ScenarioError) as caught:
        compiled(text)
    assert said in str(caught.value)


async def test_put_replaces_and_get_shows(api: Running) -> None:
    status, done = await api.steer("{defaults: {errorRate: 1, latency: {median: 0s}}, rules: [{name: a}]}")
    assert (status, done) == (200, {"rules": 1, "answers": 0})
    assert (await api.ask())[0] == 500
    async with api.http.get(api.url + "/-/scenario") as response:
        text = await response.text()
        assert yaml.safe_load(text)["defaults"] == {"errorRate": 1, "latency": {"median": "0s"}}
    async with api.http.get(api.url + "/-/scenario", headers={"accept": "application/json"}) as response:
        assert (await response.json())["rules"] == [{"name": "a"}]
    status, refused = await api.steer("{defaults: {errorRate: 7}}")
    assert status == 400
    assert "defaults.errorRate" in refused["error"]["message"]
    assert (await api.ask())[0] == 500  # the old one stays
    await api.steer(json.dumps(yaml.safe_load(FAST)))
    assert (await api.ask())[0] == 200


async def test_stats_are_by_rule_and_model(api: Running) -> None:
    rule = "{name: bad, match: {model: claude-opus-*}, errorRate: 1}"
    await api.steer(f"{{defaults: {{latency: {{median: 0s}}, tokensPerSecond: 1e6}}, rules: [{rule}]}}")
    await api.ask(message(model="claude-opus-5"))
    await api.ask()
    await api.ask()
    found = await api.stats()
    assert [(row["rule"], row["model"], row["requests"], row["errors"]) for row in found["rules"]] == [
        ("bad", "claude-opus-5", 1, 1),
        ("defaults", "claude-haiku-5-5", 2, 0),
    ]
    async with api.http.delete(api.url + "/-/stats") as response:
        assert response.status == 204
    assert (await api.stats())["rules"] == []


class TestFile:
    """A file as an editor, and as a ConfigMap's mount, changes it."""

    @pytest.fixture
    def file(self, tmp_path: Path) -> ScenarioFile:
        path = tmp_path / "scenario.yaml"
        path.write_text("{seed: 2}")
        return ScenarioFile(path, load, Log(sys.stderr, "text"))

    def test_a_change_counts_once(self, file: ScenarioFile, tmp_path: Path) -> None:
        assert file.read().seed == 2
        assert file.changed() is None
        (tmp_path / "scenario.yaml").write_text("{seed: 33}")
        changed = file.changed()
        assert changed is not None
        assert changed.seed == 33
        assert file.changed() is None

    def test_the_same_again_is_no_change(self, file: ScenarioFile, tmp_path: Path) -> None:
        file.read()
        (tmp_path / "scenario.yaml").write_text("{ seed: 2 }")
        assert file.changed() is None

    def test_a_bad_one_is_logged_once_and_the_old_one_stays(
        self, file: ScenarioFile, tmp_path: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        file = ScenarioFile(tmp_path / "scenario.yaml", load, Log(sys.stdout, "json"))
        file.read()
        (tmp_path / "scenario.yaml").write_text("{seed: x}")
        assert [file.changed(), file.changed()] == [None, None]
        (line,) = capsys.readouterr().out.splitlines()
        assert "seed" in json.loads(line)["reason"]
        (tmp_path / "scenario.yaml").unlink()
        assert file.changed() is None
        (tmp_path / "scenario.yaml").write_text("{seed: 34}")
        changed = file.changed()
        assert changed is not None
        assert changed.seed == 34

    def test_a_config_maps_symlinks_are_followed(self, tmp_path: Path) -> None:
        for name, seed in (("..1", 5), ("..2", 6)):
            (tmp_path / name).mkdir()
            (tmp_path / name / "scenario.yaml").write_text(f"{{seed: {seed}}}")
            os.utime(tmp_path / name / "scenario.yaml", (1, 1))
        (tmp_path / "..data").symlink_to("..1")
        (tmp_path / "scenario.yaml").symlink_to("..data/scenario.yaml")
        file = ScenarioFile(tmp_path / "scenario.yaml", load, Log(sys.stderr, "text"))
        assert file.read().seed == 5
        (tmp_path / "..new").symlink_to("..2")
        (tmp_path / "..new").rename(tmp_path / "..data")
        changed = file.changed()
        assert changed is not None
        assert changed.seed == 6

    def test_answers_are_beside_it_and_followed(self, file: ScenarioFile, tmp_path: Path) -> None:
        (tmp_path / "scenario.yaml").write_text("{answers: {file: answers.jsonl}}")
        with pytest.raises(ScenarioError, match=r"answers.jsonl cannot be read"):
            file.read()
        answers = tmp_path / "answers.jsonl"
        answers.write_text('{"question": "a?", "answer": "b"}\n\n')
        assert file.read().answers == {"a?": "b"}
        answers.write_text('{"question": "a?", "answer": "ccc"}\n')
        changed = file.changed()
        assert changed is not None
        assert changed.answers == {"a?": "ccc"}
        answers.write_text('{"question": "a?"}')
        with pytest.raises(ScenarioError, match=r"line 1 of answers.jsonl"):
            file.read()


async def process(*arguments: str) -> asyncio.subprocess.Process:
    return await asyncio.create_subprocess_exec(
        sys.executable, "-m", "claude_operator", "simulator", "--host", "127.0.0.1", "--log-format", "json", *arguments,
        stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
    )  # fmt: skip


async def line(running: asyncio.subprocess.Process, wanted: str) -> dict[str, Any]:
    """The next line with this message."""
    assert running.stdout is not None
    while True:
        read = await asyncio.wait_for(running.stdout.readline(), HANGS)
        assert read, "the process ended"
        found: dict[str, Any] = json.loads(read)
        if found["message"] == wanted:
            return found


def write(path: Path, text: str) -> None:
    """Write it at once: an empty file, as one is while it is written, is a scenario too."""
    new = path.with_suffix(".new")
    new.write_text(text)
    new.replace(path)


@pytest.mark.slow
async def test_a_process_follows_its_file_and_ends_on_sigterm(tmp_path: Path) -> None:
    path = tmp_path / "scenario.yaml"
    path.write_text("{defaults: {latency: {median: 0s}, tokensPerSecond: 50}}")
    running = await process("--port", "0", "--scenario", str(path), "--seed", "12")
    try:
        listening = await line(running, "listening")
        assert listening["seed"] == 12
        url = f"http://127.0.0.1:{listening['port']}/v1/messages"
        async with aiohttp.ClientSession() as http:
            async with http.post(url, json=message(max_tokens=1), headers=HEADERS) as response:
                assert response.status == 200
            write(path, "{oops: 1}")
            assert "oops" in (await line(running, "scenario refused, the old one stays in use"))["reason"]
            write(path, "{defaults: {overloadRate: 1}}")
            await line(running, "scenario applied")
            async with http.post(url, json=message(), headers=HEADERS) as response:
                assert response.status == 529
            write(path, "{defaults: {latency: {median: 0s}, tokensPerSecond: 150}} # again")
            await line(running, "scenario applied")
            stream = await http.post(url, json=message(stream=True), headers=HEADERS)
            await stream.content.readany()
            running.send_signal(signal.SIGTERM)
            await line(running, "draining")
            assert b"message_stop" in await stream.read()  # an answer in flight is finished
        await line(running, "stopped")
        assert await running.wait() == 0
    finally:
        if running.returncode is None:
            running.kill()
        await running.communicate()


def test_a_bad_scenario_at_the_start_is_exit_2(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "scenario.yaml"
    path.write_text("{defaults: {errorRate: 3}}")
    assert main(["simulator", "--scenario", str(path)]) == 2
    assert "defaults.errorRate: must be 1 or less" in capsys.readouterr().err
    assert main(["simulator", "--scenario", str(tmp_path / "none.yaml")]) == 2
    assert "none.yaml cannot be read: No such file" in capsys.readouterr().err
