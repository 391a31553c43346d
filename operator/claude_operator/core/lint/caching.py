"""Prompt caching of a spec: what is paid in full though it could be read, beyond what each request shows by itself."""

from __future__ import annotations

from collections.abc import Iterator

from claude_operator.core.lint.finding import Fault, Level
from claude_operator.core.lint.prefix import Served
from claude_operator.core.text import tokens_text

__all__ = ["cache_faults"]


def cache_faults(served: Served) -> Iterator[Fault]:
    """A long prefix without a breakpoint, and a long tail behind the last one."""
    if served.unknown or not served.parts or served.automatic:
        return
    if not served.marks:
        yield from _unmarked(served)
        return
    tail = served.parts[served.marks[-1] + 1 :]
    tokens = sum(part.tokens for part in tail)
    if tail and tokens >= served.minimum:
        last = tail[-1]
        yield Fault(
            "cache-tail",
            Level.NOTE,
            served.path((last.where, last.place)),
            f"about {_rounded(tokens)} tokens stand behind the last cache breakpoint, and each request pays them in"
            " full: if they stay the same, set cache_control on this block",
        )


def _unmarked(served: Served) -> Iterator[Fault]:
    tokens = served.tokens()
    if tokens < served.minimum or (served.name and not served.own & {"system", "tools", "model", "cache_control"}):
        return
    last = served.parts[-1]
    yield Fault(
        "cache-unmarked",
        Level.WARNING,
        served.path((last.where, last.place)),
        f"tools and system have about {_rounded(tokens)} tokens and no cache breakpoint, and each request pays them in"
        " full: set cache_control: {type: ephemeral} on the last block, unless clients set their own",
    )


def _rounded(tokens: int) -> str:
    return tokens_text(float(f"{tokens:.2g}"))
