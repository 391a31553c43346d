"""Events into keys: an event does nothing but put a key into the queue.

Only `on.event` is used, so kopf writes no finalizer, annotation or status of its own, and our deletion never hangs.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
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

__all__ = ["BODILESS", "LABELS", "WATCHED", "Changes", "ChildChanged", "make_registry"]

_OURS = {names.LABEL_MANAGED_BY: names.FIELD_MANAGER}

LABELS = {**dict.fromkeys((*CHILDREN, JOBS), _OURS), CONFIG_MAPS: {**_OURS, names.LABEL_COMPONENT: "gateway"}}
"""Of these kinds only objects with these labels are watched; a ledger is none."""
WATCHED = (CLAUDE_DEPLOYMENTS, CLAUDE_REVISIONS, CLAUDE_EVAL_SETS, CLAUDE_EVAL_RUNS, CLAUDE_MODELS, *LABELS)
BODILESS = frozenset(WATCHED)
"""Of these kinds handlers look at the metadata alone, so nothing else is sent or parsed: prompts are long."""

Body = Mapping[str, Any]
Add = Callable[[Key], None]
ChildChanged = Callable[[Key, str, str, Body], None]
"""Gets the owner, the type of the event, the child's kind, and the child with its metadata at least."""


class Changes:
    """Events into keys. Called in kopf's thread; what it is given must allow that.

    `is_own(uid, version)`: whether we wrote the status of a ClaudeDeployment that made this resourceVersion.
    """

    def __init__(
        self, add: Add, *, child_changed: ChildChanged, set_changed: Callable[[str], None],
        models_changed: Callable[[], None], is_own: Callable[[str, str], bool],
    ) -> None:  # fmt: skip
        self._add, self._child_changed, self._is_own = add, child_changed, is_own
        self._set_changed, self._models_changed = set_changed, models_changed
        self._seen: dict[str, tuple[object, str]] = {}

    def deployment(self, kind: str | None, body: Body) -> None:
        """A ClaudeDeployment; our own writes of its status alone, and what is known, are dropped."""
        metadata = body["metadata"]
        names_ = ("generation", "annotations", "labels", "deletionTimestamp")
        look = tuple(repr(metadata.get(name)) for name in names_)
        uid, version = metadata["uid"], str(metadata.get("resourceVersion"))
        known, self._seen[uid] = self._seen.get(uid), (look, version)
        if kind == "DELETED":
            self._seen.pop(uid)
        same = kind in ("MODIFIED", None) and known is not None and known[0] == look
        if same and known and (known[1] == version or self._is_own(uid, version)):
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

    def child(self, type_: str, kind: str, body: Body) -> None:
        """What a ClaudeDeployment owns, or has owned."""
        key = owner_key(body)
        if key is not None:
            self._child_changed(key, type_, kind, body)

    def eval_set(self, body: Body) -> None:
        """A ClaudeEvalSet: the ClaudeDeployments of its namespace look whether it is theirs."""
        self._set_changed(body["metadata"]["namespace"])

    def model(self, body: Body) -> None:
        """A ClaudeModel; `refresh` looks at all of them."""
        self._models_changed()


def make_registry(changes: Changes, kinds: Collection[Resource] = WATCHED) -> kopf.OperatorRegistry:
    """The handlers of these kinds, in a registry of their own."""
    registry = kopf.OperatorRegistry()

    def on(resource: Resource, handler: Callable[[str | None, Body], None], **options: Any) -> None:
        if resource not in kinds:
            return

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
        on(resource, _child(changes, resource.kind), labels=LABELS[resource])
    return registry


def _child(changes: Changes, kind: str) -> Callable[[str | None, Body], None]:
    return lambda type_, body: changes.child(type_, kind, body) if type_ else None
