"""Steady live traffic of conversations through a gateway, with the anthropic SDK, and what became of each request."""

from __future__ import annotations

import asyncio
import random
import time
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import anthropic

_LONGEST = 3  # questions in a conversation
_IDLE = 200  # conversations that may go on


@dataclass(frozen=True)
class Answer:
    """One ended request. `error` is empty for a whole answer; `at` as of time.time()."""

    at: float
    revision: str
    error: str
    right: bool


@dataclass
class Traffic:
    """`rate` requests a second from `run` to `stop`; every other answer is streamed, and nothing is retried."""

    base_url: str
    api_key: str
    questions: Sequence[Mapping[str, str]]
    rate: float = 30.0
    seed: int = 1
    answers: list[Answer] = field(default_factory=list)
    _stop: asyncio.Event = field(default_factory=asyncio.Event)

    def stop(self) -> None:
        """Send no more; `run` returns when all that is in flight has ended."""
        self._stop.set()

    async def run(self) -> None:
        """Send. A late tick is made up for, so that the rate holds."""
        rng = random.Random(self.seed)
        idle: list[tuple[str, int]] = []  # conversations and how many questions they have left
        begun, number, tasks = time.monotonic(), 0, set()
        client = anthropic.AsyncAnthropic(base_url=self.base_url, api_key=self.api_key, max_retries=0, timeout=60)
        async with client:
            while not self._stop.is_set():
                if idle and rng.random() < 0.5:
                    session, left = idle.pop(rng.randrange(len(idle)))
                else:
                    session, left = uuid.UUID(int=rng.getrandbits(128)).hex, rng.randint(1, _LONGEST)
                if left > 1 and len(idle) < _IDLE:
                    idle.append((session, left - 1))
                task = asyncio.create_task(self._ask(client, session, rng.choice(self.questions), bool(number % 2)))
                tasks.add(task)
                task.add_done_callback(tasks.discard)
                number += 1
                await asyncio.sleep(max(begun + number / self.rate - time.monotonic(), 0))
            await asyncio.gather(*tasks)

    async def _ask(
        self, client: anthropic.AsyncAnthropic, session: str, question: Mapping[str, str], stream: bool
    ) -> None:
        body: dict[str, Any] = {
            "model": "claude-haiku-5-5",  # the revision's wins, whatever stands here
            "max_tokens": 32,
            "messages": [{"role": "user", "content": question["question"]}],
            "extra_headers": {"x-claude-session-id": session},
        }
        headers: Mapping[str, str] = {}
        text = error = ""
        try:
            if stream:
                async with client.messages.with_streaming_response.create(**body, stream=True) as response:
                    headers = response.headers
                    kind = ""
                    async for event in await response.parse():
                        kind = event.type
                        if event.type == "content_block_delta" and event.delta.type == "text_delta":
                            text += event.delta.text
                error = "" if kind == "message_stop" else f"the stream ended with {kind or 'nothing'}"
            else:
                raw = await client.messages.with_raw_response.create(**body)
                headers = raw.headers
                parsed: Any = raw.parse()
                message = await parsed if asyncio.iscoroutine(parsed) else parsed
                text = "".join(block.text for block in message.content if block.type == "text")
        except anthropic.APIStatusError as failure:
            headers, error = failure.response.headers, f"{failure.status_code} {failure.body!r}"[:200]
        except Exception as failure:
            error = f"{type(failure).__name__}: {failure}"[:200]
        right = text.strip() == question["answer"]
        self.answers.append(Answer(time.time(), headers.get("x-claude-revision", ""), error, right))

    def recent(self, seconds: float) -> list[Answer]:
        """The answers of the last seconds."""
        since = time.time() - seconds
        found = []
        for answer in reversed(self.answers):
            if answer.at < since:
                break
            found.append(answer)
        return found
