"""Message Batches: half the price, and the Job does not wait for them. It submits, ends, and looks again later."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import anthropic
import msgspec

from claude_operator.core.evals.outcomes import Answer
from claude_operator.core.evals.turns import answer_of
from claude_operator.evals.ask import Asker, Infrastructure, Rejected

__all__ = ["Asked", "Batcher", "Waiting"]

_NONE = "the upstream takes no Message Batches"
_MOST = 5_000  # requests of ours in a batch
_MOST_BYTES = 32 << 20  # of the body


class Waiting(Exception):  # noqa: N818  (what the run does)
    """Batches are not over yet; `message` says how far they are."""

    def __init__(self, message: str) -> None:
        super().__init__(message)
        self.message = message


@dataclass(frozen=True, slots=True)
class Asked:
    """A request of a batch: the name of its result, its body, and the betas that it needs."""

    custom_id: str
    body: bytes
    betas: tuple[str, ...] = ()


class _Result(msgspec.Struct):
    custom_id: str
    result: dict[str, Any]


_result = msgspec.json.Decoder(_Result)


class Batcher:
    """The batches `ids` of a run. `record` stores the ids of those under way: a lost one is paid for nothing."""

    def __init__(self, asker: Asker, ids: Sequence[str], record: Callable[[Sequence[str]], Awaitable[None]]) -> None:
        self._asker, self._record = asker, record
        self.ids = list(ids)

    async def submit(self, asked: Iterable[Asked]) -> None:
        """Submit what is asked, and raise Waiting."""
        for group in _groups(asked):
            body = b",".join(
                b'{"custom_id":' + msgspec.json.encode(one.custom_id) + b',"params":' + one.body + b"}" for one in group
            )
            headers = {"anthropic-beta": ",".join(group[0].betas)} if group[0].betas else {}
            try:
                batch = await self._asker.call("POST", "", b'{"requests":[' + body + b"]}", headers)
                self.ids.append(str(msgspec.json.decode(batch)["id"]))
            except Infrastructure as error:
                if not _is_no_path(error):
                    raise
                raise Infrastructure(f"{_NONE} ({error}): write execution.mode: realtime") from error
            except (Rejected, msgspec.MsgspecError, KeyError, TypeError) as error:
                raise Infrastructure(f"{_NONE} ({error}): write execution.mode: realtime") from error
            await self._record(self.ids)
        raise Waiting(f"{len(self.ids)} Message Batches were submitted")

    async def collect(self) -> dict[str, Answer]:
        """The answers of all batches, by `custom_id`; raises Waiting while one goes on. What failed is not there."""
        states = [state for name in self.ids if (state := await self._state(name)) is not None]
        if states:
            total, left = sum(sum(one.values()) for one in states), sum(one.get("processing", 0) for one in states)
            raise Waiting(f"Message Batches are under way with {total} questions, as of now {left} open")
        found: dict[str, Answer] = {}
        for name in self.ids:
            try:
                lines = await self._asker.call("GET", f"/{name}/results")
            except Rejected:  # gone: it is asked again
                continue
            for line in lines.splitlines():
                found |= _read(line)
        return found

    async def forget(self) -> None:
        """What they answered is stored: nobody needs their ids any more."""
        self.ids = []
        await self._record(self.ids)

    async def _state(self, name: str) -> Mapping[str, int] | None:
        """How many questions of a batch are in which state, None where it has ended or is gone."""
        try:
            batch = msgspec.json.decode(await self._asker.call("GET", f"/{name}"))
            if batch["processing_status"] == "ended":
                return None
            return {what: int(count) for what, count in batch["request_counts"].items()}
        except Rejected:  # gone: its results are not there either
            return None
        except (msgspec.MsgspecError, KeyError, TypeError, ValueError, AttributeError) as error:
            raise Infrastructure(f"the state of the Message Batch {name} cannot be read") from error


def _is_no_path(error: Exception) -> bool:
    """Whether the upstream does not know the path at all, as a proxy for single messages does not."""
    return isinstance(error.__cause__, anthropic.APIStatusError) and error.__cause__.status_code in (404, 405, 501)


def _groups(asked: Iterable[Asked]) -> Iterable[list[Asked]]:
    """Requests with the same betas, as many as a batch takes."""
    groups: dict[tuple[str, ...], list[Asked]] = {}
    sizes: dict[tuple[str, ...], int] = {}
    for one in asked:
        group = groups.setdefault(one.betas, [])
        if group and (len(group) == _MOST or sizes[one.betas] + len(one.body) > _MOST_BYTES):
            yield group
            group = groups[one.betas] = []
            sizes[one.betas] = 0
        group.append(one)
        sizes[one.betas] = sizes.get(one.betas, 0) + len(one.body) + 100
    yield from (group for group in groups.values() if group)


def _read(line: bytes) -> dict[str, Answer]:
    """The answer in a line of results; nothing where the request expired, failed or cannot be read."""
    try:
        one = _result.decode(line)
        if one.result["type"] != "succeeded":
            return {}
        answer = answer_of(one.result["message"])
        # It is half the price, also where an upstream does not say so.
        return {one.custom_id: replace(answer, usage={**answer.usage, "service_tier": "batch"})}
    except (msgspec.MsgspecError, KeyError, TypeError, AttributeError):
        return {}
