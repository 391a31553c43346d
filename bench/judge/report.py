"""The results as Markdown tables."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from bench.judge.rivals import TITLES
from bench.judge.runner import Cell, Settings
from bench.judge.scenarios import POLICY, SCENARIOS, Scenario

__all__ = ["markdown", "rule_title"]

_FAMILIES = {"errors": "errors", "ttft": "time to first token", "cost": "cost"}


def rule_title(rule: str) -> str:
    """A rule's name for people."""
    return TITLES[rule.partition("/")[0]]


def markdown(cells: Sequence[Cell], settings: Settings) -> str:
    """All tables that the cells have something for."""
    found = {(cell.scenario, cell.rule): cell for cell in cells}
    present = [one for one in (*SCENARIOS, *POLICY) if (one.name, "ours") in found]
    parts = [_head(settings)]
    for family, named in _FAMILIES.items():
        here = [one for one in present if family in one.families]
        parts += _section(f"False rollbacks, rules on {named}", [one for one in here if one.null], family, found)
        parts += _section(f"Regressions, rules on {named}", [one for one in here if not one.null], family, found)
    parts += _policies([one for one in present if one in POLICY], found)
    parts.append(_everything(present, cells))
    return "\n\n".join(parts) + "\n"


def _head(settings: Settings) -> str:
    return (
        "# The judge beside other rules\n\n"
        f"{settings.rollouts} simulated rollouts a scenario, all rules on the same traffic, seed {settings.seed}, "
        f"ticks of {settings.tick_seconds:g} s. Weights 1 → 10 → 50 %, 10 minutes each at 50 requests/s, where nothing "
        "else is said. Intervals are Wilson's, 95 %."
    )


def _section(title: str, scenarios: Sequence[Scenario], family: str, found: dict[tuple[str, str], Cell]) -> list[str]:
    if not scenarios:
        return []
    rules = list(dict.fromkeys(rule for name, rule in found if name == scenarios[0].name and _in(rule, family)))
    null = scenarios[0].null
    rows = [[_emphasised(rule), *(_short(found[one.name, rule], null, family) for one in scenarios)] for rule in rules]
    note = "Share of rollouts that were rolled back though the canary was no worse."
    if not null:
        note = "Share found / median canary requests / median minutes"
        note += " / mean failed requests that stable would not have had." if family == "errors" else "."
    return [f"## {title}\n\n{note}\n\n" + _table(["rule", *(one.title for one in scenarios)], rows)]


def _in(rule: str, family: str) -> bool:
    return rule == "ours" or (rule.endswith(f"/{family}") if family != "errors" else "/" not in rule)


def _emphasised(rule: str) -> str:
    return f"**{rule_title(rule)}**" if rule == "ours" else rule_title(rule)


def _short(cell: Cell, null: bool, family: str) -> str:
    if null:
        return f"{_percent(cell.rate)} ({_interval(cell.rate_interval)})"
    requests = "–" if cell.median_requests is None else f"{cell.median_requests:.0f}"
    parts = [_percent(cell.rate), requests, _minutes(cell.median_minutes)]
    if family == "errors":
        parts.append(f"{cell.mean_excess:.1f}" if cell.mean_excess < 10 else f"{cell.mean_excess:.0f}")
    return " / ".join(parts)


def _policies(scenarios: Sequence[Scenario], found: dict[tuple[str, str], Cell]) -> list[str]:
    if not scenarios:
        return []
    rows = []
    for one in scenarios:
        cell = found[one.name, "ours"]
        shares = [_percent(count / cell.rollouts) for count in (cell.promoted, cell.rolled_back, cell.held)]
        minutes = [_minutes(cell.median_minutes_to_promotion), _minutes(cell.median_minutes)]
        rows.append([one.title, *shares, *minutes, f"{cell.mean_excess:.1f}"])
    heads = ["rollout", "promoted", "rolled back", "held", "minutes to promotion", "to rollback", "failed requests"]
    return ["## Whole policies of claude-operator\n\n" + _table(heads, rows)]


def _everything(scenarios: Sequence[Scenario], cells: Sequence[Cell]) -> str:
    titles = {one.name: one.title for one in scenarios}
    rows = [
        [
            titles[cell.scenario],
            rule_title(cell.rule) + (f" ({cell.rule.partition('/')[2]})" if "/" in cell.rule else ""),
            _percent(cell.rate),
            _interval(cell.rate_interval),
            "–" if cell.median_requests is None else f"{cell.median_requests:.0f}",
            _bounds(cell.median_requests_interval),
            _minutes(cell.median_minutes),
            f"{cell.mean_excess:.1f}",
            ", ".join(f"{reason} {count}" for reason, count in cell.reasons.items()),
        ]
        for cell in cells
    ]
    heads = ["scenario", "rule", "rolled back", "95 %", "requests", "95 %", "minutes", "failed requests", "metrics"]
    return "## Every figure\n\n" + _table(heads, rows)


def _table(heads: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = ["| " + " | ".join(row) + " |" for row in (heads, ["---"] * len(heads), *rows)]
    return "\n".join(lines)


def _percent(share: float) -> str:
    return f"{100 * share:.3g} %"


def _interval(interval: tuple[float, float]) -> str:
    return f"{100 * interval[0]:.1f}–{100 * interval[1]:.1f}"


def _bounds(interval: tuple[float, float] | None) -> str:
    return "–" if interval is None else f"{interval[0]:.0f}–{interval[1]:.0f}"


def _minutes(value: float | None) -> str:
    return "–" if value is None else f"{value:.3g}"
