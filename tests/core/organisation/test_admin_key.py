"""A key that cannot read an organisation's usage is told by its form, with what to use instead."""

from __future__ import annotations

import pytest

from claude_operator.api.organisation import OrganizationReason as Reason
from claude_operator.core.organisation.admin_key import key_fault, platform_fault, store_fault


@pytest.mark.parametrize(
    ("key", "reason"),
    [
        ("sk-ant-admin01-abc", None),
        ("sk-ant-api03-abc", Reason.WORKSPACE_KEY),
        ("co-abc", Reason.NOT_AN_ADMIN_KEY),
        ("", Reason.NOT_AN_ADMIN_KEY),
    ],
)
def test_keys(key: str, reason: Reason | None) -> None:
    fault = key_fault(key)
    assert (fault and fault[0]) == reason
    if fault:
        assert "create an admin key (sk-ant-admin...)" in fault[1]


@pytest.mark.parametrize(
    ("url", "refused"),
    [
        ("https://api.anthropic.com", False),
        ("https://aws-external-anthropic.us-east-1.api.aws", True),
        ("https://bedrock-runtime.us-east-1.amazonaws.com/x", True),
        ("https://bedrock-runtime.cn-north-1.amazonaws.com.cn", True),
        ("http://claude-simulator.demo.svc:8081", False),
        ("https://api.aws.example.com", False),
    ],
)
def test_platforms_without_this_api(url: str, refused: bool) -> None:
    fault = platform_fault(url)
    assert bool(fault) == refused
    if fault:
        assert fault[0] == Reason.PLATFORM_ON_AWS and "AWS Cost Explorer" in fault[1]


@pytest.mark.parametrize(
    ("url", "refused"), [("postgresql://h/db", False), ("postgres://h/db", False), ("op-abc", True), ("", True)]
)
def test_databases(url: str, refused: bool) -> None:
    fault = store_fault(url)
    assert bool(fault) == refused
    if fault and url:
        assert url not in fault[1]
