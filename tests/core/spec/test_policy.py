"""What the installer allows: hosts, in whatever way a URL writes them, and the labels of Secrets."""

from __future__ import annotations

from dataclasses import replace
from urllib.parse import urlsplit

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.core.reconcile.rules.sample import raw

from claude_operator.api.conditions import Reason
from claude_operator.api.deployment import DeploymentSpec
from claude_operator.core.spec.hosts import host_pattern
from claude_operator.core.spec.networks import rules_in_pod
from claude_operator.core.spec.policy import OPEN, Policy, addresses, revision_addresses, secret_uses

HOSTS = ("api.anthropic.com", "*.example.com", "proxy.ai:8080", "[fd00::1]:9090", "*.wild.example:8443")
POLICY = Policy(allowed_hosts=tuple(map(host_pattern, HOSTS)))


def allowed(url: str, policy: Policy = POLICY) -> bool:
    return policy.host_problem(("spec.upstream.baseURL", url)) is None


@pytest.mark.parametrize(
    "url",
    [
        "https://api.anthropic.com",
        "https://api.anthropic.com/",
        "https://api.anthropic.com:443/base?x=1",
        "HTTPS://API.Anthropic.COM",
        "https://api.anthropic.com./v2",
        "http://api.anthropic.com:80",
        "https://mcp.example.com/sse",
        "https://a.b.example.com",
        "http://proxy.ai:8080/claude",
        "http://proxy.ai:08080",
        "http://[fd00::1]:9090/",
        "http://[FD00:0:0::0001]:9090",
        "https://x.wild.example:8443",
    ],
)
def test_allowed(url: str) -> None:
    assert allowed(url)


@pytest.mark.parametrize(
    "url",
    [
        "https://api.anthropic.com.evil.example",
        "https://evil.example/api.anthropic.com",
        "https://evil.example#api.anthropic.com",
        "https://evil.example?api.anthropic.com",
        "https://api.anthropic.com:8443",
        "https://api.anthropic.com:80",
        "http://api.anthropic.com:443",
        "https://example.com",
        "https://.example.com",
        "https://notexample.com",
        "https://proxy.ai",
        "http://proxy.ai:18080",
        "http://x.proxy.ai:8080",
        "http://[fd00::2]:9090",
        "http://[::ffff:10.0.0.1]:9090",
        "https://x.wild.example",
        "http://2130706433/",
        "http://0x7f.1",
        "https://api.anthropic.com@evil.example",
        "https://evil.example@api.anthropic.com",
        "https://api.anthropic.com:443@evil.example",
        "https://api.anthropic.com\\@evil.example",
        "https://evil.example\\@api.anthropic.com",
        "https://api.anthropic.com\\.evil.example",
        "https://api.anthropic.com%2eevil.example",
        "https://api%2eanthropic.com",
        "https://evil.example%00.example.com",
        "https://evil.example\t.example.com",
        "https://evil.example\n.example.com",
        " https://api.anthropic.com",
        "https:///api.anthropic.com",
        "https:api.anthropic.com",
        "https://api.anthropic.com;evil.example",
        "https://api.anthropic.com,evil.example",
        "https://аpi.anthropic.com",  # a Cyrillic letter
        "https://evil。example.com",  # a full stop that IDNA maps to a dot
        "https://evilⅼ.example.com",
        "https://ex\u200dample.example.com",
        "ftp://api.anthropic.com",
        "https://api.anthropic.com:",
        "https://api.anthropic.com:99999",
        "https://api.anthropic.com:443443",
        "https://[::1%25eth0]:9090",
        "",
        "https://",
    ],
)
def test_refused(url: str) -> None:
    problem = POLICY.host_problem(("spec.upstream.baseURL", url))
    assert problem
    assert problem.reason == Reason.HOST_NOT_ALLOWED
    assert problem.message.startswith("spec.upstream.baseURL: ")
    assert allowed(url, OPEN)


@given(st.text(st.sampled_from("aA.:/@\\#?%[]\u3002\t 0159-_*;") | st.sampled_from("example.com"), max_size=40))
def test_what_is_allowed_has_that_host_for_the_standard_library_too(text: str) -> None:
    url = f"https://{text}.example.com"
    if allowed(url):
        parts = urlsplit(url)
        assert parts.username is None
        assert (parts.hostname or "").rstrip(".").endswith((".example.com", "proxy.ai", "api.anthropic.com"))


def test_the_message_says_what_helps() -> None:
    problem = Policy(allowed_hosts=("a.example", "b.example")).host_problem(("spec.x", "http://c.example:81/secret"))
    assert problem
    assert problem.message == (
        "spec.x: c.example:81 is not an allowed host (a.example, b.example): write one of these, or have the installer"
        " add it to security.allowedHosts (--allowed-host)"
    )


@pytest.mark.parametrize(
    "text",
    ["", "https://a.example", "a.example/x", "a b", "*", "*.", "a.*", "*.*.a", "*.[::1]", "a:0", "a:65536", "a@b"],
)
def test_a_pattern_that_is_none(text: str) -> None:
    with pytest.raises(ValueError, match=r"write"):
        host_pattern(text)


def test_every_address_of_a_spec_is_looked_at() -> None:
    server = {"type": "url", "name": "docs", "url": "https://mcp.one"}
    spec = raw(
        upstream={"baseURL": "https://up.one", "apiKeySecretRef": {"name": "a", "key": "b"}},
        subagents={"r": {"request": {"mcp_servers": [{**server, "url": "https://mcp.two"}, "odd"]}}},
        strategy={
            "canary": {
                "analysis": {
                    "metrics": [
                        {"name": "errors"},
                        {"name": "own", "prometheus": {"query": "x", "address": "http://prom.one:9090"}},
                    ]
                }
            }
        },
    )
    spec["request"]["mcp_servers"] = [server]
    parsed = DeploymentSpec.model_validate(spec)
    assert list(addresses(parsed)) == [
        ("spec.upstream.baseURL", "https://up.one"),
        ("spec.request.mcp_servers[0].url", "https://mcp.one"),
        ("spec.subagents.r.request.mcp_servers[0].url", "https://mcp.two"),
        ("spec.subagents.r.request.mcp_servers[1].url", ""),
        ("spec.strategy.canary.analysis.metrics[1].prometheus.address", "http://prom.one:9090"),
    ]
    assert [url for _, url in revision_addresses(spec)] == ["https://mcp.one", "https://mcp.two", ""]


def test_a_secret_is_used_for_what_its_label_names() -> None:
    spec = DeploymentSpec.model_validate(
        raw(env=[{"name": "T", "valueFrom": {"secretKeyRef": {"name": "anthropic", "key": "token"}}}])
    )
    upstream, env = secret_uses(spec)
    assert (upstream.use, env.use, env.where) == ("upstream", "env", "spec.env T")
    tight = Policy(secrets_opt_in=True)
    for labels, fine in (
        (None, (False, False)),
        ({"claudeops.dev/use": "upstream"}, (True, False)),
        ({"claudeops.dev/use": "env"}, (False, True)),
        ({"claudeops.dev/use": "env.upstream"}, (True, True)),
        ({"claudeops.dev/use": "upstreams"}, (False, False)),
        ({"use": "upstream"}, (False, False)),
    ):
        found = tuple(tight.secret_problem(one, "shop", labels) is None for one in (upstream, env))
        assert found == fine
        assert OPEN.secret_problem(env, "shop", labels) is None
    problem = tight.secret_problem(env, "shop", {"claudeops.dev/use": "upstream"})
    assert problem
    assert problem.reason == Reason.SECRET_NOT_ALLOWED
    command = "kubectl -n shop label --overwrite secret anthropic claudeops.dev/use=upstream.env"
    assert problem.message.endswith(command)


IN_POD = Policy(rules=rules_in_pod((), (), {"KUBERNETES_SERVICE_HOST": "10.96.0.1"}))
BASE = ("spec.upstream.baseURL", "https://proxy.example/v1")


@pytest.mark.parametrize(
    ("found", "refused"),
    [
        ((), False),  # what is not known is no reason
        (("10.0.0.7",), False),
        (("169.254.169.254", "10.0.0.7"), False),  # gateways connect to the one that they may
        (("169.254.169.254",), True),
        (("10.96.0.1", "::1"), True),
    ],
)
def test_a_name_is_refused_for_what_it_leads_to(found: tuple[str, ...], refused: bool) -> None:
    problems = IN_POD.host_problems([BASE], {BASE: found})
    assert [one.reason for one in problems] == [Reason.HOST_NOT_ALLOWED] * refused
    if refused:
        leads = (
            f"proxy.example leads to {', '.join(found)}, an address that the operator and its pods do not connect to"
        )
        assert problems[0].message.startswith(f"spec.upstream.baseURL: {leads}: write another one, or")
    assert OPEN.host_problems([BASE], {BASE: found}) == []


def test_names_are_looked_up_of_servers_that_are_connected_to() -> None:
    prometheus = ("spec.strategy.canary.analysis.metrics[0].prometheus.address", "http://prometheus:9090")
    bare = ("spec.upstream.baseURL", "http://proxy:8080")
    others = [
        ("spec.upstream.baseURL", "http://10.0.0.7"),
        ("spec.upstream.baseURL", "http://localhost"),
        ("spec.upstream.baseURL", "http://[::1]"),
        ("spec.upstream.baseURL", "nothing"),
        ("spec.request.mcp_servers[0].url", "https://docs.example"),
    ]
    found = IN_POD.names([BASE, prometheus, bare, *others], "shop")
    # A pod finds a Service of its own namespace by its bare name.
    assert found == {BASE: "proxy.example", prometheus: "prometheus", bare: "proxy.shop.svc"}
    assert OPEN.names([BASE], "shop") == {}
    assert replace(IN_POD, allowed_hosts=("api.anthropic.com",)).names([BASE], "shop") == {}


@pytest.mark.parametrize(
    "url", ["http://169.254.169.254", "http://127.0.0.1:8081/x", "http://[::1]:9", "http://10.96.0.1"]
)
def test_an_address_that_is_not_connected_to_is_told_before_anything_serves_there(url: str) -> None:
    policy = Policy(rules=rules_in_pod((), (), {"KUBERNETES_SERVICE_HOST": "10.96.0.1"}))
    for where in ("spec.upstream.baseURL", "spec.strategy.canary.analysis.metrics[0].prometheus.address"):
        [problem] = policy.host_problems([(where, url)])
        assert problem.reason == Reason.HOST_NOT_ALLOWED
        assert problem.message.startswith(f"{where}: ")
        assert (
            "is an address that the operator and its pods do not connect to: write another one, or" in problem.message
        )
    assert policy.host_problems([("spec.request.mcp_servers[0].url", url)]) == []  # the API's servers go there
    assert policy.host_problems([("spec.upstream.baseURL", "http://10.0.0.7:8081")]) == []
    assert policy.host_problems([("spec.upstream.baseURL", "https://api.anthropic.com")]) == []
    assert OPEN.host_problems([("spec.upstream.baseURL", url)]) == []
