"""CEL as the API server evaluates it: what its specification says, and every rule of the definitions."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from claude_operator.api.kinds import KINDS, object_schema
from claude_operator.core.lint.cel.evaluate import CelError, CelSyntaxError, holds
from claude_operator.core.lint.cel.parse import parse

SELF = {"a": 1, "b": 2.5, "t": "text", "l": [3, 1, 2], "m": {"x": 1, "y": 2}, "s": [{"n": "p"}, {"n": "q", "k": 1}]}


@pytest.mark.parametrize(
    ("rule", "value"),
    [
        ("1 + 2 * 3 == 7", True),
        ("(1 + 2) * 3 == 9", True),
        ("7 / 2 == 3", True),
        ("7.0 / 2.0 == 3.5", True),
        ("-self.a < 0", True),
        ("!(self.a == 1)", False),
        ("self.a == 1 ? self.b == 2.5 : false", True),
        ("self.a == 2 ? true : self.a == 1 ? true : false", True),
        ("has(self.a) && !has(self.z)", True),
        ("self.z == 1 || self.a == 1", True),  # the error of one side does not count
        ("self.a == 1 || self.z == 1", True),
        ("!(self.z == 1 && self.a == 2)", True),
        ("self.l.all(x, x > 0)", True),
        ("self.l.exists(x, x == 3)", True),
        ("self.l.exists_one(x, x > 1)", False),
        ("self.l.filter(x, x > 1).size() == 2", True),
        ("self.l.map(x, x * 2) == [6, 2, 4]", True),
        ("self.l.map(x, x > 1, x * 2) == [6, 4]", True),
        ("self.l.isSorted()", False),
        ("[1, 1, 2].isSorted()", True),
        ("self.l.sum() == 6", True),
        ("self.l.indexOf(1) == 1 && self.l.lastIndexOf(9) == -1", True),
        ("2 in self.l && !(9 in self.l)", True),
        ("self.m.all(k, self.m[k] > 0)", True),
        ("'x' in self.m", True),
        ("self.s.filter(e, has(e.k)).map(e, e.n) == ['q']", True),
        ("self.t.startsWith('te') && self.t.contains('ex') && self.t.endsWith('t')", True),
        (r"self.t.matches('^t.*t$') && !self.t.matches('^x')", True),
        (r"'$(' + self.t + ')' == '$(text)'", True),
        (r"'a\\b'.size() == 3", True),
        (r"r'a\b'.size() == 3", True),
        ("'a,b'.split(',') == ['a', 'b']", True),
        ("duration('90s') > duration('1m')", True),
        ("double(int(0.5 * 100.0 + 0.5)) / 100.0 == 0.5", True),
        ("string(1) == '1' && int('2') == 2 && size('é') == 1", True),
        ("{'a': 1}['a'] == 1", True),
        ("null == null", True),
    ],
)
def test_an_expression(rule: str, value: bool) -> None:
    assert holds(rule, {"self": SELF}) is value


@pytest.mark.parametrize(
    "rule",
    [
        "self.z == 1",
        "self.a + 'x' == 1",
        "self.l[9] == 1",
        "1 / 0 == 1",
        "self.l.all(x, x.y == 1)",
        "duration('soon') > duration('1s')",
        "self.a",
        "-'x' > 1",
        "self.a.all(x, x > 1)",
        "self.a.map(x, x) == []",
        "bool('x')",
        "has(self.a.b)",
        "self.z == 1 || self.a == 2",
        "other == 1",
    ],
)
def test_what_cannot_be_decided(rule: str) -> None:
    with pytest.raises(CelError):
        holds(rule, {"self": SELF})


@pytest.mark.parametrize("rule", ["", "self.", "1 +", "(1", "[1", "self.l.all(x", "'a", "a b", "unknown(1)", "1 == #"])
def test_what_is_no_cel(rule: str) -> None:
    with pytest.raises(CelSyntaxError):
        holds(rule, {"self": SELF})


def _rules(schema: Any) -> Iterator[str]:
    if isinstance(schema, dict):
        yield from (rule["rule"] for rule in schema.get("x-kubernetes-validations", ()))
        for one in schema.values():
            yield from _rules(one)


def test_every_rule_of_the_definitions_can_be_read() -> None:
    rules = {rule for kind in KINDS for rule in _rules(object_schema(kind))}
    assert len(rules) > 40
    for rule in rules:
        parse(rule)
