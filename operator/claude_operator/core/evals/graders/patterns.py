"""Regular expressions as an eval set has them: mistakes that can be seen without compiling one."""

from __future__ import annotations

import re

__all__ = ["LONGEST_PATTERN", "problem_of"]

LONGEST_PATTERN = 4096  # characters
_FLAGS = re.compile(r"/(.+)/([dgimsuvy]+)", re.DOTALL)
_POSIX = re.compile(r"\[:\^?(alpha|digit|alnum|upper|lower|space|blank|punct|print|graph|cntrl|xdigit|word):\]")
_PYTHONS = {
    "alpha": r"[^\W\d_]",
    "digit": r"\d",
    "alnum": r"[^\W_]",
    "upper": "[A-Z]",
    "lower": "[a-z]",
    "space": r"\s",
    "blank": r"[ \t]",
    "punct": r"[^\w\s]",
    "print": r"[^\x00-\x1f]",
    "graph": r"\S",
    "cntrl": r"[\x00-\x1f]",
    "xdigit": "[0-9A-Fa-f]",
    "word": r"\w",
}
_KNOWN_FLAGS = "ims"  # those that Python writes with the same letter


def problem_of(pattern: str) -> str:
    """What is wrong with a pattern and what to write, empty where nothing is to be seen."""
    if not pattern:
        return "is empty, and is found in every answer: write what to look for"
    if len(pattern) > LONGEST_PATTERN:
        return f"is a regular expression of over {LONGEST_PATTERN:,} characters: shorten it"
    if found := _FLAGS.fullmatch(pattern):
        flags = "".join(flag for flag in _KNOWN_FLAGS if flag in found[2])
        wanted = f"(?{flags}){found[1]}" if flags else found[1]
        return (
            f"is written as in JavaScript, and Python looks for the slashes too: write {wanted[:200]!r} (or begin it"
            r" with \/ where you mean the slashes)"
        )
    if found := _POSIX.search(pattern):
        return f"has {found[0]}, which Python does not know: write {_PYTHONS[found[1]]}"
    return ""
