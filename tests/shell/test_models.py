"""ClaudeModels: made from the catalogue, kept as of today, a person's own left alone."""

from __future__ import annotations

import datetime as dt
import logging
from typing import Any

import pytest
from tests.shell.fakes import FakeKube, SetClock

from claude_operator.core.catalogue.objects import model_objects
from claude_operator.kube.client import KubeError
from claude_operator.shell.models import ModelBook

TODAY = dt.datetime(2026, 11, 24, tzinfo=dt.UTC)


def book(kube: FakeKube, *, days: int = 0) -> ModelBook:
    return ModelBook(kube, SetClock(TODAY + dt.timedelta(days=days)))  # type: ignore[arg-type]


def mine(**spec: Any) -> dict[str, Any]:
    base = next(one for one in model_objects() if one["spec"]["id"] == "claude-opus-5-5")["spec"]
    metadata = {"name": "mine"}
    return {"apiVersion": "claudeops.dev/v1alpha1", "kind": "ClaudeModel", "metadata": metadata, "spec": base | spec}


async def test_the_catalogue_is_made_told_and_then_left_alone() -> None:
    kube = FakeKube()
    models = book(kube)
    assert models.models() == {}
    assert await models.refresh() is True
    assert kube.names("ClaudeModel") == sorted(one["metadata"]["name"] for one in model_objects())
    assert {kube.take("ClaudeModel", name, "")["status"]["lifecycle"] for name in kube.names("ClaudeModel")} >= {
        "Active",
        "Retired",
    }
    assert "claude-opus-5-5" in models.models()
    kube.writes.clear()
    assert await models.refresh() is False
    assert kube.writes == []


async def test_one_that_was_deleted_or_changed_is_mended() -> None:
    kube = FakeKube()
    models = book(kube)
    await models.refresh()
    first, second, *_ = kube.names("ClaudeModel")
    kube.drop("ClaudeModel", first, "")
    wanted = kube.take("ClaudeModel", second, "")
    kube.put({**wanted, "spec": {**wanted["spec"], "id": "other"}})
    kube.writes.clear()
    await models.refresh()
    assert sorted(name for verb, _, name in kube.writes if verb == "apply") == [first, second]
    assert kube.take("ClaudeModel", second, "")["spec"] == wanted["spec"]


async def test_dates_of_a_platform_that_a_person_added_to_a_model_of_the_catalogue_are_kept_and_told() -> None:
    kube = FakeKube()
    models = book(kube)
    await models.refresh()
    stored = kube.take("ClaudeModel", "claude-sonnet-4-5-20250929", "")
    kube.put({**stored, "spec": {**stored["spec"], "platforms": {"Bedrock": {"retiresAt": "2027-04-01"}}}})
    kube.writes.clear()
    assert await models.refresh() is True
    assert [verb for verb, _, _ in kube.writes] == ["patch status"]
    told = kube.take("ClaudeModel", "claude-sonnet-4-5-20250929", "")["status"]["platforms"]
    assert (told["Bedrock"], told["Google"]) == ("Deprecated", "Unknown")


async def test_a_model_of_a_persons_own_is_read_told_and_never_written_over() -> None:
    kube = FakeKube()
    kube.put(mine(id="claude-ours", aliases=["ours"]))
    models = book(kube)
    assert await models.refresh() is True
    assert models.models()["ours"].id == "claude-ours"
    before = kube.take("ClaudeModel", "mine", "")
    assert before["status"]["lifecycle"]
    kube.drop("ClaudeModel", "mine", "")
    assert await models.refresh() is True
    assert "ours" not in models.models()


async def test_what_is_over_goes_out_of_a_status() -> None:
    kube = FakeKube()
    models = book(kube)
    await models.refresh()
    name = kube.names("ClaudeModel")[0]
    stored = kube.take("ClaudeModel", name, "")
    kube.put({**stored, "status": {**stored["status"], "left": "over"}})
    await models.refresh()
    assert kube.take("ClaudeModel", name, "")["status"] == stored["status"]


async def test_the_calendar_moves_a_model_on_and_the_log_says_so(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    kube = FakeKube()
    kube.put(mine(id="claude-ours", aliases=[], deprecatedAt="2026-12-01", retiresAt="2027-02-01"))
    await book(kube).refresh()
    assert kube.take("ClaudeModel", "mine", "")["status"]["lifecycle"] == "Active"
    assert caplog.records == []
    await book(kube, days=10).refresh()
    assert kube.take("ClaudeModel", "mine", "")["status"]["lifecycle"] == "Deprecated"
    said = [record for record in caplog.records if record.fields.get("model") == "claude-ours"]  # type: ignore[attr-defined]
    assert ["retires 2027-02-01" in record.message for record in said] == [True]


async def test_one_that_cannot_be_read_or_told_keeps_none_of_the_others(caplog: pytest.LogCaptureFixture) -> None:
    kube = FakeKube()
    kube.put(mine(id="claude-ours", releasedAt="soon"))
    models = book(kube)

    def refuse(verb: str, kind: str, name: str) -> None:
        if (verb, name) == ("patch status", "claude-1-0"):
            raise KubeError(422, "Invalid", "no")

    kube.before = refuse
    assert await models.refresh() is True
    assert "claude-ours" not in models.models()
    assert kube.take("ClaudeModel", "mine", "")["status"]["message"].startswith("spec cannot be read")
    told = [name for name in kube.names("ClaudeModel") if "status" in kube.take("ClaudeModel", name, "")]
    assert len(told) == len(kube.names("ClaudeModel")) - 1
    assert "claude-1-0" in str(caplog.records[-1].__dict__)


async def test_models_that_cannot_be_listed_are_as_they_were() -> None:
    kube = FakeKube()
    models = book(kube)
    await models.refresh()
    before = models.models()

    def refuse(verb: str, kind: str, name: str) -> None:
        raise KubeError(503, "ServiceUnavailable", "no")

    kube.before = refuse
    with pytest.raises(KubeError):
        await models.refresh()
    assert models.models() == before
