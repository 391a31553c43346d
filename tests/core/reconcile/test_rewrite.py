"""What the Event at the start of a trial says of the prompt cache: by what was measured, and only then."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from tests.core.reconcile.rules.sample import CANARY, STABLE, drafted, serving

from claude_operator.core.reconcile.observation import Observation
from claude_operator.core.reconcile.rules.rollout import begin
from claude_operator.core.usage.cache import CacheUsage, Entry, Sums
from claude_operator.core.usage.state import Usages, UsageState

AUTOMATIC = {"cache_control": {"type": "ephemeral"}}


def observed(obs: Observation, calls: int, cached: int, **canary: Any) -> Observation:
    """Stable's calls of the last hour, and a canary with other fields in its request."""
    entry = Entry(STABLE, "chat", "p", Sums(calls, calls * cached, calls * cached, 0))
    slots = {int(obs.now.timestamp()) - 60: (entry,)} if calls else {}
    revisions = dict(obs.revisions)
    for name, more in ((STABLE, {}), (CANARY, canary)):
        stored = revisions[name]
        request = {**stored["spec"]["request"], "model": "claude-opus-5-5", **AUTOMATIC, **more}
        revisions[name] = {**stored, "spec": {**stored["spec"], "request": request}}
    usage = UsageState(Usages(cache=CacheUsage(slots=slots)), obs.now)
    return replace(obs, revisions=revisions, usage=usage)


def said(calls: int, cached: int, **canary: Any) -> list[str]:
    draft = drafted(serving())
    begun = begin(replace(draft, obs=observed(draft.obs, calls, cached, **canary)))
    return [event.note for event in begun.events[1:]]


OTHER = {"system": [{"type": "text", "text": "Be quite another one."}]}


def test_the_cost_of_the_edit_is_told_where_sessions_are_measured() -> None:
    (note,) = said(1_200, 41_000, **OTHER)
    assert note.endswith(
        "; on its way to 100 % it rewrites 41k cached tokens in each of at most 1,200 live sessions: 49.2M tokens,"
        " about $236 once on claude-opus-5-5"
    )


def test_nothing_is_guessed_where_nothing_is_measured() -> None:
    for calls, cached in ((0, 0), (100, 0)):
        (note,) = said(calls, cached, **OTHER)
        assert "rewrites" not in note
