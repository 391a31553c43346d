"""Verbs on the Kubernetes API in plain dicts, over the official asynchronous client's connection and credentials.

The generated, typed API costs milliseconds of CPU a call in model validation; the hot loop stays on dicts.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Awaitable, Callable, Mapping
from types import TracebackType
from typing import Any, Self
from urllib.parse import urlencode

import aiohttp
from kubernetes.aio import client as aio
from kubernetes.aio import config as aio_config

from claude_operator.kube.errors import KubeError, parse, unreachable
from claude_operator.kube.resources import Resource

__all__ = ["APPLY", "MERGE", "Kube", "KubeError", "Object"]

APPLY = "application/apply-patch+yaml"
MERGE = "application/merge-patch+json"
Object = dict[str, Any]
Objects = list[Object]
Reload = Callable[[], Awaitable[None]]

_CHUNK = 500  # objects a page of a list, as kubectl asks for
_BUSY_WAIT = 1.0  # seconds before the second try where 429 says nothing


class Kube:
    """One connection pool to one API server. `timeout`: seconds for a whole call, from connecting to the last byte."""

    def __init__(
        self, configuration: aio.Configuration, *, timeout: float = 10.0, reload: Reload | None = None
    ) -> None:
        # The proxies, cookies and ~/.netrc of the environment are none of the API server's business;
        # a kubeconfig's proxy-url still counts.
        session = {"trust_env": False, "cookie_jar": aiohttp.DummyCookieJar()}
        configuration.client_session_kwargs = session | (configuration.client_session_kwargs or {})
        self._api: Any = aio.ApiClient(configuration)  # its connection layer has no annotations
        self._configuration: Any = configuration
        self._host: str = configuration.host.rstrip("/")
        self._timeout = timeout
        self._reload = reload

    @classmethod
    async def from_environment(cls, *, timeout: float = 10.0) -> Self:  # noqa: ASYNC109  # of each later call
        """In a pod: its service account. Elsewhere: KUBECONFIG, else ~/.kube/config. Neither there: `KubeError`."""
        configuration = aio.Configuration()
        loader: Any = aio_config  # has no annotations

        async def service_account() -> None:
            loader.load_incluster_config(client_configuration=configuration)

        async def kubeconfig() -> None:
            path = os.environ.get("KUBECONFIG") or None
            await loader.load_kube_config(config_file=path, client_configuration=configuration)

        load = service_account if os.environ.get("KUBERNETES_SERVICE_HOST") else kubeconfig
        try:
            await load()
        except (aio_config.ConfigException, OSError) as error:
            message = f"no way to the Kubernetes API: {error} Run in a pod with a service account, or set KUBECONFIG."
            raise KubeError(0, "NoConfiguration", message) from error
        return cls(configuration, timeout=timeout, reload=load)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._api.close()

    async def get(self, resource: Resource, name: str, namespace: str | None = None) -> Object | None:
        """The object, or None when there is none."""
        try:
            return await self._call("GET", resource.path(namespace, name))
        except KubeError as error:
            if error.not_found:
                return None
            raise

    async def list(
        self, resource: Resource, namespace: str | None = None, *, label_selector: str | None = None
    ) -> Objects:
        """All objects, in one namespace or all; each with its kind and apiVersion."""
        return (await self.list_with_version(resource, namespace, label_selector=label_selector))[0]

    async def list_with_version(
        self, resource: Resource, namespace: str | None = None, *, label_selector: str | None = None
    ) -> tuple[Objects, str]:
        """As `list`, and the resourceVersion that a watch can go on from."""
        query = {"labelSelector": label_selector} if label_selector else {}
        path = resource.path(namespace)
        try:
            return await self._pages(resource, path, query | {"limit": str(_CHUNK)})
        except KubeError as error:
            if not error.gone:
                raise
        return await self._pages(resource, path, query)  # the server forgot the snapshot between two pages: all at once

    async def apply(
        self, resource: Resource, body: Object, *, field_manager: str, subresource: str | None = None
    ) -> Object:
        """Server-side apply: we own the fields in `body` and no others. With metadata.resourceVersion it is fenced."""
        metadata = body["metadata"]
        path = resource.path(metadata.get("namespace"), metadata["name"], subresource)
        query = {"fieldManager": field_manager, "force": "true"}
        return await self._call("PATCH", path, query=query, body=body, content_type=APPLY)

    async def create(self, resource: Resource, body: Object, namespace: str | None = None) -> Object:
        """Create; raises `KubeError` with `conflict` when the name is taken."""
        return await self._call("POST", resource.path(namespace or body["metadata"].get("namespace")), body=body)

    async def replace(self, resource: Resource, body: Object) -> Object:
        """Update the whole object; its resourceVersion must be current."""
        metadata = body["metadata"]
        return await self._call("PUT", resource.path(metadata.get("namespace"), metadata["name"]), body=body)

    async def patch_status(
        self, resource: Resource, name: str, namespace: str | None, status: Mapping[str, Any]
    ) -> Object:
        """Merge into an object's status."""
        path = resource.path(namespace, name, "status")
        return await self._call("PATCH", path, body={"status": dict(status)}, content_type=MERGE)

    async def merge(self, resource: Resource, body: Object) -> Object:
        """Merge into an object (a JSON merge patch: lists whole, null takes out); fenced as `apply` is."""
        metadata = body["metadata"]
        path = resource.path(metadata.get("namespace"), metadata["name"])
        return await self._call("PATCH", path, body=body, content_type=MERGE)

    async def delete(
        self, resource: Resource, name: str, namespace: str | None = None, *, propagation: str = "Background"
    ) -> bool:
        """Delete; False when it was not there."""
        body = {"apiVersion": "v1", "kind": "DeleteOptions", "propagationPolicy": propagation}
        try:
            await self._call("DELETE", resource.path(namespace, name), body=body)
        except KubeError as error:
            if error.not_found:
                return False
            raise
        return True

    async def _pages(self, resource: Resource, path: str, query: Mapping[str, str]) -> tuple[Objects, str]:
        kind = {"apiVersion": resource.api_version, "kind": resource.kind}
        objects: Objects = []
        following: dict[str, str] = {}
        while True:
            answer = await self._call("GET", path, query={**query, **following})
            objects += [kind | item for item in answer.get("items") or []]
            metadata = answer.get("metadata") or {}
            if not metadata.get("continue"):
                return objects, str(metadata.get("resourceVersion", ""))
            following = {"continue": metadata["continue"]}

    async def _call(
        self,
        method: str,
        path: str,
        *,
        query: Mapping[str, str] | None = None,
        body: Object | None = None,
        content_type: str = "application/json",
    ) -> Object:
        """One call; a second one where the credentials were stale, or where the server was busy and it does no harm."""
        target = path + (f"?{urlencode(query)}" if query else "")
        try:
            return await self._once(method, target, body, content_type)
        except KubeError as error:
            if error.status == 401 and self._reload is not None:
                await self._renew_credentials(self._reload)
            elif error.status == 429 and method != "POST" and (error.retry_after or 0) < self._timeout:
                await asyncio.sleep(_BUSY_WAIT if error.retry_after is None else error.retry_after)
            else:
                raise
        return await self._once(method, target, body, content_type)

    async def _once(self, method: str, target: str, body: Object | None, content_type: str) -> Object:
        headers = {"Accept": "application/json", "Content-Type": content_type, "User-Agent": "claude-operator"}
        headers |= await self._credentials()
        timeout = aiohttp.ClientTimeout(total=self._timeout)
        try:
            response = await self._api.rest_client.request(
                method, self._host + target, headers=headers, body=body, _request_timeout=timeout
            )
            data: bytes = await response.read()
        except (OSError, TimeoutError, aiohttp.ClientError) as error:
            raise unreachable(self._host, error) from error
        return parse(
            data,
            call=f"{method} {target.partition('?')[0]}",
            host=self._host,
            status=response.status,
            phrase=response.reason or "",
            headers=response.headers,
        )

    async def _credentials(self) -> dict[str, str]:
        """The headers that say who we are. In a pod the token's file is read again each minute: it rotates."""
        try:
            settings = await self._configuration.auth_settings()
        except (aio_config.ConfigException, OSError) as error:
            raise KubeError(0, "NoCredentials", f"the service account's token cannot be read: {error}") from error
        headers = {setting["key"]: setting["value"].strip() for setting in settings.values() if setting["value"]}
        if not headers and self._configuration.username:
            headers["authorization"] = self._configuration.get_basic_auth_token()
        return headers

    @staticmethod
    async def _renew_credentials(reload: Reload) -> None:
        try:
            await reload()
        except (aio_config.ConfigException, OSError) as error:
            raise KubeError(0, "NoCredentials", f"the credentials cannot be read again: {error}") from error
