"""What all tests share."""

from __future__ import annotations

import os
import select
import time

import pytest
from hypothesis import settings

pytest.register_assert_rewrite("tests.scenarios.golden_file")  # for the difference between two transcripts

# A slow machine is no finding. In CI the same examples run each time; elsewhere each run tries new ones.
settings.register_profile("default", deadline=None)
settings.register_profile("ci", deadline=None, derandomize=True, database=None)
settings.load_profile("ci" if os.environ.get("CI") else "default")

if "FAKETIME" in os.environ:  # libfaketime refuses the way in which Python 3.11 and later sleep; see hack/year-ahead
    time.sleep = lambda seconds: select.select([], [], [], seconds)
