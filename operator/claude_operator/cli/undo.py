"""Which revision an undo goes back to, and the change of the spec that does it."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from claude_operator.api.lifecycle import PLATFORMS, Migrate, Platform
from claude_operator.cli.deployment import status_of
from claude_operator.cli.failure import Failure
from claude_operator.core.catalogue.lifecycle import lifecycle_of, models_in_use
from claude_operator.core.catalogue.stages import has_reached
from claude_operator.core.spec import revision as content_of
from claude_operator.core.spec.mapping import replace_stored

__all__ = ["Undo", "plan", "prompt_keys", "target", "wanted_spec"]

Object = Mapping[str, Any]
Prompts = Mapping[tuple[str, str], str]

_FIELDS = ("request", "subagents", "promptFrom", "overrides")
_MIGRATE = {"op": "remove", "path": "/spec/lifecycle/migrate"}


@dataclass(frozen=True, slots=True)
class Undo:
    """What is written to go back."""

    revision: str
    operations: list[dict[str, Any]]
    """A JSON patch of the ClaudeDeployment; empty where its spec has this content already."""
    config_map: dict[str, Any] | None = None
    """Texts of promptFrom that its ConfigMaps no longer have."""

    @property
    def ends_migration(self) -> bool:
        """Whether spec.lifecycle.migrate goes: it would replace the revision's model again."""
        return _MIGRATE in self.operations


def wanted_spec(obj: Object) -> Object:
    """The spec with the models replaced that spec.lifecycle.migrate has replaced: what the operator rolls out."""
    known = status_of(obj).migration
    if known is None or not known.replaced or _migrate_of(obj) is None:
        spec: Object = obj["spec"]
        return spec
    return replace_stored(obj["spec"], known.replaced, known.to)


def prompt_keys(obj: Object) -> list[tuple[str, str]]:
    """The (name, key) of each ConfigMap key that promptFrom reads."""
    references = (one["configMapKeyRef"] for one in obj["spec"].get("promptFrom") or ())
    return [(one["name"], one["key"]) for one in references]


def target(obj: Object, revisions: Sequence[Object], prompts: Prompts) -> str:
    """The revision that serves where the spec asks for another one, else the one that served before it."""
    status = status_of(obj)
    known: dict[str, Object] = {one["metadata"]["name"]: one for one in revisions}
    stable = status.stable_revision
    if stable is None:
        raise Failure("no revision has served yet, so there is nothing to go back to")
    if stable in known and not _has_content(obj, known[stable], prompts):
        return stable
    if status.replaced is not None and status.replaced.revision in known:
        return status.replaced.revision
    old = [name for name, one in known.items() if (one.get("status") or {}).get("state") == "Old" and name != stable]
    if not old:
        raise Failure(f"no revision that served before {stable} is kept: name one with --to")
    return old[-1]


def plan(obj: Object, revision: Object, prompts: Prompts, today: dt.date) -> Undo:
    """The whole content of `revision` in the spec, such that the operator finds the same revision in it.

    Texts that came from ConfigMaps come from ConfigMaps again: inlined they would be another content, with evals and
    steps of its own. A text that has changed since is kept in a ConfigMap for the revision. Where
    spec.lifecycle.migrate would replace its model (again), that is removed.
    """
    name = revision["metadata"]["name"]
    parts = content_of.origin(revision, obj["metadata"]["name"])
    if parts is None:
        raise Failure(f"{name} does not have the content that its name stands for, or is another deployment's")
    sources, texts = _sources(name, parts.get("promptFrom") or (), obj, prompts)
    wanted = {**parts, "promptFrom": sources or None}
    operations = [
        step for field in _FIELDS if (step := _step(field, obj["spec"].get(field), wanted.get(field))) is not None
    ]
    if _is_replaced(obj, name, parts, today):
        operations.append(_MIGRATE)
    if operations:
        # Nobody else's change of the spec is lost; the status may change meanwhile.
        operations.insert(0, {"op": "test", "path": "/metadata/generation", "value": obj["metadata"]["generation"]})
    return Undo(name, operations, _config_map(obj, name, texts) if texts else None)


def _has_content(obj: Object, revision: Object, prompts: Prompts) -> bool:
    if any(key not in prompts for key in prompt_keys(obj)):
        return False
    return content_of.is_made_of(revision, content_of.content(wanted_spec(obj), prompts))


def _migrate_of(obj: Object) -> Migrate | None:
    asked = (obj["spec"].get("lifecycle") or {}).get("migrate")
    return Migrate.model_validate(asked) if asked else None


def _is_replaced(obj: Object, name: str, parts: Object, today: dt.date) -> bool:
    """Whether the operator would roll out another model in place of this content's.

    What serves on a model that is due and was not replaced yet goes on to serve until another one has been judged.
    """
    asked, status = _migrate_of(obj), status_of(obj)
    if asked is None:
        return False
    models = [one for one in models_in_use(parts["request"], parts.get("subagents")) if one != asked.to]
    replaced = status.migration.replaced if status.migration is not None else []
    named = (obj["spec"].get("upstream") or {}).get("platform")
    platform: Platform = next((one for one in PLATFORMS if one == named), "ClaudeAPI")
    states = (lifecycle_of(one, today, platform=platform) for one in models)
    due = name != status.stable_revision and any(has_reached(state, asked.stage) for state in states)
    return due or any(one in replaced for one in models)


def _sources(
    name: str, blocks: Sequence[Object], obj: Object, prompts: Prompts
) -> tuple[list[dict[str, Any]], dict[str, str]]:
    """Entries of promptFrom that give these blocks, and the texts that have to be kept for them."""
    present = {
        (one["configMapKeyRef"]["name"], one["configMapKeyRef"]["key"]): one
        for one in obj["spec"].get("promptFrom") or ()
    }
    unchanged = {prompts[key]: key for key in reversed(present) if key in prompts}
    # All of them, also those that are read elsewhere: another undo to this revision keeps the same.
    texts = {f"{number}.txt": one["text"] for number, one in enumerate(blocks)}
    sources, is_needed = [], False
    for number, block in enumerate(blocks):
        where = unchanged.get(block["text"])
        if where is None:
            where, is_needed = (_kept_in(name), f"{number}.txt"), True
        source: dict[str, Any] = {"configMapKeyRef": {"name": where[0], "key": where[1]}}
        if "cache_control" in block:
            source["cache_control"] = block["cache_control"]
        sources.append(source)
    return sources, texts if is_needed else {}


def _step(field: str, present: Any, wanted: Any) -> dict[str, Any] | None:
    if present == wanted:
        return None
    path = f"/spec/{field}"
    return {"op": "remove", "path": path} if wanted is None else {"op": "add", "path": path, "value": wanted}


def _kept_in(revision: str) -> str:
    return f"{revision}-prompts"


def _config_map(obj: Object, revision: str, texts: dict[str, str]) -> dict[str, Any]:
    metadata = obj["metadata"]
    owner = {"apiVersion": obj["apiVersion"], "kind": obj["kind"], "name": metadata["name"], "uid": metadata["uid"]}
    return {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"name": _kept_in(revision), "namespace": metadata["namespace"], "ownerReferences": [owner]},
        "immutable": True,
        "data": texts,
    }
