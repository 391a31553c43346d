"""Conversations of several turns with a gateway, with and without a name."""

from __future__ import annotations

import json
import threading
import time
import urllib.error
import urllib.request
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any, Self

from tests.cluster.apps import plain
from tests.cluster.support import get, wait_for


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
    foreign: list[float] = field(default_factory=list)
    """When turns began that were refused because another model had signed the thinking that they quote."""

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
        except urllib.error.HTTPError as error:
            self.turns.append((began, ""))
            text = error.read().decode()
            if error.code == 400 and "Invalid `signature`" in text:
                self.foreign.append(began)
                self._forget_thinking()
            else:
                self.errors.append(f"{error}: {text}")
            return
        except (urllib.error.URLError, OSError) as error:
            self.turns.append((began, ""))
            self.errors.append(str(error))
            return
        self.messages += [asked, {"role": "assistant", "content": answer["content"]}]

    def _forget_thinking(self) -> None:
        """As docs/conversations.md advises: leave it out of earlier turns, and ask again."""
        for one in self.messages:
            if one["role"] == "assistant":
                one["content"] = [block for block in one["content"] if block["type"] != "thinking"]


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
