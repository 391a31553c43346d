"""Each verb as it goes over the wire, and what comes of each answer."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable

import pytest
from aiohttp import web
from kubernetes.aio import client as aio
from tests.kube.apiserver import ApiServer, Request, failure

from claude_operator.kube.client import Kube, KubeError, Object
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


@pytest.mark.parametrize("status", [400, 401, 403, 409, 410, 422, 500, 503])
async def test_the_servers_no(server: ApiServer, kube: Kube, status: int) -> None:
    server.answers = [failure(status, "Because", "it says why")]
    with pytest.raises(KubeError, match=rf"^it says why \({status} Because\)$") as caught:
        await kube.apply(CONFIG_MAPS, BODY, field_manager="me")
    assert (caught.value.status, caught.value.conflict) == (status, status == 409)
    assert len(server.requests) == 1


async def test_answers_that_are_no_json(server: ApiServer, kube: Kube) -> None:
    page = "<html>password: secret</html>"
    for answer, words in (
        (web.Response(status=502, text=page), r"^GET /api/v1/configmaps failed \(502 Bad Gateway\)$"),
        (web.Response(status=200, text=page), "is http://127.0.0.1:[0-9]+ the address of a Kubernetes API server"),
        (web.Response(status=200), "not answered with a JSON object"),
        (web.json_response([1]), "not answered with a JSON object"),
    ):
        server.answers = [answer]
        with pytest.raises(KubeError, match=words) as caught:
            await kube.list(CONFIG_MAPS)
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
        server.answers = [None, None]
        with pytest.raises(KubeError) as caught:
            await kube.create(CONFIG_MAPS, BODY)
        assert caught.value.status == 0
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


async def test_a_busy_server_is_asked_once_more(server: ApiServer, kube: Kube) -> None:
    busy = {"status": 429, "reason": "TooManyRequests", "message": "busy", "Retry_After": "0.1"}
    server.answers = [failure(**busy)]  # type: ignore[arg-type]
    began = time.monotonic()
    await kube.apply(CONFIG_MAPS, BODY, field_manager="me")
    assert time.monotonic() - began >= 0.1
    assert len(server.requests) == 2
    server.answers = [failure(**busy), failure(**busy)]  # type: ignore[arg-type]
    with pytest.raises(KubeError, match="busy") as caught:
        await kube.get(CONFIG_MAPS, "c", "team")
    assert (caught.value.status, caught.value.retry_after, len(server.requests)) == (429, 0.1, 4)


@pytest.mark.parametrize(
    ("call", "after"),
    [
        (lambda kube: kube.create(CONFIG_MAPS, BODY), "0"),  # might be made twice
        (lambda kube: kube.get(CONFIG_MAPS, "c", "team"), "60"),  # longer than a call may take
    ],
)
async def test_a_busy_server_is_left_alone(server: ApiServer, kube: Kube, call: Call, after: str) -> None:
    server.answers = [failure(429, "TooManyRequests", "busy", Retry_After=after)]
    with pytest.raises(KubeError):
        await call(kube)
    assert len(server.requests) == 1


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


@pytest.mark.parametrize("name", ["../secrets/x", "..", ".", "a/b", "a?b", "a%2fb", "a#b"])
async def test_names_that_lead_elsewhere(server: ApiServer, kube: Kube, name: str) -> None:
    for arguments in ((name, "team"), ("c", name)):
        with pytest.raises(ValueError, match="is no name"):
            await kube.get(CONFIG_MAPS, *arguments)
    assert not server.requests
