"""Which addresses may be connected to."""

from __future__ import annotations

import pytest

from claude_operator.core.spec.networks import ANYWHERE, AddressRefused, AddressRules, parse_network, rules_in_pod

NODE, API_SERVER = "192.168.7.10", "10.96.0.1"
RULES = rules_in_pod((), (), {"HOST_IPS": f"{NODE},fd12::7", "HOST_IP": NODE, "KUBERNETES_SERVICE_HOST": API_SERVER})


@pytest.mark.parametrize(
    "address",
    [
        "169.254.169.254",
        "169.254.170.2",
        "fe80::1",
        "fe80::1%eth0",
        "127.0.0.1",
        "127.9.9.9",
        "::1",
        "0.0.0.0",
        "0.0.0.7",
        "::",
        "224.0.0.1",
        "ff02::1",
        "255.255.255.255",
        "240.0.0.1",
        "fec0::1",
        "fd00:ec2::254",
        "fd00:ec2::23",
        "fd00:42::42",
        "fd20:ce::254",
        "100.100.100.200",
        "168.63.129.16",
        "192.0.0.192",
        "::ffff:169.254.169.254",
        "::ffff:127.0.0.1",
        "::169.254.169.254",
        "64:ff9b::169.254.169.254",
        "64:ff9b:1::169.254.169.254",
        "64:ff9b:1:a9fe:a9:fe00::",  # a prefix of /48
        "2002:a9fe:a9fe::1",
        "2001:0:a9fe:a9fe::1",
        "2001:db8::5efe:169.254.169.254",
        NODE,
        "fd12::7",
        API_SERVER,
        f"::ffff:{NODE}",
        f"64:ff9b::{API_SERVER}",
        "localhost",
        "",
        "2130706433",
    ],
)
def test_what_only_the_pod_its_node_or_its_cloud_can_reach_is_refused(address: str) -> None:
    assert not RULES.permits(address)
    with pytest.raises(AddressRefused):
        RULES.check(address)


@pytest.mark.parametrize(
    "address",
    [
        "160.79.104.10",
        "2607:6bc0::10",
        "10.0.0.7",
        "172.20.1.1",
        "192.168.7.11",
        "100.64.3.4",
        "fd12::8",
        "64:ff9b::160.79.104.10",
        "64:ff9b:1::160.79.104.10",
        "::ffff:10.0.0.7",
        "2002:a04f:680a::1",
    ],
)
def test_public_and_private_addresses_are_free(address: str) -> None:
    assert RULES.permits(address)
    RULES.check(address)


def test_what_the_installer_allows_wins() -> None:
    rules = rules_in_pod(
        [parse_network("127.0.0.0/8"), parse_network("fd12::7")], [parse_network("127.0.0.1")], {"HOST_IPS": "fd12::7"}
    )
    assert rules.permits("127.0.0.1")
    assert rules.permits("::ffff:127.0.0.1")
    assert rules.permits("fd12::7")
    assert not rules.permits("169.254.169.254")


@pytest.mark.parametrize(
    "address",
    [
        "2001:0:a00:7:0:0:5601:5601",  # Teredo: the server 10.0.0.7, the client 169.254.169.254
        "64:ff9b:1:a9fe:a9:fe00:a00:7",  # NAT64: 169.254.169.254 by one length of the prefix, 10.0.0.7 by another
    ],
)
def test_what_is_allowed_by_one_reading_and_special_by_another_is_refused(address: str) -> None:
    assert not AddressRules((parse_network("10.0.0.0/8"),)).permits(address)
    assert AddressRules((parse_network(address),)).permits(address)


def test_what_the_installer_denies_in_either_spelling() -> None:
    rules = AddressRules(denied=(parse_network("10.1.0.0/16"), parse_network("64:ff9b::/96")))
    assert not rules.permits("10.1.2.3")
    assert not rules.permits("::ffff:10.1.2.3")
    assert not rules.permits("64:ff9b::8.8.8.8")
    assert rules.permits("10.2.2.3")


def test_nothing_is_refused_on_a_laptop() -> None:
    assert ANYWHERE.permits("127.0.0.1")


def test_a_name_or_nothing_in_the_environment_denies_nothing() -> None:
    assert rules_in_pod((), (), {"KUBERNETES_SERVICE_HOST": "api.example.com", "HOST_IPS": ""}).denied == ()


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("10.0.0.300", "'10.0.0.300' is not a network of IP addresses; use e.g. 10.0.0.0/8 or 10.1.2.3"),
        ("example.com", "'example.com' is not a network of IP addresses; use e.g. 10.0.0.0/8 or 10.1.2.3"),
        ("", "'' is not a network of IP addresses; use e.g. 10.0.0.0/8 or 10.1.2.3"),
        ("10.1.2.3/8", "'10.1.2.3/8' has bits beyond its prefix; use 10.0.0.0/8"),
    ],
)
def test_what_is_not_a_network(text: str, sentence: str) -> None:
    with pytest.raises(ValueError, match=r".") as raised:
        parse_network(text)
    assert str(raised.value) == sentence
