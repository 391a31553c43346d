"""Fixtures of the simulator's tests."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
from tests.simulator.harness import Running, running_simulator


@pytest.fixture
async def api() -> AsyncIterator[Running]:
    """A simulator that answers at once."""
    async with running_simulator() as running:
        yield running
