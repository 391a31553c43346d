"""Rules about what a model takes. Each returns the 400's message or None."""

from __future__ import annotations

from collections.abc import Callable

from claude_operator.core.catalogue.table import Model
from claude_operator.simulator.prompt import PROMPT_RULES
from claude_operator.simulator.request import Request
from claude_operator.simulator.shape import SHAPE_RULES
from claude_operator.simulator.thinking import first_foreign_block

__all__ = ["MODEL_RULES", "first_violation"]

_HIGH_EFFORT = ("xhigh", "max")
_EFFORTS = ("low", "medium", "high", "xhigh", "max")


def max_tokens_in_range(request: Request, model: Model) -> str | None:
    """Between 0 (warm the cache) and the model's longest answer."""
    asked, most = request.body.get("max_tokens", 1), model.max_output_tokens
    if asked < 0:
        return "max_tokens: Input should be greater than or equal to 0"
    if most and asked > most:
        return f"max_tokens: {asked} > {most}, which is the maximum allowed number of output tokens for {model.id}"
    return None


def warming_has_nothing_to_answer(request: Request, _: Model) -> str | None:
    """`max_tokens: 0` goes with neither a stream, thinking, a format nor a forced tool."""
    body = request.body
    if body.get("max_tokens") != 0:
        return None
    wanted = {
        "stream": body.get("stream"),
        "thinking": body.get("thinking", {}).get("type") not in (None, "disabled"),
        "output_config.format": body.get("output_config", {}).get("format"),
        "tool_choice": body.get("tool_choice", {}).get("type") in ("any", "tool"),
        "compaction": body.get("compaction"),
    }
    return next((f"{name}: not supported with max_tokens: 0" for name, given in wanted.items() if given), None)


def sampling_is_allowed(request: Request, model: Model) -> str | None:
    """On 2023-06-01: within range, and from 4.7 on nothing but the default."""
    given = {name: request.body[name] for name in ("temperature", "top_p", "top_k") if name in request.body}
    if not 0 <= given.get("temperature", 1) <= 1:
        return "temperature: Input should be between 0 and 1"
    for name, value in given.items():
        if model.sampling_on_2023_06_01 == "default_only" and not (name == "temperature" and value == 1):
            return f"`{name}` is not supported for this model."
    return None


def thinking_is_known(request: Request, model: Model) -> str | None:
    """A type that the model takes; a budget of at least 1024 and below max_tokens; low effort where it has to be."""
    thinking = request.body.get("thinking")
    if not thinking or model.thinking_types is None:
        return None
    kind = str(thinking.get("type"))
    taken = {entry.partition("<")[0].partition("(")[0]: entry for entry in model.thinking_types}
    if kind not in taken:
        return f'"thinking.type.{kind[:32]}" is not supported for this model.'
    effort = request.body.get("output_config", {}).get("effort")
    if taken[kind].endswith("<=high") and effort in _HIGH_EFFORT:
        return f'"thinking.type.{kind}" is not supported with effort {effort} for this model.'
    if kind == "between_tools" and len(thinking) > 1:
        return "thinking.between_tools: Extra inputs are not permitted"
    return _budget(request) if kind == "enabled" else None


def effort_is_known(request: Request, model: Model) -> str | None:
    """A level that the model has."""
    effort = request.body.get("output_config", {}).get("effort")
    if effort is None or model.effort_levels is None:
        return None
    if not model.effort_levels:
        return "This model does not support the effort parameter."
    if effort not in model.effort_levels:
        if effort in _EFFORTS:
            return f"This model does not support effort level '{effort}'."
        return "output_config.effort: Input should be " + ", ".join(f"'{level}'" for level in model.effort_levels)
    return None


def tool_choice_is_possible(request: Request, model: Model) -> str | None:
    """Forced only where the model takes it, and for a tool that is declared."""
    choice = request.body.get("tool_choice")
    if not choice:
        return None
    kind = choice.get("type")
    if kind not in ("auto", "any", "tool", "none"):
        return "tool_choice.type: Input should be 'auto', 'any', 'tool' or 'none'"
    if kind in ("any", "tool") and model.forced_tool_choice_ok is False:
        return 'tool_choice: type "tool" and "any" are not supported for this model.'
    tools = request.body.get("tools", [])
    if kind in ("any", "tool") and not tools:
        return "tool_choice: may only be specified while providing tools."
    if kind == "tool" and choice.get("name") not in [tool.get("name") for tool in tools]:
        return "tool_choice: the named tool is not in `tools`."
    return None


def ends_with_the_user(request: Request, model: Model) -> str | None:
    """No prefilled answer where the model refuses it."""
    if request.body["messages"][-1]["role"] == "assistant" and model.prefill_ok is False:
        return "This model does not support assistant message prefill. The conversation must end with a user message."
    return None


def place_and_tier_are_known(request: Request, model: Model) -> str | None:
    """`inference_geo`, `service_tier` and `speed` have values that exist, and that the model has."""
    body = request.body
    if "inference_geo" in body and model.inference_geo_ok is False:
        return "inference_geo: not supported for this model."
    for name, known in (
        ("inference_geo", ("us", "global")),
        ("service_tier", ("auto", "standard_only")),
        ("speed", ("standard", "fast")),
    ):
        if body.get(name, known[0]) not in known:
            return f"{name}: Input should be '{known[0]}' or '{known[1]}'"
    if body.get("speed") == "fast":
        if model.fast_mode is None:
            return "speed: fast mode is not supported for this model."
        if model.fast_mode.startswith("beta") and not request.has_beta("fast-mode-"):
            return "speed: Extra inputs are not permitted"
    return None


def thoughts_are_its_own(request: Request, model: Model) -> str | None:
    """Thinking blocks of earlier turns carry this model's signature."""
    return first_foreign_block(request, model)


MODEL_RULES: tuple[Callable[[Request, Model], str | None], ...] = (
    max_tokens_in_range,
    warming_has_nothing_to_answer,
    sampling_is_allowed,
    thinking_is_known,
    thoughts_are_its_own,
    effort_is_known,
    tool_choice_is_possible,
    ends_with_the_user,
    place_and_tier_are_known,
)


def first_violation(request: Request, model: Model | None) -> str | None:
    """The first rule's message; those of no model where the model is not known yet."""
    if model is None:
        return next((wrong for rule in (*SHAPE_RULES, *PROMPT_RULES) if (wrong := rule(request))), None)
    return next((wrong for rule in MODEL_RULES if (wrong := rule(request, model))), None)


def _budget(request: Request) -> str | None:
    budget = request.body["thinking"].get("budget_tokens")
    if not isinstance(budget, int) or budget < 1024:
        return "thinking.enabled.budget_tokens: Input should be greater than or equal to 1024"
    if budget >= request.body.get("max_tokens", budget + 1):
        return "`max_tokens` must be greater than `thinking.budget_tokens`."
    return None
