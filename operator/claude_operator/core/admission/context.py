"""What is cached, and how a long context is kept: breakpoints, betas, compaction, task budgets."""

from __future__ import annotations

from claude_operator.core.admission.generations import BEFORE_4_6, UP_TO_4_6
from claude_operator.core.admission.rule import AdmissionRule
from claude_operator.core.admission.words import (
    all_of,
    any_of,
    bind,
    each,
    entries,
    given,
    is_a,
    mapping,
    missing_beta,
    quote,
    shown,
    text_of,
    when,
)
from claude_operator.core.catalogue.checks.betas import LEAST_TASK_BUDGET, LEAST_TRIGGER, OBSOLETE
from claude_operator.core.request.breakpoints import LIMIT

__all__ = ["RULES"]

_CACHED = ("tools", "system", "cache_control")
_TTL = "(has(e.cache_control.ttl) && type(e.cache_control.ttl) == string ? string(e.cache_control.ttl) : '5m')"
_LIVES = (
    f"(({entries('tools')} + {entries('system')}).filter(e, has(e.cache_control) && type(e.cache_control) == map)"
    f".map(e, {_TTL}) + ({is_a('map', 'cache_control')} ? [r].map(e, {_TTL}) : []))"
)
_PLACES = "tools, promptFrom, system"
_CACHE_RULES = (
    AdmissionRule(
        "breakpoints-limit",
        _CACHED,
        bind(
            "l",
            _LIVES,
            when(
                f"l.size() > {LIMIT}",
                "'cache_control: ' + string(l.size()) + "
                + quote(
                    f" breakpoints over {_PLACES} and the top level, the API takes {LIMIT}: keep those at the end of"
                    " the longest prefixes that stay the same"
                ),
            ),
        ),
    ),
    AdmissionRule(
        "breakpoints-order",
        _CACHED,
        bind(
            "l",
            _LIVES,
            when(
                "'5m' in l && '1h' in l && l.lastIndexOf('1h') > l.indexOf('5m')",
                quote(
                    f"cache_control: ttl 1h comes after 5m, in the order {_PLACES}, top level: give the earlier ones 1h"
                    " or the later ones 5m"
                ),
            ),
        ),
    ),
)

_BETAS = f"({is_a('list', 'betas')} ? r.betas : [])"
_EDITS = f"({is_a('list', 'context_management', 'edits')} ? r.context_management.edits.filter(e, type(e) == map) : [])"
_COMPACTS = f"{_EDITS}.exists(e, {text_of('type', 'compact_', 'e')})"
_CLEARS = f"{_EDITS}.exists(e, {text_of('type', 'clear_', 'e')})"
_TRIGGER = "has(e.trigger) && type(e.trigger) == map && has(e.trigger.value) && type(e.trigger.value) == int"
_TOTAL = "r.output_config.task_budget.total"
_BETA_RULES = (
    AdmissionRule(
        "beta-malformed",
        ("betas",),
        each(
            _BETAS,
            "b",
            "!(type(b) == string && b.matches('^[a-z0-9][a-z0-9._-]*$'))",
            f"'betas: ' + {shown('b')}"
            " + ' is not a single beta: write each as an entry of its own, without spaces or commas'",
        ),
    ),
    AdmissionRule(
        "beta-obsolete",
        ("betas",),
        bind(
            "known",
            mapping(OBSOLETE),
            each(_BETAS, "b", "type(b) == string && b in known", "'betas: ' + string(b) + ' is obsolete: ' + known[b]"),
        ),
    ),
    AdmissionRule(
        "compaction-beta",
        ("context_management", "compaction", "betas"),
        f"({_COMPACTS} ? "
        + missing_beta("true", "compact-", "betas: compaction is a beta of the API: add compact-2026-01-12")
        + " : "
        + missing_beta(
            given("compaction"), "compact-", "betas: compaction is a beta of the API: add compact-2026-09-04"
        )
        + ")",
    ),
    AdmissionRule(
        "context-editing-beta",
        ("context_management", "betas"),
        missing_beta(
            _CLEARS,
            "context-management-",
            "betas: clearing of the context is a beta of the API: add context-management-2025-06-27",
        ),
    ),
    AdmissionRule(
        "compaction-trigger",
        ("context_management",),
        each(
            _EDITS,
            "e",
            f"{text_of('type', 'compact_', 'e')} && {_TRIGGER} && e.trigger.value < {LEAST_TRIGGER}",
            "'context_management.edits: a compaction trigger of ' + string(e.trigger.value)"
            f" + ' is too small: write {LEAST_TRIGGER} or more'",
        ),
    ),
    AdmissionRule(
        "compaction-model",
        ("model", "context_management", "compaction"),
        when(
            all_of(any_of(_COMPACTS, given("compaction")), BEFORE_4_6),
            f"({_COMPACTS} ? 'context_management.edits: ' : 'compaction: ') + string(r.model)"
            " + ' does not compact: remove it, or use a model from Claude 4.6 on'",
        ),
        of_model=True,
    ),
    AdmissionRule(
        "compaction-twice",
        ("context_management", "compaction"),
        when(
            all_of(given("compaction"), given("context_management")),
            quote("compaction: the API does not take it together with context_management: remove one of them"),
        ),
    ),
    AdmissionRule(
        "task-budget-total",
        ("output_config",),
        when(
            all_of(
                is_a("map", "output_config", "task_budget"),
                f"has({_TOTAL})",
                f"type({_TOTAL}) == int",
                f"{_TOTAL} < {LEAST_TASK_BUDGET}",
            ),
            f"'output_config.task_budget: a total of ' + string({_TOTAL})"
            f" + ' is too small: write {LEAST_TASK_BUDGET} or more'",
        ),
    ),
    AdmissionRule(
        "task-budget-beta",
        ("output_config", "betas"),
        missing_beta(
            given("output_config", "task_budget"),
            "task-budgets-",
            "betas: output_config.task_budget is a beta of the API: add task-budgets-2026-03-13",
        ),
    ),
    AdmissionRule(
        "task-budget-model",
        ("model", "output_config"),
        when(
            all_of(
                given("output_config", "task_budget"),
                any_of(UP_TO_4_6, "(m.?line.orValue('') == 'sonnet' && m.?generation.orValue('') == '5')"),
            ),
            "'output_config.task_budget: ' + string(r.model) + ' does not take it: remove it, or use a newer model'",
        ),
        of_model=True,
    ),
)

RULES: tuple[AdmissionRule, ...] = (*_CACHE_RULES, *_BETA_RULES)
