"""Signatures and ClaudeChecklists as passes find them: nothing is waited for, and what cannot be read is told."""

from __future__ import annotations

from typing import Any

import pytest
from tests.shell.fakes import FakeKube

from claude_operator.kube.client import KubeError
from claude_operator.shell.checklists import Checklists

Object = dict[str, Any]
API = {"apiVersion": "claudeops.dev/v1alpha1"}


def signature(name: str, namespace: str = "demo", **spec: Any) -> Object:
    known = {
        "deployment": "support", "item": "workflow", "revision": "support-0123456789", "decision": "Passed",
        "contentHash": f"sha256:{'0' * 64}", "reason": "looked at", "signedBy": "alice",
        "expiresAt": "2027-01-01T00:00:00Z",
    }  # fmt: skip
    metadata = {"name": name, "namespace": namespace, "creationTimestamp": "2026-11-24T09:00:00Z"}
    return {**API, "kind": "ClaudeSignature", "metadata": metadata, "spec": known | spec}


def rules(name: str, **spec: Any) -> Object:
    return {**API, "kind": "ClaudeChecklist", "metadata": {"name": name}, "spec": spec}


class Refusing:
    """Kinds that cannot be listed, and with which status."""

    def __init__(self, kube: FakeKube) -> None:
        self.kinds: dict[str, int] = {}
        kube.before = self

    def __call__(self, verb: str, kind: str, name: str) -> None:
        if kind in self.kinds:
            raise KubeError(self.kinds[kind], "Refused", "no")


async def test_a_pass_sees_what_was_read_last() -> None:
    kube = FakeKube()
    book = Checklists(kube, authors_held=True)  # type: ignore[arg-type]
    woken: list[set[str] | None] = []
    book.wake = woken.append
    assert not book.sight("demo").known
    kube.put(signature("a"))
    kube.put(signature("b", "other"))
    kube.put(rules("prod", mode="Enforce", namespaces=["demo"]))
    await book.look()
    sight = book.sight("demo")
    assert (sight.known, sight.authors_held, sight.fault) == (True, True, "")
    assert [one.name for one in sight.signatures] == ["a"]
    assert [(one.name, one.mode) for one in sight.rules] == [("prod", "Enforce")]
    assert book.sight("other").rules == ()
    assert woken == [None]
    await book.look()
    assert woken == [None], "nothing has changed"
    kube.put(signature("c", "other"))
    await book.look()
    assert woken == [None, {"other"}]
    kube.drop("ClaudeSignature", "a")
    await book.look()
    assert (woken[-1], book.sight("demo").signatures) == ({"demo"}, ())


@pytest.mark.parametrize("status", [403, 404])
async def test_without_the_definitions_or_rights_there_are_none(status: int) -> None:
    kube = FakeKube()
    refusing = Refusing(kube)
    refusing.kinds = {"ClaudeSignature": status, "ClaudeChecklist": status}
    book = Checklists(kube)  # type: ignore[arg-type]
    await book.look()
    sight = book.sight("demo")
    assert (sight.known, sight.signatures, sight.rules) == (True, (), ())
    assert "claudechecklists cannot be read" in sight.fault
    assert "claudesignatures cannot be read" in sight.fault


async def test_while_the_api_server_fails_what_was_read_stays() -> None:
    kube = FakeKube()
    refusing = Refusing(kube)
    book = Checklists(kube)  # type: ignore[arg-type]
    refusing.kinds = {"ClaudeChecklist": 500}
    await book.look()
    assert not book.sight("demo").known, "whether the cluster enforces is not known"
    refusing.kinds = {}
    kube.put(rules("prod", mode="Enforce"))
    kube.put(signature("a"))
    await book.look()
    refusing.kinds = {"ClaudeChecklist": 500, "ClaudeSignature": 500}
    await book.look()
    sight = book.sight("demo")
    assert (sight.known, len(sight.signatures), len(sight.rules)) == (True, 1, 1)
    assert sight.fault


async def test_a_403_takes_no_checklist_of_the_cluster_away() -> None:
    kube = FakeKube()
    refusing = Refusing(kube)
    kube.put(rules("prod", mode="Enforce"))
    book = Checklists(kube)  # type: ignore[arg-type]
    await book.look()
    refusing.kinds = {"ClaudeChecklist": 403}
    await book.look()
    assert [one.mode for one in book.sight("demo").rules] == ["Enforce"]
    assert "claudechecklists cannot be read" in book.sight("demo").fault
    refusing.kinds = {"ClaudeChecklist": 404}
    await book.look()
    assert book.sight("demo").rules == (), "their definition was deleted"


async def test_in_some_namespaces_no_checklist_of_the_cluster_is_asked_for() -> None:
    kube = FakeKube()
    kube.put(signature("a"))
    kube.put(rules("prod", mode="Enforce"))
    book = Checklists(kube, ["demo", "other"])  # type: ignore[arg-type]
    await book.look()
    assert (book.sight("demo").known, len(book.sight("demo").signatures), book.sight("demo").rules) == (True, 1, ())
    assert {kind for _, kind, _ in kube.calls} == {"ClaudeSignature"}


@pytest.mark.parametrize(
    "spec",
    [
        {"expiresAt": "soon"},
        {"expiresAt": "2027-01-01T00:00:00"},
        {"expiresAt": "0001-01-01T00:00:00+14:00"},
        {"expiresAt": "9999-12-31T23:59:59-14:00"},
        {"decision": "Maybe"},
        {"signedBy": ""},
    ],
)
async def test_a_signature_that_cannot_be_read_does_not_count(spec: Object) -> None:
    kube = FakeKube()
    kube.put(signature("a", **spec))
    kube.put(signature("b"))
    book = Checklists(kube)  # type: ignore[arg-type]
    await book.look()
    assert [one.name for one in book.sight("demo").signatures] == ["b"]


async def test_a_checklist_of_a_newer_version_is_told() -> None:
    kube = FakeKube()
    kube.put(rules("newer", mode="Strictest"))
    kube.put(rules("prod", mode="Warn", items=[{"name": "a", "title": "b", "webhook": {}}]))
    book = Checklists(kube)  # type: ignore[arg-type]
    await book.look()
    sight = book.sight("demo")
    assert "ClaudeChecklist newer, prod cannot be read by this operator" in sight.fault
    assert [(one.name, one.mode) for one in sight.rules] == [("newer", "Enforce"), ("prod", "Warn")]
