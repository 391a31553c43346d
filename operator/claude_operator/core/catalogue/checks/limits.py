"""How much is answered, where, how fast, and what ends it."""

from __future__ import annotations

import datetime
from collections.abc import Callable, Iterator
from typing import Any, Literal

from claude_operator.core.catalogue.checks.row import Asked, Check, Fault, Severity
from claude_operator.core.catalogue.table import Model

__all__ = ["MOST_UNSTREAMED", "ROWS", "fast_mode"]

MOST_UNSTREAMED = 21_333
"""Most `max_tokens` that the SDKs send without streaming: more may take longer than ten minutes."""
_UNTIL = "beta-until-"


def output_limit(asked: Asked) -> Iterator[Fault]:
    """The model's own limit; a beta may raise it."""
    most = asked.model.max_output_tokens if asked.model else None
    asks = asked.request.get("max_tokens")
    if isinstance(asks, int) and asks < 0:
        yield Fault(
            ("max_tokens",),
            f"max_tokens: {asks} is negative: write 1 or more",
            "max_tokens: Input should be greater than or equal to 0",
        )
    elif most and isinstance(asks, int) and asks > most and not asked.has_beta("output-"):
        name = asked.model.id if asked.model else asked.model_id
        yield Fault(
            ("max_tokens",),
            f"max_tokens: {asks} is more than {asked.model_id} gives: write {most} or less",
            f"max_tokens: {asks} > {most}, which is the maximum allowed number of output tokens for {name}",
        )


def unstreamed(asked: Asked) -> Iterator[Fault]:
    """An answer that long in one piece may take longer than clients wait."""
    live = "messages" in asked.request and asked.request.get("stream") is not True
    why = explain_unstreamed(asked.request.get("max_tokens")) if live else ""
    if why:
        yield Fault(("max_tokens",), why)


def explain_unstreamed(max_tokens: Any) -> str:
    """What is risky in a call that does not stream, empty where nothing is."""
    if not isinstance(max_tokens, int) or max_tokens <= MOST_UNSTREAMED:
        return ""
    return (
        f"max_tokens: {max_tokens} without streaming may take longer than ten minutes, and SDKs refuse to send it:"
        f" stream, or write {MOST_UNSTREAMED} or less"
    )


def only_warming(asked: Asked) -> Iterator[Fault]:
    """`max_tokens: 0` only warms the cache, and goes with nothing that shapes an answer."""
    if asked.request.get("max_tokens") != 0 or asked.request.get("max_tokens") is False:
        return
    against = {
        "stream": asked.request.get("stream") is True,
        "thinking": asked.part("thinking").get("type") == "enabled",
        "output_config.format": bool(asked.part("output_config").get("format")),
        "tool_choice": asked.part("tool_choice").get("type") in ("any", "tool"),
        "compaction": bool(asked.request.get("compaction")),
    }
    for name in (name for name, given in against.items() if given):
        yield Fault(
            ("max_tokens",),
            f"max_tokens: 0 cannot be combined with {name}: write 1 or more, or remove {name}",
            f"{name}: not supported with max_tokens: 0",
        )


def geo_model(asked: Asked) -> Iterator[Fault]:
    """Older models cannot be bound to a region."""
    if asked.request.get("inference_geo") is not None and asked.model and asked.model.inference_geo_ok is False:
        yield Fault(
            ("inference_geo",),
            f"inference_geo: {asked.model_id} refuses it: remove it, or use a model from Claude 4.6 on",
            "inference_geo: not supported for this model.",
        )


def _is_one_of(name: str, *allowed: str) -> Callable[[Asked], Iterator[Fault]]:
    """A field of which the API takes few values."""

    def find(asked: Asked) -> Iterator[Fault]:
        value = asked.request.get(name)
        if value is not None and value not in allowed:
            yield Fault(
                (name,),
                f"{name}: {value!r} is not one of its values: write {' or '.join(allowed)}",
                f"{name}: Input should be " + " or ".join(f"'{one}'" for one in allowed),
            )

    find.__doc__ = f"{name} has few values: {' or '.join(allowed)}."
    return find


def fast_mode(model: Model, today: datetime.date) -> Literal["ga", "beta", "none"] | None:
    """Whether a model has a fast mode on a day; None where nothing is known of it but its id and dates."""
    mode = model.fast_mode
    if mode is None:
        return None if model.inference_geo_ok is None else "none"
    if mode.startswith(_UNTIL) and today.isoformat() > mode.removeprefix(_UNTIL):
        return "none"
    return "ga" if mode == "ga" else "beta"


def _fast_mode(asked: Asked) -> str | None:
    """The same of the request's model, where the request asks for it."""
    return fast_mode(asked.model, asked.today) if asked.model and asked.request.get("speed") == "fast" else None


def fast_model(asked: Asked) -> Iterator[Fault]:
    """Fast mode: generally available, a beta, a beta until a day, or none."""
    if _fast_mode(asked) == "none":
        until = (asked.model.fast_mode if asked.model else None) or ""
        had = f"had a fast mode until {until.removeprefix(_UNTIL)}" if until else "has no fast mode"
        yield Fault(
            ("speed",),
            f"speed: {asked.model_id} {had}: remove it",
            "speed: fast mode is not supported for this model.",
        )


def fast_beta(asked: Asked) -> Iterator[Fault]:
    """Where it is a beta, it needs it."""
    if _fast_mode(asked) == "beta" and not asked.has_beta("fast-mode-"):
        yield Fault(
            ("betas",),
            f"betas: speed fast is a beta on {asked.model_id}: add fast-mode-2026-02-01",
            "speed: Extra inputs are not permitted",
        )


def blank_stops(asked: Asked) -> Iterator[Fault]:
    """A stop sequence has something that is not white space."""
    sequences = asked.request.get("stop_sequences")
    for place, sequence in enumerate(sequences if isinstance(sequences, list) else ()):
        if not isinstance(sequence, str) or not sequence.strip():
            yield Fault(
                ("stop_sequences", place),
                f"stop_sequences[{place}]: {sequence!r} is blank: write a text with more than white space, or remove"
                " it",
                f"stop_sequences.{place}: each stop sequence must contain non-whitespace",
            )


ROWS = (
    Check("max-tokens", 22, Severity.ERROR, output_limit),
    Check("max-tokens-unstreamed", 22, Severity.WARNING, unstreamed, "streaming"),
    Check("max-tokens-zero", None, Severity.ERROR, only_warming),
    Check("geo-model", 25, Severity.ERROR, geo_model),
    Check("geo-value", 25, Severity.ERROR, _is_one_of("inference_geo", "us", "global")),
    Check("speed-value", 26, Severity.ERROR, _is_one_of("speed", "standard", "fast")),
    Check("speed-model", 26, Severity.ERROR, fast_model),
    Check("speed-beta", 26, Severity.ERROR, fast_beta),
    Check("service-tier", 27, Severity.ERROR, _is_one_of("service_tier", "auto", "standard_only")),
    Check("stop-sequence-blank", None, Severity.ERROR, blank_stops),
)
