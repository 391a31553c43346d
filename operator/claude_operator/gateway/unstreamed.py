"""Says once for each revision that clients ask for long answers in one piece."""

from __future__ import annotations

from claude_operator.core.catalogue.checks.limits import explain_unstreamed
from claude_operator.gateway.call import Call
from claude_operator.log import Log

__all__ = ["Unstreamed"]

_MOST = 64  # revisions that are remembered


class Unstreamed:
    """Calls that do not stream, while the revision or subagent lets an answer be long: it may take minutes."""

    def __init__(self, log: Log) -> None:
        self._log = log
        self._told: set[str] = set()

    def note(self, call: Call) -> None:
        """Take in a call that goes upstream."""
        if call.stream or call.choice is None or call.revision in self._told:
            return
        arm = call.choice.arm.arm
        own = arm.subagents.get(call.subagent, {})
        why = explain_unstreamed(own["max_tokens"] if "max_tokens" in own else arm.request.get("max_tokens"))
        if not why:
            return
        if len(self._told) >= _MOST:
            self._told.clear()
        self._told.add(call.revision)
        self._log.event("a long answer is not streamed", "warning", revision=call.revision, why=why)
