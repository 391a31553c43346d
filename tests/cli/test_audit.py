"""An audit as a person reads it: what uses which model, until when, and which keys of whom."""

from __future__ import annotations

import csv
import datetime as dt
import io
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import pytest
from tests.cli.test_views import check, on_trial
from tests.core.audit.test_console import COST, ROW, USAGE, file
from tests.core.organisation.test_status import holder, seen, told, used
from tests.core.usage.readings import NOON, page, reading

from claude_operator.api.usage import UsageRow
from claude_operator.cli.audited import Read, keys_of, notes_of, read, uses_of
from claude_operator.cli.cluster import CES, CLD, CLM, CLR, COR, Cluster
from claude_operator.cli.commands.audit import scope_of
from claude_operator.cli.kubectl import Kubectl, KubectlError
from claude_operator.cli.terminal import Terminal
from claude_operator.cli.view.audit import audit_facts, audit_rows, audit_view
from claude_operator.cli.view.paint import to_text
from claude_operator.core.audit.console import Export, read_export
from claude_operator.core.audit.report import Audit, audit, limit_of
from claude_operator.core.audit.uses import serving
from claude_operator.core.organisation.attribution import ApiKey
from claude_operator.core.usage.ledger import Spend, absorb
from claude_operator.core.usage.state import Usages, encode

Object = dict[str, Any]
TODAY = dt.date(2026, 11, 24)
SONNET, OPUS, HAIKU = "claude-sonnet-4-5-20250929", "claude-opus-5-5", "claude-haiku-5-5"


def deployment(name: str, model: str, namespace: str = "shop", **more: Any) -> Object:
    """With its metadata, a request, and what else is said of spec and status."""
    spec = {"request": {"model": model}, "upstream": {"apiKeySecretRef": {"name": "anthropic", "key": "api-key"}}}
    metadata = {"name": name, "namespace": namespace, "uid": f"uid-{namespace}-{name}", "generation": 1}
    return {"metadata": metadata, "spec": spec | more.pop("spec", {}), "status": more.pop("status", {})}


def revision(owner: Object, name: str, model: str, **subagents: str) -> Object:
    """One that belongs to the ClaudeDeployment, with models of its subagents."""
    metadata = {
        "name": name,
        "namespace": owner["metadata"]["namespace"],
        "ownerReferences": [{"controller": True, "uid": owner["metadata"]["uid"]}],
    }
    overlays = {each: {"request": {"model": other}} for each, other in subagents.items()}
    return {"metadata": metadata, "spec": {"request": {"model": model}, "subagents": overlays}}


def record(owner: Object, *rows: UsageRow) -> Object:
    """Its usage record, of a reading at noon."""
    kept = Usages(absorb(absorb(Spend(), reading(page("a")), NOON - dt.timedelta(hours=1)),
                         reading(page("a", *rows)), NOON))  # fmt: skip
    metadata = owner["metadata"]
    references = [{"controller": True, "uid": metadata["uid"]}]
    return {
        "metadata": {
            "name": f"{metadata['name']}-usage", "namespace": metadata["namespace"], "ownerReferences": references
        },
        "binaryData": encode(kept),
    }  # fmt: skip


def row(revision: str, model: str, calls: int, subagent: str = "") -> UsageRow:
    return UsageRow(revision, "stable", "chat", subagent, model, calls, 0, 100 * calls, 50, 0, 0, 0, 1.0)


class Stored(Kubectl):
    """Objects by kind; a kind may be refused instead."""

    def __init__(self, objects: Mapping[str, list[Object] | KubectlError]) -> None:
        self.objects, self.asked = objects, list[tuple[str, ...]]()

    def list(self, kind: str, *more: str) -> Any:
        self.asked.append((kind, *more))
        found = self.objects.get(kind, [])
        if isinstance(found, KubectlError):
            raise found
        return found


def shop() -> dict[str, list[Object] | KubectlError]:
    """Three applications in two namespaces, an eval set with two graders, and an organisation with five keys."""
    roles = {"stableRevision": "support-1", "canaryRevision": "support-2", "replaced": {"revision": "support-0"}}
    live = {"graders": [{"name": "strict", "model": "claude-sonnet-4-5"}]}
    support = deployment(
        "support",
        OPUS,
        spec={"evals": {"setRef": {"name": "answers"}, "live": live}, "subagents": {"scout": {"request": {}}}},
        status=roles,
    )
    search = deployment("search", "claude-opus-4-1", status={"stableRevision": "search-1"})
    draft = deployment("draft", "claude-unheard-of-9", "labs", spec={"subagents": {"scout": None}, "evals": {}})
    revisions = [
        revision(support, "support-1", SONNET, scout=HAIKU),
        revision(support, "support-2", OPUS, scout=HAIKU),
        revision(support, "support-0", "claude-3-haiku-20240307"),
        revision(support, "support-old", "claude-2.1"),
        revision(search, "search-1", "claude-opus-4-1"),
        revision(deployment("support", OPUS, "gone"), "support-9", "claude-2.0"),
    ]
    usage = record(support, row("support-1", SONNET, 1200), row("support-1", HAIKU, 30, "scout"),
                   row("support-1", SONNET, 5, "other"), row("support-1", "claude-opus-5", 7),
                   row("support-old", "claude-2.1", 9), row("support-1", "other", 4))  # fmt: skip
    graders = [{"name": "default", "model": "claude-opus-4-5"}, {"name": "second", "model": "claude-mythos-preview"}]
    eval_set = {"metadata": {"name": "answers", "namespace": "shop"}, "spec": {"graders": graders}}
    return {
        CLD: [support, search, draft],
        CLR: revisions,
        CES: [eval_set],
        "configmaps": [usage],
        CLM: [],
        COR: [organization()],
    }


def organization() -> Object:
    """A key that gateways use for one model and others for another, one that is nobody's, and the Console."""
    uses = [used(500, "apikey_a", SONNET), used(20, "apikey_a", "claude-opus-4-8"), used(7, "apikey_b", SONNET)]
    uses += [used(2, "apikey_b", "claude-opus-4-1-20250805"), used(5, "", SONNET), used(3, "apikey_b", OPUS)]
    keys = (ApiKey("apikey_a", "support", "", "Prod"), ApiKey("apikey_b", "batch job"), ApiKey("apikey_c", "old"))
    base = seen(holders=(holder(300), holder(0, "", "draft")))
    assert base.reading is not None
    known = told(replace(base, reading=replace(base.reading, keys=keys, usage=tuple(uses))))
    return {"metadata": {"name": "acme"}, "status": known.model_dump(by_alias=True, exclude_none=True, mode="json")}


def audited(
    objects: Mapping[str, list[Object] | KubectlError],
    *exports: Export,
    where: tuple[str, ...] = ("--all-namespaces",),
    history: bool = False,
    as_of: dt.date = TODAY,
    ours: tuple[str, ...] = (),
) -> tuple[Audit, Read]:
    """As the command does it."""
    found = read(Cluster(Stored(objects)), *where)
    uses = uses_of(found, dt.date(2026, 11, 1))
    keys = keys_of(found, uses, exports, None, ours)
    return audit(uses if history else serving(uses), keys, as_of, found.models), found


EXPORT = read_export(
    file(USAGE, ROW, ROW.replace("Closer App", "support").replace("Default", "Prod"), ROW.replace("Closer App", ""),
         ROW.replace("Closer App", "batch job"), ROW.replace(SONNET, "claude-sonnet-5-5"))
)  # fmt: skip


@pytest.mark.parametrize(
    ("name", "exports", "more"),
    [
        ("cluster", (), {}),
        ("history", (), {"history": True, "as_of": dt.date(2027, 2, 5)}),
        ("usage_csv", (EXPORT,), {}),
    ],
)
def test_an_audit(name: str, exports: tuple[Export, ...], more: dict[str, Any]) -> None:
    result, found = audited(shop(), *exports, **more)
    facts = audit_facts(result, scope_of(found, ["usage.csv"] if exports else [], with_cluster=True))
    check(audit_view(facts), facts, f"audit_{name}")


def test_what_the_operator_itself_wrote_is_audited() -> None:
    world = on_trial()
    (made,) = uses_of(
        read(Cluster(Stored({CLD: [world.owner], CLR: list(world.revisions.values())}))), dt.date(2026, 11, 1)
    )
    status = world.owner["status"]
    assert made.model == world.owner["spec"]["request"]["model"]
    assert {(one.role, one.revision) for one in made.holdings} == {
        ("spec", ""),
        ("stable", status["stableRevision"]),
        ("canary", status["canaryRevision"]),
    }


def test_calls_of_aliases_count_for_the_revision_that_was_called() -> None:
    owner = deployment("support", SONNET, status={"stableRevision": "s1", "canaryRevision": "s2"})
    revisions = [revision(owner, "s1", "claude-sonnet-4-5"), revision(owner, "s2", SONNET)]
    usage = record(owner, row("s1", SONNET, 90), row("s2", SONNET, 10))
    found = read(Cluster(Stored({CLD: [owner], CLR: revisions, "configmaps": [usage]})))
    calls = {one.model: one.measured for one in uses_of(found, dt.date(2026, 11, 30))}
    assert {model: measured.calls for model, measured in calls.items() if measured} == {
        "claude-sonnet-4-5": 90,
        SONNET: 10,
    }
    later = {one.measured.calls for one in uses_of(found, dt.date(2026, 12, 1)) if one.measured}
    assert later == {0}


REFUSED = KubectlError("the API server refused: no", "Forbidden")


def test_what_may_not_be_read_is_told_and_the_rest_is_audited() -> None:
    objects = shop() | dict.fromkeys((CLR, CES, CLM, COR, "configmaps"), REFUSED)
    result, found = audited(objects)
    assert found.unread == [
        f"{what} cannot be read: {REFUSED}"
        for what in ("ClaudeRevisions", "ClaudeEvalSets", "usage records", "ClaudeModels")
    ]
    assert found.notes == [f"ClaudeOrganizations cannot be read, so keys are only those of --usage-csv: {REFUSED}"]
    assert not audit_facts(result, scope_of(found, [], with_cluster=True))["complete"]
    assert {one.use.name for one in result.uses} == {"support", "search", "draft"}
    with pytest.raises(KubectlError):
        audited(shop() | {CLD: REFUSED})


def test_without_organizations_keys_are_still_told_apart_by_their_ids() -> None:
    cost = COST + "\n2026-11-28,Claude Sonnet 4.5,Default,{0},message,,output,2,,token,,,{1},active\n"
    files = [read_export(cost.format(*pair).encode()) for pair in (("ours", "apikey_1"), ("theirs", "apikey_2"))]
    reference = {"apiKeySecretRef": {"name": "anthropic", "key": "api-key"}}
    known = deployment("support", SONNET, spec={"upstream": reference | {"apiKeyID": "apikey_1"}})
    other = deployment("search", SONNET)
    for objects, where, outside in (
        ([known], ("--all-namespaces",), "outside"),
        ([known], (), "unknown"),  # another namespace may hold it
        ([known], ("--all-namespaces", "--selector=team=care"), "unknown"),
        ([known, other], ("--all-namespaces",), "unknown"),
        ([known, deployment("passed", SONNET, spec={"upstream": {}})], ("--all-namespaces",), "outside"),
    ):
        result, _ = audited({CLD: objects, COR: KubectlError("no such kind", "NotFound")}, *files, where=where)
        keys = {one.use.key: (one.use.where, one.use.held_by) for one in result.keys}
        assert keys == {"ours": ("cluster", ("shop/support",)), "theirs": (outside, ())}


def test_a_platform_with_dates_of_its_own_is_unknown_until_the_clusters_model_says_them() -> None:
    spec = {"upstream": {"platform": "Bedrock"}}
    there = deployment("there", "us.anthropic.claude-sonnet-4-5-20250929-v1:0", spec=spec)
    objects: dict[str, list[Object] | KubectlError] = {CLD: [deployment("here", SONNET), there]}
    states = {one.use.name: (one.model_id, one.state.lifecycle) for one in audited(objects)[0].uses}
    assert states == {"here": (SONNET, "Deprecated"), "there": (SONNET, "Unknown")}
    result, found = audited(objects)
    assert (result.states["Deprecated"], result.states["Unknown"]) == (1, 1)
    shown = to_text(audit_view(audit_facts(result, scope_of(found, [], with_cluster=True))))
    assert "its lifecycle on Amazon Bedrock is unknown" in shown
    own = {"id": SONNET, "platforms": {"Bedrock": {"deprecatedAt": "2026-06-01", "retiresAt": "2027-06-01"}}}
    objects[CLM] = [{"spec": own}]
    states = {one.use.name: (one.model_id, one.state.lifecycle) for one in audited(objects)[0].uses}
    assert states["there"] == (SONNET, "Deprecated")


def test_a_person_may_say_which_keys_are_the_clusters() -> None:
    result, _ = audited({CLD: []}, read_export(file(USAGE, ROW)), ours=("Closer App",))
    assert [(one.use.where, one.use.held_by) for one in result.keys] == [("cluster", ())]


def test_a_selector_chooses_eval_sets_by_their_deployments() -> None:
    for where, sets in (((), 1), (("--selector=team=care",), 0)):
        objects = shop() | {CLD: [deployment("draft", OPUS)]}
        assert len(audited(objects, where=where)[1].eval_sets) == sets
    assert len(audited(shop(), where=("--selector=team=care",))[1].eval_sets) == 1


def test_a_key_whose_gateways_use_another_model_is_told() -> None:
    keys = {(one.use.key_id, one.model_id): one.use for one in audited(shop())[0].keys}
    assert not keys["apikey_a", SONNET].around
    assert keys["apikey_a", "claude-opus-4-8"].around
    assert keys["apikey_a", "claude-opus-4-8"].held_by == ("shop/support",)


@pytest.mark.parametrize(
    ("limits", "models"),
    [
        (["Retired"], {"claude-opus-4-1-20250805"}),
        (["deprecated"], {"claude-opus-4-1-20250805", "claude-mythos-preview", SONNET}),
        (["5"], {"claude-opus-4-1-20250805", "claude-mythos-preview"}),
        (["6d"], {"claude-opus-4-1-20250805", "claude-mythos-preview", SONNET}),
        (["Unknown"], {"claude-unheard-of-9"}),
        (["Retired", "unknown"], {"claude-opus-4-1-20250805", "claude-unheard-of-9"}),
        ([], set()),
    ],
)
def test_what_fails_an_audit(limits: list[str], models: set[str]) -> None:
    result, _ = audited(shop(), history=True)
    assert {one.model_id for one in result.broken([limit_of(one) for one in limits])} == models


def test_a_deprecated_model_without_a_date_is_never_far_enough_away() -> None:
    spec = {"id": "claude-own-1", "deprecatedAt": "2026-01-01"}
    objects: dict[str, list[Object] | KubectlError] = {CLD: [deployment("a", "claude-own-1")], CLM: [{"spec": spec}]}
    result, _ = audited(objects)
    assert result.broken([limit_of("0")])
    objects[CLM] = [{"spec": spec | {"retiresAt": "2026-12-01"}}]
    assert not audited(objects)[0].broken([limit_of("6")])
    assert audited(objects)[0].broken([limit_of("7")])


@pytest.mark.parametrize("text", ["", "soon", "-1", "7w", "1.5", "²", "Active", "9999999"])
def test_what_is_no_limit_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="is not a limit; use Legacy, Deprecated, Retired, Unknown, or a number of"):
        limit_of(text)


def test_a_spreadsheet_gets_a_row_for_each_use_and_no_formula(capsys: pytest.CaptureFixture[str]) -> None:
    hostile = read_export(file(USAGE, ROW.replace("Closer App", "=cmd|'/c calc'!A1")))
    result, found = audited(shop(), hostile, history=True)
    facts = audit_facts(result, scope_of(found, ["usage.csv"], with_cluster=True))
    Terminal("csv").rows(*audit_rows(facts))
    rows = list(csv.DictReader(io.StringIO(capsys.readouterr().out)))
    assert len(rows) == len(facts["uses"]) + len(facts["keys"])
    assert "'=cmd|'/c calc'!A1" in {one["apiKey"] for one in rows}
    (stable,) = [one for one in rows if one["revisions"] == "stable support-1" and one["where"] == "request"]
    assert (stable["model"], stable["state"], stable["daysLeft"], stable["calls"]) == (
        SONNET,
        "Deprecated",
        "6",
        "1205",
    )
    assert {one["calls"] for one in rows if one["name"] == "search"} == {""}


def test_objects_of_other_versions_do_not_stop_an_audit() -> None:
    strange = deployment("odd", OPUS, spec={"request": None, "subagents": [], "evals": {"live": {"graders": [3]}}})
    strange["status"] = {"draining": 7, "soak": [], "stableRevision": 3}
    broken = {"metadata": {"name": "acme"}, "status": {"tokens": "many"}}
    owned = {"metadata": revision(strange, "odd-1", "")["metadata"]}
    objects: dict[str, list[Object] | KubectlError] = {CLD: [strange], CLR: [owned], COR: [broken]}
    result, found = audited(objects)
    assert not result.uses
    assert found.unread == ["the status of ClaudeOrganization acme cannot be read: use a newer kubectl-claude"]
    assert [one for one in notes_of(found) if one.startswith("shop/odd: calls are unknown, not zero")]
