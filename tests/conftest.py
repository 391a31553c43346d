"""What all tests share."""

from __future__ import annotations

import os

from hypothesis import settings

# A slow machine is no finding. In CI the same examples run each time; elsewhere each run tries new ones.
settings.register_profile("default", deadline=None)
settings.register_profile("ci", deadline=None, derandomize=True, database=None)
settings.load_profile("ci" if os.environ.get("CI") else "default")
