"""Steady live traffic through a gateway with the real anthropic SDK, and what became of every request."""

from __future__ import annotations

import asyncio
import base64
import threading
import time
import uuid
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any, Self

import anthropic
from tests.cluster import support


@dataclass(frozen=True)
class Answer:
    """One ended request; times as of time.time(). `error` is empty for a whole, well-formed answer."""

    began: float
    answered: float | None
    """When its status line was there, None where none came."""
    at: float
    """When it ended."""
    session: str
    stream: bool
    revision: str
    arm: str
    error: str = ""
    text: str = ""


@dataclass
class Traffic:
    """Sends while entered: `rate` requests a second, every other one streamed.

    Each is in a conversation of its own, or in one of `sessions`. `total` bounds the requests. `retries` are the SDK's:
    without them nothing hides a failure. A few requests a second fit into one connection, and so to one gateway pod;
    without `keep_alive` all pods get their share.
    """

    name: str
    namespace: str
    rate: float = 20.0
    total: int = 20_000
    questions: tuple[str, ...] = ("How are you?",)
    retries: int = 0
    keep_alive: bool = True
    sessions: int = 0
    user: str = ""
    """Where it is given, all requests have this `metadata.user_id` and none names its conversation."""
    surface: str = ""
    """What it sends in x-claude-surface."""
    timeout: float = 60.0
    """Seconds that a client waits for an answer."""
    answers: list[Answer] = field(default_factory=list)
    in_flight: int = 0

    def __enter__(self) -> Self:
        secret = support.get("secret", f"{self.name}-client", namespace=self.namespace)
        self._env = {key: base64.b64decode(value).decode() for key, value in secret["data"].items()}
        self._stop = threading.Event()
        self._thread = threading.Thread(target=lambda: asyncio.run(self._run()), daemon=True)
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def stop(self) -> None:
        """Send no more, and wait for what is in flight."""
        self._stop.set()
        self._thread.join(90)
        assert not self._thread.is_alive(), "requests in flight never ended"

    async def _run(self) -> None:
        client = anthropic.AsyncAnthropic(
            base_url=self._env["ANTHROPIC_BASE_URL"],
            api_key=self._env["ANTHROPIC_API_KEY"],
            max_retries=self.retries,
            timeout=self.timeout,
            default_headers={
                **({} if self.keep_alive else {"connection": "close"}),
                **({"x-claude-surface": self.surface} if self.surface else {}),
            },
        )
        async with client:
            begun, number, tasks = time.monotonic(), 0, set()
            while not self._stop.is_set() and number < self.total:
                task = asyncio.create_task(self._ask(client, number))
                tasks.add(task)
                task.add_done_callback(tasks.discard)
                number += 1
                await asyncio.sleep(max(begun + number / self.rate - time.monotonic(), 0))
            await asyncio.gather(*tasks)

    async def _ask(self, client: anthropic.AsyncAnthropic, number: int) -> None:
        session = f"session-{number % self.sessions}" if self.sessions else uuid.uuid4().hex
        stream, began = bool(number % 2), time.time()
        body: dict[str, Any] = {
            "model": "claude-haiku-5-5",  # the revision's wins
            "max_tokens": 64,
            "messages": [{"role": "user", "content": self.questions[number % len(self.questions)]}],
            **_named(session, self.user),
        }
        self.in_flight += 1
        answered: float | None = None
        headers: Any = {}
        text = error = ""
        try:
            if stream:
                async with client.messages.with_streaming_response.create(**body, stream=True) as response:
                    headers, answered = response.headers, time.time()
                    events = await response.parse()
                    kinds = [event.type async for event in events]
                error = "" if kinds[-1:] == ["message_stop"] else f"stream ended with {kinds[-1:]}"
            else:
                raw = await client.messages.with_raw_response.create(**body)
                headers, answered = raw.headers, time.time()
                text = "".join(block.text for block in (await _parsed(raw)).content if block.type == "text")
        except anthropic.APIStatusError as failure:
            headers, error = failure.response.headers, f"{failure.status_code} {failure.body!r}"[:200]
        except Exception as failure:
            error = f"{type(failure).__name__}: {failure}"[:200]
        finally:
            self.in_flight -= 1
        self.answers.append(
            Answer(
                began, answered, time.time(), session, stream, headers.get("x-claude-revision", ""),
                headers.get("x-claude-arm", ""), error, text,
            )
        )  # fmt: skip

    def since(self, moment: float) -> list[Answer]:
        """What ended after a time (as of time.time())."""
        return [answer for answer in self.answers if answer.at >= moment]

    def between(self, start: float, end: float) -> list[Answer]:
        """What began between two times."""
        return [answer for answer in self.answers if start <= answer.began <= end]

    def failed(self, *, besides: Iterable[str] = ()) -> list[Answer]:
        """Failures, those of some revisions left out."""
        known = set(besides)
        return [answer for answer in self.answers if answer.error and answer.revision not in known]

    def by_revision(self) -> Counter[str]:
        """Requests by revision."""
        return Counter(answer.revision for answer in self.answers)


def _named(session: str, user: str) -> dict[str, Any]:
    if user:
        return {"metadata": {"user_id": user}}
    return {"extra_headers": {"x-claude-session-id": session}}


async def _parsed(raw: Any) -> Any:
    parsed = raw.parse()
    return await parsed if asyncio.iscoroutine(parsed) else parsed
