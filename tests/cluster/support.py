"""Helpers of the tests on a real cluster."""

from __future__ import annotations

import json
import os
import shlex
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from tests.cluster.pace import slowness

T = TypeVar("T")

ROOT = Path(__file__).resolve().parents[2]
CHART = ROOT / "charts/claude-operator"
CRDS = ROOT / "crds"
RELEASE = "claude-operator"
SYSTEM = "claude-system"  # the namespace of the operator and the chart's simulator
WORKER = os.environ.get("PYTEST_XDIST_WORKER", "")  # empty where no other tests go on beside these
STAGE = f"{SYSTEM}-{WORKER}" if WORKER else SYSTEM  # the namespace of the simulator that these tests steer
SIMULATOR = f"http://claude-simulator.{STAGE}.svc:8081"
READINGS = "--set=extraArgs={--usage-interval=10}"  # a minute is long for a test
OURS = "cld,clr,ces,cer"  # the namespaced kinds


class CommandError(AssertionError):
    """A command failed; `stderr` is what it said, so that tests can look at a refusal."""

    def __init__(self, words: list[str], result: subprocess.CompletedProcess[str]) -> None:
        super().__init__(f"`{shlex.join(words)}` exited with {result.returncode}:\n{result.stderr or result.stdout}")
        self.stderr = result.stderr
        self.stdout = result.stdout
        self.returncode = result.returncode


def command(*words: str | Path, input: str | None = None, timeout: float = 900) -> str:  # noqa: A002
    """Run a command and return what it prints; raise CommandError when it fails."""
    texts = [str(word) for word in words]
    result = subprocess.run(texts, check=False, capture_output=True, text=True, input=input, timeout=timeout, cwd=ROOT)
    if result.returncode:
        raise CommandError(texts, result)
    return result.stdout


def kubectl(
    *args: str | Path,
    input: str | dict[str, Any] | None = None,  # noqa: A002
    namespace: str | None = None,
) -> str:
    """Run kubectl and return what it prints; `input` is for `-f -`, a dict goes as JSON (a List holds several)."""
    scope = ["--namespace", namespace] if namespace else []
    return command("kubectl", *scope, *args, input=json.dumps(input) if isinstance(input, dict) else input)


def get(kind: str, name: str | None = None, *, namespace: str | None = None, selector: str = "") -> Any:
    """Return one object, or the list of those that the label selector chooses."""
    which = [name] if name else [f"--selector={selector}"] if selector else []
    found = json.loads(kubectl("get", kind, *which, "--output=json", namespace=namespace))
    return found if name else found["items"]


def find(kind: str, name: str, *, namespace: str | None = None) -> Any:
    """Return one object, or None where there is none of this name."""
    text = kubectl("get", kind, name, "--output=json", "--ignore-not-found", namespace=namespace)
    return json.loads(text) if text else None


def apply(manifest: str | dict[str, Any] | Path, namespace: str | None = None) -> str:
    """Apply YAML text, an object, a file or a folder, server-side as users with large objects do."""
    if isinstance(manifest, Path):
        return kubectl("apply", "--server-side", "-f", manifest, namespace=namespace)
    return kubectl("apply", "--server-side", "-f", "-", input=manifest, namespace=namespace)


def apply_crds() -> None:
    """Apply crds/ and wait until the API server serves them; for tests that do without the operator."""
    kubectl("apply", "--server-side", "--force-conflicts", "-f", CRDS)
    # Helm installs over what it finds only when that says it is the release's.
    kubectl("label", "--overwrite", "-f", CRDS, "app.kubernetes.io/managed-by=Helm")
    release = [f"meta.helm.sh/release-name={RELEASE}", f"meta.helm.sh/release-namespace={SYSTEM}"]
    kubectl("annotate", "--overwrite", "-f", CRDS, *release)
    wait("-f", CRDS, until="condition=Established")


def condition(obj: dict[str, Any] | None, name: str) -> dict[str, Any]:
    """Return a condition of an object, {} while it has none of this name."""
    conditions = ((obj or {}).get("status") or {}).get("conditions") or []
    return next((one for one in conditions if one["type"] == name), {})


def stay_in_day(seconds: float) -> None:
    """Wait for the next day (UTC) where this one ends within so many seconds: figures of days and months begin anew."""
    left = 86_400 - time.time() % 86_400
    if left < seconds:
        time.sleep(left + 1)


def wait_for(fn: Callable[[], T], timeout: float = 60, message: str = "", every: float = 0.2) -> T:
    """Call `fn` until what it returns is true, and return that.

    A CommandError or KeyError counts as "not yet". After twice as long as `timeout` seconds are on this machine now
    AssertionError tells `message` and what came last.
    """
    begun = time.monotonic()
    while True:
        last: object
        try:
            value = last = fn()
            if value:
                return value
        except (CommandError, KeyError) as error:
            last = error
        waited = time.monotonic() - begun
        if waited > 2 * timeout and waited > 2 * timeout * slowness(writes=5):
            raise AssertionError(f"{message or 'it did not come true'}, after {waited:.0f} s; last: {last!r}")
        time.sleep(every)


def wait(*what: str | Path, until: str, timeout: float = 60, namespace: str | None = None) -> str:
    """`kubectl wait WHAT --for=UNTIL`, as patient as `wait_for`; returns what it prints."""
    words = ("wait", *what, f"--for={until}", "--timeout=5s")
    return wait_for(lambda: kubectl(*words, namespace=namespace), timeout, f"waited in vain for {until}")


@dataclass(frozen=True)
class Operator:
    """The installed operator: where it runs, what it is made of."""

    namespace: str
    release: str
    image: str

    def pods(self) -> list[dict[str, Any]]:
        """Return the operator's pods, the newest last."""
        labels = f"app.kubernetes.io/instance={self.release},app.kubernetes.io/component=operator"
        pods: list[dict[str, Any]] = get("pods", namespace=self.namespace, selector=labels)
        return sorted(pods, key=lambda pod: pod["metadata"]["creationTimestamp"])

    def logs(self, lines: int = 40) -> str:
        """Return the last log lines of every operator pod."""
        selector = f"app.kubernetes.io/instance={self.release},app.kubernetes.io/component=operator"
        return kubectl("logs", f"--selector={selector}", f"--tail={lines}", "--prefix", "--all-containers",
                       namespace=self.namespace)  # fmt: skip


def install(image: str, *options: str) -> Operator:
    """Install or upgrade the chart with this image and the simulator; wait until all of it is ready."""
    if options:
        must_be_alone()
    status = json.loads(_helm_status() or "{}").get("info", {}).get("status", "deployed")
    if status != "deployed":  # left by a run that was interrupted
        command("helm", "uninstall", RELEASE, "--namespace", SYSTEM, "--wait")
    try:
        command("helm", "upgrade", "--install", RELEASE, CHART, "--namespace", SYSTEM, "--create-namespace",
                "--wait", "--timeout", "10m", *_values(image), *options)  # fmt: skip
    except CommandError as error:
        raise AssertionError(f"{error}\n{describe(SYSTEM)}\n{Operator(SYSTEM, RELEASE, image).logs()}") from None
    wait("-f", CRDS, until="condition=Established")
    return Operator(SYSTEM, RELEASE, image)


def install_simulator(image: str) -> None:
    """The chart's simulator once more, in `STAGE`: for tests beside which others steer another."""
    words = ("template", RELEASE, CHART, "--namespace", STAGE, "--show-only", "templates/simulator.yaml")
    objects = command("helm", *words, "--kube-version", "1.34.0", *_values(image))
    apply({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": STAGE}})
    apply(objects, STAGE)
    kubectl("rollout", "status", "deployment/claude-simulator", "--timeout=600s", namespace=STAGE)


def must_be_alone() -> None:
    """For what other tests would notice: it is only done by a test that is marked `alone`."""
    assert not WORKER, "other tests go on beside this one: mark it with pytest.mark.alone"


def _values(image: str) -> list[str]:
    repository, _, tag = image.rpartition(":")
    # As text: helm takes a tag of digits alone for a number.
    return [f"--set-string=image.repository={repository},image.tag={tag}", "--set=simulator.enabled=true", READINGS]


def _helm_status() -> str:
    try:
        return command("helm", "status", RELEASE, "--namespace", SYSTEM, "--output=json")
    except CommandError:
        return ""


def describe(namespace: str) -> str:
    """Return what a person would look at first when something in a namespace went wrong."""
    parts = []
    for what in (OURS, "pods,jobs", "events"):
        options = ["--sort-by=.lastTimestamp"] if what == "events" else ["--output=wide"]
        try:
            parts.append(kubectl("get", what, *options, namespace=namespace))
        except CommandError as error:  # without our CRDs, say
            parts.append(error.stderr)
    return "\n".join(f"--- {namespace}: {part.rstrip()}" if not part.startswith("No res") else part for part in parts)


@contextmanager
def denied(
    name: str, namespace: str, rule: dict[str, Any], allowed: str, probe: Callable[[], object]
) -> Iterator[None]:
    """Have the API server refuse the writes of `rule` in a namespace for which `allowed`, in CEL, does not hold.

    `probe` tries one that is refused, with `--dry-run=server`: until it is, the policy is not in force.
    """
    name = f"{name}-{namespace}"[:63].rstrip("-")
    policy: dict[str, Any] = {
        "apiVersion": "admissionregistration.k8s.io/v1",
        "kind": "ValidatingAdmissionPolicy",
        "metadata": {"name": name},
        "spec": {
            "matchConstraints": {"resourceRules": [{"apiVersions": ["*"], **rule}]},
            "validations": [{"expression": allowed, "message": "not now"}],
        },
    }
    binding = {
        "apiVersion": "admissionregistration.k8s.io/v1",
        "kind": "ValidatingAdmissionPolicyBinding",
        "metadata": {"name": name},
        "spec": {
            "policyName": name,
            "validationActions": ["Deny"],
            "matchResources": {"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": namespace}}},
        },
    }
    try:
        apply({"apiVersion": "v1", "kind": "List", "items": [policy, binding]})
        wait_for(lambda: _is_refused(probe), 30, "the policy does nothing")
        yield
    finally:
        kubectl("delete", "validatingadmissionpolicybinding,validatingadmissionpolicy", name, "--ignore-not-found")


def _is_refused(probe: Callable[[], object]) -> bool:
    try:
        probe()
    except CommandError as error:
        return "not now" in error.stderr
    return False


def denied_statuses(name: str, namespace: str, allowed: str, refused: dict[str, Any]) -> AbstractContextManager[None]:
    """Have the API server refuse the statuses of `app` in a namespace for which `allowed`, in CEL, does not hold.

    `refused` is a merge patch of one that is refused.
    """
    rule = {"apiGroups": ["claudeops.dev"], "operations": ["UPDATE"], "resources": ["claudedeployments/status"]}
    words = ("patch", "cld", "app", "--subresource=status", "--type=merge", "--dry-run=server", "-p")
    return denied(name, namespace, rule, allowed, lambda: kubectl(*words, json.dumps(refused), namespace=namespace))
