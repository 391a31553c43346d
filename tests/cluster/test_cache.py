"""Prompt caching on a real cluster: the condition and the column say what the gateways have seen."""

from __future__ import annotations

from typing import Any

import pytest
from tests.cluster import support
from tests.cluster.rollouts import deployment, scenario, start
from tests.cluster.support import condition, get, kubectl, wait_for
from tests.cluster.traffic import Traffic

pytestmark = pytest.mark.usefixtures("operator")

PROMPT = "Answer briefly, and name the article of the handbook that you rely on. " * 60  # some 1,400 tokens
_READING = 150.0  # seconds in which gateways are read twice


def effective(namespace: str, status: str, reason: str) -> str:
    """The message of CacheEffective once it says this."""

    def told() -> str:
        one = condition(get("cld", "app", namespace=namespace), "CacheEffective")
        return str(one["message"]) if one and (one["status"], one["reason"]) == (status, reason) else ""

    return wait_for(told, _READING, f"CacheEffective is not {status} with the reason {reason}")


def column(namespace: str) -> str:
    """What `kubectl get -o wide` shows below CACHE."""
    head, line = kubectl("get", "cld", "app", "-o", "wide", namespace=namespace).splitlines()
    begin = head.index("CACHE ")
    return line[begin:].split("  ")[0]


def test_a_prompt_without_cache_control_is_told_and_one_with_it_is_warm(namespace: str) -> None:
    scenario()
    first = start(namespace, PROMPT)
    with Traffic("app", namespace, rate=10) as traffic:
        said = effective(namespace, "False", "NotCached")
        assert said.startswith(f"surface other of {first} reads 0 % of its input tokens from the cache: in "), said
        assert said.endswith("set cache_control on the last system block")
        assert column(namespace) == "0 %"

        cached: dict[str, Any] = {"type": "text", "text": PROMPT, "cache_control": {"type": "ephemeral"}}
        request = {"model": "claude-haiku-5-5", "max_tokens": 64, "system": [cached]}
        support.apply(deployment(PROMPT, [], request=request), namespace)
        assert effective(namespace, "True", "Warm").startswith("9")
        status = get("cld", "app", namespace=namespace)["status"]
        assert status["stableRevision"] != first
        assert status["cache"]["revision"] == status["stableRevision"]
        assert int(column(namespace).removesuffix(" %")) >= 90
        assert any(one["prefix"] not in ("other", "none") for one in status["cache"]["prefixes"])
        traffic.stop()
    assert not traffic.failed()
