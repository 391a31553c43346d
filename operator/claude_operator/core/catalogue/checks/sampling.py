"""Sampling: temperature, top_p, top_k."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from claude_operator.core.catalogue.checks.row import LATEST_VERSION, Asked, Check, Fault, Severity, is_since_4_7
from claude_operator.core.catalogue.table import Model
from claude_operator.core.request.unsupported import SAMPLING

__all__ = ["LEAST_TOP_P", "ROWS", "takes_sampling"]

LEAST_TOP_P = 0.95  # with thinking
_WITH_THINKING = {  # name -> the API's words, ours
    "temperature": ("may only be set to 1", "remove temperature"),
    "top_p": (f"must be greater than or equal to {LEAST_TOP_P}", f"write {LEAST_TOP_P} or more"),
    "top_k": ("must be unset", "remove top_k"),
}


def takes_sampling(model: Model | None, model_id: str) -> bool:
    """Whether a model takes sampling parameters from a client of API version 2023-06-01."""
    known = model.sampling_on_2023_06_01 if model else None
    return known != "default_only" if known else not is_since_4_7(model_id)


def _given(asked: Asked) -> list[str]:
    return [name for name in SAMPLING if asked.request.get(name) is not None]


def by_model(asked: Asked) -> Iterator[Fault]:
    """Claude 4.7 and later refuse what is not the default."""
    if takes_sampling(asked.model, asked.model_id):
        return
    for name in _given(asked):
        if name == "temperature" and asked.request[name] == 1:
            continue
        steer = ", and steer with system or output_config.effort" if name == "temperature" else ""
        yield Fault(
            (name,),
            f"{name}: {asked.model_id} refuses it: remove it{steer}",
            f"`{name}` is not supported for this model.",
        )


def by_version(asked: Asked) -> Iterator[Fault]:
    """API version 2026-10-21 refuses it, whatever the model and the value."""
    if asked.version != LATEST_VERSION:
        return
    for name in _given(asked):
        yield Fault(
            (name,),
            f"{name}: API version {LATEST_VERSION} refuses it for every model: remove it",
            f"{name}: Extra inputs are not permitted",
        )


def for_new_clients(asked: Asked) -> Iterator[Fault]:
    """A revision that brings it makes requests of clients of API version 2026-10-21 fail."""
    if asked.version is not None or "messages" in asked.request:
        return
    for name in _given(asked):
        if takes_sampling(asked.model, asked.model_id) or (name == "temperature" and asked.request[name] == 1):
            yield Fault(
                (name,),
                f"{name}: requests of clients that send anthropic-version {LATEST_VERSION}, as newer SDKs do, are"
                f" refused with it: remove it, or keep clients on an SDK that sends 2023-06-01",
            )


def in_range(asked: Asked) -> Iterator[Fault]:
    """From 0 to 1."""
    value = asked.request.get("temperature")
    if takes_sampling(asked.model, asked.model_id) and isinstance(value, int | float) and not 0 <= value <= 1:
        yield Fault(
            ("temperature",),
            f"temperature: {value} is out of range: write a number from 0 to 1",
            "temperature: Input should be between 0 and 1",
        )


def one_of_two(asked: Asked) -> Iterator[Fault]:
    """The API takes either of temperature and top_p."""
    if takes_sampling(asked.model, asked.model_id) and {"temperature", "top_p"} <= set(_given(asked)):
        yield Fault(
            ("top_p",),
            "top_p: the API does not take it together with temperature: remove one of them",
            "`temperature` and `top_p` cannot both be specified for this model. Please use only one.",
        )


def with_thinking(asked: Asked) -> Iterator[Fault]:
    """A model that thinks samples as it likes: temperature 1, no top_k, top_p from 0.95 on."""
    kind = asked.part("thinking").get("type")
    if kind not in ("enabled", "adaptive") or not takes_sampling(asked.model, asked.model_id):
        return
    for name in _given(asked):
        value = asked.request[name]
        if _fits_thinking(name, value):
            continue
        words, remedy = _WITH_THINKING[name]
        yield Fault(
            (name,),
            f"{name}: the API does not take {value} together with thinking: {remedy}, or remove thinking",
            f"`{name}` {words} when thinking is enabled or in adaptive mode.",
        )


def _fits_thinking(name: str, value: Any) -> bool:
    match name:
        case "temperature":
            return bool(value == 1)
        case "top_p":
            return isinstance(value, int | float) and value >= LEAST_TOP_P
    return False


ROWS = (
    Check("sampling-version", 6, Severity.ERROR, by_version, "version"),
    Check("sampling-model", 6, Severity.ERROR, by_model),
    Check("sampling-new-clients", 6, Severity.WARNING, for_new_clients),
    Check("temperature-range", 6, Severity.ERROR, in_range),
    Check("temperature-with-top-p", None, Severity.ERROR, one_of_two),
    Check("sampling-with-thinking", None, Severity.ERROR, with_thinking),
)
