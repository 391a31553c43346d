"""Asking Prometheus: every way in which it may answer, or not, and that no pass waits for it."""

from __future__ import annotations

import asyncio
import datetime as dt
import json
import socket
import threading
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from aiohttp import web
from tests.cluster.prometheus import NoPrometheusError, Prometheus
from tests.shell.rig import KEY, Rig, on_trial, serving
from tests.waiting import HANGS, until

from claude_operator.core.judge.evidence.measurements import Measurement, Query
from claude_operator.core.spec.networks import rules_in_pod
from claude_operator.shell.prometheus import PrometheusReader

AT = dt.datetime(2026, 11, 24, 10, 0, 0, tzinfo=dt.UTC)
Answer = Callable[[web.BaseRequest], Awaitable[web.StreamResponse]]


def query(
    name: str = "complaints",
    text: str = "up",
    address: str | None = None,
    at: dt.datetime = AT,
    counted: dt.datetime | None = None,
) -> Query:
    return Query(name, address, text, at, counted)


def vector(*values: str) -> Any:
    return {"resultType": "vector", "result": [{"metric": {}, "value": [1.5, value]} for value in values]}


class Server:
    """Answers at `url` as told; remembers what it was asked."""

    def __init__(self) -> None:
        self.url = ""
        self.asked: list[tuple[str, str, dict[str, str]]] = []
        self.answer: Answer = self.data(vector("0.25"))

    @staticmethod
    def data(data: Any) -> Answer:
        return Server.body(json.dumps({"status": "success", "data": data}))

    @staticmethod
    def body(text: str | bytes, status: int = 200, **headers: str) -> Answer:
        async def answer(request: web.BaseRequest) -> web.StreamResponse:
            body = text.encode() if isinstance(text, str) else text
            return web.Response(body=body, status=status, headers=headers)

        return answer

    async def serve(self, request: web.BaseRequest) -> web.StreamResponse:
        form = {**request.query, **(await request.post() if request.method == "POST" else {})}
        self.asked.append((request.method, request.path, form))  # type: ignore[arg-type]
        return await self.answer(request)


@pytest.fixture
async def server() -> AsyncIterator[Server]:
    one = Server()
    runner = web.ServerRunner(web.Server(one.serve, access_log=None), shutdown_timeout=0.05)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        one.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
        yield one
    finally:
        await runner.cleanup()


@pytest.fixture
async def reader(server: Server) -> AsyncIterator[PrometheusReader]:
    async with PrometheusReader(server.url, timeout=HANGS, patience=HANGS) as entered:
        yield entered


async def read(reader: PrometheusReader, text: str = "up", address: str | None = None) -> Measurement:
    [one] = await reader.read([query(text=text, address=address)])
    return one


async def test_it_asks_an_instant_query_as_of_the_moment(server: Server, reader: PrometheusReader) -> None:
    text = 'sum(rate(a_total{b=~"ü|&+%"}[300s]))\n/ 2'
    assert await read(reader, text) == Measurement("complaints", 0.25, at=AT)
    assert server.asked == [("GET", "/api/v1/query", {"query": text, "time": "1795514400"})]


async def test_a_long_query_is_posted(server: Server, reader: PrometheusReader) -> None:
    text = " + ".join(["up"] * 1500)
    assert (await read(reader, text)).value == 0.25
    assert server.asked == [("POST", "/api/v1/query", {"query": text, "time": "1795514400"})]


async def test_a_path_before_the_api_stays(server: Server, reader: PrometheusReader) -> None:
    await read(reader, address=f"{server.url}/tenant/a/")
    assert server.asked[0][1] == "/tenant/a/api/v1/query"


@pytest.mark.parametrize(
    ("data", "value"),
    [
        (vector("0.25"), 0.25),
        (vector("-1e-3"), -0.001),
        ({"resultType": "scalar", "result": [1.5, "7"]}, 7.0),
        (vector(), None),
        (vector("NaN"), None),
        (vector("+Inf"), None),
        (vector("-Inf"), None),
        ({"resultType": "scalar", "result": [1.5, "NaN"]}, None),
    ],
)
async def test_a_number_is_a_measurement_and_none_is_no_data(
    data: Any, value: float | None, server: Server, reader: PrometheusReader
) -> None:
    server.answer = server.data(data)
    assert await read(reader) == Measurement("complaints", value, at=AT)


HISTOGRAM = {"resultType": "vector", "result": [{"metric": {}, "histogram": [1.5, {"count": "1"}]}]}


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        (Server.data(vector("1", "2", "3")), "returns 3 series: aggregate it to one, for example with sum(...)"),
        (
            Server.data(HISTOGRAM),
            "returns a histogram: turn it into a number, for example with histogram_quantile(...)",
        ),
        (Server.data({"resultType": "matrix", "result": []}), "returns a matrix: ask for one number"),
        (Server.data({"resultType": "string", "result": [1, "a"]}), "returns a string: ask for one number"),
        (Server.data({"resultType": "vector", "result": [{"value": [1.5]}]}), "no number where Prometheus puts it"),
        (Server.data({"resultType": "vector", "result": [{"value": [1.5, "x"]}]}), "no number where Prometheus puts"),
        (Server.data({"resultType": "vector", "result": ["x"]}), "returns a histogram"),
        (Server.data({"resultType": "secret", "result": []}), "returns a result of another type: ask for one number"),
        (Server.data({"resultType": "scalar", "result": None}), "no number where Prometheus puts it"),
        (Server.data({"resultType": "scalar", "result": {}}), "no number where Prometheus puts it"),
        (Server.data(None), "an error: it does not say why"),
        (Server.data([1]), "HTTP 200, and not an answer of Prometheus's API"),
        (
            Server.body('{"status":"error","errorType":"bad_data","error":"1:3: parse error: no"}', 400),
            "bad_data: 1:3: parse error: no",
        ),
        (Server.body('{"status":"error","errorType":"timeout","error":"too long"}', 503), "timeout: too long"),
        (Server.body("<html>Bad Gateway</html>", 502), "HTTP 502, and not an answer of Prometheus's API"),
        (Server.body("", 404), "HTTP 404, and not an answer"),
        (Server.body("[" * 100_000), "HTTP 200, and not an answer"),
        (Server.body(b'{"status":"\xff\xfe"}'), "HTTP 200, and not an answer"),
        (Server.body("", 302, location="http://other.example/?a=b"), "it redirects to http://other.example/: write"),
        (Server.body("", 301), "it redirects to another address"),
        (Server.body(b" " * (1024 * 1024 + 1)), "larger than 1 MiB: aggregate it to one number"),
    ],
)
async def test_anything_else_is_an_error_that_says_what_to_do(
    answer: Answer, said: str, server: Server, reader: PrometheusReader
) -> None:
    server.answer = answer
    found = await read(reader)
    assert found.value is None
    assert said in found.error
    assert found.error.endswith(f"(Prometheus at {server.url})")
    assert len(server.asked) == 1  # no redirect was followed


async def test_a_long_error_is_cut(server: Server, reader: PrometheusReader) -> None:
    server.answer = server.body(json.dumps({"status": "error", "error": "x" * 5000}), 422)
    assert len((await read(reader)).error) == 300


async def test_a_connection_that_breaks_off_is_an_error(server: Server, reader: PrometheusReader) -> None:
    async def breaks(request: web.BaseRequest) -> web.StreamResponse:
        assert request.transport is not None
        request.transport.abort()
        return web.Response()

    server.answer = breaks
    assert (await read(reader)).error


@pytest.mark.parametrize(
    ("address", "said"),
    [
        ("http://127.0.0.1:1", "cannot connect: "),
        ("http://no-such-host.invalid", "cannot connect: "),
        ("http://[", "valid"),
        ("http://127.0.0.1:99999", ""),
    ],
)
async def test_an_address_of_the_installer_where_nobody_is(address: str, said: str) -> None:
    async with PrometheusReader(address, timeout=HANGS) as reader:
        found = await read(reader)
    assert said in found.error
    assert f"(Prometheus at {address})" in found.error


# ---------------------------------------------------------------------------------- an address that a spec names


NO_ANSWER = "it did not give an answer of Prometheus's API: check prometheus.address and that the operator may reach it"


@pytest.mark.parametrize(
    "answer",
    [
        Server.body("<html>secret of another server</html>", 502),
        Server.body("secret", 401),
        Server.body("", 302, location="http://secret.internal/"),
        Server.body(b" " * (1024 * 1024 + 1)),
        Server.body('{"status":"error","errorType":"secret","error":"secret"}', 400),
        Server.body('{"status":"secret"}'),
        Server.data(None),
    ],
)
async def test_whatever_else_is_there_is_one_sentence(answer: Answer, server: Server) -> None:
    server.answer = answer
    sentences = set()
    async with PrometheusReader(timeout=HANGS) as reader:
        for address in (server.url, "http://127.0.0.1:1", "http://no-such-host.invalid", "http://127.0.0.1:99999"):
            sentences.add((await read(reader, address=address)).error.replace(address, "ADDRESS"))
    assert sentences == {f"{NO_ANSWER} (Prometheus at ADDRESS)"}
    assert len(server.asked) == 1


async def test_silence_and_a_cut_connection_say_no_more(server: Server) -> None:
    async def breaks(request: web.BaseRequest) -> web.StreamResponse:
        assert request.transport is not None
        request.transport.abort()
        return web.Response()

    async with PrometheusReader(timeout=0.3) as reader:
        for server.answer in (late, breaks):
            assert (await read(reader, address=server.url)).error == f"{NO_ANSWER} (Prometheus at {server.url})"


async def test_of_an_error_of_prometheus_only_its_kind_comes_back(server: Server) -> None:
    server.answer = server.body('{"status":"error","errorType":"bad_data","error":"1:3: secret"}', 400)
    async with PrometheusReader(timeout=HANGS) as reader:
        error = (await read(reader, address=server.url)).error
    assert error.startswith("Prometheus refuses the query (bad_data): ask it there to see why (")
    assert "secret" not in error


async def test_a_spec_does_not_lead_the_operator_to_itself_while_the_installer_may(server: Server) -> None:
    rules = rules_in_pod((), (), {"HOST_IPS": "192.0.2.7"})
    async with PrometheusReader(server.url, rules=rules, timeout=HANGS) as reader:
        assert (await read(reader)).value == 0.25
        assert (await read(reader, address=server.url)).value == 0.25  # the same one in so many words
        for host in ("localhost", "[::ffff:127.0.0.1]", "127.0.0.2", "192.0.2.7", "169.254.169.254"):
            address = server.url.replace("127.0.0.1", host)
            error = (await read(reader, address=address)).error
            assert error.startswith("prometheus.address leads to an address that the operator does not connect to")
            assert "--allowed-address" in error
    assert len(server.asked) == 2


async def test_a_rollout_that_began_before_the_list_of_hosts_asks_no_other(server: Server) -> None:
    async with PrometheusReader(server.url, hosts=["prometheus.monitoring:9090"], timeout=HANGS) as reader:
        error = (await read(reader, address=server.url.replace("127.0.0.1", "localhost"))).error
        assert error.startswith("prometheus.address has a host that the installer does not allow, so it is not asked")
        assert server.asked == []
        assert (await read(reader)).value == 0.25  # the installer's own


@pytest.mark.parametrize("own", [True, False])
async def test_queries_of_one_tenant_that_hang_do_not_starve_another(server: Server, own: bool) -> None:
    gate = Gate()

    async def answer(request: web.BaseRequest) -> web.StreamResponse:
        quick = request.query["query"] == "quick"
        return await (Server.data(vector("1")) if quick else gate)(request)

    server.answer = answer
    address = None if own else server.url
    async with PrometheusReader(server.url if own else None, timeout=HANGS, patience=0.05) as reader:
        hung = [query(f"m{n}", "slow", address) for n in range(120)]
        assert await reader.collect("uid-1", hung, tenant="team-1") == ()
        await until(lambda: len(server.asked) == 10)
        found = await until(lambda: reader.collect("uid-2", [query("m", "quick", address)], tenant="team-2"))
        assert found[0].value == 1.0
        assert len(server.asked) == 11
        gate.open.set()
        await until(lambda: len(server.asked) == 121)


async def test_names_that_hang_take_no_thread_of_others(monkeypatch: pytest.MonkeyPatch) -> None:
    release = threading.Event()
    real = socket.getaddrinfo

    def getaddrinfo(host: Any, *more: Any, **options: Any) -> Any:
        if str(host).endswith(".hangs"):
            release.wait(HANGS)
        return real(host, *more, **options)

    monkeypatch.setattr(socket, "getaddrinfo", getaddrinfo)
    try:
        async with PrometheusReader(timeout=HANGS, patience=0.05) as reader:
            await reader.collect("uid", [query(f"m{n}", "up", f"http://{n}.hangs") for n in range(60)], tenant="a")
            assert await asyncio.wait_for(asyncio.to_thread(lambda: 7), HANGS) == 7
    finally:
        release.set()


async def test_without_any_address_it_says_what_to_write() -> None:
    async with PrometheusReader() as reader:
        assert "write prometheus.address, or start the operator with --prometheus-address" in (await read(reader)).error


async def late(request: web.BaseRequest) -> web.StreamResponse:
    await asyncio.sleep(30)
    return web.Response()


async def test_no_answer_in_time_is_an_error(server: Server) -> None:
    server.answer = late
    async with PrometheusReader(server.url, timeout=0.2) as reader:
        assert "no answer within 0.2 s" in (await read(reader)).error


async def test_queries_are_asked_at_once(server: Server, reader: PrometheusReader) -> None:
    waiting = asyncio.Event()

    async def together(request: web.BaseRequest) -> web.StreamResponse:
        if len(server.asked) == 5:
            waiting.set()
        await waiting.wait()
        return await Server.data(vector(request.query["query"]))(request)

    server.answer = together
    found = await reader.read([query(f"m{n}", str(n)) for n in range(5)])
    assert [(one.name, one.value) for one in found] == [(f"m{n}", float(n)) for n in range(5)]


# ------------------------------------------------------------------------------------------ beside the passes


@pytest.fixture
async def hasty(server: Server) -> AsyncIterator[PrometheusReader]:
    async with PrometheusReader(server.url, timeout=30.0, patience=0.05) as entered:
        yield entered


class Gate:
    """Holds every answer back until it is opened."""

    def __init__(self) -> None:
        self.open = asyncio.Event()

    async def __call__(self, request: web.BaseRequest) -> web.StreamResponse:
        await self.open.wait()
        return await Server.data(vector("0.5"))(request)


async def found(reader: PrometheusReader, *queries: Query, uid: str = "uid") -> tuple[Measurement, ...]:
    """What one of the next passes finds."""
    measured: tuple[Measurement, ...] = await until(lambda: reader.collect(uid, queries))
    return measured


async def test_a_quick_answer_is_there_in_the_same_pass(reader: PrometheusReader) -> None:
    assert await reader.collect("uid", [query()]) == (Measurement("complaints", 0.25, at=AT),)
    assert await reader.collect("uid", []) == ()


async def test_a_pass_does_not_wait_for_a_slow_answer_and_a_later_one_finds_it(
    server: Server, hasty: PrometheusReader
) -> None:
    server.answer = gate = Gate()
    assert await hasty.collect("uid", [query()]) == ()
    later = query(at=AT + dt.timedelta(seconds=5))
    assert await hasty.collect("uid", [later]) == ()
    gate.open.set()
    expected = (Measurement("complaints", 0.5, at=AT),)  # of the moment that was asked for
    assert await found(hasty, later) == expected
    assert await hasty.collect("uid", [later]) == expected  # until it has been counted
    assert len(server.asked) == 1


async def test_what_has_been_counted_is_asked_anew_when_it_is_due_again(
    server: Server, reader: PrometheusReader
) -> None:
    await reader.collect("uid", [query()])
    await reader.collect("uid", [])
    later = query(at=AT + dt.timedelta(seconds=60))
    assert await reader.collect("uid", [later]) == (Measurement("complaints", 0.25, at=later.at),)
    assert [form["time"] for _, _, form in server.asked] == ["1795514400", "1795514460"]


async def test_what_is_due_at_every_tick_is_asked_anew_as_soon_as_it_is_counted(
    server: Server, reader: PrometheusReader
) -> None:
    second = dt.timedelta(seconds=1)
    for n in range(3):
        one = query(at=AT + n * second, counted=AT + (n - 1) * second)
        assert await reader.collect("uid", [one]) == (Measurement("complaints", 0.25, at=one.at),)
    assert len(server.asked) == 3


async def test_another_question_under_the_same_name_is_asked_anew(server: Server, hasty: PrometheusReader) -> None:
    server.answer = gate = Gate()
    await hasty.collect("uid", [query(text="of_the_first")])
    await hasty.collect("uid", [query(text="of_the_second")])
    gate.open.set()
    assert len(await found(hasty, query(text="of_the_second"))) == 1
    assert [form["query"] for _, _, form in server.asked] == ["of_the_first", "of_the_second"]


async def test_one_slow_answer_keeps_no_other_from_counting(server: Server, hasty: PrometheusReader) -> None:
    gate = Gate()

    async def answer(request: web.BaseRequest) -> web.StreamResponse:
        quick = request.query["query"] == "quick"
        return await (Server.data(vector("1")) if quick else gate)(request)

    server.answer = answer
    assert [one.name for one in await found(hasty, query("a", "slow"), query("b", "quick"))] == ["b"]
    assert await found(hasty, query("b", "quick"), uid="other")


async def test_what_is_forgotten_and_what_is_in_flight_at_the_end_ends(server: Server) -> None:
    server.answer = late
    async with PrometheusReader(server.url, patience=0.05) as reader:
        await reader.collect("gone", [query()])
        await reader.collect("live", [query()])
        reader.forget({"live"})
        await asyncio.sleep(0)
        asked = [task for task in asyncio.all_tasks() if "_measure" in repr(task.get_coro())]
        assert len(asked) == 1
    assert not [task for task in asyncio.all_tasks() if "_measure" in repr(task.get_coro())]


# ------------------------------------------------------------------------------------------------ in a pass


METRIC = {
    "name": "complaints",
    "prometheus": {"query": "f({{revision}},{{stable}},{{deployment}},{{namespace}})"},
    "threshold": {"max": 0.05},
}


def strategy(*metrics: dict[str, Any]) -> dict[str, Any]:
    analysis = {"interval": "5s", "metrics": [{"name": "errors"}, *metrics]}
    return {"canary": {"steps": [{"setWeight": 10}, {"bake": {"minDuration": "20m"}}], "analysis": analysis}}


async def test_a_pass_asks_when_a_tick_is_due_and_finds_the_answer() -> None:
    rig = await on_trial(strategy=strategy(METRIC))
    rig.prometheus.values["complaints"] = 0.02
    status = rig.status
    assert status.judgement is not None
    assert (await _measurements(rig)) == ()  # no tick is due
    rig.wait(60)
    [found] = await _measurements(rig)
    assert found == Measurement("complaints", 0.02, at=rig.now.replace(microsecond=0))
    [asked] = rig.prometheus.asked[-1]
    assert status.rollout is not None
    assert asked.query == f"f({status.rollout.revision},{status.stable_revision},support,demo)"


async def test_a_pass_without_a_canary_asks_nothing_and_drops_what_was_asked() -> None:
    rig = await serving(strategy=strategy(METRIC))
    rig.prometheus.asked.clear()
    await _measurements(rig)
    assert rig.prometheus.asked == [()]


async def test_a_measurement_out_of_its_threshold_takes_the_traffic_back_in_the_pass_that_sees_it() -> None:
    rig = await on_trial(strategy=strategy({**METRIC, "failureLimit": 1}))
    for value, outcome in ((0.02, None), (0.2, None), (0.01, None), (0.2, "RolledBack")):
        rig.prometheus.values["complaints"] = value
        rig.wait(60)
        rig.gateways.serve("gw-1", "canary", 20)
        rig.gateways.serve("gw-1", "stable", 180)
        await rig.one()
        assert rig.status.rollout is not None
        assert rig.status.rollout.outcome == outcome
    assert len(rig.gateways.config.arms) == 1
    assert rig.status.rollout.reason == "ThresholdExceeded"
    assert "complaints 0.2 is above 0.05 for the 2nd time (1 tolerated)" in rig.status.rollout.message


async def test_without_an_answer_it_holds_and_says_so() -> None:
    rig = await on_trial(strategy=strategy({**METRIC, "consecutiveErrorLimit": 0}))
    rig.prometheus.errors["complaints"] = "cannot connect: Connection refused"
    for _ in range(3):
        rig.wait(60)
        rig.gateways.serve("gw-1", "canary", 20)
        rig.gateways.serve("gw-1", "stable", 180)
        await rig.one()
    assert rig.condition("CanaryHealthy")[:2] == ("Unknown", "MetricError")
    assert "cannot connect: Connection refused" in rig.condition("CanaryHealthy")[2]
    assert rig.status.rollout is not None
    assert rig.status.rollout.outcome is None
    assert rig.gateways.config.arm("canary").weight == 1000  # type: ignore[union-attr]


async def _measurements(rig: Rig) -> tuple[Measurement, ...]:
    seen = await rig.gatherer.gather(KEY)
    assert seen is not None
    return seen.observation.measurements


# ------------------------------------------------------------------------------------------------ the real one


@pytest.fixture(scope="module")
def real(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Prometheus]:
    try:
        prometheus = Prometheus(tmp_path_factory.mktemp("prometheus"))
    except NoPrometheusError as error:
        pytest.skip(str(error))
    with prometheus:
        yield prometheus


@pytest.mark.slow
async def test_a_real_prometheus_is_understood(real: Prometheus) -> None:
    now = dt.datetime.now(dt.UTC).replace(microsecond=0)
    long = " + ".join(["1"] * 2000)
    expected: list[tuple[str, float | None, str]] = [
        ("vector(0.25)", 0.25, ""),
        ("1 + 1", 2.0, ""),
        ("time()", now.timestamp(), ""),
        (long, 2000.0, ""),
        ("no_such_metric", None, ""),
        ("vector(0) / vector(0)", None, ""),
        ("vector(1) / vector(0)", None, ""),
        ('label_replace(vector(1), "a", "b", "", "") or vector(2)', None, "returns 2 series"),
        ("sum(rate(", None, "bad_data: "),
        ("vector(1)[5m:1m]", None, "returns a matrix"),
        ('"text"', None, "returns a string"),
    ]
    async with PrometheusReader(real.url) as reader:
        found = await reader.read([query(f"m{n}", text, at=now) for n, (text, _, _) in enumerate(expected)])
        for (text, value, said), measurement in zip(expected, found, strict=True):
            assert measurement.value == value, (text, measurement)
            assert bool(said) is bool(measurement.error), (text, measurement)
            assert said in measurement.error

        async def is_up() -> bool:
            [up] = await reader.read([query(text='up{job="itself"}', at=await clock(real))])
            return up.value == 1.0

        await until(is_up)


async def clock(real: Prometheus) -> dt.datetime:
    """The time where Prometheus runs: a Go program, for which no clock is shifted."""
    async with aiohttp.ClientSession() as http, http.get(f"{real.url}/api/v1/query?query=time()") as answer:
        return dt.datetime.fromtimestamp((await answer.json())["data"]["result"][0], dt.UTC)


@pytest.mark.slow
async def test_a_real_prometheus_that_goes_away_is_an_error_and_comes_back(tmp_path: Path, real: Prometheus) -> None:
    async with PrometheusReader(real.url) as reader:
        assert (await read(reader, "vector(1)")).value == 1
        await asyncio.to_thread(real.stop)
        assert "cannot connect: " in (await read(reader, "vector(1)")).error
        await asyncio.to_thread(real.start)
        assert (await read(reader, "vector(1)")).value == 1
