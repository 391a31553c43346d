"""Parses a CEL expression into nested tuples.

The whole grammar but for messages: literals, lists, maps, fields, indexes, calls, operators and the ternary.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

__all__ = ["CelSyntaxError", "Node", "parse"]

Node = tuple[Any, ...]
"""(kind, parts...): value, name, field, index, call, list, map, not, minus, if, or, and, an operator."""

_TOKEN = re.compile(
    r"""\s+
    |(?P<number>(?:\d+\.\d+(?:[eE][-+]?\d+)?|\d+[eE][-+]?\d+|0x[0-9a-fA-F]+|\d+)u?)
    |(?P<text>r?'(?:[^'\\]|\\.)*'|r?"(?:[^"\\]|\\.)*")
    |(?P<word>[A-Za-z_][A-Za-z0-9_]*)
    |(?P<sign>&&|\|\||[=!<>]=|[-+*/%<>!?:.,()\[\]{}])""",
    re.VERBOSE,
)
_ESCAPES = {"n": "\n", "t": "\t", "r": "\r", "\\": "\\", "'": "'", '"': '"', "`": "`", "?": "?"}
_ESCAPE = re.compile(r"\\(u[0-9a-fA-F]{4}|x[0-9a-fA-F]{2}|.)", re.DOTALL)
_COMPARES = ("==", "!=", "<", "<=", ">", ">=", "in")
_LITERALS = {"true": True, "false": False, "null": None}


class CelSyntaxError(ValueError):
    """An expression that is no CEL."""


@lru_cache(maxsize=512)
def parse(text: str) -> Node:
    """The expression as a tree; raises `CelSyntaxError`."""
    parser = _Parser(_tokens(text))
    found = parser.expression()
    if parser.here != ("end", ""):
        raise CelSyntaxError(f"{parser.here[1]!r} is not expected")
    return found


def _tokens(text: str) -> list[tuple[str, str]]:
    found, place = [], 0
    while place < len(text):
        match = _TOKEN.match(text, place)
        if match is None:
            raise CelSyntaxError(f"{text[place]!r} is not expected")
        if match.lastgroup:
            found.append((match.lastgroup, match[0]))
        place = match.end()
    return [*found, ("end", "")]


@dataclass(slots=True)
class _Parser:
    tokens: list[tuple[str, str]]
    place: int = 0

    @property
    def here(self) -> tuple[str, str]:
        return self.tokens[self.place]

    def take(self, *words: str) -> str | None:
        """The next token where it is one of these."""
        kind, text = self.here
        if text in words and kind in ("sign", "word"):
            self.place += 1
            return text
        return None

    def need(self, word: str) -> None:
        if self.take(word) is None:
            raise CelSyntaxError(f"{word!r} is expected in place of {self.here[1]!r}")

    def expression(self) -> Node:
        test = self.either()
        if self.take("?") is None:
            return test
        yes = self.either()
        self.need(":")
        return ("if", test, yes, self.expression())

    def either(self) -> Node:
        found = self.both()
        while self.take("||"):
            found = ("or", found, self.both())
        return found

    def both(self) -> Node:
        found = self.comparison()
        while self.take("&&"):
            found = ("and", found, self.comparison())
        return found

    def comparison(self) -> Node:
        found = self.sum()
        while sign := self.take(*_COMPARES):
            found = (sign, found, self.sum())
        return found

    def sum(self) -> Node:
        found = self.product()
        while sign := self.take("+", "-"):
            found = (sign, found, self.product())
        return found

    def product(self) -> Node:
        found = self.unary()
        while sign := self.take("*", "/", "%"):
            found = (sign, found, self.unary())
        return found

    def unary(self) -> Node:
        if self.take("!"):
            return ("not", self.unary())
        if self.take("-"):
            return ("minus", self.unary())
        return self.member()

    def member(self) -> Node:
        found = self.primary()
        while True:
            if self.take("."):
                name = self.word()
                found = ("call", name, found, self.arguments(")")) if self.take("(") else ("field", found, name)
            elif self.take("["):
                found = ("index", found, self.expression())
                self.need("]")
            else:
                return found

    def word(self) -> str:
        kind, text = self.here
        if kind != "word":
            raise CelSyntaxError(f"a name is expected in place of {text!r}")
        self.place += 1
        return text

    def arguments(self, end: str) -> tuple[Node, ...]:
        found: list[Node] = []
        while self.take(end) is None:
            found.append(self.expression())
            if self.take(",") is None:
                self.need(end)
                break
        return tuple(found)

    def primary(self) -> Node:
        kind, text = self.here
        self.place += 1
        if kind == "number":
            plain = text.removesuffix("u")
            whole = plain.isdigit() or plain.startswith("0x")
            return ("value", int(plain, 0) if whole else float(plain))
        if kind == "text":
            return ("value", _text(text))
        if kind == "word":
            if text in _LITERALS:
                return ("value", _LITERALS[text])
            return ("call", text, None, self.arguments(")")) if self.take("(") else ("name", text)
        if text == "(":
            found = self.expression()
            self.need(")")
            return found
        if text == "[":
            return ("list", self.arguments("]"))
        if text == "{":
            return ("map", self.pairs())
        raise CelSyntaxError(f"{text or 'the end'!r} is not expected")

    def pairs(self) -> tuple[tuple[Node, Node], ...]:
        found: list[tuple[Node, Node]] = []
        while self.take("}") is None:
            key = self.expression()
            self.need(":")
            found.append((key, self.expression()))
            if self.take(",") is None:
                self.need("}")
                break
        return tuple(found)


def _text(token: str) -> str:
    raw = token.startswith("r")
    inner = token.removeprefix("r")[1:-1]
    return inner if raw else _ESCAPE.sub(_unescaped, inner)


def _unescaped(match: re.Match[str]) -> str:
    code = match[1]
    if code[0] in "ux" and len(code) > 1:
        return chr(int(code[1:], 16))
    if code not in _ESCAPES:
        raise CelSyntaxError(f"\\{code} is not an escape")
    return _ESCAPES[code]
