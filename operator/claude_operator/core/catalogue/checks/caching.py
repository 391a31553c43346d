"""Cache breakpoints, and what stands before them."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from functools import lru_cache
from typing import Any

import msgspec

from claude_operator.core.catalogue.checks.row import Asked, Check, Fault, Path, Severity, field_of
from claude_operator.core.request.breakpoints import LIMIT, breakpoint_ttl

__all__ = ["ROWS"]

_TTLS = ("5m", "1h")
_BYTES_A_TOKEN = 3  # few, so that a prefix is called short only where it is
_MONTHS = "(?:Jan|Feb|Mar|Apr|May|Jun|Jul|Aug|Sep|Oct|Nov|Dec)"
_DAY = rf"\d{{1,4}}[-./]\d[-./\d]{{0,8}}|\d{{1,2}}(?:st|nd|rd|th)? {_MONTHS}|{_MONTHS}[a-z]{{0,6}}\.? \d{{1,2}}"
_DATE = rf"\s{{0,4}}(?:[A-Z]\w{{2,9}},?\s)?(?:{_DAY})"
_VOLATILE = tuple(  # each begins with a letter that is looked for first: prompts are long, and read in each pass
    (re.compile(pattern), back, what)
    for pattern, back, what in (
        (r"\{\{[^{}]{1,80}\}\}", 0, "a placeholder"),
        (r"-(?<=\d{4}-\d{2}-)\d{2}[T ]\d{2}:\d{2}", 7, "a time"),
        (r"-(?<=[0-9a-fA-F]{8}-)(?:[0-9a-fA-F]{4}-){3}[0-9a-fA-F]{12}\b", 8, "a UUID"),
        (rf"oday(?: is|'s date is|:){_DATE}", 1, "a date"),
        (rf"urrent date(?: is|:){_DATE}", 1, "a date"),
        (rf"ate:(?<=\b[Dd]ate:){_DATE}", 1, "a date"),
    )
)
"""What changes: a pattern, how many characters before it belong to it, and what it is."""
_LONG = 100_000  # characters of a text of which only a few are remembered


def shape(asked: Asked) -> Iterator[Fault]:
    """Type ephemeral, and a ttl of 5m or 1h."""
    for path, control in asked.controls:
        name, where = _named(asked, path), field_of(path)
        if not isinstance(control, Mapping) or control.get("type") != "ephemeral":
            yield Fault(
                asked.path(*path),
                f"{name}: its type is not ephemeral: write {{type: ephemeral}}",
                f"{where}.type: Input should be 'ephemeral'",
            )
        elif control.get("ttl") is not None and control["ttl"] not in _TTLS:
            yield Fault(
                asked.path(*path, "ttl"),
                f"{name}.ttl: {control['ttl']!r} is not one of its values: write 5m or 1h",
                f"{where}.ttl: Input should be '5m' or '1h'",
            )


def few(asked: Asked) -> Iterator[Fault]:
    """At most four; the automatic one takes a slot."""
    controls = asked.controls
    if len(controls) > LIMIT:
        places = "tools, promptFrom, system" + (", messages" if "messages" in asked.request else "")
        yield Fault(
            asked.path(*controls[LIMIT][0]),
            f"cache_control: {len(controls)} breakpoints over {places} and the top level, the API takes"
            f" {LIMIT}: keep those at the end of the longest prefixes that stay the same",
            f"A maximum of {LIMIT} blocks with cache_control may be provided. Found {len(controls)}.",
        )


def hours_first(asked: Asked) -> Iterator[Fault]:
    """Entries of an hour stand before those of five minutes."""
    short = False
    for path, control in asked.controls:
        ttl = breakpoint_ttl(control)
        if ttl == "1h" and short:
            places = "tools, promptFrom, system," + (" messages," if "messages" in asked.request else "")
            yield Fault(
                asked.path(*path, "ttl"),
                f"cache_control: ttl 1h comes after 5m, in the order {places} top level: give the"
                " earlier ones 1h or the later ones 5m",
                f"{field_of(path)}.ttl: a ttl='1h' cache_control block must not come after a ttl='5m' cache_control"
                " block. Note that blocks are processed in the following order: `tools`, `system`, `messages`.",
            )
            return
        short = short or ttl == "5m"


def automatic_agrees(asked: Asked) -> Iterator[Fault]:
    """The automatic breakpoint falls on the last block of the conversation, whose own has the same ttl."""
    automatic = breakpoint_ttl(asked.request.get("cache_control"))
    messages = asked.request.get("messages")
    last = messages[-1] if isinstance(messages, list) and messages else None
    content = last.get("content") if isinstance(last, Mapping) else None
    block = content[-1] if isinstance(content, list) and content else None
    own = breakpoint_ttl(block.get("cache_control")) if isinstance(block, Mapping) else None
    if automatic and own and automatic != own:
        yield Fault(
            ("cache_control", "ttl"),
            f"cache_control.ttl: {automatic}, while the last block of messages has one of {own}: write the same ttl,"
            " or remove one of them",
            "cache_control.ttl: the last block has a cache_control with another ttl; use the same ttl",
        )


def empty_text(asked: Asked) -> Iterator[Fault]:
    """Nothing can be cached in an empty text, and no text block may be empty."""
    for path, block in asked.blocks:
        if path[0] == "tools" or block.get("type") != "text" or block.get("text") != "":
            continue
        marked = block.get("cache_control") is not None
        yield Fault(
            asked.path(*path, "text"),
            f"{_named(asked, path)}.text: is empty: write the text, or remove the block",
            f"{field_of(path)}: cache_control cannot be set for empty text blocks"
            if marked
            else f"{field_of(path)}: text content blocks must be non-empty",
        )


def volatile(asked: Asked) -> Iterator[Fault]:
    """What changes between releases or calls stands behind the last breakpoint, or the prefix is written anew."""
    until = _last(asked)
    for path, block in asked.blocks[: until + 1]:
        for name in ("text", "description"):
            text = block.get(name)
            found = _changing(text) if isinstance(text, str) else None
            if found:
                yield Fault(
                    asked.path(*path, name),
                    f"{_named(asked, path)}.{name}: {found} before a cache breakpoint: what changes makes the API"
                    " write the whole prefix again: put it behind the last breakpoint, or into the conversation",
                )


def _changing(text: str) -> str | None:
    """What of a text changes between releases or calls; subagents mostly have that of the request."""
    return _remembered(text) if len(text) <= _LONG else _remembered_long(text)


def _find_changing(text: str) -> str | None:
    for pattern, back, what in _VOLATILE:
        if match := pattern.search(text):
            return f"{what}, {text[max(0, match.start() - back) : match.end()]!r},"
    return None


_remembered = lru_cache(maxsize=32)(_find_changing)
_remembered_long = lru_cache(maxsize=2)(_find_changing)


def too_short(asked: Asked) -> Iterator[Fault]:
    """A prefix below the model's minimum is not cached, and nothing says so."""
    least = asked.model.cache_min_tokens if asked.model else None
    until = _last(asked)
    if not least or until < 0 or asked.request.get("cache_control") is not None or "messages" in asked.request:
        return
    prefix = asked.blocks[: until + 1]
    if asked.client or not all(_is_known(path, block) for path, block in prefix):
        return
    tokens = sum(map(_size, (block for _, block in prefix))) // _BYTES_A_TOKEN
    if tokens < least:
        path = (*prefix[-1][0], "cache_control")
        yield Fault(
            asked.path(*path),
            f"{_named(asked, path)}: about {tokens} tokens stand before it, and {asked.model_id} caches from"
            f" {least} on: it caches nothing: remove it, or put more of what stays the same before it",
        )


def _is_known(path: Path, block: Mapping[str, Any]) -> bool:
    """Whether all that is sent of the block is known: a tool of the API is described by the API itself."""
    return block.get("type") in (None, "custom") if path[0] == "tools" else isinstance(block.get("text"), str)


def _size(block: Mapping[str, Any]) -> int:
    """Bytes of what is counted of a block."""
    if block.get("type") == "text":
        return len(str(block.get("text") or "").encode("utf-8", "replace"))
    plain = {key: value for key, value in block.items() if key != "cache_control"}
    return len(msgspec.json.encode(plain, enc_hook=str))


def _last(asked: Asked) -> int:
    """The place of the last block of tools and system that has a breakpoint, -1 where none has."""
    return max(
        (
            number
            for number, (path, block) in enumerate(asked.blocks)
            if path[0] != "messages" and block.get("cache_control") is not None
        ),
        default=-1,
    )


def _named(asked: Asked, path: Path) -> str:
    """A path as people read it: system[0].text."""
    first, *rest = asked.path(*path)
    return str(first) + "".join(f"[{one}]" if isinstance(one, int) else f".{one}" for one in rest)


ROWS = (
    Check("cache-control-shape", 12, Severity.ERROR, shape),
    Check("breakpoints-limit", 7, Severity.ERROR, few),
    Check("breakpoints-order", 8, Severity.ERROR, hours_first),
    Check("breakpoint-ttl-differs", 9, Severity.ERROR, automatic_agrees, "messages"),
    Check("empty-text", 11, Severity.ERROR, empty_text),
    Check("prefix-too-short", 10, Severity.WARNING, too_short),
    Check("volatile-prefix", 11, Severity.WARNING, volatile),
)
