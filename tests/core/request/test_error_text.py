"""An error's text is told without a word of the client's."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from claude_operator.core.request.error_text import redact


@pytest.mark.parametrize(
    ("message", "told"),
    [
        ("`temperature` is not supported by this model", "`temperature` is not supported by this model"),
        ("prompt is too long: 210000 tokens > 200000 maximum", "prompt is too long: N tokens > N maximum"),
        (
            "messages.3: `tool_use` ids were found without `tool_result` blocks immediately after: toolu_01AbC.",
            "messages.N: `tool_use` … were found without `tool_result` blocks immediately after: …",
        ),
        (
            "max_tokens: 100000 > 8192, which is the maximum allowed number of output tokens for claude-opus-5-5",
            "max_tokens: N > N, which is the maximum allowed number of output tokens for …",
        ),
        (
            "This model does not support assistant message prefill. The conversation must end with a user message.",
            "This model does not support assistant message prefill. The conversation must end with a user message.",
        ),
        ("messages.0.content.1.text: Anna Meier lives at 7 Elm Road", ""),
        (
            "tools.0.custom.name: String should match pattern '^[a-z]+$', not credit_card_of_anna",
            "tools.N.custom.name: String should match … not …",
        ),
        ("anna@example.com", ""),
        ("", ""),
    ],
)
def test_only_the_apis_own_words_are_told(message: str, told: str) -> None:
    assert redact(message) == told


def test_a_model_that_the_caller_knows_is_told() -> None:
    assert redact("model: claude-opus-9", {"claude-opus-9"}) == "model: claude-opus-9"


@given(st.text())
def test_any_text_is_redacted_to_known_words(text: str) -> None:
    told = redact(text)
    assert len(told) <= 160
    assert not any(letter.isdigit() for letter in told)
    assert redact(told) in (told, "")


@given(st.from_regex(r"[b-df-hj-np-tv-xz]{6,30}", fullmatch=True))
def test_a_word_that_is_not_the_apis_is_never_told(secret: str) -> None:
    assert secret not in redact(f"messages: the value {secret} is not supported by this model. Found '{secret}'.")
