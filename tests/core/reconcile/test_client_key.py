"""Client keys: the same for ever, and none tells another."""

from __future__ import annotations

from claude_operator.core.reconcile.client_key import client_key

MASTER = bytes(range(32))


def test_a_key_never_changes() -> None:
    assert client_key(MASTER, "5d4c0a54-0000-4000-8000-000000000001") == GOLDEN


def test_every_deployment_and_installation_has_another() -> None:
    keys = {client_key(master, uid) for master in (MASTER, MASTER[::-1]) for uid in ("a", "b", "ab")}
    assert len(keys) == 6
    assert all(key.startswith("co-") and len(key) == 46 and "=" not in key for key in keys)


GOLDEN = "co-_mWqUSrC2Q-pUPI5OlKxfHirKLSZsTKGsS7ImfyDHFE"
