"""An assert as one text, as promptfoo writes it in the `__expected` columns of a CSV: `icontains: Paris`."""

from __future__ import annotations

import re
from typing import Any

__all__ = ["from_cell"]

_LISTS = ("contains-any", "contains-all", "icontains-any", "icontains-all")
_CODE = {"javascript": "javascript", "fn": "javascript", "eval": "javascript", "python": "python"}
_FORM = re.compile(r"(not-)?([a-z]+(?:-[a-z0-9]+)*)(?:\((\d+(?:\.\d+)?)\))?(?:\s*:([\s\S]*))?")
_BARE = ("is-json", "contains-json", "is-refusal", "is-valid-tool-call", "is-valid-openai-tools-call", "is-html")
_WORDS = (
    "equals", "contains", "icontains", "starts-with", "ends-with", "regex", "tool-call", "is-json", "contains-json",
    "is-refusal", "cost", "latency", "levenshtein", "similar", "llm-rubric", "factuality", "model-graded-closedqa",
    "g-eval", "rouge-n", "tool-call-f1", "is-valid-tool-call", "is-valid-openai-tools-call", "is-sql", "is-xml",
    "contains-xml", "webhook", "bleu", "classifier", "moderation", "perplexity", "answer-relevance", "word-count",
    "token-f1", "select-best",
)  # fmt: skip


def from_cell(cell: str) -> dict[str, Any]:
    """The assert that a cell says; a cell without a type is the answer itself."""
    head, colon, rest = cell.partition(":")
    if colon and head in _CODE:
        return {"type": _CODE[head], "value": rest.strip()}
    if re.fullmatch(r"file://\S+\.(py|js|ts|mjs|cjs)(:\S+)?", cell.strip()):
        return {"type": "python" if ".py" in cell else "javascript", "value": cell.strip()}
    if colon and head == "grade":
        return {"type": "llm-rubric", "value": rest.strip()}
    found = _FORM.fullmatch(cell.strip())
    known = found is not None and (found[2] in _WORDS or found[2] in _LISTS)
    if found is None or not known or (found[4] is None and found[2] not in _BARE and found[3] is None):
        return {"type": "equals", "value": cell}
    one: dict[str, Any] = {"type": (found[1] or "") + found[2]}
    value = (found[4] or "").strip()
    if found[2] in _LISTS:
        one["value"] = [part.strip() for part in value.split(",")]
    elif value:
        one["value"] = value
    if found[2] in ("cost", "latency") and found[3] is None and value:
        one = {"type": one["type"], "threshold": _number(value)}
    if found[3] is not None:
        one["threshold"] = float(found[3])
    return one


def _number(text: str) -> float | str:
    try:
        return float(text)
    except ValueError:
        return text
