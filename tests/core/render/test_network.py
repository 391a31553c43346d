"""NetworkPolicies: what has to get through does, in every kind of network, and a node's credentials do not."""

from __future__ import annotations

import pytest
from tests.core.render.sample import FULL, spec_of
from tests.netpol import Flow, Place, allowed

from claude_operator.core import names, render
from claude_operator.core.render.network import egress, eval_policy, gateway_policy, grader_policy
from claude_operator.core.spec import networks
from claude_operator.core.spec.networks import AddressRules

NAME = FULL["metadata"]["name"]
HERE = FULL["metadata"]["namespace"]
MONITORING = {"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "monitoring"}}}
RULES = render.NetworkRules()
POLICIES = [gateway_policy(FULL, RULES, graded=True), eval_policy(FULL, RULES), grader_policy(FULL, RULES)]
ONLY = render.NetworkRules((MONITORING,))
TIGHT = [gateway_policy(FULL, ONLY, graded=True), eval_policy(FULL, ONLY), grader_policy(FULL, ONLY)]

GATEWAY = Place("10.244.0.5", HERE, names.labels(NAME, "gateway"))
EVAL = Place("10.244.0.6", HERE, names.labels(NAME, "eval"))
GRADER = Place("10.244.0.10", HERE, names.labels(NAME, "grader"))
APP = Place("10.244.0.7", "shop", {"app": "shop"})
OPERATOR = Place("10.244.0.8", "claude-system", {"app.kubernetes.io/name": "claude-operator"})
PROMETHEUS = Place("10.244.0.9", "monitoring", {"app": "prometheus"})
NODE = Place("192.0.2.1", node=True)
CLAUDE = Place("160.79.104.10")
CLAUDE6 = Place("2607:6bc0::10")
PROXY = Place("10.1.2.3")
_METADATA = ("169.254.169.254", "169.254.170.2", "169.254.170.23", "fd00:ec2::254", "fd00:ec2::23", "fe80::1")
_METADATA += ("100.100.100.200", "168.63.129.16", "fd20:ce::254", "192.0.0.192", "fd00:42::42", "fd00:c1::a9fe:a9fe")
METADATA = [Place(one) for one in _METADATA]

GETS_THROUGH = [
    Flow(APP, GATEWAY, 8080),
    Flow(Place("203.0.113.9"), GATEWAY, 8080),  # by an ingress that keeps the address
    Flow(NODE, GATEWAY, 9090),  # the kubelet's probes
    Flow(OPERATOR, GATEWAY, 9090),
    Flow(PROMETHEUS, GATEWAY, 9090),
    Flow(GATEWAY, CLAUDE, 443),
    Flow(GATEWAY, CLAUDE6, 443),
    Flow(GATEWAY, PROXY, 8080),  # a company's own
    Flow(GATEWAY, NODE, 6443),  # the API server of a cluster that runs its own
    Flow(GATEWAY, Place("34.1.2.3"), 443),  # and of one that does not
    Flow(GATEWAY, Place("10.244.0.20", "claude-system", {}), 8081),  # a simulator, or a proxy in the cluster
    Flow(GATEWAY, Place("10.244.0.2", "kube-system", {"k8s-app": "kube-dns"}), 53, "UDP"),
    Flow(GATEWAY, Place("169.254.20.10"), 53, "UDP"),  # the node's own DNS cache
    Flow(GATEWAY, Place("169.254.20.10"), 53),
    Flow(EVAL, CLAUDE, 443),
    Flow(EVAL, NODE, 6443),
    Flow(GRADER, GATEWAY, 9090),
    Flow(GRADER, CLAUDE, 443),
    Flow(GRADER, NODE, 6443),
    Flow(NODE, GRADER, 9090),
    Flow(PROMETHEUS, GRADER, 9090),
]
IS_REFUSED = [
    *(Flow(GATEWAY, one, 80) for one in METADATA),
    *(Flow(EVAL, one, 80) for one in METADATA),
    *(Flow(GRADER, one, 80) for one in METADATA),
    Flow(APP, GRADER, 8080),
    Flow(GATEWAY, GRADER, 8080),
    Flow(GATEWAY, Place("169.254.20.10"), 8080),
    Flow(APP, EVAL, 8080),
    Flow(APP, EVAL, 9090),
    Flow(APP, GATEWAY, 22),
    Flow(Place("203.0.113.9"), GATEWAY, 9090),  # from outside of the cluster
]


@pytest.mark.parametrize("by_identity", [False, True])
@pytest.mark.parametrize("flow", GETS_THROUGH, ids=str)
def test_what_has_to_get_through_does(flow: Flow, by_identity: bool) -> None:
    assert allowed(flow, POLICIES, by_identity=by_identity)


@pytest.mark.parametrize("by_identity", [False, True])
@pytest.mark.parametrize("flow", IS_REFUSED, ids=str)
def test_nothing_else_does(flow: Flow, by_identity: bool) -> None:
    assert not allowed(flow, POLICIES, by_identity=by_identity)


def test_the_installer_says_who_reaches_the_admin_port() -> None:
    assert allowed(Flow(PROMETHEUS, GATEWAY, 9090), TIGHT)
    assert not allowed(Flow(APP, GATEWAY, 9090), TIGHT)
    assert allowed(Flow(APP, GATEWAY, 8080), TIGHT)


@pytest.mark.parametrize("by_identity", [False, True])
def test_gateways_of_one_deployment_reach_one_another_and_no_others(by_identity: bool) -> None:
    twin = Place("10.244.0.15", HERE, names.labels(NAME, "gateway"))
    assert allowed(Flow(GATEWAY, twin, 9090), TIGHT, by_identity=by_identity)
    others = [
        Place("10.244.0.16", HERE, names.labels("other", "gateway")),
        Place("10.244.0.17", "elsewhere", names.labels(NAME, "gateway")),
        EVAL,
    ]
    assert not any(allowed(Flow(other, GATEWAY, 9090), TIGHT, by_identity=by_identity) for other in others)


@pytest.mark.parametrize("by_identity", [False, True])
def test_only_the_grader_of_a_deployment_whose_answers_are_graded_reaches_its_gateways(by_identity: bool) -> None:
    flow = Flow(GRADER, GATEWAY, 9090)
    assert allowed(flow, TIGHT, by_identity=by_identity)
    assert not allowed(Flow(PROMETHEUS, GRADER, 8080), TIGHT, by_identity=by_identity)
    assert not allowed(Flow(APP, GRADER, 9090), TIGHT, by_identity=by_identity)
    for other in (
        Place("10.244.0.16", HERE, names.labels("other", "grader")),
        Place("10.244.0.17", "elsewhere", names.labels(NAME, "grader")),
    ):
        assert not allowed(Flow(other, GATEWAY, 9090), TIGHT, by_identity=by_identity)
    ungraded = [gateway_policy(FULL, ONLY), grader_policy(FULL, ONLY)]
    assert not allowed(flow, ungraded, by_identity=by_identity)


def test_without_the_option_there_are_none() -> None:
    plain = render.Site("image", "Always")
    objects = [*render.gateway_objects(FULL, spec_of(FULL), plain), *render.eval_objects(FULL, spec_of(FULL), plain)]
    assert "NetworkPolicy" not in {one["kind"] for one in objects}


def test_all_pods_may_call_the_same() -> None:
    assert {str(one["spec"]["egress"]) for one in POLICIES} == {str(egress(RULES))}


def test_what_the_code_knows_of_metadata_services_is_cut_off() -> None:
    """One list: whatever is added to it is refused by gateways and by policies."""
    for network in networks.METADATA:
        for address in (network[0], network[-1]):
            assert not AddressRules().permits(str(address))
            for pod in (GATEWAY, EVAL):
                assert not allowed(Flow(pod, Place(str(address)), 80), POLICIES)


def test_the_installer_says_at_which_ports_the_api_server_is() -> None:
    """In a network that takes no node for an address nothing else lets pods reach it."""
    rules = render.NetworkRules(api_server_ports=(8443, 443))
    site = render.Site("image", "Always", network=rules)
    spec = spec_of(FULL)
    made = [*render.gateway_objects(FULL, spec, site), *render.eval_objects(FULL, spec, site)]
    policies = [one for one in made if one["kind"] == "NetworkPolicy"]
    assert len(policies) == 2
    for pod in (GATEWAY, EVAL):
        for port, expected in ((8443, True), (443, True), (6443, False)):
            assert allowed(Flow(pod, NODE, port), policies, by_identity=True) is expected


def test_what_the_installer_allows_is_not_dropped() -> None:
    """Gateways connect to it, link-local or not: its policy must not say otherwise."""
    site = render.Site("image", "Always", allowed_addresses=("169.254.7.0/24",), network=render.NetworkRules())
    spec = spec_of(FULL)
    made = [*render.gateway_objects(FULL, spec, site), *render.eval_objects(FULL, spec, site)]
    policies = [one for one in made if one["kind"] == "NetworkPolicy"]
    assert len(policies) == 2
    for pod in (GATEWAY, EVAL):
        assert allowed(Flow(pod, Place("169.254.7.9"), 8080), policies)
        assert not allowed(Flow(pod, Place("169.254.169.254"), 8080), policies)
