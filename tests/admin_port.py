"""Both ends of a gateway's admin port for tests: what the operator asks, and what a pod answers."""

from __future__ import annotations

import base64
import http.client
import secrets
from collections.abc import Mapping
from typing import Any

from claude_operator.api.gateway import ADMIN_PORT, OPERATOR_KEY
from claude_operator.core.operator_key import admit, ask, is_answer, prove


def key_in(secret: Mapping[str, Any]) -> bytes:
    """The operator's key in the Secret `<name>-gateway`."""
    return base64.b64decode(secret["data"][OPERATOR_KEY])


def read(address: str, target: str, *, pod: str, key: bytes, timeout: float = 1.0) -> bytes | None:
    """A document that this pod has given, None where it has not."""
    nonce = secrets.token_hex(16)
    connection = http.client.HTTPConnection(address, ADMIN_PORT, timeout=timeout)
    try:
        connection.request("GET", target, headers=ask(key, pod=pod, method="GET", target=target, nonce=nonce))
        response = connection.getresponse()
        body, headers = response.read(), {name.lower(): value for name, value in response.getheaders()}
    except (OSError, http.client.HTTPException):
        return None
    finally:
        connection.close()
    return body if is_answer(key, pod=pod, nonce=nonce, body=body, headers=headers) else None


def proof(key: bytes, *, pod: str, target: str, headers: Mapping[str, str], body: bytes) -> dict[str, str]:
    """Headers of a pod's answer; raises `ProofError` where the operator has not asked."""
    nonce = admit(key, pod=pod, method="GET", target=target, headers=headers)
    return prove(key, pod=pod, nonce=nonce, body=body)
