"""Child objects: made, mended, left alone, and never taken from somebody else."""

from __future__ import annotations

import base64
from typing import Any

import pytest
from tests.shell.fakes import FakeKube
from tests.shell.rig import Rig, deployment, on_trial, secret, serving

from claude_operator.core import names
from claude_operator.kube.client import KubeError
from claude_operator.shell.keyring import Keyring

GATEWAY = ["ServiceAccount", "Role", "RoleBinding", "Service", "Deployment", "PodDisruptionBudget", "NetworkPolicy"]


async def test_all_children_are_made_with_our_label_and_owner() -> None:
    rig = await serving()
    uid = rig.kube.take("ClaudeDeployment", "support")["metadata"]["uid"]
    for kind in [*GATEWAY, "ConfigMap"]:
        found = rig.kube.take(kind, "support-gateway")
        assert names.is_controlled_by(found, uid)
        assert found["metadata"]["labels"][names.LABEL_MANAGED_BY] == names.FIELD_MANAGER
    order = [kind for _, kind, name in rig.kube.writes if name in ("support-gateway", "support-client")]
    assert order.index("Secret") < order.index("Deployment")  # its pods mount it


async def test_nothing_is_written_and_nothing_read_where_nothing_changed() -> None:
    rig = await serving()
    rig.kube.writes.clear()
    rig.kube.calls.clear()
    await rig.one()
    assert rig.kube.writes == []
    assert [kind for verb, kind, _ in rig.kube.calls if verb == "get" and kind in ("Service", "Role")] == []
    rig.wait(61)
    await rig.one()
    assert ("get", "Service", "support-gateway") in rig.kube.calls
    assert rig.kube.writes == []


def said(rig: Rig, *reasons: str) -> list[str]:
    """Notes of the Events of these reasons, in order."""
    events = [rig.kube.take("Event", name) for name in rig.kube.names("Event")]
    return [one["note"] for one in events if one["reason"] in (reasons or ("ChildRestored",))]


async def heard(rig: Rig, type_: str, body: dict[str, Any]) -> bool:
    """What a watch says comes in; where it wakes a pass, that is made."""
    wakes = rig.children.changed("demo", "support", type_, body["kind"], body)
    if wakes:
        await rig.one()
    return wakes


@pytest.mark.parametrize("kind", [*GATEWAY, "ConfigMap"])
async def test_a_child_that_somebody_deleted_comes_back_with_one_event(kind: str) -> None:
    rig = await serving()
    wanted = rig.kube.take(kind, "support-gateway")
    rig.kube.drop(kind, "support-gateway")
    rig.kube.calls.clear()
    assert await heard(rig, "DELETED", wanted)
    back = rig.kube.take(kind, "support-gateway")
    assert back.get("spec") == wanted.get("spec")
    assert said(rig) == [f"{kind} support-gateway was deleted and is as wanted again"]
    others = {name for verb, name, _ in rig.kube.calls if verb == "get"} & set(GATEWAY) - {kind, "Deployment"}
    assert others == set()  # nothing else is looked at
    rig.kube.writes.clear()
    assert await heard(rig, "ADDED", back) is (kind == "Deployment")  # our own write is no news
    assert rig.kube.writes == []


@pytest.mark.parametrize("kind", [*GATEWAY, "ConfigMap"])
async def test_a_child_that_somebody_changed_is_as_wanted_again_with_one_event(kind: str) -> None:
    rig = await serving()
    wanted = rig.kube.take(kind, "support-gateway")
    spoilt = rig.kube.take(kind, "support-gateway")
    spoilt["metadata"]["labels"][names.LABEL_INSTANCE] = "other"
    spoilt["metadata"]["managedFields"] = [{"manager": "kubectl-edit", "time": "2026-11-24T10:00:00Z"}]
    spoilt = rig.kube.put(spoilt)
    assert await heard(rig, "MODIFIED", spoilt)
    back = rig.kube.take(kind, "support-gateway")
    assert back["metadata"]["labels"] == wanted["metadata"]["labels"]
    field = f"metadata.labels.{names.LABEL_INSTANCE}"
    assert said(rig) == [f"{kind} support-gateway was changed ({field}) by kubectl-edit and is as wanted again"]
    assert await heard(rig, "MODIFIED", back) is (kind == "Deployment")
    assert len(said(rig)) == 1


@pytest.mark.parametrize("kind", GATEWAY)
async def test_what_no_watch_told_is_mended_within_a_minute_by_an_operator_that_has_just_begun(kind: str) -> None:
    rig = await serving()
    rig.kube.drop(kind, "support-gateway")
    rig.start_operator()
    await rig.one()
    assert rig.kube.names(kind) == ["support-gateway"]
    told = [f"{kind} support-gateway was deleted and is as wanted again"]
    assert said(rig) == ([] if kind == "NetworkPolicy" else told)  # which an earlier version did not make


async def test_a_network_policy_of_that_name_that_people_made_holds_instead_of_ours() -> None:
    rig = Rig()
    rig.kube.put(secret())
    metadata = {"name": "support-gateway", "namespace": "demo"}
    mine = {"apiVersion": "networking.k8s.io/v1", "kind": "NetworkPolicy", "metadata": metadata}
    rig.kube.put({**mine, "spec": {"podSelector": {}}})
    rig.kube.put(deployment())
    await rig.settle()
    assert rig.condition("Ready")[0] == "True"
    assert rig.condition("Accepted")[0] == "True"
    assert rig.kube.take("NetworkPolicy", "support-gateway")["spec"] == {"podSelector": {}}
    rig.kube.drop("NetworkPolicy", "support-gateway")
    rig.wait(61)
    await rig.settle()
    assert "egress" in rig.kube.take("NetworkPolicy", "support-gateway")["spec"]


async def test_a_change_that_is_our_own_wish_is_no_mending() -> None:
    rig = await serving()
    rig.edit(gateway={"replicas": 3})
    await rig.settle()
    rig.edit(gateway={"replicas": 2, "auth": {"type": "None"}})
    await rig.settle()
    assert rig.kube.take("Deployment", "support-gateway")["spec"]["replicas"] == 2
    assert said(rig, "ChildRestored", "ChildContested", "ChildAdopted") == []


async def test_one_who_changes_a_child_every_second_does_not_make_us_spin() -> None:
    rig = await serving()
    rig.kube.writes.clear()
    for _ in range(600):
        found = rig.kube.take("Service", "support-gateway")
        if found["spec"]["ports"][0]["port"] == 80:
            found["spec"]["ports"][0]["port"] = 81
            await heard(rig, "MODIFIED", rig.kube.put(found))
        else:
            await rig.one()
        rig.wait(1)
    restored = [write for write in rig.kube.writes if write[1] == "Service"]
    assert 10 <= len(restored) <= 16
    assert len(said(rig)) == 3
    assert len(said(rig, "ChildContested")) == 1
    for _ in range(3):  # then there is peace
        rig.wait(61)
        await rig.one()
    assert rig.kube.take("Service", "support-gateway")["spec"]["ports"][0]["port"] == 80


FOREIGN: list[tuple[str, dict[str, Any]]] = [
    ("containers", {"containers": [{"name": "sidecar", "image": "x"}]}),
    ("initContainers", {"initContainers": [{"name": "init", "image": "x"}]}),
    ("volumes", {"volumes": [{"name": "more", "emptyDir": {}}]}),
    ("hostNetwork", {"hostNetwork": True}),
    ("dnsPolicy", {"dnsPolicy": "Default"}),
]


@pytest.mark.parametrize(("field", "added"), FOREIGN, ids=[name for name, _ in FOREIGN])
async def test_what_others_add_to_the_pods_of_gateways_is_taken_out(field: str, added: dict[str, Any]) -> None:
    rig = await serving()
    before = rig.kube.take("Deployment", "support-gateway")
    spoilt = rig.kube.take("Deployment", "support-gateway")
    pod = spoilt["spec"]["template"]["spec"]
    for name, value in added.items():
        pod[name] = [*value, *pod.get(name, [])] if isinstance(value, list) else value
    await heard(rig, "MODIFIED", rig.kube.put(spoilt))
    assert rig.kube.take("Deployment", "support-gateway")["spec"] == before["spec"]
    assert said(rig) == [f"Deployment support-gateway was changed (spec.template.spec.{field}) and is as wanted again"]


@pytest.mark.parametrize(
    "added",
    [{"env": [{"name": "HTTPS_PROXY", "value": "http://evil"}]}, {"command": ["sleep"]}, {"lifecycle": {"a": 1}}],
)
async def test_what_others_add_to_our_container_is_taken_out(added: dict[str, Any]) -> None:
    rig = await serving()
    before = rig.kube.take("Deployment", "support-gateway")
    spoilt = rig.kube.take("Deployment", "support-gateway")
    spoilt["spec"]["template"]["spec"]["containers"][0] |= added
    await heard(rig, "MODIFIED", rig.kube.put(spoilt))
    assert rig.kube.take("Deployment", "support-gateway")["spec"] == before["spec"]
    assert len(said(rig)) == 1


async def test_defaults_and_annotations_stay_in_the_template() -> None:
    rig = await serving()
    live = rig.kube.take("Deployment", "support-gateway")
    template = live["spec"]["template"]
    template["metadata"]["annotations"] |= {"kubectl.kubernetes.io/restartedAt": "now"}  # kubectl rollout restart
    template["metadata"]["creationTimestamp"] = None
    pod = template["spec"]
    pod |= {"dnsPolicy": "ClusterFirst", "restartPolicy": "Always", "schedulerName": "default-scheduler"}
    pod |= {"serviceAccount": pod["serviceAccountName"]}
    pod["containers"][0] |= {"terminationMessagePath": "/dev/termination-log", "terminationMessagePolicy": "File"}
    rig.kube.put(live)
    rig.kube.writes.clear()
    assert await heard(rig, "MODIFIED", rig.kube.take("Deployment", "support-gateway"))  # its status may be new
    rig.wait(61)
    await rig.one()
    assert "Deployment" not in {kind for _, kind, _ in rig.kube.writes}
    assert said(rig) == []


async def test_what_admission_puts_into_the_deployment_each_time_is_let_be() -> None:
    rig = await serving()
    stored = rig.kube._store

    def inject(key: tuple[str, str, str], body: dict[str, Any]) -> Any:
        pod = body.get("spec", {}).get("template", {}).get("spec", {})
        if pod and all(one["name"] != "mesh" for one in pod["containers"]):
            pod["containers"].append({"name": "mesh", "image": "x"})
        return stored(key, body)

    rig.kube._store = inject  # type: ignore[method-assign]
    rig.edit(gateway={"replicas": 2})
    await rig.settle()
    rig.kube.writes.clear()
    for _ in range(5):
        await heard(rig, "MODIFIED", rig.kube.take("Deployment", "support-gateway"))
        rig.wait(61)
        await rig.one()
    assert rig.kube.writes == []
    assert said(rig) == []
    spoilt = rig.kube.take("Deployment", "support-gateway")
    spoilt["spec"]["replicas"] = 9
    await heard(rig, "MODIFIED", rig.kube.put(spoilt))
    assert rig.kube.take("Deployment", "support-gateway")["spec"]["replicas"] == 2


async def test_an_event_about_what_is_no_child_is_not_looked_at() -> None:
    rig = await serving()
    ledger = {"kind": "ConfigMap", "metadata": {"name": "support-x-1-ledger", "namespace": "demo"}}
    assert not rig.children.changed("demo", "support", "MODIFIED", "ConfigMap", ledger)
    assert rig.children.changed(
        "demo", "unknown", "MODIFIED", "ConfigMap", ledger
    )  # nothing is known of it: a pass looks


async def test_fields_of_other_managers_stay() -> None:
    rig = await serving()
    found = rig.kube.take("Deployment", "support-gateway")
    found["metadata"]["annotations"] = {"deployment.kubernetes.io/revision": "1"}
    found["spec"]["progressDeadlineSeconds"] = 600
    rig.kube.put(found)
    rig.edit(gateway={"replicas": 3})
    await rig.one()
    found = rig.kube.take("Deployment", "support-gateway")
    assert (found["spec"]["replicas"], found["spec"]["progressDeadlineSeconds"]) == (3, 600)
    assert found["metadata"]["annotations"]


def key_in(rig: Rig) -> str:
    return base64.b64decode(rig.kube.take("Secret", "support-client")["data"]["ANTHROPIC_API_KEY"]).decode()


async def test_the_client_secret_is_made_once_and_never_written_over() -> None:
    rig = await serving()
    first = rig.kube.take("Secret", "support-client")
    assert base64.b64decode(first["data"]["ANTHROPIC_BASE_URL"]) == b"http://support-gateway.demo.svc"
    assert key_in(rig).startswith("co-")
    rotated = {**first, "data": {**first["data"], "ANTHROPIC_API_KEY": base64.b64encode(b"mine").decode()}}
    rig.kube.put(rotated)
    for _ in range(3):
        rig.wait(61)
        rig.start_operator()
        await rig.one()
    assert rig.kube.take("Secret", "support-client")["data"] == rotated["data"]
    assert [write for write in rig.kube.writes if write[2] == "support-client"] == [
        ("create", "Secret", "support-client")
    ]


async def test_the_client_secret_follows_tls_and_keeps_its_key() -> None:
    rig = await serving()
    key = key_in(rig)
    rig.kube.put(secret("support-tls", **{"tls.crt": "eA==", "tls.key": "eA=="}))
    for gateway, url, port in (
        ({"replicas": 1, "tls": {"secretName": "support-tls"}}, b"https://support-gateway.demo.svc", 443),
        ({"replicas": 1}, b"http://support-gateway.demo.svc", 80),
    ):
        rig.edit(gateway=gateway)
        await rig.one()
        assert base64.b64decode(rig.kube.take("Secret", "support-client")["data"]["ANTHROPIC_BASE_URL"]) == url
        assert key_in(rig) == key
        assert [one["port"] for one in rig.kube.take("Service", "support-gateway")["spec"]["ports"]] == [port]
        assert rig.status.gateway is not None
        assert rig.status.gateway.url == url.decode()


async def test_an_address_that_a_person_wrote_into_the_client_secret_stays() -> None:
    rig = await serving()
    first = rig.kube.take("Secret", "support-client")
    mine = base64.b64encode(b"https://claude.internal").decode()
    rig.kube.put({**first, "data": {**first["data"], "ANTHROPIC_BASE_URL": mine}})
    rig.kube.put(secret("support-tls", **{"tls.crt": "eA==", "tls.key": "eA=="}))
    rig.edit(gateway={"replicas": 1, "tls": {"secretName": "support-tls"}})
    await rig.one()
    assert rig.kube.take("Secret", "support-client")["data"]["ANTHROPIC_BASE_URL"] == mine


async def test_a_client_secret_that_was_deleted_has_the_same_key_again() -> None:
    rig = await serving()
    first = rig.kube.take("Secret", "support-client")
    rig.kube.drop("Secret", "support-client")
    assert await heard(rig, "DELETED", first)
    assert rig.kube.take("Secret", "support-client")["data"] == first["data"]
    assert said(rig) == [
        "Secret support-client was deleted and has been created again with the key that it had",
    ]
    assert not await heard(rig, "ADDED", rig.kube.take("Secret", "support-client"))


async def test_a_client_secret_that_was_deleted_while_nobody_led_has_the_derived_key() -> None:
    rig = await serving()
    first = rig.kube.take("Secret", "support-client")
    rig.kube.drop("Secret", "support-client")
    rig.start_operator()
    await rig.one()
    assert rig.kube.take("Secret", "support-client")["data"] == first["data"]
    (note,) = said(rig)
    assert "If it had another key" in note
    assert "401" in note
    rig.kube.drop("Secret", "claude-operator-client-keys", "claude-system")
    rig.kube.drop("Secret", "support-client")
    rig.start_operator()
    await rig.one()
    assert rig.kube.take("Secret", "support-client")["data"] != first["data"]  # the master is lost


async def test_a_key_of_a_persons_own_comes_back_too() -> None:
    rig = await serving()
    live = rig.kube.take("Secret", "support-client")
    mine = {"ANTHROPIC_API_KEY": "bWluZQ==", "ANTHROPIC_API_KEY_PREVIOUS": "b2xk", "EXTRA": "eA=="}
    live = rig.kube.put({**live, "data": {**live["data"], **mine}})
    rig.kube.writes.clear()
    assert await heard(rig, "MODIFIED", live)
    assert rig.kube.writes == []
    rig.kube.drop("Secret", "support-client")
    await heard(rig, "DELETED", live)
    assert rig.kube.take("Secret", "support-client")["data"] == live["data"]


async def test_a_client_secret_without_its_key_is_completed() -> None:
    rig = await serving()
    live = rig.kube.take("Secret", "support-client")
    spoilt = {**live, "data": {"ANTHROPIC_API_KEY": "", "EXTRA": "eA=="}}
    await heard(rig, "MODIFIED", rig.kube.put(spoilt))
    assert rig.kube.take("Secret", "support-client")["data"] == {**live["data"], "EXTRA": "eA=="}
    assert said(rig) == [
        "Secret support-client lacked its key or address and has been completed with the key that it had"
    ]


async def test_a_client_secret_that_lost_its_labels_is_watched_again() -> None:
    rig = await serving()
    live = rig.kube.take("Secret", "support-client")
    bare = rig.kube.put({**live, "metadata": {**live["metadata"], "labels": {}}})
    await heard(rig, "DELETED", bare)  # so says a watch by labels
    back = rig.kube.take("Secret", "support-client")
    assert (back["metadata"]["labels"], back["data"]) == (live["metadata"]["labels"], live["data"])
    assert said(rig) == ["Secret support-client was changed (metadata.labels) and is as wanted again"]


async def test_a_master_key_that_was_deleted_is_put_back_by_who_knows_it() -> None:
    kube = FakeKube()
    ring = Keyring(kube, "claude-system")  # type: ignore[arg-type]
    first = await ring.keys("u1")
    kube.drop("Secret", "claude-operator-client-keys", "claude-system")
    assert await ring.keys("u1") == first
    assert await Keyring(kube, "claude-system").keys("u1") == first  # type: ignore[arg-type]
    spoilt = kube.take("Secret", "claude-operator-client-keys", "claude-system")
    kube.put({**spoilt, "data": {"master": "c2hvcnQ="}})
    with pytest.raises(KubeError, match="holds no master key of 32 bytes: put it back from a backup"):
        await Keyring(kube, "claude-system").keys("u1")  # type: ignore[arg-type]


async def test_the_gateways_secret_is_there_before_its_pods_and_comes_back_with_its_keys() -> None:
    rig = await serving()
    assert rig.kube.writes.index(("create", "Secret", "support-gateway")) < rig.kube.writes.index(
        ("apply", "Deployment", "support-gateway")
    )
    found = rig.kube.take("Secret", "support-gateway")
    assert set(found["data"]) == {"operator-key"}
    assert names.is_controlled_by(found, rig.kube.take("ClaudeDeployment", "support")["metadata"]["uid"])
    assert rig.events("ChildRestored") == []
    for restarted in (False, True):
        if restarted:
            rig.start_operator()
        rig.kube.drop("Secret", "support-gateway")
        await heard(rig, "DELETED", found)
        await rig.settle()
        assert rig.kube.take("Secret", "support-gateway")["data"] == found["data"]
    assert rig.events("ChildRestored") == [
        "Secret support-gateway was deleted and has been created again with the key that it had"
    ]


async def test_what_the_operator_signs_with_is_its_own_choice_and_what_graders_show_a_persons() -> None:
    rig = await serving()
    found = rig.kube.take("Secret", "support-gateway")
    changes = {"support-gateway": {"operator-key": "bWluZQ=="}, "support-grader": {"grader-key": "b2Vpbg=="}}
    for name, theirs in changes.items():
        rig.kube.put({**rig.kube.take("Secret", name), "data": theirs})
        await heard(rig, "MODIFIED", rig.kube.take("Secret", name))
        await rig.settle()
    assert rig.kube.take("Secret", "support-gateway")["data"] == found["data"]
    assert rig.kube.take("Secret", "support-grader")["data"] == {"grader-key": "b2Vpbg=="}
    (note,) = rig.events("ChildRestored")
    assert note == "Secret support-gateway had another operator-key and has been put right with the key that it had"
    assert rig.gateways.signed


async def test_somebody_who_changes_the_gateways_secret_again_and_again_is_a_contest() -> None:
    rig = await serving()
    for _ in range(6):
        found = rig.kube.take("Secret", "support-gateway")
        rig.kube.put({**found, "data": {**found["data"], "operator-key": "bWluZQ=="}})
        await heard(rig, "MODIFIED", rig.kube.take("Secret", "support-gateway"))
        await rig.one()
    assert len(rig.events("ChildRestored")) == 3
    assert len(rig.events("ChildContested")) == 1


async def test_a_secret_of_somebody_else_in_the_gateways_place_is_told_and_not_written() -> None:
    rig = Rig()
    rig.kube.put(secret())
    rig.kube.put(deployment())
    rig.kube.put(secret("support-gateway", **{"operator-key": "bWluZQ=="}))
    await rig.one()
    assert rig.condition("Accepted")[1] == "NameTaken"
    assert "Secret support-gateway" in rig.condition("Accepted")[2]
    assert rig.kube.take("Secret", "support-gateway")["data"] == {"operator-key": "bWluZQ=="}
    assert rig.kube.names("ConfigMap") == []


async def test_the_master_key_is_read_once_a_minute_at_most_and_comes_back_while_it_is_known() -> None:
    rig = await serving()
    master = rig.kube.take("Secret", "claude-operator-client-keys", "claude-system")
    rig.kube.calls.clear()
    for _ in range(5):
        await rig.one()
    assert ("get", "Secret", "claude-operator-client-keys") not in rig.kube.calls
    rig.kube.drop("Secret", "claude-operator-client-keys", "claude-system")
    rig.wait(61)
    await rig.one()
    assert rig.kube.take("Secret", "claude-operator-client-keys", "claude-system")["data"] == master["data"]


async def test_a_master_key_that_cannot_be_used_is_told_and_nothing_is_believed_or_written() -> None:
    rig = await on_trial()
    found = rig.kube.take("Secret", "claude-operator-client-keys", "claude-system")
    rig.kube.put({**found, "data": {"master": "c2hvcnQ="}})
    rig.start_operator()
    for _ in range(3):
        with pytest.raises(KubeError, match="holds no master key of 32 bytes"):
            await rig.one()
    (note,) = rig.events("PassFailed")
    assert "gateways keep serving" in note
    assert "put it back from a backup, or delete that Secret" in note
    assert [kind for _, kind, _ in rig.kube.writes if kind != "Event"] == []
    rig.kube.put({**rig.kube.take("Secret", "claude-operator-client-keys", "claude-system"), "data": found["data"]})
    await rig.one()
    assert rig.gateways.config.arm("canary") is not None


async def test_a_master_key_that_is_lost_while_nobody_leads_loses_no_stable_revision() -> None:
    rig = await on_trial()
    stable, generation = rig.status.stable_revision, rig.gateways.config.generation
    before = rig.kube.take("Secret", "support-gateway")["data"]["operator-key"]
    rig.kube.drop("Secret", "claude-operator-client-keys", "claude-system")
    rig.start_operator()
    await rig.settle()
    assert rig.kube.take("Secret", "support-gateway")["data"]["operator-key"] != before
    assert rig.gateways.signed
    assert (rig.status.stable_revision, rig.gateways.config.generation > generation) == (stable, True)
    assert [arm.role for arm in rig.gateways.config.arms] == ["stable", "canary"]


async def test_passes_go_on_with_the_key_that_is_known_while_the_master_key_cannot_be_read() -> None:
    rig = await serving()

    def refuse(verb: str, kind: str, name: str) -> None:
        if name == "claude-operator-client-keys":
            raise KubeError(500, "InternalError", "no")

    rig.kube.before = refuse
    rig.wait(61)
    rig.say("Be brief.")
    await rig.settle()
    assert len(rig.gateways.config.arms) == 2
    assert rig.gateways.signed


async def test_two_that_make_the_client_secret_at_once_agree() -> None:
    rig = Rig()
    rig.kube.put(secret())
    rig.kube.put(deployment())

    def other(verb: str, kind: str, name: str) -> None:
        if (verb, name) == ("create", "support-client"):
            rig.kube.before = lambda *_: None
            uid = rig.kube.take("ClaudeDeployment", "support")["metadata"]["uid"]
            body = secret("support-client", ANTHROPIC_API_KEY="dGhlaXJz")
            body["metadata"]["ownerReferences"] = [{"kind": "ClaudeDeployment", "uid": uid, "controller": True}]
            body["data"]["ANTHROPIC_BASE_URL"] = "eA=="
            rig.kube.put(body)

    rig.kube.before = other
    await rig.settle()
    assert rig.kube.take("Secret", "support-client")["data"]["ANTHROPIC_API_KEY"] == "dGhlaXJz"
    assert "Deployment" in {kind for _, kind, _ in rig.kube.writes}


@pytest.mark.parametrize(
    ("kind", "name"),
    [(kind, "support-gateway") for kind in [*GATEWAY, "ConfigMap"] if kind != "NetworkPolicy"]
    + [("Secret", "support-client")]
    + [(kind, "support-eval") for kind in ("ServiceAccount", "Role", "RoleBinding")],
)
async def test_a_name_that_is_taken_stops_every_write(kind: str, name: str) -> None:
    rig = Rig()
    rig.kube.put(secret())
    rig.kube.put(deployment())
    other = {
        "kind": "ClaudeDeployment",
        "apiVersion": "claudeops.dev/v1alpha1",
        "name": "other",
        "uid": "o",
        "controller": True,
    }
    theirs = {"name": name, "namespace": "demo", "ownerReferences": [other]}
    rig.kube.put({"apiVersion": "v1", "kind": kind, "metadata": theirs})
    assert await rig.one() == 15.0
    status, reason, message = rig.condition("Accepted")
    assert (status, reason) == ("False", "NameTaken")
    assert f"{kind} {name} belongs to ClaudeDeployment other" in message
    written = {kind for _, kind, _ in rig.kube.writes}
    assert written <= {"ClaudeDeployment", "Event"}
    rig.kube.drop(kind, name)
    await rig.settle()
    assert rig.condition("Accepted")[0] == "True"
    assert rig.kube.names("Deployment") == ["support-gateway"]


async def test_a_name_that_is_taken_later_is_told_and_not_taken_back() -> None:
    rig = await serving()
    found = rig.kube.take("Service", "support-gateway")
    rig.kube.drop("Service", "support-gateway")
    found["metadata"] = {"name": "support-gateway", "namespace": "demo"}
    rig.kube.put({**found, "spec": {"ports": []}})
    rig.wait(61)
    assert await rig.one() == 5.0
    await rig.one()
    assert rig.condition("Accepted")[:2] == ("False", "NameTaken")
    assert rig.kube.take("Service", "support-gateway")["spec"] == {"ports": []}


async def test_what_failed_is_tried_again_and_what_is_known_is_forgotten_with_its_owner() -> None:
    rig = await serving()
    owner = rig.kube.take("ClaudeDeployment", "support")
    wanted = [{k: v for k, v in rig.kube.take("Service", "support-gateway").items() if k != "status"}]
    wanted[0]["metadata"].pop("resourceVersion")
    wanted[0]["metadata"]["labels"]["more"] = "1"

    def refuse(verb: str, kind: str, name: str) -> None:
        if verb == "apply":
            raise KubeError(403, "Forbidden", "no")

    rig.kube.before = refuse
    for _ in range(2):  # it is not remembered as done
        with pytest.raises(KubeError):
            await rig.children.ensure(owner, wanted)
    rig.kube.before = lambda *_: None
    await rig.children.ensure(owner, wanted)
    rig.kube.calls.clear()
    await rig.children.ensure(owner, wanted)
    assert rig.kube.calls == []
    rig.children.forget({owner["metadata"]["uid"]})
    await rig.children.ensure(owner, wanted)
    assert rig.kube.calls == []
    rig.children.forget(set())
    await rig.children.ensure(owner, wanted)
    assert rig.kube.calls


def orphans(rig: Rig, *uids: str) -> None:
    """All that is left of the ClaudeDeployment: without owners, or with those of an earlier life."""
    rig.kube.drop("ClaudeDeployment", "support")
    for (kind, space, name), body in list(rig.kube.objects.items()):
        if kind in ("Event", "Pod", "ReplicaSet") or not body["metadata"].get("ownerReferences"):
            continue
        references = [{**body["metadata"]["ownerReferences"][0], "uid": uid} for uid in uids]
        rig.kube.put({**rig.kube.take(kind, name, space), "metadata": {"name": name, "namespace": space,
            "ownerReferences": references}})  # fmt: skip


@pytest.mark.parametrize("uids", [(), ("old",)], ids=["cascade=orphan", "restored under another UID"])
async def test_what_an_earlier_life_left_is_adopted_at_once_and_serves_on(uids: tuple[str, ...]) -> None:
    rig = await serving()
    stable, secret_before = rig.status.stable_revision, rig.kube.take("Secret", "support-client")["data"]
    served = rig.gateways.config
    orphans(rig, *uids)
    rig.start_operator()
    rig.kube.put(deployment())
    uid = rig.kube.take("ClaudeDeployment", "support")["metadata"]["uid"]
    await rig.settle()
    for kind in [*GATEWAY, "ConfigMap"]:
        (reference,) = rig.kube.take(kind, "support-gateway")["metadata"]["ownerReferences"]
        assert reference["uid"] == uid, kind
    assert rig.kube.take("Secret", "support-client")["data"] == secret_before
    assert names.is_controlled_by(rig.kube.take("ClaudeRevision", stable or ""), uid)
    assert rig.status.stable_revision == stable
    assert rig.gateways.config.arms == served.arms
    assert rig.condition("Accepted")[0] == "True"
    (note,) = said(rig, "ChildAdopted")
    assert "NetworkPolicy support-gateway" in note
    assert f"ClaudeRevision {stable}" in note
    assert said(rig, "ChildRestored", "ChildContested") == []
    assert len(said(rig, "RevisionCreated")) == 1  # the first life's


async def test_what_is_being_deleted_of_an_earlier_life_is_waited_for() -> None:
    rig = await serving()
    orphans(rig, "old")
    leaving = rig.kube.take("Service", "support-gateway")
    leaving["metadata"]["deletionTimestamp"] = "2026-11-24T10:00:00Z"
    rig.kube.put(leaving)
    rig.kube.put(deployment())
    rig.kube.writes.clear()
    assert await rig.one() == 15.0
    assert rig.condition("Accepted")[1] == "NameTaken"
    assert rig.status.gateway is None
    assert {kind for _, kind, _ in rig.kube.writes} == {"ClaudeDeployment", "Event"}
    rig.kube.drop("Service", "support-gateway")
    await rig.settle()
    assert rig.condition("Accepted")[0] == "True"


@pytest.mark.parametrize("kind", [*GATEWAY, "ConfigMap", "ClaudeRevision", "Secret"])
@pytest.mark.parametrize("bare", [False, True], ids=["", "labels too"])
async def test_a_child_that_lost_its_owner_has_it_again(kind: str, bare: bool) -> None:
    rig = await serving()
    uid = rig.kube.take("ClaudeDeployment", "support")["metadata"]["uid"]
    name = {"ClaudeRevision": rig.status.stable_revision or "", "Secret": "support-client"}.get(kind, "support-gateway")
    lost = rig.kube.take(kind, name)
    lost["metadata"] |= {"ownerReferences": [], **({"labels": {}} if bare else {})}
    lost = rig.kube.put(lost)
    if kind == "ClaudeRevision":
        await rig.one()
    else:
        assert await heard(rig, "MODIFIED", lost)
    await rig.settle()
    back = rig.kube.take(kind, name)
    assert names.is_controlled_by(back, uid)
    assert back["metadata"]["labels"][names.LABEL_MANAGED_BY] == names.FIELD_MANAGER
    assert said(rig, "ChildAdopted") == [f"Adopted {kind} {name}: it was made for support and had lost its owner"]
    assert said(rig, "RevisionCreated", "NameTaken") == said(rig, "RevisionCreated")[:1]


@pytest.mark.parametrize("kind", ["ConfigMap", "Deployment"])
async def test_a_bad_canary_is_taken_back_though_a_child_lost_its_owner(kind: str) -> None:
    rig = await on_trial()
    lost = rig.kube.take(kind, "support-gateway")
    lost["metadata"]["ownerReferences"] = []
    rig.kube.put(lost)
    rig.gateways.serve("gw-1", "canary", 0, 200)
    rig.gateways.serve("gw-1", "stable", 2000, 0)
    rig.wait(5)
    await rig.one()
    assert [arm.weight for arm in rig.gateways.config.arms] == [10_000]
    assert rig.status.rollouts[-1].outcome == "RolledBack"
    assert len(said(rig, "ChildAdopted")) == 1


async def test_an_orphan_that_may_not_be_adopted_is_read_all_the_same() -> None:
    rig = await on_trial()
    lost = rig.kube.take("Deployment", "support-gateway")
    lost["metadata"]["ownerReferences"] = []
    rig.kube.put(lost)

    def refuse(verb: str, kind: str, name: str) -> None:
        if verb == "merge":
            raise KubeError(403, "Forbidden", "no patch for you")

    rig.kube.before = refuse
    rig.gateways.serve("gw-1", "canary", 0, 200)
    rig.gateways.serve("gw-1", "stable", 2000, 0)
    rig.wait(5)
    await rig.one()
    assert [arm.weight for arm in rig.gateways.config.arms] == [10_000]
