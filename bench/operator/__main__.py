"""CPU and memory of the operator with many live canaries on the real cluster.

After `make image`: `hack/in-cluster .venv/bin/python -m bench.operator [--canaries 100] [--interval 5s]`.
Each canary is a ClaudeDeployment of its own with one gateway pod, at 50 % and in a bake that does not end, with a
request every few seconds through it; the simulator answers. Measured is the leader's `process_cpu_seconds_total`.
"""

from __future__ import annotations

import argparse
import asyncio
import base64
import json
import re
import secrets
import sys
import time
import urllib.request
from typing import Any

import aiohttp
from tests.cluster import support

SIMULATOR = f"http://claude-simulator.{support.SYSTEM}.svc:8081"
METRIC = re.compile(r"^(\w+)(?:\{([^}]*)\})? ([0-9.e+-]+)$", re.MULTILINE)


def deployment(name: str, prompt: str, interval: str) -> dict[str, Any]:
    """A ClaudeDeployment whose second revision stays on trial."""
    steps: list[dict[str, Any]] = [{"setWeight": 50}, {"bake": {"minDuration": "1h", "maxDuration": "2h"}}]
    return {
        "apiVersion": "claudeops.dev/v1alpha1",
        "kind": "ClaudeDeployment",
        "metadata": {"name": name},
        "spec": {
            "request": {
                "model": "claude-haiku-5-5",
                "max_tokens": 32,
                "system": [{"type": "text", "text": f"{prompt} {'You help customers of a shop. ' * 60}"}],
            },
            "upstream": {"baseURL": SIMULATOR, "apiKeySecretRef": {"name": "anthropic", "key": "api-key"}},
            "gateway": {"replicas": 1, "resources": {"requests": {"cpu": "1m", "memory": "16Mi"}}},
            "strategy": {"canary": {"steps": steps, "analysis": {"interval": interval}}},
        },
    }


def leader_metrics() -> dict[str, float]:
    """The leader's metrics, sums over labels."""
    for pod in support.get("pods", namespace=support.SYSTEM, selector="app.kubernetes.io/name=claude-operator"):
        address = pod["status"].get("podIP")
        ports = [port["containerPort"] for port in pod["spec"]["containers"][0].get("ports", [])]
        for port in ports:
            try:
                with urllib.request.urlopen(f"http://{address}:{port}/metrics", timeout=5) as answer:
                    text = answer.read().decode()
            except OSError:
                continue
            found: dict[str, float] = {}
            for name, _, value in METRIC.findall(text):
                found[name] = found.get(name, 0.0) + float(value)
            if found.get("claude_operator_leader"):
                return found
    raise SystemExit("no operator leads: is it installed? run a cluster test first")


async def traffic(urls: dict[str, str], key: dict[str, str], every: float, stop: asyncio.Event) -> int:
    """One request to each gateway every so many seconds until told to stop; returns how many were answered."""
    answered = 0
    body = json.dumps({"model": "x", "max_tokens": 8, "messages": [{"role": "user", "content": "Hello"}]})

    async def ask(name: str, session: aiohttp.ClientSession) -> None:
        nonlocal answered
        headers = {"x-api-key": key[name], "anthropic-version": "2023-06-01", "content-type": "application/json"}
        try:
            async with session.post(f"{urls[name]}/v1/messages", data=body, headers=headers) as answer:
                await answer.read()
                answered += answer.status == 200
        except (aiohttp.ClientError, TimeoutError, OSError):
            pass

    async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=20), trust_env=False) as session:
        names = list(urls)
        tasks: set[asyncio.Task[None]] = set()
        while not stop.is_set():
            for name in names:
                task = asyncio.create_task(ask(name, session))
                tasks.add(task)
                task.add_done_callback(tasks.discard)
                await asyncio.sleep(every / len(names))
                if stop.is_set():
                    break
        await asyncio.gather(*tasks, return_exceptions=True)
    return answered


async def measured(names: list[str], namespace: str, seconds: float, every: float) -> dict[str, float]:
    """The leader's use while all canaries get traffic."""
    urls, keys = {}, {}
    for name in names:
        secret = support.get("secret", f"{name}-client", namespace=namespace)["data"]
        urls[name] = base64.b64decode(secret["ANTHROPIC_BASE_URL"]).decode()
        keys[name] = base64.b64decode(secret["ANTHROPIC_API_KEY"]).decode()
    stop = asyncio.Event()
    sending = asyncio.create_task(traffic(urls, keys, every, stop))
    await asyncio.sleep(20)  # baselines and offsets are read
    before, began = await asyncio.to_thread(leader_metrics), time.monotonic()
    await asyncio.sleep(seconds)
    after, ended = await asyncio.to_thread(leader_metrics), time.monotonic()
    stop.set()
    answered = await sending
    length = ended - began

    def grew(name: str) -> float:
        return after.get(name, 0.0) - before.get(name, 0.0)

    passes = grew("claude_operator_reconcile_duration_seconds_count")
    cpu = grew("process_cpu_seconds_total")
    return {
        "canaries": len(names),
        "seconds": round(length, 1),
        "cpu_percent_of_a_core": round(100 * cpu / length, 1),
        "passes_a_second": round(passes / length, 1),
        "cpu_ms_a_pass": round(1000 * cpu / passes, 2) if passes else 0.0,
        "mean_seconds_of_a_pass": round(grew("claude_operator_reconcile_duration_seconds_sum") / passes, 3),
        "memory_mib": round(after.get("process_resident_memory_bytes", 0.0) / 2**20, 1),
        "requests_answered": answered,
    }


def main() -> int:
    """Make the canaries, measure, and take everything away again."""
    parser = argparse.ArgumentParser(prog="python -m bench.operator", description=__doc__.split("\n\n")[0])
    parser.add_argument("--canaries", type=int, default=100, help="live canaries at the same time (default: 100)")
    parser.add_argument("--interval", default="5s", help="analysis.interval (default: 5s)")
    parser.add_argument("--seconds", type=float, default=120.0, help="length of the measurement (default: 120)")
    parser.add_argument("--every", type=float, default=5.0, help="seconds between two requests to a gateway")
    options = parser.parse_args()
    namespace = f"bench-operator-{secrets.token_hex(3)}"
    names = [f"app-{number:03d}" for number in range(options.canaries)]
    support.kubectl("create", "namespace", namespace)
    try:
        secret = {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "anthropic"}}
        support.apply({**secret, "stringData": {"api-key": "any"}}, namespace)
        for prompt, condition in (("v1", "Promoted"), ("v2", None)):
            items = [deployment(name, prompt, options.interval) for name in names]
            support.apply({"apiVersion": "v1", "kind": "List", "items": items}, namespace)
            if condition:
                print(f"{len(names)} gateways are starting", file=sys.stderr, flush=True)
                wait = ["wait", "cld", "--all", f"--for=condition={condition}", "--timeout=1200s"]
                support.command("kubectl", "-n", namespace, *wait, timeout=1300)

        def on_trial() -> bool:
            found = support.get("cld", namespace=namespace)
            return all((one["status"].get("step") or {}).get("action") == "bake" for one in found)

        support.wait_for(on_trial, 600, "not every canary is on trial", every=3)
        print("all canaries are on trial", file=sys.stderr, flush=True)
        print(json.dumps(asyncio.run(measured(names, namespace, options.seconds, options.every)), indent=2))
    finally:
        support.kubectl("delete", "namespace", namespace, "--wait=false")
    return 0


if __name__ == "__main__":
    sys.exit(main())
