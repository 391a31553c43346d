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
    found, counts = np.unique(tick * width + cell, return_counts=True)
    for code, count in zip(found.tolist(), counts.tolist(), strict=True):
        yield code // width, code % width, count


def grown(tick: Ints, cell: Ints, value: Floats) -> Iterator[tuple[int, int, int, list[float], list[tuple[int, int]]]]:
    """(tick, cell, count, sums, buckets) of positive values, in the order of ticks."""
    if not len(tick):
        return
    width = int(cell.max()) + 1
    ln = np.log(value)
    codes, place = np.unique(tick * width + cell, return_inverse=True)
    rows = (value, value * value, ln, ln * ln)
    sums = np.stack([np.bincount(place, one, len(codes)) for one in rows], axis=1).tolist()
    counts = np.bincount(place, minlength=len(codes)).tolist()
    bucket = np.floor(ln / LN_WIDTH).astype(np.int64)
    low = int(bucket.min())
    span = int(bucket.max()) - low + 1
    both, many = np.unique(place * span + (bucket - low), return_counts=True)
    buckets: list[list[tuple[int, int]]] = [[] for _ in counts]
    for code, count in zip(both.tolist(), many.tolist(), strict=True):
        buckets[code // span].append((code % span + low, count))
    for index, code in enumerate(codes.tolist()):
        yield code // width, code % width, counts[index], sums[index], buckets[index]


def by_tick(time: Floats, tick_seconds: float) -> Ints:
    """The tick in which each moment is."""
    return np.floor(time / tick_seconds).astype(np.int64)
