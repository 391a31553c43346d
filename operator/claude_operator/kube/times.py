"""Time as the API writes it where seconds are too coarse."""

from __future__ import annotations

import datetime as dt

__all__ = ["micro_time"]


def micro_time(moment: dt.datetime) -> str:
    """A `MicroTime` in UTC, such as 2026-11-24T10:00:00.000001Z."""
    return moment.astimezone(dt.UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
