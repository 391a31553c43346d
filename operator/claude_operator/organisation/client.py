"""One request to the API at a time, with whatever may go wrong as an answer."""

from __future__ import annotations

import socket
from collections.abc import Sequence
from types import TracebackType
from typing import Any, Self

import aiohttp

from claude_operator import __version__
from claude_operator.core.organisation.polling import TOO_LARGE, Answer, Feed
from claude_operator.core.spec.networks import ANYWHERE, AddressRefused, AddressRules
from claude_operator.core.spec.site_options import ALLOWED_OPTION

__all__ = ["Client"]

_TIMEOUT = 60.0  # seconds for an answer
_LARGEST = 16 << 20  # bytes of an answer; read into objects it takes several times as much
_ADDRESS_REFUSED = f"its name leads to an address that is refused; allow it with {ALLOWED_OPTION}"
_VERSION = "2023-06-01"
_AGENT = f"claude-operator/{__version__} (https://github.com/claude-operator/claude-operator)"


class Client:
    """Asks while entered. It follows no redirect, which would carry the key to wherever it leads."""

    def __init__(self, base_url: str, rules: AddressRules = ANYWHERE) -> None:
        self._base, self._rules = base_url.rstrip("/"), rules
        self._session: aiohttp.ClientSession | None = None

    async def __aenter__(self) -> Self:
        self._session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=1, socket_factory=self._checked_socket),
            timeout=aiohttp.ClientTimeout(total=_TIMEOUT),
            headers={"user-agent": _AGENT, "anthropic-version": _VERSION},
            trust_env=self._rules == ANYWHERE,
        )
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._session is not None:
            await self._session.close()

    async def get(self, feed: Feed, parameters: Sequence[tuple[str, str]], key: str) -> Answer:
        """What the API answers."""
        assert self._session is not None  # noqa: S101  (entered)
        headers = {"x-api-key": key} | ({"anthropic-beta": feed.beta} if feed.beta else {})
        try:
            async with self._session.get(
                self._base + feed.path, params=list(parameters), headers=headers, allow_redirects=False
            ) as response:
                body = await response.content.read(_LARGEST + 1)
                while not response.content.at_eof() and len(body) <= _LARGEST:
                    body += await response.content.read(_LARGEST + 1 - len(body))
                if len(body) > _LARGEST:
                    return Answer(TOO_LARGE, problem=f"its answer is larger than {_LARGEST >> 20} MiB")
                return Answer(response.status, body, _seconds(response.headers.get("retry-after")))
        except TimeoutError:
            return Answer(0, problem=f"no answer in {_TIMEOUT:.0f} s")
        except (aiohttp.ClientError, OSError, ValueError) as error:
            if AddressRefused in (type(error), type(error.__cause__)):
                return Answer(0, problem=_ADDRESS_REFUSED)
            return Answer(0, problem=f"the connection failed: {type(error).__name__}")

    def _checked_socket(self, address: Any) -> socket.socket:
        family, kind, protocol, _, where = address
        self._rules.check(where[0])
        made = socket.socket(family, kind, protocol)
        made.setblocking(False)
        return made


def _seconds(text: str | None) -> float | None:
    """A `retry-after` in seconds; a date is as good as none, since the back-off is longer than what the API says."""
    try:
        value = float(text or "")
    except ValueError:
        return None
    return value if 0 <= value < float("inf") else None
