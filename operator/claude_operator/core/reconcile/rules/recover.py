"""Facts that outlive a lost status write: what config.json says is so."""

from __future__ import annotations

from claude_operator.api.conditions import Reason
from claude_operator.api.gateway import Settled
from claude_operator.api.status import Outcome, Rollout, RolloutRecord
from claude_operator.core.reconcile.annotations import RETRY
from claude_operator.core.reconcile.draft import RECORDS, Draft
from claude_operator.core.reconcile.progress import soaking
from claude_operator.core.reconcile.promotion import take_back
from claude_operator.core.reconcile.track_record import FAILED, newest_in_state, outcome_of, recorded_state
from claude_operator.core.reconcile.trust import believe, doubted

__all__ = ["recover"]


def recover(draft: Draft) -> Draft:
    """Take over what is live: a stable arm that status does not know, and the end of a rollout.

    All else that status says of traffic holds only as far as the live config and the revisions bear it out.
    """
    config = draft.obs.config
    settled = config.settled if config else None
    outcome = outcome_of(settled) if settled else None
    if settled is not None and outcome is not None:
        draft = _ended(draft, settled, outcome)
    elif config is None:
        draft = _nothing_is_left(draft)
    draft, doubts = believe(draft)
    draft = _consistent(draft, doubts)
    if settled is not None and outcome is not None:
        draft = _consistent(_recorded(draft, settled, outcome, doubts), doubts)
    return doubted(draft, doubts)


def _ended(draft: Draft, settled: Settled, outcome: Outcome) -> Draft:
    """A trial whose end was written to the config before the status."""
    rollout = draft.status.rollout
    if rollout is None and not draft.status.rollouts:
        return _take_over(draft, settled, outcome)
    if rollout is None or rollout.revision != settled.revision:
        return draft
    if rollout.outcome is None and rollout.attempt <= settled.attempt:
        ended = draft.set_rollout(attempt=settled.attempt).end(outcome, settled.reason, settled.message)
        return ended.record_event(Reason(outcome), settled.message, warning=outcome != "Promoted")
    watched = soaking(draft.status)
    if watched is None or outcome == "Promoted" or rollout.attempt != settled.attempt:
        return draft
    back = take_back(draft, watched, outcome, settled.reason, settled.message)
    return back.record_event(Reason(outcome), settled.message, warning=True)


def _recorded(draft: Draft, settled: Settled, outcome: Outcome, doubts: list[str]) -> Draft:
    """With the end that the config has as the last one, or the last but one: status is a promotion ahead at most."""
    status = draft.status
    rollout, records = status.rollout, status.rollouts
    if draft.backward or (records and _same(records[-1], settled)):  # what ends in this pass is written with it
        return draft
    trial = settled.trial
    if rollout is not None and rollout.outcome is None:
        doubts.append(f"rollouts: {trial} is missing, which ended {outcome}")
        return draft.set(rollouts=_with(records, settled, outcome))
    last = records[-1] if records else None
    if last and rollout and _key(last) == _key(rollout) and any(_same(one, settled) for one in records[-2:-1]):
        promoted = last.outcome == rollout.outcome == "Promoted" and last.revision == status.stable_revision
        if promoted or (last.outcome == rollout.outcome and recorded_state(draft.obs, last.revision) == "Failed"):
            return draft
    doubts.append(f"rollouts: {trial} ended last, {outcome}")
    return _take_over(draft, settled, outcome)


def _consistent(draft: Draft, doubts: list[str]) -> Draft:
    """The rollout fits to what serves and to the ends that are known."""
    status, rollout = draft.status, draft.status.rollout
    last = status.rollouts[-1] if status.rollouts else None
    if rollout is None:
        return _from_record(draft, last) if last else draft
    if rollout.outcome is None:
        return _under_way(draft, rollout, last, doubts)
    trial = rollout.trial
    if rollout.outcome == "Promoted":
        if rollout.revision == status.stable_revision:
            return draft
        doubts.append(f"rollout: {trial} does not serve")
        return _from_record(draft, last)
    if last is None or (_key(last), last.outcome) == (_key(rollout), rollout.outcome):
        return draft
    doubts.append(f"rollout: {trial} did not end last")
    return _from_record(draft, last)


def _under_way(draft: Draft, rollout: Rollout, last: RolloutRecord | None, doubts: list[str]) -> Draft:
    """A trial that may be: of another revision than stable, and no attempt that has ended."""
    obs, trial = draft.obs, rollout.trial
    if rollout.revision == draft.status.stable_revision:
        doubts.append(f"rollout: {rollout.revision} serves and is not being rolled out")
        return _from_record(draft, last)
    known = [record for record in draft.status.rollouts if record.revision == rollout.revision]
    if any(record.attempt >= rollout.attempt for record in known):
        doubts.append(f"rollout: {trial} has ended")
        return _from_record(draft, known[-1])
    settled, asked = obs.config.settled if obs.config else None, obs.annotations.get(RETRY, "")
    if recorded_state(obs, rollout.revision) != "Failed" or asked.startswith(f"{rollout.revision}/"):
        return draft
    # One that begins again is a candidate in the same pass; the last to fail only begins if somebody asks for it.
    if settled is None and obs.config is None:
        settled = _failure(rollout.revision, max(rollout.attempt - 1, 1))
    if settled is None or settled.revision != rollout.revision or settled.outcome not in FAILED:
        return draft
    doubts.append(f"rollout: nobody asked for {trial}")
    return _take_over(draft, settled, outcome_of(settled) or "RolledBack")


def _nothing_is_left(draft: Draft) -> Draft:
    """Without config and status the revisions' own objects show what failed, so that it is not tried again."""
    failed = newest_in_state(draft.obs, "Failed")
    if failed is None or draft.status.rollout is not None or draft.status.rollouts:
        return draft
    return _take_over(draft, _failure(failed, 1), "RolledBack")


def _failure(revision: str, attempt: int) -> Settled:
    message = f"{revision} was rolled back before; its record was lost"
    return Settled(revision, attempt, "RolledBack", Reason.ROLLED_BACK, message)


def _take_over(draft: Draft, settled: Settled, outcome: Outcome) -> Draft:
    records = _with(draft.status.rollouts, settled, outcome)
    return _from_record(draft.set(rollouts=records), records[-1])


def _with(records: list[RolloutRecord], settled: Settled, outcome: Outcome) -> list[RolloutRecord]:
    """The records with an end as the last one."""
    end = RolloutRecord(
        revision=settled.revision,
        attempt=settled.attempt,
        outcome=outcome,
        reason=settled.reason,
        message=settled.message,
    )
    known = next((one for one in records if _same(one, settled)), end)
    return [*(one for one in records if not _same(one, settled)), known][-RECORDS:]


def _from_record(draft: Draft, record: RolloutRecord | None) -> Draft:
    """With the rollout that a record describes, and nothing on trial; without one where the record cannot be so."""
    rollout = None
    if record is not None and (record.outcome != "Promoted" or record.revision == draft.status.stable_revision):
        known = record.model_dump(include={"revision", "attempt", "outcome", "reason", "message", "started_at"})
        rollout = Rollout(**known)
    return draft.set(rollout=rollout, canary_revision=None, step=None, judgement=None, soak=None)


def _same(record: RolloutRecord, settled: Settled) -> bool:
    return (*_key(record), record.outcome) == (settled.revision, settled.attempt, settled.outcome)


def _key(one: Rollout | RolloutRecord) -> tuple[str, int]:
    return one.revision, one.attempt
