"""CustomResourceDefinitions as they were before: the API server writes their status beside a test."""

from __future__ import annotations

import json
from collections.abc import Callable

from tests.apiserver.client import Client, Object, wait_for

_API = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions"


def change(admin: Client, plural: str, how: Callable[[Object], object]) -> Object:
    """Change the schema of a definition; returns that. Where the API server was quicker, `how` comes again."""
    path = f"{_API}/{plural}.claudeops.dev"

    def changed() -> Object:
        found = admin.call("GET", path)
        how(found["spec"]["versions"][0]["schema"]["openAPIV3Schema"])
        return admin.call("PUT", path, body=found)

    return wait_for(changed, 30, f"the definition of {plural} cannot be changed")


def leave_out(admin: Client, plural: str, *words: str) -> None:
    """Take these words, such as `maxItems`, out of the schema of a definition."""

    def how(schema: Object) -> None:
        drop = lambda node: {key: one for key, one in node.items() if key not in words}  # noqa: E731
        less = json.loads(json.dumps(schema), object_hook=drop)
        schema.clear()
        schema.update(less)

    change(admin, plural, how)
