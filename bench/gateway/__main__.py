"""Memory of a gateway process under large bodies from one client, while other clients stream.

`.venv/bin/python -m bench.gateway [--runs 5] [--memory-mib 512]`. For each kind: the peak resident set of the process
in MiB as minimum / median / maximum over the runs, statuses of the calls, streams of others that came whole or did not.
"""

from __future__ import annotations

import argparse
import asyncio
import tempfile
from collections import Counter
from pathlib import Path

from tests.gateway.flood import HOSTILE, Flood, Peak, large_body, measure, spread

from claude_operator.api.gateway import MEMORY, MIB

BODIES = 50
OF_EACH_HOSTILE = 6


async def one(flood_of: dict[str, object], count: int, memory: int) -> Peak:
    """One process, one flood."""
    peak = Peak()
    with tempfile.TemporaryDirectory() as folder:
        await measure(
            Path(folder),
            lambda url: Flood(url, count, **flood_of).run(peak),  # type: ignore[arg-type]
            peak,
            f"--memory-bytes={memory}",
        )
    return peak


async def main(runs: int, memory: int) -> None:
    """All kinds."""
    kinds: dict[str, tuple[dict[str, object], int]] = {
        f"{BODIES} of 32 MB": ({"body": large_body()}, BODIES),
        f"{BODIES} of 32 MB, chunked": ({"body": large_body(), "chunked": True}, BODIES),
        f"{BODIES * 4} of 1 MB": ({"body": large_body(1_000_000)}, BODIES * 4),
        **{name: ({"body": body}, OF_EACH_HOSTILE) for name, body in HOSTILE.items()},
    }
    print(f"{'':28} {'before':>6}  {'peak MiB':>17}  {'others whole/broken':>19}  {'gap s':>5}  statuses")
    for name, (flood_of, count) in kinds.items():
        peaks = [await one(flood_of, count, memory) for _ in range(runs)]
        statuses: Counter[int] = sum((each.statuses for each in peaks), Counter())
        print(
            f"{name:28} {peaks[0].before // MIB:>6}  {spread([each.peak / MIB for each in peaks]):>17}  "
            f"{sum(each.whole_streams for each in peaks):>12}/{sum(each.broken_streams.total() for each in peaks):<6}  "
            f"{max(each.longest_gap for each in peaks):>5.1f}  {dict(sorted(statuses.items()))}",
            flush=True,
        )


if __name__ == "__main__":
    parser = argparse.ArgumentParser(prog="python -m bench.gateway", description=__doc__)
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--memory-mib", type=int, default=MEMORY // MIB)
    arguments = parser.parse_args()
    asyncio.run(main(arguments.runs, arguments.memory_mib * MIB))
