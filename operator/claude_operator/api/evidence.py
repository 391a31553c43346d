"""What a gateway counts, as it travels in JSON.

`Evidence` is the answer to `GET /-/evidence` on a gateway's admin port, `Cohorts` that to `GET /-/evidence/cohorts`,
`Serving` that to `GET /-/recent`, `Samples` that to `GET /-/samples`, and `Grade` the body of `POST /-/grades`. All
are strict: a document that does not parse is refused whole.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Annotated, Any, Literal

import msgspec

from claude_operator.api.faults import decode
from claude_operator.api.gateway import BASIS_POINTS, Count, Counted, GatewayConfig, Role, Text, Wire
from claude_operator.api.samples import GraderNote, Samples

OUTCOMES = ("ok", "error", "overload", "account", "refused", "canceled")
"""What became of a counted request: the table is `core.outcomes`.

`overload` and `account` blame no arm: the first is the upstream's load or a rate limit, the second an account that is
empty or at a limit. `refused`: turned away by the gateway itself. `canceled`: the client left before a stop_reason, or
the gateway cut the call off for reasons of its own.
"""

CacheState = Literal["read", "write", "none"]
Period = Literal["opening", "early", "late"]
"""Of a conversation: its first turn, turns 1 to 7, and all later ones."""
PINNED = "pinned"
MOVED = "moved"
OTHER = "other"

BAD_KINDS = ("error", "refusal", "max_tokens", "model_context_window_exceeded")
"""What makes a conversation bad: the outcome `error`, or one of these stop reasons of a complete answer."""

BAD_WINDOW = 300.0
"""Seconds for which a gateway shows which conversations it counted as bad."""

COHORTS_WINDOW = 3600.0
"""Seconds that the history of the cohorts covers at most."""

LN_WIDTH = math.log(1.25)
"""Width of a bucket on the logarithmic scale."""


class Histogram(Wire, frozen=True):
    """Sums of a positive quantity: plain, of natural logarithms and of their squares, with ×1.25 buckets.

    `buckets[i]` counts values v with floor(ln(v) / ln 1.25) == i, keys as decimal strings, e.g. {"-3": 7}.
    """

    count: Count = 0
    sum: float = 0.0
    sum_sq: float = 0.0
    ln_sum: float = 0.0
    ln_sum_sq: float = 0.0
    buckets: Annotated[dict[Text, Count], msgspec.Meta(max_length=8192)] = {}


class Counters(Wire, frozen=True, omit_defaults=True):
    """Cumulative since boot, for one arm and stratum. Only `POST /v1/messages` counts, and a retry only as one."""

    requests: Count = 0
    """Logical requests: each is counted once, at its first attempt."""
    outcomes: Counted = {}
    """By outcome; the outcomes add up to `requests`."""
    stop_reasons: Counted = {}
    """By `stop_reason` of complete responses; `refusal` is a refusal by the model."""
    ttft: Histogram = Histogram()
    """Seconds to the first byte of content, streamed responses only."""
    duration: Histogram = Histogram()
    """Seconds of the whole exchange."""
    cost: Histogram = Histogram()
    """US dollars, of answers whose price is known."""
    tokens: Counted = {}
    """Sums by kind: input, output, cacheRead, cacheWrite5m, cacheWrite1h."""
    retries: Count = 0
    """Attempts that say so and follow a failed one that this process has seen; they count nowhere else."""
    conversations: Count = 0
    """Conversations first seen here under this generation; one that 50,000 others have followed is new again."""
    bad_conversations: Counted = {}
    """By `BAD_KINDS`: conversations with such an event, once for a kind and arm; still bad after 1, 3, 7 min: again."""
    normalised_cost: Histogram = Histogram()
    """US dollars, the cacheable part of the prompt priced at stable's steady cache hit ratio."""
    output_tokens: Histogram = Histogram()
    """Output tokens of complete answers."""
    grades: Counted = {}
    """Verdicts on sampled answers, `pass`, `fail` and `unknown`, as reported to `POST /-/grades`."""
    unnamed: Count = 0
    """Those of `requests` that name no conversation, neither by a header nor in `metadata.user_id`."""
    budget: Counted = {}
    """Requests of surfaces with latency budgets: `within` all of them, or `over` at least one."""


class Stratum(Wire, frozen=True):
    """Counters of requests that are alike before their outcome is known (surface), and by cache state."""

    revision: Text
    role: Role
    surface: Text
    """A surface named in the config, `other`, or `pinned` for requests that chose their revision."""
    cache: CacheState
    counters: Counters


TURNS = (0, 1, 2, 4, 8, 16, 32, 64)
"""Lower edges of the buckets that turns are counted in."""


class UnitCounters(Wire, frozen=True, omit_defaults=True):
    """Conversations of one arm and stratum, cumulative since boot: each counts once a period, and goes bad once."""

    entries: Count = 0
    """Conversations whose first answered request of this period was counted here."""
    first_bad: Counted = {}
    """By `<kind>:<turn>`, the kind of its first bad event and the lower edge of the turn's bucket, e.g. `error:4`."""
    budget: Counted = {}
    """Conversations by their first request of this period that says how it kept to its surface's latency budgets:
    `within` all of them, or `over` at least one."""
    ttft: Histogram = Histogram()
    """Seconds to the first content; here and below one value a conversation and period, its first."""
    duration: Histogram = Histogram()
    cost: Histogram = Histogram()
    """US dollars, priced as `Counters.normalised_cost`."""
    output_tokens: Histogram = Histogram()
    time_per_output_token: Histogram = Histogram()
    """Seconds a token after the first content."""


class UnitStratum(Wire, frozen=True):
    """Conversations that are alike before their outcome is known."""

    revision: Text
    role: Role
    surface: Text
    """As in `Stratum`, or `moved` for conversations that changed arm, or may have."""
    period: Period
    cache: CacheState
    counters: UnitCounters


class GenerationEvidence(Wire, frozen=True, omit_defaults=True):
    """What was counted while one config generation was in force."""

    generation: Count
    strata: Annotated[list[Stratum], msgspec.Meta(max_length=10_000)] = []
    weights: Counted | None = None
    """By revision, in basis points, of the conversations in `units`; None: not known."""
    units: Annotated[list[UnitStratum], msgspec.Meta(max_length=10_000)] = []
    """Of conversations that began while these weights were live, whenever their requests came."""


Generations = Annotated[list[GenerationEvidence], msgspec.Meta(max_length=16)]


class BadConversation(Wire, frozen=True, array_like=True):
    """One count among `bad_conversations`, as an array: [generation, revision, surface, kind, digest, age].

    Those of requests that chose their revision or have no conversation key are left out.
    """

    generation: Count
    revision: Text
    surface: Text
    kind: Text
    digest: Text
    """Stands for the conversation under this generation, revision and kind: the same in every gateway process."""
    age: Annotated[float, msgspec.Meta(ge=0.0)]
    """Seconds since it was counted."""


class CallerShare(Wire, frozen=True, array_like=True):
    """What one client's key has in the evidence of a revision, as an array, where clients show keys of their own.

    Without requests that chose their revision.
    """

    generation: Count
    revision: Text
    digest: Text
    """Stands for the key: the same in every gateway process. Empty: all others together."""
    requests: Count = 0
    """Requests with the outcome `ok` or `error`."""
    errors: Count = 0
    conversations: Count = 0
    bad: Count = 0
    """Conversations that count as bad for an error."""
    left_out: Count = 0
    """Requests that count nowhere else, since the key has more conversations than all others together."""


class Before(Wire, frozen=True):
    """An earlier reading of the same process, as it was then."""

    reading: Count
    uptime: float
    generations: Generations = []
    bad_count: Count = 0
    """Bad conversations counted one by one up to then: `bad_first` plus the length of `bad`."""


class InFlight(Wire, frozen=True):
    """Requests of one arm that have gone upstream and have not ended. Only `POST /v1/messages`, without `pinned`."""

    revision: Text
    requests: Count = 0
    waiting: Count = 0
    """Those of them that have had no content yet, nor a whole answer."""
    oldest: float = 0.0
    """Seconds that the longest of `waiting` has waited."""


class Recent(Wire, frozen=True):
    """What clients got recently. All `POST /v1/messages` that ended in the last `seconds`, retries and pinned ones too.

    Refusals of the client's own making (4xx by the gateway) and canceled ones are left out.
    """

    seconds: float = 10.0
    requests: Count = 0
    failed: Count = 0
    causes: Counted = {}
    """The failed ones by cause: `error`, `overload`, `account`, or `unserved` for a 5xx of the gateway's own making."""
    said: Text = ""
    """Status and error type of the newest failure, such as `529 overloaded_error`."""


class Failure(Wire, frozen=True):
    """An error that an arm was answered with recently, and how often, from 5 to 10 minutes back."""

    revision: Text
    error: Text
    """Status and error type, and what the message says without a word of the client's."""
    requests: Count = 0


class DrillNote(Wire, frozen=True, omit_defaults=True):
    """The drill in the config that a gateway process serves, `id`, empty where there is none."""

    id: Text = ""
    last: Text = ""
    """The drill that the process served last, also where it no longer does; what follows is about it."""
    failed: Count = 0
    """Requests that this process has failed for it."""
    first: Annotated[float, msgspec.Meta(ge=0.0)] | None = None
    """Seconds since the first of them."""


class Evidence(Wire, frozen=True, omit_defaults=True):
    """One gateway process's counts. A new `boot_id` starts from zero.

    `GET /-/evidence?since=<boot id>.<reading>` (or an empty `since`) asks for what stands after `bad_first` too, and
    `&keep=1` has the process remember this reading for a later `since`, the last 32 of them; `&callers=1` asks for what
    stands after `weights`; `&units=1` for `units` and `weights` of `generations`; `&grading=1` for `grader`; `&drill=1`
    for `drill`; `&budgets=1` for `budget` of counters; `&gzip=1` for the document in gzip, where it is worth it.
    """

    boot_id: Text
    config_generation: Count
    """The generation being served now."""
    uptime: float
    """Seconds since boot."""
    generations: Generations = []
    """The last four, oldest first."""
    config_error: Text = ""
    """Why the newest config was refused, empty when it was not."""
    bad: Annotated[list[BadConversation], msgspec.Meta(max_length=2000)] = []
    """The newest of what was counted as bad in the last 300 seconds, oldest first, at most 2,000."""
    bad_first: Count = 0
    """How many there were since boot before the first of `bad`."""
    reading: Count = 0
    """The number of this reading where it is kept, counted from 1 since boot; 0 where it is not."""
    before: Before | None = None
    """The reading that `since` names, None where it is of another process or no longer kept."""
    in_flight: Annotated[list[InFlight], msgspec.Meta(max_length=256)] = []
    recent: Recent | None = None
    failures: Annotated[list[Failure], msgspec.Meta(max_length=256)] = []
    """The three commonest errors of each revision."""
    weights: Counted | None = None
    """By revision, in basis points: what is being served, whatever the config says. Empty: all get 503."""
    callers: Annotated[list[CallerShare], msgspec.Meta(max_length=1024)] = []
    """Of each revision the 16 with most errors or requests, then all others in one."""
    assignment: Text = ""
    """The secret that conversations are drawn with, by a hash of it; empty: none."""
    grader: GraderNote | None = None
    """Of who asked for samples last, None before anybody has."""
    drill: DrillNote | None = None
    """Of the drill under way, also where there is none; None: not asked for, or a gateway of before drills."""


def parse_evidence(data: bytes) -> Evidence:
    """Read an evidence document; raises `ValueError`."""
    return decode(data, Evidence, "evidence")


class Serving(Wire, frozen=True):
    """What a gateway process does at this moment, and what its clients got recently: `GET /-/recent`."""

    boot_id: Text
    config_generation: Count
    weights: Counted | None
    """By revision, in basis points. Empty: all get 503. None: no config was read yet."""
    recent: Recent


def parse_serving(data: bytes) -> Serving:
    """Read what a gateway serves; raises `ValueError`."""
    return decode(data, Serving, "serving")


class Grade(Wire, frozen=True, omit_defaults=True):
    """One verdict on an answer that was sampled from live traffic."""

    revision: Text
    passed: bool | None
    """None: the grader could not decide, which is evidence of nothing."""
    surface: Text = OTHER
    id: Text = ""
    """That of the sample: a verdict with the same id, revision and conversation counts once, however often it comes."""
    conversation: Text = ""
    """That of the sample: of a conversation one verdict counts for a revision."""


def parse_grade(data: bytes) -> Grade:
    """Read a verdict; raises `ValueError` that says what to write instead."""
    try:
        return decode(data, Grade, "grade")
    except ValueError as error:
        example = '{"revision": "support-5f6d8c1a2b", "surface": "chat", "passed": true}'
        raise ValueError(f"{error}; write for example {example}, surface may be left out") from error


Cohort = Annotated[int, msgspec.Meta(ge=0, lt=BASIS_POINTS)]


class Cohorts(Wire, frozen=True, omit_defaults=True):
    """The last hour of each permanent cohort on the stable arm, in columns of one length; only cohorts with requests.

    Only where users are assigned. Left out are requests that chose their revision, those without a key, and retries.
    """

    boot_id: Text
    window: Annotated[float, msgspec.Meta(ge=0.0, le=COHORTS_WINDOW)]
    """Seconds that the history covers."""
    cohort: list[Cohort]
    requests: list[Count]
    """Requests with the outcome `ok` or `error`; the columns after it are about these."""
    errors: list[Count]
    ttft_count: list[Count]
    ttft_ln_sum: list[float]
    """Sums of ln seconds to the first byte of content."""
    cost_count: list[Count]
    cost_ln_sum: list[float]
    """Sums of ln US dollars, priced as `normalised_cost`."""
    assignment: Text = ""
    """The secret that the cohorts are drawn with, by a hash of it; empty: none."""


def parse_cohorts(data: bytes) -> Cohorts:
    """Read a history of cohorts; raises `ValueError`."""
    cohorts = decode(data, Cohorts, "cohorts")
    columns = ("requests", "errors", "ttft_count", "ttft_ln_sum", "cost_count", "cost_ln_sum")
    lengths = {name: len(getattr(cohorts, name)) for name in columns}
    wrong = [f"{name} has {length}" for name, length in lengths.items() if length != len(cohorts.cohort)]
    if wrong:
        raise ValueError(f"cohorts: there are {len(cohorts.cohort)} cohorts, but {', '.join(wrong)} entries")
    if len(set(cohorts.cohort)) != len(cohorts.cohort):
        raise ValueError("cohorts: a cohort is listed twice")
    return cohorts


def json_schemas() -> Mapping[str, Any]:
    """JSON Schemas of the documents, for the docs and for other implementations."""
    documents = [GatewayConfig, Evidence, Serving, Grade, Samples, Cohorts]
    schemas, components = msgspec.json.schema_components(documents, ref_template="#/$defs/{name}")
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", "anyOf": list(schemas), "$defs": components}
