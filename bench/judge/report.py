"""The results as Markdown tables."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

from bench.judge.promises import Promise, Verdict, judged
from bench.judge.rivals import TITLES
from bench.judge.runner import Cell
from bench.judge.scenarios import POLICY, SCENARIOS, Scenario

__all__ = ["Made", "markdown", "promises", "rule_title", "title"]

_FAMILIES = {"errors": "errors", "ttft": "time to first token", "cost": "cost"}
_BY_NAME = {one.name: one for one in (*SCENARIOS, *POLICY)}
_NUMBERS = {
    1: "A canary that is no worse is rolled back in at most 1 % of the rollouts",
    2: "Errors are seen in time",
    3: "So are latency and cost",
    4: "Steps that end on evidence are short, and safe",
}
_FIGURES = {
    "rolled back": "rolled back",
    "promoted": "promoted",
    "requests": "median canary requests until the rollback",
    "excess": "mean failed requests that stable would not have had",
    "minutes": "median minutes until the promotion",
}

Found = Mapping[tuple[str, str], Cell]


def rule_title(rule: str) -> str:
    """A rule's name for people."""
    return TITLES[rule.partition("/")[0]]


def title(scenario: Scenario) -> str:
    """A scenario's name for people, with its traffic where that is not the usual."""
    quiet = scenario.requests_per_second < 50 and "requests/s" not in scenario.title
    return scenario.title + f", {scenario.requests_per_second:g} requests/s" * quiet


class Made(NamedTuple):
    """How a scenario's cells came about."""

    date: str
    commit: str
    seed: int
    tick_seconds: float | None = None


def markdown(cells: Sequence[Cell], made: Mapping[str, Made], images: str = "") -> str:
    """All tables that the cells have something for; `images` is where the plots are, relative to the text."""
    found = {(cell.scenario, cell.rule): cell for cell in cells}
    present = [one for one in _BY_NAME.values() if (one.name, "ours") in found]
    parts = [_head(made, found), *promises(cells)]
    for quiet, traffic in ((False, ""), (True, " at 5 requests/s")):
        for family, named in _FAMILIES.items():
            here = [one for one in present if family in one.families and (one.requests_per_second < 50) is quiet]
            nulls, worse = ([one for one in here if one.null is null] for null in (True, False))
            parts += _section(f"False rollbacks{traffic}, rules on {named}", nulls, family, found)
            parts += _section(f"Regressions{traffic}, rules on {named}", worse, family, found)
    parts += _policies([one for one in present if one in POLICY], found)
    if images:
        parts.insert(1 + len(promises(cells)), _pictures(images))
    parts.append(_everything(cells))
    return "\n\n".join(parts) + "\n"


def _head(made: Mapping[str, Made], found: Found) -> str:
    rows = [
        [
            title(one),
            f"{one.requests_per_second:g}",
            f"{one.step_seconds / 60:g}, longest" if one.adaptive else f"{one.step_seconds / 60:g}",
            *_how(one, made.get(one.name), found),
        ]
        for one in _BY_NAME.values()
    ]
    heads = ["scenario", "requests/s", "minutes a step", "seconds a tick", "rollouts", "of other rules", "made"]
    return (
        "# The judge beside other rules\n\n"
        "Written by `make bench-judge ARGS=--docs` from the cells that are kept in `bench/judge/results/`. All rules "
        "see the same simulated traffic, request for request; `bench/judge/README.md` says how it is made and which "
        "rules these are. Weights are 1 → 10 → 50 %. Intervals have 95 %, those of shares are Wilson's. What is "
        "missing was not simulated, and says nothing.\n\n"
        f"<details><summary>What was simulated</summary>\n\n{_table(heads, rows)}\n\n</details>"
    )


def _how(scenario: Scenario, made: Made | None, found: Found) -> list[str]:
    if made is None or (scenario.name, "ours") not in found:
        return ["–", "–", "–", "**missing**"]
    rivals = [cell.rollouts for (name, rule), cell in found.items() if _rival(name, rule, scenario)]
    return [
        f"{made.tick_seconds or scenario.tick_seconds:g}",
        str(found[scenario.name, "ours"].rollouts),
        str(max(rivals, default="–")),
        f"{made.date}, seed {made.seed}, {made.commit}",
    ]


def _rival(name: str, rule: str, scenario: Scenario) -> bool:
    return name == scenario.name and not rule.startswith("ours")


# ----------------------------------------------------------------------------------------------------- promises


def promises(cells: Sequence[Cell]) -> list[str]:
    """What is promised, what was found, and what no test could do better."""
    verdicts = judged(cells)
    if not verdicts:
        return []
    parts = [f"## Promises\n\n{_tally(verdicts)}"]
    for number, words in _NUMBERS.items():
        rows = [_row(one) for one in verdicts if one.promise.number == number]
        if rows:
            heads = ["rollout", "maxIncrease", "figure", "found", "95 %", "promised", "floor", ""]
            parts.append(f"### {number}. {words}\n\n{_table(heads, rows)}")
    return parts


def _tally(verdicts: Sequence[Verdict]) -> str:
    limited = [one for one in verdicts if one.promise.limited]
    kept, open_ = (sum(one.kept is answer for one in limited) for answer in (True, None))
    said = f"{kept} of {len(limited)} are kept"
    said += f", {open_} cannot be told from so few rollouts" if open_ else ""
    return (
        f"{said}. Floor: what no test with the same false rollback rate (or, of minutes, the same false promotion "
        "rate) can do better on average, from the Kullback-Leibler divergence; the judge spends seven elevenths of "
        "its false rollback rate on errors, two on time to first token and one on cost."
    )


def _row(verdict: Verdict) -> list[str]:
    promise, found = verdict.promise, verdict.found
    limit = _limit(promise)
    if math.isfinite(promise.most_high):
        limit += f", interval ≤ {_value(promise, promise.most_high)}"
    interval = "–" if verdict.interval is None else "–".join(_value(promise, edge, "") for edge in verdict.interval)
    kept = {True: "kept", False: "**broken**", None: f"{verdict.cell.rollouts} rollouts cannot tell"}[verdict.kept]
    return [
        title(_BY_NAME[promise.scenario]),
        "0 %" if promise.rule == "ours-no-margins" else "default",
        _FIGURES[promise.figure],
        "–" if found is None else _value(promise, found),
        interval,
        limit,
        "–" if promise.floor is None else f"{promise.floor:.3g}",
        kept if promise.limited else "",
    ]


def _limit(promise: Promise) -> str:
    if math.isfinite(promise.most):
        return f"≤ {_value(promise, promise.most)}"
    if math.isfinite(promise.least):
        return f"≥ {_value(promise, promise.least)}" if promise.least < 1 else "all"
    return "–"


def _value(promise: Promise, value: float, unit: str = " %") -> str:
    if promise.figure in ("rolled back", "promoted"):
        return f"{100 * value:.3g}{unit}"
    return f"{value:.0f}" if promise.figure == "requests" else f"{value:.1f}"


def _pictures(where: str) -> str:
    pictures = {
        "false-rollbacks.svg": "Rollouts rolled back though the canary was no worse, at 50 requests/s",
        "false-rollbacks-quiet.svg": "The same at 5 requests/s",
        "detection.svg": "Canary requests until the rollback",
    }
    return "\n\n".join(f"![{words}]({where}/judge-{name})" for name, words in pictures.items())


# ------------------------------------------------------------------------------------------------------- tables


def _section(heading: str, scenarios: Sequence[Scenario], family: str, found: Found) -> list[str]:
    if not scenarios:
        return []
    names = {one.name for one in scenarios}
    every = dict.fromkeys(rule for name, rule in found if name in names and _in(rule, family))
    rules = sorted(every, key=lambda rule: not rule.startswith("ours"))
    null = scenarios[0].null
    rows = [
        [_emphasised(rule), *(_short(found.get((one.name, rule)), null, family) for one in scenarios)] for rule in rules
    ]
    note = "Share of rollouts that were rolled back though the canary was no worse."
    if not null:
        note = "Share found / median canary requests / median minutes"
        note += " / mean failed requests that stable would not have had." if family == "errors" else "."
    return [f"## {heading}\n\n{note}\n\n" + _table(["rule", *(one.title for one in scenarios)], rows)]


def _in(rule: str, family: str) -> bool:
    if rule.startswith("ours"):
        return True
    return rule.endswith(f"/{family}") if family != "errors" else "/" not in rule


def _emphasised(rule: str) -> str:
    return f"**{rule_title(rule)}**" if rule == "ours" else rule_title(rule)


def _short(cell: Cell | None, null: bool, family: str) -> str:
    if cell is None:
        return ""
    if null:
        return f"{_percent(cell.rate)} ({_interval(cell.rate_interval)})"
    requests = "–" if cell.median_requests is None else f"{cell.median_requests:.0f}"
    parts = [_percent(cell.rate), requests, _minutes(cell.median_minutes)]
    if family == "errors":
        parts.append(f"{cell.mean_excess:.1f}" if cell.mean_excess < 10 else f"{cell.mean_excess:.0f}")
    return " / ".join(parts)


def _policies(scenarios: Sequence[Scenario], found: Found) -> list[str]:
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


def _everything(cells: Sequence[Cell]) -> str:
    rows = [
        [
            title(_BY_NAME[cell.scenario]),
            rule_title(cell.rule) + (f" ({cell.rule.partition('/')[2]})" if "/" in cell.rule else ""),
            str(cell.rollouts),
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
    heads = [
        "scenario",
        "rule",
        "rollouts",
        "rolled back",
        "95 %",
        "requests",
        "95 %",
        "minutes",
        "failed requests",
        "metrics",
    ]
    return f"## Every figure\n\n<details><summary>All cells</summary>\n\n{_table(heads, rows)}\n\n</details>"


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
