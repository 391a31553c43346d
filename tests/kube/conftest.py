"""The client, connected to a scripted API server."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
from kubernetes.aio import client as aio
from tests.kube.apiserver import ApiServer, api_server
from tests.waiting import HANGS

from claude_operator.kube.client import Kube


@pytest.fixture
async def server() -> AsyncIterator[ApiServer]:
    async with api_server() as running:
        yield running


@pytest.fixture
async def kube(server: ApiServer) -> AsyncIterator[Kube]:
    configuration = aio.Configuration(host=f"{server.url}/", api_key={"BearerToken": "Bearer t"})
    async with Kube(configuration, timeout=HANGS) as connected:
        yield connected
