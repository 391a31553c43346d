"""Whether a key, an address and a database can be what they are to be, told by their form before any is used."""

from __future__ import annotations

from claude_operator.api.organisation import OrganizationReason
from claude_operator.core.organisation.polling import on_aws
from claude_operator.core.spec.hosts import host_of

__all__ = ["Fault", "key_fault", "platform_fault", "store_fault"]

Fault = tuple[OrganizationReason, str]
"""Why a key or an address cannot work, and what to use instead."""

_CREATE = "create an admin key (sk-ant-admin...) in the Console under Settings, Admin keys, and put it into that Secret"


def key_fault(key: str) -> Fault | None:
    """What is wrong with a key; None where it has the form of an admin key."""
    if key.startswith("sk-ant-admin"):
        return None
    if key.startswith("sk-ant-"):
        message = "the Secret has the API key of a workspace, which may not read the usage of the organisation"
        return OrganizationReason.WORKSPACE_KEY, f"{message}: {_CREATE}"
    return OrganizationReason.NOT_AN_ADMIN_KEY, f"what is in the Secret is not an admin key: {_CREATE}"


def platform_fault(base_url: str) -> Fault | None:
    """What is wrong with an address; None where there may be an Admin API."""
    host = host_of(base_url)
    if host is None or not on_aws(host.name):
        return None
    message = (
        f"{host} is Claude on AWS, which has no usage and cost API: its usage is in AWS Cost Explorer. Delete this"
        " ClaudeOrganization; status.cost of each ClaudeDeployment has what its gateways measured"
    )
    return OrganizationReason.PLATFORM_ON_AWS, message


def store_fault(url: str) -> Fault | None:
    """What is wrong with a database; None where it has the form of one. Other Secrets are none of the history's."""
    if url.startswith(("postgresql://", "postgres://")):
        return None
    message = "spec.history.postgresURLSecretRef: what is in the Secret is not the URL of a PostgreSQL database"
    return OrganizationReason.NOT_A_DATABASE, f"{message}: write postgresql://USER:PASSWORD@HOST/DATABASE"
