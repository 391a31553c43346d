"""The rollouts of conversations that are simulated, each with what is right in it."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal

from bench.judge.conversations.kinds import FEW_PODS, NO_HARM, SINGLE, Harm, Kind, Pods
from bench.judge.scenarios import WEIGHTS

__all__ = ["CASES", "Case", "Right", "find_cases", "is_plain"]

Answer = Literal["null", "found", "held", "bound"]


@dataclass(frozen=True, slots=True)
class Right:
    """What is right: `null`: it is not rolled back. `found`: it is. `held`: it is not promoted, and the words are said.
    `bound`: it cannot be seen by anyone, and `floor` says what could be.

    `requests` (median canary requests) and `failures` (mean failed requests that stable would not have had) are the
    most until the rollback, `least` the least share.
    """

    answer: Answer
    least: float = 0.99
    requests: float | None = None
    failures: float | None = None
    words: str = ""
    floor: str = ""


NULL = Right("null")
FOUND = Right("found")


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """One kind of rollout; `name` is unique.

    `steps`: `fixed`, of `step_seconds` each, or `evidence`: they end when the judge says so, after that time at most.
    `retries`: how often a client tries a failed request again, as SDKs do. `unit`: what is assigned and counted.
    """

    name: str
    title: str
    kinds: tuple[Kind, ...]
    right: Right
    harm: Harm = NO_HARM
    pods: Pods = FEW_PODS
    requests_per_second: float = 50.0
    step_seconds: float = 600.0
    tick_seconds: float = 15.0
    weights: tuple[float, ...] = WEIGHTS
    steps: Literal["fixed", "evidence"] = "fixed"
    unit: Literal["Conversation", "User", "Request"] = "Conversation"
    rescue_after: int = 3
    retries: int = 0
    swing: float = 1.0
    """How many times as much traffic there is at its most as at its least, up and down in `day_seconds`."""
    day_seconds: float = 3600.0
    cached: bool = False
    """Whether a conversation's later requests find its context in the prompt cache of the arm that it is on."""
    ways: tuple[str, ...] = ("fast", "slow")
    """How it can be counted: the fast way knows conversations without a name only where each is a single call, and no
    client that tries again."""

    @property
    def planned_seconds(self) -> float:
        """How long the rollout takes at most."""
        return self.step_seconds * len(self.weights)


AGENTS = Kind()
CHAT = Kind("chat", turns=(2, 20), gap=30.0)
DIFFERENT = replace(AGENTS, ttft_sd=0.4, cost_sd=0.7)
TOXIC = replace(AGENTS, toxic_share=0.02)
SLOW = replace(AGENTS, gap=20.0)
UNNAMED = replace(AGENTS, named=False)
HALF_FAILING = replace(AGENTS, toxic_share=0.05, toxic_errors=0.5, toxic_from_first=True)


def _null(name: str, title: str, *kinds: Kind, **more: object) -> Case:
    return Case(name=name, title=title, kinds=kinds, right=NULL, **more)  # type: ignore[arg-type]


def _tenant(**other: float) -> tuple[Kind, ...]:
    """Agents, a fifth of whose traffic is one tenant's."""
    return replace(AGENTS, share=0.8), replace(AGENTS, name="tenant", share=0.2, **other)  # type: ignore[arg-type]


_SICK = {"errors": 0.05, "ttft_factor": 1.8, "cost_factor": 3.0}
_ENDLESS = Kind("giant", share=0.2, agents=1, gap=0.1, begin=(200.0, 1500.0))
_LOOP = Kind("loop", share=0.0, agents=1, gap=0.5, errors=1.0)
_PEOPLE = Kind("people", turns=(1, 10), gap=10.0, users=300)
_TWENTY = (replace(SLOW, name="gap20"),)

_NULLS: tuple[Case, ...] = (
    _null("agents", "agents alike, 20–80 calls", AGENTS),
    _null("diurnal", "agents, traffic between a 40th and all, up and down", AGENTS, swing=40.0),
    _null("pareto", "agents, Pareto tails", replace(AGENTS, pareto=2.0)),
    _null(
        "surfaces",
        "three surfaces whose shares of the traffic change",
        replace(AGENTS, share=0.4, surface="code", trend=0.2),
        replace(CHAT, share=0.3, surface="chat", trend=4.0, errors=0.01),
        replace(SINGLE, share=0.3, surface="batch", trend=2.0, errors=0.002),
    ),
    _null("one-user", "agents that name no conversation, one user id for all", UNNAMED, ways=("slow",)),
    _null("agents-cached", "agents whose context is cached on the arm that they began on", AGENTS, cached=True),
    _null("chat-cached", "chats whose context is cached on the arm that they began on", CHAT, cached=True),
    _null("agents-gap20", "agents alike, gaps of 20 s", SLOW),
    _null("chat", "chats, gaps of 30 s", CHAT),
    _null("single", "single calls", SINGLE),
    _null("agents-differ", "agents that differ in speed and cost", DIFFERENT),
    _null("agents-toxic", "2 % of agents go bad at some turn", TOXIC),
    _null("agents-toxic-gap20", "the same, gaps of 20 s", replace(TOXIC, gap=20.0)),
    _null("half-failing", "5 % of agents fail half their requests from the first on", replace(HALF_FAILING, gap=20.0)),
    _null("first-fail", "first requests fail 3 %, later ones 0.2 %", replace(SLOW, errors=0.002, first_errors=0.03)),
    _null(
        "beta",
        "each agent fails at its own rate, Beta(0.05, 5)",
        replace(SLOW, beta=(0.05, 5.0)),
    ),
    _null(
        "singles-beside",
        "90 % single calls that fail 1 %, 10 % agents that fail 0.02 %",
        replace(SINGLE, share=0.9, errors=0.01),
        replace(SLOW, share=0.1, errors=0.0002),
    ),
    _null(
        "old-agents",
        "100 agents that predate the canary and never fail, single calls that fail 1 %",
        replace(SINGLE, share=0.8, errors=0.01),
        Kind("old", share=0.0, agents=100, gap=10.0, errors=0.0),
    ),
    _null(
        "old-agents-at-1",
        "100 agents that begin at 1 % and stay, single calls that fail 5 %",
        replace(SINGLE, share=0.8, errors=0.05),
        Kind("old", share=0.0, agents=100, gap=10.0, errors=0.0, begin=(0.0, 60.0)),
    ),
    _null("tenant-alike", "a tenant of 20 %, alike", *_tenant()),
    _null("tenant-sick", "a tenant of 20 % that fails 5 %, 1.8× slower, 3× dearer", *_tenant(**_SICK)),
    _null("giant-alike", "one endless conversation of 20 %", replace(AGENTS, share=0.8), _ENDLESS),
    _null(
        "giant-sick",
        "one endless conversation of 20 % that fails 5 %, 1.8× slower, 3× dearer",
        replace(AGENTS, share=0.8),
        replace(_ENDLESS, **_SICK),  # type: ignore[arg-type]
    ),
    _null(
        "power-law",
        "tenants whose sizes follow a power law, a third of them sick",
        *(
            replace(AGENTS, name=f"tenant{rank}", share=share, **(_SICK if rank % 3 == 2 else {}))  # type: ignore[arg-type]
            for rank, share in enumerate((0.4, 0.2, 0.13, 0.1, 0.08, 0.05, 0.04))
        ),
    ),
    _null(
        "giant-by-request",
        "one endless conversation is all traffic, assigned by request",
        replace(_ENDLESS, share=1.0, gap=0.02, begin=(-10.0, 0.0)),
        unit="Request",
    ),
    _null("loop-before", "a client in a failing loop in the hour before", AGENTS, replace(_LOOP, until=0.0)),
    _null(
        "loop-during", "a client in a failing loop while the canary is on", AGENTS, replace(_LOOP, begin=(30.0, 60.0))
    ),
    _null(
        "retries",
        "clients try failed requests again, as SDKs do",
        replace(TOXIC, errors=0.01),
        retries=2,
        ways=("slow",),
    ),
    _null("restarts", "10 pods that restart every 3 min, 300 users", _PEOPLE, pods=Pods(10, 180.0)),
    _null(
        "users", "300 users who come back", replace(_PEOPLE, beta=(0.25, 50.0), ttft_sd=0.3, cost_sd=0.5), unit="User"
    ),
    _null(
        "users-unread",
        "200 users that differ (CV 2), their cohorts unread at the first tick",
        replace(_PEOPLE, users=200, beta=(0.25, 50.0), ttft_sd=0.3, cost_sd=0.5),
        unit="User",
        pods=Pods(2, silent_first=True),
    ),
    _null(
        "users-loop-before",
        "200 users, one of whom was in a failing loop in the hour before",
        replace(_PEOPLE, users=200),
        replace(_LOOP, name="loop", gap=0.2, until=0.0, begin=(-3600.0, -3599.0)),
        unit="User",
    ),
)

_FIVE = replace(AGENTS, errors=0.005)


def _harm(name: str, title: str, right: Right, harm: Harm, *kinds: Kind, **more: object) -> Case:
    kinds = kinds or (_FIVE,)
    settings: dict[str, object] = {"tick_seconds": 5.0, **more}
    return Case(name=name, title=title, kinds=kinds, right=right, harm=harm, **settings)  # type: ignore[arg-type]


def _found(requests: float | None = None, failures: float | None = None) -> Right:
    return Right("found", requests=requests, failures=failures)


_HARMS: tuple[Case, ...] = (
    _harm("agents+20", "agents, errors +20 points", _found(63, 17), Harm(errors=0.2), rescue_after=0),
    _harm("agents+20-rescue", "the same, rescueAfter 3", _found(63, 10), Harm(errors=0.2), rescue_after=3),
    _harm(
        "agents-toxic+20",
        "2 % of agents go bad, errors +20 points",
        _found(89, 21),
        Harm(errors=0.2),
        TOXIC,
        rescue_after=0,
    ),
    _harm(
        "agents-toxic-gap20+20",
        "the same, gaps of 20 s",
        _found(27, 7),
        Harm(errors=0.2),
        replace(TOXIC, gap=20.0),
        rescue_after=0,
    ),
    _harm(
        "agents-toxic+20-rescue",
        "2 % of agents go bad, errors +20 points, rescueAfter 3",
        _found(89, 10),
        Harm(errors=0.2),
        TOXIC,
    ),
    _harm("agents+2", "agents, errors +2 points", _found(536, 19), Harm(errors=0.02), rescue_after=0),
    _harm(
        "agents-toxic+2",
        "2 % of agents go bad, errors +2 points",
        _found(980, 34),
        Harm(errors=0.02),
        TOXIC,
        rescue_after=0,
    ),
    _harm("agents-broken", "every request of the canary fails", FOUND, Harm(errors=1.0)),
    _harm(
        "one-user-broken",
        "one user id for all, no names, every request of the canary fails",
        FOUND,
        Harm(errors=1.0),
        UNNAMED,
        ways=("slow",),
    ),
    _harm("agents-broken-10", "the same, the first weight 10 %", FOUND, Harm(errors=1.0), weights=(0.1, 0.5)),
    _harm("agents-broken-50", "the same, the first weight 50 %", FOUND, Harm(errors=1.0), weights=(0.5,)),
    _harm("single-broken", "every single call of the canary fails", FOUND, Harm(errors=1.0), SINGLE),
    _harm(
        "giant-broken",
        "one endless conversation is all traffic, every request of the canary fails",
        Right("held", words="conversation"),
        Harm(errors=1.0),
        replace(_ENDLESS, share=1.0, gap=0.02, begin=(0.0, 5.0)),
        steps="evidence",
        step_seconds=1200.0,
    ),
    _harm(
        "giant-by-request+20",
        "one endless conversation is all traffic, assigned by request, errors +20 points",
        _found(20, 5),
        Harm(errors=0.2),
        replace(_ENDLESS, share=1.0, gap=0.02, begin=(-10.0, 0.0)),
        unit="Request",
    ),
    _harm("single+20", "single calls, errors +20 points", _found(20, 5), Harm(errors=0.2), SINGLE),
    _harm("single+2", "single calls, errors +2 points", _found(None, 10), Harm(errors=0.02), SINGLE),
    _harm("hangs-30", "30 % of the canary's requests hang", FOUND, Harm(hangs=0.3)),
    _harm("hangs-80", "80 % of the canary's requests hang", FOUND, Harm(hangs=0.8)),
    _harm(
        "cut",
        "the canary's answers are cut to a fifth",
        Right("held", words="shorter"),
        Harm(output=0.2),
    ),
    _harm("half-speed", "half the tokens a second", FOUND, Harm(speed=0.5)),
    _harm(
        "limited-40", "429 on 40 % of the canary's requests alone", Right("held", words="429"), Harm(rate_limited=0.4)
    ),
    _harm(
        "limited-60", "429 on 60 % of the canary's requests alone", Right("held", words="429"), Harm(rate_limited=0.6)
    ),
    _harm(
        "surface+1",
        "errors +1 point on a surface of 10 % of the traffic",
        Right("bound", floor="a tenth of a point in all"),
        Harm(errors=0.01, only=("reports",)),
        replace(AGENTS, share=0.9),
        replace(AGENTS, name="reports", share=0.1, surface="reports"),
    ),
    # 22.2 % of stable's agents fail at least once, 24.5 % of the canary's: of those that do, 52.46 % are the canary's
    # at 50 %, which is 0.0012 nats each, and ln 200 has to be reached.
    _harm(
        "canary-toxic",
        "3 % of the canary's agents alone go bad",
        Right("bound", floor="first failures of some 19,000 agents at 50 %, 5 hours"),
        Harm(toxic_share=0.03),
    ),
    _harm(
        "loop-before+5",
        "errors +5 points, after a client's loop in the hour before",
        FOUND,
        Harm(errors=0.05),
        AGENTS,
        replace(_LOOP, until=0.0),
    ),
    _harm(
        "users-loop-before+5",
        "the same, assigned by user",
        Right("found", least=0.6),
        Harm(errors=0.05),
        replace(_PEOPLE, users=200),
        replace(_LOOP, gap=0.2, until=0.0, begin=(-3600.0, -3599.0)),
        unit="User",
    ),
    _harm(
        "long-only+20",
        "errors +20 points in long agents only, beside single calls",
        FOUND,
        Harm(errors=0.2, only=("agents",)),
        replace(SINGLE, share=0.8),
        replace(AGENTS, share=0.2),
    ),
    _harm(
        "tenant+20",
        "errors +20 points for a tenant of 20 % only",
        FOUND,
        Harm(errors=0.2, only=("tenant",)),
        *_tenant(),
    ),
    _harm("late+20", "errors +20 points after 15 minutes", FOUND, Harm(errors=0.2, onset=900.0)),
    _harm("onset-10+20", "errors +20 points from 10 % on", FOUND, Harm(errors=0.2, onset_weight=0.1)),
    _harm("slower-1.5", "time to first token × 1.5", FOUND, Harm(ttft=1.5), DIFFERENT),
    _harm("dearer-2", "cost × 2", FOUND, Harm(cost=2.0), DIFFERENT),
)


def _variants(case: Case) -> tuple[Case, ...]:
    """At 50 and 5 requests/s, with 2 and 10 pods; where the pods are the matter themselves, only those."""
    slow = {
        "name": f"{case.name}-5rps",
        "title": f"{case.title}, 5 requests/s",
        "requests_per_second": 5.0,
        "step_seconds": 6.0 * case.step_seconds,
        "tick_seconds": 30.0 if case.right.answer == "null" else 15.0,
    }
    if case.harm.onset:
        slow["harm"] = replace(case.harm, onset=6.0 * case.harm.onset)
    both = (case, replace(case, **slow))  # type: ignore[arg-type]
    if case.pods != FEW_PODS:
        return both
    many = tuple(replace(one, name=f"{one.name}-10pods", title=f"{one.title}, 10 pods", pods=Pods(10)) for one in both)
    return (*both, *many)


CASES: tuple[Case, ...] = tuple(one for case in (*_NULLS, *_HARMS) for one in _variants(case))


def is_plain(case: Case) -> bool:
    """Whether it is at 50 requests/s, and not with many pods for their own sake."""
    return not case.name.endswith(("-5rps", "-10pods"))


def find_cases(names: list[str]) -> tuple[Case, ...]:
    """The cases of these names, in the usual order; all of them for none. Raises `ValueError` with the names."""
    unknown = sorted(set(names) - {one.name for one in CASES})
    if unknown:
        raise ValueError(f"no cell {', '.join(unknown)}; there are: {' '.join(one.name for one in CASES)}")
    return tuple(one for one in CASES if not names or one.name in names)
