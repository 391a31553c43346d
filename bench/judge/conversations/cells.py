"""Cells: what became of all rollouts of a case that were simulated one way, kept in a file each.

A file says from which code, seed, day and commit its figures are. A later run adds rollouts to those of the same code
and seed, and begins anew where either differs.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any, Literal

import numpy as np

from bench.judge.conversations.cases import Case
from bench.judge.conversations.judged import Ended
from bench.judge.intervals import median_interval, wilson
from bench.judge.kept import commit, today
from claude_operator import core, gateway

__all__ = ["WAYS", "Kept", "Way", "added", "cells_of", "code", "load", "path_of", "save"]

Way = Literal["fast", "slow"]
WAYS: tuple[Way, ...] = ("fast", "slow")
_HERE = Path(__file__).parent
_SIMULATION = (
    *("sessions", "arms", "sums", "firsts", "quantities", "tally", "hangs"),
    *("judged", "screen", "evidence", "users", "gateways"),
)
_SAID = 6  # different words of holds that are kept as examples


@dataclass(frozen=True, slots=True)
class Kept:
    """All rollouts of a case that were simulated one way."""

    case: str
    way: Way
    seed: int
    code: str
    commit: str = ""
    date: str = ""
    rollouts: int = 0
    ends: Mapping[str, int] = field(default_factory=dict)
    reasons: Mapping[str, int] = field(default_factory=dict)
    holds: Mapping[str, int] = field(default_factory=dict)
    """Rollouts by what held them for half a minute or more."""
    said: int = 0
    """Rollouts in which the words that are right were said."""
    requests: Sequence[int] = ()
    """Of the canary until each rollback, in the order of size."""
    seconds: Sequence[float] = ()
    """Until each rollback, in the order of size."""
    excess: float = 0.0
    excess_sq: float = 0.0
    """Sums over all rollouts."""
    words: Sequence[str] = ()
    """Examples of what was said last."""

    def share(self, *ends: str) -> float:
        """Of the rollouts, those that ended so."""
        return self.count(*ends) / max(self.rollouts, 1)

    def count(self, *ends: str) -> int:
        """How many ended so."""
        return sum(self.ends.get(end, 0) for end in ends)

    def interval(self, count: int) -> tuple[float, float]:
        """Wilson's interval of a share of the rollouts."""
        return wilson(count, self.rollouts)

    @property
    def median_requests(self) -> float | None:
        """Canary requests until the rollback."""
        return float(np.median(self.requests)) if self.requests else None

    @property
    def requests_interval(self) -> tuple[float, float] | None:
        """Of that median."""
        return median_interval([float(one) for one in self.requests])

    @property
    def mean_excess(self) -> tuple[float, float]:
        """Mean of the failed requests that stable would not have had, and half of its interval."""
        count = max(self.rollouts, 1)
        mean = self.excess / count
        variance = max(self.excess_sq / count - mean * mean, 0.0)
        return mean, 1.96 * math.sqrt(variance / count)


def added(kept: Kept, case: Case, rollouts: Iterable[Ended]) -> Kept:
    """With more rollouts, today."""
    new = list(rollouts)
    back = [one for one in new if one.end == "rolled back"]
    words = case.right.words
    said = sum(bool(words) and words in one.words for one in new)
    examples = [*kept.words, *(one.words.rpartition("\n")[2] for one in new if one.words)]
    return Kept(
        case=kept.case,
        way=kept.way,
        seed=kept.seed,
        code=kept.code,
        commit=commit(),
        date=today(),
        rollouts=kept.rollouts + len(new),
        ends=_sum(kept.ends, (one.end for one in new)),
        reasons=_sum(kept.reasons, (one.reason for one in back)),
        holds=_sum(kept.holds, (reason for one in new for reason in one.holds)),
        said=kept.said + said,
        requests=sorted([*kept.requests, *(one.requests for one in back)]),
        seconds=sorted([*kept.seconds, *(one.seconds for one in back)]),
        excess=kept.excess + math.fsum(one.excess for one in new),
        excess_sq=kept.excess_sq + math.fsum(one.excess**2 for one in new),
        words=list(dict.fromkeys(examples))[:_SAID],
    )


def _sum(before: Mapping[str, int], new: Iterable[str]) -> dict[str, int]:
    return dict((Counter(before) + Counter(new)).most_common())


def path_of(folder: Path, case: str, way: Way) -> Path:
    """Where a cell is kept."""
    return folder / way / f"{case}.json"


def load(folder: Path, case: str, way: Way) -> Kept | None:
    """A cell as it is kept, None for none."""
    path = path_of(folder, case, way)
    if not path.exists():
        return None
    found: dict[str, Any] = json.loads(path.read_text())
    known = {one.name for one in fields(Kept)}
    return Kept(**{name: value for name, value in found.items() if name in known})


def save(folder: Path, kept: Kept) -> None:
    """Keep a cell."""
    path = path_of(folder, kept.case, kept.way)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(asdict(kept), ensure_ascii=False, indent=1) + "\n")


def code(case: Case, way: Way) -> str:
    """What figures depend on: the judge, the simulation, the case, and the gateways' code where it counts."""
    found = hashlib.sha256(repr(case).encode())
    judge = Path(core.__file__).parent / "judge"
    simulation = [_HERE / f"{name}.py" for name in _SIMULATION]
    counting = sorted(Path(gateway.__file__).parent.rglob("*.py")) if way == "slow" else []
    for file in (*sorted(judge.rglob("*.py")), *simulation, *counting):
        if file.exists():
            found.update(file.read_bytes())
    return found.hexdigest()[:16]


def cells_of(folder: Path, cases: Sequence[Case]) -> Iterator[tuple[Case, dict[Way, Kept | None]]]:
    """The cases with what is kept of them."""
    for case in cases:
        yield case, {way: load(folder, case.name, way) for way in WAYS}
