"""A line is one line, whatever is in it."""

from __future__ import annotations

import datetime as dt
import json
import unicodedata

import pytest

from claude_operator.log import FORMATS, Format, make_line

AT = dt.datetime(2026, 11, 24, tzinfo=dt.UTC)
STEERING = [
    *map(chr, range(0x20)),
    *map(chr, range(0x7F, 0xA0)),
    *"\u061c\u200e\u200f\u2028\u2029\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069\ufeff",
]


@pytest.mark.parametrize("form", FORMATS)
@pytest.mark.parametrize("character", STEERING, ids=lambda one: f"U+{ord(one):04X}")
def test_nothing_ends_a_line_steers_a_terminal_or_turns_text_round(form: Format, character: str) -> None:
    forged = f"a{character}2026-11-24T00:00:00.000+00:00 info stopped"
    line = make_line(form, AT, "info", f"call {forged}", {"path": forged})
    assert line.splitlines() == [line]
    assert not [one for one in line if unicodedata.category(one) in {"Cc", "Cf", "Zl", "Zp"}]
    if form == "json":
        assert json.loads(line)["path"] == forged


@pytest.mark.parametrize("form", FORMATS)
def test_other_text_stays_as_it_is(form: Format) -> None:
    assert "Grüße 日本 🙂" in make_line(form, AT, "info", "Grüße 日本 🙂", {})


def test_a_value_does_not_pass_for_further_fields() -> None:
    line = make_line("text", AT, "info", "call", {"user_id": 'me outcome=ok status="200"', "path": "/v1/messages"})
    assert line.endswith(r' info call user_id="me outcome=ok status=\"200\"" path=/v1/messages')
