"""What the shell's tests run on: a loop whose time costs nothing, and an API server in memory."""

from __future__ import annotations

import asyncio
import copy
import datetime as dt
import itertools
import selectors
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any, TypeVar

import orjson

from claude_operator.kube.client import KubeError, Object
from claude_operator.kube.resources import Resource

T = TypeVar("T")
_SOME_TIME = dt.datetime(2026, 11, 24, 10, 0, tzinfo=dt.UTC)


class VirtualLoop(asyncio.SelectorEventLoop):
    """An event loop that jumps to the next timer instead of waiting for it."""

    def __init__(self) -> None:
        self.now = 1000.0
        super().__init__(_Jumping(self))

    def time(self) -> float:
        return self.now


class _Jumping(selectors.SelectSelector):
    def __init__(self, loop: VirtualLoop) -> None:
        super().__init__()
        self._loop = loop

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        events = super().select(0)
        if not events:
            if timeout is None:
                raise RuntimeError("everybody waits, and nothing is going to happen")
            self._loop.now += max(timeout, 0.0)
        return events


def run(main: Coroutine[Any, Any, T]) -> T:
    """Run on a VirtualLoop."""
    with asyncio.Runner(loop_factory=VirtualLoop) as runner:
        return runner.run(main)


def now() -> float:
    """Seconds on the running loop."""
    return asyncio.get_running_loop().time()


class SetClock:
    """A Clock that stands still where it is put. `skew`: seconds by which people have set the time of day ahead."""

    def __init__(self, moment: dt.datetime) -> None:
        self.moment, self.skew = moment, 0.0

    def now(self) -> dt.datetime:
        return self.moment + dt.timedelta(seconds=self.skew)

    def monotonic(self) -> float:
        return self.moment.timestamp()


class Store:
    """Objects with the API server's rules on names and resourceVersions."""

    def __init__(self) -> None:
        self.objects: dict[tuple[str, str, str], Object] = {}
        self.version = 0

    def get(self, resource: Resource, name: str, namespace: str | None = None) -> Object | None:
        return copy.deepcopy(self.objects.get((resource.kind, namespace or "", name)))

    def create(self, resource: Resource, body: Object, namespace: str | None = None) -> Object:
        key = self._key(resource, body, namespace)
        if key in self.objects:
            raise KubeError(409, "AlreadyExists", f"{key} already exists")
        return self._put(key, body)

    def replace(self, resource: Resource, body: Object) -> Object:
        key = self._key(resource, body)
        if key not in self.objects:
            raise KubeError(404, "NotFound", f"{key} not found")
        if body["metadata"].get("resourceVersion") != self.objects[key]["metadata"]["resourceVersion"]:
            raise KubeError(409, "Conflict", f"{key} has been modified")
        return self._put(key, body)

    def _put(self, key: tuple[str, str, str], body: Object) -> Object:
        self.version += 1
        self.objects[key] = copy.deepcopy(body)
        self.objects[key]["metadata"]["resourceVersion"] = str(self.version)
        return copy.deepcopy(self.objects[key])

    @staticmethod
    def _key(resource: Resource, body: Object, namespace: str | None = None) -> tuple[str, str, str]:
        metadata = body["metadata"]
        return resource.kind, namespace or metadata.get("namespace", ""), metadata["name"]


class Client:
    """One client of a Store, over a network of its own.

    `delay()` gives the seconds of each way. A request that its sender gave up is carried out all the same.
    """

    def __init__(self, store: Store, delay: Callable[[], float] = lambda: 0.0) -> None:
        self.store = store
        self.delay = delay
        self.cut = False  # no answer at all
        self.failing: KubeError | None = None
        self.calls: list[str] = []
        self._late: set[asyncio.Future[Any]] = set()

    async def get(self, resource: Resource, name: str, namespace: str | None = None) -> Object | None:
        return await self._over("get", lambda: self.store.get(resource, name, namespace))

    async def create(self, resource: Resource, body: Object, namespace: str | None = None) -> Object:
        return await self._over("create", lambda: self.store.create(resource, body, namespace))

    async def replace(self, resource: Resource, body: Object) -> Object:
        return await self._over("replace", lambda: self.store.replace(resource, body))

    async def _over(self, verb: str, do: Callable[[], T]) -> T:
        self.calls.append(verb)
        if self.failing is not None:
            raise self.failing
        if self.cut:
            await asyncio.sleep(1e6)
        await_answer: Awaitable[T] = asyncio.ensure_future(self._serve(do))
        self._late.add(await_answer)
        await_answer.add_done_callback(self._done)
        answer = await asyncio.shield(await_answer)
        await asyncio.sleep(self.delay())
        return answer

    async def _serve(self, do: Callable[[], T]) -> T:
        await asyncio.sleep(self.delay())
        return do()

    def _done(self, future: asyncio.Future[Any]) -> None:
        self._late.discard(future)
        if not future.cancelled():
            future.exception()  # its sender may be gone


class FakeKube:
    """The verbs of `Kube` on objects in memory, with the API server's rules that the operator leans on.

    Server-side apply keeps who owns which field and takes away what its manager no longer names; resourceVersions
    fence; `generation` moves with the spec; `status` is a thing of its own. `before(verb, kind, name)` is called
    ahead of each verb and may write as somebody else, or raise. `writes` tells what was changed, in order.
    """

    def __init__(self) -> None:
        self.objects: dict[tuple[str, str, str], Object] = {}
        self.owned: dict[tuple[str, str, str], dict[tuple[str, str], set[Path]]] = {}
        self.calls: list[tuple[str, str, str]] = []
        self.writes: list[tuple[str, str, str]] = []
        self.before: Callable[[str, str, str], None] = lambda verb, kind, name: None
        self.time: Callable[[], dt.datetime] = lambda: _SOME_TIME
        self.delay: Callable[[], float] = lambda: 0.0
        self.changed: Callable[[str, Object], None] = lambda type_, body: None
        self.version = 0
        self._uids = 0

    def __deepcopy__(self, memo: dict[int, Any]) -> FakeKube:
        """Another one of the same content. Stored objects are never changed in place, so both have them."""
        other = memo[id(self)] = copy.copy(self)
        other.objects, other.calls, other.writes = dict(self.objects), [], []
        other.owned = {key: dict(managers) for key, managers in self.owned.items()}
        other.before, other.changed, other.time = copy.deepcopy((self.before, self.changed, self.time), memo)
        return other

    # ------------------------------------------------------------------------------------------- by others

    def put(self, body: Object) -> Object:
        """Write an object as somebody else, whole."""
        body = copied(body)
        key = _key_of(body)
        old = self.objects.get(key)
        body["metadata"] = {**(old or {}).get("metadata", {}), **body["metadata"]}
        if old is None:
            self._born(body)
        elif old.get("spec") != body.get("spec"):
            body["metadata"]["generation"] += 1
            self._taken_over(key, old, body, by=("put", ""))
        return self._store(key, body)

    def take(self, kind: str, name: str, namespace: str = "demo") -> Object:
        """An object as it is stored; KeyError where there is none."""
        return copied(self.objects[kind, namespace, name])

    def drop(self, kind: str, name: str, namespace: str = "demo") -> None:
        """Delete an object as somebody else."""
        self._gone((kind, namespace, name))

    def names(self, kind: str) -> list[str]:
        """Names of all objects of a kind."""
        return sorted(name for kind_, _, name in self.objects if kind_ == kind)

    # ---------------------------------------------------------------------------------------------- verbs

    async def get(self, resource: Resource, name: str, namespace: str | None = None) -> Object | None:
        await self._called("get", resource, name)
        return copied(self.objects.get((resource.kind, namespace or "", name)))

    async def version_of(self, resource: Resource, name: str, namespace: str | None = None) -> str | None:
        await self._called("version", resource, name)
        found = self.objects.get((resource.kind, namespace or "", name))
        return None if found is None else str(found["metadata"]["resourceVersion"])

    async def list(
        self, resource: Resource, namespace: str | None = None, *, label_selector: str | None = None
    ) -> list[Object]:
        await self._called("list", resource, "")
        found = [
            body
            for (kind, where, _), body in self.objects.items()
            if kind == resource.kind and (namespace is None or where == namespace) and selected(body, label_selector)
        ]
        return copied(sorted(found, key=_key_of))

    async def list_with_version(
        self, resource: Resource, namespace: str | None = None, *, label_selector: str | None = None, page: int = 500
    ) -> tuple[list[Object], str]:
        return await self.list(resource, namespace, label_selector=label_selector), str(self.version)

    async def create(self, resource: Resource, body: Object, namespace: str | None = None) -> Object:
        await self._called("create", resource, body["metadata"]["name"])
        body = copied(body)
        if resource.namespaced:
            body["metadata"].setdefault("namespace", namespace)
        key = _key_of(body)
        if key in self.objects:
            raise KubeError(409, "AlreadyExists", f"{key} already exists")
        body.pop("status", None)
        self._born(body)
        self.owned[key] = {("create", ""): {path for path, _ in leaves(body)}}
        self.writes.append(("create", resource.kind, key[2]))
        return self._store(key, body)

    async def replace(self, resource: Resource, body: Object) -> Object:
        await self._called("replace", resource, body["metadata"]["name"])
        key = _key_of(body)
        self._fence(key, body)
        self.writes.append(("replace", resource.kind, key[2]))
        return self.put(body)

    async def apply(
        self, resource: Resource, body: Object, *, field_manager: str, subresource: str | None = None
    ) -> Object:
        await self._called(f"apply {subresource}" if subresource else "apply", resource, body["metadata"]["name"])
        key, body = _key_of(body), copied(body)
        if subresource and key not in self.objects:
            raise KubeError(404, "NotFound", f"{key} not found")
        if "resourceVersion" in body["metadata"]:
            self._fence(key, body)
        given = {"status": body.get("status") or {}} if subresource else _applied(body)
        paths = dict(leaves(given))
        managers = self.owned.setdefault(key, {})
        mine = managers.get((field_manager, subresource or ""), set())
        others = set().union(*(owned for who, owned in managers.items() if who != (field_manager, subresource or "")))
        managers[field_manager, subresource or ""] = set(paths)
        old = self.objects.get(key)
        new = copied(old) if old else {"apiVersion": body["apiVersion"], "kind": body["kind"], "metadata": {}}
        for path in mine - set(paths) - others:
            _remove(new, path)
        for path, value in paths.items():
            _set(new, path, value)
        if old is None:
            self._born(new)
        elif old.get("spec") != new.get("spec"):
            new["metadata"]["generation"] += 1
            self._taken_over(key, old, new, by=(field_manager, subresource or ""))
        _show_owners(new, managers)
        if new == old:
            return copied(old)
        self.writes.append((f"apply {subresource}" if subresource else "apply", resource.kind, key[2]))
        return self._store(key, new)

    async def patch_status(self, resource: Resource, name: str, namespace: str | None, status: Any) -> Object:
        await self._called("patch status", resource, name)
        key = (resource.kind, namespace or "", name)
        if key not in self.objects:
            raise KubeError(404, "NotFound", f"{key} not found")
        new = copied(self.objects[key])
        new["status"] = merged(new.get("status") or {}, status)
        self._own(key, ("patch", "status"), leaves({"status": dict(status)}))
        self.writes.append(("patch status", resource.kind, name))
        return self._store(key, new)

    async def merge(self, resource: Resource, body: Object) -> Object:
        await self._called("merge", resource, body["metadata"]["name"])
        key = _key_of({**body, "kind": resource.kind})
        if key not in self.objects:
            raise KubeError(404, "NotFound", f"{key} not found")
        if "resourceVersion" in body["metadata"]:
            self._fence(key, body)
        old = copied(self.objects[key])
        patch = _applied(body)
        new = merged(old, patch)
        self._own(key, ("merge", ""), leaves(patch))
        if new == old:
            return old
        if old.get("spec") != new.get("spec"):
            new["metadata"]["generation"] += 1
            self._taken_over(key, old, new, by=("merge", ""))
        self.writes.append(("merge", resource.kind, key[2]))
        return self._store(key, new)

    async def delete(
        self,
        resource: Resource,
        name: str,
        namespace: str | None = None,
        *,
        propagation: str = "Background",
        uid: str | None = None,
    ) -> bool:
        await self._called("delete", resource, name)
        key = (resource.kind, namespace or "", name)
        if key not in self.objects:
            return False
        if uid is not None and self.objects[key]["metadata"]["uid"] != uid:
            raise KubeError(409, "Conflict", f"{key} has another uid")
        self.writes.append(("delete", resource.kind, name))
        self._gone(key)
        return True

    # ------------------------------------------------------------------------------------------------ rules

    async def _called(self, verb: str, resource: Resource, name: str) -> None:
        await asyncio.sleep(self.delay())  # as over a network: others get their turn
        self.calls.append((verb, resource.kind, name))
        self.before(verb, resource.kind, name)

    def _own(self, key: tuple[str, str, str], manager: tuple[str, str], fields: list[tuple[Path, Any]]) -> None:
        managers = self.owned.setdefault(key, {})
        managers[manager] = managers.get(manager, set()) | {path for path, _ in fields}

    def _fence(self, key: tuple[str, str, str], body: Object) -> None:
        old = self.objects.get(key)
        if old is None or old["metadata"]["resourceVersion"] != body["metadata"].get("resourceVersion"):
            raise KubeError(409, "Conflict", f"{key}: the object has been modified")

    def _taken_over(self, key: tuple[str, str, str], old: Object, new: Object, *, by: tuple[str, str]) -> None:
        """Whoever changes a field of the spec owns it from then on."""
        before = dict(leaves(old))
        changed = {path for path, value in leaves(new) if path[0] == "spec" and before.get(path) != value}
        managers = self.owned.get(key, {})
        managers.update({who: paths - changed for who, paths in managers.items() if who != by})
        _show_owners(new, self.owned.get(key, {}))

    def _born(self, body: Object) -> None:
        self._uids += 1
        body["metadata"].setdefault("uid", f"uid-{self._uids}")
        body["metadata"].setdefault("generation", 1)
        body["metadata"].setdefault("creationTimestamp", self.time().strftime("%Y-%m-%dT%H:%M:%SZ"))

    def _store(self, key: tuple[str, str, str], body: Object) -> Object:
        owners = [one for one in body["metadata"].get("ownerReferences") or () if one.get("controller")]
        if len(owners) > 1:
            raise KubeError(422, "Invalid", f"{key}: Only one reference can have Controller set to true")
        type_ = "MODIFIED" if key in self.objects else "ADDED"
        self.version += 1
        body["metadata"]["resourceVersion"] = str(self.version)
        self.objects[key] = body
        self.changed(type_, body)
        return copied(body)

    def _gone(self, key: tuple[str, str, str]) -> None:
        body = copied(self.objects.pop(key))
        self.owned.pop(key, None)
        self.version += 1
        body["metadata"]["resourceVersion"] = str(self.version)
        self.changed("DELETED", body)


Path = tuple[str, ...]


def copied(body: T) -> T:
    """A copy of what JSON can hold; anything else is an error, as it would be on the way to the API server."""
    if body is None or isinstance(body, (str, int, float)):
        return body
    return orjson.loads(orjson.dumps(body))


def leaves(body: Any, path: Path = ()) -> list[tuple[Path, Any]]:
    """Paths and values of an object's fields; a list is one value, unless its entries have keys."""
    if isinstance(body, dict) and (body or not path):
        return [leaf for name, value in body.items() for leaf in leaves(value, (*path, name))]
    if keyed := _keyed(path, body):
        return [leaf for name, value in keyed.items() for leaf in leaves(value, (*path, name))]
    return [(path, body)]


def merged(old: Any, patch: Any) -> Any:
    """A JSON merge patch."""
    if not isinstance(patch, dict):
        return copied(patch)
    new = dict(old) if isinstance(old, dict) else {}
    for name, value in patch.items():
        if value is None:
            new.pop(name, None)
        else:
            new[name] = merged(new.get(name), value)
    return new


def selected(body: Object, selector: str | None) -> bool:
    """Whether labels meet a selector of `a=b`, `a` and `!a`."""
    labels = body["metadata"].get("labels") or {}
    for term in selector.split(",") if selector else ():
        name, equals, value = term.partition("=")
        if equals and labels.get(name) != value:
            return False
        if not equals and (name.lstrip("!") in labels) == name.startswith("!"):
            return False
    return True


def _key_of(body: Object) -> tuple[str, str, str]:
    return body["kind"], body["metadata"].get("namespace", ""), body["metadata"]["name"]


def _show_owners(body: Object, managers: dict[tuple[str, str], set[Path]]) -> None:
    """What `managedFields` says of who applied `spec.replicas`, the one field that is asked for by its owner."""
    if body["kind"] != "Deployment":
        return
    mine = {"operation": "Apply", "fieldsV1": {"f:spec": {"f:replicas": {}}}}
    entries = [one for one in body["metadata"].get("managedFields") or () if one.get("operation") != "Apply"]
    entries += [{"manager": who, **mine} for (who, _), paths in managers.items() if ("spec", "replicas") in paths]
    body["metadata"]["managedFields"] = entries


def _applied(body: Object) -> Object:
    given = {name: value for name, value in body.items() if name not in ("apiVersion", "kind", "status")}
    given["metadata"] = {name: value for name, value in body["metadata"].items() if name != "resourceVersion"}
    return given


def _set(body: Any, path: Path, value: Any) -> None:
    for name, following in itertools.pairwise(path):
        empty: Any = [] if following.startswith("[") else {}
        body = _entry(body, name) if name.startswith("[") else body.setdefault(name, empty)
    if path[-1].startswith("["):
        _entry(body, path[-1])
    else:
        body[path[-1]] = value


_KEYS = {
    "containers": "name",
    "env": "name",
    "initContainers": "name",
    "ownerReferences": "uid",
    "ports": "name",
    "volumeMounts": "mountPath",
    "volumes": "name",
}


def _keyed(path: Path, body: Any) -> dict[str, Any] | None:
    """The entries of a list that server-side apply merges by a key."""
    key = _KEYS.get(path[-1]) if path and path[0] in ("metadata", "spec") else None
    if key is None or not isinstance(body, list) or not body or not all(isinstance(one, dict) for one in body):
        return None
    return {f"[{key}={one.get(key)}]": one for one in body}


def _entry(entries: Any, name: str) -> Object:
    """The entry of a list with a key, made where there is none."""
    key, _, value = name.strip("[]").partition("=")
    for one in entries:
        if str(one.get(key)) == value:
            return one  # type: ignore[no-any-return]
    entries.append({key: value})
    return entries[-1]  # type: ignore[no-any-return]


def _remove(body: Any, path: Path) -> None:
    """Take a field out, and what is empty then."""
    if path[0].startswith("["):
        key, _, value = path[0].strip("[]").partition("=")
        found = next((one for one in body if str(one.get(key)) == value), None)
        if found is not None and len(path) > 1:
            _remove(found, path[1:])
        if found in ({}, {key: value}):
            body.remove(found)
        return
    inner = body.get(path[0])
    if len(path) > 1 and isinstance(inner, dict | list):
        _remove(inner, path[1:])
    if len(path) == 1 or inner in ({}, []):
        body.pop(path[0], None)
