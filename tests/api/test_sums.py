"""Sums of the judge in status: names in code, lists of numbers as every version has stored them."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from claude_operator.api.status import Judgement, MetricState, SoakStatus
from claude_operator.api.sums import IncidentSums, Moments, RecentRequests, Score, SoakSums, flat

SIZES = {"recent": 12, "incident": 23}
OF_METRIC = {"score": 6, "moments": 7, "soak": 9}
METRIC = {"name": "cost", "evidence": 1.0, "canary": [0, 0], "stable": [0, 0]}


def stored(judgement: Judgement) -> dict[str, Any]:
    return judgement.model_dump(by_alias=True, exclude_none=True, mode="json")


def parsed(lists: dict[str, list[float]]) -> Judgement:
    metric = METRIC | {name: lists[name] for name in OF_METRIC if name in lists}
    return Judgement.model_validate(
        {"verdict": "Inconclusive", "state": [metric], **{name: lists[name] for name in SIZES if name in lists}}
    )


def test_a_list_of_numbers_has_names() -> None:
    lists = {name: [float(n) for n in range(size)] for name, size in (SIZES | OF_METRIC).items()}
    found = parsed(lists)
    assert (found.recent.canary.errors, found.recent.stable.answered, found.recent.stable_meanwhile.errors) == (
        1,
        4,
        11,
    )
    assert (found.incident.past.errors, found.incident.now.requests, found.incident.newer.ln_sum) == (2, 5, 22)
    (state,) = found.state
    assert (state.score.information, state.moments.squares, state.soak.moments.mean) == (1, 3, 3)
    document = stored(found)
    assert {name: document[name] for name in SIZES} == {name: lists[name] for name in SIZES}
    assert {name: document["state"][0][name] for name in OF_METRIC} == {name: lists[name] for name in OF_METRIC}


@given(
    st.fixed_dictionaries(
        {name: st.lists(st.floats(-1e9, 1e9), max_size=size + 2) for name, size in (SIZES | OF_METRIC).items()}
    )
)
def test_what_is_stored_comes_back_and_another_length_is_nothing(lists: dict[str, list[float]]) -> None:
    found = parsed(lists)
    assert Judgement.model_validate(stored(found)) == found
    (state,) = found.state
    sums = {name: getattr(found, name) for name in SIZES} | {name: getattr(state, name) for name in OF_METRIC}
    for name, size in (SIZES | OF_METRIC).items():
        assert list(flat(sums[name])) == (lists[name] if len(lists[name]) == size else [0.0] * size)


def test_nothing_seen_is_nothing_stored() -> None:
    found = Judgement(verdict="Inconclusive", state=[MetricState.model_validate(METRIC)])
    assert (found.recent, found.incident) == (RecentRequests(), IncidentSums())
    assert (found.state[0].score, found.state[0].moments, found.state[0].soak) == (Score(), Moments(), SoakSums())
    document = stored(found)
    assert [document[name] for name in SIZES] == [[], []]
    assert [document["state"][0][name] for name in OF_METRIC] == [[], [], []]


def test_what_is_no_number_is_refused() -> None:
    with pytest.raises(ValidationError):
        parsed({"recent": ["many"] * 12})  # type: ignore[list-item]


@pytest.mark.parametrize("judgement", [None, 3, {}, {"state": 3}, {"state": [3, {"score": []}]}])
def test_a_soak_that_cannot_be_read_is_refused_as_it_is(judgement: Any) -> None:
    """Reading the older form takes nothing for granted."""
    fields = {"revision": "b", "previous": "a", "startedAt": "2026-11-24T10:00:00Z", "until": "2026-11-24T11:00:00Z"}
    soak = {**fields, "maxIncrease": 0.5, "judgement": judgement}
    if judgement is None:
        assert SoakStatus.model_validate(soak).judgement is None
        return
    with pytest.raises(ValidationError):
        SoakStatus.model_validate(soak)
