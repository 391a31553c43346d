"""promptfoo's prompts as the message of an item."""

from __future__ import annotations

import json
import re
from typing import Any

from claude_operator.core.evals.formats.yaml_values import read_document
from claude_operator.evals.importing.findings import SCHEME, Files, Place, shortened

__all__ = ["take_prompts"]

_FILE = re.compile(r"\S+\.(txt|md|json|jsonl|ya?ml|j2|csv|py|js|ts|cjs|mjs)(:\S+)?")
_PROGRAM = re.compile(r"(exec:|python:|.*\.(py|js|ts|cjs|mjs)(:\S+)?$)")
_BETWEEN = re.compile(r"^---\s*$", re.MULTILINE)
_READ = re.compile(r"\{\{\s*read_file_base64\(\s*(\w+)\s*\)\s*\}\}")
_MANY = (
    "promptfoo compares prompts, a gate compares revisions: write each as a request of its own and compare with"
    " --baseline"
)


def take_prompts(prompts: Any, files: Files, place: Place) -> dict[str, Any]:
    """`input` or `messages` of defaultTest from the first prompt that can be taken; empty where none can."""
    listed = prompts if isinstance(prompts, list) else [prompts] if prompts is not None else []
    taken: dict[str, Any] = {}
    for number, one in enumerate(listed):
        here = place.at(number) if isinstance(prompts, list) else place
        text = one if isinstance(one, str) else _of_object(one)
        if text is None:
            here.refuse("a prompt without a text", "write the text of the prompt")
        elif taken:
            here.refuse(f"the prompt {shortened(text)}", _MANY)
        else:
            taken = _read(text, files, here)
    return taken


def _with_names(value: Any) -> Any:
    """Content in which a file is named, not read by a function of promptfoo's."""
    if isinstance(value, str):
        return _READ.sub(r"{{\1}}", value)
    if isinstance(value, list):
        return [_with_names(one) for one in value]
    return {key: _with_names(one) for key, one in value.items()} if isinstance(value, dict) else value


def _of_object(one: Any) -> str | None:
    fields = one if isinstance(one, dict) else {}
    found = next((fields[name] for name in ("raw", "path", "file", "id") if isinstance(fields.get(name), str)), None)
    return found if isinstance(found, str) else None


def _read(text: str, files: Files, place: Place) -> dict[str, Any]:
    name = text.removeprefix(SCHEME)
    if _PROGRAM.match(text.strip()) and len(text.split()) == 1:
        place.refuse(
            f"the prompt {shortened(text)} is made by a program",
            "write the text that it makes, with {{name}} for each var, as the message; what is the same for all items"
            " belongs into the request's system",
        )
        return {}
    if text.startswith(SCHEME) or _FILE.fullmatch(text):
        if name.endswith(".csv") or "*" in name:
            place.refuse(f"the prompts {shortened(text)}", _MANY)
            return {}
        try:
            text = files.text(name)
        except ValueError as error:
            place.refuse(f"the prompt {shortened(text)}", str(error))
            return {}
        parts = [part.strip() for part in _BETWEEN.split(text) if part.strip()] if name.endswith(".txt") else [text]
        for other in parts[1:]:
            place.refuse(f"the prompt {shortened(other)} in {name}", _MANY)
        text = parts[0] if parts else ""
    if not text.strip():
        place.refuse("an empty prompt", "write its text")
        return {}
    return _messages(text.strip(), name, place)


def _messages(text: str, name: str, place: Place) -> dict[str, Any]:
    """A chat as messages, anything else as the message of the user."""
    chat: Any = None
    if (text[:1] in "[{" and not text.startswith("{{")) or name.endswith((".yaml", ".yml", ".json")):
        try:
            chat = read_document(text).value if name.endswith((".yaml", ".yml")) else json.loads(text)
        except (ValueError, RecursionError):
            if '"role"' not in text and not name.endswith((".yaml", ".yml", ".json")):
                return {"input": text}
            loop = "{%" in text
            remedy = (
                "write messages into each test: there are no loops"
                if loop
                else "write it as JSON, with {{name}} in texts"
            )
            place.refuse(f"the chat {shortened(text)} is not JSON before its vars are filled in", remedy)
            return {}
    if not isinstance(chat, list):
        return {"input": text}
    turns = []
    for one in chat:
        role, content = (one.get("role"), one.get("content")) if isinstance(one, dict) else (None, None)
        if role in ("system", "developer"):
            place.refuse(
                f"the {role} message ({shortened(content)})",
                "it is part of the request, not of an item: write it into the request's system",
            )
        elif role in ("user", "assistant") and content is not None:
            turns.append({"role": role, "content": _with_names(content)})
        else:
            place.refuse(f"the message {shortened(one)}", "write {role: user or assistant, content: ...}")
            return {}
    return {"messages": turns} if turns else {}
