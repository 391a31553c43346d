"""The rollout checklist in a pass: what it is decided from, `status.checklist`, ChecklistPassed, and its hold."""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from typing import Literal

from claude_operator.api.checklist import ChecklistItem, ChecklistStatus, Mode
from claude_operator.api.conditions import Reason
from claude_operator.api.moments import to_millisecond
from claude_operator.core.catalogue.lifecycle import lifecycle_of, models_in_use
from claude_operator.core.checklist.case import Case, Finding, Rehearsal
from claude_operator.core.checklist.evaluate import evaluate, mode_in_force
from claude_operator.core.checklist.signatures import content_hash
from claude_operator.core.reconcile.caching import report_cache
from claude_operator.core.reconcile.draft import Draft
from claude_operator.core.reconcile.notice import Notice
from claude_operator.core.reconcile.prices import unpriced
from claude_operator.core.reconcile.progress import active
from claude_operator.core.reconcile.service_levels import budget_statuses
from claude_operator.core.text import count, cut

__all__ = ["case_of", "checklist_due", "checklist_state", "hold_open", "mode_of", "report_checklist", "subject"]

State = tuple[Literal["True", "False", "Unknown"], Reason, str]

_AGAIN = 15.0  # seconds until an open checklist that holds is looked at again
_NAMED = 2  # open items that a sentence explains
_LONGEST = 400  # characters of an item's message in status


def mode_of(draft: Draft) -> Mode | None:
    """The mode in force; None while the cluster's default is not known."""
    spec = draft.obs.spec
    own = spec.checklist.mode if spec is not None and spec.checklist is not None else None
    return mode_in_force(own, draft.obs.checklist)


def subject(draft: Draft) -> str | None:
    """The revision that the checklist is about: on trial, else wanted, else what serves."""
    rollout = active(draft.status)
    return rollout.revision if rollout is not None else draft.wanted or draft.status.stable_revision


def case_of(draft: Draft) -> Case | None:
    """All that is known of that revision; None while there is none, or the spec cannot be read."""
    obs, status, name = draft.obs, draft.status, subject(draft)
    found = obs.revisions.get(name or "")
    if name is None or found is None or obs.spec is None:
        return None
    content = found["spec"]
    models = models_in_use(content.get("request") or {}, content.get("subagents"))
    stable = obs.revisions.get(status.stable_revision or "") if status.stable_revision != name else None
    run_name = _run_name(draft, name)
    cache = report_cache(obs, status)
    return Case(
        now=obs.now,
        namespace=str(obs.owner["metadata"]["namespace"]),
        name=obs.name,
        revision=name,
        content=content,
        content_hash=obs.revision_hashes.get(name) or content_hash(content),
        spec=obs.spec,
        serves=status.stable_revision == name,
        stable=stable["spec"] if stable else None,
        run_name=run_name,
        run=obs.eval_runs.get(run_name),
        asked=obs.eval_set.asked if obs.eval_set is not None and obs.eval_set.items is not None else None,
        usage=obs.usage,
        cache=(cache.reason, cache.message),
        budgets=budget_statuses(obs),
        unpriced=unpriced(obs, models),
        models=obs.models,
        lifecycles=[(one, lifecycle_of(one, obs.now.date(), obs.models)) for one in models],
        rehearsals=_rehearsals(draft),
        failed_drill=_failed_drill(draft),
        sight=obs.checklist,
    )


def report_checklist(draft: Draft) -> ChecklistStatus | None:
    """`status.checklist`."""
    mode = mode_of(draft)
    if mode is None:
        return draft.obs.status.checklist
    before, case = draft.obs.status.checklist, case_of(draft)
    if not _is_read(draft) and before is not None and (before.mode, before.revision) == (mode, subject(draft)):
        return before  # a new leader reads signatures in its first second
    if mode == "Off" or case is None:
        return ChecklistStatus(mode=mode, revision=subject(draft))
    found = evaluate(case)
    items = [_item(one) for one in found]
    return ChecklistStatus(mode=mode, revision=case.revision, open=sum(one.is_open for one in found), items=items)


def checklist_state(draft: Draft) -> State:
    """The condition ChecklistPassed, of `status.checklist` as it will be."""
    report, fault = draft.status.checklist, draft.obs.checklist.fault
    told = f"; {fault}" if fault else ""
    if report is None:
        return "Unknown", Reason.CHECKLIST_UNKNOWN, f"ClaudeChecklists are not read yet{told}"
    if report.mode == "Off":
        return "Unknown", Reason.CHECKLIST_OFF, f"nothing is checked, because its mode is Off{told}"
    if not report.items:
        return "Unknown", Reason.CHECKLIST_UNKNOWN, f"there is no revision to check yet{told}"
    failed = [one for one in report.items if one.result == "Failed"]
    unknown = [one for one in report.items if one.result == "Unknown"]
    if failed or unknown:
        reason = Reason.CHECKLIST_OPEN if failed else Reason.CHECKLIST_UNKNOWN
        text = f"{_explain(draft, [*failed, *unknown], len(report.items))}{told}"
        return "False" if failed else "Unknown", reason, text
    by_hand = sum(one.result in ("Signed", "NotApplicable") for one in report.items)
    done = f"{count(len(report.items), 'item')} of {report.revision}: {len(report.items) - by_hand} passed"
    return "True", Reason.ITEMS_PASSED, f"{done}, {by_hand} signed{told}"


def hold_open(draft: Draft) -> Draft:
    """Hold a canary's first weight while items are open and the mode is Enforce; with a mode Warn that somebody wrote
    say once that it gets the weight all the same.

    Nothing else waits for the checklist: no rollback, no abort, and nothing that serves.
    """
    rollout, report = active(draft.status), report_checklist(draft)
    mode = mode_of(draft)
    if mode is None or (mode == "Enforce" and not _is_read(draft)):
        return draft.hold_for(Reason.CHECKLIST_UNKNOWN, f"the first weight waits: {_unread(draft)}").requeue_in(1.0)
    if rollout is None or report is None or mode == "Off" or not report.open:
        return draft
    waiting = [one for one in report.items if one.result in ("Failed", "Unknown")]
    waiting.sort(key=lambda one: one.result != "Failed")
    open_items = _explain(draft, waiting, len(report.items))
    notice = Notice("checklist", rollout.trial)
    if mode == "Enforce":
        message = f"the first weight waits for the checklist: {open_items}"
        held = draft.hold_for(Reason.CHECKLIST_OPEN, message).requeue_in(_AGAIN)
        return held if held.has_handled(notice) else _told(held, notice, message)
    if not _is_written(draft) or draft.has_handled(notice):
        return draft
    return _told(draft, notice, f"{rollout.revision} gets its first weight with an open checklist: {open_items}")


def checklist_due(status: ChecklistStatus | None, draft: Draft) -> float | None:
    """Seconds until a signature that counts ends; None where none does."""
    ends = [one.until for one in (status.items if status else ()) if one.until is not None]
    left = [(end - draft.obs.now).total_seconds() for end in ends]
    return max(min(left), 0.0) + 1.0 if left else None


def _is_read(draft: Draft) -> bool:
    """Whether signatures have been read, or why they cannot be is known."""
    return draft.obs.checklist.known or bool(draft.obs.checklist.fault)


def _told(draft: Draft, notice: Notice, note: str) -> Draft:
    return draft.handle(notice).record_event(Reason.CHECKLIST_OPEN, cut(note), warning=True)


def _is_written(draft: Draft) -> bool:
    """Whether somebody chose the mode, for this object or for the cluster."""
    spec = draft.obs.spec
    own = spec is not None and spec.checklist is not None and spec.checklist.mode is not None
    return own or any(rules.mode is not None for rules in draft.obs.checklist.rules)


def _unread(draft: Draft) -> str:
    return (
        draft.obs.checklist.fault or "ClaudeChecklists and signatures, which say whether it may go on, are not read yet"
    )


def _explain(draft: Draft, found: Sequence[ChecklistItem], of: int) -> str:
    namespace = draft.obs.owner["metadata"]["namespace"]
    told = "; ".join(f"{one.id}: {_short(one.message)}" for one in found[:_NAMED])
    more = f"; and {len(found) - _NAMED} more" if len(found) > _NAMED else ""
    all_ = f"kubectl claude checklist {draft.obs.name} -n {namespace} shows all"
    return f"{len(found)} of {count(of, 'item')} open ({told}{more}); {all_}"


def _short(text: str) -> str:
    return text if len(text) <= _LONGEST // 2 else f"{text[: _LONGEST // 2 - 1]}…"


def _item(one: Finding) -> ChecklistItem:
    return ChecklistItem(
        id=one.id,
        result=one.result,
        message=one.message if len(one.message) <= _LONGEST else f"{one.message[: _LONGEST - 1]}…",
        checklist=one.checklist or None,
        title=one.title or None,
        by=one.by or None,
        until=to_millisecond(one.until) if one.until else None,
    )


def _run_name(draft: Draft, revision: str) -> str:
    """The run that gated a revision: the rollout's own, else one of its runs that let it through, else any."""
    rollout, runs = draft.status.rollout, draft.obs.eval_runs
    if rollout is not None and rollout.revision == revision and rollout.eval_run:
        return rollout.eval_run
    known = sorted(name for name in runs if name.rpartition("-")[0] == revision)
    return next((name for name in known if runs[name].lets_through), known[0] if known else "")


def _rehearsals(draft: Draft) -> list[Rehearsal]:
    """Rollbacks that worked: drills and real ones."""
    real = [
        Rehearsal(one.finished_at, f"a rollback of {one.revision}")
        for one in draft.status.rollouts
        if one.outcome == "RolledBack" and one.finished_at is not None
    ]
    drill = draft.status.drill
    if drill is None or drill.at is None or drill.outcome != "Passed":
        return real
    return [*real, Rehearsal(drill.at, "a drill")]


def _failed_drill(draft: Draft) -> tuple[dt.datetime, str] | None:
    drill = draft.status.drill
    return (drill.at, drill.message) if drill and drill.at and drill.outcome == "Failed" else None
