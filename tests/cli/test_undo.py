"""What an undo writes: the content of a revision such that the operator finds that revision in it."""

from __future__ import annotations

import copy
from typing import Any

import pytest

from claude_operator.cli.failure import Failure
from claude_operator.cli.undo import Undo, plan, target
from claude_operator.core.spec import revision

Object = dict[str, Any]
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
    undo = plan(obj, wanted, texts)
    after = applied(obj, undo)
    assert after.pop("paused") is False
    kept = (undo.config_map or {"data": {}})["data"]
    known = texts | {(f"{wanted['metadata']['name']}-prompts", key): text for key, text in kept.items()}
    assert revision.name("support", revision.content(after, known)) == wanted["metadata"]["name"]


def test_texts_that_config_maps_still_have_are_read_there() -> None:
    spec = {"request": REQUEST, "promptFrom": [source("a"), source("b")]}
    obj = owner({**spec, "request": {**REQUEST, "max_tokens": 5}})
    undo = plan(obj, made(spec, PROMPTS), PROMPTS)
    assert undo.config_map is None
    assert [one["path"] for one in undo.operations] == ["/metadata/generation", "/spec/request"]


def test_what_is_there_already_is_not_written() -> None:
    spec = {"request": REQUEST}
    assert plan(owner(spec), made(spec), {}).operations == []


def test_a_revision_made_by_hand_or_of_another_deployment_is_refused() -> None:
    forged = made({"request": REQUEST})
    forged["spec"]["request"]["max_tokens"] = 1
    with pytest.raises(Failure, match="does not have the content"):
        plan(owner(LATER), forged, PROMPTS)


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
