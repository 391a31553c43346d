"""GET /v1/models and /v1/models/{id}, from the catalogue as the scenario changes it."""

from __future__ import annotations

import datetime
from collections.abc import Mapping, Sequence
from typing import Any

from claude_operator.core.catalogue.lifecycle import Lifecycle, state
from claude_operator.core.catalogue.table import Model
from claude_operator.simulator.errors import ApiError, of_status
from claude_operator.simulator.lives import Served

__all__ = ["find_served", "list_models", "model_info"]

_EPOCH = "1970-01-01T00:00:00Z"
_EFFORTS = ("low", "medium", "high", "xhigh", "max")
_THINKING = ("adaptive", "between_tools", "disabled", "enabled")
_LIFECYCLES = ("active", "deprecated", "retired")


def find_served(model_id: str, served: Served, today: datetime.date) -> Model:
    """The model that answers on a day; raises ApiError 404 for one that is unknown or retired."""
    model = served.find(model_id)
    if model is None or state(model, today).lifecycle in (Lifecycle.RETIRED, Lifecycle.UNKNOWN):
        raise _no_model(model_id)
    return model


def model_info(model_id: str, served: Served, today: datetime.date) -> dict[str, Any]:
    """One model as the Models API shows it; raises ApiError 404 for one that is not in the catalogue."""
    model = served.find(model_id)
    if model is None or state(model, today).lifecycle is Lifecycle.UNKNOWN:
        raise _no_model(model_id)
    return _info(model, today)


def list_models(
    query: Mapping[str, str], lifecycles: Sequence[str], served: Served, today: datetime.date
) -> dict[str, Any]:
    """A page, newest first; raises ApiError 400 for a query that the API refuses."""
    limit = query.get("limit", "20")
    if not (limit.isascii() and limit.isdigit() and 1 <= int(limit[:9]) <= 1000):
        raise of_status(400, "limit: Input should be between 1 and 1000")
    if any(word not in _LIFECYCLES for word in lifecycles):
        raise of_status(400, "lifecycle: Input should be 'active', 'deprecated' or 'retired'")
    wanted = tuple(lifecycles) or ("active", "deprecated")
    models = sorted(served.models, key=lambda model: (model.released or datetime.date.min, model.id), reverse=True)
    known = [model for model in models if state(model, today).lifecycle is not Lifecycle.UNKNOWN]
    found = [model for model in known if state(model, today).lifecycle.api in wanted]
    page, more = _page(found, int(limit), query)
    data = [_info(model, today) for model in page]
    ends = {"first_id": data[0]["id"], "last_id": data[-1]["id"]} if data else {"first_id": None, "last_id": None}
    return {"data": data, "has_more": more, **ends}


def _page(found: list[Model], limit: int, query: Mapping[str, str]) -> tuple[list[Model], bool]:
    positions = {model.id: number for number, model in enumerate(found)}
    for name in ("after_id", "before_id"):
        if name in query and query[name] not in positions:
            raise of_status(400, f"{name}: no model in this list has that id")
    if "before_id" in query:
        before = found[: positions[query["before_id"]]]
        return before[-limit:], len(before) > limit
    after = found[positions[query["after_id"]] + 1 :] if "after_id" in query else found
    return after[:limit], len(after) > limit


def _info(model: Model, today: datetime.date) -> dict[str, Any]:
    now = state(model, today)
    deprecated = now.lifecycle in (Lifecycle.DEPRECATED, Lifecycle.RETIRED)
    return {
        "type": "model",
        "id": model.id,
        "display_name": _display_name(model),
        "created_at": _timestamp(model.released) or _EPOCH,
        "line": model.line,
        "lifecycle": now.lifecycle.api,
        "deprecated_at": _timestamp(model.deprecated) if deprecated else None,
        "retires_at": _timestamp(model.retires) if deprecated else None,
        "max_input_tokens": model.context_tokens,
        "max_tokens": model.max_output_tokens,
        "allowed_fallback_models": [],
        "capabilities": _capabilities(model),
    }


def _capabilities(model: Model) -> dict[str, Any]:
    thinking = {entry.partition("<")[0].partition("(")[0] for entry in model.thinking_types or ()}
    efforts = model.effort_levels or ()
    plain = ("batch", "citations", "code_execution", "image_input", "pdf_input", "structured_outputs")
    return {name: {"supported": True} for name in plain} | {
        "compaction": _all_supported("summarize"),
        "context_management": _all_supported("clear_thinking_20251015", "clear_tool_uses_20250919", "compact_20260112"),
        "server_tools": _all_supported("code_execution", "web_search"),
        "effort": {"supported": bool(efforts)} | {level: {"supported": level in efforts} for level in _EFFORTS},
        "thinking": {
            "supported": bool(thinking),
            "types": {kind: {"supported": kind in thinking} for kind in _THINKING},
        },
    }


def _all_supported(*names: str) -> dict[str, Any]:
    return {"supported": True} | {name: {"supported": True} for name in names}


def _display_name(model: Model) -> str:
    if model.line and model.generation:
        return f"Claude {model.line.capitalize()} {model.generation.capitalize()}"
    return model.id


def _timestamp(day: datetime.date | None) -> str | None:
    return f"{day.isoformat()}T00:00:00Z" if day else None


def _no_model(model_id: str) -> ApiError:
    return of_status(404, f"model: {model_id[:100]}")
