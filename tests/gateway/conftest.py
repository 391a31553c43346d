"""Fixtures of the gateway's tests."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from tests.gateway.harness import Gateway, running_gateway
from tests.gateway.upstream import json_answer, recording_upstream


@pytest.fixture
def settings(request: pytest.FixtureRequest) -> dict[str, Any]:
    """Settings of the gateway that are not the harness's; a test parametrizes them indirectly."""
    return dict(getattr(request, "param", {}))


@pytest.fixture
async def gateway(tmp_path: Path, settings: dict[str, Any]) -> AsyncIterator[Gateway]:
    """A gateway that serves one stable arm from a recording upstream which answers with a small message."""
    async with (
        recording_upstream(json_answer()) as upstream,
        running_gateway(upstream, tmp_path, **settings) as running,
    ):
        running.serve()
        yield running
