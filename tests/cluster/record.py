"""What happened to a ClaudeDeployment, as the API server and its gateways told it while it happened."""

from __future__ import annotations

import datetime as dt
import json
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Self
from urllib.parse import quote

from tests import admin_port
from tests.cluster import support
from tests.cluster.repeating import Repeating

GROUP = "/apis/claudeops.dev/v1alpha1"
_LOOK_EVERY = 0.1  # seconds between two looks at the gateways
_PATIENCE = 1.0  # seconds
_AGAIN = 0.2  # seconds after which a watch that broke off is tried again


@dataclass(frozen=True)
class Seen:
    """One version of an object, and when it was seen, as of time.time()."""

    at: float
    object: dict[str, Any]


class Watch:
    """Every version of the objects at an API path while entered: nothing that was written escapes it.

    It fails where it breaks off. One that `lasts` goes on after an outage of the API server, without what it missed.
    """

    def __init__(self, path: str, selector: str = "", *, lasts: bool = False) -> None:
        chosen = f"&{selector.partition('=')[0]}={quote(selector.partition('=')[2])}" if selector else ""
        self._path = f"{path}?watch=true{chosen}"
        self._lasts = lasts
        self._over = threading.Event()
        self._lock = threading.Lock()
        self.seen: list[Seen] = []
        self.alive: dict[str, dict[str, Any]] = {}
        """The objects that there are now, by name."""

    def __enter__(self) -> Self:
        self._process = self._open()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with self._lock:
            self._over.set()
            ended = self._process.poll()
            self._process.kill()
        self._process.wait()
        self._thread.join(10)
        assert self._process.stdout is not None
        self._process.stdout.close()
        assert ended is None or self._lasts or kind is not None, f"the watch of {self._path} broke off"

    def _open(self) -> subprocess.Popen[bytes]:
        return subprocess.Popen(
            ["kubectl", "get", "--raw", self._path], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
        )

    def _run(self) -> None:
        self._read()
        while self._lasts and not self._over.wait(_AGAIN):
            with self._lock:
                if self._over.is_set():
                    return
                self._process.kill()
                self._process.wait()
                assert self._process.stdout is not None
                self._process.stdout.close()
                self._process = self._open()
            self._read()

    def _read(self) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            event = json.loads(line)
            if event["type"] == "ERROR":
                return
            name = event["object"]["metadata"]["name"]
            self.seen.append(Seen(time.time(), event["object"]))
            others = {one: each for one, each in self.alive.items() if one != name}  # the old one may be being read
            self.alive = others if event["type"] == "DELETED" else {**others, name: event["object"]}


@dataclass(frozen=True)
class Look:
    """One look at one gateway's admin port. `generation` is None where it did not answer."""

    asked: float
    told: float
    pod: str
    generation: int | None


class Looking(Repeating):
    """Looks at every gateway pod ten times a second while entered; what at, `look` says."""

    def __init__(self, pods: Watch) -> None:
        super().__init__(_LOOK_EVERY)
        self._pods = pods
        self._keys: dict[str, bytes] = {}

    def look(self, pod: str, address: str) -> None:
        """One look at one pod."""
        raise NotImplementedError

    def evidence(self, pod: str, address: str) -> bytes | None:
        """What a pod has counted, None where it does not say, or is no more."""
        found = self._pods.alive.get(pod)
        if found is None:
            return None
        metadata = found["metadata"]
        owner = metadata["labels"]["claudeops.dev/deployment"]
        if owner not in self._keys:
            secret = support.find("secret", f"{owner}-gateway", namespace=metadata["namespace"])
            if secret is None:
                return None
            self._keys[owner] = admin_port.key_in(secret)
        document = admin_port.read(address, "/-/evidence", pod=pod, key=self._keys[owner], timeout=_PATIENCE)
        if document is None:
            self._keys.pop(owner)  # it may be of an earlier life
        return document

    def once(self) -> None:
        """One look at each pod that has an address."""
        for name, pod in list(self._pods.alive.items()):
            address = pod.get("status", {}).get("podIP")
            if address:
                self.look(name, address)


class Gateways(Looking):
    """Which config generation every gateway pod serves."""

    def __init__(self, pods: Watch) -> None:
        super().__init__(pods)
        self.looks: list[Look] = []

    def look(self, pod: str, address: str) -> None:
        """Ask for the generation."""
        asked = time.time()
        generation = _generation(self.evidence(pod, address))
        self.looks.append(Look(asked, time.time(), pod, generation))

    def taken(self, generation: int) -> dict[str, float]:
        """When each pod was first seen to serve this config generation, or a later one."""
        first: dict[str, float] = {}
        for look in list(self.looks):
            if look.generation is not None and look.generation >= generation:
                first.setdefault(look.pod, look.told)
        return first

    def span(self, generation: int, pods: set[str]) -> tuple[float, float]:
        """From when until when all of these pods were sure to serve this generation."""
        looks = [look for look in list(self.looks) if look.generation == generation]
        mine = {pod: [look for look in looks if look.pod == pod] for pod in pods}
        assert all(mine.values()), f"generation {generation} was not seen at every gateway: {mine}"
        return max(those[0].told for those in mine.values()), min(those[-1].asked for those in mine.values())


def _generation(document: bytes | None) -> int | None:
    return int(json.loads(document)["configGeneration"]) if document is not None else None


class Record:
    """Everything about the ClaudeDeployment `app` of a namespace while entered; `lasts` as with Watch."""

    def __init__(self, namespace: str, name: str = "app", *, lasts: bool = False) -> None:
        self.namespace, self.name = namespace, name
        core = f"/api/v1/namespaces/{namespace}"
        self._deployments = Watch(f"{GROUP}/namespaces/{namespace}/claudedeployments", lasts=lasts)
        self._configs = Watch(f"{core}/configmaps", f"fieldSelector=metadata.name={name}-gateway", lasts=lasts)
        self._events = Watch(f"/apis/events.k8s.io/v1/namespaces/{namespace}/events", lasts=lasts)
        self.pods = Watch(
            f"{core}/pods",
            f"labelSelector=app.kubernetes.io/component=gateway,claudeops.dev/deployment={name}",
            lasts=lasts,
        )
        self.gateways = Gateways(self.pods)

    def __enter__(self) -> Self:
        with ExitStack() as stack:
            for part in (self._deployments, self._configs, self._events, self.pods, self.gateways):
                stack.enter_context(part)
            support.wait_for(lambda: self._deployments.seen and self._configs.seen, 30, "the watches show nothing")
            self._stack, self._since = stack.pop_all(), dt.datetime.now(dt.UTC)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stack.__exit__(kind, error, trace)

    # ------------------------------------------------------------------------------------------ what is now

    @property
    def item(self) -> dict[str, Any]:
        """The ClaudeDeployment as last seen."""
        return self._deployments.seen[-1].object

    @property
    def status(self) -> dict[str, Any]:
        """Its status."""
        return self.item.get("status") or {}

    @property
    def config(self) -> dict[str, Any]:
        """The gateways' config as last seen."""
        return _config(self._configs.seen[-1])

    @property
    def rollout(self) -> dict[str, Any]:
        """The present rollout or the last."""
        return self.status.get("rollout") or {}

    def condition(self, name: str) -> dict[str, Any]:
        """A condition as last seen."""
        return support.condition(self.item, name)

    def at(self, index: int, revision: str | None = None) -> bool:
        """Whether the canary stands at a step and every gateway serves its weight."""
        step = self.status.get("step") or {}
        on = step.get("index") == index and (revision is None or self.status.get("canaryRevision") == revision)
        live = {arm["revision"]: arm["weight"] for arm in self.config["arms"]}
        if not on or live.get(self.status["canaryRevision"], -1) != round(step["weight"] * 100):
            return False
        taken = self.gateways.taken(self.config["generation"])
        return all(name in taken for name, pod in self.pods.alive.items() if "deletionTimestamp" not in pod["metadata"])

    def settled_in(self) -> int:
        """The config generation that ended the rollout as its status says; 0 until that config is seen."""
        rollout, config = self.rollout, self.config
        settled = config.get("settled") or {}
        told = all(settled.get(name) == rollout.get(name) for name in ("revision", "attempt", "outcome"))
        return int(config["generation"]) if rollout.get("outcome") and told else 0

    def served_everywhere(self, pods: int = 2) -> int:
        """Wait until the rollout is over and every gateway serves what it came to; returns the config's generation."""
        generation = support.wait_for(self.settled_in, 20, "the config does not end the rollout", every=0.05)
        support.wait_for(lambda: len(self.gateways.taken(generation)) == pods, 20, "gateways do not follow", every=0.05)
        return generation

    # ------------------------------------------------------------------------------------------ what was

    def statuses(self) -> Iterator[tuple[float, dict[str, Any]]]:
        """Every status that was written, and when it was seen."""
        for seen in list(self._deployments.seen):
            yield seen.at, seen.object.get("status") or {}

    def configs(self) -> list[tuple[float, dict[str, Any]]]:
        """Every config that was written, and when it was seen."""
        return [(seen.at, _config(seen)) for seen in list(self._configs.seen)]

    def weights(self, revision: str, role: str = "canary") -> list[tuple[float, int, int]]:
        """When, config generation and weight in basis points of an arm in every config, 0 where it is not in it."""
        found = []
        for at, config in self.configs():
            arms = [arm["weight"] for arm in config["arms"] if arm["revision"] == revision and arm["role"] == role]
            found.append((at, config["generation"], arms[0] if arms else 0))
        return found

    def steps(self, revision: str, attempt: int = 1) -> list[dict[str, Any]]:
        """The steps of a trial in the order in which they came; one that began anew is there again."""
        found: list[dict[str, Any]] = []
        for _, status in self.statuses():
            rollout, step = status.get("rollout") or {}, status.get("step")
            if step and (rollout.get("revision"), rollout.get("attempt")) == (revision, attempt):
                mark = {key: step[key] for key in ("index", "action", "weight", "startedAt")}
                if mark not in found[-1:]:
                    found.append(mark)
        return found

    def requests(self, revision: str) -> list[int]:
        """How many canary requests had been judged when each step of a trial began, and at its end."""
        found: dict[int, int] = {}
        for _, status in self.statuses():
            judged = (status.get("judgement") or {}).get("requests", 0)
            rollout = status.get("rollout") or {}
            if rollout.get("revision") == revision and status.get("step"):
                found.setdefault(status["step"]["index"], judged)
            elif rollout.get("revision") == revision and rollout.get("outcome"):
                found.setdefault(len(rollout["plan"]["steps"]), judged)
        return [found[index] for index in sorted(found)]

    def ticks(self) -> list[dt.datetime]:
        """When evidence was read, each time once."""
        marks = [(status.get("judgement") or {}).get("lastTick") for _, status in self.statuses()]
        return sorted({moment(mark) for mark in marks if mark})

    def events(self, *reasons: str, kind: str = "") -> list[tuple[str, str]]:
        """Reason and note of the ClaudeDeployment's Events since we watch, as they came; of these reasons, if given.

        `kind`: Normal or Warning alone.
        """
        told: dict[str, tuple[str, str]] = {}
        for seen in list(self._events.seen):
            ours = seen.object["regarding"]["kind"] == "ClaudeDeployment"
            if ours and moment(seen.object["eventTime"]) >= self._since and kind in ("", seen.object["type"]):
                told[seen.object["metadata"]["name"]] = (seen.object["reason"], seen.object["note"])
        return [one for one in told.values() if not reasons or one[0] in reasons]


def moment(text: str) -> dt.datetime:
    """A time as status holds it."""
    return dt.datetime.fromisoformat(text)


def _config(seen: Seen) -> dict[str, Any]:
    config: dict[str, Any] = json.loads(seen.object["data"]["config.json"])
    return config
