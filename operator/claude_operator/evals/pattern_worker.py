"""The process that compiles and tries users' regular expressions. It imports nothing of ours, to start at once."""

from __future__ import annotations

import re
import sys
from pathlib import Path
from re import _compiler, _constants, _parser  # type: ignore[attr-defined]
from typing import Any

sys.path.append(str(Path(__file__).parent))  # this folder is no package here
from worker_loop import main  # type: ignore[import-not-found]

_EVERY = "is found in every answer: write what to look for"
_NONE = "can be found in no answer: correct what stands before ^, after $ or in (?!...)"
_GROUPS = (_constants.SUBPATTERN, _constants.ATOMIC_GROUP)
_REPEATS = (_constants.MAX_REPEAT, _constants.MIN_REPEAT, _constants.POSSESSIVE_REPEAT)
_AT_BEGINNING = (_constants.AT_BEGINNING, _constants.AT_BEGINNING_STRING)
_AT_END = (_constants.AT_END, _constants.AT_END_STRING)


def tried(pattern: str, text: str | None) -> tuple[str, str]:
    """What becomes of a pattern on a text, or what is wrong with it where there is no text."""
    try:
        found = re.compile(pattern)
        if text is None:
            why = useless(pattern)
            return ("useless" if why else "found"), why
        return ("found" if found.search(text) else "missing"), ""
    except (re.error, RecursionError, OverflowError) as error:
        return "invalid", str(error)[:500]


def useless(pattern: str) -> str:
    """Why a pattern decides nothing, empty where it may."""
    parsed = _parser.parse(pattern)
    multiline = bool(parsed.state.flags & re.MULTILINE)
    if _always(parsed, _AT_BEGINNING) or _always(parsed, _AT_END):
        return _EVERY
    return _NONE if not multiline and _never(parsed) else ""


def _always(parsed: Any, anchors: tuple[Any, ...]) -> bool:
    """Whether it surely matches nothing, at the beginning or at the end of each text, as `anchors` say which.

    `^[\\s\\S]*$` does so too: what takes any number of any characters reaches the other end.
    """
    return all(_is_void(node, anchors) for node in _without_span(list(parsed)))


def _without_span(nodes: list[Any]) -> list[Any]:
    """`nodes` up to a repeat that takes whatever comes, if all that comes after it is the end."""
    for index, (code, argument) in enumerate(nodes):
        if code in _REPEATS and argument[0] == 0 and argument[1] == _constants.MAXREPEAT and _is_any(argument[2]):
            rest = nodes[index + 1 :]
            if all(code == _constants.AT and argument in _AT_END for code, argument in rest):
                return nodes[:index]
    return nodes


def _is_any(parsed: Any) -> bool:
    """Whether it takes each single character, such as [\\s\\S]."""
    nodes = list(parsed)
    if len(nodes) != 1 or nodes[0][0] != _constants.IN:
        return False
    kinds = {str(argument) for code, argument in nodes[0][1] if code == _constants.CATEGORY}
    return any({f"CATEGORY_{kind}", f"CATEGORY_NOT_{kind}"} <= kinds for kind in ("SPACE", "DIGIT", "WORD"))


def _is_void(node: Any, anchors: tuple[Any, ...]) -> bool:
    code, argument = node
    if code == _constants.AT:
        return bool(argument in anchors)
    if code in _REPEATS:
        return argument[0] == 0 or _always(argument[2], anchors)
    if code in _GROUPS:
        return _always(argument[-1] if code == _constants.SUBPATTERN else argument, anchors)
    if code == _constants.BRANCH:
        return any(_always(branch, anchors) for branch in argument[1])
    if code == _constants.ASSERT:
        return argument[0] > 0 and _always(argument[1], anchors)
    if code == _constants.ASSERT_NOT:  # nothing stands before the beginning, nor after the end
        ahead = argument[0] > 0
        return bool(ahead == (anchors is _AT_END) and argument[1].getwidth()[0] > 0)
    return False


def _never(parsed: Any) -> bool:
    """Whether something must stand before the beginning or after the end."""
    before, ended = 0, False
    for code, argument in parsed:
        node = _parser.SubPattern(parsed.state, [(code, argument)])
        least = node.getwidth()[0]
        if code == _constants.ASSERT_NOT and _always(argument[1], ()):
            return True
        if code == _constants.FAILURE or (code == _constants.AT and argument in _AT_BEGINNING and before):
            return True
        if ended and least > 0 and (least > 1 or not _takes_newline(node)):
            return True
        ended = ended or (code == _constants.AT and argument in _AT_END)
        before += least
        if code in _GROUPS and _never(argument[-1] if code == _constants.SUBPATTERN else argument):
            return True
        if code in _REPEATS and argument[0] > 0 and _never(argument[2]):
            return True
        if code == _constants.BRANCH and all(_never(branch) for branch in argument[1]):
            return True
    return False


def _takes_newline(node: Any) -> bool:
    """Whether it may be the line end that `$` stands before."""
    try:
        return bool(_compiler.compile(node, node.state.flags).match("\n"))
    except (re.error, RuntimeError, IndexError, AttributeError):
        return True


if __name__ == "__main__":
    main(tried)
