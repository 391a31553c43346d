"""The cause of a cold cache, through a gateway and a simulator on loopback whose clocks the test steers."""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from tests.gateway.harness import STABLE, Gateway, make_arm, running_gateway
from tests.gateway.upstream import RecordingUpstream
from tests.simulator.harness import Running, running_simulator

from claude_operator.api.gateway import Arm, Overrides
from claude_operator.api.usage import parse_usage
from claude_operator.core.request.compose import compose, prepare, raw_body
from claude_operator.core.usage.cache import CacheUsage, absorb
from claude_operator.core.usage.cache_verdict import CacheVerdict, judge_cache
from claude_operator.core.usage.cold import Cause
from claude_operator.core.usage.reading import PodUsage, UsageReading
from claude_operator.gateway.call import Call
from claude_operator.gateway.live_config import Choice
from claude_operator.gateway.prefixes import PrefixStore

Body = dict[str, Any]

CACHED = {"cache_control": {"type": "ephemeral"}}
LONG = "Answer briefly, and name the article of the handbook that you rely on. " * 100  # some 2,400 tokens
SHORT = "Answer in one sentence. " * 30  # some 240 tokens


def text(words: str, **more: Any) -> Body:
    return {"type": "text", "text": words, **more}


def ask(number: int, **more: Any) -> Body:
    return {"messages": [{"role": "user", "content": f"Question {number}?"}], "max_tokens": 64, **more}


def tools(count: int = 5, note: str = "") -> list[Body]:
    schema = {"type": "object", "properties": {"query": {"type": "string"}}}
    return [
        {"name": f"search_{n}", "description": f"Searches shelf {n}. {note}{LONG[:1500]}", "input_schema": schema}
        for n in range(count)
    ]


def rotated(number: int) -> list[Body]:
    turn = number % 5
    order = tools()
    order = order[turn:] + order[:turn]
    if number >= 5:  # ever new orders: the cache has those that were there
        first, second = number % 4, (number // 4) % 4
        order.insert(first, order.pop(second + 1))
    return [*order[:-1], order[-1] | CACHED]


def unlike(number: int) -> str:
    """A UUID of its own for each call."""
    return f"0b2f4d3e-0000-4000-8000-{number:012d}"


def four_marks(number: int) -> Body:
    blocks = [text(f"Part {part} of question {number}: {LONG[:300]}", **CACHED) for part in range(4)]
    return {"messages": [{"role": "user", "content": blocks}], "max_tokens": 64}


def edited(number: int, before: str | None) -> Body:
    """A conversation whose first message is another each time."""
    first = {"role": "user", "content": [text(f"Notes, edition {number}: {LONG}", **CACHED)]}
    return {"messages": [first], "max_tokens": 64, "diagnostics": {"previous_message_id": before}}


@dataclass
class Case:
    """Calls that a gateway sees, `gap` seconds apart, and what is to be said of them."""

    cause: Cause
    says: str
    body: Callable[[int], Body] | None = None
    after: Callable[[int, str | None], Body] | None = None
    """A body that names the answer before."""
    request: Body = field(default_factory=dict)
    overrides: Overrides = field(default_factory=Overrides)
    gap: float = 5.0
    calls: int = 45
    reason: str = "Cold"

    def arm(self) -> Arm:
        return make_arm(request=self.request, overrides=self.overrides)


REVISION = {"system": [text(LONG, **CACHED)]}
CASES = {
    "a timestamp before the breakpoint": Case(
        Cause.VOLATILE_TEXT,
        "system[0], looks like a timestamp",
        lambda n: ask(n, system=[text(f"It is 2026-11-30T10:{n:02d}:12Z. {LONG}", **CACHED)]),
    ),
    "tools in another order": Case(
        Cause.TOOLS_REORDERED, "the same tools come in another order (tools[", lambda n: ask(n, tools=rotated(n))
    ),
    "tools that differ": Case(
        Cause.TOOLS_CHANGED,
        "tools[0], looks like a UUID",
        lambda n: ask(n, tools=[*tools(2, f"Run {unlike(n)}. ")[:-1], tools(2)[-1] | CACHED]),
    ),
    "calls ten minutes apart": Case(Cause.TTL_TOO_SHORT, "the last after 10 min", ask, request=REVISION, gap=600.0),
    "a short prompt": Case(
        Cause.UNDER_MINIMUM,
        "claude-opus-5-5 caches from 512 tokens on",
        ask,
        calls=90,
        request={"system": [text(SHORT, **CACHED)]},
    ),
    "the client's block first": Case(
        Cause.CLIENT_BLOCK_FIRST,
        "set spec.overrides.system to Prepend",
        lambda n: ask(n, system=f"Ticket {n} of customer {n * 7}."),
        request=REVISION,
        overrides=Overrides(system="Append"),
    ),
    "four breakpoints of the client's": Case(
        Cause.BREAKPOINT_DROPPED, "a breakpoint of the revision gives way", four_marks, request=REVISION
    ),
    "no cache_control": Case(
        Cause.NOT_CACHED,
        "set cache_control on the last system block",
        ask,
        request={"system": LONG},
        reason="NotCached",
    ),
    "the API says that messages changed": Case(
        Cause.MESSAGES_CHANGED,
        "conversations change messages",
        after=edited,
        request={"system": [text(SHORT * 3, **CACHED)]},
    ),
    "breakpoints in messages alone": Case(
        Cause.PREFIX_UNMARKED,
        "set cache_control on the last system block too",
        lambda n: ask(n, **CACHED),
        request={"system": LONG},
    ),
}


@dataclass
class Pair:
    """A gateway before a simulator."""

    gateway: Gateway
    simulator: Running
    state: CacheUsage = field(default_factory=CacheUsage)

    async def call(self, body: Body, headers: dict[str, str] | None = None) -> Body:
        response, data = await self.gateway.post(body, {"anthropic-version": "2026-10-21", **(headers or {})})
        assert response.status == 200, data
        answer: Body = json.loads(data)
        return answer

    async def judge(self, stable: str = STABLE, canary: str | None = None) -> CacheVerdict:
        """Read the gateway's page as the operator does, and judge."""
        usage = parse_usage(await self.gateway.read("/-/usage"))
        now = dt.datetime.fromtimestamp(self.simulator.clock.now, dt.UTC)
        self.state = absorb(self.state, UsageReading((PodUsage("pod", usage),), frozenset({"pod"})), now)
        return judge_cache(self.state, stable, canary, now)


@asynccontextmanager
async def pair(folder: Path, simulator: Running) -> AsyncIterator[Pair]:
    nowhere: Any = RecordingUpstream
    async with running_gateway(nowhere, folder, clock=simulator.clock) as gateway:
        yield Pair(gateway, simulator)


async def play(pair: Pair, case: Case) -> CacheVerdict:
    """Make the calls of a case; the operator reads every five minutes at least."""
    pair.gateway.serve(case.arm(), url=pair.simulator.url)
    before: str | None = None
    verdict = await pair.judge()
    for number in range(case.calls):
        body = case.after(number, before) if case.after else case.body(number) if case.body else {}
        before = (await pair.call(body))["id"]
        pair.simulator.clock.now += case.gap
        if case.gap >= 300 or number == case.calls - 1:
            verdict = await pair.judge()
    return verdict


@pytest.mark.parametrize("name", CASES)
async def test_the_cause_of_a_cold_cache_is_named(tmp_path: Path, name: str) -> None:
    case = CASES[name]
    async with running_simulator() as simulator, pair(tmp_path, simulator) as two:
        verdict = await play(two, case)
    (surface,) = verdict.surfaces
    assert (verdict.state, surface.cause) == (case.reason, case.cause), verdict
    assert verdict.is_effective is False
    assert case.says in verdict.message
    assert "$" in verdict.message
    assert verdict.usd_per_hour > 0.0


async def test_a_prefix_that_stays_is_read_and_has_a_name(tmp_path: Path) -> None:
    case = Case(Cause.UNEXPLAINED, "", ask, request=REVISION)
    async with running_simulator() as simulator, pair(tmp_path, simulator) as two:
        verdict = await play(two, case)
        page = parse_usage(await two.gateway.read("/-/usage"))
    assert (verdict.state, verdict.is_effective) == ("Warm", True)
    assert verdict.hit_ratio is not None and verdict.hit_ratio > 0.9
    assert {row.prefix for row in page.prefixes} > {"other"}
    assert all(not row.cold for row in page.prefixes)
    assert sum(row.calls for row in page.prefixes) == case.calls


async def test_metrics_are_what_the_page_has(tmp_path: Path) -> None:
    async with running_simulator() as simulator, pair(tmp_path, simulator) as two:
        await play(two, Case(Cause.UNEXPLAINED, "", ask, request=REVISION, calls=5))
        for number in range(2):
            await two.call(ask(number, tools=[*tools(1, unlike(number)), tools(2)[-1] | CACHED]))
        usage = parse_usage(await two.gateway.read("/-/usage"))
        page = two.gateway.service.metrics.page().decode()
    named = next(row for row in usage.prefixes if row.prefix != "other")
    surface = 'arm="stable",kind="{}",revision="support-5f6d8c1a2b",surface="other"'
    prefix = f'kind="cache_read",prefix="{named.prefix}",revision="{STABLE}"'
    read = sum(row.read for row in usage.prefixes)
    assert read == sum(row.cache_read for row in usage.rows) > named.read > 0
    assert f"claude_gateway_surface_tokens_total{{{surface.format('cache_read')}}} {read}.0" in page
    assert f"claude_gateway_prefix_tokens_total{{{prefix}}} {named.read}.0" in page
    assert f'cold_calls_total{{cause="ToolsChanged",revision="{STABLE}",surface="other"}} 2.0' in page


async def test_what_a_client_writes_is_on_no_page(tmp_path: Path) -> None:
    async with running_simulator() as simulator, pair(tmp_path, simulator) as two:
        two.gateway.serve(make_arm(), url=simulator.url)
        for number in range(5):
            await two.call(ask(number, system=[text(f"SENTINEL-{number} {LONG}", **CACHED)]))
        page = await two.gateway.read("/-/usage")
        metrics = two.gateway.service.metrics.page()
    assert b"VolatileText" in page and b"SENTINEL" not in page + metrics


async def test_no_text_of_a_client_is_in_the_way_of_its_call(tmp_path: Path) -> None:
    """A sample of it may end within a character, and some clients send bytes that are no text."""
    asked = json.dumps(ask(0, model="claude-haiku-5-5", system=[text("SYSTEM", **CACHED)]), ensure_ascii=False).encode()
    async with running_simulator() as simulator, pair(tmp_path, simulator) as two:
        two.gateway.serve(make_arm(), url=simulator.url)
        for words in ("\u3042" * 4000, "x" + "\u3042" * 4000, "xy" + "\u3042" * 4000 + "z", "xy" + "\u3042" * 4001):
            response, _ = await two.gateway.post(asked.replace(b"SYSTEM", words.encode()))
            assert response.status == 200
        response, body = await two.gateway.post(asked.replace(b"SYSTEM", b"\xff\xfe"))
        assert response.status < 500, body


@dataclass
class Day:
    """A day of normal traffic in virtual time; `seen` are the verdicts, as the operator would give them."""

    two: Pair
    seen: list[tuple[float, CacheVerdict]] = field(default_factory=list)
    stable: str = STABLE
    canary: str | None = None
    talks: dict[int, list[Body]] = field(default_factory=dict)
    number: int = 0

    async def turn(self, talk: int) -> None:
        """The next turn of a conversation; its last message carries a breakpoint."""
        self.number += 1
        said = self.talks.setdefault(talk, [])
        said.append({"role": "user", "content": [text(f"Question {self.number}: {LONG[:900]}")]})
        marked = [*said[:-1], {"role": "user", "content": [said[-1]["content"][0] | CACHED]}]
        headers = {"x-claude-session": f"talk-{talk}"}
        answer = await self.two.call({"messages": marked, "max_tokens": 64}, headers)
        said.append({"role": "assistant", "content": answer["content"]})

    async def wait(self, seconds: float) -> None:
        """Time passes; the operator reads every five minutes."""
        clock = self.two.simulator.clock
        end = clock.now + seconds
        while clock.now < end:
            clock.now = min(end, clock.now + 300.0)
            self.seen.append((clock.now, await self.two.judge(self.stable, self.canary)))

    async def busy(self, hours: int) -> None:
        """A conversation begins every 40 seconds; most have three turns, a minute apart, some pause for long."""
        for step in range(hours * 30):
            first = self.number
            await self.turn(first)
            await self.wait(40.0)
            await self.turn(first)
            await self.wait(40.0)
            if step % 3 == 0 and len(self.talks) > 10:
                await self.turn(list(self.talks)[-10])  # after some ten minutes
            await self.wait(40.0)
            if step % 50 == 0:
                self.talks = dict(list(self.talks.items())[-12:])

    async def night(self, hours: int) -> None:
        """A call every 25 minutes."""
        for _ in range(hours * 2):
            await self.wait(1500.0)
            await self.turn(self.number)


def arms(version: int, weight: int) -> list[Arm]:
    """Stable and a canary with another system prompt."""
    request = {"system": [text(f"Edition {version}. {LONG}", **CACHED)]}
    newer = {"system": [text(f"Edition {version + 1}. {LONG}", **CACHED)]}
    return [
        make_arm(f"support-{version:010x}", "stable", 10_000 - weight, request=request),
        make_arm(f"support-{version + 1:010x}", "canary", weight, request=newer),
    ]


async def test_no_false_alarm_in_a_day_of_normal_traffic(tmp_path: Path) -> None:
    async with running_simulator() as simulator:
        day = Day(None)  # type: ignore[arg-type]
        state, generation = CacheUsage(), 0
        for pod, version in enumerate((1, 2, 3)):  # each part of the day on a new pod
            folder = tmp_path / str(pod)
            folder.mkdir()
            async with pair(folder, simulator) as two:
                day.two, two.state = two, state
                day.stable, day.canary = f"support-{version:010x}", f"support-{version + 1:010x}"
                for weight in (100, 1000, 5000):
                    generation += 1
                    two.gateway.serve(*arms(version, weight), url=simulator.url, generation=generation)
                    await day.busy(1)
                day.stable, day.canary = f"support-{version + 1:010x}", None
                generation += 1
                two.gateway.serve(arms(version + 1, 0)[0], url=simulator.url, generation=generation)
                await day.busy(1)
                await day.night(4)
                state = two.state
    states = [verdict.state for _, verdict in day.seen]
    wrong = [verdict.message for _, verdict in day.seen if verdict.is_effective is False]
    assert not wrong, (len(wrong), wrong[0])
    assert states.count("Warm") > len(states) // 2


async def test_what_is_not_compared_counts_all_the_same(tmp_path: Path) -> None:
    """A request with a very large system prompt; and the rows of a process are few, whatever comes."""
    async with running_simulator() as simulator, pair(tmp_path, simulator) as two:
        two.gateway.serve(make_arm(), url=simulator.url)
        for number in range(2):
            await two.call(ask(number, system=[text(f"{number}" + "x" * (1 << 20), **CACHED)]))
        (row,) = parse_usage(await two.gateway.read("/-/usage")).prefixes
        assert (row.prefix, row.calls, row.cold) == ("other", 2, [])
        assert row.written > 600_000


def test_rows_and_names_are_bounded() -> None:
    store = PrefixStore()
    tokens = {"input": 1, "output": 1, "cacheRead": 0, "cacheWrite5m": 600, "cacheWrite1h": 0}
    for version in range(12):
        for number in range(60):
            arm = prepare(make_arm(f"support-{version}", request={"system": [text(f"{number} {SHORT}", **CACHED)]}), {})
            composed = compose(arm, raw_body(ask(1)))
            assert composed.prompt is not None
            for surface in range(12):
                for _ in range(3):
                    call = Call("POST", "/v1/messages", 0.0, None, choice=Choice(arm), surface=f"surface-{surface}")
                    store.begin(call, composed.prompt, composed.size)
                    store.record(call, tokens)
    rows = store.rows()
    assert len(rows) <= 4096
    assert len({row.revision for row in rows}) == 8
    assert all(len({row.prefix for row in rows if row.revision == f"support-{n}"}) <= 11 for n in range(12))
    assert sum(row.calls for row in rows if row.revision == "support-11") == 60 * 12 * 3
