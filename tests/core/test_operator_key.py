"""Proofs between the operator and its gateways: what was proven for one thing is worth nothing for another."""

from __future__ import annotations

import itertools

import pytest

from claude_operator.core.operator_key import (
    NONCE,
    ProofError,
    admit,
    ask,
    is_answer,
    is_signed,
    prove,
    sign_config,
    subkey,
)

KEY, OTHER = b"op-one", b"op-two"
DATA = {"config.json": '{"generation": 1}'}
HEADERS = ask(KEY, pod="gw-1", method="GET", target="/-/evidence?since=", nonce="n1")


def signed(key: bytes = KEY, **data: str) -> dict[str, str]:
    whole = DATA | data
    return whole | {"signature": sign_config(key, whole)}


def test_a_config_is_signed_by_who_has_the_key_and_by_nobody_else() -> None:
    assert is_signed(KEY, signed())
    assert not is_signed(OTHER, signed())
    assert not is_signed(KEY, signed(OTHER))
    assert not is_signed(KEY, DATA)
    assert not is_signed(KEY, {**signed(), "config.json": '{"generation": 2}'})
    assert not is_signed(KEY, {**signed(), "signature": "é\udcff"})
    assert not is_signed(KEY, {})


def test_keys_that_no_gateway_reads_mean_nothing() -> None:
    assert is_signed(KEY, {**signed(), "note": "added by hand"})


def test_a_request_is_admitted_by_the_pod_and_for_the_path_that_it_was_made_for() -> None:
    right = {"pod": "gw-1", "method": "GET", "target": "/-/evidence?since="}
    assert admit(KEY, **right, headers=HEADERS) == "n1"
    wrong = [{"pod": "gw-2"}, {"method": "POST"}, {"target": "/-/evidence?since=&keep=1"}]
    for change in wrong:
        with pytest.raises(ProofError, match="not made with its key, or for another pod"):
            admit(KEY, **{**right, **change}, headers=HEADERS)
    with pytest.raises(ProofError):
        admit(OTHER, **right, headers=HEADERS)
    with pytest.raises(ProofError):
        admit(KEY, **right, headers={**HEADERS, NONCE: "n2"})
    for name in HEADERS:
        with pytest.raises(ProofError, match="missing"):
            admit(KEY, **right, headers={other: value for other, value in HEADERS.items() if other != name})


def test_a_nonce_is_short() -> None:
    nonce = "n" * 65
    headers = ask(KEY, pod="gw-1", method="GET", target="/", nonce=nonce)
    with pytest.raises(ProofError):
        admit(KEY, pod="gw-1", method="GET", target="/", headers=headers)


def test_an_answer_is_of_one_pod_to_one_request() -> None:
    headers = prove(KEY, pod="gw-1", nonce="n1", body=b"{}")
    right = {"pod": "gw-1", "nonce": "n1", "body": b"{}"}
    assert is_answer(KEY, **right, headers=headers)
    for change in ({"pod": "gw-2"}, {"nonce": "n2"}, {"body": b"[]"}):
        assert not is_answer(KEY, **{**right, **change}, headers=headers)
    assert not is_answer(OTHER, **right, headers=headers)
    assert not is_answer(KEY, **right, headers={})
    assert not is_answer(KEY, **right, headers=HEADERS)


def test_moving_bytes_from_one_part_to_the_next_is_another_request() -> None:
    one = ask(KEY, pod="gw-1", method="GET", target="/a", nonce="n")
    other = ask(KEY, pod="gw-", method="1GET", target="/a", nonce="n")
    assert one != other


def test_every_use_has_a_key_of_its_own() -> None:
    keys = [subkey(key, purpose) for key in (KEY, OTHER) for purpose in PURPOSES]
    assert all(one != other for one, other in itertools.combinations([*keys, KEY, OTHER], 2))


PURPOSES = ("config", "admin-request", "admin-answer", "assignment")
