"""Tables to plan with: how many conversations or requests of the canary a finding takes, and how long that is.

`python -m bench.judge.plan` prints them as Markdown. They are expectations, computed from the information in a request;
what is simulated comes out near them.
"""

from __future__ import annotations

import math

from claude_operator.api.analysis import Analysis
from claude_operator.core.judge.judges import promotion
from claude_operator.core.judge.metrics import watched
from claude_operator.core.judge.stats.detectable import fewest_bad, ratio_needed, requests_needed

__all__ = ["main"]

ALPHA, BETA = 0.01, 0.05
RATE = 0.005
WEIGHTS = (1, 10, 50)
POINTS = (0.25, 0.5, 1.0, 2.0, 5.0, 20.0, 99.5)
RATIOS = (1.1, 1.2, 1.3, 1.5, 2.0)
SHARES = {one.name: one.weight for one in watched(Analysis())}
GRID = 4.0  # what a mixture over alternatives costs beside the best of them, as a factor of the evidence needed
VARIANCE = 0.36  # of ln: the 95th percentile is 2.7 times the median
PACES = (50.0, 5.0)
MIN_REQUESTS = 100.0  # that a bake asks for where nothing is said


def main() -> None:
    """Print the tables."""
    print(_few(), _errors(), _ratios(), _promotion(), sep="\n\n")


def _few() -> str:
    """Conversations that go bad until the test finds it, where none of stable's does, by weight."""
    weights = (1, 5, 10, 20, 50)
    head = ["weight", *(f"{weight} %" for weight in weights)]
    bad = [str(fewest_bad(weight / 100, 2 / ALPHA)) for weight in weights]
    most = [f"{100 / weight:g}" for weight in weights]
    rows = [["evidence that one conversation can give", *most], ["conversations that have to go bad", *bad]]
    return _table(head, rows)


def _errors() -> str:
    """Canary conversations until errors are found, by excess and weight; of single calls these are requests."""
    head = ["the canary fails more by", *(f"at {weight} %" for weight in WEIGHTS), "at 1 % of 50 requests/s"]
    rows = []
    for points in POINTS:
        needed = [
            requests_needed(RATE, points / 100, weight / 100, GRID / SHARES["errors"] / ALPHA) for weight in WEIGHTS
        ]
        rows.append([f"{points:g} points", *map(_count, needed), _time(needed[0] / (0.01 * PACES[0]))])
    return _table(head, rows)


def _ratios() -> str:
    """Canary requests until a slower first token is found, by ratio and margin."""
    head = ["the first token takes", *(f"maxIncrease {margin} %" for margin in (0, 10, 25))]
    rows = []
    for ratio in RATIOS:
        cells = []
        for margin in (0, 10, 25):
            beyond = ratio / (1 + margin / 100)
            found = beyond > 1.001
            needed = (
                ratio_needed(VARIANCE, beyond, 0.01, GRID / SHARES["timeToFirstToken"] / ALPHA) if found else math.inf
            )
            cells.append(_count(max(needed, 30.0)) if found else "tolerated")
        rows.append([f"{ratio:g} times as long", *cells])
    return _table(head, rows)


def _promotion() -> str:
    """Canary requests until a bake passes, by what is tolerated, for the default weights and two error rates."""
    head = ["toleratedIncrease", "stable fails", "1 → 10 %", "10 → 50 %", "50 → 100 %"]
    head += [f"in all at {pace:g} requests/s" for pace in PACES]
    rows = []
    for tolerated in (0.25, 0.5, 1.0, 2.0):
        for rate in (0.0, RATE):
            needed = _bakes(tolerated / 100, rate)
            times = []
            for pace in PACES:
                each = [max(n / (pace * weight / 100), 60.0) for n, weight in zip(needed, WEIGHTS, strict=True)]
                times.append(_time(sum(each)))
            rows.append([f"{tolerated:g} %", f"{100 * rate:g} %", *map(_count, needed), *times])
    return _table(head, rows)


def _bakes(tolerated: float, rate: float) -> list[float]:
    """Canary requests of each bake; what is seen in one speaks for the later ones too."""
    margins = [promotion.margin_of(tolerated, following / 100) for following in (*WEIGHTS[1:], 100)]
    seen = [0.0] * len(margins)  # what earlier bakes have shown of each proof, as a share of it
    found = []
    for index, weight in enumerate(WEIGHTS):
        alone = [promotion.needed(promotion.new_promotion(0, margin, BETA), rate, weight / 100) for margin in margins]
        found.append(max((1.0 - seen[index]) * alone[index], MIN_REQUESTS))
        seen = [share + found[-1] / one if one else 1.0 for share, one in zip(seen, alone, strict=True)]
    return found


def _count(number: float) -> str:
    if not math.isfinite(number):
        return "never"
    digits = 10 ** max(math.floor(math.log10(max(number, 1.0))) - 1, 0)
    return f"{math.ceil(number / digits) * digits:,}"


def _time(seconds: float) -> str:
    if not math.isfinite(seconds):
        return "never"
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"


def _table(head: list[str], rows: list[list[str]]) -> str:
    lines = [f"| {' | '.join(head)} |", "|" + "---|" * len(head)]
    return "\n".join([*lines, *(f"| {' | '.join(row)} |" for row in rows)])


if __name__ == "__main__":
    main()
