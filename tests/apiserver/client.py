"""A plain synchronous client for tests: it shares nothing with the client that is tested."""

from __future__ import annotations

import http.client
import itertools
import json
import os
import ssl
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import urlencode

from claude_operator.kube import resources
from claude_operator.kube.resources import Resource

T = TypeVar("T")
Object = dict[str, Any]

NAMESPACES = Resource("", "v1", "namespaces", "Namespace", namespaced=False)
CRDS = Resource("apiextensions.k8s.io", "v1", "customresourcedefinitions", "CustomResourceDefinition", namespaced=False)
CLUSTER_ROLES = Resource("rbac.authorization.k8s.io", "v1", "clusterroles", "ClusterRole", namespaced=False)
CLUSTER_ROLE_BINDINGS = Resource(
    "rbac.authorization.k8s.io", "v1", "clusterrolebindings", "ClusterRoleBinding", namespaced=False
)
ADMISSION_POLICIES, ADMISSION_BINDINGS = (
    Resource("admissionregistration.k8s.io", "v1", plural, kind, namespaced=False)
    for plural, kind in (
        ("validatingadmissionpolicies", "ValidatingAdmissionPolicy"),
        ("validatingadmissionpolicybindings", "ValidatingAdmissionPolicyBinding"),
    )
)
_MORE = (NAMESPACES, CRDS, CLUSTER_ROLES, CLUSTER_ROLE_BINDINGS, ADMISSION_POLICIES, ADMISSION_BINDINGS)
KINDS = resources.BY_KIND | {one.kind: one for one in _MORE}
_numbers = itertools.count(1)


class ApiError(AssertionError):
    """The API server said no."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(f"{status}: {message}")
        self.status = status


class Client:
    """Verbs on objects as dicts, for any thread; connections are kept open until `close`."""

    def __init__(self, port: int, token: str, authority: Path, *, user: str = "", groups: tuple[str, ...] = ()) -> None:
        """`user` and `groups`: whom it stands for, where the token may impersonate."""
        self._port, self._token, self._user, self._groups = port, token, user, groups
        self._tls = ssl.create_default_context(cafile=str(authority))
        self._idle: list[http.client.HTTPSConnection] = []
        self._closed = False
        self.timeout = 120.0
        """Seconds for a call."""

    def close(self) -> None:
        """Close all connections."""
        self._closed = True
        while self._idle:
            self._idle.pop().close()

    def get(self, kind: str, name: str, namespace: str | None = None) -> Object | None:
        """The object, None where there is none."""
        try:
            return self.call("GET", KINDS[kind].path(namespace, name))
        except ApiError as error:
            if error.status == 404:
                return None
            raise

    def take(self, kind: str, name: str, namespace: str | None = None) -> Object:
        """The object, which must be there."""
        return self.call("GET", KINDS[kind].path(namespace, name))

    def list(self, kind: str, namespace: str | None = None, *, selector: str = "") -> list[Object]:
        """All objects of a kind."""
        query = {"labelSelector": selector} if selector else {}
        found: list[Object] = self.call("GET", KINDS[kind].path(namespace), query)["items"]
        return found

    def create(self, body: Object, namespace: str | None = None) -> Object:
        """Create it."""
        where = namespace or body["metadata"].get("namespace")
        return self.call("POST", KINDS[body["kind"]].path(where), body=body)

    def apply(self, body: Object, namespace: str | None = None, *, subresource: str | None = None) -> Object:
        """Apply it server-side, as kubectl does."""
        where = namespace or body["metadata"].get("namespace")
        path = KINDS[body["kind"]].path(where, body["metadata"]["name"], subresource)
        query = {"fieldManager": "test", "force": "true"}
        return self.call("PATCH", path, query, body, "application/apply-patch+yaml")

    def patch(
        self, kind: str, name: str, namespace: str | None, patch: Object, *, subresource: str | None = None
    ) -> Object:
        """Merge into it."""
        path = KINDS[kind].path(namespace, name, subresource)
        return self.call("PATCH", path, body=patch, content="application/merge-patch+json")

    def delete(self, kind: str, name: str, namespace: str | None = None, *, propagation: str = "Background") -> None:
        """Delete it; no matter where it is not there."""
        body = {"kind": "DeleteOptions", "apiVersion": "v1", "propagationPolicy": propagation}
        try:
            self.call("DELETE", KINDS[kind].path(namespace, name), body=body)
        except ApiError as error:
            if error.status != 404:
                raise

    def delete_all(self, kind: str, namespace: str) -> None:
        """Delete all of a kind in a namespace."""
        self.call("DELETE", KINDS[kind].path(namespace))

    def text(self, path: str) -> str:
        """What a path answers."""
        return self._send("GET", path, None, "").decode()

    def call(
        self,
        method: str,
        path: str,
        query: dict[str, str] | None = None,
        body: Object | None = None,
        content: str = "application/json",
    ) -> Object:
        """One call; raises `ApiError`."""
        target = path + (f"?{urlencode(query)}" if query else "")
        data = None if body is None else json.dumps(body, ensure_ascii=False).encode()
        found: Object = json.loads(self._send(method, target, data, content))
        return found

    def _send(self, method: str, target: str, data: bytes | None, content: str) -> bytes:
        headers = {"Authorization": f"Bearer {self._token}", "Accept": "application/json"}
        headers |= {"Content-Type": content} if data is not None else {}
        while True:
            try:
                connection, fresh = self._idle.pop(), False
            except IndexError:
                connection, fresh = http.client.HTTPSConnection("127.0.0.1", self._port, context=self._tls), True
                connection.timeout = self.timeout
            try:
                self._request(connection, method, target, data, headers)
                answer = connection.getresponse()
                text = answer.read()
                break
            except (http.client.HTTPException, OSError) as error:
                connection.close()
                if fresh and isinstance(error, http.client.HTTPException):
                    raise ConnectionError(f"the API server broke off: {error!r}") from error
                if fresh:
                    raise
        if self._closed:
            connection.close()
        else:
            self._idle.append(connection)
        if answer.status >= 400:
            raise ApiError(answer.status, text.decode(errors="replace")[:2000])
        return bytes(text)

    def _request(
        self, connection: http.client.HTTPSConnection, method: str, target: str, data: bytes | None, headers: Object
    ) -> None:
        connection.putrequest(method, target)
        for name, value in headers.items():
            connection.putheader(name, value)
        if self._user:
            connection.putheader("Impersonate-User", self._user)
        for group in self._groups:
            connection.putheader("Impersonate-Group", group)
        if data is not None:
            connection.putheader("Content-Length", str(len(data)))
        connection.endheaders(data)


def wait_for(fn: Callable[[], T], timeout: float = 60.0, message: str = "", every: float = 0.05) -> T:
    """Call `fn` until what it returns is true, and return that; `ApiError` and KeyError count as "not yet".

    It gives up after four times `timeout`, which is for an idle machine, and where more programs want to run than there
    are processors after as many times longer.
    """
    begun = time.monotonic()
    while True:
        last: object
        try:
            value = last = fn()
            if value:
                return value
        except (ApiError, KeyError, OSError) as error:
            last = error
        waited = time.monotonic() - begun
        if waited > 4 * timeout * _share():
            raise AssertionError(f"{message or 'it did not come true'}, after {waited:.0f} s; last: {last!r}")
        time.sleep(every)


def _share() -> float:
    """How many programs wanted each processor in the last minute; at least 1."""
    return max(os.getloadavg()[0] / (os.cpu_count() or 1), 1.0)


def at_rest(fn: Callable[[], T], seconds: float = 1.5, timeout: float = 60.0) -> T:
    """Wait until what `fn` returns has stayed the same for so many seconds, and return that."""
    seen: list[tuple[float, T]] = []  # since when it is that

    def rests() -> bool:
        now = fn()
        if not seen or seen[-1][1] != now:
            seen.append((time.monotonic(), now))
        return time.monotonic() - seen[-1][0] >= seconds

    wait_for(rests, timeout, "it does not come to rest")
    return seen[-1][1]


def refusal(admin: Client, body: Object, namespace: str) -> str:
    """What the API server says against an object, nothing where it takes it; it is not stored.

    Under a new name, so that one that is stored already is not what it says.
    """
    named = {**body, "metadata": {**body["metadata"], "name": f"{body['metadata']['name'][:20]}-{next(_numbers)}"}}
    try:
        admin.call("POST", KINDS[body["kind"]].path(namespace), {"dryRun": "All"}, named)
    except ApiError as error:
        return str(error)
    return ""


def is_refused(call: Callable[[], object]) -> bool:
    """Whether the API server forbids a call; any other refusal is an error of the test."""
    try:
        call()
    except ApiError as error:
        assert error.status == 403, error
        return True
    return False
