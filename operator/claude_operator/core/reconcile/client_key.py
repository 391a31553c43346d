"""The keys of a ClaudeDeployment, derived so that a Secret that was deleted comes back with the same ones."""

from __future__ import annotations

import hmac
from base64 import urlsafe_b64encode
from dataclasses import dataclass, field

__all__ = ["Keys", "client_key", "derive", "grader_key", "operator_key"]

_CLIENT = b"claudeops.dev/client-key/v1\0"
_OPERATOR = b"claudeops.dev/operator-key/v1\0"
_GRADER = b"claudeops.dev/grader-key/v1\0"


@dataclass(frozen=True, slots=True)
class Keys:
    """The keys of one ClaudeDeployment. Never printed."""

    client: str = field(repr=False)
    operator: str = field(repr=False)
    grader: str = field(repr=False)


def derive(master: bytes, uid: str) -> Keys:
    """All keys of the ClaudeDeployment with this UID."""
    return Keys(client_key(master, uid), operator_key(master, uid), grader_key(master, uid))


def client_key(master: bytes, uid: str) -> str:
    """The key of the ClaudeDeployment with this UID: HMAC-SHA256 under the installation's `master`.

    Who knows the keys of some deployments, or all UIDs, cannot tell another's. This never changes: another function
    would give applications 401.
    """
    return f"co-{_derived(master, _CLIENT, uid)}"


def operator_key(master: bytes, uid: str) -> str:
    """What the operator and the gateways of this deployment share. Another function would make its config unsigned."""
    return f"op-{_derived(master, _OPERATOR, uid)}"


def grader_key(master: bytes, uid: str) -> str:
    """What graders of this deployment's answers show."""
    return f"gr-{_derived(master, _GRADER, uid)}"


def _derived(master: bytes, purpose: bytes, uid: str) -> str:
    digest = hmac.digest(master, purpose + uid.encode(), "sha256")
    return urlsafe_b64encode(digest).decode().rstrip("=")
