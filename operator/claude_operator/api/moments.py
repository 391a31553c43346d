"""Moments as status holds them."""

from __future__ import annotations

import datetime as dt
from typing import Annotated

from pydantic import PlainSerializer

__all__ = ["Moment", "to_millisecond"]


def _utc(moment: dt.datetime) -> str:
    return moment.astimezone(dt.UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def to_millisecond(moment: dt.datetime) -> dt.datetime:
    """A moment as status holds it, so that a restart changes nothing."""
    return moment.replace(microsecond=moment.microsecond // 1000 * 1000)


Moment = Annotated[dt.datetime, PlainSerializer(_utc, return_type=str, when_used="always")]
