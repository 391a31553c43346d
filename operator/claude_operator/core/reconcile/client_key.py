"""The key of an application's Secret, derived so that a Secret that was deleted comes back with the same one."""

from __future__ import annotations

import hmac
from base64 import urlsafe_b64encode

__all__ = ["client_key"]

_PURPOSE = b"claudeops.dev/client-key/v1\0"


def client_key(master: bytes, uid: str) -> str:
    """The key of the ClaudeDeployment with this UID: HMAC-SHA256 under the installation's `master`.

    Who knows the keys of some deployments, or all UIDs, cannot tell another's. This never changes: another function
    would give applications 401.
    """
    digest = hmac.digest(master, _PURPOSE + uid.encode(), "sha256")
    return f"co-{urlsafe_b64encode(digest).decode().rstrip('=')}"
