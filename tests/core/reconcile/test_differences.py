"""What is said of a canary beside stable when its trial begins."""

from __future__ import annotations

import datetime as dt
from typing import Any

import pytest

from claude_operator.core.catalogue.lifecycle import NO_MODELS
from claude_operator.core.reconcile.differences import explain_differences

TODAY = dt.date(2026, 11, 24)
OPUS = "claude-opus-5-5"
MARK = {"cache_control": {"type": "ephemeral"}}
COLD = "so does the cached prefix: expect the canary to write what stable reads, and its hit ratio to begin at 0"


def revision(model: str = OPUS, subagents: Any = None, **request: Any) -> dict[str, Any]:
    spec = {"request": {"model": model, "max_tokens": 10, **request}}
    return {"spec": spec | ({"subagents": {name: {"request": one} for name, one in (subagents or {}).items()}})}


def text(words: str, **fields: Any) -> list[dict[str, Any]]:
    return [{"type": "text", "text": words, **fields}]


CACHED = revision(system=text("Be brief.", **MARK))
HELPED = revision(subagents={"helper": {"model": "claude-sonnet-4-6"}})


@pytest.mark.parametrize(
    ("stable", "canary", "said"),
    [
        (CACHED, CACHED, ""),
        (CACHED, revision(system=text("Be brief.", **MARK), max_tokens=20), ""),
        (CACHED, revision(system=text("Be kind.", **MARK)), f"system: system differs from stable's, and {COLD}"),
        (CACHED, revision(system=text("Be kind.")), f"system: system differs from stable's, and {COLD}"),
        (revision(system=text("Be brief.")), revision(system=text("Be kind.")), ""),
        (
            CACHED,
            revision(system=text("Be brief.", **MARK), output_config={"effort": "low"}, thinking={"type": "adaptive"}),
            f"output_config.effort: output_config.effort and thinking differ from stable's, and {COLD}",
        ),
        (
            CACHED,
            revision("claude-opus-5", system=text("Be brief.", **MARK)),
            f"model: the cache of {OPUS} is not that of claude-opus-5: expect the canary to write the prefix that"
            " stable reads, and its hit ratio to begin at 0",
        ),
        (
            revision(),
            revision("claude-opus-4-6"),
            f"model: claude-opus-4-6 makes about 30 % fewer tokens of the same text than {OPUS}: compare costs instead"
            " of tokens, and set max_tokens and budgets again",
        ),
        (
            HELPED,
            revision(subagents={"helper": {"model": "claude-sonnet-5-5"}, "other": {"model": "claude-opus-4-6"}}),
            "subagents.helper.request.model: claude-sonnet-5-5 makes about 30 % more tokens of the same text than"
            " claude-sonnet-4-6: compare costs instead of tokens, and set max_tokens and budgets again",
        ),
        (
            revision(subagents={"helper": {"max_tokens": 5}}),
            revision("claude-opus-4-6", subagents={"helper": {"max_tokens": 5}}),
            f"model: claude-opus-4-6 makes about 30 % fewer tokens of the same text than {OPUS}: compare costs instead"
            " of tokens, and set max_tokens and budgets again",
        ),
    ],
)
def test_what_differs(stable: dict[str, Any], canary: dict[str, Any], said: str) -> None:
    assert explain_differences(stable, canary, TODAY, NO_MODELS) == said
