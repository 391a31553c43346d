"""Requests to the admin ports of other gateway processes, and their answers.

Both ends prove the operator key: a request with the digest of its body, an answer whole. Nothing is read of a body, and
nothing is learnt of an answer, without its proof.
"""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Callable
from types import TracebackType
from typing import Self
from urllib.parse import urlencode

import aiohttp
import msgspec
from yarl import URL

from claude_operator.api.conversations import Conversations, PeerAddress, parse_conversations
from claude_operator.core.operator_key import ask, is_answer
from claude_operator.kube.bodies import read_body

__all__ = ["LIMIT", "PATH", "PeerClient", "PeerFailed"]

PATH = "/-/conversations"
LIMIT = 1 << 20  # bytes of a document
_PATIENCE = aiohttp.ClientTimeout(total=5.0, sock_connect=1.0)
_IDLE = 0.5  # seconds for which a connection is kept: what is new comes in runs, and many peers take few places
_NETWORK = "look for NetworkPolicies between the gateway pods, on the admin port"


class PeerFailed(Exception):  # noqa: N818
    """A peer did not answer as one does; says why, and what to do."""

    def __init__(self, reason: str, remedy: str = "look into the log of that pod") -> None:
        super().__init__(reason)
        self.remedy = remedy


_REFUSALS = {
    401: (
        "it does not accept the operator key of this pod",
        "wait a minute for both to read the Secret <name>-gateway again; delete the pod that keeps an old one",
    ),
    404: ("it is of a version that tells nothing of conversations", "nothing, if it is about to be replaced"),
}


class PeerClient:
    """Asks and tells over HTTP while entered. `key`: the operator's, as it is now."""

    def __init__(self, key: Callable[[], bytes]) -> None:
        self._key = key
        self._session: aiohttp.ClientSession | None = None

    async def __aenter__(self) -> Self:
        connector = aiohttp.TCPConnector(limit=0, limit_per_host=2, keepalive_timeout=_IDLE)
        self._session = aiohttp.ClientSession(
            connector=connector, timeout=_PATIENCE, trust_env=False, auto_decompress=False
        )
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._session is not None:
            await self._session.close()

    async def ask(self, peer: PeerAddress, after: str) -> Conversations:
        """What a peer knows, from the first conversation behind a digest on; raises `PeerFailed`."""
        return await self._request(peer, "GET", f"{PATH}?{urlencode({'after': after})}")

    async def tell(self, peer: PeerAddress, document: Conversations) -> Conversations:
        """Tell a peer; raises `PeerFailed`. The answer has no conversations."""
        body = msgspec.json.encode(document)
        digest = hashlib.sha256(body).hexdigest()
        return await self._request(peer, "POST", f"{PATH}?{urlencode({'sha256': digest})}", body)

    async def _request(self, peer: PeerAddress, method: str, target: str, body: bytes | None = None) -> Conversations:
        key, nonce = self._key(), secrets.token_hex(16)
        if not key or self._session is None:
            raise PeerFailed("there is no operator key yet")
        headers = ask(key, pod=peer.pod, method=method, target=target, nonce=nonce)
        url = URL(f"http://{peer.authority}{target}", encoded=True)
        try:
            async with self._session.request(
                method, url, data=body, headers=headers, allow_redirects=False
            ) as response:
                if response.status != 200:
                    raise PeerFailed(*_REFUSALS.get(response.status, (f"it answers {response.status}",)))
                document = await read_body(response.content, LIMIT)
                if not is_answer(key, pod=peer.pod, nonce=nonce, body=document, headers=response.headers):
                    raise PeerFailed("its answer is not proven with the operator key")
            return parse_conversations(document)
        except (aiohttp.ClientError, OSError, TimeoutError) as error:
            raise PeerFailed(str(error) or type(error).__name__, _NETWORK) from error
        except ValueError as error:
            raise PeerFailed(str(error)) from error
