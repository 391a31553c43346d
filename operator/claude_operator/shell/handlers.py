"""Events into keys: an event does nothing but put a key into the queue.

Only `on.event` is used, so kopf writes no finalizer, annotation or status of its own, and our deletion never hangs.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import kopf

from claude_operator.core import names
from claude_operator.kube.resources import (
    CLAUDE_DEPLOYMENTS,
    CLAUDE_EVAL_RUNS,
    CLAUDE_EVAL_SETS,
    CLAUDE_MODELS,
    CLAUDE_REVISIONS,
    CONFIG_MAPS,
    JOBS,
    Resource,
)
from claude_operator.shell.children import CHILDREN
from claude_operator.shell.keys import DEPLOYMENT, RUN, Key, key_of, owner_key
from claude_operator.shell.writes import digest

__all__ = ["BODILESS", "LABELS", "WATCHED", "Changes", "ChildChanged", "IsOwn", "make_registry"]

_OURS = {names.LABEL_MANAGED_BY: names.FIELD_MANAGER}
_GATEWAYS = {**_OURS, names.LABEL_COMPONENT: "gateway"}

LABELS = {**dict.fromkeys((*CHILDREN, JOBS), _OURS), CONFIG_MAPS: _GATEWAYS}
"""Of these kinds only objects with these labels are watched: not everybody's, and no ledger."""
WATCHED = (CLAUDE_DEPLOYMENTS, CLAUDE_REVISIONS, CLAUDE_EVAL_SETS, CLAUDE_EVAL_RUNS, CLAUDE_MODELS, *LABELS)
BODILESS = frozenset((CLAUDE_REVISIONS, CLAUDE_EVAL_SETS, CLAUDE_EVAL_RUNS, CLAUDE_MODELS, JOBS))
"""Of these kinds handlers look at the metadata alone, so nothing else is sent or parsed: prompts are long."""

Body = Mapping[str, Any]
Add = Callable[[Key], None]
ChildChanged = Callable[[Key, str, Mapping[str, Any]], None]
"""Gets the owner, the type of the event, and the child."""
IsOwn = Callable[[str, Mapping[str, Any]], bool]


def _nobody(uid: str, status: Mapping[str, Any]) -> bool:
    return False


class Changes:
    """Events into keys. Called in kopf's thread; what it is given must allow that.

    `is_own(uid, status)`: whether we wrote this status of a ClaudeDeployment.
    """

    def __init__(
        self,
        add: Add,
        *,
        child_changed: ChildChanged,
        set_changed: Callable[[str], None],
        models_changed: Callable[[], None],
        is_own: IsOwn = _nobody,
    ) -> None:
        self._add, self._child_changed, self._is_own = add, child_changed, is_own
        self._set_changed, self._models_changed = set_changed, models_changed
        self._seen: dict[str, tuple[object, ...]] = {}

    def deployment(self, kind: str | None, body: Body) -> None:
        """A ClaudeDeployment; where nothing but its status was written, and by us, or it is known, it is dropped."""
        metadata, status = body["metadata"], dict(body.get("status") or {})
        names_ = ("generation", "annotations", "labels", "deletionTimestamp")
        uid = metadata["uid"]
        look = (*(repr(metadata.get(name)) for name in names_), digest(status))
        before, self._seen[uid] = self._seen.get(uid), look
        if kind == "DELETED":
            self._seen.pop(uid, None)
        same = kind in ("MODIFIED", None) and before is not None and before[:-1] == look[:-1]
        if same and (before == look or self._is_own(uid, status)):
            return
        self._add(key_of(DEPLOYMENT, body))

    def run(self, body: Body) -> None:
        """A ClaudeEvalRun: its own loop and that of the ClaudeDeployment that it gates."""
        self._add(key_of(RUN, body))
        self.owned(body)

    def owned(self, body: Body) -> None:
        """A Job, or a revision that somebody deleted."""
        key = owner_key(body)
        if key is not None:
            self._add(key)

    def child(self, kind: str, body: Body) -> None:
        """What a ClaudeDeployment owns, or has owned."""
        key = owner_key(body)
        if key is not None:
            self._child_changed(key, kind, dict(body))

    def eval_set(self, body: Body) -> None:
        """A ClaudeEvalSet: the ClaudeDeployments of its namespace look whether it is theirs."""
        self._set_changed(body["metadata"]["namespace"])

    def model(self, body: Body) -> None:
        """A ClaudeModel; `refresh` looks at all of them."""
        self._models_changed()


def make_registry(changes: Changes) -> kopf.OperatorRegistry:
    """The handlers, in a registry of their own."""
    registry = kopf.OperatorRegistry()

    def on(resource: Resource, handler: Callable[[str | None, Body], None], **options: Any) -> None:
        async def put(**event: Any) -> None:  # kopf gives what is not async to a thread
            handler(event["type"], event["body"])

        where = (resource.group, resource.version, resource.plural)
        kopf.on.event(*where, id=resource.plural, registry=registry, **options)(put)

    def unlisted(handler: Callable[[Body], None]) -> Callable[[str | None, Body], None]:
        """Changes alone: what a watch begins with (type None) is put into the queue by the relist."""
        return lambda kind, body: handler(body) if kind else None

    on(CLAUDE_DEPLOYMENTS, changes.deployment)
    on(CLAUDE_EVAL_RUNS, unlisted(changes.run))
    on(CLAUDE_REVISIONS, lambda kind, body: changes.owned(body) if kind == "DELETED" else None)
    on(CLAUDE_EVAL_SETS, unlisted(changes.eval_set))
    on(CLAUDE_MODELS, unlisted(changes.model))
    on(JOBS, unlisted(changes.owned), labels=LABELS[JOBS])
    for resource in CHILDREN:
        on(resource, lambda kind, body: changes.child(kind, body) if kind else None, labels=LABELS[resource])
    return registry
