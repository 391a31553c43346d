"""The requests that a ClaudeDeployment serves, and what the prompt cache can keep of each: its tools and system."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from claude_operator.core.catalogue.lifecycle import NO_MODELS, model_of
from claude_operator.core.catalogue.table import Model
from claude_operator.core.catalogue.tokens import part_tokens
from claude_operator.core.lint.finding import Path
from claude_operator.core.request.breakpoints import breakpoint_ttl

__all__ = ["Part", "Prompts", "Served", "fields_of", "served_requests"]

Prompts = Mapping[tuple[str, str], str]
"""Texts by (name, key) of their ConfigMap."""

_UNKNOWN_MINIMUM = 1024  # tokens; of a model that the catalogue does not know


@dataclass(frozen=True, slots=True)
class Part:
    """A tool or system block: its JSON without its breakpoint, its size, and how long its breakpoint lives."""

    where: str
    place: int
    plain: bytes
    tokens: int
    ttl: str | None


@dataclass(frozen=True)
class Served:
    """A request as it is served: that of the application, or of a subagent (`name`)."""

    name: str
    request: Mapping[str, Any]
    """With the blocks of promptFrom before those of `system`; a text that is not known is None."""
    model: Model | None
    prompts: int = 0
    """How many of its first system blocks come from promptFrom."""
    own: frozenset[str] = frozenset()
    """Of a subagent: the fields that it has of its own."""
    unknown: bool = False
    """Whether the text of a block of promptFrom is not known."""

    @property
    def model_id(self) -> str:
        """The model as the request names it."""
        return str(self.request.get("model") or "")

    @property
    def minimum(self) -> int:
        """Tokens from which the API caches a prefix."""
        known = self.model.cache_min_tokens if self.model else None
        return _UNKNOWN_MINIMUM if known is None else known

    @cached_property
    def parts(self) -> tuple[Part, ...]:
        """Tools and system blocks in the order of the cache."""
        return tuple(
            Part(where, place, _plain(one), part_tokens(one, self.model), breakpoint_ttl(one.get("cache_control")))
            for where in ("tools", "system")
            for place, one in enumerate(_listed(self.request.get(where)))
        )

    @property
    def marks(self) -> tuple[int, ...]:
        """Places of the breakpoints among the parts."""
        return tuple(number for number, part in enumerate(self.parts) if part.ttl)

    @property
    def automatic(self) -> str | None:
        """The ttl of automatic caching, which covers the conversation; None without it."""
        return breakpoint_ttl(self.request.get("cache_control"))

    def tokens(self, until: int | None = None) -> int:
        """Tokens of the parts before this place, of all by default."""
        return sum(part.tokens for part in self.parts[:until])

    @property
    def marked_tokens(self) -> int:
        """Tokens up to the last breakpoint in tools and system, 0 without one."""
        return self.tokens(self.marks[-1] + 1) if self.marks else 0

    def path(self, inner: Sequence[str | int]) -> Path:
        """Where a path below the request is written in the object."""
        first = inner[0] if inner else ""
        place = inner[1] if len(inner) > 1 else None
        base: Path = ("spec", "request")
        if self.name and (first in self.own or not inner):
            base = ("spec", "subagents", self.name, "request")
        elif first == "system" and isinstance(place, int) and place < self.prompts:
            return ("spec", "promptFrom", place, *_of_prompt(inner[2:]))
        elif first == "system" and isinstance(place, int):
            return (*base, "system", place - self.prompts, *inner[2:])
        return (*base, *inner)


def served_requests(
    spec: Mapping[str, Any], prompts: Prompts, models: Mapping[str, Model] = NO_MODELS
) -> Iterator[Served]:
    """The request of a spec and that of each subagent. Texts of promptFrom that are not given are unknown.

    A spec of any shape: what has another one than it should is passed over.
    """
    request = dict(fields_of(spec.get("request")))
    blocks, unknown = _blocks(spec.get("promptFrom"), prompts)
    if blocks:
        request["system"] = [*blocks, *_listed(request.get("system"))]
    yield Served("", request, model_of(str(request.get("model") or ""), models), len(blocks), unknown=unknown)
    for name, subagent in fields_of(spec.get("subagents")).items():
        own = dict(fields_of(fields_of(subagent).get("request")))
        merged = {**request, **own}
        count = 0 if "system" in own else len(blocks)
        model = model_of(str(merged.get("model") or ""), models)
        yield Served(str(name), merged, model, count, frozenset(own), unknown and "system" not in own)


def fields_of(value: Any) -> Mapping[str, Any]:
    """An object's fields, none of anything else."""
    return value if isinstance(value, Mapping) else {}


def _blocks(sources: Any, prompts: Prompts) -> tuple[list[dict[str, Any]], bool]:
    """The system blocks of promptFrom, and whether the text of one is not known."""
    blocks: list[dict[str, Any]] = []
    unknown = False
    for source in _listed(sources):
        reference = fields_of(source.get("configMapKeyRef"))
        text = prompts.get((str(reference.get("name")), str(reference.get("key"))))
        unknown = unknown or text is None
        block: dict[str, Any] = {"type": "text", "text": text}
        if source.get("cache_control") is not None:
            block["cache_control"] = source["cache_control"]
        blocks.append(block)
    return blocks, unknown


def _of_prompt(inner: Sequence[str | int]) -> Path:
    """A path below a block of promptFrom: its text is in the ConfigMap that the entry names."""
    return ("configMapKeyRef",) if inner[:1] == ("text",) else tuple(inner)


def _listed(value: Any) -> list[Mapping[str, Any]]:
    return [one for one in value if isinstance(one, Mapping)] if isinstance(value, list) else []


def _plain(part: Mapping[str, Any]) -> bytes:
    """Without its breakpoint, keys sorted: moving a breakpoint changes nothing that is cached."""
    plain = {key: value for key, value in part.items() if key != "cache_control"}
    return json.dumps(plain, sort_keys=True, separators=(",", ":"), default=str).encode()
