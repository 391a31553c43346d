"""`eval improve`: proposals of a scripted editor, judged by what a scripted application answers."""

from __future__ import annotations

import asyncio
import json
import os
import re
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml
from tests.evals.servers import Body, Refusal, Text, Upstream, question, upstream

from claude_operator.evals.ask import Infrastructure
from claude_operator.evals.files import read_prompt
from claude_operator.evals.improve import Improvement, Plan, improve
from claude_operator.evals.improved import patch_files, summary
from claude_operator.evals.laptop import Options, asking, load

ITEMS = 60
HELD = range(1, ITEMS, 2)
HARD = {f"ask {number}" for number in range(ITEMS) if number % 5 < 3}
"""Questions that the present prompt fails, of both parts."""
CLD = """
kind: ClaudeDeployment
metadata: {name: support}
spec:
  request:
    model: claude-haiku-5-5
    max_tokens: 16
    system:
    - {type: text, text: %s, cache_control: {type: ephemeral, ttl: 1h}}
    - {type: text, text: Be kind.}
  upstream: {apiKeySecretRef: {name: anthropic, key: api-key}}
"""
PLAN = Plan("claude-opus-5-5", 5.0, rounds=2, candidates=2)


def set_text(*, held: bool = True, more: str = "", number: int = ITEMS) -> str:
    tests = [
        {
            "id": f"SECRET-{n}" if n in HELD else f"i{n}",
            "input": f"ask {n}",
            "assert": [{"type": "equals", "value": f"right {n}"}],
            **({"heldOut": True} if held and n in HELD else {}),
        }
        for n in range(number)
    ]
    return yaml.safe_dump({"tests": tests}) + (more or "execution: {epochs: 1}\n")


def is_editor(body: Body) -> bool:
    return "block_1" in str(body.get("output_config"))


def system(body: Body) -> str:
    return "\n".join(block["text"] for block in body["system"])


def application(body: Body) -> Text:
    """Right on everything that is not hard; GOOD on all, OVERFITTED on what is not held out, BAD on nothing."""
    asked, prompt = question(body), system(body)
    number = int(asked.split()[1])
    known = "GOOD" in prompt or ("OVERFITTED" in prompt and number not in HELD) or asked not in HARD
    return Text(f"right {number}" if known and "BAD" not in prompt else "wrong")


def proposing(*texts: str) -> Callable[[Body], Text]:
    """An editor that proposes these in turn for the first block, and the application."""
    left = list(texts)

    def script(body: Body) -> Text:
        if not is_editor(body):
            return application(body)
        return Text(json.dumps({"reason": "it is better", "block_1": left.pop(0), "block_2": "Be kind."}))

    return script


@dataclass
class Done:
    ended: Improvement
    api: Upstream
    summary: str
    files: dict[Path, str]

    @property
    def editors(self) -> list[Body]:
        return [call.body for call in self.api.calls if is_editor(call.body)]

    def asked(self, prompt: str) -> list[str]:
        """The questions that a prompt with this word was asked."""
        return [question(one.body) for one in self.api.calls if not is_editor(one.body) and prompt in system(one.body)]


async def go(
    folder: Path, script: Callable[[Body], Any], plan: Plan = PLAN, *, text: str = "", request: str = CLD % "OLD"
) -> Done:
    async with upstream(script) as api:
        ended = await run(folder, api, plan, text=text, request=request)
    files = patch_files(folder / "patch.yaml", read_prompt(folder / "cld.yaml"), ended, plan)
    return Done(ended, api, summary(ended, plan, list(files)), files)


async def run(
    folder: Path, api: Upstream, plan: Plan = PLAN, *, text: str = "", request: str = CLD % "OLD", keep: bool = False
) -> Improvement:
    (folder / "set.yaml").write_text(text or set_text())
    (folder / "cld.yaml").write_text(request)
    (folder / "key").write_text("sk-test")
    given = Options(
        folder / "set.yaml",
        (folder / "cld.yaml",),
        base_url=api.url,
        upstream_key=folder / "key",
        keep=folder / "kept" if keep else None,
    )
    work, prompt = load(given, {}), read_prompt(folder / "cld.yaml")
    async with asking(work) as session:
        return await improve(work, prompt, plan, session.asker.ask, session.keeper, _silent)


def _silent(_: str) -> Callable[[int, int], None]:
    return lambda _done, _total: None


async def test_a_better_prompt_is_written_as_a_patch(tmp_path: Path) -> None:
    done = await go(tmp_path, proposing("GOOD one", "OVERFITTED one"))
    assert done.ended.best is not None
    assert done.ended.best.texts == ("GOOD one", "Be kind.")
    [(path, text)] = done.files.items()
    assert path == tmp_path / "patch.yaml"
    assert yaml.safe_load(text) == {
        "spec": {
            "request": {
                "system": [
                    {"type": "text", "text": "GOOD one", "cache_control": {"type": "ephemeral", "ttl": "1h"}},
                    {"type": "text", "text": "Be kind."},
                ]
            }
        }
    }
    header = " ".join(line.removeprefix("# ") for line in text.splitlines() if line.startswith("# "))
    assert "A proposal of claude-opus-5-5; it was not applied." in header
    assert "better on 30 held-out items: +60.0 points, at least +" in header
    assert "kubectl patch claudedeployment support --type merge --patch-file patch.yaml" in header
    assert "The editor's reason: it is better" in header
    assert f"Review {path}: nothing is applied." in done.summary
    assert len(done.editors) == 2  # the second round is not needed


async def test_the_set_is_asked_once_on_the_present_prompt(tmp_path: Path) -> None:
    done = await go(tmp_path, proposing("GOOD one", "OVERFITTED one"))
    assert sorted(done.asked("OLD")) == sorted(f"ask {number}" for number in range(ITEMS))


async def test_no_editor_sees_what_is_held_out(tmp_path: Path) -> None:
    done = await go(tmp_path, proposing("OVERFITTED a", "OVERFITTED b", "OVERFITTED c", "OVERFITTED d"))
    assert len(done.editors) == 4
    told = "".join(question(body) for body in done.editors)
    assert "ask 0\n" in told
    numbers = set(re.findall(r"(?:ask|right) (\d+)\b", told))
    assert numbers
    assert not numbers & set(map(str, HELD))
    assert "SECRET" not in told
    assert "SECRET" not in done.summary


async def test_what_is_better_on_the_shown_items_alone_is_not_written(tmp_path: Path) -> None:
    done = await go(tmp_path, proposing("OVERFITTED a", "OVERFITTED b"), Plan("claude-opus-5-5", 5.0, 1, 2))
    assert (done.ended.best, done.files) == (None, {})
    assert [one.rest and one.rest.phase for one in done.ended.trials] == ["Passed", "Passed"]
    row = done.summary.splitlines()[1].split()
    assert row[:5] == ["1.1", "Passed", "+60.0", "not", "shown"]
    assert "Keep the present prompt: no proposal is shown to be better." in done.summary


async def test_what_the_gate_fails_is_not_asked_the_held_out_items(tmp_path: Path) -> None:
    done = await go(tmp_path, proposing("BAD a", "BAD b"), Plan("claude-opus-5-5", 5.0, 1, 2))
    assert {one.rest.phase for one in done.ended.trials if one.rest} == {"Failed"}
    assert not {f"ask {number}" for number in HELD} & set(done.asked("BAD"))


@pytest.mark.parametrize("place", ["0", "1"])
async def test_a_critical_item_that_fails_rules_a_proposal_out(tmp_path: Path, place: str) -> None:
    tests = yaml.safe_load(set_text())
    tests["tests"][int(place)]["critical"] = True

    def script(body: Body) -> Text:
        wrong = not is_editor(body) and "GOOD" in system(body) and question(body) == f"ask {place}"
        return Text("wrong") if wrong else editor(body)

    editor = proposing("GOOD a", "GOOD b")
    done = await go(tmp_path, script, Plan("claude-opus-5-5", 5.0, 1, 2), text=yaml.safe_dump(tests))
    assert done.ended.best is None
    assert "critical item" in done.summary
    assert "SECRET" not in done.summary


async def test_a_round_begins_with_what_did_best_on_the_shown_items(tmp_path: Path) -> None:
    half = {f"ask {number}" for number in range(0, ITEMS, 4)}

    def script(body: Body) -> Text:
        if not is_editor(body) and "HALF" in system(body) and question(body) in half:
            return Text(f"right {question(body).split()[1]}")
        return editor(body)

    editor = proposing("HALF a", "SAME b", "SAME c", "SAME d")
    done = await go(tmp_path, script)
    first, last = question(done.editors[0]), question(done.editors[-1])
    assert "\nOLD\n" in first
    assert "\nHALF a\n" in last
    assert "user: ask 0\n" in first
    assert "user: ask 0\n" not in last


async def test_refused_proposals_are_asked_nothing(tmp_path: Path) -> None:
    long = "x" * 4_100
    done = await go(tmp_path, proposing("OLD", " ", long, "OLD"))
    assert [one.refused for one in done.ended.trials] == [
        "it is the present prompt",
        "a block of it is empty, and the API takes no empty block",
        "it has 4,108 characters, and 4,022 are allowed",
        "it is the present prompt",
    ]
    assert len(done.api.calls) == ITEMS + 4
    assert "refused before it was asked anything: it is the present prompt" in done.summary


async def test_an_editor_that_answers_something_else_proposes_nothing(tmp_path: Path) -> None:
    answers = [Text("no JSON"), Text("", "refusal"), Text("{", "max_tokens"), Text('{"reason": "only"}')]
    script: Callable[[Body], Text] = lambda body: answers.pop() if is_editor(body) else application(body)  # noqa: E731
    done = await go(tmp_path, script)
    assert {one.refused for one in done.ended.trials} == {
        "the editor's answer is not JSON of the form that was asked for",
        "the editor refuses to write one",
        "the editor's answer was cut off",
        "the editor's answer does not have the blocks that were asked for",
    }


async def test_an_editor_that_the_api_does_not_know_ends_it(tmp_path: Path) -> None:
    def script(body: Body) -> Any:
        return Refusal(404, "not_found_error", "model: x") if is_editor(body) else application(body)

    with pytest.raises(Infrastructure, match=r"refuses the request of the editor claude-opus-5-5: .*model: x"):
        await go(tmp_path, script)


async def test_nothing_is_paid_twice(tmp_path: Path) -> None:
    async with upstream(proposing("OVERFITTED a", "BAD b", "SAME c", "GOOD d")) as api:
        first = await run(tmp_path, api, keep=True)
        asked = len(api.calls)
        second = await run(tmp_path, api, keep=True)
        assert len(api.calls) == asked
    assert first.best is not None
    assert second.best is not None
    assert first.best.texts == second.best.texts
    assert first.spent.total > 0
    assert second.spent.total == 0


async def test_a_run_that_died_asks_only_what_is_left(tmp_path: Path) -> None:
    left = [100]

    def dying(body: Body) -> Any:
        left[0] -= 1
        return Refusal(401, "authentication_error", "the key is over") if left[0] < 0 else editor(body)

    editor = proposing("OVERFITTED a", "BAD b", "SAME c", "GOOD d")
    async with upstream(dying) as api:
        with pytest.raises(Infrastructure, match="the key is over"):
            await run(tmp_path, api, keep=True)
        left[0] = 10_000
        ended = await run(tmp_path, api, keep=True)
        bodies = [call.raw for call in api.calls]
    assert ended.best is not None
    # What was answered is asked once; what was refused with 401 twice.
    assert len(bodies) - len(set(bodies)) <= 4 * 2


# --------------------------------------------------------------------------------------------------------- costs


async def test_costs_are_counted_apart_and_the_cap_is_kept(tmp_path: Path) -> None:
    whole = (await go(tmp_path, proposing("OVERFITTED a", "BAD b", "SAME c", "SAME d"))).ended.spent
    assert whole.editor > 0
    assert whole.answers > whole.editor
    assert whole.graders == 0
    # The editor is asked only where its longest answer fits too, so this leaves it no room for a second round.
    plan = Plan("claude-haiku-5-5", whole.total * 0.7, 2, 2)
    done = await go(tmp_path, proposing("OVERFITTED a", "BAD b", "SAME c", "SAME d"), plan)
    assert done.ended.ended_early
    assert done.ended.spent.total <= plan.max_cost
    assert "No proposal is shown to be better, as far as" in done.summary
    assert "raise --max-cost" in done.summary


async def test_graders_are_counted_apart_and_the_editor_reads_their_reasons(tmp_path: Path) -> None:
    tests = yaml.safe_load(set_text())
    for one in tests["tests"]:
        one["assert"] = [{"type": "llm-rubric", "value": "It is right."}]
    tests["graders"] = [{"name": "default", "model": "claude-sonnet-5-5"}]
    editor = proposing("GOOD a")

    def script(body: Body) -> Text:
        if "criterion_1" not in str(body.get("output_config")):
            return editor(body)
        decided = {"reason": "as a person would", "decision": "\nright " in question(body)}
        return Text(json.dumps({"criterion_1": decided}), model="claude-sonnet-5-5")

    done = await go(tmp_path, script, Plan("claude-opus-5-5", 5.0, 1, 1), text=yaml.safe_dump(tests))
    assert done.ended.best is not None
    assert done.ended.spent.graders > done.ended.spent.answers > 0
    assert "llm-rubric: It is right. -> did not hold" in question(done.editors[0])
    assert "as a person would" in question(done.editors[0])


@pytest.mark.parametrize("cost", [0.0, 0.0001, 0.001, 0.003, 0.01])
async def test_the_cap_is_kept_wherever_it_is(tmp_path: Path, cost: float) -> None:
    done = await go(
        tmp_path, proposing("OVERFITTED a", "BAD b", "SAME c", "SAME d"), Plan("claude-haiku-5-5", cost, 2, 2)
    )
    assert done.ended.spent.total <= cost


async def test_tokens_of_models_without_a_price_have_their_cap_too(tmp_path: Path) -> None:
    unknown = CLD.replace("claude-haiku-5-5", "somebody-1") % "OLD"
    script = proposing("OVERFITTED a", "BAD b", "SAME c", "SAME d")

    def priceless(body: Body) -> Text:
        answer = script(body)
        answer.model = "somebody-1"
        return answer

    text = set_text(more="execution: {epochs: 1, maxTokens: 20000}\n")
    done = await go(tmp_path, priceless, Plan("somebody-1", 5.0, 2, 2), text=text, request=unknown)
    assert done.ended.ended_early
    assert 0 < done.ended.spent.tokens <= 20_000
    assert "tokens of models without a known price" in done.summary


# -------------------------------------------------------------------------------------------- nothing to be done


async def test_a_set_with_too_few_items_is_refused_before_it_costs_anything(tmp_path: Path) -> None:
    async with upstream(application) as api:
        with pytest.raises(ValueError, match=r"6 items of the set can be held out, and with 4 proposals it takes 7 at"):
            await run(tmp_path, api, text=set_text(number=12))
        assert api.calls == []


@pytest.mark.parametrize(
    ("wrong", "why"),
    [
        (set(), "the present prompt fails no item that an editor may see"),
        ({"ask 0", "ask 1"}, "even a prompt that passes every held-out item would not be shown to be better"),
    ],
)
async def test_a_prompt_with_nothing_to_gain_is_not_edited(tmp_path: Path, wrong: set[str], why: str) -> None:
    def script(body: Body) -> Text:
        asked = question(body)
        return Text("wrong" if asked in wrong else f"right {asked.split()[1]}")

    done = await go(tmp_path, script)
    assert why in done.summary
    assert len(done.api.calls) == ITEMS


# ---------------------------------------------------------------------------------------------------- where it is


async def test_without_held_out_items_half_of_them_are_and_that_is_said(tmp_path: Path) -> None:
    done = await go(tmp_path, proposing("GOOD a", "BAD b"), text=set_text(held=False))
    assert done.ended.best is not None
    assert "about half of the items, by a hash of their id, because none is heldOut in the set" in done.summary


IN_A_MAP = (
    CLD.replace("  upstream", "  promptFrom: [{configMapKeyRef: {name: prompts, key: base}}]\n  upstream") % "OLD"
)
MAP = "---\nkind: ConfigMap\nmetadata: {name: prompts}\ndata: {base: Of the map.}\n"


async def test_a_prompt_in_a_config_map_is_patched_there(tmp_path: Path) -> None:
    def script(body: Body) -> Text:
        if not is_editor(body):
            return application(body)
        return Text(json.dumps({"reason": "r", "block_1": "GOOD\nmap", "block_2": "OLD", "block_3": "Be kind!"}))

    done = await go(tmp_path, script, Plan("claude-opus-5-5", 5.0, 1, 1), request=IN_A_MAP + MAP)
    names = [path.name for path in done.files]
    assert names == ["patch.yaml", "patch-prompts.yaml"]
    first, second = map(yaml.safe_load, done.files.values())
    assert [block["text"] for block in first["spec"]["request"]["system"]] == ["OLD", "Be kind!"]
    assert second == {"data": {"base": "GOOD\nmap"}}
    header = " ".join(line.removeprefix("# ") for line in list(done.files.values())[1].splitlines())
    assert "kept in the ConfigMap prompts, which spec.promptFrom reads: kubectl patch configmap prompts" in header


async def test_what_the_editor_wrote_is_no_yaml_of_its_own(tmp_path: Path) -> None:
    reason, text = "fine\nspec: {evil: true}\u2028kind: x\x1b[2J", "GOOD # it\nspec: {evil: true}\n---\nkind: \u202e x "

    def script(body: Body) -> Text:
        if not is_editor(body):
            return application(body)
        return Text(json.dumps({"reason": reason, "block_1": text, "block_2": "Be kind."}))

    done = await go(tmp_path, script, Plan("claude-opus-5-5", 5.0, 1, 1))
    [written] = done.files.values()
    document = yaml.safe_load(written)
    assert list(document) == ["spec"]
    assert document["spec"]["request"]["system"][0]["text"] == text
    assert "\x1b" not in written.split("spec:")[0]
    assert all(
        line.startswith("#") for line in written.splitlines()[: written[: written.index("\nspec:")].count("\n") + 1]
    )


def test_a_revision_is_not_edited(tmp_path: Path) -> None:
    (tmp_path / "r.yaml").write_text("{kind: ClaudeRevision, spec: {request: {model: m, max_tokens: 1}}}")
    with pytest.raises(ValueError, match="never changes: give the ClaudeDeployment"):
        read_prompt(tmp_path / "r.yaml")


# ---------------------------------------------------------------------------------------------------- the command


async def command(folder: Path, api: Upstream, *words: str) -> tuple[int | None, str, str]:
    (folder / "set.yaml").write_text(set_text())
    (folder / "cld.yaml").write_text(CLD % "OLD")
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("ANTHROPIC_", "KUBE"))}
    given = [*words, "-f", "set.yaml", "--request", "cld.yaml", "-o", "patch.yaml", "--base-url", api.url]
    started = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "claude_operator", "eval", "improve", *given,
        stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE, cwd=folder,
        env={**kept, "ANTHROPIC_API_KEY": "sk-test"},
    )  # fmt: skip
    out, err = await started.communicate()
    return started.returncode, out.decode(), err.decode()


@pytest.mark.parametrize(
    ("words", "texts", "code", "said"),
    [
        (["--candidates", "2"], ["GOOD a", "BAD b"], 0, "Review patch.yaml: nothing is applied."),
        (["--rounds", "1", "--candidates", "1"], ["SAME a"], 100, "Keep the present prompt"),
        (["--max-cost", "0.0001"], [], 101, "raise --max-cost"),
        (["--editor", "claude-opus-latest"], [], 1, "--editor: claude-opus-latest names whatever is the latest"),
        (["--rounds", "0"], [], 2, "must be a whole number from 1 to 10"),
        (["--max-cost", "nan"], [], 2, "'nan' must be US dollars"),
    ],
)
async def test_the_command(tmp_path: Path, words: list[str], texts: list[str], code: int, said: str) -> None:
    async with upstream(proposing(*texts)) as api:
        found, out, err = await command(tmp_path, api, *words)
    assert found == code, err
    assert said in out + err
    assert (tmp_path / "patch.yaml").exists() is (code == 0)
    if code == 0:
        assert "round 1 of 3: 2 proposals of claude-opus-5-5\n" in err


async def test_a_file_that_is_there_is_not_written_over(tmp_path: Path) -> None:
    (tmp_path / "patch.yaml").write_text("an hour of work")
    async with upstream(application) as api:
        code, _, err = await command(tmp_path, api)
        assert (code, api.calls) == (1, [])
    assert "patch.yaml is there already: give another name, or delete it" in err
    assert (tmp_path / "patch.yaml").read_text() == "an hour of work"
