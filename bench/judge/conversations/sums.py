"""Sums and histograms by tick and cell, as gateways count them, over arrays instead of one request at a time."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from bench.judge.ticks import Floats, Ints
from claude_operator.api.evidence import LN_WIDTH, Histogram

__all__ = ["Growing", "by_tick", "counted", "grown"]


class Growing:
    """A histogram that grows from tick to tick."""

    __slots__ = ("buckets", "count", "sums")

    def __init__(self) -> None:
        self.count = 0
        self.sums = [0.0] * 4
        self.buckets: dict[str, int] = {}

    def add(self, count: int, sums: list[float], buckets: list[tuple[int, int]]) -> None:
        """Take in what a tick adds: `sums` of values, squares, logarithms and their squares."""
        self.count += count
        self.sums = [one + more for one, more in zip(self.sums, sums, strict=True)]
        known = dict(self.buckets)
        for bucket, more in buckets:
            key = str(bucket)
            known[key] = known.get(key, 0) + more
        self.buckets = known

    def snapshot(self) -> Histogram:
        """As it travels."""
        return Histogram(self.count, *self.sums, self.buckets)


def counted(tick: Ints, cell: Ints) -> Iterator[tuple[int, int, int]]:
    """(tick, cell, how many), in the order of ticks."""
    if not len(tick):
        return
    width = int(cell.max()) + 1
    found, counts = _grouped(tick * width + cell)
    for code, count in zip(found.tolist(), counts.tolist(), strict=True):
        yield code // width, code % width, count


def grown(tick: Ints, cell: Ints, value: Floats) -> Iterator[tuple[int, int, int, list[float], list[tuple[int, int]]]]:
    """(tick, cell, count, sums, buckets) of positive values, in the order of ticks."""
    if not len(tick):
        return
    width = int(cell.max()) + 1
    ln = np.log(value)
    code = tick * width + cell
    codes, counts = _grouped(code)
    rows = (value, value * value, ln, ln * ln)
    sums = np.stack([np.bincount(code, one)[codes] for one in rows], axis=1).tolist()
    bucket = np.floor(ln / LN_WIDTH).astype(np.int64)
    low = int(bucket.min())
    span = int(bucket.max()) - low + 1
    buckets: dict[int, list[tuple[int, int]]] = {}
    for both, count in zip(*(one.tolist() for one in _grouped(code * span + (bucket - low))), strict=True):
        buckets.setdefault(both // span, []).append((both % span + low, count))
    for index, each in enumerate(codes.tolist()):
        yield each // width, each % width, int(counts[index]), sums[index], buckets[each]


def _grouped(code: Ints) -> tuple[Ints, Ints]:
    """The codes that there are, in order, and how often: there are few enough that counting beats sorting."""
    counts = np.bincount(code)
    found = np.flatnonzero(counts)
    return found, counts[found]


def by_tick(time: Floats, tick_seconds: float) -> Ints:
    """The tick in which each moment is."""
    return np.floor(time / tick_seconds).astype(np.int64)
