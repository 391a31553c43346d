"""Each verb as it goes over the wire, and what comes of each answer."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable

import pytest
from aiohttp import web
from kubernetes.aio import client as aio
from tests.kube.apiserver import ApiServer, Request, failure

from claude_operator.kube.client import URGENT, Kube, KubeError, Object
from claude_operator.kube.resources import CLAUDE_DEPLOYMENTS, CLAUDE_MODELS, CONFIG_MAPS, DEPLOYMENTS, JOBS, LEASES

JSON = "application/json"
BODY: Object = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "c", "namespace": "team"}, "data": {}}
Call = Callable[[Kube], Awaitable[object]]


@pytest.mark.parametrize(
    ("call", "expected"),
    [
        (
            lambda kube: kube.get(CONFIG_MAPS, "c", "team"),
            Request("GET", "/api/v1/namespaces/team/configmaps/c", {}, JSON, "Bearer t", None),
        ),
        (
            lambda kube: kube.get(CLAUDE_MODELS, "m", "ignored"),
            Request("GET", "/apis/claudeops.dev/v1alpha1/claudemodels/m", {}, JSON, "Bearer t", None),
        ),
        (
            lambda kube: kube.list(DEPLOYMENTS, label_selector="a=b,c in (d, e)"),
            Request(
                "GET",
                "/apis/apps/v1/deployments",
                {"labelSelector": "a=b,c in (d, e)", "limit": "500"},
                JSON,
                "Bearer t",
                None,
            ),
        ),
        (
            lambda kube: kube.create(CONFIG_MAPS, BODY),
            Request("POST", "/api/v1/namespaces/team/configmaps", {}, JSON, "Bearer t", BODY),
        ),
        (
            lambda kube: kube.replace(CONFIG_MAPS, BODY),
            Request("PUT", "/api/v1/namespaces/team/configmaps/c", {}, JSON, "Bearer t", BODY),
        ),
        (
            lambda kube: kube.apply(CONFIG_MAPS, BODY, field_manager="me", subresource="status"),
            Request(
                "PATCH",
                "/api/v1/namespaces/team/configmaps/c/status",
                {"fieldManager": "me", "force": "true"},
                "application/apply-patch+yaml",
                "Bearer t",
                BODY,
            ),
        ),
        (
            lambda kube: kube.patch_status(CLAUDE_DEPLOYMENTS, "s", "team", {"phase": "Healthy"}),
            Request(
                "PATCH",
                "/apis/claudeops.dev/v1alpha1/namespaces/team/claudedeployments/s/status",
                {},
                "application/merge-patch+json",
                "Bearer t",
                {"status": {"phase": "Healthy"}},
            ),
        ),
        (
            lambda kube: kube.delete(JOBS, "j", "team"),
            Request(
                "DELETE",
                "/apis/batch/v1/namespaces/team/jobs/j",
                {},
                JSON,
                "Bearer t",
                {"apiVersion": "v1", "kind": "DeleteOptions", "propagationPolicy": "Background"},
            ),
        ),
    ],
    ids=["get", "get cluster-scoped", "list", "create", "replace", "apply", "patch_status", "delete"],
)
async def test_on_the_wire(server: ApiServer, kube: Kube, call: Call, expected: Request) -> None:
    await call(kube)
    assert server.requests == [expected]


async def test_absent_objects(server: ApiServer, kube: Kube) -> None:
    server.answers = [failure(404, "NotFound", 'leases "x" not found') for _ in range(3)]
    assert await kube.get(LEASES, "x", "team") is None
    assert await kube.delete(LEASES, "x", "team") is False
    assert await kube.delete(LEASES, "x", "team", propagation="Foreground") is False
    assert server.requests[-1].body["propagationPolicy"] == "Foreground"
    server.answers = [failure(404, "NotFound", "no such resource")]
    with pytest.raises(KubeError) as caught:
        await kube.list(LEASES)
    assert caught.value.not_found


async def test_a_version_is_read_without_the_content(server: ApiServer, kube: Kube) -> None:
    server.answers = [web.json_response({"metadata": {"resourceVersion": "7"}}), failure(404, "NotFound", "no")]
    assert await kube.version_of(CONFIG_MAPS, "c", "team") == "7"
    assert await kube.version_of(CONFIG_MAPS, "c", "team") is None
    await kube.get(CONFIG_MAPS, "c", "team")
    metadata = "application/json;as=PartialObjectMetadata;g=meta.k8s.io;v=v1"
    assert server.accepted == [metadata, metadata, "application/json"]


async def test_only_the_object_that_was_seen_is_deleted(server: ApiServer, kube: Kube) -> None:
    server.answers = [failure(409, "Conflict", "the UID in the precondition does not match")]
    with pytest.raises(KubeError) as caught:
        await kube.delete(LEASES, "x", "team", uid="u-1")
    assert caught.value.conflict
    assert server.requests[-1].body["preconditions"] == {"uid": "u-1"}


@pytest.mark.parametrize("status", [400, 401, 403, 409, 410, 422, 501])
async def test_the_servers_no(server: ApiServer, kube: Kube, status: int) -> None:
    server.answers = [failure(status, "Because", "it says why")]
    with pytest.raises(KubeError, match=rf"^it says why \({status} Because\)$") as caught:
        await kube.apply(CONFIG_MAPS, BODY, field_manager="me")
    assert (caught.value.status, caught.value.conflict) == (status, status == 409)
    assert len(server.requests) == 1


@pytest.mark.parametrize(
    ("status", "details", "terminating"),
    [
        (403, {"causes": [{"reason": "NamespaceTerminating", "field": "metadata.namespace"}]}, True),
        (403, {"name": "support-gateway", "kind": "configmaps"}, False),
        (404, {"name": "demo", "kind": "namespaces"}, True),
        (404, {"name": "support-gateway", "kind": "configmaps"}, False),
        (403, None, False),
        (403, {"causes": ["odd"]}, False),
    ],
)
async def test_a_namespace_that_is_being_deleted_is_told_apart(
    server: ApiServer, kube: Kube, status: int, details: object, terminating: bool
) -> None:
    server.answers = [web.json_response({"message": "no", "reason": "Because", "details": details}, status=status)]
    with pytest.raises(KubeError) as caught:
        await kube.create(CONFIG_MAPS, {"metadata": {"name": "a", "namespace": "demo"}})
    assert caught.value.terminating is terminating


async def test_answers_that_are_no_json(server: ApiServer) -> None:
    page = "<html>password: secret</html>"
    for answer, words in (
        (web.Response(status=502, text=page), r"^GET /api/v1/configmaps failed \(502 Bad Gateway\)$"),
        (web.Response(status=200, text=page), "is http://127.0.0.1:[0-9]+ the address of a Kubernetes API server"),
        (web.Response(status=200), "not answered with a JSON object"),
        (web.json_response([1]), "not answered with a JSON object"),
    ):
        server.answers = [answer]
        async with Kube(aio.Configuration(host=server.url), tries=1) as once:
            with pytest.raises(KubeError, match=words) as caught:
                await once.list(CONFIG_MAPS)
        assert caught.value.status == answer.status
        assert "secret" not in str(caught.value)


async def test_no_server() -> None:
    async with Kube(aio.Configuration(host="http://127.0.0.1:1")) as kube:
        with pytest.raises(
            KubeError, match=r"^the Kubernetes API at http://127.0.0.1:1 cannot be reached: Client"
        ) as e:
            await kube.get(CONFIG_MAPS, "c", "team")
    assert (e.value.status, e.value.reason) == (0, "Unreachable")


async def test_a_connection_that_breaks_and_a_server_that_sleeps(server: ApiServer) -> None:
    async with Kube(aio.Configuration(host=server.url), timeout=0.1) as kube:
        server.answers = [None] * 9
        with pytest.raises(KubeError) as caught:
            await kube.create(CONFIG_MAPS, BODY)
        assert caught.value.status == 0
        server.answers = []
        server.delay = 0.3
        with pytest.raises(KubeError, match=r"no answer in time$"):
            await kube.get(CONFIG_MAPS, "c", "team")


async def test_lists_come_in_pages(server: ApiServer, kube: Kube) -> None:
    server.answers = [
        web.json_response({"metadata": {"resourceVersion": "5", "continue": "t&1"}, "items": [{"metadata": {}}]}),
        web.json_response({"metadata": {"resourceVersion": "5"}, "items": [{"metadata": {"name": "b"}}]}),
        web.json_response({"metadata": {"resourceVersion": "6"}, "items": None}),
    ]
    objects, version = await kube.list_with_version(CONFIG_MAPS, "team", label_selector="a=b")
    assert objects == [
        {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {}},
        {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "b"}},
    ]
    assert version == "5"
    first = {"labelSelector": "a=b", "limit": "500"}
    assert [request.query for request in server.requests] == [first, {**first, "continue": "t&1"}]
    assert await kube.list(CONFIG_MAPS) == []


async def test_a_list_whose_snapshot_expired_is_read_at_once(server: ApiServer, kube: Kube) -> None:
    server.answers = [
        web.json_response({"metadata": {"continue": "t"}, "items": [{"metadata": {"name": "old"}}]}),
        failure(410, "Expired", "The provided continue parameter is too old"),
        web.json_response({"metadata": {"resourceVersion": "9"}, "items": [{"metadata": {"name": "new"}}]}),
    ]
    objects, version = await kube.list_with_version(CONFIG_MAPS)
    assert ([each["metadata"]["name"] for each in objects], version) == (["new"], "9")
    assert server.requests[-1].query == {}


def busy(after: str = "0.1") -> web.Response:
    return failure(429, "TooManyRequests", "busy", Retry_After=after)


async def test_a_busy_server_is_asked_again_when_it_says(server: ApiServer, kube: Kube) -> None:
    server.answers = [busy()]
    began = time.monotonic()
    await kube.apply(CONFIG_MAPS, BODY, field_manager="me")
    assert time.monotonic() - began >= 0.1
    assert len(server.requests) == 2
    server.answers = [busy() for _ in range(5)]
    with pytest.raises(KubeError, match="busy") as caught:
        await kube.get(CONFIG_MAPS, "c", "team")
    assert (caught.value.status, caught.value.retry_after, len(server.requests)) == (429, 0.1, 7)
    server.answers = [busy("3600")]  # longer than a call may take
    with pytest.raises(KubeError):
        await kube.get(CONFIG_MAPS, "c", "team")
    assert len(server.requests) == 8


CALLS: dict[str, Call] = {
    "get": lambda kube: kube.get(CONFIG_MAPS, "c", "team"),
    "list": lambda kube: kube.list(CONFIG_MAPS),
    "create": lambda kube: kube.create(CONFIG_MAPS, BODY),
    "apply": lambda kube: kube.apply(CONFIG_MAPS, BODY, field_manager="me"),
    "replace": lambda kube: kube.replace(CONFIG_MAPS, BODY),
    "patch_status": lambda kube: kube.patch_status(CLAUDE_DEPLOYMENTS, "s", "team", {"phase": "Healthy"}),
    "delete": lambda kube: kube.delete(JOBS, "j", "team"),
}


@pytest.mark.parametrize("verb", CALLS)
@pytest.mark.parametrize("fault", [500, 502, 503, 504, None])
async def test_a_fault_that_passes_is_not_seen(server: ApiServer, verb: str, fault: int | None) -> None:
    retries: list[int] = []
    server.answers = [failure(fault, "Fault", "later") if fault else None for _ in range(2)]
    configuration = aio.Configuration(host=server.url)
    async with Kube(configuration, on_retry=lambda: retries.append(1)) as kube:
        await CALLS[verb](kube)
    bodies = {repr(each) for each in server.requests}
    assert (len(server.requests), len(bodies)) == (3, 1)
    assert sum(retries) in ((2,) if fault else (1, 2))  # the first of a broken connection may be the HTTP client's own


@pytest.mark.parametrize("fault", [500, 503, None])
async def test_a_fault_that_stays_is_told_soon(server: ApiServer, kube: Kube, fault: int | None) -> None:
    server.answers = [failure(fault, "Fault", "later") if fault else None for _ in range(12)]
    with pytest.raises(KubeError) as caught:
        await kube.get(CONFIG_MAPS, "c", "team")
    assert caught.value.status == (fault or 0)
    assert len(server.requests) == 5 if fault else 5 <= len(server.requests) <= 10


async def test_a_silent_connection_is_left_for_another(server: ApiServer) -> None:
    async with Kube(aio.Configuration(host=server.url), timeout=4.0) as kube:
        server.silent = 1
        assert await kube.get(CONFIG_MAPS, "c", "team") == {"kind": "Thing"}
        assert len(server.requests) == 2


class NoLonger(Exception):  # noqa: N818
    pass


@pytest.mark.parametrize("verb", CALLS)
async def test_nothing_is_written_without_leave_not_even_again(server: ApiServer, verb: str) -> None:
    asked: list[int] = []

    def permit() -> None:
        asked.append(1)
        if len(asked) > 1:
            raise NoLonger

    reads = verb in ("get", "list")
    server.answers = [failure(500, "Fault", "later")]
    async with Kube(aio.Configuration(host=server.url), permit=permit) as kube:
        if reads:
            await CALLS[verb](kube)
        else:
            with pytest.raises(NoLonger):
                await CALLS[verb](kube)
    assert (len(asked), len(server.requests)) == ((0, 2) if reads else (2, 1))


async def test_the_environments_proxies_are_not_used(
    server: ApiServer, kube: Kube, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:1")
    for name in ("NO_PROXY", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
    await kube.get(CONFIG_MAPS, "c", "team")
    assert len(server.requests) == 1


async def test_many_calls_at_once(server: ApiServer, kube: Kube) -> None:
    await asyncio.gather(*(kube.get(CONFIG_MAPS, str(number), "team") for number in range(50)))
    assert len(server.requests) == 50


async def test_urgent_calls_do_not_stand_in_line(server: ApiServer, kube: Kube) -> None:
    server.delay = 0.5
    line = [asyncio.create_task(kube.get(CONFIG_MAPS, str(number), "team")) for number in range(100)]
    await asyncio.sleep(0.1)

    async def urgent() -> None:
        URGENT.set(True)
        await kube.get(CONFIG_MAPS, "urgent", "team")

    await asyncio.create_task(urgent())
    assert sum(task.done() for task in line) < 96  # it stood behind 100, of which 32 are asked at a time
    await asyncio.gather(*line)


@pytest.mark.parametrize("name", ["../secrets/x", "..", ".", "a/b", "a?b", "a%2fb", "a#b"])
async def test_names_that_lead_elsewhere(server: ApiServer, kube: Kube, name: str) -> None:
    for arguments in ((name, "team"), ("c", name)):
        with pytest.raises(ValueError, match="is not a name"):
            await kube.get(CONFIG_MAPS, *arguments)
    assert not server.requests
