"""A FakeKube over HTTP on loopback: discovery, verbs and watches, as far as kopf and our client need them."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import yaml
from aiohttp import web
from tests.shell.fakes import FakeKube, selected

from claude_operator.kube import resources
from claude_operator.kube.client import APPLY, KubeError, Object
from claude_operator.kube.resources import Resource

ALL = [one for one in vars(resources).values() if isinstance(one, Resource)]
ALL += [  # kopf waits until these are served
    Resource("", "v1", "namespaces", "Namespace", namespaced=False),
    Resource("apiextensions.k8s.io", "v1", "customresourcedefinitions", "CustomResourceDefinition", namespaced=False),
]


class Served:
    """The server; `hidden` are the kinds that it does not serve, `watching` those that somebody watches."""

    def __init__(self, kube: FakeKube) -> None:
        self.kube, self.url = kube, ""
        self.hidden: set[str] = set()
        self.watching: list[str] = []
        self.requests: list[str] = []
        self._history: list[tuple[int, str, Object]] = []
        self._wake: set[asyncio.Event] = set()
        kube.changed = self._changed

    def _changed(self, type_: str, body: Object) -> None:
        self._history.append((int(body["metadata"]["resourceVersion"]), type_, body))
        for event in self._wake:
            event.set()

    async def serve(self, request: web.BaseRequest) -> web.StreamResponse:
        """Answer one request."""
        self.requests.append(f"{request.method} {request.path}")
        try:
            return await self._answer(request)
        except KubeError as error:
            body = {"kind": "Status", "apiVersion": "v1", "status": "Failure", "code": error.status}
            body |= {"reason": error.reason, "message": error.message}
            return web.json_response(body, status=error.status)

    async def _answer(self, request: web.BaseRequest) -> web.StreamResponse:
        parts = request.path.strip("/").split("/")
        parts = ["api", "", *parts[1:]] if parts[0] == "api" else parts
        if len(parts) <= 3:
            return web.json_response(self._discovery(parts))
        group, version, rest = parts[1], parts[2], parts[3:]
        namespace = None
        if rest[0] == "namespaces" and len(rest) > 2:
            namespace, rest = rest[1], rest[2:]
        resource = next((one for one in ALL if (one.group, one.version, one.plural) == (group, version, rest[0])), None)
        if resource is None or resource.kind in self.hidden:
            raise KubeError(404, "NotFound", "the server could not find the requested resource")
        body = await request.json() if request.can_read_body else {}
        if len(rest) == 1:
            return await self._collection(request, resource, namespace, body)
        return web.json_response(await self._object(request, resource, namespace, rest[1:], body))

    def _discovery(self, parts: list[str]) -> Object:
        groups: dict[str, set[str]] = {}
        for one in ALL:
            groups.setdefault(one.group, set()).add(one.version)
        if parts[:2] == ["api", ""] and len(parts) == 2:
            return {"kind": "APIVersions", "versions": ["v1"]}
        if parts == ["version"]:
            return {"major": "1", "minor": "34"}
        if len(parts) == 3:
            return {
                "kind": "APIResourceList",
                "groupVersion": "/".join(filter(None, parts[1:])),
                "resources": [
                    {
                        "name": one.plural,
                        "singularName": one.kind.lower(),
                        "kind": one.kind,
                        "namespaced": one.namespaced,
                        "verbs": ["get", "list", "watch", "create", "patch", "update", "delete"],
                    }
                    for one in ALL
                    if [one.group, one.version] == parts[1:] and one.kind not in self.hidden
                ],
            }
        found = []
        for group, versions in groups.items():
            known = [{"groupVersion": f"{group}/{version}", "version": version} for version in sorted(versions)]
            if group:
                found.append({"name": group, "versions": known, "preferredVersion": known[0]})
        return {"kind": "APIGroupList", "groups": found}

    async def _collection(
        self, request: web.BaseRequest, resource: Resource, namespace: str | None, body: Object
    ) -> web.StreamResponse:
        if request.method == "POST":
            return web.json_response(await self.kube.create(resource, body, namespace), status=201)
        selector = request.query.get("labelSelector")
        if request.query.get("watch"):
            return await self._watch(request, resource, namespace, selector)
        version = self.kube.version
        items = await self.kube.list(resource, namespace, label_selector=selector)
        kind = {"apiVersion": resource.api_version, "kind": f"{resource.kind}List"}
        return web.json_response({**kind, "metadata": {"resourceVersion": str(version)}, "items": items})

    async def _object(
        self, request: web.BaseRequest, resource: Resource, namespace: str | None, rest: list[str], body: Object
    ) -> Object:
        name = rest[0]
        if request.method == "GET":
            found = await self.kube.get(resource, name, namespace)
            if found is None:
                raise KubeError(404, "NotFound", f"{resource.plural} {name} not found")
            return found
        if request.method == "PUT":
            return await self.kube.replace(resource, body)
        if request.method == "DELETE":
            if not await self.kube.delete(resource, name, namespace):
                raise KubeError(404, "NotFound", f"{resource.plural} {name} not found")
            return {"kind": "Status", "status": "Success"}
        if request.content_type == APPLY:
            manager = request.query["fieldManager"]
            sub = rest[1] if len(rest) > 1 else None
            return await self.kube.apply(resource, body, field_manager=manager, subresource=sub)
        if rest[1:] != ["status"]:
            return await self.kube.merge(resource, body)
        return await self.kube.patch_status(resource, name, namespace, body["status"])

    async def _watch(
        self, request: web.BaseRequest, resource: Resource, namespace: str | None, selector: str | None
    ) -> web.StreamResponse:
        response, event = web.StreamResponse(), asyncio.Event()
        await response.prepare(request)
        told, self._wake = int(request.query.get("resourceVersion") or 0), self._wake | {event}
        self.watching.append(resource.kind)
        try:
            while True:
                event.clear()
                for version, type_, body in list(self._history):
                    here = body["kind"] == resource.kind and namespace in (None, body["metadata"].get("namespace"))
                    if version > told and here and selected(body, selector):
                        await response.write(json.dumps({"type": type_, "object": body}).encode() + b"\n")
                    told = max(told, version)
                await event.wait()
        finally:
            self._wake = self._wake - {event}


@asynccontextmanager
async def served(kube: FakeKube, folder: Path) -> AsyncIterator[Served]:
    """One that listens, and a kubeconfig in `folder` that leads to it."""
    server = Served(kube)
    runner = web.ServerRunner(web.Server(server.serve, access_log=None), shutdown_timeout=0.05)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        server.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
        config: dict[str, Any] = {
            "apiVersion": "v1",
            "kind": "Config",
            "current-context": "c",
            "contexts": [{"name": "c", "context": {"cluster": "c", "user": "u"}}],
            "clusters": [{"name": "c", "cluster": {"server": server.url}}],
            "users": [{"name": "u", "user": {"token": "t"}}],
        }
        (folder / "kubeconfig").write_text(yaml.safe_dump(config))
        yield server
    finally:
        await runner.cleanup()
