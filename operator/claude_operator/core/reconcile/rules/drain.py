"""The former stable revision keeps its conversations until its time has come: status follows what the config has."""

from __future__ import annotations

import datetime as dt

from claude_operator.api.conditions import Reason
from claude_operator.api.status import Draining
from claude_operator.core.reconcile.draft import Draft
from claude_operator.core.reconcile.drain import age, end_of_drain, explain_unfit, is_over, say_over
from claude_operator.core.reconcile.gateway_config import fits
from claude_operator.core.reconcile.gateway_state import SOON

__all__ = ["watch"]

_RETRY = 15.0  # seconds until a config that could not be written is written again


def watch(draft: Draft) -> Draft:
    """Say until when, and that it is over once the gateways' config no longer has the arm.

    The status says so last: until then a crash leaves enough to know that the arm has to go.
    """
    draining = draft.status.draining
    if draining is None:
        return _found(draft)
    if draining.revision == draft.status.stable_revision:  # it serves again
        return draft.set(draining=None)
    if not is_over(draft.obs, draining):
        draining = _with_end(draft, draining)
    if not is_over(draft.obs, draining):
        left = (draining.until - draft.obs.now).total_seconds()
        return draft.set(draining=draining).requeue_in(left)
    live = draft.obs.config.arm("former") if draft.obs.config else None
    if live is not None and live.revision == draining.revision:
        refused = "config" in draft.obs.refused
        return draft.set(draining=draining).requeue_in(_RETRY if refused else SOON)
    note = say_over(draft.status, draining)
    return draft.set(draining=None).record_event(Reason.DRAINED, note, warning=bool(draining.why))


def _with_end(draft: Draft, draining: Draining) -> Draining:
    """With when it ends as the spec is now, which is at once where something keeps it from being served."""
    obs, status, name = draft.obs, draft.status, draining.revision
    why = explain_unfit(obs, status, name)
    if not why and not fits(obs, status, name):
        why = (
            "it does not fit into the gateways' config beside the others: shorten prompts or tool descriptions, so"
            " that it does next time"
        )
    until = obs.now if why else end_of_drain(obs, draining)
    return draining.model_copy(update={"until": until, "why": why})


def _found(draft: Draft) -> Draft:
    """Status was lost and with it since when: the arm that gateways have stays for as long as after a promotion."""
    obs = draft.obs
    live = obs.config.arm("former") if obs.config else None
    lasts = age(obs)
    if live is None or obs.status.stable_revision is not None or lasts <= 0:
        return draft
    if live.revision == draft.status.stable_revision or explain_unfit(obs, draft.status, live.revision):
        return draft
    until = obs.now + dt.timedelta(seconds=lasts)
    return draft.set(draining=Draining(revision=live.revision, since=obs.now, until=until)).requeue_in(lasts)
