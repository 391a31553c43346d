"""Which config is believed, with pods that ask for a signature and with such that do not."""

from __future__ import annotations

import datetime as dt
from typing import Any

import msgspec
import pytest

from claude_operator.api.gateway import (
    Arm,
    Deployment,
    Egress,
    GatewayConfig,
    Throttle,
    dump_config,
    dump_egress,
    dump_prices,
    dump_throttle,
)
from claude_operator.api.prices import TokenPrices
from claude_operator.api.served import GatewayStatus
from claude_operator.api.status import DeploymentStatus
from claude_operator.core.operator_key import sign_config, sign_egress, sign_prices, sign_throttle
from claude_operator.core.reconcile import signed_config
from claude_operator.core.reconcile.observation import GatewayPod, GatewayView
from claude_operator.core.reconcile.signed_config import Known, believe_config, least_generation

UID, BEFORE, OTHER = "uid-now", "uid-before", "uid-of-another"


def key_of(uid: str) -> bytes:
    return f"key of {uid}".encode()


def config(generation: int = 5, uid: str = UID, name: str = "support") -> GatewayConfig:
    arm = Arm("support-1", "stable", 10_000, {"model": "m"})
    return GatewayConfig(generation, Deployment(name, "demo", uid), [arm])


def config_map(document: GatewayConfig | str, key: bytes | None = None, **data: str) -> dict[str, Any]:
    text = document if isinstance(document, str) else dump_config(document)
    whole = {"config.json": text, **data}
    if key is not None:
        whole["signature"] = sign_config(key, whole)
        whole = {"egress.json": dump_egress(document) if isinstance(document, GatewayConfig) else "{}", **whole}
        whole["egress-signature"] = data.get("egress-signature") or sign_egress(key, whole)
        whole = {"prices.json": dump_prices(document) if isinstance(document, GatewayConfig) else "{}", **whole}
        whole["prices-signature"] = sign_prices(key, whole)
        whole = {"throttle.json": dump_throttle(document) if isinstance(document, GatewayConfig) else "{}", **whole}
        whole["throttle-signature"] = sign_throttle(key, whole)
    return {"metadata": {"name": "support-gateway", "namespace": "demo"}, "data": whole}


MINE = key_of(UID)
LAST = config(5)
UNSIGNED = "was not written by the operator (it has no signature)"
WRONG = "was not written by the operator (its signature is wrong)"


@pytest.mark.parametrize(
    ("found", "known", "doubt"),
    [
        pytest.param(config_map(config(), MINE), {}, "", id="ours"),
        pytest.param(config_map(config(), MINE, more="x"), {}, "", id="with a key that nobody reads"),
        pytest.param(config_map(config(), MINE), {"least": 5}, "", id="the newest"),
        pytest.param(config_map(config()), {}, UNSIGNED, id="unsigned"),
        pytest.param(config_map(config(), b""), {}, WRONG, id="signed with no key"),
        pytest.param(config_map(config(), key_of(OTHER)), {}, WRONG, id="another's key"),
        pytest.param(config_map(config(), signature="0" * 64), {}, WRONG, id="any signature"),
        pytest.param(config_map(config(4), MINE), {"least": 5}, "is an old one (generation 4, where 5 was", id="old"),
        pytest.param(config_map("{", MINE), {}, "cannot be read: gateway config: ", id="no JSON"),
        pytest.param({"metadata": {}}, {}, UNSIGNED, id="empty"),
        pytest.param(config_map(config(uid=OTHER), key_of(OTHER)), {}, WRONG, id="another's"),
        pytest.param(
            config_map(config(uid=OTHER, name="other"), key_of(OTHER)), {"orphan": True}, WRONG, id="another's, adopted"
        ),
    ],
)
def test_what_is_signed_is_believed_else_what_was_written_last(
    found: dict[str, Any], known: dict[str, Any], doubt: str
) -> None:
    for last in (LAST, None):
        believed = believe_config(found, key_of, Known(UID, lambda last=last: last, **known))
        assert believed.doubt.startswith(doubt)
        assert bool(believed.doubt) == bool(doubt)
        assert believed.config == (config() if not doubt else last)
        assert believed.stored == (not doubt)
        assert believed.old == doubt.startswith("is an old one")


@pytest.mark.parametrize("signature", [None, b"", MINE])
def test_while_pods_ask_for_no_signature_what_an_earlier_operator_wrote_holds(signature: bytes | None) -> None:
    """It may have left an old signature there, where it was a downgrade."""
    found = config_map(config(7), signature)
    believed = believe_config(found, key_of, Known(UID, lambda: LAST, least=3, unsigned=True))
    assert believed.config == config(7)
    assert (believed.stored, believed.doubt) == (signature == MINE, "")


LIMITED = msgspec.structs.replace(config(), egress=Egress(["a.example"], ["192.0.2.7/32"]))


@pytest.mark.parametrize(
    ("changes", "stored"),
    [
        ({}, True),
        ({"egress.json": '{"allowedHosts":["evil.example"]}'}, False),
        ({"egress-signature": "0" * 64}, False),
        ({"egress.json": None, "egress-signature": None}, False),  # an operator of before it
    ],
)
def test_an_egress_that_is_not_the_operators_is_written_again(changes: dict[str, str | None], stored: bool) -> None:
    found = config_map(LIMITED, MINE)
    found["data"] = {key: text for key, text in (found["data"] | changes).items() if text is not None}
    newer = msgspec.structs.replace(LIMITED, generation=6)
    for last, expected in ((None, config()), (LIMITED, LIMITED), (newer, config())):
        believed = believe_config(found, key_of, Known(UID, lambda last=last: last))
        assert (believed.config, believed.stored, believed.doubt) == (LIMITED if stored else expected, stored, "")


PRICED = msgspec.structs.replace(LIMITED, prices={"claude-opus-5-5": TokenPrices(3.2, 16.0)})


@pytest.mark.parametrize(
    ("changes", "stored"),
    [
        ({}, True),
        ({"prices.json": '{"claude-opus-5-5":{"input":0,"output":0}}'}, False),
        ({"prices-signature": "0" * 64}, False),
        ({"prices.json": "{", "prices-signature": sign_prices(MINE, {"prices.json": "{"})}, False),
        ({"prices.json": None, "prices-signature": None}, False),  # an operator of before them
    ],
)
def test_prices_that_are_not_the_operators_are_written_again(changes: dict[str, str | None], stored: bool) -> None:
    """Those that this process has written last hold; one that knows of none counts by the list until then."""
    found = config_map(PRICED, MINE)
    found["data"] = {key: text for key, text in (found["data"] | changes).items() if text is not None}
    for last, expected in ((None, LIMITED), (PRICED, PRICED)):
        believed = believe_config(found, key_of, Known(UID, lambda last=last: last))
        assert (believed.config, believed.stored, believed.doubt) == (PRICED if stored else expected, stored, "")


def test_an_egress_goes_with_its_own_config_alone() -> None:
    old, new = (config_map(msgspec.structs.replace(LIMITED, generation=n), MINE)["data"] for n in (5, 6))
    mixed = {**new, **{key: old[key] for key in ("egress.json", "egress-signature")}}
    found = {"metadata": {"name": "support-gateway", "namespace": "demo"}, "data": mixed}
    assert not believe_config(found, key_of, Known(UID)).stored


def test_what_was_signed_for_an_earlier_life_holds_until_it_is_signed_again() -> None:
    found = config_map(config(uid=BEFORE), key_of(BEFORE))
    believed = believe_config(found, key_of, Known(UID, orphan=True))
    assert (believed.config, believed.stored, believed.doubt) == (config(uid=BEFORE), False, "")
    assert believe_config(found, key_of, Known(UID)).config is None


def test_what_is_not_signed_is_not_parsed(monkeypatch: pytest.MonkeyPatch) -> None:
    parsed: list[object] = []
    monkeypatch.setattr(signed_config, "parse_config", parsed.append)
    believe_config(config_map("[" * 1_000_000), key_of, Known(UID))
    assert parsed == []


def test_while_there_is_no_key_nothing_is_signed() -> None:
    for unsigned in (False, True):
        believed = believe_config(config_map(config(), b""), lambda uid: b"", Known(UID, unsigned=unsigned))
        assert (believed.config is not None, believed.stored) == (unsigned, False)


def test_what_was_written_last_is_not_known_where_something_newer_is_served() -> None:
    found = config_map(msgspec.structs.replace(config(), generation=9))
    assert believe_config(found, key_of, Known(UID, lambda: LAST, least=6)).config is None


def test_the_status_is_one_ahead_at_most_and_pods_never_are() -> None:
    status = DeploymentStatus(gateway=GatewayStatus(url="", client_secret="", config_generation=7))
    assert least_generation(DeploymentStatus(), GatewayView()) == 0
    assert least_generation(status, GatewayView()) == 6
    pods = (GatewayPod("a", True, 9), GatewayPod("b", True, None), GatewayPod("c", False, 8))
    assert least_generation(status, GatewayView(pods=pods)) == 9


THROTTLED = msgspec.structs.replace(LIMITED, throttle=Throttle(dt.datetime(2026, 12, 1, tzinfo=dt.UTC), "2000"))


@pytest.mark.parametrize(
    ("changes", "stored"),
    [
        ({}, True),
        ({"throttle.json": "{}"}, False),
        ({"throttle-signature": "0" * 64}, False),
        ({"throttle.json": "{", "throttle-signature": sign_throttle(MINE, {"throttle.json": "{"})}, False),
        ({"throttle.json": None, "throttle-signature": None}, False),  # an operator of before it
    ],
)
def test_a_throttle_that_is_not_the_operators_is_written_again(changes: dict[str, str | None], stored: bool) -> None:
    """That which this process has written last holds; one that knows of none refuses nothing until then."""
    found = config_map(THROTTLED, MINE)
    found["data"] = {key: text for key, text in (found["data"] | changes).items() if text is not None}
    for last, expected in ((None, LIMITED), (THROTTLED, THROTTLED)):
        believed = believe_config(found, key_of, Known(UID, lambda last=last: last))
        assert (believed.config, believed.stored, believed.doubt) == (THROTTLED if stored else expected, stored, "")
