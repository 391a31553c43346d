"""Five revisions of one application on a real cluster with live traffic, from the first to a rollback.

v1 serves. v2 is better: it passes its evals and takes over step by step. v3 fails its evals and never gets a request.
v4 passes them, but fails for users: it is rolled back. v5 names a Deprecated model, and is flagged.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import datetime as dt
import json
import os
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import yaml

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent))

from demo.cluster import APP, NAMESPACE, DemoError  # noqa: E402
from demo.screen import Screen  # noqa: E402
from demo.story import CHAPTERS, Chapter  # noqa: E402
from demo.traffic import Traffic  # noqa: E402

from claude_operator.core.spec import revision  # noqa: E402
from demo import cluster, story  # noqa: E402

_PATIENCE = 180.0  # seconds for one chapter
_WINDOW = 3.0  # seconds of traffic that the living line speaks of
_BREATH = 3.0  # seconds between two chapters, for the eye


def lines_of(file: str) -> list[dict[str, Any]]:
    """The objects of a JSONL file of data/."""
    return [json.loads(line) for line in (HERE / "data" / file).read_text(encoding="utf-8").splitlines()]


def scenario() -> dict[str, Any]:
    """simulator.yaml with the right answers of all questions."""
    document: dict[str, Any] = yaml.safe_load((HERE / "simulator.yaml").read_text())
    items = [{"question": item["input"], "answer": item["assert"][0]["value"]} for item in lines_of("evals.jsonl")]
    return document | {"answers": items + lines_of("live.jsonl")}


class Demo:
    """One run: the screen, the traffic, and what is known of the ClaudeDeployment."""

    def __init__(self, screen: Screen, rate: float, seed: int) -> None:
        self.screen, self.rate, self.seed = screen, rate, seed
        self.status: dict[str, Any] = {}
        self.changed = asyncio.Event()
        self.labels: dict[str, str] = {}  # v1 ... by name of the revision
        self.facts = story.Facts()
        self.traffic: Traffic | None = None
        self.gone_at: dict[str, float] = {}  # time.time() at which a revision left config.json, by its name
        self.background: list[asyncio.Task[None]] = []

    async def run(self) -> bool:
        """The whole story; whether it came out as it should."""
        await self._prepare()
        try:
            await self._first()
            for chapter in CHAPTERS[1:]:
                await self._change(chapter)
            if self.traffic:
                self.traffic.stop()
            await self.background[-1]
        finally:
            for task in self.background:
                task.cancel()
            await asyncio.gather(*self.background, return_exceptions=True)
        return self._sum_up()

    async def _prepare(self) -> None:
        image = os.environ["CLAUDE_OPERATOR_IMAGE"]
        with self.screen.step(f"Creating the namespace {NAMESPACE} again"):
            await cluster.fresh_namespace()
        with self.screen.step("Installing the chart claude-operator"):
            await cluster.install(image)
        with self.screen.step("Starting a simulated Claude API with the demo's scenario"):
            await cluster.start_simulator(image, scenario())

    async def _first(self) -> None:
        chapter = CHAPTERS[0]
        self.screen.columns()
        self.screen.heading(chapter.label, chapter.title, f"kubectl -n {NAMESPACE} apply -f demo/app.yaml")
        items = (HERE / "data/evals.jsonl").read_text(encoding="utf-8")
        name = {"name": "assistant-evals"}
        await cluster.apply(
            {"apiVersion": "v1", "kind": "ConfigMap", "metadata": name, "data": {"items.jsonl": items}},
            (HERE / "app.yaml").read_text(),
        )
        self._learn_name(chapter, await cluster.kubectl("get", "cld", APP, "--output=json"))
        self._start(self._follow())
        self._start(self._follow_weights())
        await self._until(chapter)
        if self.facts.outcomes[chapter.label] != chapter.outcome:
            raise DemoError(f"the first revision does not serve: {self.facts.outcomes[chapter.label]}")
        base_url, key = await cluster.client_environment()
        self.traffic = traffic = Traffic(base_url, key, lines_of("live.jsonl"), self.rate, self.seed)
        self._start(traffic.run())
        self.screen.show(self._living)
        self.screen.say(
            f"{'':7}live traffic begins: {self.rate:g} requests a second with the anthropic SDK, half of them streamed"
        )
        await self._wait(lambda: len(traffic.answers) > 50, 30, "the first answers through the gateway")

    async def _change(self, chapter: Chapter) -> None:
        patch = yaml.safe_load((HERE / chapter.file).read_text())
        request = patch["spec"]["request"]
        lifecycle = ""
        if chapter.label == "v5":
            today = dt.datetime.now(dt.UTC).date()
            request["model"], lifecycle = story.flagged_model(request["model"], today)
            self.facts.lifecycle = lifecycle
        title = chapter.title.format(model=request["model"], lifecycle=lifecycle)
        patching = f"patch cld {APP} --type=merge --patch-file demo/{chapter.file}"
        self.screen.heading(chapter.label, title, f"kubectl -n {NAMESPACE} {patching}")
        words = ("patch", "cld", APP, "--type=merge", "--patch", json.dumps(patch))
        self._learn_name(chapter, await cluster.kubectl(*words, "--dry-run=server", "--output=json"))
        await cluster.kubectl(*words)
        await self._until(chapter)
        await asyncio.sleep(_BREATH)

    def _learn_name(self, chapter: Chapter, stored: str) -> None:
        """The revision's name follows from the ClaudeDeployment as the API server stores it, given as JSON."""
        self.labels[revision.name(APP, revision.content(json.loads(stored)["spec"], {}))] = chapter.label

    async def _until(self, chapter: Chapter) -> None:
        """Wait until the chapter's rollout has ended."""
        name = self._name(chapter.label)
        what = f"an end of {chapter.label}'s rollout (expected: {chapter.outcome})"
        await self._wait(lambda: bool(story.ended(self.status, name)), _PATIENCE, what)
        self.facts.outcomes[chapter.label] = story.ended(self.status, name)["outcome"]
        if chapter.label == CHAPTERS[-1].label:
            self.facts.model_reason = str(story.condition(self.status, "ModelCurrent").get("reason", ""))

    async def _wait(self, true: Callable[[], bool], patience: float, what: str) -> None:
        deadline = time.monotonic() + patience
        while not true():
            for task in self.background:
                if task.done():
                    task.result()
                    raise DemoError("a part of the demo ended early")
            if time.monotonic() > deadline:
                raise DemoError(f"waited {patience:g} s for {what}")
            self.changed.clear()
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self.changed.wait(), 0.5)

    def _start(self, work: Any) -> None:
        self.background.append(asyncio.create_task(work))

    async def _follow(self) -> None:
        """Tell every transition of the ClaudeDeployment."""
        async for found in cluster.watch("claudedeployments", APP):
            status = found.get("status") or {}
            for row in story.rows(self.status, status):
                label = self.labels.get(row.revision, row.revision)
                weights = self.facts.weights.setdefault(label, [])
                if row.weight and row.weight not in weights[-1:]:
                    weights.append(row.weight)
                digits = row.revision.rpartition("-")[2][:5]
                text = story.tidy(row.text, self.labels)
                self.screen.row(row, f"{label} {digits}", text)
            self.status = status
            self.changed.set()

    async def _follow_weights(self) -> None:
        """Note when a revision leaves the document that the gateways serve by."""
        served: set[str] = set()
        async for found in cluster.watch("configmaps", f"{APP}-gateway"):
            arms = json.loads(found["data"]["config.json"])["arms"]
            now = {arm["revision"] for arm in arms if arm["weight"]}
            self.gone_at |= dict.fromkeys(served - now, time.time())
            served = now

    def _name(self, label: str) -> str:
        return next(name for name, its in self.labels.items() if its == label)

    def _living(self) -> str:
        """Requests a second, who answers them, and what has failed."""
        if self.traffic is None:
            return ""
        recent = self.traffic.recent(_WINDOW)
        failed = sum(bool(answer.error) for answer in self.traffic.answers)
        now = story.shares([answer.revision for answer in recent], self.labels)
        return f"{len(recent) / _WINDOW:4.0f} requests/s   {now or 'none answered'}   failed so far: {failed}"

    def _tallies(self) -> Iterator[tuple[str, story.Tally]]:
        answers = self.traffic.answers if self.traffic else []
        for name in [*self.labels, *sorted({answer.revision for answer in answers} - set(self.labels))]:
            mine = [answer for answer in answers if answer.revision == name]
            failed = sum(bool(answer.error) for answer in mine)
            right = sum(answer.right for answer in mine if not answer.error)
            if mine or name in self.labels:
                yield self.labels.get(name, name), story.Tally(len(mine), failed, right, len(mine) - failed - right)

    def _sum_up(self) -> bool:
        facts, answers = self.facts, self.traffic.answers if self.traffic else []
        facts.tallies = dict(self._tallies())
        fourth = self._name("v4")
        bad = [answer.at for answer in answers if answer.error and answer.revision == fourth]
        if bad and fourth in self.gone_at:
            facts.taken_back_after = max(self.gone_at[fourth] - min(bad), 0.0)
        self.screen.show(str)
        self.screen.say()
        lines = []
        for label, tally in facts.tallies.items():
            whole = tally.right + tally.wrong
            share = f"{100 * tally.right / whole:.0f} %" if whole else "-"
            outcome = facts.outcomes.get(label, "-")
            lines.append((label or "none", outcome, f"{tally.requests:,}", f"{tally.failed:,}", share))
        self.screen.table(("revision", "outcome", "live requests", "failed", "right answers"), lines)
        self.screen.say()
        verdicts = story.verdicts(facts)
        for true, text in verdicts:
            self.screen.say(f"{'ok  ' if true else 'NOT '} {text}", "green" if true else "bold red")
        strange = [answer for answer in answers if answer.error and answer.revision != fourth]
        for answer in strange[:5]:
            self.screen.say(f"     {self.labels.get(answer.revision, 'no revision')}: {answer.error}", "red")
        return all(true for true, _ in verdicts)


LOOK_AROUND = f"""
Look around:
  hack/in-cluster kubectl -n {NAMESPACE} get cld,clr,cer
  hack/in-cluster kubectl -n {NAMESPACE} describe cld {APP}
  hack/in-cluster kubectl -n {NAMESPACE} get cld {APP} -o jsonpath='{{.status.rollouts}}'
  hack/in-cluster kubectl get claudemodels
  hack/in-cluster kubectl -n {cluster.SYSTEM} logs -l app.kubernetes.io/component=operator --prefix
Clean up:
  hack/in-cluster kubectl delete namespace {NAMESPACE}
  hack/in-cluster helm uninstall {cluster.RELEASE} -n {cluster.SYSTEM}
  make cluster-down"""


async def tell(rate: float, seed: int) -> int:
    """Run the demo on the screen. Exit code 0 where all came out as it should, else 1."""
    with Screen() as screen:
        try:
            good = await Demo(screen, rate, seed).run()
        except DemoError as error:
            screen.show(str)
            screen.say(f"\nThe demo stopped: {error}\n", "bold red")
            screen.say(await cluster.describe())
            screen.say(LOOK_AROUND)
            return 1
        if not good:
            screen.say()
            screen.say(await cluster.describe())
        screen.say(f"\nFinished in {time.monotonic() - screen.begun:.0f} s.")
        screen.say(LOOK_AROUND)
    return 0 if good else 1


def parse(arguments: list[str] | None = None) -> argparse.Namespace:
    """The options."""
    parser = argparse.ArgumentParser(
        prog="make demo",
        description=__doc__,
        epilog="With make: make demo ARGS='--rate 40'. Exit codes: 0 all checks passed, 1 a check failed, 130 stopped.",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--rate", type=_rate, default=30.0, help="live requests a second, 10 to 100 (default: 30)")
    parser.add_argument("--seed", type=int, default=1, help="seed of the random order of questions (default: 1)")
    return parser.parse_args(arguments)


def _rate(text: str) -> float:
    value = float(text)
    if not 10 <= value <= 100:
        raise argparse.ArgumentTypeError("write a number from 10 to 100")
    return value


def main() -> None:
    """Run it as a command."""
    args = parse()
    if not os.environ.get("CLAUDE_OPERATOR_IMAGE") or not os.environ.get("CLAUDE_OPERATOR_CLUSTER"):
        sys.exit("the demo needs the cluster and the image that make sets up, and uses no other: run `make demo`")
    try:
        code = asyncio.run(tell(args.rate, args.seed))
    except KeyboardInterrupt:
        print(f"\nstopped{LOOK_AROUND}", file=sys.stderr)
        code = 130
    sys.exit(code)


if __name__ == "__main__":
    main()
