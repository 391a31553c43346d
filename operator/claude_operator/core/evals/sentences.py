"""The result of a run as a sentence."""

from __future__ import annotations

from collections.abc import Sequence

from claude_operator.api.evals import Comparison, Scores
from claude_operator.core.evals.compare import Compared, Look, fewest_items, items_needed
from claude_operator.core.text import count

__all__ = ["depends_on", "not_worse", "numbers", "percent", "too_few", "undecided", "unknown", "worse"]

_IN_POINTS = ("quality", "refusals")


def percent(share: float) -> str:
    """A share as a percentage, `92.5 %`; only all of it is 100 %, and only none 0 %."""
    digits = next((digits for digits in (1, 2) if 0 < round(share * 100, digits) < 100), 4)
    return f"{round(share * 100, digits):.7g} %"


def numbers(ours: Scores, theirs: Scores | None, epochs: int, name: str) -> str:
    """How many items each arm passed in every epoch, and in brackets the share of all its answers that passed."""
    against = f" against {_score(theirs)} of {name}" if theirs is not None and theirs.items else ""
    return f"{_score(ours)}{against} in {count(epochs, 'epoch')}"


def not_worse(compared: Sequence[Compared], name: str) -> str:
    """The candidate keeps the margin in each metric."""
    kept = [f"{_subject(one.status)} keeps the margin of {_margin(one.status)}" for one in compared]
    first = compared[0].status
    sees = _size(first, first.sees)
    return f"{', '.join(kept)} against {name}: {_interval(first)}; so many items see {sees}, not less"


def worse(compared: Sequence[Compared], name: str) -> str:
    """In what the candidate is worse, and by how much."""
    parts = [
        f"{_subject(one.status)} is worse than that of {name}: {_interval(one.status)} (margin {_margin(one.status)})"
        for one in compared
    ]
    return "; ".join(parts)


def undecided(compared: Sequence[Compared], name: str, look: Look) -> str:
    """What cannot be told, and what would help."""
    one = compared[0]
    margin, sees = _margin(one.status), _size(one.status, one.status.sees)
    text = (
        f"{_subject(one.status)} may or may not be worse than that of {name} by {margin}: {_interval(one.status)};"
        f" so many items see {sees}"
    )
    needed = items_needed(one, look)
    more = f"about {needed:,} items like these would tell" if needed else "many times as many items would be needed"
    return f"{text}. {more.capitalize()}; or raise the margin"


def too_few(compared: Sequence[Compared], name: str, look: Look) -> str:
    """That the set is too small for its margin, and what was looked at instead."""
    one = compared[0].status
    needed = fewest_items(one, look)
    takes = f"that takes {needed:,} at least" if needed else "no number of items can show that"
    kept = (
        f"no item is shown to be worse than on {name}; "
        if one.metric == "quality"
        else f"{_subject(one)} is not shown to be worse; "
    )
    units = count(one.clusters, "cluster") if one.clusters else count(one.items, "item")
    verb = "is" if (one.clusters or one.items) == 1 else "are"
    return f"{kept}{units} {verb} too few to rule out {_worsening(one)} of {_margin(one)} ({takes})"


def unknown(metrics: Sequence[str]) -> str:
    """That a metric of the gate was not measured."""
    verb, them = ("is", "it") if len(metrics) == 1 else ("are", "them")
    return f"{' and '.join(metrics)} {verb} not known of any answer: remove {them} from gate.metrics"


def depends_on(items: int, name: str) -> str:
    """That what the API refused on the baseline would decide."""
    return (
        f"the Claude API refuses {count(items, 'item')} on {name}, and the result depends on them; correct or remove"
        " them"
    )


def _score(scores: Scores) -> str:
    return f"{scores.passed:,} of {scores.items:,} ({percent(scores.pass_rate)})"


def _subject(one: Comparison) -> str:
    return {"quality": "quality", "refusals": "the share of refusals"}.get(one.metric, one.metric)


def _worsening(one: Comparison) -> str:
    return "a drop" if one.metric == "quality" else "a rise"


def _interval(one: Comparison) -> str:
    """The difference, and between what it lies."""
    return (
        f"{_size(one, one.difference, signed=True)}, between {_number(one.lower, signed=True)} and"
        f" {_number(one.upper, signed=True)}"
    )


def _margin(one: Comparison) -> str:
    """As the set has it: a small one is not 0."""
    return f"{one.margin * 100:g} {_unit(one)}"


def _unit(one: Comparison) -> str:
    return "points" if one.metric in _IN_POINTS else "%"


def _size(one: Comparison, value: float, *, signed: bool = False) -> str:
    return f"{_number(value, signed=signed)} {_unit(one)}"


def _number(value: float, *, signed: bool = False) -> str:
    number = round(value * 100, 1) + 0.0
    return f"{number:+g}" if signed else f"{number:g}"
