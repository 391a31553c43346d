"""What the tests of monitoring share."""

from __future__ import annotations

import os

import pytest
from tests.cluster.prometheus import NoPrometheusError, program


@pytest.fixture(scope="session")
def prometheus_program() -> str:
    """Debian's Prometheus; without it the tests skip, unless the run must have it."""
    try:
        return program()
    except NoPrometheusError as error:
        if os.environ.get("CLAUDE_OPERATOR_REQUIRE_CLUSTER") == "1":
            pytest.fail(str(error), pytrace=False)
        pytest.skip(str(error))
