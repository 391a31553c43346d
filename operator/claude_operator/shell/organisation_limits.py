"""Which ClaudeDeployments the spent budget of an organisation concerns: read by each pass."""

from __future__ import annotations

import datetime as dt

from claude_operator.api.organisation import OrganizationBudget
from claude_operator.core.organisation.budget import NOT_LOOKED, OrganizationLimit, limit_of, month_spend
from claude_operator.core.organisation.conditions import Seen

__all__ = ["OrganizationLimits"]

_SEVERITY = ("Within", "Near", "Unknown", "Over")


class OrganizationLimits:
    """By UID of the ClaudeOrganization."""

    def __init__(self) -> None:
        self._looked = False
        self._known: dict[str, tuple[OrganizationLimit, frozenset[str] | None]] = {}
        """Of whom: the UIDs of ClaudeDeployments, None for all while it is not known whose key is whose."""

    def of(self, uid: str) -> OrganizationLimit | None:
        """The budget that concerns the ClaudeDeployment with this UID, of several the one that is spent the most."""
        if not self._looked:
            return NOT_LOOKED
        found = [limit for limit, whose in self._known.values() if whose is None or uid in whose]
        return max(found, key=lambda one: (_SEVERITY.index(one.level), one.action, one.name), default=None)

    def note(self, uid: str, name: str, budget: OrganizationBudget | None, seen: Seen) -> None:
        """What there is to tell of one. Whose its keys are is remembered while its history does not answer."""
        if budget is None or budget.action == "Warn":
            self._known.pop(uid, None)
            return
        known = self._known.get(uid)
        whose = known[1] if known else None
        if seen.reading is not None and seen.holders is not None:
            whose = frozenset(one.uid for one in seen.holders if one.key)
        spent = month_spend(seen.reading, seen.holders, seen.now.astimezone(dt.UTC).date())
        self._known[uid] = limit_of(name, budget.monthly_usd, budget.action, spent, seen.now), whose

    def looked(self, living: set[str]) -> None:
        """All of them were looked at; `living` are their UIDs."""
        self._looked = True
        self._known = {uid: one for uid, one in self._known.items() if uid in living}

    def state(self) -> object:
        """Differs where some ClaudeDeployment is concerned in another way."""
        return self._looked, dict(self._known)
