"""ClaudeOrganizations: what is run for them, when it is stopped, what is written and when."""

from __future__ import annotations

import asyncio
import base64
import datetime as dt
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import pytest
from prometheus_client import CollectorRegistry
from tests.shell.fakes import FakeKube, SetClock
from tests.waiting import until

from claude_operator.core.organisation.attribution import ApiKey, Holder, Slot, Tokens, Usage
from claude_operator.core.organisation.reading import Reading
from claude_operator.core.render import NetworkRules, Site
from claude_operator.core.spec.policy import OPEN, Policy
from claude_operator.kube.client import KubeError
from claude_operator.shell.events import Recorder
from claude_operator.shell.keyring import Keyring
from claude_operator.shell.organisation import Organizations, Place
from claude_operator.shell.organisation_metrics import OrganizationMetrics
from claude_operator.shell.organisation_parts import HistoryParts

NOW = dt.datetime(2026, 11, 30, 12, tzinfo=dt.UTC)
DAY = dt.date(2026, 11, 28)
SYSTEM = "claude-system"
NAME = "acme-organization"
PARTS = ("ServiceAccount", "Service", "NetworkPolicy", "Deployment", "Secret")
READING = Reading(
    read_at=NOW,
    usage_until=NOW - dt.timedelta(hours=1),
    usage_since=NOW - dt.timedelta(days=5),
    cost={DAY: 12.5},
    cost_until=DAY,
    keys=(ApiKey("apikey_a", "support"),),
    usage=(Usage(Slot(DAY, "claude-opus-5-5"), "apikey_a", Tokens(1000)),),
)


@dataclass
class Rig:
    """Organizations on an API server in memory, with a history that says `reading`."""

    kube: FakeKube = field(default_factory=FakeKube)
    clock: SetClock = field(default_factory=lambda: SetClock(NOW))
    reading: Reading | None = READING
    policy: Policy = OPEN
    registry: CollectorRegistry = field(default_factory=CollectorRegistry)
    asked: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        async def read(url: str, key: str) -> Reading | None:
            assert key == base64.b64decode(self.kube.take("Secret", NAME, SYSTEM)["data"]["key"]).decode()
            self.asked.append(url)
            return self.reading

        async def holders(keys: Sequence[ApiKey]) -> list[Holder]:
            measured = {(DAY, "claude-opus-5-5"): Tokens(990)}
            return [Holder("shop", "support", keys[0].id if keys else "", measured, DAY, uid="uid-of-support")]

        kube: Any = self.kube
        site = Site("image", "Always", network=NetworkRules())
        self.organizations = Organizations(
            kube,
            HistoryParts(kube, Keyring(kube, SYSTEM), SYSTEM),
            read,
            holders,
            place=lambda: Place(SYSTEM, site, self.policy),
            models=dict,
            clock=self.clock,
            metrics=OrganizationMetrics(self.registry),
            recorder=Recorder(kube, instance="a", clock=self.clock),
        )

    def put(self, **spec: Any) -> None:
        """Write the ClaudeOrganization."""
        whole = {"adminKeySecretRef": {"name": "admin", "key": "key"}, **spec}
        kind = {"apiVersion": "claudeops.dev/v1alpha1", "kind": "ClaudeOrganization"}
        self.kube.put({**kind, "metadata": {"name": "acme"}, "spec": whole})

    def key(self, text: str, **labels: str) -> None:
        """Write the Secret with the admin key."""
        data = {"key": base64.b64encode(text.encode()).decode()}
        metadata = {"name": "admin", "namespace": SYSTEM, "labels": labels}
        self.kube.put({"apiVersion": "v1", "kind": "Secret", "metadata": metadata, "data": data})

    @property
    def status(self) -> dict[str, Any]:
        found: dict[str, Any] = self.kube.take("ClaudeOrganization", "acme", "")["status"]
        return found

    def reasons(self) -> list[str]:
        return [one["reason"] for one in self.status["conditions"]]

    def replicas(self) -> int:
        found: int = self.kube.take("Deployment", NAME, SYSTEM)["spec"]["replicas"]
        return found


@pytest.fixture
def rig() -> Rig:
    made = Rig()
    made.put()
    made.key("sk-ant-admin01-abc")
    return made


async def test_a_history_is_made_read_and_told_and_then_nothing_is_written(rig: Rig) -> None:
    await rig.organizations.look()
    for kind in PARTS:
        live = rig.kube.take(kind, NAME, SYSTEM)
        assert [one["kind"] for one in live["metadata"]["ownerReferences"]] == ["ClaudeOrganization"], kind
    assert "ownerReferences" not in rig.kube.take("PersistentVolumeClaim", NAME, SYSTEM)["metadata"]
    assert rig.asked == ["http://acme-organization.claude-system.svc:9100"]
    assert rig.reasons() == ["Polling", "Accepted", "Agrees"]
    assert (rig.status["month"], rig.status["cost"], rig.status["tokens"]) == ("2026-11", "$12.50", 1000)
    assert rig.status["deployments"][0] | {"cost": ""} == {
        "namespace": "shop",
        "name": "support",
        "apiKeyID": "apikey_a",
        "sharedWith": 0,
        "tokens": 1000,
        "cost": "",
    }
    assert rig.registry.get_sample_value("claude_organization_cost_usd", {"name": "acme", "window": "month"}) == 12.5
    rig.kube.writes.clear()
    rig.clock.moment += dt.timedelta(minutes=1)
    await rig.organizations.look()
    assert rig.kube.writes == []


async def test_what_does_not_change_is_not_written_again(rig: Rig) -> None:
    rig.put(adminKeySecretRef={"name": "missing", "key": "key"})
    await rig.organizations.look()
    assert rig.reasons()[0] == "SecretNotFound"
    rig.kube.writes.clear()
    await rig.organizations.look()
    rig.clock.moment += dt.timedelta(minutes=6)
    await rig.organizations.look()
    assert rig.kube.writes == []


async def test_figures_are_written_every_five_minutes_at_most_and_conditions_at_once(rig: Rig) -> None:
    await rig.organizations.look()
    rig.kube.writes.clear()
    rig.reading = Reading(**{name: getattr(READING, name) for name in READING.__slots__} | {"cost": {DAY: 20.0}})
    for minutes, cost in ((2, "$12.50"), (4, "$20.00")):
        rig.clock.moment += dt.timedelta(minutes=minutes)
        await rig.organizations.look()
        assert rig.status["cost"] == cost
    assert rig.kube.writes == [("apply status", "ClaudeOrganization", "acme")]
    rig.reading = None
    rig.clock.moment += dt.timedelta(minutes=1)
    await rig.organizations.look()
    assert rig.reasons() == ["Starting", "NotTried", "NothingToCompare"]
    assert rig.status["cost"] == "$20.00"
    assert rig.registry.get_sample_value("claude_organization_cost_usd", {"name": "acme", "window": "month"}) is None


@pytest.mark.parametrize(("key", "reason"), [("sk-ant-api03-abc", "WorkspaceKey"), ("postgresql://x", "NotAnAdminKey")])
async def test_a_key_of_the_wrong_kind_is_given_to_no_pod(rig: Rig, key: str, reason: str) -> None:
    rig.key(key)
    await rig.organizations.look()
    assert rig.reasons()[:2] == [reason, reason]
    assert rig.kube.names("Deployment") == []
    assert rig.asked == []


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (lambda rig: rig.key("sk-ant-api03-abc"), "WorkspaceKey"),
        (lambda rig: rig.kube.drop("Secret", "admin", SYSTEM), "SecretNotFound"),
        (lambda rig: setattr(rig, "policy", Policy(secrets_opt_in=True)), "SecretNotAllowed"),
        (lambda rig: setattr(rig, "policy", Policy(allowed_hosts=("other.example",))), "HostNotAllowed"),
        (lambda rig: rig.put(baseURL="https://aws-external-anthropic.eu-west-1.api.aws"), "PlatformOnAWS"),
        (lambda rig: rig.put(history={"postgresURLSecretRef": {"name": "db", "key": "url"}}), "SecretNotFound"),
        (lambda rig: rig.put(history={"postgresURLSecretRef": {"name": "admin", "key": "key"}}), "NotADatabase"),
        (lambda rig: rig.put(history={"storage": {"size": "huge"}}), "InvalidSpec"),
    ],
)
async def test_what_may_not_go_on_is_stopped_and_comes_back(rig: Rig, change: Any, reason: str) -> None:
    await rig.organizations.look()
    assert rig.replicas() == 1
    change(rig)
    await rig.organizations.look()
    assert rig.reasons()[0] == reason
    assert rig.replicas() == 0
    rig.policy = Policy()
    rig.put()
    rig.key("sk-ant-admin01-abc")
    await rig.organizations.look()
    assert (rig.replicas(), rig.reasons()[0]) == (1, "Polling")


async def test_a_secret_with_the_label_is_used_where_the_installer_asks_for_it(rig: Rig) -> None:
    rig.policy = Policy(secrets_opt_in=True)
    rig.key("sk-ant-admin01-abc", **{"claudeops.dev/use": "admin"})
    await rig.organizations.look()
    assert rig.reasons()[0] == "Polling"


async def test_what_somebody_changed_is_mended(rig: Rig) -> None:
    await rig.organizations.look()
    wanted = rig.kube.take("Deployment", NAME, SYSTEM)
    changed = rig.kube.take("Deployment", NAME, SYSTEM)
    pod = changed["spec"]["template"]["spec"]
    pod["containers"].append({"name": "thief", "image": "thief"})
    pod["containers"][0]["args"].append("--base-url=https://thief.example")
    rig.kube.put(changed)
    rig.kube.put({**rig.kube.take("Secret", NAME, SYSTEM), "data": {"key": "c3RvbGVu"}})
    rig.kube.drop("Service", NAME, SYSTEM)
    await rig.organizations.look()
    assert rig.kube.take("Deployment", NAME, SYSTEM)["spec"] == wanted["spec"]
    assert rig.kube.names("Service") == [NAME]


async def test_an_object_of_somebody_else_is_not_touched(rig: Rig) -> None:
    metadata = {"name": NAME, "namespace": SYSTEM}
    theirs = rig.kube.put({"apiVersion": "v1", "kind": "Service", "metadata": metadata, "spec": {"ports": []}})
    await rig.organizations.look()
    assert rig.reasons()[0] == "NameTaken"
    assert rig.kube.take("Service", NAME, SYSTEM) == theirs
    assert rig.kube.names("Deployment") == []


async def test_postgres_has_no_volume(rig: Rig) -> None:
    data = {"url": base64.b64encode(b"postgresql://h/db").decode()}
    rig.kube.put({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "db", "namespace": SYSTEM}, "data": data})
    rig.put(history={"postgresURLSecretRef": {"name": "db", "key": "url"}})
    await rig.organizations.look()
    assert rig.kube.names("PersistentVolumeClaim") == []
    args = rig.kube.take("Deployment", NAME, SYSTEM)["spec"]["template"]["spec"]["containers"][0]["args"]
    assert "--store-url-file=/etc/claude-operator/store/url" in args


async def test_a_refused_write_is_told(rig: Rig) -> None:
    def refuse(verb: str, kind: str, name: str) -> None:
        if verb == "create" and kind == "PersistentVolumeClaim":
            raise KubeError(403, "Forbidden", "exceeded quota")

    rig.kube.before = refuse
    await rig.organizations.look()
    ready = rig.status["conditions"][0]
    assert (ready["reason"], "exceeded quota" in ready["message"]) == ("WriteRefused", True)


async def test_without_the_definition_or_the_right_nothing_happens(rig: Rig, caplog: pytest.LogCaptureFixture) -> None:
    for error in (KubeError(404, "NotFound", "no such kind"), KubeError(403, "Forbidden", "not yours")):

        def fail(verb: str, kind: str, name: str, error: KubeError = error) -> None:
            if kind == "ClaudeOrganization":
                raise error

        rig.kube.before = fail
        await rig.organizations.look()
        await rig.organizations.look()
    assert [one.message for one in caplog.records] == ["ClaudeOrganizations are left alone"]
    assert rig.kube.writes == []


async def test_who_is_concerned_by_a_budget_is_woken_when_that_changes(rig: Rig) -> None:
    woken: list[None] = []
    rig.organizations.wake = lambda: woken.append(None)
    await rig.organizations.look()
    assert len(woken) == 1  # from now on it is known that there is no budget
    rig.put(budget={"monthlyUSD": "10", "action": "Throttle"})
    for _ in range(2):
        rig.clock.moment += dt.timedelta(minutes=1)
        await rig.organizations.look()
        found = rig.organizations.limits.of("uid-of-support")
        assert found is not None
        assert (found.name, found.level, len(woken)) == ("acme", "Over", 2)
    assert rig.reasons()[-1] == "CostOverBudget"
    rig.put()
    await rig.organizations.look()
    assert (rig.organizations.limits.of("uid-of-support"), len(woken)) == (None, 3)


async def test_the_spent_budget_is_told_once_by_an_event_though_another_replica_leads(rig: Rig) -> None:
    def events() -> list[tuple[str, str]]:
        found = [one for (kind, _, _), one in rig.kube.objects.items() if kind == "Event"]
        return [(one["reason"], one["regarding"]["name"]) for one in found]

    rig.put(budget={"monthlyUSD": "15"})
    await rig.organizations.look()
    assert events() == [("CostNearBudget", "acme")]
    other = replace(rig, registry=CollectorRegistry())
    rig.clock.moment += dt.timedelta(minutes=20)
    await other.organizations.look()
    assert len(events()) == 1
    other.reading = replace(READING, cost={DAY: 15.0})
    rig.clock.moment += dt.timedelta(minutes=20)
    await other.organizations.look()
    assert sorted(events()) == [("CostNearBudget", "acme"), ("CostOverBudget", "acme")]


async def test_who_leads_no_longer_has_no_series(rig: Rig) -> None:
    running = asyncio.create_task(rig.organizations.run())
    where = {"name": "acme", "type": "Ready"}
    await until(lambda: rig.registry.get_sample_value("claude_organization_condition", where))
    running.cancel()
    await asyncio.wait([running])
    assert rig.registry.get_sample_value("claude_organization_condition", where) is None


async def test_one_that_was_deleted_has_no_series(rig: Rig) -> None:
    await rig.organizations.look()
    where = {"name": "acme", "type": "Ready"}
    assert rig.registry.get_sample_value("claude_organization_condition", where) == 1.0
    rig.kube.drop("ClaudeOrganization", "acme", "")
    await rig.organizations.look()
    assert rig.registry.get_sample_value("claude_organization_condition", where) is None
