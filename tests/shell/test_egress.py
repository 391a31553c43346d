"""The installer's limits on the way to running gateways: in their signed config, with no restart."""

from __future__ import annotations

from tests.shell.rig import NAME, serving

from claude_operator.api.gateway import Egress
from claude_operator.core import names
from claude_operator.core.spec.policy import OPEN, Policy

GATEWAY = names.gateway_name(NAME)


async def test_what_serves_stays_and_gets_no_key_where_the_installer_allows_its_host_no_more() -> None:
    rig = await serving()
    rig.policy = Policy(allowed_hosts=("proxy.ai:8080",))
    rig.start_operator()
    before = rig.gateways.config
    await rig.settle()
    rig.say("Be brief.")
    await rig.settle()
    config = rig.gateways.config
    assert config.generation == before.generation + 1
    assert (config.arms, config.upstream) == (before.arms, before.upstream)
    assert config.limits == Egress(allowed_hosts=["proxy.ai:8080"])
    assert len(rig.kube.names("ClaudeRevision")) == 1
    for kind in ("Accepted", "GatewayReady", "Ready"):
        status, reason, message = rig.condition(kind)
        assert (status, reason) == ("False", "HostNotAllowed"), kind
        assert "spec.upstream.baseURL: api.anthropic.com is not an allowed host (proxy.ai:8080)" in message
        assert "keeps serving" not in message
    assert rig.condition("Ready")[2].startswith("gateways answer every request with 502 and send no key: ")
    rig.policy = OPEN
    rig.start_operator()
    await rig.settle()
    assert rig.gateways.config.limits == Egress()
    assert rig.condition("Ready")[0] == "True"


async def test_a_new_list_of_hosts_reaches_gateways_without_a_restart() -> None:
    rig = await serving()
    before = rig.kube.take("Deployment", GATEWAY)["spec"]
    for hosts in (("api.anthropic.com",), ("*.anthropic.com",)):
        rig.policy = Policy(allowed_hosts=hosts)
        rig.start_operator()
        await rig.settle()
        assert rig.gateways.config.limits.allowed_hosts == list(hosts)
        assert rig.condition("GatewayReady")[0] == "True"
    assert rig.kube.take("Deployment", GATEWAY)["spec"] == before


async def test_a_config_of_an_operator_of_before_gets_its_egress_before_pods_are_replaced() -> None:
    rig = await serving()
    found = rig.kube.take("ConfigMap", GATEWAY)
    before, further = rig.gateways.config, ("egress.json", "egress-signature")
    rig.kube.put({**found, "data": {key: text for key, text in found["data"].items() if key not in further}})
    container = rig.kube.take("Deployment", GATEWAY)
    container["spec"]["template"]["spec"]["containers"][0]["args"].remove("--signed-egress")
    rig.kube.put(container)
    rig.start_operator()
    order: list[str] = []
    rig.kube.before = lambda verb, kind, name: order.append(kind) if name == GATEWAY and verb == "apply" else None
    await rig.settle()
    assert order.index("ConfigMap") < order.index("Deployment")
    assert rig.gateways.config == before
    assert set(further) < set(rig.kube.take("ConfigMap", GATEWAY)["data"])
