"""Live grading with the real processes: gateways, a grader and the simulator, on loopback."""

from __future__ import annotations

import asyncio
import base64
import json
import os
import secrets
import signal
import sys
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import aiohttp
import pytest
import yaml
from tests.evals.servers import cluster
from tests.evals.test_cli import kubeconfig
from tests.gateway.harness import CANARY, GRADER_KEY, OPERATOR_KEY, STABLE, make_arm, make_config
from tests.gateway.test_process import Process, gateway_process
from tests.waiting import until
from yarl import URL

from claude_operator.api.evidence import parse_evidence
from claude_operator.api.gateway import Auth, Deployment, Live, dump_config
from claude_operator.api.grading import STATE_KEY, GradingPlan, dump_plan, plan_hash
from claude_operator.core.operator_key import ask

pytestmark = pytest.mark.slow  # each starts interpreters

QUESTIONS = [f"Where is parcel {number}?" for number in range(30)]
SCENARIO = {
    "answers": [
        {"question": question, "answer": f"{question[9:-1].capitalize()} is on its way."} for question in QUESTIONS
    ],
    "defaults": {"latency": {"median": "0s"}, "tokensPerSecond": 1e6},
    "rules": [
        {"match": {"model": "claude-sonnet-5-5"}, "grader": {}},
        {"match": {"systemContains": "v2"}, "accuracy": 0, "wrongAnswer": "No."},
    ],
}
LIVE = {
    "sampleRate": "1",
    "minPerMinute": 600,
    "maxPerMinute": 6000,
    "rubric": ["It says where the parcel is."],
    "graders": [{"name": "default", "model": "claude-sonnet-5-5"}],
    "keepFailed": 5,
}


@asynccontextmanager
async def process(*arguments: str, **environment: str) -> AsyncIterator[Process]:
    started = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "claude_operator", *arguments, "--log-format", "json", "--host", "127.0.0.1"),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        env={**os.environ, **environment},
    )
    try:
        yield Process(started)
    finally:
        if started.returncode is None:
            started.kill()
        await started.communicate()


@dataclass
class Rollout:
    """Gateways that serve two arms, the simulator behind them, and what a grader needs."""

    folder: Path
    upstream: str
    stack: AsyncExitStack
    http: aiohttp.ClientSession
    pods: dict[str, tuple[int, int]] = field(default_factory=dict)
    """Their ports for clients and for the admin, by name."""
    processes: dict[str, Process] = field(default_factory=dict)

    async def serve(self, name: str) -> None:
        options = ("--config", str(self.folder / "config.json"), "--operator-dir", str(self.folder / "keys"))
        running = gateway_process(*options, "--settle-seconds", "0", POD_NAME=name, ANTHROPIC_API_KEY="k")
        gateway = self.processes[name] = await self.stack.enter_async_context(running)
        ports = await gateway.line("listening")
        await gateway.line("config applied")
        self.pods[name] = (ports["port"], ports["admin_port"])

    def plan(self, **live: Any) -> str:
        """Write the plan; returns its hash."""
        plan = GradingPlan(
            Deployment("support", "demo", "u"), LIVE | live, self.upstream, arms={STABLE: ["claude-haiku-5-5"]}
        )
        (self.folder / "plan.json").write_text(dump_plan(plan))
        return plan_hash(dump_plan(plan))

    @asynccontextmanager
    async def grader(
        self, expected: str, key: str = "keys/grader-key", *remember: str, **environment: str
    ) -> AsyncIterator[tuple[Process, int]]:
        """A grader that waits for this plan, and its port. `remember`: options that say where, in place of a file."""
        files = {"plan": "plan.json", "upstream-key-file": "key"} | ({} if remember else {"state": "state.json"})
        options = [*remember, *(f"--{name}={self.folder / file}" for name, file in files.items())]
        options += [f"--gateways=127.0.0.1:{admin}" for _, admin in self.pods.values()]
        async with process(
            *("grade", "--admin-port=0", "--poll-seconds=0.1", "--batch-seconds=2"),
            *(*options, f"--grader-key-file={self.folder / key}", f"--plan-hash={expected}"),
            **environment,
        ) as running:
            yield running, (await running.line("listening"))["admin_port"]

    async def converse(self, pod: str, *names: str) -> None:
        async def one(number: int, name: str) -> None:
            body = {"messages": [{"role": "user", "content": QUESTIONS[number % len(QUESTIONS)]}], "max_tokens": 64}
            headers = {"x-claude-session-id": name}
            url = f"http://127.0.0.1:{self.pods[pod][0]}/v1/messages"
            async with self.http.post(url, json={**body, "stream": number % 2 == 0}, headers=headers) as response:
                assert response.status == 200, await response.text()
                await response.read()

        await asyncio.gather(*(one(number, name) for number, name in enumerate(names)))

    async def grades(self) -> dict[str, Counter[str]]:
        """What the gateways have counted, by revision."""
        found: dict[str, Counter[str]] = {STABLE: Counter(), CANARY: Counter()}
        for pod, (_, admin) in self.pods.items():
            target = "/-/evidence?since="
            headers = ask(OPERATOR_KEY.encode(), pod=pod, method="GET", target=target, nonce=secrets.token_hex(16))
            async with self.http.get(URL(f"http://127.0.0.1:{admin}{target}", encoded=True), headers=headers) as one:
                evidence = parse_evidence(await one.read())
            for generation in evidence.generations:
                for stratum in generation.strata:
                    found[stratum.revision].update(stratum.counters.grades)
        return found

    async def graded(self, count: int) -> dict[str, Counter[str]]:
        """The same once there are so many verdicts."""

        async def enough() -> bool:
            return sum(sum(one.values()) for one in (await self.grades()).values()) >= count

        await until(enough)
        return await self.grades()

    async def page(self, port: int, path: str) -> tuple[int, str]:
        async with self.http.get(f"http://127.0.0.1:{port}{path}") as response:
            return response.status, await response.text()


@pytest.fixture
async def rollout(tmp_path: Path) -> AsyncIterator[Rollout]:
    (tmp_path / "scenario.yaml").write_text(yaml.safe_dump(SCENARIO))
    (tmp_path / "key").write_text("sk-test")
    (tmp_path / "keys").mkdir()
    (tmp_path / "keys" / "operator-key").write_text(OPERATOR_KEY)
    (tmp_path / "keys" / "grader-key").write_text(GRADER_KEY)
    async with AsyncExitStack() as stack:
        simulator = await stack.enter_async_context(
            process("simulator", "--port=0", f"--scenario={tmp_path / 'scenario.yaml'}")
        )
        url = f"http://127.0.0.1:{(await simulator.line('listening'))['port']}"
        arms = [
            make_arm(role="stable", weight=5000, request={"model": "claude-haiku-5-5", "system": "v1"}),
            make_arm(CANARY, "canary", 5000, request={"model": "claude-haiku-5-5", "system": "v2"}),
        ]
        config = make_config(url, *arms, auth=Auth("None"), live=Live(1.0, 0))
        (tmp_path / "config.json").write_text(dump_config(config))
        http = await stack.enter_async_context(aiohttp.ClientSession())
        yield Rollout(tmp_path, url, stack, http)


def talks(prefix: str, count: int = 60) -> list[str]:
    return [f"{prefix}-{number}" for number in range(count)]


async def test_a_quiet_regression_is_counted_once_a_conversation_and_its_failed_answers_are_kept(
    rollout: Rollout,
) -> None:
    """Also of a conversation that two pods have sampled, and by a grader that is killed and begins again."""
    await rollout.serve("support-gateway-1")
    await rollout.serve("support-gateway-2")
    names = talks("talk")
    expected = rollout.plan()
    async with rollout.grader(expected) as (grader, port):
        await grader.line("grading")
        for pod in rollout.pods:
            await rollout.converse(pod, *names)
        found = await rollout.graded(len(names))
        assert found[STABLE].keys() == {"pass"}
        assert found[CANARY].keys() == {"fail"}
        assert min(found[STABLE]["pass"], found[CANARY]["fail"]) > 15
        assert (await rollout.page(port, "/-/ready"))[0] == 200
        grader.process.send_signal(signal.SIGTERM)
        await grader.process.wait()
    assert await rollout.grades() == found
    assert sum(sum(one.values()) for one in found.values()) == len(names)
    state = json.loads((rollout.folder / "state.json").read_text())
    assert state["state"]["usd"] > 0
    assert state["state"]["plan"] == expected
    assert state["state"]["snapshots"] == {"default": "claude-sonnet-5-5"}
    assert {one["answer"] for one in state["samples"]} == {"No."}
    assert len(state["samples"]) == 5

    more = talks("more")
    async with rollout.grader(expected) as (grader, _):
        await grader.line("grading")
        await rollout.converse("support-gateway-1", *more)
        found = await rollout.graded(len(names) + len(more))
        grader.process.kill()
    after = json.loads((rollout.folder / "state.json").read_text())
    assert after["state"]["usd"] >= state["state"]["usd"]


async def test_a_verdict_on_a_sample_of_a_pod_that_is_gone_is_counted_by_another(rollout: Rollout) -> None:
    await rollout.serve("support-gateway-1")
    await rollout.serve("support-gateway-2")
    plan, state = rollout.plan(), f"--state={rollout.folder / 'state.json'}"
    async with rollout.grader(plan, "keys/grader-key", state, "--batch-seconds=600") as (grader, port):
        await grader.line("grading")
        await rollout.converse("support-gateway-1", *talks("talk", 4))  # too few to be told at once

        async def graded(count: int) -> bool:
            _, page = await rollout.page(port, "/metrics")
            return sum(float(line.split()[1]) for line in page.splitlines() if "grades_total{" in line) == count

        await until(lambda: graded(4))
        assert not any((await rollout.grades()).values())
        rollout.processes["support-gateway-1"].process.kill()
        await rollout.processes["support-gateway-1"].process.wait()
        del rollout.pods["support-gateway-1"]
        await rollout.converse("support-gateway-2", *talks("more"))
        await until(lambda: graded(4 + 60))
        await rollout.graded(20)
        grader.process.send_signal(signal.SIGTERM)  # what still waits for others is told
        await grader.process.wait()
    assert sum(sum(one.values()) for one in (await rollout.grades()).values()) == 4 + 60


async def test_what_a_day_may_cost_outlives_the_process(rollout: Rollout) -> None:
    await rollout.serve("support-gateway-1")
    expected = rollout.plan(maxCostUSDPerDay=1e-6)
    for first in (True, False):
        async with rollout.grader(expected) as (grader, port):
            if first:
                await grader.line("grading")
                await rollout.converse("support-gateway-1", *talks("talk"))
            line = await grader.line("not grading")
            assert "of maxCostUSDPerDay 1e-06 are spent on" in line["reason"]
            status, text = await rollout.page(port, "/-/ready")
            assert (status, "maxCostUSDPerDay" in text) == (503, True)
            grader.process.send_signal(signal.SIGTERM)
            await grader.process.wait()
    found = await rollout.grades()
    assert sum(one["pass"] + one["fail"] for one in found.values()) <= 8  # what was in flight


async def test_nothing_is_graded_while_what_is_spent_cannot_be_remembered(rollout: Rollout) -> None:
    await rollout.serve("support-gateway-1")
    pod = ("--secret=app-failed-samples", "--namespace=demo", "--allowed-address=127.0.0.0/8")
    async with cluster() as made:
        secret = made.add("secrets", "app-failed-samples")
        secret["metadata"]["ownerReferences"] = [{"uid": "u", "controller": True}]
        made.refuse_merges = 403
        config = kubeconfig(rollout.folder, made.url)
        running = rollout.grader(rollout.plan(), "keys/grader-key", *pod, KUBECONFIG=config)
        async with running as (grader, _):
            await grader.line("grading")
            assert "what is spent cannot be written down" in (await grader.line("not grading"))["reason"]
            await rollout.converse("support-gateway-1", *talks("talk", 10))
            await asyncio.sleep(1)  # ten looks at the gateway
            assert not any((await rollout.grades()).values())
            made.refuse_merges = 0
            await rollout.graded(10)
            grader.process.send_signal(signal.SIGTERM)
            await grader.process.wait()
        [stored] = made.objects.values()
        assert json.loads(base64.b64decode(stored["data"][STATE_KEY]))["usd"] > 0


async def test_no_log_line_and_no_metric_has_a_word_of_a_client(rollout: Rollout) -> None:
    await rollout.serve("support-gateway-1")
    async with rollout.grader(rollout.plan()) as (grader, port):
        await grader.line("grading")
        await rollout.converse("support-gateway-1", *talks("talk", 20))
        await rollout.graded(20)
        _, page = await rollout.page(port, "/metrics")
        grader.process.send_signal(signal.SIGTERM)
        out, errors = await grader.process.communicate()
    text = json.dumps(grader.lines) + out.decode() + errors.decode() + page
    for word in ("parcel", "Parcel", "No.", "talk-"):
        assert word not in text
    assert 'claude_grader_grades_total{arm="canary",result="fail"}' in page


async def test_it_waits_for_its_plan_and_for_its_key_and_says_so(rollout: Rollout) -> None:
    await rollout.serve("support-gateway-1")
    rollout.plan(keepFailed=0)
    (rollout.folder / "key").unlink()
    async with rollout.grader("0" * 16) as (grader, port):
        assert (await grader.line("not grading"))["reason"] == "the plan that is mounted is not the newest yet"
        assert await rollout.page(port, "/-/ready") == (503, "the plan that is mounted is not the newest yet\n")
        assert (await rollout.page(port, "/-/live"))[0] == 200
    expected = rollout.plan()
    async with rollout.grader(expected) as (grader, _):
        assert "put the API key into it" in (await grader.line("not grading"))["reason"]
        (rollout.folder / "key").write_text("sk-test")
        await grader.line("grading")


async def test_without_the_graders_key_it_gets_nothing(rollout: Rollout) -> None:
    await rollout.serve("support-gateway-1")
    (rollout.folder / "other").write_text("gr-other")
    async with rollout.grader(rollout.plan(), key="other") as (grader, _):
        await rollout.converse("support-gateway-1", *talks("talk", 5))
        assert (await grader.line("not grading"))["reason"] == "none of 1 gateway pods answers"
    assert not any((await rollout.grades()).values())
