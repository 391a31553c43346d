"""Where a config lets conversations be."""

from __future__ import annotations

from typing import Any

import pytest
from tests.gateway.harness import CANARY, STABLE, make_arm, make_config

from claude_operator.api.gateway import Arm, Assigning
from claude_operator.core.request.split import Split, split_of

FORMER = "support-0123456789"


def arms(**weights: int) -> list[Arm]:
    names = {"stable": STABLE, "canary": CANARY, "former": FORMER}
    return [make_arm(names[role], role, weight) for role, weight in weights.items()]


def split(*served: Arm, **more: Any) -> Split:
    found = split_of(make_config("http://upstream", *served, **more))
    assert found is not None
    return found


@pytest.mark.parametrize(
    ("weights", "served", "home", "new"),
    [
        ({"stable": 10_000}, {STABLE}, STABLE, {STABLE}),
        ({"stable": 9000, "canary": 1000}, {STABLE, CANARY}, STABLE, {STABLE, CANARY}),
        ({"stable": 10_000, "canary": 0}, {STABLE}, STABLE, {STABLE}),
        ({"stable": 0, "canary": 10_000}, {STABLE, CANARY}, STABLE, {CANARY}),
        ({"canary": 10_000}, {CANARY}, CANARY, {CANARY}),
        ({"stable": 10_000, "former": 0}, {STABLE, FORMER}, FORMER, {STABLE}),
        ({"stable": 9000, "canary": 1000, "former": 0}, {STABLE, CANARY, FORMER}, FORMER, {STABLE, CANARY}),
        ({"stable": 10_000, "canary": 0, "former": 0}, {STABLE, FORMER}, FORMER, {STABLE}),
    ],
)
def test_where_conversations_stay_and_begin(
    weights: dict[str, int], served: set[str], home: str, new: set[str]
) -> None:
    found = split(*arms(**weights))
    assert (set(found.served), found.home, found.is_single) == (served, home, len(served) == 1)
    assert {found.draw(number) for number in range(0, 10_000, 7)} == new
    assert {found.draw_name(f"session:{number}") for number in range(200)} == new


def test_a_weight_of_chance_is_exact() -> None:
    found = split(*arms(stable=9000, canary=1000))
    assert [found.draw(number) for number in (0, 999, 1000, 9999)] == [CANARY, CANARY, STABLE, STABLE]


def test_nothing_is_divided_while_nothing_may_serve() -> None:
    assert split_of(make_config("http://upstream")) is None


def test_conversations_are_the_unit_where_nothing_is_said() -> None:
    assert (split(*arms(stable=10_000)).unit, split(*arms(stable=10_000)).rescue_after) == ("Conversation", 3)
    chosen = split(*arms(stable=10_000), assignment=Assigning("User", 0))
    assert (chosen.unit, chosen.rescue_after) == ("User", 0)
