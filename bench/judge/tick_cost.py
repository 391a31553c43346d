"""`python -m bench.judge.tick_cost`: what one tick of the judge costs the operator in CPU time and memory.

Two gateway pods take in a canary's traffic, two surfaces and three cache states of each arm, with the code that the
gateways run. From their answers on everything is what the operator does at a tick, each part measured for itself. The
process's own CPU time is taken, of so many repeats over the same ticks; a figure is the median over the ticks of a
repeat, and of these least, median and most are told.
"""

from __future__ import annotations

import argparse
import datetime as dt
import gc
import json
import math
import statistics
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from bench.judge.reference import Reference
from bench.judge.scenarios import find
from bench.judge.traffic import Rollout
from claude_operator.api.analysis import Analysis
from claude_operator.api.evidence import parse_evidence
from claude_operator.api.status import Judgement
from claude_operator.core.judge import assessment
from claude_operator.core.judge.evidence.context import Bake, Context
from claude_operator.core.judge.evidence.increments import Memory, PodReading, advance
from claude_operator.core.judge.ledger import config_map
from claude_operator.core.judge.metrics import quantities
from claude_operator.gateway.evidence import EvidenceStore

__all__ = ["Cost", "measured"]

_START = dt.datetime(2026, 1, 1, tzinfo=dt.UTC)
_STABLE, _CANARY = "app-5f6d8c1a2b", "app-7b9e21c3d4"
_SURFACES, _CACHES = ("chat", "other"), ("read", "write", "none")
_PODS, _SECONDS, _WEIGHT = 2, 5.0, 0.10
_WARMING = 70  # ticks until latency and cost of cached requests count, too; they are not measured
_CANARIES = 1000
_CONTEXT = Context(weight=round(_WEIGHT * 10_000), generation=1, bakes=[Bake(1, 0.01), Bake(2, 0.005)])

WORDS = {
    "parsed": f"the answers of {_PODS} gateway pods parsed",
    "advance": "`evidence.advance`: what is new in them",
    "assess": "`assessment.assess`: the judgement with the default metrics",
    "appended": "`config_map.appended`: the tick written down",
    "reference": "beside it: `reference.py`, the plain method in Python without promotion, tails and history",
}


class Cost(NamedTuple):
    """Microseconds of CPU time a tick: least, median and most of the repeats."""

    least: float
    median: float
    most: float


@dataclass(frozen=True, slots=True)
class Costs:
    """Of each part; `state` are the bytes that status holds of the judge, `pages` those of the ledger."""

    parts: dict[str, Cost]
    requests: int
    state: int
    pages: int

    @property
    def share(self) -> dict[str, float]:
        """Of one CPU core that so many canaries take, judged alone and with everything."""
        each = {name: self.parts[name].median * 1e-6 * _CANARIES / _SECONDS for name in WORDS if name != "reference"}
        return {"assess": each["assess"], "everything": math.fsum(each.values())}

    def as_json(self) -> dict[str, object]:
        """As plain values."""
        parts = {name: cost._asdict() for name, cost in self.parts.items()}
        return {
            "microseconds": parts,
            "requestsPerTick": self.requests,
            "stateBytes": self.state,
            "ledgerBytes": self.pages,
            "canaries": _CANARIES,
            "intervalSeconds": _SECONDS,
            "cpuShare": self.share,
        }


def answers(requests: int, ticks: int, seed: int = 1) -> list[tuple[bytes, ...]]:
    """What the gateway pods answer at each tick."""
    random = np.random.default_rng(seed)
    now = 0.0
    pods = [EvidenceStore(lambda: now) for _ in range(_PODS)]
    generations = [pod.generation(1) for pod in pods]
    found = []
    for tick in range(1, ticks + 1):
        now = tick * _SECONDS
        for _ in range(random.poisson(requests)):
            draw = random.random(5)
            role = "canary" if draw[0] < _WEIGHT else "stable"
            counters = generations[int(_PODS * draw[1])].counters(
                _CANARY if role == "canary" else _STABLE,
                role,  # type: ignore[arg-type]
                _SURFACES[int(2 * draw[2])],
                _CACHES[int(3 * draw[3])],  # type: ignore[arg-type]
            )
            failed = draw[4] < 0.005
            stop = "refusal" if draw[4] < 0.008 else "max_tokens" if draw[4] < 0.018 else "end_turn"
            seconds, dollars = np.exp(random.normal((-0.24, -4.6), (0.6, 1.5))).tolist()
            counters.add(
                "error" if failed else "ok",
                stop_reason="" if failed else stop,
                tokens={"input": 900, "output": 300},
                ttft=None if failed else seconds,
                duration=4.0 * seconds,
                cost=dollars,
                normalised_cost=dollars,
            )
            if failed or stop != "end_turn":
                counters.bad_conversations["error" if failed else stop] += 1
            counters.conversations += 1
        found.append(tuple(pod.document(1, now, "") for pod in pods))
    return found


def measured(requests: int = 250, ticks: int = 120, repeats: int = 7) -> Costs:
    """Measure; `requests` are those of a tick, both arms and all pods together."""
    documents = answers(requests, _WARMING + ticks)
    runs: list[dict[str, list[float]]] = []
    judgement: Judgement | None = None
    data: dict[str, str] = {}
    for _ in range(repeats):
        gc.collect()
        gc.disable()
        try:
            spent, judgement, data = _judged(documents)
        finally:
            gc.enable()
        spent["reference"] = list(_reference(requests, len(documents)))
        runs.append(spent)
    parts = {}
    for name in WORDS:
        each = sorted(statistics.median(spent[name][_WARMING:]) for spent in runs)
        parts[name] = Cost(each[0], statistics.median(each), each[-1])
    assert judgement is not None
    state = json.dumps(judgement.model_dump(by_alias=True, exclude_none=True, mode="json"), separators=(",", ":"))
    return Costs(parts, requests, len(state.encode()), sum(len(page.encode()) for page in data.values()))


def _judged(documents: Sequence[tuple[bytes, ...]]) -> tuple[dict[str, list[float]], Judgement, dict[str, str]]:
    analysis = Analysis()
    wanted = quantities(analysis)
    trial = config_map.Trial(deployment="app", revision=_CANARY, stable=_STABLE, attempt=1, analysis=analysis)
    memory = Memory({})
    judgement = assessment.new_judgement(analysis, _START)
    data: dict[str, str] = {}
    spent: dict[str, list[float]] = {name: [] for name in WORDS}

    def timed(name: str, what: Callable[..., Any], *given: Any, **named: Any) -> Any:
        begin = time.process_time_ns()
        result = what(*given, **named)
        spent[name].append((time.process_time_ns() - begin) / 1000.0)
        return result

    for tick, answered in enumerate(documents, 1):
        seconds = tick * _SECONDS
        evidence = timed("parsed", lambda documents: [parse_evidence(one) for one in documents], answered)
        readings = [PodReading(f"gateway-{i}", True, one) for i, one in enumerate(evidence)]
        increments, memory = timed("advance", advance, memory, readings, wanted, now=seconds)
        before, now = judgement, _START + dt.timedelta(seconds=seconds)
        judgement, compared = timed(
            "assess",
            assessment.assess,
            before,
            analysis,
            increments,
            stable=_STABLE,
            canary=_CANARY,
            now=now,
            context=_CONTEXT,
        )
        data = timed(
            "appended", config_map.appended, data, before=before, after=judgement, comparisons=compared, trial=trial
        )
        judgement = judgement.model_copy(update={"recorded": judgement.last_tick})
    return spent, judgement, data


def _reference(requests: int, ticks: int) -> Iterator[float]:
    """The same of the plain method, on as many requests a tick in three cache states."""
    rollout = Rollout(find(["cold-cache"])[0], seed=1, number=0, tick_seconds=_SECONDS)
    judge = Reference()
    for tick in list(rollout.fixed())[:ticks]:
        begin = time.process_time_ns()
        judge.observe(tick, (0.5, 1.0))
        judge.evidence()
        yield (time.process_time_ns() - begin) / 1000.0


def markdown(costs: Costs) -> str:
    """A table."""
    rows = [
        f"| {WORDS[name]} | {cost.least:.0f} | {cost.median:.0f} | {cost.most:.0f} |"
        for name, cost in costs.parts.items()
    ]
    table = "\n".join(["| part of a tick | least µs | median µs | most µs |", "| --- | --- | --- | --- |", *rows])
    shares = costs.share
    return (
        f"CPU time of a tick with {costs.requests} requests on {_PODS} gateway pods, {len(_SURFACES)} surfaces and "
        f"{len(_CACHES)} cache states, {100 * _WEIGHT:g} % of them the canary's.\n\n{table}\n\n"
        f"The judge's memory in status: {costs.state / 1024:.1f} KiB of JSON; the ledger: {costs.pages / 1024:.0f} KiB."
        f" {_CANARIES:,} canaries that are judged every {_SECONDS:g} s take {100 * shares['assess']:.0f} % of one core"
        f" for the judgement, {100 * shares['everything']:.0f} % with parsing, counting and the ledger."
    )


def main(words: Sequence[str] | None = None) -> None:
    """Measure and print a table, and the same as JSON."""
    parser = argparse.ArgumentParser(prog="python -m bench.judge.tick_cost", description=__doc__)
    parser.add_argument("--requests", type=int, default=250, metavar="N", help="of a tick, 250 if not given")
    parser.add_argument("--ticks", type=int, default=120, metavar="N")
    parser.add_argument("--repeats", type=int, default=7, metavar="N")
    chosen = parser.parse_args(words)
    if min(chosen.requests, chosen.ticks, chosen.repeats) < 1:
        parser.error("--requests, --ticks and --repeats must be at least 1")
    costs = measured(chosen.requests, chosen.ticks, chosen.repeats)
    print(f"{markdown(costs)}\n\n{json.dumps(costs.as_json())}")


if __name__ == "__main__":
    main()
