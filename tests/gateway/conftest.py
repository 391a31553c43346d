"""Fixtures of the gateway's tests."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from tests.gateway.harness import Gateway, running_gateway
from tests.gateway.upstream import json_answer, recording_upstream


@pytest.fixture
async def gateway(tmp_path: Path) -> AsyncIterator[Gateway]:
    """A gateway that serves one stable arm from a recording upstream which answers with a small message."""
    async with recording_upstream(json_answer()) as upstream, running_gateway(upstream, tmp_path) as running:
        running.serve()
        yield running
