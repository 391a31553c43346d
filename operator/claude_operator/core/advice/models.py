"""A smaller model, for the application or for one of its subagents; and less effort."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from claude_operator.core.advice.advice import LEAST_SAVED, Advice, gate_risk
from claude_operator.core.advice.bills import Bill, Line, Move, bill_of, prompt_of
from claude_operator.core.advice.case import LEAST_CALLS, Case, Scope
from claude_operator.core.advice.patches import objections
from claude_operator.core.catalogue.checks.check import takes
from claude_operator.core.catalogue.cost import prices_at
from claude_operator.core.catalogue.lifecycle import Lifecycle, lifecycle_of
from claude_operator.core.catalogue.table import Model, all_models
from claude_operator.core.request.unsupported import SAMPLING
from claude_operator.core.text import share

__all__ = ["bill_now", "cheaper_models", "less_effort", "lower_effort", "smaller_models"]

_NEW_TOKENIZER = (4, 7)  # models from this version on make about 30 % more tokens of the same text
_MORE_TOKENS = 1.3
_PART = 0.1  # of the output, that effort is reckoned with: how much it really saves depends on the questions
_RESTRICTED = "mythos"  # for verified organisations only


def bill_now(case: Case, scope: Scope) -> Bill | None:
    """What the calls of a scope cost in a mean day, by the prices of its model; None where that is not known."""
    prices = prices_at(case.model(scope.model) or scope.model, prompt_of(scope.measured), case.book)
    return None if prices is None else bill_of(scope.measured, case.days, prices, scope.factor)


def cheaper_models(case: Case, scope: Scope) -> list[tuple[Model, Move]]:
    """Active models that would cost less with the tokens of these calls, the dearest first; one of each line."""
    present, now = case.model(scope.model), bill_now(case, scope)
    if present is None or now is None:
        return []
    found: dict[str, tuple[Model, Move]] = {}
    for model in {one.id: one for one in (*all_models(), *case.models.values())}.values():
        line = model.line or model.id
        if model.id == present.id or (line == _RESTRICTED and present.line != _RESTRICTED):
            continue
        if lifecycle_of(model.id, case.today, case.models).lifecycle is not Lifecycle.ACTIVE:
            continue
        then = _bill_on(case, scope, present, model)
        move = None if then is None else Move(now, then, f"on {model.id}")
        if move is not None and move.saved >= LEAST_SAVED and (line not in found or move.after < found[line][1].after):
            found[line] = model, move
    return sorted(found.values(), key=lambda pair: -pair[1].after)


def smaller_models(case: Case) -> Iterator[Advice | str]:
    """The next cheaper model and the cheapest one of each request; or why there is none."""
    for scope in case.scopes():
        if scope.measured.calls < LEAST_CALLS:
            continue
        if bill_now(case, scope) is None:
            yield f"{scope.place}: the price of {scope.model} is not known, so nothing can be compared with it"
            continue
        fits = []
        for model, move in cheaper_models(case, scope):
            wrong = objections(case, scope.patch({"model": model.id}))
            if wrong:
                yield f"{scope.place}: {model.id} would cost less, but {wrong[0]}"
            else:
                fits.append((model, move))
        chosen = fits if len(fits) < 2 else [fits[0], fits[-1]]
        for model, move in chosen:
            yield _smaller(case, scope, model, move)


def less_effort(case: Case) -> Iterator[Advice]:
    """One level less of effort for each request, where its model has one."""
    for scope in (_with_its_effort(case, one) for one in case.scopes()):
        now = bill_now(case, scope)
        if scope.measured.calls < LEAST_CALLS or now is None or "output" not in now:
            continue
        lower = lower_effort(case, scope)
        if lower is None:
            continue
        before, after, patch = lower
        line = now["output"]
        move = Move(
            {"output": line},
            {"output": Line(line.tokens * (1 - _PART), line.price)},
            f"with {share(_PART)} fewer of them",
        )
        if move.saved < LEAST_SAVED:
            continue
        yield Advice(
            lever="LowerEffort",
            title=f"lower the effort of {scope.place} from {before} to {after}",
            arithmetic=tuple(move.sentences()),
            confidence=case.confidence(scope.measured.calls).at_most("Low"),
            assumes=(
                f"{share(_PART)} fewer output tokens: the real number depends on the questions and is not measured"
                " yet; an eval run tells what both cost",
            ),
            risk=gate_risk(case, "answers to hard questions may get worse, since thinking is part of the output"),
            patch=patch,
            saves=move.saved,
        )


def lower_effort(case: Case, scope: Scope) -> tuple[str, str, dict[str, object]] | None:
    """The present level, the next lower one, and the patch; None where there is none that would be accepted."""
    model = case.model(scope.model)
    config = scope.request.get("output_config")
    config = dict(config) if isinstance(config, dict) else {}
    level = config.get("effort") or (model.default_effort if model else None)
    levels = (model.effort_levels if model else None) or ()
    if level not in levels or level == levels[0]:
        return None
    lower = levels[levels.index(level) - 1]
    patch = scope.patch({"output_config": {**config, "effort": lower}})
    return None if objections(case, patch) else (level, lower, patch)


def _with_its_effort(case: Case, scope: Scope) -> Scope:
    """With the calls that its output_config shapes: a subagent may have one of its own."""
    if scope.subagent:
        return scope
    overlays = {name: one.request for name, one in (case.spec.subagents or {}).items()}
    own = {name for name, overlay in overlays.items() if "model" in overlay or "output_config" in overlay}
    return replace(scope, measured=case.answered(scope.model, lambda key: key.subagent not in own))


def _smaller(case: Case, scope: Scope, model: Model, move: Move) -> Advice:
    of = f"subagent {scope.subagent}" if scope.subagent else "the application"
    return Advice(
        lever="SubagentModel" if scope.subagent else "SmallerModel",
        title=f"ask {model.id} instead of {scope.model} for {of}, where the eval gate passes",
        arithmetic=tuple(move.sentences()),
        confidence=case.confidence(scope.measured.calls),
        assumes=tuple(_assumptions(case, scope, model, move)),
        risk=gate_risk(case, "answers may be worse"),
        patch=scope.patch({"model": model.id}),
        saves=move.saved,
    )


def _assumptions(case: Case, scope: Scope, model: Model, move: Move) -> Iterator[str]:
    present = case.model(scope.model)
    if present is not None and _grows(present, model):
        yield f"the same text is about 30 % more tokens on {model.id}, and that is in the arithmetic"
    output = move.then.get("output")
    if output is not None and output.usd:
        most = 1 + move.saved / output.usd
        yield f"answers have as many tokens as now; nothing is saved any more at {most:.1f} times as many"
    prices = prices_at(model, 0, case.book)
    if prices is not None and prices.above_100k is not None and prices.input:
        yield (
            f"the mean prompt of {prompt_of(scope.measured):,.0f} tokens stands for all: above 100,000 tokens"
            f" {model.id} costs {prices.above_100k.input / prices.input:.3g} times as much"
        )
    if present is not None and present.default_effort != model.default_effort:
        yield (
            f"the effort, where the request sets none, becomes {model.default_effort}; it is"
            f" {present.default_effort or 'none'} on {scope.model}"
        )
    refused = [] if present is None else list(_refused(case, scope, present, model))
    if refused:
        them = "it" if len(refused) == 1 else "them"
        listed = " and no ".join(filter(None, (", no ".join(refused[:-1]), refused[-1])))
        yield f"clients send no {listed}: {scope.model} takes {them}, {model.id} refuses the call"


def _refused(case: Case, scope: Scope, present: Model, model: Model) -> Iterator[str]:
    """What clients may send now and the other model refuses; a field of the spec stands in place of theirs."""
    declared = scope.request.keys()
    if (
        present.forced_tool_choice_ok is not False
        and model.forced_tool_choice_ok is False
        and "tool_choice" not in declared
    ):
        yield "tool_choice of type any or tool"
    if case.spec.overrides is not None and case.spec.overrides.unsupported == "Drop":
        return  # the gateway leaves out the others
    now, then = takes(present.id), takes(model.id)
    sampling = [name for name in SAMPLING if name not in declared]
    if now.sampling and not then.sampling and sampling:
        yield f"sampling parameters ({', '.join(sampling)})"
    if now.thinking and then.thinking is not None and "thinking" not in declared and now.thinking - then.thinking:
        yield f"thinking of type {' or '.join(sorted(now.thinking - then.thinking))}"
    if now.prefill and not then.prefill:
        yield "assistant's message at the end"


def _bill_on(case: Case, scope: Scope, present: Model, model: Model) -> Bill | None:
    factor = _MORE_TOKENS if _grows(present, model) else 1.0
    prices = prices_at(model, prompt_of(scope.measured) * factor, case.book)
    bill = None if prices is None else bill_of(scope.measured, case.days, prices, scope.factor)
    if bill is None or factor == 1.0:
        return bill
    return {kind: Line(line.tokens * factor, line.price) for kind, line in bill.items()}


def _grows(present: Model, model: Model) -> bool:
    return (
        present.version is not None and model.version is not None and present.version < _NEW_TOKENIZER <= model.version
    )
