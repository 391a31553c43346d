"""Why a rollout stands where it does: the judge's last decision, its evidence, and calls that tell it."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from rich.console import Group, RenderableType
from rich.text import Text

from claude_operator.api.status import DeploymentStatus, Judgement, Rollout, RolloutRecord
from claude_operator.cli.deployment import status_of
from claude_operator.cli.failure import Failure
from claude_operator.cli.view.metrics import metric_facts, metric_table
from claude_operator.cli.view.paint import STYLES, fields, table
from claude_operator.core.judge.effects import number
from claude_operator.core.judge.ledger import config_map
from claude_operator.core.judge.ledger.points import Point, read_points
from claude_operator.core.reconcile.progress import soaking
from claude_operator.core.text import duration

__all__ = ["chosen_trial", "judgement_of", "ledger_of", "since", "why_facts", "why_view"]

Object = Mapping[str, Any]
Facts = dict[str, Any]

_BLOCKS = " ▁▂▃▄▅▆▇█"
_WIDTH = 60


def chosen_trial(obj: Object, wanted: str | None) -> Rollout | RolloutRecord:
    """The rollout that is asked about: the present or last one, or that of `<revision>/<attempt>` or a revision."""
    status = status_of(obj)
    if wanted is None:
        if status.rollout is None:
            raise Failure("no rollout has begun, so nothing was decided")
        return status.rollout
    known: list[Rollout | RolloutRecord] = [*status.rollouts, *([status.rollout] if status.rollout else [])]
    found = [one for one in known if wanted in (one.trial, one.revision)]
    if not found:
        names = ", ".join(dict.fromkeys(one.trial for one in known)) or "none"
        raise Failure(f"nothing is known of a rollout {wanted}; known are: {names}")
    return found[-1]


def judgement_of(status: DeploymentStatus, trial: Rollout | RolloutRecord) -> Judgement | None:
    """What the judge said of it, where status still has that."""
    if status.rollout is None or status.rollout.trial != trial.trial:
        return None
    soak = soaking(status)
    return soak.judgement if soak and soak.judgement else status.judgement


def ledger_of(trial: Rollout | RolloutRecord) -> str:
    """The ConfigMap with its ledger."""
    return config_map.name(trial.revision, trial.attempt)


def since(trial: Rollout | RolloutRecord, judgement: Judgement | None) -> str | None:
    """The moment from which on calls are of interest."""
    first = judgement.first_bad if judgement else None
    moment = first or trial.started_at
    return moment.strftime("%Y-%m-%dT%H:%M:%SZ") if moment else None


def why_facts(
    obj: Object, trial: Rollout | RolloutRecord, ledger: Object | None, calls: Sequence[Facts], calls_note: str = ""
) -> Facts:
    """What the view shows, and what `--output json` prints."""
    status = status_of(obj)
    judgement = judgement_of(status, trial)
    points = read_points(((ledger or {}).get("data") or {}).get(config_map.POINTS, ""))
    written = judgement.model_dump(by_alias=True, exclude_none=True, mode="json") if judgement else {}
    plan = status.rollout.plan if status.rollout else None
    end = next((one for one in reversed(status.rollouts) if one.trial == trial.trial), None)
    head = trial.model_dump(by_alias=True, exclude_none=True, mode="json", exclude={"plan"})
    names = ("verdict", "reason", "message", "leading", "requests", "evidence", "threshold", "firstBad", "lastTick")
    return {
        "namespace": obj["metadata"]["namespace"],
        "name": obj["metadata"]["name"],
        "trial": trial.trial,
        "outcome": head.get("outcome") or "InProgress",
        "reason": head.get("reason") or _condition(status, "Promoted").get("reason", ""),
        "message": head.get("message") or _condition(status, "Promoted").get("message", ""),
        "startedAt": head.get("startedAt"),
        "finishedAt": end.model_dump(by_alias=True, mode="json").get("finishedAt") if end else None,
        "judgement": {name: written[name] for name in names if name in written} or None,
        "metrics": _metrics(judgement, points, plan),
        "ledger": ledger_of(trial) if ledger is not None else None,
        "course": [{"t": one.t, "percent": one.percent, "total": one.total, "verdict": one.verdict} for one in points],
        "calls": list(calls),
        "callsNote": calls_note,
    }


def why_view(facts: Facts) -> RenderableType:
    """The facts for a person."""
    outcome, judged = facts["outcome"], facts["judgement"] or {}
    heading = Text.assemble((facts["trial"], "bold"), "  ", (outcome, STYLES.get(outcome, "bold")))
    leading = next((one for one in facts["metrics"] if one["name"] == judged.get("leading")), None)
    rows: dict[str, RenderableType | None] = {
        "Began": facts["startedAt"],
        "Ended": facts["finishedAt"],
        "Verdict": f"{judged['verdict']}: {judged['message']}" if judged.get("message") else judged.get("verdict"),
        "Evidence": f"{number(judged['evidence'])}, traffic goes back at {number(judged['threshold'])}"
        if judged
        else None,
        "Leading": f"{leading['name']}: {leading['seen']}" if leading else None,
        "First bad": judged.get("firstBad"),
        "Judged until": judged.get("lastTick"),
        "Ledger": f"ConfigMap {facts['ledger']}; `claude-operator judge plot` draws it" if facts["ledger"] else None,
    }
    parts: list[RenderableType] = [heading, Text(facts["message"]), Text(), fields(rows)]
    if len(facts["course"]) > 1:
        parts += [Text(), _course(facts["course"], judged.get("threshold", 100.0))]
    if facts["metrics"]:
        parts += [Text(), metric_table(facts["metrics"])]
    if facts["calls"]:
        parts += [Text(), _calls(facts["calls"])]
    if facts["callsNote"]:
        parts += [Text(), Text(facts["callsNote"])]
    return Group(*parts)


def _evidence(judged: Facts) -> str | None:
    return f"{number(judged['evidence'])}, traffic goes back at {number(judged['threshold'])}" if judged else None


def _metrics(judgement: Judgement | None, points: Sequence[Point], plan: Any) -> list[Facts]:
    """Of an earlier rollout only the evidence is kept, in its ledger."""
    if judgement is not None and plan is not None:
        return metric_facts(judgement, plan)
    if not points:
        return []
    found = sorted(points[-1].evidence.items(), key=lambda one: -one[1])
    kept = {"kind": "compared", "acts": "", "threshold": 0.0, "share": 0.0, "canary": [], "stable": [], "ratio": None}
    return [{**kept, "name": name, "evidence": value, "seen": "in the ledger"} for name, value in found]


def _condition(status: DeploymentStatus, type_: str) -> Facts:
    found = next((one for one in status.conditions if one.type == type_), None)
    return {"reason": found.reason, "message": found.message} if found else {}


def _course(course: Sequence[Facts], threshold: float) -> RenderableType:
    """Evidence of harm over time: a full block is the threshold."""
    length = course[-1]["t"] - course[0]["t"]
    cells = [0.0] * _WIDTH
    weights = [0.0] * _WIDTH
    for one in course:
        place = min(int((one["t"] - course[0]["t"]) / max(length, 1e-9) * _WIDTH), _WIDTH - 1)
        share = math.log(max(one["total"], 1.0)) / math.log(max(threshold, 2.0))
        cells[place], weights[place] = max(cells[place], min(share, 1.0)), one["percent"]
    line = "".join(_BLOCKS[max(round(cell * 8), 1 if cell > 0 else 0)] for cell in cells).rstrip()
    last = course[-1]
    text = f"evidence over {duration(length)}; weight {last['percent']:g} % at the end"
    return fields({"Course": Text(line or "no evidence of harm"), "": text})


def _calls(calls: Sequence[Facts]) -> RenderableType:
    made = table("TIME", "REQUEST ID", "STATUS", "WHAT", "THE API SAID")
    for one in calls:
        said = one.get("explanation") or ""
        made.add_row(str(one["time"])[:19].replace("T", " "), one["requestId"], str(one["status"]), _what(one), said)
    return made


def _what(call: Facts) -> str:
    if call.get("outcome") != "ok" or not call.get("latencyMs"):
        return str(call.get("error") or call.get("stopReason") or call.get("outcome") or "")
    first = f", first token {call['ttftMs'] / 1000:.1f} s" if call.get("ttftMs") else ""
    return f"{call['latencyMs'] / 1000:.1f} s{first}"
