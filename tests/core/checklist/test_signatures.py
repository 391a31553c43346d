"""Which signature counts: for this item of this revision, by who wrote it, until it ends."""

from __future__ import annotations

import datetime as dt
from dataclasses import replace
from typing import Any

import pytest
from tests.core.checklist.cases import DAY, NOW, REVISION, case, content, found, signature

from claude_operator.api.checklist import OwnItem
from claude_operator.core.checklist.case import Case, Rules, Sight, Signature
from claude_operator.core.checklist.evaluate import evaluate, mode_in_force
from claude_operator.core.checklist.signatures import content_hash

ITEM = "workflow"


def signed(*given: Signature, **fields: Any) -> Case:
    return case(sight=Sight(signatures=given, **fields))


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"revision": "support-9876543210"}, "alice signed support-9876543210, and this revision is another"),
        ({"content_hash": content_hash(content({"max_tokens": 1}))}, f"alice signed {REVISION}, and this revision"),
        ({"expires_at": NOW}, "the signature of alice ended on 2026-11-24; sign again"),
        ({"created_at": NOW - 366 * DAY, "expires_at": NOW + 90 * DAY}, "ended on 2026-11-24"),
        ({"created_at": NOW + DAY}, "of the future"),
        ({"item": "skills"}, "nobody has signed it"),
        ({"deployment": "other"}, "nobody has signed it"),
    ],
)
def test_what_does_not_count(change: dict[str, Any], says: str) -> None:
    finding = found(ITEM, signed(signature(ITEM, **change)))
    assert finding.result == "Failed"
    assert says in finding.message
    assert "kubectl claude checklist support -n demo sign workflow --until 90d" in finding.message


@pytest.mark.parametrize(
    "change",
    [
        {},
        {"expires_at": NOW + dt.timedelta(seconds=1)},
        {"created_at": NOW - 365 * DAY},
        {"created_at": NOW + dt.timedelta(minutes=5)},  # the API server's clock is a little ahead
    ],
)
def test_what_counts(change: dict[str, Any]) -> None:
    finding = found(ITEM, signed(signature(ITEM, **change)))
    assert (finding.result, finding.by, finding.is_open) == ("Signed", "alice", False)
    assert finding.message == "alice: looked at with the team"
    assert finding.until is not None
    assert finding.until <= signature(ITEM, **change).expires_at


def test_the_newest_that_counts_is_heard() -> None:
    no = signature(ITEM, name="b", decision="NotApplicable", signed_by="bob", created_at=NOW - 2 * DAY)
    assert found(ITEM, signed(signature(ITEM), no)).result == "Signed"
    assert found(ITEM, signed(replace(no, created_at=NOW), signature(ITEM))).result == "NotApplicable"
    ended = replace(no, created_at=NOW, expires_at=NOW)
    assert found(ITEM, signed(ended, signature(ITEM))).result == "Signed"


def test_no_signature_ticks_what_the_system_decides() -> None:
    failing = {"rehearsals": ()}
    passed = Sight(signatures=(signature("rollback"),))
    assert found("rollback", case(sight=passed, **failing)).result == "Failed"
    not_needed = Sight(signatures=(signature("rollback", decision="NotApplicable", reason="a batch job"),))
    finding = found("rollback", case(sight=not_needed, **failing))
    assert (finding.result, finding.message) == ("NotApplicable", "does not apply, says alice: a batch job")
    assert found("rollback", case(sight=not_needed)).result == "Passed"


def test_without_the_policy_a_name_is_only_a_claim() -> None:
    assert found(ITEM, signed(signature(ITEM), authors_held=False)).result == "Unknown"
    no = signature("rollback", decision="NotApplicable")
    open_ = found("rollback", replace(signed(no, authors_held=False), rehearsals=()))
    assert (open_.result, "signatures.enabled=true" in open_.message) == ("Unknown", True)


def test_before_they_are_read_nothing_is_signed() -> None:
    assert found(ITEM, signed(signature(ITEM), known=False)).result == "Unknown"
    assert "forbidden" in found(ITEM, signed(known=False, fault="signatures cannot be listed: forbidden")).message


def test_names_cannot_steer_a_terminal() -> None:
    finding = found(ITEM, signed(signature(ITEM, signed_by="\x1b[31meve\n", reason="a\u202eb\nc")))
    assert finding.by == "[31meve"
    assert finding.message == "[31meve: a b c"
    assert len(found(ITEM, signed(signature(ITEM, signed_by="x" * 256))).by) == 64


def test_the_hash_is_of_all_that_shapes_a_request() -> None:
    known = content_hash(content())
    assert content_hash(dict(reversed(content().items()))) == known
    for change in (content({"max_tokens": 1}), content(subagents={}), content(overrides={"system": "Append"})):
        assert content_hash(change) != known
    assert content_hash({"request": {"system": "\ud800"}}).startswith("sha256:")


def own(**fields: Any) -> OwnItem:
    return OwnItem.model_validate({"name": "no-personal-data", "title": "No personal data in prompts", **fields})


BY_HAND = own(signature={"maxAge": "24h"}, help="ask the privacy team")


def test_items_of_the_organisation() -> None:
    rules = (Rules("privacy", None, (BY_HAND,)),)
    finding = found("no-personal-data", case(sight=Sight(rules=rules)))
    assert (finding.result, finding.checklist, finding.title) == ("Failed", "privacy", "No personal data in prompts")
    assert finding.message.startswith("nobody has signed it: kubectl claude checklist support")
    assert finding.message.endswith("; ask the privacy team")
    waived = (signature("no-personal-data", decision="NotApplicable", created_at=NOW),)
    assert found("no-personal-data", case(sight=Sight(signatures=waived, rules=rules))).result == "NotApplicable"


def test_an_own_item_that_is_signed_counts_for_as_long_as_it_says() -> None:
    rules = (Rules("privacy", None, (BY_HAND,)),)
    young = signature("no-personal-data", created_at=NOW - dt.timedelta(hours=23))
    finding = found("no-personal-data", case(sight=Sight(signatures=(young,), rules=rules)))
    assert (finding.result, finding.until) == ("Signed", NOW + dt.timedelta(hours=1))
    old = replace(young, created_at=NOW - dt.timedelta(hours=24))
    assert found("no-personal-data", case(sight=Sight(signatures=(old,), rules=rules))).result == "Failed"


def test_own_items_come_after_the_fourteen_by_name_of_their_checklist() -> None:
    rules = (Rules("b", None, (own(name="two", signature={}),)), Rules("a", None, (own(name="one", signature={}),)))
    assert [one.id for one in evaluate(case(sight=Sight(rules=rules)))][14:] == ["one", "two"]


@pytest.mark.parametrize(
    ("mine", "theirs", "known", "mode"),
    [
        (None, [], True, "Warn"),
        (None, ["Off"], True, "Off"),
        (None, ["Off", "Enforce", "Warn"], True, "Enforce"),
        (None, [None, "Warn"], True, "Warn"),
        ("Off", ["Enforce"], True, "Off"),
        ("Enforce", [], False, "Enforce"),
        (None, [], False, None),
    ],
)
def test_the_mode(mine: Any, theirs: list[Any], known: bool, mode: str | None) -> None:
    rules = tuple(Rules(f"r{number}", one) for number, one in enumerate(theirs))
    assert mode_in_force(mine, Sight(known=known, rules=rules)) == mode
