"""Derived keys: the same for ever, and none tells another."""

from __future__ import annotations

from claude_operator.core.reconcile.client_key import client_key, grader_key, operator_key

MASTER = bytes(range(32))


def test_a_key_never_changes() -> None:
    uid = "5d4c0a54-0000-4000-8000-000000000001"
    assert (client_key(MASTER, uid), operator_key(MASTER, uid), grader_key(MASTER, uid)) == GOLDEN


def test_every_deployment_and_installation_has_another() -> None:
    derive = {"co-": client_key, "op-": operator_key, "gr-": grader_key}
    owners = [(master, uid) for master in (MASTER, MASTER[::-1]) for uid in ("a", "b", "ab")]
    keys = {of(*owner) for of in derive.values() for owner in owners}
    assert len({key[3:] for key in keys}) == 18
    assert all(key[:3] in derive and len(key) == 46 and "=" not in key for key in keys)


GOLDEN = (
    "co-_mWqUSrC2Q-pUPI5OlKxfHirKLSZsTKGsS7ImfyDHFE",
    "op-XIQdD_KspGlv-ePS5yZUH2BiCo2s2VN4GJTF0VS8I1g",
    "gr-2KH5tvute0a_6Ki3JUVsS4Z-1BxZTC9fPu-Me-snRrA",
)
