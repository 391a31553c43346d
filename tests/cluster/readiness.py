"""Experiments in which more than half of all requests fail: what Ready says meanwhile, and who is told of the cause."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from tests.cluster import support
from tests.cluster.pace import Pace
from tests.cluster.record import Record
from tests.cluster.rollouts import annotate, bake, begun, deployment, start
from tests.cluster.support import condition, kubectl, wait_for
from tests.cluster.traffic import Answer, Traffic
from tests.cluster.upstream import Upstream

from claude_operator.simulator.errors import ApiError, of_status

Say = Callable[[str], None]

LONGEST = 10.0  # seconds of more than half of all requests failing after which Ready is not True, if all is idle
_SLACK = 1.0  # seconds that a status takes until it is seen here
_EVERY = 0.5  # seconds between two looks
_WINDOW = 2.0  # seconds of requests that a look takes in, before it and after it
_STUCK = 5.0  # seconds without an answer after which a request that ends with an error has failed
_RECOVERS = 60.0  # seconds until Ready is True again
_RATE = 20.0  # requests a second

EMPTY = "Your credit balance is too low to access the Anthropic API. Please go to Plans & Billing to upgrade or \
purchase credits."
OLD, NEW = "claude-haiku-5-5", "claude-sonnet-5-5"
_FIRST_MINUTE = [{"setWeight": 10}, bake(8), {"setWeight": 60}, bake(8)]


@dataclass
class Result:
    """What became of an experiment; times in seconds."""

    name: str
    failing: float = 0.0
    """The longest time for which more than half of all requests failed."""
    green: float = 0.0
    """For how long of it Ready was True."""
    reason: str = ""
    """Of Ready, at the end of the outage."""
    message: str = ""
    warnings: list[str] = field(default_factory=list)
    """Reasons of the Warning Events, as they came."""
    outcome: str = ""
    """Of the rollout, empty where there is none or it goes on."""
    conditions: list[str] = field(default_factory=list)
    """All conditions that were not True at the end of the outage."""
    pace: float = 1.0
    """How many times slower than an idle machine it was at its slowest."""
    broken: list[str] = field(default_factory=list)
    """Promises that were broken."""


@dataclass(frozen=True)
class Outage:
    """What goes wrong with the upstream, and what is promised then."""

    begins: Callable[[Upstream], None]
    cause: str
    """A pattern that finds the cause in the reason or message of a condition and of a Warning Event."""
    steps: list[dict[str, Any]] = field(default_factory=list)
    """Of a rollout that has just begun; none: there is no rollout."""
    seconds: float = 25.0
    ends_promoted: bool = False
    """The canary is the cure: the rollout goes on and ends the outage. Else no weight rises."""
    given_up: str = "8s"
    """Of silence, after which a gateway gives a request up."""
    patience: float = 60.0
    """Seconds, after which a client does."""
    canary_alone: bool = False
    """The canary alone fails and may be taken back. Else it may not."""


def run(name: str, namespace: str, say: Say = print) -> Result:
    """Run an experiment in a namespace of its own; `say` hears how far it is."""
    with Pace() as pace:
        result = EXPERIMENTS[name](Result(name), namespace, say)
    result.pace = pace.slowest
    if result.green > pace.stretched(LONGEST + _SLACK):
        result.broken.append(f"Ready is True after {result.green:.0f} s of failure")
    return result


def _outage(outage: Outage, result: Result, namespace: str, say: Say) -> Result:
    with Upstream() as upstream:
        first = start(namespace, **_spec(upstream, OLD, "v1", outage.given_up))
        with (
            Record(namespace) as record,
            Traffic("app", namespace, rate=_RATE, timeout=outage.patience) as traffic,
        ):
            wait_for(lambda: len(traffic.answers) > 20 and not traffic.answers[-1].error, 30, "nothing is served")
            weight, canary = 0, ""
            if outage.steps:
                model = NEW if outage.ends_promoted else OLD
                support.apply(
                    deployment("v2", outage.steps, **_spec(upstream, model, "v2", outage.given_up)), namespace
                )
                canary = begun(record, first)
                wait_for(lambda: record.at(1, canary), 60, "the canary does not bake", every=0.05)
                weight = record.weights(canary)[-1][2]
                say(f"{canary} bakes at {weight / 100:g} %")
            wrong = time.time()
            outage.begins(upstream)
            if outage.ends_promoted:
                _comes_true(result, lambda: record.rollout.get("outcome"), 90, "the rollout does not end the outage")
            else:
                time.sleep(outage.seconds)
            ended = time.time()
            _note(result, record.item)
            warnings = record.events(kind="Warning")
            result.outcome = str(record.rollout.get("outcome") or "") if canary else ""
            say(f"the outage is over after {ended - wrong:.0f} s; Ready is {result.reason}")
            _check_rollout(result, outage, [one for one in record.weights(canary) if one[0] > wrong], weight)
            if not outage.ends_promoted:
                upstream.up()
            _comes_true(result, lambda: _ready(record.item), _RECOVERS, "Ready does not become True again")
            if canary and not outage.canary_alone:
                _comes_true(result, lambda: record.rollout.get("outcome"), 90, "the rollout does not go on afterwards")
                after = record.rollout.get("outcome")
                if after == "RolledBack":
                    result.broken.append(f"a healthy canary was taken back: {record.rollout.get('message')}")
            traffic.stop()
            _judge(result, wrong, record.statuses(), traffic.answers)
            _check_told(result, outage.cause, warnings)
    return result


def _spec(upstream: Upstream, model: str, prompt: str, given_up: str = "8s") -> dict[str, Any]:
    return {
        "request": {"model": model, "max_tokens": 64, "system": [{"type": "text", "text": prompt}]},
        "upstream": {
            "baseURL": upstream.url,
            "apiKeySecretRef": {"name": "anthropic", "key": "api-key"},
            "timeouts": {"connect": "2s", "idle": given_up, "total": given_up},
        },
        "gateway": {"replicas": 1},
    }


def _without_config(result: Result, namespace: str, say: Say) -> Result:
    """The gateways' ConfigMap is deleted and may not be written again, and new gateway pods find none."""
    rule = {"apiGroups": [""], "operations": ["CREATE", "UPDATE"], "resources": ["configmaps"]}
    allowed = "object.metadata.name != 'app-gateway'"
    probe = ("annotate", "configmap", "app-gateway", "probe=", "--dry-run=server")
    with Upstream() as upstream:
        start(namespace, **_spec(upstream, OLD, "v1"))
        with Record(namespace) as record, Traffic("app", namespace, rate=_RATE) as traffic:
            wait_for(lambda: len(traffic.answers) > 20, 30)
            with support.denied("no-config", namespace, rule, allowed, lambda: kubectl(*probe, namespace=namespace)):
                wrong = time.time()
                kubectl("delete", "configmap", "app-gateway", namespace=namespace)
                pods = list(record.pods.alive)
                kubectl("delete", "pod", *pods, "--force", "--grace-period=0", namespace=namespace)
                time.sleep(25)
                _note(result, record.item)
            say("the configuration may be written again")
            _comes_true(result, lambda: _ready(record.item), _RECOVERS, "Ready does not become True again")
            traffic.stop()
            _judge(result, wrong, record.statuses(), traffic.answers)
            _check_told(result, "not now|[Cc]onfig", record.events(kind="Warning"))
    return result


def _deleted_revision(result: Result, namespace: str, say: Say) -> Result:
    """Stable's ClaudeRevision is deleted in mid-rollout, and then the configuration has to be written anew."""
    with Upstream() as upstream:
        first = start(namespace, **_spec(upstream, OLD, "v1"))
        with Record(namespace) as record, Traffic("app", namespace, rate=_RATE) as traffic:
            steps: list[dict[str, Any]] = [{"setWeight": 20}, {"pause": {}}]
            support.apply(deployment("v2", steps, **_spec(upstream, OLD, "v2")), namespace)
            canary = begun(record, first)
            wait_for(lambda: record.at(1, canary), 60, "the canary does not come to its pause")
            wrong = time.time()
            kubectl("delete", "clr", first, "--wait=false", namespace=namespace)
            time.sleep(5)
            annotate(namespace, "abort", f"{canary}/1")
            say(f"{first} was deleted, {canary} is taken back")
            time.sleep(20)
            _note(result, record.item)
            traffic.stop()
            _judge(result, wrong, record.statuses(), traffic.answers)
            result.outcome = str(record.rollout.get("outcome") or "")
            result.warnings = [reason for reason, _ in record.events(kind="Warning")]
            arms = record.config["arms"]
    if failed := traffic.failed():
        result.broken.append(f"{len(failed)} of {len(traffic.answers)} requests failed: {failed[-1].error[:80]}")
    if [(one["revision"], one["weight"]) for one in arms if one["weight"]] != [(first, 10_000)]:
        result.broken.append(f"{arms} is served")
    return result


# ------------------------------------------------------------------------------------------------- judging it


def _note(result: Result, item: dict[str, Any]) -> None:
    """Keep what is told at the end of the outage."""
    ready = condition(item, "Ready")
    result.reason, result.message = f"{ready.get('status')}/{ready.get('reason')}", str(ready.get("message", ""))
    every = (item.get("status") or {}).get("conditions") or []
    result.conditions = [
        f"{one['type']}={one['status']}/{one['reason']}: {one['message']}" for one in every if one["status"] != "True"
    ]


def _judge(
    result: Result, wrong: float, statuses: Iterable[tuple[float, dict[str, Any]]], answers: list[Answer]
) -> None:
    """For how long most requests failed, and for how much of that Ready was True."""
    told = [(at, condition({"status": status}, "Ready").get("status") == "True") for at, status in statuses]
    begun: float | None = None
    at = wrong
    while at < max(one.at for one in answers):
        at += _EVERY
        # Where it is over, Ready may say so at once.
        failing = most_fail(answers, at - _WINDOW, at), most_fail(answers, at, at + _WINDOW)
        if False in failing:
            begun = None
        if failing != (True, True):
            continue
        begun = at if begun is None else begun
        result.failing = max(result.failing, at - begun)
        green = next((true for when, true in reversed(told) if when <= at), False)
        if green:
            result.green = max(result.green, at - begun)


def most_fail(answers: Iterable[Answer], since: float, until: float) -> bool | None:
    """Whether more than half of all requests failed between two times; None where none came to anything.

    One that ends with an error has failed once it is without an answer for long.
    """
    known = [(min(one.at, one.began + _STUCK) if one.error else one.at, one.error) for one in answers]
    ended = [bool(error) for at, error in known if since < at <= until]
    return 2 * sum(ended) > len(ended) if ended else None


def _check_rollout(result: Result, outage: Outage, weights: list[tuple[float, int, int]], weight: int) -> None:
    if outage.ends_promoted:
        if result.outcome != "Promoted":
            result.broken.append(f"the rollout came to {result.outcome or 'no end'}")
        return
    rose = [one for _, _, one in weights if one > weight]
    if rose or result.outcome == "Promoted":
        result.broken.append(f"moved forward: {[one / 100 for one in rose]} {result.outcome}")
    if result.outcome == "RolledBack" and not outage.canary_alone:
        result.broken.append("rolled back, though both arms failed")


def _check_told(result: Result, cause: str, warnings: list[tuple[str, str]]) -> None:
    """A condition and a Warning Event name the cause, where most requests failed; nothing is told twice."""
    result.warnings = [reason for reason, _ in warnings]
    twice = {reason for reason in result.warnings if result.warnings.count(reason) > 1}
    if twice:
        result.broken.append(f"told more than once: {', '.join(sorted(twice))}")
    if result.failing <= LONGEST:
        return
    if not any(re.search(cause, one) for one in result.conditions):
        result.broken.append(f"no condition names the cause: {result.conditions}")
    if not any(re.search(cause, " ".join(one)) for one in warnings):
        result.broken.append(f"no Warning Event names the cause: {warnings}")


def _comes_true(result: Result, look: Callable[[], object], seconds: float, otherwise: str) -> None:
    try:
        wait_for(look, seconds, every=0.1)
    except AssertionError:
        result.broken.append(f"{otherwise} in {seconds:g} s")


def _ready(item: dict[str, Any]) -> bool:
    return bool(condition(item, "Ready").get("status") == "True")


# ----------------------------------------------------------------------------------------------- what there is


def _always(error: Callable[[], ApiError]) -> Callable[[Upstream], None]:
    return lambda upstream: upstream.refuse(lambda request: error())


def _retire(model: str) -> Callable[[Upstream], None]:
    def begins(upstream: Upstream) -> None:
        gone = of_status(404, f"model: {model}")
        upstream.refuse(lambda request: gone if request.body["model"] == model else None)

    return begins


def _hang(seconds: int = 600, **match: str) -> Callable[[Upstream], None]:
    return lambda upstream: upstream.behave({"match": match, "latency": {"median": f"{seconds}s"}})


_UPSTREAM = r"upstream|connect|refused|50[0234]|Claude API"
_HANGS = r"hang|no answer|in flight|504|time"
_OUTAGES = {
    "a dead upstream": Outage(Upstream.down, _UPSTREAM, _FIRST_MINUTE),
    "an upstream of 502s": Outage(
        _always(lambda: ApiError(502, "api_error", "Bad Gateway")), _UPSTREAM, _FIRST_MINUTE
    ),
    "an upstream that hangs": Outage(_hang(), _HANGS, _FIRST_MINUTE, seconds=30.0),
    "an upstream 30 s slow": Outage(
        _hang(seconds=30), _HANGS, _FIRST_MINUTE, seconds=27.0, given_up="120s"
    ),
    "an empty account": Outage(
        _always(lambda: of_status(400, EMPTY)), r"[Aa]ccount|credit balance", _FIRST_MINUTE
    ),
    "a dead upstream without a rollout": Outage(Upstream.down, _UPSTREAM, seconds=30.0),
    "stable's model retired": Outage(
        _retire(OLD), r"404|not_found|[Rr]etired|stable", [{"setWeight": 20}, bake(12), {"setWeight": 40}, bake(12)],
        ends_promoted=True,
    ),
    "a canary that hangs": Outage(
        _hang(systemContains="v2"), _HANGS, [{"setWeight": 10}, bake(8, 0), {"setWeight": 60}, bake(8, 0)],
        canary_alone=True, seconds=30.0, given_up="120s", patience=20.0,
    ),
}  # fmt: skip
EXPERIMENTS: dict[str, Callable[[Result, str, Say], Result]] = {
    **{name: partial(_outage, outage) for name, outage in _OUTAGES.items()},
    "gateways without a configuration": _without_config,
    "stable's revision deleted": _deleted_revision,
}
