"""A diff of two texts by lines, and within lines that were edited by words."""

from __future__ import annotations

import re
from collections.abc import Sequence
from difflib import SequenceMatcher

__all__ = ["Line", "Part", "changed_line", "diff_lines", "same_line", "whole_line"]

Part = list[str]
"""[kind, text]: `=` is in both, `-` only in the old text, `+` only in the new one."""
Line = list[Part]

_ALIKE = 0.5  # words in common, as a share, from which on a line counts as edited
_MOST = 64  # lines of a changed passage that are paired; a longer passage is new
_MOST_PAIRS = 4_000_000  # of words that are compared; beyond, the line is new
_TOKEN = re.compile(r"\w+|\s+|[^\w\s]")


def diff_lines(old: Sequence[str], new: Sequence[str]) -> list[Line]:
    """All lines of both; empty where the texts are the same."""
    if list(old) == list(new):
        return []
    lines: list[Line] = []
    for kind, start, end, first, last in SequenceMatcher(None, old, new, autojunk=False).get_opcodes():
        if kind == "equal":
            lines += [same_line(text) for text in old[start:end]]
        else:
            lines += _passage(old[start:end], new[first:last])
    return lines


def same_line(text: str) -> Line:
    """A line that is in both."""
    return [["=", text]]


def whole_line(kind: str, text: str) -> Line:
    """A line that is in one of them."""
    return [[kind, text]]


def changed_line(label: str, old: str, new: str) -> Line:
    """A line of which a part has changed as a whole."""
    return [["=", label], ["-", old], ["+", new]]


def _passage(old: Sequence[str], new: Sequence[str]) -> list[Line]:
    """Edited lines as such, in their order; between them what has gone, then what is new."""
    lines: list[Line] = []
    i = j = 0
    for a, b in _pairs(old, new):
        lines += [whole_line("-", text) for text in old[i:a]] + [whole_line("+", text) for text in new[j:b]]
        lines.append(_words(old[a], new[b]))
        i, j = a + 1, b + 1
    return lines + [whole_line("-", text) for text in old[i:]] + [whole_line("+", text) for text in new[j:]]


def _pairs(old: Sequence[str], new: Sequence[str]) -> list[tuple[int, int]]:
    """Lines that are edits of each other: in order, with the most in common altogether."""
    if not old or not new or len(old) * len(new) > _MOST * _MOST:
        return []
    alike = [[_likeness(a, b) for b in new] for a in old]
    best = [[0.0] * (len(new) + 1) for _ in range(len(old) + 1)]
    for i in reversed(range(len(old))):
        for j in reversed(range(len(new))):
            paired = alike[i][j] + best[i + 1][j + 1] if alike[i][j] >= _ALIKE else 0.0
            best[i][j] = max(paired, best[i + 1][j], best[i][j + 1])
    found, i, j = [], 0, 0
    while i < len(old) and j < len(new):
        if alike[i][j] >= _ALIKE and best[i][j] == alike[i][j] + best[i + 1][j + 1]:
            found.append((i, j))
            i, j = i + 1, j + 1
        elif best[i][j] == best[i + 1][j]:
            i += 1
        else:
            j += 1
    return found


def _likeness(old: str, new: str) -> float:
    before, after = _TOKEN.findall(old), _TOKEN.findall(new)
    if len(before) * len(after) > _MOST_PAIRS:
        return 0.0
    return SequenceMatcher(None, before, after, autojunk=False).ratio()


def _words(old: str, new: str) -> Line:
    before, after = _TOKEN.findall(old), _TOKEN.findall(new)
    if len(before) * len(after) > _MOST_PAIRS:
        return [["-", old], ["+", new]]
    line: Line = []
    for kind, start, end, first, last in SequenceMatcher(None, before, after, autojunk=False).get_opcodes():
        if kind == "equal":
            line.append(["=", "".join(before[start:end])])
            continue
        gone, new_text = "".join(before[start:end]), "".join(after[first:last])
        line += [["-", gone]] if gone else []
        line += [["+", new_text]] if new_text else []
    return _joined(_by_word(line))


def _by_word(line: Line) -> Line:
    """A blank before a word that has come or gone stands after it instead: ` very` in `be very kind` is `very `."""
    for number in range(1, len(line) - 1):
        left, middle, right = line[number - 1 : number + 2]
        if left[0] == right[0] == "=" and middle[1][0] == right[1][0] == " ":
            left[1], middle[1], right[1] = f"{left[1]} ", f"{middle[1][1:]} ", right[1][1:]
    return [part for part in line if part[1]]


def _joined(line: Line) -> Line:
    """A single blank between two changes belongs to them: the words of a changed phrase stand together."""
    groups: list[Part] = []
    gone = new = ""
    for number, (kind, text) in enumerate(line):
        inner = 0 < number < len(line) - 1
        if kind == "=" and not (inner and text.isspace() and (gone or new)):
            groups += [*_changes(gone, new), [kind, text]]
            gone = new = ""
        else:
            gone += text if kind in "=-" else ""
            new += text if kind in "=+" else ""
    return groups + _changes(gone, new)


def _changes(gone: str, new: str) -> Line:
    return ([["-", gone]] if gone else []) + ([["+", new]] if new else [])
