"""Gateway pods as they behave: they serve the config that they have read, count, and answer on their admin ports."""

from __future__ import annotations

import datetime as dt
import math
import random
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any

import msgspec

from claude_operator.api.evidence import (
    Before,
    Cohorts,
    Counters,
    DrillNote,
    Evidence,
    GenerationEvidence,
    Histogram,
    InFlight,
    Recent,
    Stratum,
    UnitCounters,
    UnitStratum,
)
from claude_operator.api.gateway import GatewayConfig
from claude_operator.api.samples import GraderNote


@dataclass
class Pod:
    """A gateway pod: serves a config, takes over a new one after a while, and counts."""

    name: str
    boot: int
    born: dt.datetime
    ready_at: dt.datetime
    lag: float
    controller: dict[str, Any] = field(default_factory=dict)
    """The reference to its ReplicaSet."""
    keyless: bool = False
    """It is of a version that proves nothing."""
    config: GatewayConfig | None = None
    coming: list[tuple[dt.datetime, GatewayConfig]] = field(default_factory=list)
    counts: dict[int, dict[tuple[str, str], list[int]]] = field(default_factory=dict)
    paces: dict[tuple[int, str], dict[float, int]] = field(default_factory=dict)
    """Answers by generation and revision, and how many times as slow as usual they were."""
    by_unit: bool = False
    """It counts conversations, of which each request is one."""
    eras: dict[int, dict[str, int]] = field(default_factory=dict)
    """Weights by the config generation that brought them."""
    silent: bool = False
    before_drills: bool = False
    """It is of a version that knows no drills."""
    kept: list[Evidence] = field(default_factory=list)
    lately: dict[int, tuple[int, dict[str, int]]] = field(default_factory=dict)
    """By second: requests, and failures by cause."""
    hanging: dict[str, list[tuple[dt.datetime, int]]] = field(default_factory=dict)
    """By revision: requests that wait for an answer, and since when."""
    grades: dict[tuple[int, str], dict[str, int]] = field(default_factory=dict)
    """Verdicts by generation and revision, then by what they say."""
    drills: dict[str, tuple[dt.datetime, int, dt.datetime | None]] = field(default_factory=dict)
    """By drill: since when it knows it, requests that it failed, and when the first was."""
    asked: tuple[dt.datetime, str] | None = None
    """When a grader last asked for samples, and what it said of its trouble."""

    @property
    def address(self) -> str:
        """Of its own, as long as it lives."""
        return f"10.0.{self.boot // 256}.{self.boot % 256}"

    def answer(self, path: str, query: Mapping[str, str], now: dt.datetime) -> bytes:
        """A document of its admin port."""
        if path == "/-/evidence":
            evidence = self.evidence(now, query["since"], keep="keep" in query)
            if "grading" in query and self.asked is not None:
                note = GraderNote((now - self.asked[0]).total_seconds(), self.asked[1])
                evidence = msgspec.structs.replace(evidence, grader=note)
            if "drill" in query and not self.before_drills:
                evidence = msgspec.structs.replace(evidence, drill=self.note(now))
            return msgspec.json.encode(evidence)
        assert path == "/-/evidence/cohorts"
        return msgspec.json.encode(Cohorts(f"boot-{self.boot}", 0.0, [], [], [], [], [], [], []))

    def note(self, now: dt.datetime) -> DrillNote:
        """What it says of the drill in its config."""
        drill = self.config.drill if self.config else msgspec.UNSET
        serves = drill.id if drill else ""
        last = serves or next(reversed(self.drills), "")
        _, failed, first = self.drills.get(last, (now, 0, None))
        return DrillNote(serves, last, failed, (now - first).total_seconds() if first else None)

    def may_fail(self, now: dt.datetime) -> int:
        """Requests that its drill still lets it fail."""
        drill = self.config.drill if self.config and not self.before_drills else msgspec.UNSET
        if not drill or drill.mode != "Live":
            return 0
        since, failed, _ = self.drills.setdefault(drill.id, (now, 0, None))
        in_time = (now - since).total_seconds() < drill.seconds
        return max(drill.allowed.get(f"boot-{self.boot}", 0) - failed, 0) if in_time else 0

    def evidence(self, now: dt.datetime, since: str = "", *, keep: bool = False) -> Evidence:
        """What it has counted, and what of it was new at the reading `since`: the boot id and the reading's number."""
        evidence = self._counted(now)
        if keep:
            evidence = msgspec.structs.replace(evidence, reading=len(self.kept) + 1)
            self.kept.append(evidence)
        boot, _, number = since.rpartition(".")
        if boot != evidence.boot_id or not 0 < int(number) <= len(self.kept):
            return evidence
        then = self.kept[int(number) - 1]
        return msgspec.structs.replace(evidence, before=Before(then.reading, then.uptime, then.generations))

    def _counted(self, now: dt.datetime) -> Evidence:
        """Counts are [requests, ok, error, overload, refusal, account]."""
        generations = [
            self._with_units(
                generation,
                [
                    Stratum(
                        revision,
                        role,  # type: ignore[arg-type]
                        "other",
                        "none",
                        Counters(
                            requests=n,
                            outcomes={"ok": ok, "error": error, "overload": overload, "account": account},
                            stop_reasons={"refusal": refusal},
                            conversations=n,
                            bad_conversations={"error": error, "refusal": refusal},
                            grades=dict(self.grades.get((generation, revision), {})),
                            ttft=latencies(tuple(self.paces.get((generation, revision), {}).items())),
                        ),
                    )
                    for (revision, role), (n, ok, error, overload, refusal, account) in strata.items()
                ],
            )
            for generation, strata in sorted(self.counts.items())[-4:]
        ]
        served = self.config.generation if self.config else 0
        return Evidence(
            f"boot-{self.boot}",
            served,
            (now - self.born).total_seconds(),
            generations,
            in_flight=[
                InFlight(revision, waiting, waiting, (now - min(at for at, _ in since)).total_seconds())
                for revision, since in self.hanging.items()
                if (waiting := sum(n for _, n in since))
            ],
            recent=self.recent,
            weights={arm.revision: arm.weight for arm in self.config.arms} if self.config else None,
        )

    def _with_units(self, generation: int, strata: list[Stratum]) -> GenerationEvidence:
        """A conversation of one request belongs to the weights of that moment."""
        if not self.by_unit:
            return GenerationEvidence(generation, strata)
        units = [
            UnitStratum(each.revision, each.role, each.surface, "opening", each.cache, _units(each.counters))
            for each in strata
        ]
        return GenerationEvidence(generation, strata, self.eras[generation], units)

    @property
    def recent(self) -> Recent:
        """What clients got in the last ten seconds."""
        requests = sum(n for n, _ in self.lately.values())
        causes = {
            cause: n
            for cause in ("error", "overload", "account")
            if (n := sum(of.get(cause, 0) for _, of in self.lately.values()))
        }
        return Recent(requests=requests, failed=sum(causes.values()), causes=causes)


@dataclass(frozen=True)
class Rates:
    """What becomes of a revision's requests, as shares of all."""

    error: float = 0.0
    overload: float = 0.0
    refusal: float = 0.0
    account: float = 0.0
    hang: float = 0.0
    """Those that are never answered."""
    pace: float = 1.0
    """Times as slow as usual to the first token."""


def _units(counters: Counters) -> UnitCounters:
    entries = counters.outcomes["ok"] + counters.outcomes["error"]
    bad = {f"{kind}:0": count for kind, count in counters.bad_conversations.items() if count}
    return UnitCounters(entries, bad, ttft=counters.ttft)


@dataclass(frozen=True)
class Grader:
    """Who grades samples: how many a second of each arm, and what comes of them by revision, as shares."""

    pace: float = 1.0
    fails: Mapping[str, float] = field(default_factory=dict)
    undecided: float = 0.0
    trouble: str = ""


_USUAL = [0.3 * math.exp(0.12 * k) for k in range(20)]  # seconds to the first token, each as often as the other


@lru_cache(4096)
def latencies(paces: tuple[tuple[float, int], ...]) -> Histogram:
    """What a gateway has counted of times to the first token, by pace and the number of answers."""
    count, total, squares, ln_sum, ln_squares = 0, 0.0, 0.0, 0.0, 0.0
    buckets: dict[str, int] = {}
    for pace, answers in paces:
        for k, usual in enumerate(_USUAL):
            times = answers // len(_USUAL) + (k < answers % len(_USUAL))
            value, ln = usual * pace, math.log(usual * pace)
            index = str(math.floor(ln / math.log(1.25)))
            buckets[index] = buckets.get(index, 0) + times
            count, total, squares = count + times, total + times * value, squares + times * value * value
            ln_sum, ln_squares = ln_sum + times * ln, ln_squares + times * ln * ln
    return Histogram(count, total, squares, ln_sum, ln_squares, {key: n for key, n in buckets.items() if n})


class Traffic:
    """Requests to the gateways of a world, second by second."""

    now: dt.datetime
    pods: list[Pod]
    rates: dict[str, Rates]
    """By revision."""

    def __init__(self, seed: int, requests: float) -> None:
        self._seed, self._rest = seed, dict[tuple[str, str, str], float]()
        self.traffic = requests
        """Requests a second over all pods."""
        self.by_unit = False
        """Whether gateway pods count conversations."""
        self.grader: Grader | None = None

    def flow(self, to: dt.datetime) -> None:
        """Requests up to a moment, on each pod by the weights that it serves."""
        if to <= self.now:
            return
        stops = {at for pod in self.pods for at, _ in pod.coming if self.now < at < to} | {
            pod.ready_at for pod in self.pods if self.now < pod.ready_at < to
        }
        for moment in [*sorted(stops), to]:
            length = (moment - self.now).total_seconds()
            ready = [pod for pod in self.pods if pod.ready_at <= self.now]
            for pod in ready:
                self._serve(pod, self.traffic * length / len(ready))
                self._grade(pod, length / len(ready))
                self._rehearse(pod, length)
            self.pass_to(moment)
            for pod in self.pods:
                for at, config in pod.coming:
                    if at <= moment:
                        pod.config = config
                pod.coming = [one for one in pod.coming if one[0] > moment]

    def _serve(self, pod: Pod, requests: float) -> None:
        throttle = pod.config.throttle if pod.config is not None else None
        if pod.config is None or not requests or (throttle and self.now < throttle.until):
            return
        strata = pod.counts.setdefault(pod.config.generation, {})
        pod.eras[pod.config.generation] = {arm.revision: arm.weight for arm in pod.config.arms}
        requests -= self._fail(pod, requests, strata)
        for arm in pod.config.arms:
            rates, key = self.rates.get(arm.revision, Rates()), (pod.name, arm.revision)
            n = self._whole((*key, "n"), requests * arm.weight / 10_000)
            hanging = min(self._whole((*key, "hang"), n * rates.hang), n)
            if hanging:
                pod.hanging.setdefault(arm.revision, []).append((self.now, hanging))
            n -= hanging
            account = min(self._whole((*key, "account"), n * rates.account), n)
            error = min(self._whole((*key, "error"), (n - account) * rates.error), n - account)
            overload = min(self._whole((*key, "overload"), n * rates.overload), n - account - error)
            ok = n - account - error - overload
            refusal = min(self._whole((*key, "refusal"), ok * rates.refusal), ok)
            counts = strata.setdefault((arm.revision, arm.role), [0] * 6)
            for place, more in enumerate((n, ok, error, overload, refusal, account)):
                counts[place] += more
            self._count_lately(pod, n, {"error": error, "overload": overload, "account": account})
            paces = pod.paces.setdefault((pod.config.generation, arm.revision), {})
            paces[rates.pace] = paces.get(rates.pace, 0) + ok

    def _fail(self, pod: Pod, requests: float, strata: dict[tuple[str, str], list[int]]) -> int:
        """Requests that a drill fails, counted under its name."""
        most, drill = pod.may_fail(self.now), pod.config.drill if pod.config else msgspec.UNSET
        if not most or not drill:
            return 0
        n = min(self._whole((pod.name, drill.id, "fails"), requests * drill.weight / 10_000), most)
        if n:
            since, failed, first = pod.drills[drill.id]
            pod.drills[drill.id] = since, failed + n, first or self.now
            counts = strata.setdefault((drill.id, "canary"), [0] * 6)
            counts[0], counts[2] = counts[0] + n, counts[2] + n
        return n

    def _rehearse(self, pod: Pod, seconds: float) -> None:
        """Requests that a pod makes up, ten a second."""
        drill = pod.config.drill if pod.config and not pod.before_drills else msgspec.UNSET
        if pod.config is None or not drill or drill.mode != "Rehearsal":
            return
        since, failed, first = pod.drills.setdefault(drill.id, (self.now, 0, None))
        if (self.now - since).total_seconds() >= drill.seconds:
            return
        left = max(drill.allowed.get(f"boot-{pod.boot}", 0) - failed, 0)
        well = self._whole((pod.name, drill.id, "well"), 10 * seconds * (1 - drill.weight / 10_000))
        n = min(self._whole((pod.name, drill.id, "fails"), 10 * seconds * drill.weight / 10_000), left)
        pod.drills[drill.id] = since, failed + n, first or (self.now if n else None)
        strata = pod.counts.setdefault(pod.config.generation, {})
        for key, place, more in (((drill.well, "stable"), 1, well), ((drill.id, "canary"), 2, n)):
            counts = strata.setdefault(key, [0] * 6)
            counts[0], counts[place] = counts[0] + more, counts[place] + more

    def _grade(self, pod: Pod, seconds: float) -> None:
        """Verdicts on what a pod has sampled, where it samples."""
        grader, config = self.grader, pod.config
        if grader is None or config is None:
            return
        pod.asked = (self.now, grader.trouble)
        for arm in config.arms if config.live is not msgspec.UNSET else ():
            key = (pod.name, arm.revision)
            n = self._whole((*key, "graded"), seconds * grader.pace) if arm.weight else 0
            undecided = min(self._whole((*key, "undecided"), n * grader.undecided), n)
            failed = min(self._whole((*key, "failed"), n * grader.fails.get(arm.revision, 0.0)), n - undecided)
            known = pod.grades.setdefault((config.generation, arm.revision), {})
            for said, more in (("pass", n - undecided - failed), ("fail", failed), ("unknown", undecided)):
                known[said] = known.get(said, 0) + more

    def _count_lately(self, pod: Pod, n: int, failures: dict[str, int]) -> None:
        second = int(self.now.timestamp())
        pod.lately = {at: of for at, of in pod.lately.items() if at > second - 10}
        requests, causes = pod.lately.get(second, (0, {}))
        both = {cause: causes.get(cause, 0) + failures.get(cause, 0) for cause in causes | failures}
        pod.lately[second] = (requests + n, both)

    def _whole(self, key: tuple[str, str, str], expected: float) -> int:
        """A whole number; the rest is carried over, so that it does not matter how often it is asked for."""
        total = self._rest.setdefault(key, random.Random(f"{self._seed}{key}").random()) + expected
        self._rest[key] = total - int(total)
        return int(total)
