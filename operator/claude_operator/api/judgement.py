"""What the judge says of a canary, and its memory: a part of `ClaudeDeployment.status`."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from claude_operator.api import moments
from claude_operator.api.base import StatusModel
from claude_operator.api.sums import (
    IncidentField,
    IncidentSums,
    Moments,
    MomentsField,
    RecentField,
    RecentRequests,
    Score,
    ScoreField,
    SoakField,
    Streak,
    StreakField,
    UnitField,
    UnitSums,
)

__all__ = [
    "Judgement",
    "Measured",
    "MetricState",
    "Offsets",
    "OpenStratum",
    "OpenValues",
    "Promotion",
    "SampleRatio",
    "Series",
    "Verdict",
]

Moment = moments.Moment
Verdict = Literal["Pass", "Fail", "Inconclusive", "NoData", "Error"]


class MetricState(StatusModel):
    """The judge's memory of one metric."""

    name: str = Field(description="The metric.")
    evidence: float = Field(description="Value of the e-process; capped at 1e300.")
    canary: list[int] = Field(
        description="Conversations and first bad events of the canary so far, of a quantity only the first; requests"
        " and bad events where gateways do not count conversations."
    )
    stable: list[int] = Field(description="The same of stable over the same ticks.")
    logs: list[float] = Field(default=[], description="Log-likelihood ratios, one an alternative; by edge.")
    edges: list[int] = Field(default=[], description="Of a quantity: edges of its buckets, as powers of 1.25.")
    score: ScoreField = Field(
        default=Score(),
        description="Of a quantity: score, information and prior variance of ln; the same of raw values.",
    )
    moments: MomentsField = Field(
        default=Moments(),
        description="Of a quantity, stable: values, mean, degrees of freedom and sum of squares within strata of ln;"
        " mean, degrees of freedom and sum of squares of raw values.",
    )
    units: UnitField = Field(
        default=UnitSums(),
        description="Conversations that entered a period of the canary's and of stable's; stable's first eight turns,"
        " and first bad events in those.",
    )
    soak: SoakField | None = Field(
        default=None,
        description="Of a soak, the revision's own: requests since the evidence last spoke against harm, and bad events"
        " among them or the sum of ln; moments as above.",
    )


class OpenValues(StatusModel):
    """Values of a quantity in an open stratum."""

    metric: str = Field(description="The quantity.")
    arm: Literal["canary", "stable"] = Field(description="Whose.")
    cache: str = Field(description="Cache state: read, write or none.")
    sums: list[float] = Field(description="Count, sum of ln, of its square, sum, sum of squares.")
    buckets: list[int] = Field(default=[], description="Bucket, count, bucket, count, ...")


class OpenStratum(StatusModel):
    """Requests or conversations that are too few to be compared yet: those of one config generation and surface."""

    generation: int = Field(description="Config generation that they began under.")
    surface: str = Field(description="Their surface.")
    period: str = Field(default="", description="Of conversations: opening, early or late. Empty: requests.")
    canary: list[int] = Field(description="Counts of the canary: requests, ok, errors, overloads, ...")
    stable: list[int] = Field(description="The same of stable.")
    values: list[OpenValues] = Field(default=[], description="Latency and cost.")


class Promotion(StatusModel):
    """What was shown for one bake: that the weight after it keeps within analysis.toleratedIncrease."""

    step: int = Field(description="Index of the bake.")
    margin: float = Field(description="Excess of bad requests that is to be ruled out, as a share of the canary's.")
    evidence: float = Field(default=1.0, description="Evidence that the canary stays within it.")
    threshold: float = Field(default=20.0, description="Evidence that shows it: 1 / falsePromotionRate.")
    shown: bool = Field(default=False, description="Whether it has ever reached the threshold.")
    logs: list[float] = Field(default=[], description="Log-likelihood ratios, one an alternative.")


class Offsets(StatusModel):
    """How the canary's conversations differed from the rest before it had them."""

    weight: int = Field(description="Weight that this is for, in basis points.")
    errors: float = Field(default=1.0, description="Their rate of errors over that of the rest, at most.")
    errors_least: float = Field(default=1.0, description="The same at least.")
    time_to_first_token: float = Field(default=0.0, description="Difference of the mean ln.")
    cost: float = Field(default=0.0, description="Difference of the mean ln.")
    assignment: str = Field(
        default="", description="Hash of the secret that conversations were drawn with then. Empty: no secret."
    )


class SampleRatio(StatusModel):
    """Conversations of each arm since the weight was last changed, against the weight."""

    weight: int = Field(description="The weight in basis points.")
    canary: float = Field(default=0.0, description="Conversations of the canary.")
    stable: float = Field(default=0.0, description="Conversations of stable.")
    evidence: float = Field(default=0.0, description="Natural logarithm of the evidence for another ratio.")
    requests: int = Field(default=0, description="Requests of both arms, without those that chose their revision.")
    unnamed: int = Field(default=0, description="Those of them that name no conversation.")


class Measured(StatusModel):
    """A metric with a threshold: its measurements so far."""

    name: str = Field(description="The metric.")
    phase: Literal["Pending", "Successful", "Failed", "Inconclusive", "Error"] = Field(
        default="Pending", description="What the last measurement was."
    )
    value: float | None = Field(default=None, description="The last value.")
    measured_at: Moment | None = Field(default=None, description="When it was last measured.")
    measurements: int = Field(default=0, description="Measurements so far.")
    failures: int = Field(default=0, description="Those that failed.")
    consecutive_errors: int = Field(default=0, description="Measurements in a row without an answer.")
    message: str = Field(default="", description="What went wrong with the last one.")
    series: list[float] = Field(default=[], description="A built-in metric: counts of the window.")


class Series(StatusModel):
    """A metric under the judge MannWhitney: one value an interval and arm."""

    name: str = Field(description="The metric.")
    canary: list[float] = Field(default=[], description="The canary's last values.")
    stable: list[float] = Field(default=[], description="Stable's over the same intervals.")
    open: list[float] = Field(
        default=[], description="The present interval: its number, count and sum of the canary, of stable."
    )
    taken: int = Field(default=0, description="Intervals that gave a value.")
    classification: str = Field(default="", description="Pass, High, Low or Nodata.")


class Judgement(StatusModel):
    """What the judge says."""

    verdict: Verdict = Field(description="Pass, Fail, Inconclusive, NoData or Error.")
    requests: int = Field(default=0, description="Canary requests judged so far in this rollout.")
    evidence: float = Field(default=1.0, description="Combined evidence of harm.")
    threshold: float = Field(
        default=100.0, description="Evidence at which traffic is taken back: 1 / falseRollbackRate."
    )
    leading: str | None = Field(default=None, description="The metric with the most evidence.")
    reason: str = Field(default="", description="Why, as one word, where the verdict is Fail or a metric has no data.")
    message: str = Field(default="", description="The same as a sentence.")
    detectable: str = Field(
        default="", description="The smallest increase of errors that the evidence so far could show."
    )
    promotions: list[Promotion] = Field(default=[], description="What was shown for the present bake and the next.")
    stable_requests: list[int] = Field(default=[0, 0], description="Stable: requests and bad ones so far.")
    started_at: Moment | None = Field(default=None, description="When the judge began to watch this canary.")
    last_tick: Moment | None = Field(default=None, description="When evidence was last read.")
    last_traffic: Moment | None = Field(default=None, description="When the gateways last saw a request.")
    first_bad: Moment | None = Field(
        default=None,
        description="The first tick with a bad event on the canary since there was least evidence of harm.",
    )
    lowest: float = Field(default=1.0, description="The least evidence of harm so far, of shares of requests.")
    unreachable: list[str] = Field(default=[], description="Gateway pods that did not answer at the last tick.")
    seen_since: Moment | None = Field(
        default=None, description="Since when nothing is missing from what was read of the gateways."
    )
    last_answer: Moment | None = Field(default=None, description="The last tick in which the canary answered requests.")
    waiting: int = Field(default=0, description="Requests of the canary that had no answer yet at the last tick.")
    oldest: float = Field(default=0.0, description="Seconds that the longest of them had waited.")
    waiting_stable: int = Field(default=0, description="The same of stable.")
    recent: RecentField = Field(
        default=RecentRequests(),
        description="The last requests: answered, errors, overloads and account errors of the canary, then of stable;"
        " answered and errors of both over the same seconds.",
    )
    streak: StreakField = Field(
        default=Streak(),
        description="Since the canary last answered a request well: seconds, failed requests, conversations that failed"
        " for the first time, and those of them whose first request failed; requests and failed ones of stable, and"
        " conversations that came to it.",
    )
    overloaded: bool = Field(
        default=False,
        description="Half or more of the requests of the last tick were answered 429 or 529; promotion holds.",
    )
    shared: str = Field(default="", description="In what stable is worse than it was; promotion holds.")
    weight: int = Field(default=0, description="Weight at the last tick, in basis points.")
    ticks: int = Field(default=0, description="Ticks that compared something.")
    recorded: Moment | None = Field(default=None, description="The last tick in the ledger.")
    incident: IncidentField = Field(
        default=IncidentSums(), description="Stable's errors and latency, before and in the last seconds."
    )
    calm: list[MetricState] = Field(
        default=[], description="Once there was an incident: stable's evidence outside of it, one entry a metric."
    )
    offsets: list[Offsets] = Field(default=[], description="By weight, read before the canary had its first request.")
    sample_ratio: SampleRatio | None = Field(default=None, alias="split", description=SampleRatio.__doc__)
    measured: list[Measured] = Field(default=[], description="Metrics with a threshold.")
    series: list[Series] = Field(default=[], description="Metrics of the judge MannWhitney.")
    asks: list[str] = Field(default=[], description="Metrics in mode Hold that have changed: a person decides.")
    let_pass: list[str] = Field(default=[], description="Those that a person has let pass in this rollout.")
    state: list[MetricState] = Field(default=[], description="The judge's memory, one entry a metric.")
    open: list[OpenStratum] = Field(default=[], description="What the next ticks are added to before it is compared.")
