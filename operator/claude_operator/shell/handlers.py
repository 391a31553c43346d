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
    DEPLOYMENTS,
    JOBS,
    Resource,
)
from claude_operator.shell.keys import DEPLOYMENT, RUN, Key, key_of, owner_key

__all__ = ["LABELLED", "WATCHED", "Changes", "make_registry"]

_OURS = {names.LABEL_MANAGED_BY: names.FIELD_MANAGER}

LABELLED = (DEPLOYMENTS, JOBS)
"""Kinds of which only those with our label are watched."""
WATCHED = (CLAUDE_DEPLOYMENTS, CLAUDE_REVISIONS, CLAUDE_EVAL_SETS, CLAUDE_EVAL_RUNS, CLAUDE_MODELS, *LABELLED)

Body = Mapping[str, Any]
Add = Callable[[Key], None]


class Changes:
    """Events into keys. Called in kopf's thread; `add`, `child_changed` and `models_changed` must allow that."""

    def __init__(
        self, add: Add, *, child_changed: Add, set_changed: Callable[[str], None], models_changed: Callable[[], None]
    ) -> None:
        self._add, self._child_changed = add, child_changed
        self._set_changed, self._models_changed = set_changed, models_changed
        self._seen: dict[str, object] = {}

    def deployment(self, kind: str | None, body: Body) -> None:
        """A ClaudeDeployment; writes of its status alone, most of them our own, and what is known are dropped."""
        metadata = body["metadata"]
        names_ = ("generation", "annotations", "labels", "deletionTimestamp")
        look = tuple(repr(metadata.get(name)) for name in names_)
        uid = metadata["uid"]
        if kind == "DELETED":
            self._seen.pop(uid, None)
        elif kind in ("MODIFIED", None) and self._seen.get(uid) == look:
            return
        else:
            self._seen[uid] = look
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

    def child(self, body: Body) -> None:
        """A gateway Deployment."""
        key = owner_key(body)
        if key is not None:
            self._child_changed(key)

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
    on(DEPLOYMENTS, unlisted(changes.child), labels=_OURS)
    on(JOBS, unlisted(changes.owned), labels=_OURS)
    return registry
