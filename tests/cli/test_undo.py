"""What an undo writes: the content of a revision such that the operator finds that revision in it."""

from __future__ import annotations

import copy
import datetime as dt
from typing import Any

import pytest

from claude_operator.cli.failure import Failure
from claude_operator.cli.undo import Undo, plan, target, wanted_spec
from claude_operator.core.spec import revision

Object = dict[str, Any]
TODAY = dt.date(2026, 11, 24)
BLOCK = {"type": "text", "text": "Say hello."}
REQUEST: Object = {"model": "claude-opus-5-5", "max_tokens": 100, "system": [BLOCK]}
PROMPTS = {("prompts", "a"): "Be kind.", ("prompts", "b"): "Be brief."}


def source(key: str, **fields: Any) -> Object:
    return {"configMapKeyRef": {"name": "prompts", "key": key}, **fields}


def owner(spec: Object, **status: Any) -> Object:
    metadata = {"name": "support", "namespace": "shop", "uid": "u", "generation": 7}
    return {
        "apiVersion": "claudeops.dev/v1alpha1",
        "kind": "ClaudeDeployment",
        "metadata": metadata,
        "spec": spec,
        "status": status,
    }


def made(spec: Object, prompts: dict[tuple[str, str], str] | None = None, state: str = "Old") -> Object:
    """The ClaudeRevision that the operator makes of a spec."""
    parts = revision.content(spec, prompts or {})
    name = revision.name("support", parts)
    return {"metadata": {"name": name}, "spec": revision.revision_spec(parts), "status": {"state": state}}


def applied(obj: Object, undo: Undo) -> Object:
    """The spec after the change."""
    spec = copy.deepcopy(obj["spec"])
    assert undo.operations[0] == {"op": "test", "path": "/metadata/generation", "value": 7}
    for one in undo.operations[1:]:
        field = one["path"].removeprefix("/spec/")
        if one["op"] == "remove":
            del spec[field]
        else:
            spec[field] = one["value"]
    return spec


SPECS = [
    {"request": REQUEST},
    {"request": {"model": "m", "max_tokens": 1}},
    {"request": {**REQUEST, "system": []}},
    {"request": REQUEST, "subagents": {"sorter": {"request": {"max_tokens": 5}}}, "overrides": {"system": "Append"}},
    {"request": REQUEST, "promptFrom": [source("a"), source("b", cache_control={"type": "ephemeral"})]},
    {"request": {"model": "m", "max_tokens": 1}, "promptFrom": [source("b")]},
]
LATER = {
    "request": {**REQUEST, "model": "claude-sonnet-5-5"},
    "promptFrom": [source("a")],
    "overrides": {"tools": "Append"},
}


@pytest.mark.parametrize("texts", [PROMPTS, {("prompts", "a"): "Be kind.", ("prompts", "b"): "Be long."}, {}])
@pytest.mark.parametrize("spec", SPECS)
def test_the_operator_finds_the_same_revision(spec: Object, texts: dict[tuple[str, str], str]) -> None:
    wanted = made(spec, PROMPTS)
    obj = owner({**LATER, "paused": False})
    undo = plan(obj, wanted, texts, TODAY)
    after = applied(obj, undo)
    assert after.pop("paused") is False
    kept = (undo.config_map or {"data": {}})["data"]
    known = texts | {(f"{wanted['metadata']['name']}-prompts", key): text for key, text in kept.items()}
    assert revision.name("support", revision.content(after, known)) == wanted["metadata"]["name"]


def test_texts_that_config_maps_still_have_are_read_there() -> None:
    spec = {"request": REQUEST, "promptFrom": [source("a"), source("b")]}
    obj = owner({**spec, "request": {**REQUEST, "max_tokens": 5}})
    undo = plan(obj, made(spec, PROMPTS), PROMPTS, TODAY)
    assert undo.config_map is None
    assert [one["path"] for one in undo.operations] == ["/metadata/generation", "/spec/request"]


def test_what_is_there_already_is_not_written() -> None:
    spec = {"request": REQUEST}
    assert plan(owner(spec), made(spec), {}, TODAY).operations == []


def test_a_revision_made_by_hand_or_of_another_deployment_is_refused() -> None:
    forged = made({"request": REQUEST})
    forged["spec"]["request"]["max_tokens"] = 1
    with pytest.raises(Failure, match="does not have the content"):
        plan(owner(LATER), forged, PROMPTS, TODAY)


def test_it_goes_back_to_what_serves_and_from_there_to_what_served_before() -> None:
    old, stable, bad = (made({"request": {**REQUEST, "max_tokens": n}}) for n in (1, 2, 3))
    stable["status"]["state"], bad["status"]["state"] = "Stable", "Failed"
    name = {"old": old["metadata"]["name"], "stable": stable["metadata"]["name"]}
    asks_bad, asks_stable = ({"request": {**REQUEST, "max_tokens": n}} for n in (3, 2))
    every = [old, stable, bad]
    serves = {"stableRevision": name["stable"]}
    assert target(owner(asks_bad, **serves), every, {}) == name["stable"]
    assert target(owner(asks_stable, **serves), every, {}) == name["old"]
    replaced = {**serves, "replaced": {"revision": name["old"], "at": "2026-11-24T10:00:00Z"}}
    assert target(owner(asks_stable, **replaced), every, {}) == name["old"]
    with pytest.raises(Failure, match="name one with --to"):
        target(owner(asks_stable, **serves), [stable, bad], {})
    with pytest.raises(Failure, match="no revision has served yet"):
        target(owner(asks_stable), [], {})


def test_a_prompt_that_is_missing_is_not_that_of_the_stable_revision() -> None:
    spec = {"request": REQUEST, "promptFrom": [source("a")]}
    stable = made(spec, PROMPTS, "Stable")
    assert target(owner(spec, stableRevision=stable["metadata"]["name"]), [stable], {}) == stable["metadata"]["name"]


# ---------------------------------------------------------------------------- with a model that migrate has replaced

OLD_MODEL, NEW_MODEL = "claude-sonnet-4-5-20250929", "claude-sonnet-5-5"
ON_OLD = {"request": {**REQUEST, "model": OLD_MODEL}, "lifecycle": {"migrate": {"to": NEW_MODEL}}}
ON_NEW = {"request": {**REQUEST, "model": NEW_MODEL}}
OF_OLD, OF_NEW = made(ON_OLD), made(ON_NEW)


def migrating(stable: Object, state: str, *replaced: str, spec: Object = ON_OLD) -> Object:
    """A ClaudeDeployment on the way from one model to the other."""
    known = {"from": [OLD_MODEL], "to": NEW_MODEL, "state": state, "replaced": list(replaced)}
    known |= {"revision": OF_NEW["metadata"]["name"]} if replaced else {}
    return owner(copy.deepcopy(spec), stableRevision=stable["metadata"]["name"], migration=known)


@pytest.mark.parametrize(("stable", "state"), [(OF_OLD, "InProgress"), (OF_OLD, "Failed"), (OF_NEW, "Promoted")])
def test_an_undo_of_a_migration_switches_it_off(stable: Object, state: str) -> None:
    obj = migrating(stable, state, OLD_MODEL)
    back = target(obj, [OF_OLD, OF_NEW], {})
    assert back == OF_OLD["metadata"]["name"]
    undo = plan(obj, OF_OLD, {}, TODAY)
    assert undo.ends_migration
    assert undo.operations == [
        {"op": "test", "path": "/metadata/generation", "value": 7},
        {"op": "remove", "path": "/spec/lifecycle/migrate"},
    ]


def test_an_undo_to_what_serves_does_not_end_a_migration_that_has_not_begun() -> None:
    """A prompt was rolled back, and the migration waits for the spec to be one that serves."""
    failed = {**ON_OLD, "request": {**ON_OLD["request"], "max_tokens": 5}}  # type: ignore[dict-item]
    obj = migrating(OF_OLD, "Waiting", spec=failed)
    assert target(obj, [OF_OLD, made(failed, state="Failed")], {}) == OF_OLD["metadata"]["name"]
    undo = plan(obj, OF_OLD, {}, TODAY)
    assert [one["path"] for one in undo.operations] == ["/metadata/generation", "/spec/request"]


def test_an_undo_to_a_model_that_would_be_replaced_at_once_switches_migrate_off() -> None:
    obj = owner(
        {**ON_NEW, "lifecycle": {"migrate": {"to": "claude-haiku-5-5"}}}, stableRevision=OF_NEW["metadata"]["name"]
    )
    assert plan(obj, OF_OLD, {}, TODAY).ends_migration
    assert not plan(obj, OF_OLD, {}, dt.date(2025, 10, 1)).ends_migration  # it was Active then


def test_without_migrate_the_spec_is_what_is_written() -> None:
    obj = migrating(OF_NEW, "Promoted", OLD_MODEL)
    assert wanted_spec(obj)["request"]["model"] == NEW_MODEL
    del obj["spec"]["lifecycle"]["migrate"]
    assert wanted_spec(obj)["request"]["model"] == OLD_MODEL
