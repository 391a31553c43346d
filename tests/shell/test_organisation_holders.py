"""Which ClaudeDeployment's gateways use which API key: as its spec says, or as the key's hint shows."""

from __future__ import annotations

import base64
import datetime as dt
from dataclasses import replace
from typing import Any

import pytest
from tests.core.reconcile.rules.sample import observed, raw
from tests.shell.fakes import FakeKube

from claude_operator.api.status import DeploymentStatus
from claude_operator.core.organisation.attribution import ApiKey, Holder, Tokens
from claude_operator.core.reconcile.observation import Observation
from claude_operator.core.usage.amounts import REST, Amounts
from claude_operator.core.usage.ledger import Spend
from claude_operator.core.usage.state import Coverage, Usages, UsageState
from claude_operator.shell.organisation_holders import Holders

KEY = "sk-ant-api03-R2DxxxxxxxxxxxxxxxxxxxxxxxxigAA"
KEYS = (ApiKey("apikey_a", hint="sk-ant-api03-R2D...igAA"), ApiKey("apikey_b", hint="sk-ant-api03-Zzz...zzzz"))
SECRET = {"name": "anthropic", "key": "api-key"}


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


def put(kube: FakeKube, key: str) -> None:
    metadata = {"name": "anthropic", "namespace": NAMESPACE}
    data = {"api-key": base64.b64encode(key.encode()).decode()}
    kube.put({"apiVersion": "v1", "kind": "Secret", "metadata": metadata, "data": data})


def seen(**upstream: Any) -> Observation:
    return observed(DeploymentStatus(), raw(upstream=upstream))


def listed(kube: Any, clock: Clock | None = None) -> Holders:
    """After the first list, of one ClaudeDeployment."""
    made = Holders(kube, clock or Clock())
    made.forget({UID})
    return made


async def keys_of(holders: Holders) -> list[str]:
    return [one.key for one in await holders.of(KEYS) or ()]


UID = seen(apiKeySecretRef=SECRET).owner["metadata"]["uid"]
NAMESPACE = seen(apiKeySecretRef=SECRET).owner["metadata"]["namespace"]


async def test_the_spec_names_it() -> None:
    kube: Any = FakeKube()
    holders = listed(kube)
    holders.note(seen(apiKeySecretRef=SECRET, apiKeyID="apikey_b"))
    assert await keys_of(holders) == ["apikey_b"]
    assert kube.calls == []


async def test_an_id_of_another_organisation_hides_no_key() -> None:
    kube: Any = FakeKube()
    holders = listed(kube)
    put(kube, KEY)
    holders.note(seen(apiKeySecretRef=SECRET, apiKeyID="apikey_elsewhere"))
    assert await keys_of(holders) == ["apikey_a"]


@pytest.mark.parametrize(
    ("upstream", "elsewhere"),
    [
        ({"apiKeySecretRef": SECRET}, False),  # its Secret cannot be read: nobody knows
        ({"apiKeySecretRef": SECRET, "apiKeyID": "apikey_elsewhere"}, True),
        ({"apiKeySecretRef": SECRET, "apiKeyID": "apikey_a"}, False),
    ],
)
async def test_whose_key_is_known_to_be_none_of_the_organisations(upstream: Any, elsewhere: bool) -> None:
    kube: Any = FakeKube()
    holders = listed(kube)
    holders.note(seen(**upstream))
    assert [one.elsewhere for one in await holders.of(KEYS) or ()] == [elsewhere]


async def test_else_the_keys_hint_shows_it_and_the_secret_is_read_every_five_minutes_at_most() -> None:
    kube: Any = FakeKube()
    clock = Clock()
    holders = listed(kube, clock)
    holders.note(seen(apiKeySecretRef=SECRET))
    assert await keys_of(holders) == [""]  # there is no Secret
    put(kube, f"{KEY}\n")
    clock.now += 300.0
    assert await keys_of(holders) == ["apikey_a"]
    before = len(kube.calls)
    assert await keys_of(holders) == ["apikey_a"]
    assert len(kube.calls) == before
    put(kube, "sk-ant-api03-Zzzxxxxxxxxxxxxxxxxxzzzz")
    clock.now += 300.0
    assert await keys_of(holders) == ["apikey_b"]
    assert await holders.of(()) != []
    assert KEY not in repr(vars(holders))


async def test_one_that_was_deleted_is_none_and_a_spec_that_cannot_be_read_changes_nothing() -> None:
    kube: Any = FakeKube()
    holders = listed(kube)
    one = seen(apiKeySecretRef=SECRET, apiKeyID="apikey_a")
    holders.note(one)
    holders.note(replace(one, spec=None))
    assert await keys_of(holders) == ["apikey_a"]
    holders.forget(set())
    assert await holders.of(KEYS) == []


async def test_they_are_not_known_before_all_had_a_pass_or_some_never_will() -> None:
    kube: Any = FakeKube()
    clock = Clock()
    holders = Holders(kube, clock)
    assert await holders.of(KEYS) is None
    one = seen(apiKeySecretRef=SECRET, apiKeyID="apikey_a")
    uid = one.owner["metadata"]["uid"]
    holders.forget({uid, "another"})
    holders.note(one)
    assert await holders.of(KEYS) is None
    clock.now += 300.0
    assert len(await holders.of(KEYS) or ()) == 1
    clock.now = 0.0
    holders.forget({uid})
    assert len(await holders.of(KEYS) or ()) == 1


async def test_what_was_counted_is_added_up_again_only_where_more_was() -> None:
    kube: Any = FakeKube()
    holders = listed(kube)
    one = seen(apiKeySecretRef=SECRET, apiKeyID="apikey_a")
    days = {"2026-11-28": {REST: Amounts(1, input=5)}}
    began = dt.datetime(2026, 11, 1, tzinfo=dt.UTC)
    first = UsageState(Usages(Spend(began, days)), began)

    async def found(usage: UsageState) -> Holder:
        holders.note(replace(one, usage=usage))
        (holder,) = await holders.of(KEYS) or ()
        return holder

    before = await found(first)
    assert before.uid == UID
    assert await found(replace(first, read_at=began + dt.timedelta(minutes=1))) is before
    more = replace(first, kept=Usages(Spend(began, {"2026-11-28": {REST: Amounts(2, input=9)}})))
    assert (await found(more)).measured == {(dt.date(2026, 11, 28), "other"): Tokens(9)}
    assert (await found(replace(more, coverage=Coverage(1, ("gateway-1",))))).measured is None
