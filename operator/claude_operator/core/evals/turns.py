"""The tool loop of an item: calls get the results that the item supplies, and the model is asked again."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from claude_operator.core.evals.outcomes import Answer, ToolCall
from claude_operator.core.evals.sets import Item

__all__ = ["Turns", "add_usage", "answer_of"]

_TOKENS = ("input_tokens", "output_tokens", "cache_read_input_tokens", "cache_creation_input_tokens", "cache_creation")
_SHARED = ("service_tier", "inference_geo", "speed")
_messages = msgspec.json.Decoder(list[msgspec.Raw])


class Turns:
    """The conversation of an item in one epoch, as far as it has come."""

    def __init__(self, item: Item) -> None:
        self._item, self._added = item, list[bytes]()
        self._made: Counter[str] = Counter()
        self._calls: list[ToolCall] = []
        self._usage: dict[str, Any] = {}
        self._billed: list[Any] = []
        self._turns = 0

    @property
    def messages(self) -> msgspec.Raw:
        """What is sent next."""
        if not self._added:
            return msgspec.Raw(self._item.messages)
        begun = [bytes(one) for one in _messages.decode(self._item.messages)]
        return msgspec.Raw(b"[" + b",".join([*begun, *self._added]) + b"]")

    def add(
        self, blocks: Sequence[Mapping[str, Any]], stop_reason: str, usage: Mapping[str, Any], model: str = ""
    ) -> bool:
        """Take an answer of `model`; whether the model is to be asked again.

        The loop ends with an answer that calls no tool, with a call that the item has no result for, and after
        `max_turns` answers; also with one that cannot be sent back, such as half a surrogate pair.
        """
        self._turns += 1
        add_usage(self._usage, usage)
        self._billed += _billed(usage, model)
        calls = [block for block in blocks if block.get("type") == "tool_use"]
        self._calls += [ToolCall(str(call.get("name")), call.get("input")) for call in calls]
        if stop_reason != "tool_use" or not calls or self._turns >= self._item.max_turns:
            return False
        results = [self._result(call) for call in calls]
        if not all(results):
            return False
        try:
            self._added += [
                msgspec.json.encode({"role": "assistant", "content": list(blocks)}),
                msgspec.json.encode({"role": "user", "content": results}),
            ]
        except (UnicodeEncodeError, OverflowError, RecursionError):  # it cannot be sent back
            return False
        return True

    def answer(self, text: str, stop_reason: str, model: str, **times: float | None) -> Answer:
        """All of it; `text`, `stop_reason` and `model` are the last answer's."""
        # Each turn has a price of its own: what a prompt costs depends on its size, and turns may differ in model.
        usage = self._usage
        if self._turns > 1:
            usage = {name: usage[name] for name in usage if name not in _SHARED} | {"iterations": self._billed}
        return Answer(text, stop_reason, model, usage, tuple(self._calls), turns=self._turns, **times)

    def _result(self, call: Mapping[str, Any]) -> dict[str, Any] | None:
        name = str(call.get("name"))
        given = self._item.tool_results.get(name)
        if not given:
            return None
        content = given[min(self._made[name], len(given) - 1)]
        self._made[name] += 1
        return {"type": "tool_result", "tool_use_id": call.get("id"), "content": content}


def _billed(usage: Mapping[str, Any], model: str) -> list[Any]:
    """The entries of `usage.iterations`, or the usage as the only one, each with its model and what sets its price."""
    shared = {name: usage[name] for name in _SHARED if usage.get(name)} | ({"model": model} if model else {})
    given = usage.get("iterations") or [{name: usage[name] for name in _TOKENS if name in usage}]
    entries = given if isinstance(given, list) else [given]  # what is no entry has no price either
    return [
        shared | {name: value for name, value in entry.items() if value is not None}
        if isinstance(entry, dict)
        else entry
        for entry in entries
    ]


def answer_of(message: Mapping[str, Any]) -> Answer:
    """The answer in a whole message of the API, which was not measured; raises KeyError, TypeError, AttributeError."""
    blocks = message["content"]
    text = "".join(block.get("text") or "" for block in blocks if block.get("type") == "text")
    calls = tuple(
        ToolCall(str(block.get("name")), block.get("input")) for block in blocks if block.get("type") == "tool_use"
    )
    return Answer(text, str(message["stop_reason"]), str(message["model"]), dict(message["usage"]), calls)


def add_usage(total: dict[str, Any], usage: Mapping[str, Any]) -> None:
    """Add an answer's usage to the sum of those before it; what is no count is the last one's."""
    for name, value in usage.items():
        if isinstance(value, Mapping):
            inner = total.setdefault(name, {})
            if isinstance(inner, dict):
                add_usage(inner, value)
        elif isinstance(value, int) and not isinstance(value, bool) and isinstance(total.get(name, 0), int):
            total[name] = total.get(name, 0) + value
        elif isinstance(value, list):
            total[name] = [*(total.get(name) or ()), *value]
        else:
            total[name] = value
