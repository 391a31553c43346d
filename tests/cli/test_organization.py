"""What an organisation's month costs, as a person reads it: whose it is, and what is not known."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from tests.cli.test_views import check
from tests.core.organisation.test_status import holder, seen, told, used

from claude_operator.cli.failure import Failure
from claude_operator.cli.view.organization import organization_facts, organization_view
from claude_operator.core.organisation.conditions import Seen


def stored(one: Seen | None) -> dict[str, Any]:
    status = told(one).model_dump(by_alias=True, exclude_none=True, mode="json") if one else {}
    return {"metadata": {"name": "acme"}, **({"status": status} if status else {})}


def shared() -> Seen:
    """Two share a key, part of whose usage went around; two keys, one without a name, and the Console are nobody's."""
    base = seen(holders=(holder(300), holder(100, name="sales"), holder(0, "", "nameless")))
    assert base.reading is not None
    usage = (used(500), used(20, "apikey_b"), used(7, ""), used(5, "apikey_gone"))
    return replace(base, reading=replace(base.reading, usage=usage))


@pytest.mark.parametrize(
    ("name", "one"),
    [
        ("shared", shared()),
        ("starting", seen(reading=None, started=False)),
        ("never_seen", None),
        ("many", seen(holders=tuple(holder(1, f"apikey_{number}", f"d{number}") for number in range(25)))),
    ],
)
def test_an_organisation(name: str, one: Seen | None) -> None:
    facts = organization_facts(stored(one))
    check(organization_view(facts), facts, f"organization_{name}")


def test_a_status_of_another_version_is_told() -> None:
    broken = {"metadata": {"name": "acme"}, "status": {"tokens": "many"}}
    with pytest.raises(
        Failure, match="the status of ClaudeOrganization acme cannot be read: use a newer kubectl-claude"
    ):
        organization_facts(broken)
