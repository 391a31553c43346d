"""The conversation: of an eval item, or of a client. A spec has none."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from claude_operator.core.catalogue.checks.row import LATEST_VERSION, OLDER_VERSION, Asked, Check, Fault, Severity

__all__ = ["ROWS"]


def _content(message: Mapping[str, Any]) -> list[tuple[int, Mapping[str, Any]]]:
    """The blocks of a message with their places."""
    content = message.get("content")
    listed = enumerate(content) if isinstance(content, list) else ()
    return [(place, block) for place, block in listed if isinstance(block, Mapping)]


def ends_with_the_user(asked: Asked) -> Iterator[Fault]:
    """No prefilled answer where the model refuses it."""
    messages = asked.request.get("messages")
    last = messages[-1] if isinstance(messages, list) and messages else None
    if not isinstance(last, Mapping) or last.get("role") != "assistant":
        return
    if asked.model and asked.model.prefill_ok is False:
        place = len(messages) - 1 if isinstance(messages, list) else 0
        yield Fault(
            ("messages", place, "role"),
            f"messages[{place}]: {asked.model_id} does not continue from an assistant's message: end with a user's",
            "This model does not support assistant message prefill. The conversation must end with a user message.",
        )


def begins_with_the_user(asked: Asked) -> Iterator[Fault]:
    """The first message is the user's."""
    first = next(iter(asked.places("messages")), None)
    if first and first[0] == 0 and first[1].get("role") in ("assistant", "system"):
        role = first[1]["role"]
        put = "put its text into system" if role == "system" else "begin with a user's message"
        yield Fault(
            ("messages", 0, "role"),
            f"messages[0]: the first message has role {role}: {put}",
            'messages: first message must use the "user" role',
        )


def assistant_documents(asked: Asked) -> Iterator[Fault]:
    """From 2026-10-21 on no document in an assistant's message."""
    if asked.version == OLDER_VERSION:
        return
    for number, message in asked.places("messages"):
        for place, block in _content(message):
            if message.get("role") == "assistant" and block.get("type") == "document":
                yield Fault(
                    ("messages", number, "content", place),
                    f"messages[{number}].content[{place}]: API version {LATEST_VERSION} takes no document in an"
                    " assistant's message: move it into a user's",
                    f"messages.{number}.content.{place}: document blocks are not permitted in assistant messages",
                )


def user_citations(asked: Asked) -> Iterator[Fault]:
    """From 2026-10-21 on no citations in a user's text."""
    if asked.version == OLDER_VERSION:
        return
    for number, message in asked.places("messages"):
        for place, block in _content(message):
            if message.get("role") == "user" and block.get("type") == "text" and block.get("citations"):
                yield Fault(
                    ("messages", number, "content", place, "citations"),
                    f"messages[{number}].content[{place}].citations: API version {LATEST_VERSION} takes none in a"
                    " user's text: remove them",
                    f"messages.{number}.content.{place}.citations: Extra inputs are not permitted",
                )


ROWS = (
    Check("first-message-role", 24, Severity.ERROR, begins_with_the_user, "messages"),
    Check("prefill", 23, Severity.ERROR, ends_with_the_user, "messages"),
    Check("assistant-document", 24, Severity.ERROR, assistant_documents, "messages"),
    Check("user-citations", 24, Severity.ERROR, user_citations, "messages"),
)
