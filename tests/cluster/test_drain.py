"""Long conversations across a promotion: each stays on the revision that it began on until the drain is over."""

from __future__ import annotations

import json
import threading
import time
import urllib.error
import urllib.request
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any, Self

import pytest
from tests.cluster import support
from tests.cluster.apps import plain
from tests.cluster.record import Record, moment
from tests.cluster.rollouts import INTERVAL, STEPS, begun, deployment, start
from tests.cluster.support import get, wait_for

pytestmark = pytest.mark.usefixtures("operator")

_MARGIN = 0.5  # seconds around a change that do not count: a turn chooses its arm a little after it begins


@dataclass
class Talk:
    """One conversation: a turn every half second, each over a connection of its own, so that all pods get some."""

    number: int
    url: str
    key: str
    named: bool
    messages: list[dict[str, Any]] = field(default_factory=list)
    turns: list[tuple[float, str]] = field(default_factory=list)
    """When each began, and the revision that answered; empty where it failed."""
    errors: list[str] = field(default_factory=list)

    def turn(self) -> None:
        """Ask, and keep the answer for the next turn."""
        asked = {"role": "user", "content": f"Ticket {self.number}, question {len(self.turns)}"}
        body = {"model": "claude-haiku-5-5", "max_tokens": 64, "messages": [*self.messages, asked]}
        headers = {"x-api-key": self.key, "anthropic-version": "2023-06-01", "content-type": "application/json"}
        headers["connection"] = "close"
        if self.named:
            headers["x-claude-session-id"] = f"ticket-{self.number}"
        began = time.time()
        request = urllib.request.Request(f"{self.url}/v1/messages", json.dumps(body).encode(), headers, method="POST")
        try:
            with urllib.request.urlopen(request, timeout=20) as response:
                answer = json.load(response)
                self.turns.append((began, response.headers.get("x-claude-revision", "")))
        except (urllib.error.URLError, OSError) as error:
            self.turns.append((began, ""))
            self.errors.append(str(error))
            return
        self.messages += [asked, {"role": "assistant", "content": answer["content"]}]


class Talks:
    """Conversations that go on while it is entered."""

    def __init__(self, namespace: str, first: int, count: int) -> None:
        data = get("secret", "app-client", namespace=namespace)["data"]
        url, key = (plain(data[one]) for one in ("ANTHROPIC_BASE_URL", "ANTHROPIC_API_KEY"))
        self.all = [Talk(number, url, key, named=bool(number % 2)) for number in range(first, first + count)]
        self._stop = threading.Event()
        self._threads = [threading.Thread(target=self._go_on, args=(talk,), daemon=True) for talk in self.all]

    def _go_on(self, talk: Talk) -> None:
        while not self._stop.wait(0.5):
            talk.turn()

    def __enter__(self) -> Self:
        for thread in self._threads:
            thread.start()
        wait_for(lambda: all(talk.turns for talk in self.all), 30)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join(30)

    def revisions(self, since: float, until: float) -> set[str]:
        """Who answered turns that began between two times."""
        return {revision for talk in self.all for at, revision in talk.turns if since <= at <= until}


def test_conversations_of_before_a_promotion_stay_until_the_drain_is_over(namespace: str) -> None:
    """Three replicas; conversations with and without a name. None fails, and none changes twice."""
    canary = {"steps": STEPS, "drain": {"maxAge": "30s"}}
    analysis = {"interval": f"{INTERVAL:g}s", "toleratedIncrease": "100%"}
    spec = {"gateway": {"replicas": 3}, "strategy": {"canary": {**canary, "analysis": analysis}}}
    first = start(namespace, **spec)
    with Record(namespace) as record, Talks(namespace, 0, 8) as old:
        support.apply(deployment("v2", **spec), namespace)
        second = begun(record, first)
        # Who begins now is drawn, so that the canary has requests to move on with.
        with Talks(namespace, 100, 30) as drawn:
            wait_for(lambda: record.rollout.get("outcome"), 180, "not promoted", every=0.05)
            assert record.status["stableRevision"] == second
            draining = record.status["draining"]
            assert draining["revision"] == first
            assert {arm["role"]: arm["revision"] for arm in record.config["arms"]} == {
                "stable": second, "former": first
            }  # fmt: skip
            generation = record.config["generation"]
            wait_for(lambda: len(record.gateways.taken(generation)) == 3, 10)
            promoted = max(record.gateways.taken(generation).values())
            with Talks(namespace, 200, 6) as new:
                until = moment(draining["until"]).timestamp()
                wait_for(lambda: not record.status.get("draining"), 90, "the drain did not end")
                over = record.config["generation"]
                assert over > generation
                wait_for(lambda: len(record.gateways.taken(over)) == 3, 10)
                moved = max(record.gateways.taken(over).values())
                assert moved >= until - _MARGIN
                time.sleep(5.0)
    for talk in (*old.all, *drawn.all, *new.all):
        assert not talk.errors, (talk.number, talk.errors)
    assert old.revisions(0.0, until - _MARGIN) == {first}
    assert old.revisions(moved + _MARGIN, time.time()) == {second}
    assert new.revisions(promoted, time.time()) == {second}
    for talk in drawn.all:
        seen = [revision for at, revision in talk.turns if at <= until - _MARGIN]
        assert len(set(seen)) == 1, (talk.number, talk.named, seen)
    assert len(record.events("Draining")) == len(record.events("Drained")) == 1


def test_a_drain_is_cut_short_by_hand(namespace: str) -> None:
    """`maxAge: 0s` moves them at once, and loses no request."""
    spec = {"gateway": {"replicas": 3}}
    first = start(namespace, **spec)
    with Record(namespace) as record, Talks(namespace, 0, 4) as old:
        support.apply(deployment("v2", steps=[], **spec), namespace)
        wait_for(lambda: record.status.get("draining"), 90, "no drain began")
        second = record.status["stableRevision"]
        assert record.status["draining"]["revision"] == first
        time.sleep(3.0)
        canary = deployment("v2", steps=[], **spec)["spec"]["strategy"]["canary"]
        changed = {**spec, "strategy": {"canary": {**canary, "drain": {"maxAge": "0s"}}}}
        began = time.time()
        support.apply(deployment("v2", **changed), namespace)
        wait_for(lambda: not record.status.get("draining"), 30, "the drain did not end")
        wait_for(lambda: len(record.gateways.taken(record.config["generation"])) == 3, 10)
        moved = time.time()
        time.sleep(3.0)
    assert not [error for talk in old.all for error in talk.errors]
    assert old.revisions(0.0, began - _MARGIN) == {first}
    assert old.revisions(moved + _MARGIN, time.time()) == {second}
