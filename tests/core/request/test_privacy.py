"""What of a client's names may be written down."""

from __future__ import annotations

import json

import pytest

from claude_operator.core.request.privacy import Identity, identity, without_emails

DEVICE = "0123456789abcdef" * 4
SESSION = "00000000-0000-4000-8000-00000000000a"


@pytest.mark.parametrize(
    ("user_id", "expected"),
    [
        ("u-4711", Identity("", "u-4711")),
        ("", Identity("", "")),
        (json.dumps({"device_id": DEVICE, "account_uuid": "", "session_id": SESSION}), Identity(SESSION, "")),
        (json.dumps({"device_id": DEVICE, "account_uuid": "a", "session_id": 7}), Identity("", "")),
        (json.dumps({"device_id": DEVICE}), Identity("", "")),
        (json.dumps({"session_id": "x" * 257}), Identity("", "")),
        (json.dumps([DEVICE]), Identity("", "")),
        (' {"device_id": "' + DEVICE, Identity("", "")),
        ("{" * 4096, Identity("", "")),
        ('{"session_id": "\ud800"}', Identity("", "")),
        (f"user_{DEVICE}_account_{SESSION[:-1]}b_session_{SESSION}", Identity(SESSION, "")),
        (f"user_{DEVICE}_account__session_{SESSION}", Identity(SESSION, "")),
        (f"user__account__session_{SESSION}", Identity(SESSION, "")),
        (f"user_account__session_{SESSION}", Identity("", f"user_account__session_{SESSION}")),
        (f"user__account_session_{SESSION}", Identity("", f"user__account_session_{SESSION}")),
        ("user__account__session_a_b", Identity("", "user__account__session_a_b")),
        ("user__account__session_", Identity("", "user__account__session_")),
    ],
)
def test_an_identity(user_id: str, expected: Identity) -> None:
    assert identity(user_id) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("anna@example.com", "[email]"),
        ("mail anna.b+c@mail.example.co.uk now", "mail [email] now"),
        ("/v1/organizations/users/anna%40example.com/sign_out", "/v1/organizations/users/[email]/sign_out"),
        ("/v1/organizations/users/anna%2540example.com", "/v1/organizations/users/[email]"),
        ("anna@localhost", "[email]"),
        ("anna＠example.com", "[email]"),
        ("änna@exämple.de", "[email]"),
        ('"anna b"@example.com', "[email]"),
        ("mailto:anna@example.com", "mailto:[email]"),
        ("a=1&user=anna@example.com", "a=1&user=[email]"),
        ("claude-haiku-4-5@20251001", "claude-haiku-4-5@20251001"),
        ("40 of 404", "40 of 404"),
        ("u-4711", "u-4711"),
    ],
)
def test_no_email_is_left(text: str, expected: str) -> None:
    assert without_emails(text) == expected


@pytest.mark.parametrize("unit", ["@", "@.", "@a", "%40", "%25", '"', '"@', "a@", "@1", "＠"])
def test_no_text_takes_longer_than_its_length(unit: str) -> None:
    """500 times @ in a path, without a key, took half a second; these would take hours."""
    without_emails(unit * 100_000)


def test_no_id_takes_longer_than_its_length() -> None:
    """One of 57 KB took 0.4 seconds, one of a megabyte minutes, for all who use the gateway."""
    long = "user_" + "_account_" * 300_000 + "_session_" * 300_000 + "!"
    assert identity(long) == Identity("", long)
