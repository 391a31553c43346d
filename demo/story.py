"""What the demo tells: rows out of the ClaudeDeployment's status, and whether the story came out as it should. Pure."""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from claude_operator.core.catalogue.lifecycle import Lifecycle, state
from claude_operator.core.catalogue.table import all_models

Status = Mapping[str, Any]
Outcome = Literal["Promoted", "EvalFailed", "RolledBack"]
_SEEDLESS = "; so many items see"  # from here on a score says how much the set can show at all
_BAD = {"NoTraffic", "MetricsUnreachable", "Overloaded"}


@dataclass(frozen=True)
class Chapter:
    """One change that the team makes, and how it has to end."""

    label: str
    title: str
    outcome: Outcome
    file: str = ""


CHAPTERS = (
    Chapter("v1", "the first prompt", "Promoted"),
    Chapter("v2", "a better prompt: it says what the labels mean", "Promoted", "v2.yaml"),
    Chapter("v3", "a prompt made short to save tokens; it loses the labels' meaning", "EvalFailed", "v3.yaml"),
    Chapter("v4", "a prompt under which questions about transfers fail; the eval set has none of those, so only live"
            " traffic can tell", "RolledBack", "v4.yaml"),
    Chapter("v5", "the prompt of v2 on {model}, which is {lifecycle}", "Promoted", "v5.yaml"),
)  # fmt: skip


@dataclass(frozen=True)
class Row:
    """One transition. `weight` in percent; `mood` chooses a colour."""

    revision: str
    weight: float
    text: str
    mood: Literal["plain", "good", "bad", "warning"] = "plain"


@dataclass(frozen=True)
class Tally:
    """Live requests that one revision answered; `right` and `wrong` count answers with the right label and others."""

    requests: int = 0
    failed: int = 0
    right: int = 0
    wrong: int = 0


@dataclass
class Facts:
    """What the run has seen, by label of the revision; '' stands for requests that no revision answered."""

    outcomes: dict[str, str] = field(default_factory=dict)
    tallies: dict[str, Tally] = field(default_factory=dict)
    weights: dict[str, list[float]] = field(default_factory=dict)
    model_reason: str = ""
    lifecycle: str = "Deprecated"
    taken_back_after: float | None = None  # seconds from v4's first bad response to weight 0


def flagged_model(preferred: str, today: dt.date) -> tuple[str, str]:
    """The id and lifecycle of a model to warn of: `preferred` while it is Deprecated, another one, or a Legacy one."""
    states = {model.id: state(model, today) for model in all_models()}
    for lifecycle in (Lifecycle.DEPRECATED, Lifecycle.LEGACY):
        found = [name for name, its in states.items() if its.lifecycle == lifecycle]
        if found:
            return (preferred if preferred in found else found[0]), str(lifecycle)
    raise ValueError("the catalogue has no Deprecated or Legacy model today")


def condition(status: Status, name: str) -> Mapping[str, str]:
    """A condition, {} while there is none of this name."""
    return next((one for one in status.get("conditions") or () if one["type"] == name), {})


def ended(status: Status, revision: str) -> Mapping[str, Any]:
    """The record of a revision's last ended rollout, {} where there is none."""
    records = status.get("rollouts") or []
    return next((one for one in reversed(records) if one["revision"] == revision), {})


def rows(before: Status, after: Status) -> list[Row]:
    """The transitions between two statuses, in the order in which they happen."""
    return [row for rule in _RULES for row in rule(before, after)]


def _begun(before: Status, after: Status) -> list[Row]:
    was, now = before.get("rollout") or {}, after.get("rollout") or {}
    if not now or (was.get("revision"), was.get("attempt")) == (now["revision"], now["attempt"]):
        return []
    stable = after.get("stableRevision")
    return [Row(now["revision"], 0, f"starts against {stable}" if stable else "starts")]


def _flagged(before: Status, after: Status) -> list[Row]:
    was, now = condition(before, "ModelCurrent"), condition(after, "ModelCurrent")
    if now.get("status") != "False" or was.get("message") == now["message"]:
        return []
    weight = (after.get("step") or {}).get("weight", 0)
    return [Row(_wanted(after), weight, f"flagged: {now['message']}", "warning")]


def _evals(before: Status, after: Status) -> list[Row]:
    was, now = condition(before, "EvalPassed"), condition(after, "EvalPassed")
    if now.get("reason") != "EvalPassed" or was == now or was.get("message") == now["message"]:
        return []
    return [Row(_wanted(after), 0, f"evals passed: {now['message']}", "good")]


def _moved(before: Status, after: Status) -> list[Row]:
    step, canary = after.get("step") or {}, after.get("canaryRevision")
    was = (before.get("step") or {}).get("weight", 0) if before.get("canaryRevision") == canary else 0
    if not canary or not step or step["weight"] == was:
        return []
    judgement = after.get("judgement") or {}
    seen = f"; so far {judgement['message']}" if was and judgement.get("requests") else ""
    return [Row(canary, step["weight"], f"takes {step['weight']:g} % of conversations{seen}")]


def _over(before: Status, after: Status) -> list[Row]:
    known = {(one["revision"], one["attempt"]) for one in before.get("rollouts") or ()}
    found = [one for one in after.get("rollouts") or () if (one["revision"], one["attempt"]) not in known]
    return [
        Row(one["revision"], 100 if one["outcome"] == "Promoted" else 0, _ending(one),
            "good" if one["outcome"] == "Promoted" else "bad")
        for one in found
    ]  # fmt: skip


def _ending(record: Mapping[str, Any]) -> str:
    message = str(record["message"])
    return f"evals failed, not one live request: {message}" if record["outcome"] == "EvalFailed" else message


def _trouble(before: Status, after: Status) -> list[Row]:
    """What a demo that goes well does not show."""
    found = []
    for name in ("Accepted", "CanaryHealthy", "Ready"):
        was, now = condition(before, name), condition(after, name)
        wrong = now.get("reason") in _BAD or (name == "Accepted" and now.get("status") == "False")
        lost = name == "Ready" and was.get("status") == "True" and now.get("status") == "False"
        if (wrong or lost) and was.get("reason") != now["reason"]:
            weight = (after.get("step") or {}).get("weight", 0)
            found.append(Row(_wanted(after), weight, f"{name}: {now['message']}", "warning"))
    return found


_RULES: tuple[Callable[[Status, Status], list[Row]], ...] = (_begun, _flagged, _evals, _moved, _over, _trouble)


def _wanted(status: Status) -> str:
    return str((status.get("rollout") or {}).get("revision", ""))


def tidy(text: str, labels: Mapping[str, str]) -> str:
    """A sentence of the operator's with v1, v2 ... for the names of revisions, and without those of eval runs."""
    text = text.partition(_SEEDLESS)[0]
    for revision, label in labels.items():
        text = re.sub(rf"{re.escape(revision)}-[0-9a-f]{{8}}: ", "", text).replace(revision, label)
    text = re.sub(r"\b(Passed|Failed): ", "", text)
    for label in labels.values():  # the row's own column says which
        text = re.sub(rf"^(Promoted|Rolled back) {label} ", r"\1 ", text)
    return text[:1].lower() + text[1:]


def verdicts(facts: Facts) -> list[tuple[bool, str]]:
    """What has to be true in the end, each with whether it is."""
    none = Tally()
    total = sum(tally.requests for tally in facts.tallies.values())
    failed = sum(tally.failed for tally in facts.tallies.values())
    third, fourth = facts.tallies.get("v3", none), facts.tallies.get("v4", none)
    others = failed - fourth.failed
    taken = f"{facts.taken_back_after:.1f} s" if facts.taken_back_after is not None else "never"
    ends = [(chapter.label, chapter.outcome, facts.outcomes.get(chapter.label, "no end")) for chapter in CHAPTERS]
    told = ", ".join(f"{label} {end}" + ("" if end == due else f" (not {due})") for label, due, end in ends)
    steps = {label: facts.weights.get(label, []) for label in ("v2", "v5")}
    climbed = all(seen == [1, 10, 50, 100] for seen in steps.values())
    return [
        (
            all(end == due for _, due, end in ends),
            f"the five ended as they should: {told}",
        ),
        (climbed, f"v2 and v5 went through 1, 10, 50 and 100 % (v2 {steps['v2']}, v5 {steps['v5']})"),
        (third.requests == 0, f"v3 got {third.requests} live requests"),
        (
            facts.taken_back_after is not None and 0 < fourth.failed < 100,
            f"v4 was taken back {taken} after its first bad response; it cost users"
            f" {_requests(fourth.failed)}, of {fourth.requests:,} that it answered",
        ),
        (facts.model_reason == facts.lifecycle, f"v5 is flagged: ModelCurrent=False, reason {facts.model_reason}"),
        (
            others == 0 and total > 0,
            f"{total:,} live requests; {others} failed besides v4's {fourth.failed}",
        ),
    ]


def _requests(number: int) -> str:
    return "1 failed request" if number == 1 else f"{number:,} failed requests"


def shares(revisions: Sequence[str], labels: Mapping[str, str]) -> str:
    """`v1 90 %, v2 10 %` of a list with one entry a request."""
    counts = {label: sum(labels.get(one) == label for one in revisions) for label in labels.values()}
    parts = [f"{label} {round(100 * number / len(revisions))} %" for label, number in counts.items() if number]
    return ", ".join(parts)
