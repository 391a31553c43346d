"""The same model on another platform: other ids, and dates of its own."""

from __future__ import annotations

import re
from dataclasses import replace

from claude_operator.api.lifecycle import Platform
from claude_operator.core.catalogue.table import Model

__all__ = ["FOLLOWS", "WORDS", "catalogue_id", "is_known_on", "on_platform"]

WORDS: dict[Platform, str] = {
    "ClaudeAPI": "the Claude API",
    "AWS": "Claude Platform on AWS",
    "Foundry": "Microsoft Foundry",
    "Google": "Google Cloud",
    "Bedrock": "Amazon Bedrock",
}
FOLLOWS: frozenset[Platform] = frozenset({"ClaudeAPI", "AWS", "Foundry"})
"""Platforms to which the Claude API's dates apply. The others set their own, of which the catalogue has none."""

_BEDROCK = re.compile(r"(?:[a-z]{2,6}(?:-gov)?\.)?anthropic\.(.+?)(?:-v\d+(?::\d+)?)?")
_GOOGLE = re.compile(r"(.+)@(\d{8})")


def catalogue_id(model_id: str, platform: Platform) -> str:
    """The id by which the catalogue knows a platform's model.

    On Bedrock `us.anthropic.claude-opus-4-6-v1` is `claude-opus-4-6`, on Google `claude-haiku-4-5@20251001` is
    `claude-haiku-4-5-20251001`; any other id is its own.
    """
    if platform == "Bedrock" and (found := _BEDROCK.fullmatch(model_id)):
        return found[1]
    if platform == "Google" and (found := _GOOGLE.fullmatch(model_id)):
        return f"{found[1]}-{found[2]}"
    return model_id


def is_known_on(model: Model, platform: Platform) -> bool:
    """Whether anything is known of its life on the platform."""
    own = dict(model.platforms).get(platform)
    return platform in FOLLOWS or (own is not None and own.says_something)


def on_platform(model: Model, platform: Platform) -> Model:
    """The model with the state and dates of a platform; what is not known of a platform of its own is None.

    A date of the platform holds in place of a state that is stated for the model everywhere.
    """
    own = dict(model.platforms).get(platform)
    if platform not in FOLLOWS:
        model = replace(model, stated=None, deprecated=None, retires=None, not_retired_before=None)
    if own is None or not own.says_something:
        return model
    return replace(
        model,
        stated=own.stated or (None if own.deprecated or own.retires else model.stated),
        deprecated=own.deprecated or (None if own.retires else model.deprecated),
        retires=own.retires or (None if own.deprecated else model.retires),
        not_retired_before=own.not_retired_before or model.not_retired_before,
    )
