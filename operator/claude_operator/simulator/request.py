"""A request as the rules see it, and the texts in it."""

from __future__ import annotations

import hashlib
import json
import re
from dataclasses import dataclass
from typing import Any

import msgspec
import orjson

from claude_operator.core.catalogue.checks.row import LATEST_VERSION as VERSION
from claude_operator.core.catalogue.checks.row import OLDER_VERSION as OLD_VERSION
from claude_operator.core.request.json_body import BodyError, decode_object
from claude_operator.simulator.errors import of_status

__all__ = ["OLD_VERSION", "VERSION", "Request", "blocks_of", "canonical", "read", "system_text"]

_BETA = re.compile(r"[a-z0-9-]+-(\d{4}-\d{2}-\d{2}|\d{8})")
_MAX_DEPTH = 200  # levels of nesting, below Python's recursion limit


@dataclass(frozen=True, slots=True)
class Request:
    """A decoded body, the API version and the betas; `counting` is POST /v1/messages/count_tokens."""

    body: dict[str, Any]
    version: str = VERSION
    betas: tuple[str, ...] = ()
    counting: bool = False

    def has_beta(self, *beginnings: str) -> bool:
        """Whether one of the betas begins so; `""` is any."""
        return any(beta.startswith(beginnings) for beta in self.betas)

    @property
    def system(self) -> str:
        """The text of the system prompt: its blocks, a line break between them."""
        return system_text(self.body.get("system"))

    @property
    def system_hash(self) -> str:
        """SHA-256 of that text in hex, what a scenario's `systemHash` begins."""
        return hashlib.sha256(self.system.encode("utf-8", "replace")).hexdigest()

    @property
    def question(self) -> str:
        """The text of the last user message, stripped; a message of tool results alone is no question."""
        blocks: list[dict[str, Any]] = []
        for message in reversed(self.body["messages"]):
            if message["role"] == "user":
                blocks = blocks_of(message["content"])
                if not _has_results(blocks) or any(block.get("type") == "text" for block in blocks):
                    break
        return "\n".join(block["text"] for block in blocks if block.get("type") == "text").strip()

    @property
    def calls_answered(self) -> int:
        """Messages of tool results since the question."""
        found = 0
        for message in reversed(self.body["messages"]):
            if message["role"] != "user":
                continue
            blocks = blocks_of(message["content"])
            if not _has_results(blocks):
                break
            found += 1
            if any(block.get("type") == "text" for block in blocks):
                break
        return found


def read(body: bytes, version: str | None, betas: list[str], *, counting: bool = False) -> Request:
    """Decode; raises ApiError 400 for a body that is not a JSON object and a version or beta that does not exist."""
    if version is None:
        raise of_status(400, "anthropic-version: header is required")
    if version not in (VERSION, OLD_VERSION):
        raise of_status(400, f"anthropic-version: not a valid version; write {VERSION} or {OLD_VERSION}")
    named = tuple(beta.strip() for value in betas for beta in value.split(",") if beta.strip())
    wrong = [beta for beta in named if not _BETA.fullmatch(beta)]
    if wrong:
        raise of_status(400, f"Unexpected value(s) `{wrong[0][:100]}` for the `anthropic-beta` header.")
    try:
        decode_object(body)
        document: dict[str, Any] = msgspec.json.decode(body)
    except BodyError as error:
        raise of_status(400, str(error)) from error
    if _is_deep(document):
        raise of_status(400, f"the body is nested too deeply: the simulator accepts {_MAX_DEPTH} levels")
    # The API takes null for an optional field as if it were left out.
    return Request({key: value for key, value in document.items() if value is not None}, version, named, counting)


def canonical(value: Any) -> bytes:
    """A client's value as JSON with sorted keys."""
    try:
        return orjson.dumps(value, option=orjson.OPT_SORT_KEYS)
    except orjson.JSONEncodeError:  # an integer of more than 64 bits
        return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()


def _has_results(blocks: list[dict[str, Any]]) -> bool:
    return any(block.get("type") == "tool_result" for block in blocks)


def _is_deep(document: Any) -> bool:
    level = [document]
    for _ in range(_MAX_DEPTH):
        level = [
            inner
            for value in level
            if isinstance(value, dict | list)
            for inner in (value.values() if isinstance(value, dict) else value)
        ]
        if not level:
            return False
    return True


def system_text(system: Any) -> str:
    """The text of a `system` value in either form."""
    return "\n".join(block["text"] for block in blocks_of(system))


def blocks_of(content: Any) -> list[dict[str, Any]]:
    """A string-or-blocks value as blocks."""
    if isinstance(content, str):
        return [{"type": "text", "text": content}] if content else []
    return content or []
