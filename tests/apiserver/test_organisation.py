"""ClaudeOrganizations on a real API server: what it refuses, in which words, and who may write them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from tests.apiserver.client import ApiError, Client, is_refused
from tests.apiserver.objects import deployment
from tests.apiserver.test_people import people  # noqa: F401

Object = dict[str, Any]
KEY = {"name": "admin", "key": "key"}


def organization(name: str = "acme", **spec: Any) -> Object:
    """A ClaudeOrganization."""
    kind = {"apiVersion": "claudeops.dev/v1alpha1", "kind": "ClaudeOrganization"}
    return {**kind, "metadata": {"name": name}, "spec": {"adminKeySecretRef": KEY, **spec}}


@pytest.fixture
def cleared(admin: Client) -> Iterator[Client]:
    """The admin; afterwards there is no ClaudeOrganization."""
    yield admin
    for one in admin.list("ClaudeOrganization"):
        admin.delete("ClaudeOrganization", one["metadata"]["name"])


@pytest.mark.parametrize(
    ("body", "said"),
    [
        (organization(), ""),
        (organization(history={"storage": {"size": "5Gi", "storageClassName": "fast"}}), ""),
        (organization(history={"postgresURLSecretRef": KEY}), ""),
        (organization(history={"storage": {}, "postgresURLSecretRef": KEY}), "write storage or postgresURLSecretRef"),
        (organization(history={"storage": {"size": "5"}}), "is not a size: write a number and Mi, Gi or Ti"),
        (organization(baseURL="api.anthropic.com"), "is not a URL: write for example https://api.anthropic.com"),
        (organization(pollInterval="30s"), "the Admin API allows one call a minute: write 1m or more"),
        (organization(pollInterval="1s", baseURL="http://claude-simulator.demo.svc:8081"), ""),
        (organization("a.b"), "lower case letters, digits and -"),
        (organization("a" * 41), "metadata.name must be at most 40 characters"),
        (organization(adminKeySecretRef={"name": "admin"}), "spec.adminKeySecretRef.key: Required value"),
    ],
)
def test_what_is_refused_says_what_to_write(body: Object, said: str, cleared: Client) -> None:
    try:
        cleared.create(body)
        found = ""
    except ApiError as error:
        found = str(error)
    assert said in found, found
    assert bool(found) == bool(said)


def test_an_api_keys_id_is_checked_and_makes_no_other_revision(admin: Client, namespace: str) -> None:
    upstream = {"apiKeySecretRef": {"name": "anthropic", "key": "api-key"}}
    with pytest.raises(ApiError, match="is not the id of an API key: write it as the Console shows it"):
        admin.create(deployment(upstream={**upstream, "apiKeyID": "sk-ant-api03-x"}), namespace)
    admin.create(deployment(upstream={**upstream, "apiKeyID": "apikey_01Rj2N8SVvo6"}), namespace)


def test_who_edits_a_namespace_neither_writes_nor_reads_them(
    cleared: Client,
    people: Callable[[str], Client],  # noqa: F811
) -> None:
    cleared.create(organization())
    for who in ("vera", "edda"):
        client = people(who)
        assert is_refused(lambda client=client: client.list("ClaudeOrganization"))
        assert is_refused(lambda client=client: client.create(organization("other")))
