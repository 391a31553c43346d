"""The shipped catalogue as a whole, and its way into ClaudeModel objects and back."""

from __future__ import annotations

import datetime as dt

import pytest

from claude_operator.api.resources import ModelSpec
from claude_operator.core.catalogue.lifecycle import Lifecycle, from_spec, kubernetes_name, lifecycle_of, state, to_spec
from claude_operator.core.catalogue.objects import model_objects, model_status, models_by_name
from claude_operator.core.catalogue.table import all_models, as_of, find, newest

TODAY = dt.date(2026, 11, 24)
RETIRED = [model for model in all_models() if state(model, TODAY).lifecycle is Lifecycle.RETIRED]
SERVED = [model for model in all_models() if model not in RETIRED]


def test_ids_aliases_and_object_names_are_unique() -> None:
    names = [name for model in all_models() for name in (model.id, *model.aliases)]
    assert len(names) == len(set(names))
    objects = [kubernetes_name(model.id) for model in all_models()]
    assert len(objects) == len(set(objects)) == len(SERVED) + len(RETIRED)
    assert (len(SERVED), len(RETIRED)) == (19, 19)


def test_every_model_has_prices_or_is_retired() -> None:
    """Of one preview the price was never published."""
    assert [model.id for model in SERVED if model.prices is None] == ["claude-mythos-preview"]
    for model in SERVED:
        if model.prices:
            parts = (model.prices.cache_write_5m, model.prices.cache_write_1h, model.prices.cache_read)
            assert None not in parts, model.id


def test_cache_prices_are_the_documented_multiples_of_input() -> None:
    for prices in (model.prices for model in SERVED if model.prices):
        assert prices.cache_write_5m == pytest.approx(1.25 * prices.input)
        assert prices.cache_write_1h == pytest.approx(2 * prices.input)
        assert prices.output == pytest.approx(5 * prices.input)
        assert prices.cache_read is not None
        assert round(prices.cache_read / prices.input, 3) in (0.025, 0.05, 0.1)


def test_dates_are_in_order() -> None:
    for model in all_models():
        dates = [day for day in (model.released, model.deprecated, model.retires) if day]
        assert dates == sorted(dates), model.id
        if model.deprecated and model.retires:  # the documentation promises 60 days' notice
            assert (model.retires - model.deprecated).days >= 60, model.id
        if model.superseded:
            assert model.released is None or model.superseded > model.released, model.id
        assert model.released is None or model.released <= as_of(), model.id


def test_replacements_exist_and_are_not_retired() -> None:
    for model in all_models():
        if model.replacement:
            other = find(model.replacement)
            assert other is not None
            assert other.id == model.replacement, f"{model.id}: name the replacement by its pinned id"
            assert state(other, TODAY).lifecycle in (Lifecycle.ACTIVE, Lifecycle.LEGACY), model.id
    for model in RETIRED:
        assert model.replacement, model.id


def test_dates_give_the_states_of_the_documentation() -> None:
    assert {model.id: state(model, as_of()).lifecycle.value for model in all_models()} == {
        model.id: model.docs_state for model in all_models()
    }


def test_every_line_has_one_active_model_the_newest() -> None:
    for line in ("haiku", "sonnet", "opus", "fable", "mythos"):
        active = [m.id for m in SERVED if m.line == line and state(m, TODAY).lifecycle is Lifecycle.ACTIVE]
        top = newest(line, TODAY)
        assert top is not None
        assert active == [top.id]


def test_a_model_is_found_by_its_alias_and_nothing_is_made_up() -> None:
    assert find("claude-haiku-4-5") is find("claude-haiku-4-5-20251001")
    assert find("claude-haiku-4-5-20991231") is None
    assert find("") is None


def test_objects_have_the_schema_and_read_back_the_same() -> None:
    objects = model_objects()
    for model, one in zip(all_models(), objects, strict=True):
        assert one["apiVersion"] == "claudeops.dev/v1alpha1"
        assert one["kind"] == "ClaudeModel"
        assert one["metadata"] == {
            "name": kubernetes_name(model.id),
            "labels": {"app.kubernetes.io/managed-by": "claude-operator"},
        }
        ModelSpec.model_validate(one["spec"])
        assert from_spec(one["spec"]) == model
    assert models_by_name(one["spec"] for one in objects)["claude-opus-4-5"].id == "claude-opus-4-5-20251101"


@pytest.mark.parametrize(
    ("model_id", "name"),
    [("claude-2.1", "claude-2-1"), ("claude-opus-5-5", "claude-opus-5-5"), ("Vendor/Claude_X@1", "vendor-claude-x-1")],
)
def test_object_names(model_id: str, name: str) -> None:
    assert kubernetes_name(model_id) == name
    assert len(kubernetes_name(model_id * 50)) <= 253


@pytest.mark.parametrize("day", [dt.date(2026, 11, 29), dt.date(2026, 11, 30)])
def test_the_status_of_an_object_is_that_of_its_model(day: dt.date) -> None:
    model = find("claude-sonnet-4-5-20250929")
    assert model is not None
    status = model_status(to_spec(model), day)
    now = state(model, day)
    assert (status.lifecycle, status.days_left) == (now.lifecycle.value, now.days_left)
    assert status.replacement == "claude-sonnet-5-5"
    assert status.message == now.sentence(model.id)


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"retiresAt": "soon"}, "retiresAt is not a date: 'soon'; write it like 2026-11-30"),
        ({"state": "Fine"}, "state is not a lifecycle state: 'Fine'; write Active, Legacy, Deprecated or Retired"),
        ({"pricesUSDPerMTok": {"input": 1}}, "prices lack input or output"),
    ],
)
def test_an_object_that_cannot_be_read_says_why_and_the_shipped_table_holds(change: dict, says: str) -> None:
    spec = {"id": "claude-opus-5-5", **change}
    status = model_status(spec, TODAY)
    assert status.lifecycle == "Unknown"
    assert says in status.message
    overrides = models_by_name([spec])
    assert overrides == {}
    assert lifecycle_of("claude-opus-5-5", TODAY, overrides).lifecycle is Lifecycle.ACTIVE


def test_a_model_that_the_cluster_adds_is_known_and_makes_older_ones_legacy() -> None:
    added = {"id": "claude-opus-6", "line": "opus", "generation": "6", "releasedAt": "2026-11-20T00:00:00Z"}
    overrides = models_by_name([*(one["spec"] for one in model_objects()), added])
    assert lifecycle_of("claude-opus-6", TODAY).lifecycle is Lifecycle.UNKNOWN
    assert lifecycle_of("claude-opus-6", TODAY, overrides).lifecycle is Lifecycle.ACTIVE
    older = lifecycle_of("claude-opus-5-5", TODAY, overrides)
    assert older.sentence("claude-opus-5-5") == "claude-opus-5-5 is Legacy: claude-opus-6 is newer"
    assert lifecycle_of("claude-opus-5-5", dt.date(2026, 11, 19), overrides).lifecycle is Lifecycle.ACTIVE
    assert lifecycle_of("claude-sonnet-5-5", TODAY, overrides).lifecycle is Lifecycle.ACTIVE
    shipped = next(one["spec"] for one in model_objects() if one["spec"]["id"] == "claude-opus-5-5")
    assert model_status(shipped, TODAY).lifecycle == "Active"
    assert model_status(shipped, TODAY, overrides).lifecycle == "Legacy"


def test_an_edited_object_wins_over_the_shipped_table() -> None:
    edited = {"id": "claude-opus-5-5", "deprecatedAt": "2026-11-01", "retiresAt": "2027-02-01", "aliases": ["best"]}
    overrides = models_by_name([edited])
    for name in ("claude-opus-5-5", "best"):
        assert lifecycle_of(name, TODAY, overrides).lifecycle is Lifecycle.DEPRECATED
    assert model_status(edited, TODAY).message == "claude-opus-5-5 is Deprecated: retires 2027-02-01 (in 69 days)"
    assert lifecycle_of("claude-opus-5-5", TODAY).lifecycle is Lifecycle.ACTIVE


def test_an_alias_never_hides_an_id() -> None:
    specs = [{"id": "claude-a", "state": "Legacy"}, {"id": "claude-b", "aliases": ["claude-a"], "state": "Active"}]
    for order in (specs, specs[::-1]):
        assert models_by_name(order)["claude-a"].stated == "Legacy"


@pytest.mark.parametrize("above", ["x", [1], 5, {"input": {}, "output": 1}])
def test_further_fields_of_any_shape_leave_the_other_models_readable(above: object) -> None:
    extra = {"pricesUSDPerMTokAbove100kPromptTokens": above}
    broken = {"id": "claude-x", "pricesUSDPerMTok": {"input": 1, "output": 2}, "extra": extra}
    assert list(models_by_name([broken, {"id": "claude-y"}])) == ["claude-y"]
    assert "spec cannot be read" in (model_status(broken, TODAY).message or "")
