"""kubectl and helm, without blocking the traffic."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import json
import shlex
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
CHART = ROOT / "charts/claude-operator"
RELEASE, SYSTEM, NAMESPACE = "claude-operator", "claude-system", "demo"
APP = "assistant"
_OWN = "claudeops.dev/demo"  # label of the namespace: it is ours to delete
_LINE_LIMIT = 4 << 20


class DemoError(Exception):
    """The demo cannot go on; the message says why, and what to do."""


async def command(*words: str | Path, input: str | None = None) -> str:  # noqa: A002
    """Run a command and return what it prints; raises DemoError with what it said."""
    texts = [str(word) for word in words]
    process = await asyncio.create_subprocess_exec(
        *texts, cwd=ROOT, stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE
    )
    try:
        out, err = await process.communicate((input or "").encode())
    except asyncio.CancelledError:
        process.terminate()
        await process.wait()
        raise
    if process.returncode:
        said = (err or out).decode(errors="replace").strip()
        raise DemoError(f"`{shlex.join(texts)}` exited with {process.returncode}:\n{said}")
    return out.decode()


async def kubectl(*words: str | Path, input: str | None = None) -> str:  # noqa: A002
    """Run kubectl in the demo's namespace."""
    return await command("kubectl", "--namespace", NAMESPACE, *words, input=input)


async def apply(*objects: dict[str, Any] | str) -> None:
    """Apply objects, or YAML text, server-side."""
    for one in objects:
        text = one if isinstance(one, str) else json.dumps(one)
        await kubectl("apply", "--server-side", "--force-conflicts", "--filename=-", input=text)


async def watch(kind: str, name: str) -> AsyncIterator[dict[str, Any]]:
    """An object as it is and at every change, for ever; it need not exist yet."""
    words = ["get", kind, f"--field-selector=metadata.name={name}", "--watch", "--output=json"]
    while True:
        process = await asyncio.create_subprocess_exec(
            "kubectl", "--namespace", NAMESPACE, *words, stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.DEVNULL, limit=_LINE_LIMIT,
        )  # fmt: skip
        assert process.stdout
        lines: list[bytes] = []
        try:
            async for line in process.stdout:
                lines.append(line)
                if line.rstrip() == b"}":  # kubectl indents everything between the braces of a document
                    yield json.loads(b"".join(lines))
                    lines.clear()
        finally:
            if process.returncode is None:
                process.terminate()
            await process.wait()
        await asyncio.sleep(1)  # the API server ended it


async def install(image: str) -> None:
    """Install the chart, or bring the release that is there to this image; wait until the operator is ready."""
    if await _release_state() not in ("", "deployed"):  # left by a run that was interrupted
        await command("helm", "uninstall", RELEASE, "--namespace", SYSTEM, "--wait")
    repository, _, tag = image.rpartition(":")
    # As text: helm takes a tag of digits alone for a number.
    values = [f"--set-string=image.repository={repository},image.tag={tag}", "--set=simulator.enabled=true"]
    await command(
        "helm", "upgrade", "--install", RELEASE, CHART, "--namespace", SYSTEM, "--create-namespace",
        "--reset-then-reuse-values", "--wait", "--timeout=10m", *values,
    )  # fmt: skip
    await command("kubectl", "wait", "--for=condition=Established", "--timeout=300s", "--filename", ROOT / "crds")


async def _release_state() -> str:
    """helm's word for the release's state once no one else works on it, empty where there is no release."""
    for _ in range(30):
        found = json.loads(await command("helm", "list", "--all", "--namespace", SYSTEM, "--output=json",
                                         f"--filter=^{RELEASE}$"))  # fmt: skip
        status = str(found[0]["status"]) if found else ""
        if not status.startswith(("pending-", "uninstalling")):
            break
        await asyncio.sleep(2)
    return status


async def fresh_namespace() -> None:
    """The namespace, without what an earlier run left; raises DemoError where it is not the demo's."""
    text = await command("kubectl", "get", "namespace", NAMESPACE, "--ignore-not-found", "--output=json")
    if text:
        if _OWN not in (json.loads(text)["metadata"].get("labels") or {}):
            raise DemoError(
                f"the namespace {NAMESPACE} exists and is not of an earlier demo. If nothing in it is needed:\n"
                f"  hack/in-cluster kubectl delete namespace {NAMESPACE}"
            )
        # Pods first: a namespace that still has some when it goes is looked at again after half their grace period.
        with contextlib.suppress(DemoError):  # without the CRDs there is no such kind
            await kubectl("delete", "claudedeployments", "--all", "--wait", "--timeout=300s")
        await kubectl("delete", "deployments", "--all", "--wait", "--timeout=300s")
        await kubectl("delete", "pods", "--all", "--wait", "--timeout=600s")
        await command("kubectl", "delete", "namespace", NAMESPACE, "--wait", "--timeout=600s")
    labels = {_OWN: "true"}
    namespace = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": NAMESPACE, "labels": labels}}
    await command("kubectl", "create", "--filename=-", input=json.dumps(namespace))


async def start_simulator(image: str, scenario: dict[str, Any]) -> None:
    """The chart's simulator, in the demo's namespace and with its scenario, so that no one else's is disturbed."""
    repository, _, tag = image.rpartition(":")
    values = {
        "image": {"repository": repository, "tag": tag},
        "simulator": {"enabled": True, "scenario": scenario},
    }
    objects = await command(
        "helm", "template", RELEASE, CHART, "--namespace", NAMESPACE, "--show-only=templates/simulator.yaml",
        "--kube-version=1.30.0",  # it asks no cluster, and the chart wants 1.30
        "--values=-", input=json.dumps(values),
    )  # fmt: skip
    await apply(objects)
    await kubectl("rollout", "status", "deployment/claude-simulator", "--timeout=600s")


async def client_environment() -> tuple[str, str]:
    """Base URL and key for applications, from the Secret that the operator makes for them."""
    secret = json.loads(await kubectl("get", "secret", f"{APP}-client", "--output=json"))
    data = {key: base64.b64decode(value).decode() for key, value in secret["data"].items()}
    return data["ANTHROPIC_BASE_URL"], data["ANTHROPIC_API_KEY"]


async def describe() -> str:
    """What a person would look at first."""
    system = ("kubectl", "--namespace", SYSTEM)
    looks = [
        ("kubectl", "--namespace", NAMESPACE, "get", "cld,clr,cer,pods,jobs", "--output=wide"),
        ("kubectl", "--namespace", NAMESPACE, "describe", "cld", APP),
        (*system, "get", "pods", "--output=wide"),
        (*system, "logs", f"--selector=app.kubernetes.io/instance={RELEASE}", "--tail=15", "--prefix"),
    ]
    parts = []
    for words in looks:
        try:
            text = await command(*words)
        except DemoError as error:
            text = str(error)
        parts.append(f"$ {shlex.join(words)}\n{text.rstrip()}")
    return "\n\n".join(parts)
