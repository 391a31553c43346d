"""Message Batches of runs that are gone: a Job cancels them, since nobody would read what they answer.

What a run had under way is remembered while it lives, and only of a run that was asked for: where its key goes is what
its ClaudeDeployment says. A run that is deleted while no operator looks is not seen, and its batches go on.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass

from claude_operator.core import render
from claude_operator.core.evals.asked import Standing
from claude_operator.core.evals.runs import FINAL, batch_ids, run_status
from claude_operator.kube.client import Kube, KubeError, Object
from claude_operator.kube.resources import JOBS
from claude_operator.log import fields
from claude_operator.shell.keys import Key
from claude_operator.shell.permits import Permits

__all__ = ["BatchCancels"]

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class _UnderWay:
    run: Object
    batches: Sequence[str]


class BatchCancels:
    """The batches that runs have under way, by the run's key."""

    def __init__(self, kube: Kube, permits: Permits) -> None:
        self._kube, self._permits = kube, permits
        self._known: dict[Key, _UnderWay] = {}

    async def see(self, key: Key, run: Object, site: render.Site) -> None:
        """A run as it is now; another one of its name means that the one before is gone."""
        known = self._known.get(key)
        if known is not None and known.run["metadata"]["uid"] != run["metadata"]["uid"]:
            await self.gone(key, site)
            known = None
        status = run_status(run)
        batches = batch_ids(status)
        if status.phase in FINAL or not batches:
            self._known.pop(key, None)
        elif known is not None or (await self._permits.ask(run)).standing is Standing.ASKED:
            self._known[key] = _UnderWay(run, batches)

    async def gone(self, key: Key, site: render.Site) -> None:
        """The run is no more: cancel what it had under way. Raises KubeError where that is to be tried again."""
        known = self._known.get(key)
        if known is None:
            return
        why = await self._refusal(known, site)
        where = {"namespace": key.namespace, "name": key.name, "batches": ", ".join(known.batches)}
        if why:
            message = "Message Batches of a ClaudeEvalRun that is gone go on, and what they answer is paid for nothing"
            _log.warning(message, extra=fields(**where, reason=why))
        else:
            _log.info("Message Batches of a ClaudeEvalRun that is gone are cancelled", extra=fields(**where))
        del self._known[key]

    async def _refusal(self, known: _UnderWay, site: render.Site) -> str:
        """Make the Job; why there is none, empty where there is one."""
        if why := await self._permits.ask_upstream(known.run):
            return why
        try:
            await self._kube.create(JOBS, render.cancel_job(known.run, known.batches, site=site))
        except KubeError as error:
            if error.conflict:  # made before
                return ""
            if (error.status == 0 or error.status >= 500) and not error.terminating:
                raise
            return str(error).partition("\n")[0]
        return ""
