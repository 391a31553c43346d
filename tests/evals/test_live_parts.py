"""Live grading, its parts: how many answers are graded, what they may cost, what is remembered of them."""

from __future__ import annotations

import asyncio
import base64
import datetime as dt
import json
import random
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import msgspec
import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st
from tests.evals.servers import Cluster, cluster
from tests.evals.test_cli import kubeconfig

from claude_operator.__main__ import main
from claude_operator.api.evals import EvalSetSpec
from claude_operator.api.gateway import Deployment
from claude_operator.api.grading import SAMPLES_KEY, STATE_KEY, GradingPlan, dump_plan, parse_plan, plan_hash
from claude_operator.api.live import LiveGrading
from claude_operator.api.samples import Sample, SampledAnswer
from claude_operator.core.evals.sets import load_items
from claude_operator.evals.live.batches import ENOUGH, Batches
from claude_operator.evals.live.failed import (
    LARGEST,
    RETENTION,
    failed_sample,
    kept,
    pack_samples,
    read_samples,
    redacted,
)
from claude_operator.evals.live.quota import ROLES, Quota, shares
from claude_operator.evals.live.spending import Spending, State
from claude_operator.evals.live.store import FileStore, NoStore, SecretStore
from claude_operator.kube.client import Kube

DAY = dt.datetime(2026, 3, 1, 12, tzinfo=dt.UTC)


def sample(number: int = 1, text: str = "who knows", question: Any = "Where is it?", **fields: Any) -> Sample:
    answer = SampledAnswer(text, fields.pop("stop_reason", "end_turn"), "claude-haiku-5-5")
    role = fields.pop("role", "canary")
    messages = question if isinstance(question, list) else [{"role": "user", "content": question}]
    return Sample(
        f"{0:032x}.{number}", f"app-{role}", role, "chat", f"talk-{number}", 1000.0 + number, messages, answer, **fields
    )


# ------------------------------------------------------------------------------------------------- how many

rates = st.floats(0, 1e5, allow_nan=False)


@given(rates, rates, st.integers(1, 6000))
def test_no_arm_is_cut_to_below_half_for_the_other(canary: float, stable: float, most: int) -> None:
    found = shares({"canary": canary, "stable": stable}, most)
    wanted = {"canary": canary, "stable": stable}
    assert sum(found.values()) <= most * (1 + 1e-9)
    assert all(found[role] >= min(wanted[role], most / 2) * (1 - 1e-9) for role in ROLES)
    if canary + stable >= most:
        assert sum(found.values()) >= most * (1 - 1e-9)


def taken(quota: Quota, seconds: int, *, conversations: int = 0, start: int = 0) -> dict[str, int]:
    """What is taken of each arm in so many seconds, where the canary begins so many conversations a second."""
    found = dict.fromkeys(ROLES, 0)
    for second in range(start, start + seconds):
        quota.see("canary", conversations, second)
        for role, count in quota.wanted(second, 1000).items():
            quota.take(role, count, second)
            found[role] += count
    return found


def test_each_arm_gets_its_least_whatever_its_weight() -> None:
    quota = Quota(LiveGrading(min_per_minute=6, max_per_minute=60), 0)
    found = taken(quota, 600)
    assert all(58 <= count <= 61 for count in found.values())


def test_an_arm_with_many_conversations_gets_its_share_of_them_and_both_no_more_than_the_most() -> None:
    quota = Quota(LiveGrading(sample_rate="0.1", min_per_minute=6, max_per_minute=60), 0)
    taken(quota, 120, conversations=5)  # 300 a minute, so 30 are due
    found = taken(quota, 600, conversations=5, start=120)
    assert 290 <= found["canary"] <= 310
    assert 58 <= found["stable"] <= 62
    found = taken(quota, 600, conversations=100, start=720)
    assert 590 <= sum(found.values()) <= 610
    assert found["stable"] >= 58


def test_graders_that_are_too_slow_leave_no_arm_without_verdicts() -> None:
    """Two questions at a look: the arm with few conversations gets what it has waited for."""
    quota = Quota(LiveGrading(min_per_minute=6, max_per_minute=60), 0)
    found = dict.fromkeys(ROLES, 0)
    for second in range(0, 1200, 5):
        quota.see("stable", 800, second)
        for role, count in quota.wanted(second, 2).items():
            quota.take(role, count, second)
            found[role] += count
    assert 110 <= found["canary"] <= 125
    assert found["stable"] >= 300


def test_what_costs_nothing_is_not_asked_four_at_a_time_for_ever() -> None:
    spending = Spending(State(), 1.0)
    assert spending.room == 4
    assert not spending.begin(DAY)
    spending.end(DAY, 0.0, "a-free-model")
    assert spending.room > 1000


def test_no_minute_has_more_than_the_most_also_after_a_pause() -> None:
    quota, events = Quota(LiveGrading(sample_rate="1", min_per_minute=0, max_per_minute=7), 0), []
    source = random.Random(1)
    now = 0.0
    for _ in range(500):
        now += source.choice([0.2, 1, 3, 50])
        quota.see("stable", 40, now)
        quota.see("canary", 2, now)
        for role, count in quota.wanted(now, 1000).items():
            quota.take(role, count, now)
            events.append((now, count))
        assert sum(count for at, count in events if at > now - 60) <= 7
    assert sum(count for _, count in events) > 300


def test_what_is_open_leaves_less_room() -> None:
    quota = Quota(LiveGrading(min_per_minute=60, max_per_minute=600), 0)
    assert sum(quota.wanted(60, 3).values()) == 3
    assert sum(quota.wanted(61, 0).values()) == 0


# -------------------------------------------------------------------------------------- when verdicts are told


async def begun(batches: Batches, surface: str, role: str, count: int) -> list[asyncio.Task[None]]:
    tasks = [asyncio.create_task(batches.wait(surface, role)) for _ in range(count)]
    await asyncio.sleep(0)
    return tasks


async def test_verdicts_are_told_once_there_are_enough_of_both_arms_on_a_surface() -> None:
    """A tick of the judge that has verdicts of one arm alone says nothing, and has no second chance."""
    batches = Batches(longest=1000)
    tasks = [*await begun(batches, "chat", "stable", 40), *await begun(batches, "chat", "canary", ENOUGH - 1)]
    others = await begun(batches, "voice", "canary", 1)
    assert not any(task.done() for task in tasks)
    tasks += await begun(batches, "chat", "canary", 1)
    await asyncio.gather(*tasks)
    again = await begun(batches, "chat", "canary", 1)
    assert not any(task.done() for task in (*others, *again))
    batches.close()
    await asyncio.gather(*others, *again, *await begun(batches, "chat", "canary", 1))


async def test_no_verdict_waits_for_ever() -> None:
    await Batches(longest=0.01).wait("chat", "canary")


# ------------------------------------------------------------------------------------------------- its cost


def test_a_day_costs_no_more_than_it_may_and_the_next_begins_anew() -> None:
    state = State()
    spending = Spending(state, 1.0)
    paid = 0
    while not spending.begin(DAY):
        spending.end(DAY, 0.09)
        paid += 1
    assert paid == 11
    assert spending.over(DAY) == (
        "$0.99 of maxCostUSDPerDay 1 are spent on 2026-03-01: raise it, or wait until the next day (UTC)"
    )
    later = DAY + dt.timedelta(hours=12)
    assert spending.over(later) == ""
    assert (state.day, state.usd) == ("2026-03-02", 0.0)


def test_questions_that_are_open_count_as_the_dearest() -> None:
    spending = Spending(State(), 1.0)
    assert not spending.begin(DAY)
    spending.end(DAY, 0.4)
    assert not spending.begin(DAY)
    assert "are spent" in spending.begin(DAY)
    spending.end(DAY)  # failed: it has cost nothing
    assert not spending.begin(DAY)


def test_no_more_is_fetched_than_can_be_paid() -> None:
    spending = Spending(State(), 1.0)
    assert 0 < spending.room < 10  # nobody knows yet what one costs
    spending.begin(DAY)
    spending.end(DAY, 0.2)
    assert spending.room == 4
    spending.begin(DAY)
    assert spending.room == 3
    spending.end(DAY, 0.1)
    assert spending.room == 3


def test_a_grader_that_begins_again_knows_what_was_spent() -> None:
    assert Spending(State("2026-03-01", 1.0), 1.0).over(DAY)
    assert not Spending(State("2026-02-28", 1.0), 1.0).over(DAY)


def test_an_answer_without_a_price_ends_it() -> None:
    spending = Spending(State(), 1.0)
    spending.begin(DAY)
    spending.end(DAY, None, "claude-unheard-of")
    assert spending.over(DAY).startswith("claude-unheard-of has no price, so maxCostUSDPerDay cannot be kept")


# --------------------------------------------------------------------------------------------- what is kept


def test_what_is_kept_names_neither_conversation_nor_person_nor_key() -> None:
    question = [
        {"role": "user", "content": "I am jo@example.com, my key is sk-ant-api03-abcdefghijklmnop_qrst"},
        {"role": "assistant", "content": [{"type": "text", "text": "Write to help@example.com"}]},
        {"role": "user", "content": "curl -H 'authorization: Bearer abcdefghij0123456789' it"},
    ]
    found = failed_sample(sample(7, "sent to jo@example.com", question), "llm-rubric", "it names jo@example.com")
    text = msgspec.json.encode(found).decode()
    for secret in ("example.com", "sk-ant-api03", "abcdefghij", "talk-7"):
        assert secret not in text
    assert "I am [email], my key is [key]" in text


@pytest.mark.parametrize(
    "secret",
    [
        "sk_live_51HabcdefghijklmnopQ",
        "github_pat_11ABCDEFG0abcdefghijklm",
        "ghr_abcdefghijklmnopqrstuvwx",
        "glpat-abcdefghij0123456789",
        "npm_abcdefghijklmnopqrstuvwxyz0123456789",
        "hf_abcdefghijklmnopqrstuvwxyz012345",
        "xapp-1-ABCDEFGHIJ",
        "ASIAABCDEFGHIJKLMNOP",
        "AIzaSyabcdefghijklmnopqrstuvwxyz0123",
        "-----BEGIN RSA PRIVATE KEY-----\nMIIEabc\n-----END RSA PRIVATE KEY-----",
        "0123456789abcdef0123",
    ],
)
def test_keys_of_well_known_forms_are_not_kept(secret: str) -> None:
    text = f"x-api-key: {secret} is mine"
    assert redacted(text) == "x-api-key: [key] is mine"


def test_the_newest_are_kept_and_none_for_long() -> None:
    found = [failed_sample(sample(number), "equals", "") for number in range(300)]
    now = 1300.0
    assert [one.at for one in kept(found, 200, now)] == [1000.0 + number for number in range(100, 300)]
    assert kept(found, 0, now) == []
    late = 1000.0 + 250 + RETENTION.total_seconds()
    assert [one.at for one in kept(found, 200, late)] == [1000.0 + number for number in range(251, 300)]


def test_what_is_kept_is_no_larger_than_a_secret_may_be() -> None:
    source = random.Random(1)
    texts = ["".join(source.choices("abcdefghijklmnopqrstuvwxyz0123456789", k=32_000)) for _ in range(60)]
    found = kept([failed_sample(sample(number, text), "equals", "") for number, text in enumerate(texts)], 200, 2000.0)
    assert len(pack_samples(found)) <= LARGEST
    assert 20 < len(found) < 60
    assert found[-1].answer == texts[-1]
    assert read_samples(pack_samples(found)) == found


# ----------------------------------------------------------------------------------------------- where it is


@asynccontextmanager
async def secret(folder: Path, owner: str = "u9", **data: str) -> AsyncIterator[tuple[SecretStore, Cluster]]:
    """The store of the ClaudeDeployment with the UID u9, and the cluster with its Secret of this owner."""
    async with cluster() as made:
        if owner:
            owned(made, owner, **data)
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv("KUBECONFIG", kubeconfig(folder, made.url))
            kube = await Kube.from_environment()
        async with kube:
            yield SecretStore(kube, "demo", "app-failed-samples", "u9"), made


def owned(made: Cluster, owner: str = "u9", **data: str) -> None:
    one = made.add("secrets", "app-failed-samples", data=data)
    one["metadata"]["ownerReferences"] = [{"uid": owner, "controller": True}]


async def test_a_secret_remembers(tmp_path: Path) -> None:
    async with secret(tmp_path) as (store, made):
        assert await store.read() == (State(), [])
        state, found = State("2026-03-01", 1.5, "plan", {"default": "m"}), [failed_sample(sample(), "equals", "")]
        await store.write(state, found)
        assert await store.read() == (state, found)
        await store.write(state, [])
        assert await store.read() == (state, [])
        [stored] = made.objects.values()
        assert set(stored["data"]) == {STATE_KEY}


@pytest.mark.parametrize(
    ("owner", "data", "said"),
    [
        ("", {}, "does not exist: the operator makes it"),
        ("other", {}, "is not the ClaudeDeployment's: delete or rename it"),
        ("u9", {STATE_KEY: base64.b64encode(b"[").decode()}, "state.json of the Secret .* cannot be read: remove"),
    ],
)
async def test_a_cost_that_is_not_known_is_not_none(
    tmp_path: Path, owner: str, data: dict[str, str], said: str
) -> None:
    async with secret(tmp_path, owner, **data) as (store, _):
        with pytest.raises(NoStore, match=said):
            await store.read()


async def test_damaged_samples_are_none(tmp_path: Path) -> None:
    async with secret(tmp_path, **{SAMPLES_KEY: base64.b64encode(b"x").decode()}) as (store, _):
        assert await store.read() == (State(), [])


async def test_a_file_remembers(tmp_path: Path) -> None:
    store = FileStore(tmp_path / "state.json")
    assert await store.read() == (State(), [])
    state, found = State("2026-03-01", 1.5), [failed_sample(sample(), "equals", "")]
    await store.write(state, found)
    assert await store.read() == (state, found)
    (tmp_path / "state.json").write_text("[")
    with pytest.raises(NoStore, match="cannot be read: remove it"):
        await store.read()


# -------------------------------------------------------------------------------------------- what is printed


AT = time.time() - 3600  # what is older than 30 days is not shown


async def printed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, *options: str) -> int:
    found = [failed_sample(sample(number, f"no {number}"), "llm-rubric: It is right.", "") for number in (1, 2)]
    found.append(failed_sample(sample(3, "no 3", [{"role": "user", "content": [{"type": "image"}]}]), "equals", ""))
    found = [msgspec.structs.replace(one, at=AT + one.at) for one in found]
    async with cluster() as made:
        owned(made, **{SAMPLES_KEY: base64.b64encode(pack_samples(found)).decode()})
        monkeypatch.setenv("KUBECONFIG", kubeconfig(tmp_path, made.url))
        return await asyncio.to_thread(main, ["eval", "samples", *options])


async def test_failed_answers_become_items_that_a_person_has_to_complete(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    code = await printed(tmp_path, monkeypatch, "app", "-n", "demo", "--output", "yaml")
    text = capsys.readouterr().out
    assert code == 0
    document = yaml.safe_load(text)
    assert document["kind"] == "ClaudeEvalSet"
    spec = EvalSetSpec.model_validate(document["spec"])
    assert [test.input for test in spec.tests or ()] == [None, "Where is it?", "Where is it?"]
    with pytest.raises(ValueError, match="nothing is checked"):
        load_items(spec)
    for test in document["spec"]["tests"]:
        test["assert"] = [{"type": "equals", "value": "on its way"}]
    assert len(load_items(EvalSetSpec.model_validate(document["spec"]))) == 3


async def test_failed_answers_in_lines(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert await printed(tmp_path, monkeypatch, "app", "-n", "demo") == 0
    lines = capsys.readouterr().out.splitlines()
    when = dt.datetime.fromtimestamp(AT + sample(2).at, dt.UTC).isoformat(timespec="seconds")
    assert lines[1] == f"{when}  app-canary  chat  llm-rubric: It is right.  no 2"
    assert await printed(tmp_path, monkeypatch, "other", "-n", "demo") == 1
    assert "no failed answers of other are kept in the namespace demo" in capsys.readouterr().err


def test_a_plan_is_read_back() -> None:
    plan = GradingPlan(Deployment("app", "demo", "u"), {"rubric": ["It is right."]}, "https://x", arms={"a": ["m"]})
    assert parse_plan(dump_plan(plan)) == plan
    assert plan_hash(dump_plan(plan)) == plan_hash(dump_plan(parse_plan(dump_plan(plan))))
    assert json.loads(dump_plan(plan))["baseURL"] == "https://x"
