"""Whose an object of a child's name is, in one place: ours, ours to adopt, on its way out, or somebody else's."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from enum import StrEnum
from typing import Any

from claude_operator.api.base import GROUP
from claude_operator.core import names
from claude_operator.core.spec import revision

__all__ = ["Claim", "adoption", "annotated_by", "applies", "claim", "is_marked", "is_ours", "refusal", "written_by"]

Object = Mapping[str, Any]


class Claim(StrEnum):
    """What a ClaudeDeployment may do with an object."""

    OURS = "ours"  # it is the controller
    ORPHAN = "orphan"  # it was ours and nothing that lives controls it: it is adopted
    LEAVING = "leaving"  # left of an earlier owner and being deleted: wait
    FOREIGN = "foreign"  # never touched


def claim(obj: Object, owner: Object, *, known: Collection[str] = ()) -> Claim:
    """What `obj`, as it is stored, is to the ClaudeDeployment `owner`; `known` are UIDs that were its children.

    An orphan has no controller, or one of the owner's kind and name under another UID: names are unique, so that one
    is no more. And it shows that it was made by us: a revision or an eval run by a content that hashes to its name,
    anything else by our labels or a UID that we know.
    """
    metadata = obj["metadata"]
    controller = _controller(obj)
    if controller is not None and controller.get("uid") == owner["metadata"]["uid"]:
        return Claim.OURS
    if controller is not None and not _is_predecessor(controller, owner):
        return Claim.FOREIGN
    if metadata.get("deletionTimestamp"):
        return Claim.LEAVING
    return Claim.ORPHAN if metadata.get("uid") in known or _was_made_for(obj, owner) else Claim.FOREIGN


def is_ours(obj: Object, owner: Object, *, known: Collection[str] = ()) -> bool:
    """Whether it is the owner's, or about to be."""
    return claim(obj, owner, known=known) in (Claim.OURS, Claim.ORPHAN)


def is_marked(obj: Object, deployment: str) -> bool:
    """Whether it carries our labels for the ClaudeDeployment of this name."""
    labels = obj["metadata"].get("labels") or {}
    made_by, made_for = labels.get(names.LABEL_MANAGED_BY), labels.get(names.LABEL_DEPLOYMENT)
    return bool((made_by, made_for) == (names.FIELD_MANAGER, deployment))


def adoption(obj: Object, owner: Object) -> dict[str, Any]:
    """The merge patch that makes the owner an orphan's controller, fenced; references of others stay."""
    metadata = obj["metadata"]
    uid = owner["metadata"]["uid"]
    others = [
        one
        for one in metadata.get("ownerReferences") or ()
        if one.get("uid") != uid and not (one.get("controller") and _is_predecessor(one, owner))
    ]
    name = owner["metadata"]["name"]
    labels = {names.LABEL_INSTANCE: name, names.LABEL_MANAGED_BY: names.FIELD_MANAGER, names.LABEL_DEPLOYMENT: name}
    return {
        "apiVersion": obj["apiVersion"],
        "kind": obj["kind"],
        "metadata": {
            "name": metadata["name"],
            "namespace": metadata["namespace"],
            "resourceVersion": metadata["resourceVersion"],
            "labels": labels,
            "ownerReferences": [*others, names.owner_reference(owner)],
        },
    }


def refusal(obj: Object, owner: Object) -> str:
    """Whose a taken name is, and what helps."""
    kind, name, mine = obj["kind"], obj["metadata"]["name"], owner["kind"]
    if claim(obj, owner) is Claim.LEAVING:
        return f"{kind} {name} is left over from an earlier {mine} of this name and is being deleted; wait"
    controller = _controller(obj)
    if controller is not None:
        whose = f"belongs to {controller.get('kind')} {controller.get('name')}"
    else:
        whose = "belongs to something else" if kind not in _HASHED else "has content that does not match its name"
    return f"{kind} {name} {whose}: rename the {mine}, or remove that object"


def written_by(obj: Object) -> str:
    """The field manager other than us that wrote last, empty where none is known."""
    entries: Sequence[Object] = obj["metadata"].get("managedFields") or ()
    ours = (names.FIELD_MANAGER, names.SCALE_MANAGER)
    others = [one for one in entries if one.get("manager") not in ours and not one.get("subresource")]
    newest = max(others, key=lambda one: str(one.get("time", "")), default=None)
    return str(newest.get("manager", "")) if newest else ""


def annotated_by(obj: Object, annotation: str) -> Object | None:
    """The entry of `managedFields` of who wrote an annotation last, None where none is known."""
    entries: Sequence[Object] = obj["metadata"].get("managedFields") or ()
    path = ("metadata", "annotations", annotation)
    found = [one for one in entries if not one.get("subresource") and _has(one.get("fieldsV1") or {}, path)]
    return max(found, key=lambda one: str(one.get("time", "")), default=None)


def applies(obj: Object, manager: str, path: Sequence[str]) -> bool:
    """Whether this field manager owns the field by server-side apply; `path` goes through mappings alone."""
    entries: Sequence[Object] = obj["metadata"].get("managedFields") or ()
    return any(
        _has(one.get("fieldsV1") or {}, path)
        for one in entries
        if (one.get("manager"), one.get("operation")) == (manager, "Apply") and not one.get("subresource")
    )


def _has(fields: Object, path: Sequence[str]) -> bool:
    found: Object | None = fields
    for name in path:
        found = found.get(f"f:{name}") if isinstance(found, Mapping) else None
    return found is not None


def _controller(obj: Object) -> Object | None:
    references: Sequence[Object] = obj["metadata"].get("ownerReferences") or ()
    return next((one for one in references if one.get("controller")), None)


def _is_predecessor(reference: Object, owner: Object) -> bool:
    """Whether it names an object of the owner's kind and name, but of another life."""
    group = str(reference.get("apiVersion", "")).partition("/")[0]
    named = (reference.get("kind"), reference.get("name")) == (owner["kind"], owner["metadata"]["name"])
    return group == GROUP and named and reference.get("uid") != owner["metadata"]["uid"]


def _was_made_for(obj: Object, owner: Object) -> bool:
    rule = _HASHED.get(obj["kind"])
    name = owner["metadata"]["name"]
    return rule(obj, name) if rule is not None else is_marked(obj, name)


def _is_run(obj: Object, deployment: str) -> bool:
    """A run gates by its name and its result, so it also has to carry our labels."""
    spec = obj.get("spec") or {}
    hashed = names.eval_run_name(str(spec.get("revision")), str(spec.get("setHash")))
    return is_marked(obj, deployment) and spec.get("deployment") == deployment and hashed == obj["metadata"]["name"]


_HASHED = {"ClaudeRevision": revision.is_of, "ClaudeEvalRun": _is_run}
