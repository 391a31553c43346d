"""What calls cost, as a person reads it: sums, and what is not in them."""

from __future__ import annotations

import base64
import datetime as dt
from typing import Any

import pytest
from tests.cli.test_views import check
from tests.core.usage.readings import NOON, page, reading

from claude_operator.api.usage import UsageRow
from claude_operator.cli.cluster import Cluster
from claude_operator.cli.failure import Failure
from claude_operator.cli.kubectl import Kubectl
from claude_operator.cli.usage import Used, used_of
from claude_operator.cli.view.cost import Question, cost_facts, cost_rows, cost_view, first_day
from claude_operator.core.usage.ledger import Spend, absorb
from claude_operator.core.usage.state import Usages, encode

DAY = dt.timedelta(days=1)
OPUS, HAIKU = "claude-opus-5-5", "claude-haiku-5-5"


def row(surface: str, calls: int, usd: float, model: str = OPUS, subagent: str = "", unpriced: int = 0) -> UsageRow:
    """Some calls; `usd` is what they cost together."""
    tokens = 100 * calls, 50 * calls, 900 * calls, 20 * calls, 0
    return UsageRow("support-c49a4f2c25", "stable", surface, subagent, model, calls, unpriced, *tokens, usd)


def spend(scale: int, *, days: int = 10) -> Spend:
    """Some days up to noon of the thirtieth."""
    state = Spend()
    for day in range(1, days + 1):
        rows = [
            row("chat", 100 * day * scale, 1.25 * day * scale),
            row("agent", 10 * day * scale, 2.5 * day * scale, subagent="scout"),
            row("agent", 4 * day * scale, 0.0, "claude-unheard-of-9", unpriced=4 * day * scale),
            row("other", day * scale, 0.0004 * day * scale, HAIKU),
        ]
        state = absorb(state, reading(page("a", *rows)), NOON - (days - day) * DAY)
    return state


USED = [
    Used("shop", "support", {"team": "care"}, Usages(spend(4)), read="3 of 3"),
    Used(
        "shop",
        "search",
        {"team": "find"},
        Usages(spend(1, days=40)),
        read="1 of 2",
        note="the usage record had to begin again",
    ),
    Used("labs", "draft", {}, Usages(Spend(NOON - DAY / 2)), created=NOON - DAY / 2),
    Used("labs", "old", {"team": "find"}, blind="the operator has recorded nothing yet"),
]


@pytest.mark.parametrize(
    ("by", "since"),
    [("deployment", None), ("label:team", None), ("surface", "7d"), ("day", "3d"), ("model", "1d"), ("revision", None),
     ("namespace", None), ("subagent", "2026-11-29")],
)  # fmt: skip
def test_costs_by(by: str, since: str | None) -> None:
    question = Question(by, first_day(since, NOON), NOON)
    facts = cost_facts(USED, question)
    check(cost_view(facts, question), facts, f"cost_{by.replace(':', '_')}")
    assert sum(one["calls"] for one in facts["rows"]) == facts["total"]["calls"]
    assert sum(one["costUSD"] for one in facts["rows"]) == pytest.approx(facts["total"]["costUSD"])


def test_what_is_unknown_is_empty_in_csv_and_never_zero() -> None:
    question = Question("deployment", first_day(None, NOON), NOON)
    headings, rows = cost_rows(cost_facts(USED, question), question)
    assert headings == [
        "namespace", "name", "calls", "unpricedCalls", "inputTokens", "cacheReadTokens", "cacheWrite5mTokens",
        "cacheWrite1hTokens", "outputTokens", "costUSD",
    ]  # fmt: skip
    found = {f"{one[0]}/{one[1]}": one[-1] for one in rows}
    assert found == {"shop/support": 150.016, "shop/search": 112.512, "labs/draft": 0.0, "labs/old": ""}


@pytest.mark.parametrize(
    ("since", "day"),
    [(None, "2026-11-01"), ("1d", "2026-11-30"), ("7d", "2026-11-24"), ("2026-10-02", "2026-10-02")],
)
def test_since(since: str | None, day: str) -> None:
    assert first_day(since, NOON).isoformat() == day


@pytest.mark.parametrize("since", ["7", "0d", "-1d", "yesterday", "24h", "²d", "2026-13-01", ""])
def test_what_is_no_day_is_refused(since: str) -> None:
    with pytest.raises(Failure, match=r"is not a number of days or a date; use e\.g\. 7d or 2026-11-30"):
        first_day(since, NOON)


def deployment(uid: str = "u1", **cost: Any) -> dict[str, Any]:
    metadata = {"namespace": "shop", "name": "support", "uid": uid, "labels": {"team": "care"}}
    return {"metadata": metadata, "status": {"cost": cost}}


def config_map(data: dict[str, str], uid: str = "u1") -> dict[str, Any]:
    owner = {"controller": True, "uid": uid, "kind": "ClaudeDeployment", "name": "support"}
    return {"metadata": {"name": "support-usage", "namespace": "shop", "ownerReferences": [owner]}, "binaryData": data}


def test_what_the_operator_keeps_is_read_and_nothing_else() -> None:
    kept = Usages(spend(1))
    found = used_of(deployment(gateways="2 of 3"), config_map(encode(kept)))
    assert (found.kept, found.blind, found.read, found.labels) == (kept, "", "2 of 3", {"team": "care"})
    for other, why in (
        (None, "has recorded nothing yet"),
        (config_map(encode(kept), "u2"), "belongs to something else"),
        (config_map({"spend": base64.b64encode(b"spoiled").decode()}), "spend: not gzip"),
    ):
        blind = used_of(deployment(), other)
        assert blind.kept is None
        assert why in blind.blind


def test_figures_that_have_not_changed_for_an_hour_tell_since_when() -> None:
    question = Question("deployment", first_day(None, NOON), NOON)
    for minutes, told in ((60, False), (61, True), (-90, False)):
        at = (NOON - dt.timedelta(minutes=minutes)).isoformat()
        one = used_of(deployment(gateways="1 of 1", at=at), config_map(encode(Usages(spend(1)))))
        said = [note for note in cost_facts([one], question)["notes"] if "the operator is away" in note]
        assert bool(said) == told
    assert used_of(deployment(at="noon"), None).read_at is None
    late = used_of(deployment(at="2026-11-30T10:00:00Z"), config_map(encode(Usages(spend(1)))))
    notes = cost_facts([late], question)["notes"]
    assert [one for one in notes if one.startswith("shop/support: as of 2026-11-30 10:00 UTC; since then")]


class Stored(Kubectl):
    """A cluster with one ClaudeDeployment and its record."""

    def __init__(self) -> None:
        self.kept = Usages(spend(1))

    def get(self, resource: str, name: str, *more: str) -> Any:
        return deployment()

    def find(self, resource: str, name: str) -> Any:
        return config_map(encode(self.kept))


def test_a_name_that_is_given_twice_counts_once() -> None:
    question = Question("model", first_day(None, NOON), NOON)
    once, twice = (cost_facts(Cluster(Stored()).usages(names), question) for names in (["support"], ["support"] * 2))
    assert once["total"]["calls"] > 0
    assert twice == once
