"""How many live answers the judge has to have graded before it finds that a canary's are worse.

`python -m bench.evals.live` prints the table of docs/evals/live.md. It runs the judge's own code on the metric
judgeFail, with the weight that it has beside the default metrics, on verdicts that come five of each arm at a time.
"""

from __future__ import annotations

import random
from collections.abc import Sequence

from claude_operator.api.analysis import Analysis, Metric
from claude_operator.core.judge.judges.comparisons import Comparison
from claude_operator.core.judge.judges.engine import combined, initial, tick
from claude_operator.core.judge.metrics import declared, watched
from claude_operator.evals.live.batches import ENOUGH

RUNS = 200
MOST = 3000
"""Verdicts on the canary after which a run ends."""
STABLE = (0.02, 0.05, 0.1, 0.2)
"""Shares of stable's answers that fail."""
CANARY = (0.1, 0.2, 0.3, 0.5, 0.9)
ANALYSIS = Analysis()
_METRICS = watched(ANALYSIS.model_copy(update={"metrics": [*declared(ANALYSIS), Metric(name="judgeFail")]}))
_WATCHED = next(one for one in _METRICS if one.name == "judgeFail")


def verdicts_until_found(stable: float, canary: float, source: random.Random, batch: int = ENOUGH) -> int:
    """Verdicts on the canary until the evidence is enough to take it back, or MOST."""
    states, bar = [initial(_WATCHED)], 1.0 / ANALYSIS.false_rollback_rate
    for number in range(1, MOST // batch + 1):
        bad = [sum(source.random() < rate for _ in range(batch)) for rate in (canary, stable)]
        pair = Comparison("judgeFail", (batch, bad[0]), (batch, bad[1]))
        states = tick(states, [_WATCHED], [pair], number=number)
        if combined(states, _METRICS) >= bar:
            return number * batch
    return MOST


def quantiles(stable: float, canary: float, runs: int = RUNS) -> tuple[int, int]:
    """After how many it is found in half of the runs, and in nine of ten."""
    source = random.Random(f"{stable}/{canary}")
    found = sorted(verdicts_until_found(stable, canary, source) for _ in range(runs))
    return found[runs // 2], found[runs * 9 // 10]


def row(stable: float, canaries: Sequence[float] = CANARY) -> str:
    """A row of the table."""
    cells = [_cell(*quantiles(stable, canary)) if canary > stable else "" for canary in canaries]
    return f"| {stable:.0%} | {' | '.join(cells)} |".replace("%", " %")


def _cell(half: int, most: int) -> str:
    return f"{half:,} ({most:,})" if most < MOST else f"{half:,} (over {MOST:,})"


def main() -> None:
    """Print the table."""
    heads = " | ".join(f"{one:.0%}".replace("%", " %") for one in CANARY)
    print(f"| stable fails | the canary fails {heads} |")
    print("|" + "---|" * (len(CANARY) + 1))
    for stable in STABLE:
        print(row(stable), flush=True)


if __name__ == "__main__":
    main()
