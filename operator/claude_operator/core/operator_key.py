"""What the operator and the gateways of one deployment prove to each other with the key that they share.

Each use has a subkey of its own, so that nothing made for one use is valid for another. The caller gives the nonce.
"""

from __future__ import annotations

import hashlib
import hmac
import ipaddress
from collections.abc import Iterable, Mapping
from typing import Literal

from claude_operator.api.gateway import (
    CONFIG_KEY,
    DRILL_KEY,
    DRILL_SIGNATURE_KEY,
    EGRESS_KEY,
    EGRESS_SIGNATURE_KEY,
    PRICES_KEY,
    PRICES_SIGNATURE_KEY,
    SIGNATURE_KEY,
    THROTTLE_KEY,
    THROTTLE_SIGNATURE_KEY,
)

__all__ = [
    "NONCE",
    "ProofError",
    "Purpose",
    "address",
    "admit",
    "are_prices_signed",
    "ask",
    "is_answer",
    "is_drill_signed",
    "is_egress_signed",
    "is_signed",
    "is_throttle_signed",
    "is_usage_signed",
    "prove",
    "sign_config",
    "sign_drill",
    "sign_egress",
    "sign_prices",
    "sign_throttle",
    "sign_usage",
    "subkey",
]

Purpose = Literal[
    "config", "egress", "prices", "throttle", "drill", "admin-request", "admin-answer", "assignment", "usage"
]

NONCE = "x-claudeops-nonce"
_REQUEST = "x-claudeops-request-proof"
_ANSWER = "x-claudeops-answer-proof"
_LONGEST_NONCE = 64
_SIGNED = (CONFIG_KEY,)
"""Keys of the ConfigMap that every gateway reads: others may be there, and mean nothing."""
_EGRESS_SIGNED = (CONFIG_KEY, EGRESS_KEY)
"""Signed together: an old egress does not go with a newer config."""

_PRICES_SIGNED = (CONFIG_KEY, PRICES_KEY)
_THROTTLE_SIGNED = (CONFIG_KEY, THROTTLE_KEY)
_DRILL_SIGNED = (CONFIG_KEY, DRILL_KEY)
_USAGE_SIGNED = ("spend", "cache", "latency")
"""All keys of the ConfigMap with what was used."""


class ProofError(ValueError):
    """A request to the admin port is not the operator's; says what it lacks."""


def subkey(key: bytes, purpose: Purpose) -> bytes:
    """The key for one use."""
    return hmac.digest(key, f"claudeops.dev/{purpose}/v1".encode(), "sha256")


def sign_config(key: bytes, data: Mapping[str, str]) -> str:
    """The signature of a ConfigMap's data, for its key `SIGNATURE_KEY`."""
    return _sign(key, "config", _SIGNED, data)


def sign_egress(key: bytes, data: Mapping[str, str]) -> str:
    """The signature of its egress, for its key `EGRESS_SIGNATURE_KEY`."""
    return _sign(key, "egress", _EGRESS_SIGNED, data)


def sign_prices(key: bytes, data: Mapping[str, str]) -> str:
    """The signature of its prices, for its key `PRICES_SIGNATURE_KEY`."""
    return _sign(key, "prices", _PRICES_SIGNED, data)


def sign_throttle(key: bytes, data: Mapping[str, str]) -> str:
    """The signature of its throttle, for its key `THROTTLE_SIGNATURE_KEY`."""
    return _sign(key, "throttle", _THROTTLE_SIGNED, data)


def sign_drill(key: bytes, data: Mapping[str, str]) -> str:
    """The signature of its drill, for its key `DRILL_SIGNATURE_KEY`."""
    return _sign(key, "drill", _DRILL_SIGNED, data)


def sign_usage(key: bytes, where: tuple[str, str], data: Mapping[str, str]) -> str:
    """The signature of what a ClaudeDeployment used and paid, for `SIGNATURE_KEY`.

    `where`: its namespace and name, so that no other one's record counts as its own. `data`: in base64, as stored.
    """
    return _mac(
        subkey(key, "usage"), [*where, *(part for name in _USAGE_SIGNED for part in (name, data.get(name, "")))]
    )


def is_signed(key: bytes, data: Mapping[str, str]) -> bool:
    """Whether a ConfigMap's data have the signature of who has this key."""
    return _equal(sign_config(key, data), data.get(SIGNATURE_KEY, ""))


def is_egress_signed(key: bytes, data: Mapping[str, str]) -> bool:
    """Whether the egress in a ConfigMap's data is signed by who has this key, for the config beside it."""
    return _equal(sign_egress(key, data), data.get(EGRESS_SIGNATURE_KEY, ""))


def are_prices_signed(key: bytes, data: Mapping[str, str]) -> bool:
    """Whether the prices in a ConfigMap's data are signed by who has this key, for the config beside them."""
    return _equal(sign_prices(key, data), data.get(PRICES_SIGNATURE_KEY, ""))


def is_throttle_signed(key: bytes, data: Mapping[str, str]) -> bool:
    """Whether the throttle in a ConfigMap's data is signed by who has this key, for the config beside it."""
    return _equal(sign_throttle(key, data), data.get(THROTTLE_SIGNATURE_KEY, ""))


def is_drill_signed(key: bytes, data: Mapping[str, str]) -> bool:
    """Whether the drill in a ConfigMap's data is signed by who has this key, for the config beside it."""
    return _equal(sign_drill(key, data), data.get(DRILL_SIGNATURE_KEY, ""))


def is_usage_signed(key: bytes, where: tuple[str, str], data: Mapping[str, str], signature: str) -> bool:
    """Whether what this ClaudeDeployment used and paid is signed by who has this key."""
    return bool(key) and _equal(sign_usage(key, where, data), signature)


def ask(key: bytes, *, pod: str, method: str, target: str, nonce: str) -> dict[str, str]:
    """Headers of a request to this pod's admin port; `target` is the path with the query as sent."""
    return {NONCE: nonce, _REQUEST: _request(key, pod, method, target, nonce)}


def admit(key: bytes, *, pod: str, method: str, target: str, headers: Mapping[str, str]) -> str:
    """The nonce of a request that the operator has made to this pod; raises `ProofError`."""
    nonce, proof = headers.get(NONCE, ""), headers.get(_REQUEST, "")
    if not nonce or not proof:
        raise ProofError(f"only the operator may read this: {NONCE} and {_REQUEST} are missing")
    if len(nonce) > _LONGEST_NONCE or not _equal(_request(key, pod, method, target, nonce), proof):
        raise ProofError(f"only the operator may read this: {_REQUEST} is not made with its key, or for another pod")
    return nonce


def address(host: str, port: int) -> str:
    """What stands for a pod that is known by its address alone, in the place of its name.

    The asker takes the address that it connects to, the pod the one that it was reached at: a proof for an address that
    somebody else has now is of no use at the pod.
    """
    found = ipaddress.ip_address(host.partition("%")[0])
    return f"[{getattr(found, 'ipv4_mapped', None) or found}]:{port}"


def prove(key: bytes, *, pod: str, nonce: str, body: bytes) -> dict[str, str]:
    """Headers of this pod's answer to the request with this nonce."""
    return {_ANSWER: _answer(key, pod, nonce, body)}


def is_answer(key: bytes, *, pod: str, nonce: str, body: bytes, headers: Mapping[str, str]) -> bool:
    """Whether this pod has given this answer to the request with this nonce."""
    return _equal(_answer(key, pod, nonce, body), headers.get(_ANSWER, ""))


def _sign(key: bytes, purpose: Purpose, names: Iterable[str], data: Mapping[str, str]) -> str:
    return _mac(subkey(key, purpose), [part for name in names for part in (name, data.get(name, ""))])


def _request(key: bytes, pod: str, method: str, target: str, nonce: str) -> str:
    return _mac(subkey(key, "admin-request"), [pod, method, target, nonce])


def _answer(key: bytes, pod: str, nonce: str, body: bytes) -> str:
    return _mac(subkey(key, "admin-answer"), [pod, nonce, hashlib.sha256(body).hexdigest()])


def _mac(key: bytes, parts: Iterable[str]) -> str:
    """HMAC over the parts, each after its length: no two lists of parts are the same bytes."""
    digest = hmac.new(key, digestmod="sha256")
    for part in map(_bytes, parts):
        digest.update(len(part).to_bytes(8, "big"))
        digest.update(part)
    return digest.hexdigest()


def _equal(right: str, given: str) -> bool:
    return hmac.compare_digest(_bytes(right), _bytes(given))


def _bytes(text: str) -> bytes:
    return text.encode("utf-8", "surrogatepass")
