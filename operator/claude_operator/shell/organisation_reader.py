"""Reads the page of an organisation's history, by its Service."""

from __future__ import annotations

from types import TracebackType
from typing import Self

import aiohttp

from claude_operator.api.history import History
from claude_operator.api.organisation import HISTORY_PORT
from claude_operator.core import names
from claude_operator.core.organisation.reading import Reading, reading_of
from claude_operator.kube.bodies import read_body

__all__ = ["HistoryReader", "history_url"]

_DAYS = 40
_PATIENCE = 10.0  # seconds
_LARGEST = 32 * 1024 * 1024  # bytes


def history_url(name: str, namespace: str) -> str:
    """Where the history of the ClaudeOrganization `name` is, seen from a pod."""
    return f"http://{names.organization_name(name)}.{namespace}.svc:{HISTORY_PORT}"


class HistoryReader:
    """Reads while entered."""

    def __init__(self) -> None:
        self._session: aiohttp.ClientSession | None = None

    async def __aenter__(self) -> Self:
        timeout = aiohttp.ClientTimeout(total=_PATIENCE)
        self._session = aiohttp.ClientSession(timeout=timeout, trust_env=False)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._session is not None:
            await self._session.close()

    async def read(self, url: str, key: str) -> Reading | None:
        """What it says now; None where it does not answer with a history."""
        if self._session is None:
            raise RuntimeError("the reader is not entered")
        headers = {"authorization": f"Bearer {key}"}
        try:
            target = f"{url}/v1/history?days={_DAYS}"
            async with self._session.get(target, headers=headers, allow_redirects=False) as response:
                if response.status != 200:
                    return None
                return reading_of(History.parse(await read_body(response.content, _LARGEST)))
        except (aiohttp.ClientError, OSError, TimeoutError, ValueError, OverflowError):  # no such time
            return None
