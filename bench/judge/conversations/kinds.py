"""What conversations are like in a simulated rollout, and what is wrong with the canary in it."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["FEW_PODS", "NO_HARM", "SINGLE", "Harm", "Kind", "Pods"]


@dataclass(frozen=True, slots=True)
class Kind:
    """Conversations of one kind. Rates are shares of requests, times seconds, `..._sd` those of natural logarithms.

    `share`: of all requests. `agents`: so many conversations instead of a stream of ever new ones; they begin within
    `begin` and go on to the end, or to `until`.
    """

    name: str = "agents"
    share: float = 1.0
    turns: tuple[int, int] = (20, 80)
    gap: float = 4.0
    agents: int = 0
    begin: tuple[float, float] = (-3600.0, 0.0)
    until: float | None = None
    surface: str = "other"
    errors: float = 0.005
    first_errors: float | None = None
    """Of first requests, where they differ."""
    beta: tuple[float, float] | None = None
    """Each conversation has an error rate of its own, drawn from this Beta distribution."""
    toxic_share: float = 0.0
    """Of conversations, that go bad and then fail `toxic_errors` of their requests."""
    toxic_errors: float = 0.6
    toxic_from_first: bool = False
    """They are bad from the first request on, not from a random one."""
    ttft_sd: float = 0.0
    cost_sd: float = 0.0
    """Between conversations."""
    ttft_factor: float = 1.0
    cost_factor: float = 1.0
    pareto: float = 0.0
    """Times and tokens of requests have Pareto tails of this exponent instead of lognormal ones; 0: they have not."""
    trend: float = 1.0
    """How many times as many of them begin at the rollout's end as at its beginning, with the same mean."""
    named: bool = True
    """Whether requests name their conversation; those that do not all have one `metadata.user_id`."""
    users: int = 0
    """Conversations belong to so many users, who come back; 0 for a new one each."""


SINGLE = Kind("calls", turns=(1, 1))


@dataclass(frozen=True, slots=True)
class Harm:
    """What is wrong with the canary's answers; by default nothing.

    `only`: kinds of conversations that it strikes. `onset`: seconds after the beginning. `onset_weight`: from this
    weight of the canary on.
    """

    errors: float = 0.0
    """Added to the share of failed requests."""
    toxic_share: float = 0.0
    """Of the canary's conversations, that go bad besides."""
    ttft: float = 1.0
    cost: float = 1.0
    output: float = 1.0
    speed: float = 1.0
    """Factors: seconds to the first token, US dollars, output tokens, tokens a second."""
    hangs: float = 0.0
    """Share of requests that have no answer until the client leaves."""
    rate_limited: float = 0.0
    """Share of requests that are answered with 429."""
    only: tuple[str, ...] = ()
    onset: float = 0.0
    onset_weight: float = 0.0


NO_HARM = Harm()


@dataclass(frozen=True, slots=True)
class Pods:
    """Gateway pods; each request goes to any of them. `restart_seconds`: how often each is started anew."""

    count: int = 2
    restart_seconds: float | None = None
    silent_first: bool = False
    """One of them does not answer the first reading."""


FEW_PODS = Pods()
