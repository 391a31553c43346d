"""What the Claude API refuses of a request, by model. Fields that nothing is known of are never refused."""

from __future__ import annotations

import datetime
import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from claude_operator.api.cel import SINCE_4_7
from claude_operator.core.catalogue.lifecycle import Lifecycle, state
from claude_operator.core.catalogue.request_rules import COMMON_RULES, Asked, RequestRule
from claude_operator.core.catalogue.table import Model, find
from claude_operator.core.request.unsupported import SAMPLING, Takes

__all__ = ["RULES", "request_problems", "takes"]

_DATED = re.compile(r"(claude-[a-z]+-\d+(?:-\d{1,2})?)-\d{8}")
_UNTIL = "beta-until-"
_EFFORTS = ("low", "medium", "high", "xhigh", "max")


def request_problems(model: Model | None, request: Mapping[str, Any], *, today: datetime.date) -> list[str]:
    """What the API would refuse of a whole request, each as `<field>: <what>: <what to write instead>`.

    `request` has the Messages API's fields and `betas`; `model` is the one that it names, None where nothing is known
    of it: then only what holds for every model is checked. Whether the model still exists is the lifecycle's matter.
    """
    asked = Asked(model, request, today)
    return [problem for rule in RULES for problem in rule(asked)]


def pinned_id(asked: Asked) -> Iterator[str]:
    """An alias moves under a revision that should never change; ids from Claude 4.6 on have no date."""
    model, name = asked.model, asked.model_id
    if model and name in model.aliases and state(model, asked.today).lifecycle is not Lifecycle.RETIRED:
        yield f"model: {name} is an alias, whose model can change under a revision: write {model.id}"
    dated = _DATED.fullmatch(name)
    if model is None and dated and (known := find(dated[1])) and known.id == dated[1]:
        yield f"model: {name} does not exist, from Claude 4.6 on an id has no date: write {dated[1]}"


def output_limit(asked: Asked) -> Iterator[str]:
    """The model's own limit; a beta may raise it."""
    limit = asked.model.max_output_tokens if asked.model else None
    asks = asked.request.get("max_tokens")
    if limit and isinstance(asks, int) and asks > limit and not asked.has_beta("output-"):
        yield f"max_tokens: {asks} is more than {asked.model_id} gives: write {limit} or less"


def effort(asked: Asked) -> Iterator[str]:
    """The levels that the model knows."""
    levels = asked.model.effort_levels if asked.model else None
    level = asked.part("output_config").get("effort")
    if level is None or levels is None or level in levels:
        return
    if levels:
        yield f"output_config.effort: {asked.model_id} does not take {level!r}: write {_either(levels)}"
    else:
        yield f"output_config.effort: {asked.model_id} does not take it: remove it"


def thinking_type(asked: Asked) -> Iterator[str]:
    """The types that the model accepts; some only up to an effort."""
    kind = asked.part("thinking").get("type")
    if kind is None or asked.model is None or asked.model.thinking_types is None:
        return
    accepted = _accepted(asked.model.thinking_types)
    if not isinstance(kind, str) or kind not in accepted:
        yield f"thinking.type: {asked.model_id} does not take {kind!r}: write {_either(accepted)}, or remove thinking"
        return
    limit = accepted[kind]
    level = asked.part("output_config").get("effort") or asked.model.default_effort
    if limit and level in _EFFORTS and _EFFORTS.index(level) > _EFFORTS.index(limit):
        yield (
            f"thinking.type: {asked.model_id} takes {kind!r} up to effort {limit}, not with {level}: lower"
            f" output_config.effort to {limit}, or remove thinking"
        )


def _accepted(words: Iterable[str]) -> dict[str, str]:
    """Thinking types and the highest effort of each, from adaptive, enabled(deprecated), disabled<=high."""
    pairs = (word.partition("<=") for word in words)
    return {kind.partition("(")[0]: limit for kind, _, limit in pairs}


def forced_tools(asked: Asked) -> Iterator[str]:
    """Some models cannot be forced to call a tool."""
    kind = asked.part("tool_choice").get("type")
    if kind in ("any", "tool") and asked.model and asked.model.forced_tool_choice_ok is False:
        yield f"tool_choice.type: {asked.model_id} does not take {kind!r}: write auto, and ask for the tool in system"


def sampling(asked: Asked) -> Iterator[str]:
    """Claude 4.7 and later refuse sampling parameters, older models a temperature outside of 0 to 1."""
    refuses = not _takes_sampling(asked.model, asked.model_id)
    temperature = asked.request.get("temperature")
    if refuses and temperature not in (None, 1):
        yield f"temperature: {asked.model_id} refuses it: remove it, and steer with system or output_config.effort"
    elif isinstance(temperature, int | float) and not 0 <= temperature <= 1:
        yield f"temperature: {temperature} is out of range: write a number from 0 to 1"
    for name in SAMPLING[1:]:
        if refuses and asked.request.get(name) is not None:
            yield f"{name}: {asked.model_id} refuses it: remove it"


def takes(model_id: str) -> Takes:
    """What a model is known to take of a client."""
    model = find(model_id)
    types = model.thinking_types if model else None
    return Takes(
        sampling=_takes_sampling(model, model_id),
        thinking=None if types is None else frozenset(_accepted(types)),
        prefill=model is None or model.prefill_ok is not False,
    )


def _takes_sampling(model: Model | None, model_id: str) -> bool:
    known = model.sampling_on_2023_06_01 if model else None
    return known != "default_only" if known else re.search(SINCE_4_7, model_id) is None


def inference_geo(asked: Asked) -> Iterator[str]:
    """Older models cannot be bound to a region."""
    if asked.request.get("inference_geo") is not None and asked.model and asked.model.inference_geo_ok is False:
        yield f"inference_geo: {asked.model_id} refuses it: remove it, or use a model from Claude 4.6 on"


def fast(asked: Asked) -> Iterator[str]:
    """Fast mode: generally available, a beta, a beta until a day, or none."""
    if asked.request.get("speed") != "fast" or asked.model is None or asked.model.fast_mode == "ga":
        return
    mode = asked.model.fast_mode
    if mode is None:
        # Of a model of which only the id or the dates are known, nothing is known here either.
        if asked.model.inference_geo_ok is not None:
            yield f"speed: {asked.model_id} has no fast mode: remove it"
    elif mode.startswith(_UNTIL) and asked.today.isoformat() > mode.removeprefix(_UNTIL):
        yield f"speed: {asked.model_id} had a fast mode until {mode.removeprefix(_UNTIL)}: remove it"
    elif not asked.has_beta("fast-mode-"):
        yield f"betas: speed fast is a beta on {asked.model_id}: add fast-mode-2026-02-01"


def _either(words: Iterable[str]) -> str:
    return " or ".join(words)


RULES: tuple[RequestRule, ...] = (
    pinned_id,
    output_limit,
    effort,
    thinking_type,
    forced_tools,
    sampling,
    inference_geo,
    fast,
    *COMMON_RULES,
)
"""Every rule, those of the model first."""
