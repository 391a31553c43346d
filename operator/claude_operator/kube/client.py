"""Verbs on the Kubernetes API in plain dicts, over the official asynchronous client's connection and credentials.

The generated, typed API costs milliseconds of CPU a call in model validation; the hot loop stays on dicts.
"""

from __future__ import annotations

import asyncio
import contextlib
import io
import os
import random
from collections.abc import Awaitable, Callable, Mapping
from contextvars import ContextVar
from types import TracebackType
from typing import Any, Self
from urllib.parse import urlencode

import aiohttp
import yaml
from kubernetes.aio import client as aio
from kubernetes.aio import config as aio_config

from claude_operator.api.faults import yaml_fault
from claude_operator.kube.errors import KubeError, parse, unreachable
from claude_operator.kube.resources import Resource
from claude_operator.kube.wire import encode

__all__ = ["APPLY", "MERGE", "URGENT", "Kube", "KubeError", "Object"]

URGENT: ContextVar[bool] = ContextVar("urgent", default=False)
"""Set for work whose calls do not wait for a free connection: live canaries among very many other deployments."""

APPLY = "application/apply-patch+yaml"
MERGE = "application/merge-patch+json"
_METADATA = "application/json;as=PartialObjectMetadata;g=meta.k8s.io;v=v1"
Object = dict[str, Any]
Objects = list[Object]
Reload = Callable[[], Awaitable[None]]

_CHUNK = 500  # objects a page of a list, as kubectl asks for
_BUSY_WAIT = 1.0  # seconds before the next try where 429 says nothing
_TRIES = 5  # of a call that failed
_FIRST_WAIT = 0.1  # seconds before the second try, twice as many before each further one, less up to half at random
_TRANSIENT = (0, 500, 502, 503, 504)  # no answer, or a fault of the server's own
_CONNECTIONS = 32  # calls at a time; each connection costs the API server and us a TLS handshake
_LARGE = 2**20  # bytes of a body from which on it is sent in pieces
_KEEPALIVE = 75.0  # seconds that an idle connection is kept; the API server closes it after 90 or more


class Kube:
    """One connection pool to one API server. `timeout`: seconds for a whole call with all its tries.

    It retries calls that are safe to repeat: reads, deletions, applies, and writes that are fenced or named. Only the
    last answer is returned, so a create may raise a conflict with an object that its own earlier try has made.
    `permit` is called before each try of a write; it raises when nothing may be written any more.
    """

    def __init__(
        self,
        configuration: aio.Configuration,
        *,
        timeout: float = 10.0,
        tries: int = _TRIES,
        reload: Reload | None = None,
        permit: Callable[[], None] = lambda: None,
        on_retry: Callable[[], None] = lambda: None,
    ) -> None:
        self._configuration: Any = configuration
        self._rest: Any = aio.ApiClient(configuration).rest_client  # TLS and proxy; it has no annotations
        self._host: str = configuration.host.rstrip("/")
        self._timeout, self._tries, self._reload = timeout, tries, reload
        self._permit, self._on_retry = permit, on_retry
        self._free_connections = asyncio.Semaphore(
            _CONNECTIONS
        )  # waiting for a connection does not count as a call's time
        self._session: aiohttp.ClientSession | None = None

    @classmethod
    async def from_environment(cls, **options: Any) -> Self:
        """In a pod: its service account. Elsewhere: KUBECONFIG, else ~/.kube/config. Neither there: `KubeError`.

        `options` are those of the class.
        """
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
        except (aio_config.ConfigException, OSError, ValueError, yaml.YAMLError) as error:
            why = f"the kubeconfig {yaml_fault(error)}" if isinstance(error, yaml.YAMLError) else error
            message = (
                f"the Kubernetes API is not configured: {why}. Run in a pod with a service account, or set KUBECONFIG."
            )
            raise KubeError(0, "NoConfiguration", message) from error
        return cls(configuration, reload=load, **options)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._session is not None:
            await self._session.close()

    async def get(self, resource: Resource, name: str, namespace: str | None = None) -> Object | None:
        """The object, or None when there is none."""
        try:
            return await self._call("GET", resource.path(namespace, name))
        except KubeError as error:
            if error.not_found:
                return None
            raise

    async def version_of(self, resource: Resource, name: str, namespace: str | None = None) -> str | None:
        """The object's resourceVersion without its content, or None when there is none."""
        try:
            found = await self._call("GET", resource.path(namespace, name), accept=_METADATA)
        except KubeError as error:
            if error.not_found:
                return None
            raise
        return str(found["metadata"]["resourceVersion"])

    async def document(self, path: str) -> Object:
        """The document at a path that is not an object's, such as the schemas; `path` may have a query."""
        return await self._call("GET", path)

    async def list(
        self,
        resource: Resource,
        namespace: str | None = None,
        *,
        label_selector: str | None = None,
    ) -> Objects:
        """All objects, in one namespace or all; each with its kind and apiVersion."""
        return (await self.list_with_version(resource, namespace, label_selector=label_selector))[0]

    async def list_with_version(
        self,
        resource: Resource,
        namespace: str | None = None,
        *,
        label_selector: str | None = None,
        page: int = _CHUNK,
    ) -> tuple[Objects, str]:
        """As `list`, and the resourceVersion to start a watch from."""
        query = {"labelSelector": label_selector} if label_selector else {}
        path = resource.path(namespace)
        try:
            return await self._pages(resource, path, query | {"limit": str(page)})
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
        self,
        resource: Resource,
        name: str,
        namespace: str | None = None,
        *,
        propagation: str = "Background",
        uid: str | None = None,
    ) -> bool:
        """Delete; False when it was not there. With `uid` only that object: raises `KubeError` with `conflict`."""
        body: Object = {"apiVersion": "v1", "kind": "DeleteOptions", "propagationPolicy": propagation}
        if uid is not None:
            body["preconditions"] = {"uid": uid}
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
        accept: str = "application/json",
    ) -> Object:
        """One call; tried again where the credentials were stale, the server was busy, or it failed."""
        target = path + (f"?{urlencode(query)}" if query else "")
        data = None if body is None else encode(body)
        loop, fresh, attempt = asyncio.get_running_loop(), False, 1
        async with contextlib.nullcontext() if URGENT.get() else self._free_connections:
            end = loop.time() + self._timeout
            while True:
                if method != "GET":
                    self._permit()
                try:
                    return await self._try_once(method, target, data, (content_type, accept), end - loop.time())
                except KubeError as error:
                    if error.status == 401 and self._reload is not None and not fresh:
                        await self._renew_credentials(self._reload)
                        fresh = True
                        continue
                    wait = _pause(error, attempt)
                    if wait is None or attempt == self._tries or loop.time() + wait >= end:
                        raise
                attempt += 1
                self._on_retry()
                await asyncio.sleep(wait)

    async def _try_once(
        self, method: str, target: str, data: bytes | None, types: tuple[str, str], seconds: float
    ) -> Object:
        content_type, accept = types
        headers = {"Accept": accept, "Content-Type": content_type, "User-Agent": "claude-operator"}
        headers |= await self._credentials()
        # A connection that is silent for half the time is given up, so that another can be tried.
        timeout = aiohttp.ClientTimeout(total=seconds, sock_connect=self._timeout / 2, sock_read=self._timeout / 2)
        options = {"proxy": self._rest.proxy, "proxy_headers": self._rest.proxy_headers}
        options |= {"server_hostname": self._configuration.tls_server_name}
        try:
            async with self._connected().request(
                method,
                self._host + target,
                headers=headers,
                data=data if data is None or len(data) < _LARGE else io.BytesIO(data),
                timeout=timeout,
                **{name: value for name, value in options.items() if value},
            ) as response:
                answer = await response.read()
        except (OSError, TimeoutError, aiohttp.ClientError) as error:
            raise unreachable(self._host, error) from error
        return parse(
            answer,
            call=f"{method} {target.partition('?')[0]}",
            host=self._host,
            status=response.status,
            phrase=response.reason or "",
            headers=response.headers,
        )

    def _connected(self) -> aiohttp.ClientSession:
        """The session. It ignores the environment's proxies and ~/.netrc; a kubeconfig's proxy-url counts."""
        if self._session is None:
            connector = aiohttp.TCPConnector(ssl=self._rest.ssl_context, limit=0, keepalive_timeout=_KEEPALIVE)
            self._session = aiohttp.ClientSession(
                connector=connector,
                cookie_jar=aiohttp.DummyCookieJar(),
                trust_env=False,
                read_bufsize=2**18,
                skip_auto_headers=("User-Agent",),
            )
        return self._session

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
        except (aio_config.ConfigException, OSError, ValueError, yaml.YAMLError) as error:
            raise KubeError(0, "NoCredentials", f"the credentials cannot be read again: {error}") from error


def _pause(error: KubeError, attempt: int) -> float | None:
    """Seconds until the next try, None where a retry would fail too."""
    if error.status == 429:
        return _BUSY_WAIT if error.retry_after is None else error.retry_after
    if error.status not in _TRANSIENT or error.reason in ("NoCredentials", "NoConfiguration"):
        return None
    backoff: float = _FIRST_WAIT * 2 ** (attempt - 1) * random.uniform(0.5, 1.0)
    return max(backoff, error.retry_after or 0.0)
