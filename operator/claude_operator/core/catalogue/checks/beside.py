"""What only shows beside the request: the kind of the API key, and the revision that serves."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Literal

from claude_operator.core.catalogue.checks.row import Asked, Check, Fault, Severity, is_since_4_7

__all__ = ["ADMIN_KEY", "ROWS", "KeyKind", "key_kind"]

KeyKind = Literal["admin", "inference"]
_ADMIN = "sk-ant-admin"
ADMIN_KEY = (
    "upstream.apiKeySecretRef: the key is an Admin key, which the Messages API refuses: write the key of a workspace"
    " into the Secret, one that does not begin with sk-ant-admin"
)
_PREFIX = {  # field -> what of the cache is cold after a change of it
    "tools": "the whole prefix",
    "system": "the system prompt and what follows",
}


def key_kind(key: str) -> KeyKind:
    """What a key of the Claude API is for, by how it begins."""
    return "admin" if key.startswith(_ADMIN) else "inference"


def inference_key(asked: Asked) -> Iterator[Fault]:
    """An Admin key answers no messages."""
    if asked.key == "admin":
        yield Fault((), ADMIN_KEY, "invalid x-api-key")


def tokenizer(asked: Asked) -> Iterator[Fault]:
    """Claude 4.7 and later make about 30 % more tokens of the same text."""
    before = asked.before
    if before is None or not before.model_id or not asked.model_id:
        return
    newer = is_since_4_7(asked.model_id)
    if newer != is_since_4_7(before.model_id):
        yield Fault(
            ("model",),
            f"model: {asked.model_id} makes about 30 % {'more' if newer else 'fewer'} tokens of the same text than"
            f" {before.model_id}: compare costs instead of tokens, and set max_tokens and budgets again",
        )


def cold_cache(asked: Asked) -> Iterator[Fault]:
    """A changed prefix is written instead of read, once for each conversation that is served with it."""
    before = asked.before
    if before is None or not (asked.controls or before.controls):
        return
    if asked.model_id != before.model_id:
        yield Fault(
            ("model",),
            f"model: the cache of {before.model_id} is not that of {asked.model_id}: expect the canary to write the"
            " prefix that stable reads, and its hit ratio to begin at 0",
        )
        return
    changed = [name for name in _PREFIX if asked.request.get(name) != before.request.get(name)]
    changed += [name for name in ("speed",) if asked.request.get(name) != before.request.get(name)]
    effort, was = asked.part("output_config").get("effort"), before.part("output_config").get("effort")
    changed += ["output_config.effort"] if effort != was else []
    changed += ["thinking"] if asked.request.get("thinking") != before.request.get("thinking") else []
    if changed:
        yield Fault(
            tuple(changed[0].split(".")),
            f"{changed[0]}: {' and '.join(changed)} {'differ' if len(changed) > 1 else 'differs'} from stable's, and so"
            " does the cached prefix: expect the canary to write what stable reads, and its hit ratio to begin at 0",
        )


ROWS = (
    Check("key-kind", 32, Severity.ERROR, inference_key, "key"),
    Check("tokenizer", 33, Severity.WARNING, tokenizer, "rollout"),
    Check("cold-cache", 34, Severity.WARNING, cold_cache, "rollout"),
)
