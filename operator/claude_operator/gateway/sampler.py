"""Samples of live answers for grading: chosen before anything is known of an answer, kept in memory alone, bounded.

A conversation is sampled once a revision, with the first whole answer that it gets after it was chosen: the judge takes
each grade as one independent event. Only conversations count that began while the present canary had traffic, on both
arms, so that both have conversations of the same age.
"""

from __future__ import annotations

import time
from collections import Counter, OrderedDict, deque
from collections.abc import Callable
from typing import NamedTuple

from claude_operator.api.gateway import GatewayConfig, Live
from claude_operator.api.samples import LONGEST_TROUBLE, MOST_SAMPLES, GraderNote, Sample, SampledAnswer, Samples
from claude_operator.core.request.json_body import JsonObject
from claude_operator.gateway.call import Call
from claude_operator.gateway.sampled import AnswerTap, Pending, tail

__all__ = ["KEPT_BYTES", "KEPT_SECONDS", "Sampler"]

KEPT_BYTES = 4 * 1024 * 1024
KEPT_SECONDS = 600.0
_KNOWN = 50_000  # conversations that are known to have been chosen
_NOT_FINAL = ("tool_use", "pause_turn", "")
_FRACTION = 1 << 32


class _Kept(NamedTuple):
    sample: Sample
    size: int
    at: float


class _Bucket:
    """Tokens of one arm: what it may have sampled whatever the rate."""

    __slots__ = ("_at", "_per_second", "_tokens")

    def __init__(self, per_minute: int, now: float) -> None:
        self._per_second, self._tokens, self._at = per_minute / 60.0, min(per_minute, 1.0), now

    def has_token(self, now: float) -> bool:
        most = max(self._per_second * 60.0, 1.0) if self._per_second else 0.0
        self._tokens = min(self._tokens + (now - self._at) * self._per_second, most)
        self._at = now
        return self._tokens >= 1.0

    def take(self) -> None:
        self._tokens = max(self._tokens - 1.0, 0.0)


class Sampler:
    """The samples of one gateway process."""

    def __init__(
        self, boot_id: str, clock: Callable[[], float] = time.monotonic, wall: Callable[[], float] = time.time
    ) -> None:
        self._boot, self._clock, self._wall = boot_id, clock, wall
        self._live: Live | None = None
        self._canary = ""
        self._since = 0
        """The config generation with which the canary got its first traffic."""
        self._generation = 0
        self._buckets: dict[str, _Bucket] = {}
        self._kept: dict[str, deque[_Kept]] = {}
        self._open: Counter[str] = Counter()
        self._chosen: OrderedDict[str, bool] = OrderedDict()
        """By conversation under its revision, whether it has been sampled."""
        self._conversations: Counter[str] = Counter()
        self._dropped: Counter[str] = Counter()
        self._made = self._handed = 0
        self._asked: float | None = None
        self._trouble = ""

    def enter(self, config: GatewayConfig) -> None:
        """Take in the config that is served from now on: without a canary that is graded nothing is kept."""
        self._generation = config.generation
        live = config.live if isinstance(config.live, Live) else None
        canary = config.arm("canary")
        canary = canary if canary is not None and canary.weight else None
        graded = {arm.revision for arm in config.arms if arm.role in ("stable", "canary")} if live and canary else set()
        if canary is None or canary.revision != self._canary:
            self._chosen.clear()
            self._since = config.generation
        self._canary = canary.revision if canary is not None else ""
        if live != self._live or graded != set(self._buckets):
            per_minute = live.min_per_minute if live is not None else 0
            now = self._clock()
            known = self._buckets if live == self._live else {}
            self._buckets = {name: known.get(name) or _Bucket(per_minute, now) for name in graded}
        self._live = live if graded else None
        self._kept = {revision: self._kept.get(revision, deque()) for revision in graded}
        self._conversations = Counter({name: n for name, n in self._conversations.items() if name in graded})
        self._dropped = Counter({name: n for name, n in self._dropped.items() if name in graded})

    def begin(self, call: Call, fields: JsonObject, *, opted_out: bool = False) -> None:
        """Decide whether a call's answer is sampled, by what is known before it is asked for."""
        live, revision, known = self._live, call.revision, call.known
        if live is None or opted_out or revision not in self._kept or not call.counted or call.warms_cache:
            return
        if known is None or call.moved or call.subagent or (call.choice and call.choice.pinned):
            return
        if known.drawn.canary != self._canary or known.drawn.era < self._since:
            return
        if call.turn == 0 and not call.claims_retry:
            self._conversations[revision] += 1
        digest = self._digest(call)
        if not self._chooses(live, digest, revision, begins=call.turn == 0):
            return
        if self._open[revision] >= MOST_SAMPLES:
            self._dropped[revision] += 1
            return
        try:
            messages, size, cut = tail(fields["messages"])
        except (KeyError, ValueError, RecursionError, OverflowError):  # the API refuses it too
            return
        self._open[revision] += 1
        call.sample = Pending(digest, messages, size, cut or call.continues_thread, AnswerTap())

    def finish(self, call: Call) -> None:
        """Keep the sample of a call that has ended, if it got a whole answer that is final."""
        pending = call.sample
        if pending is None:
            return
        call.sample = None
        revision, role, summary = call.revision, call.role, call.summary
        self._open[revision] -= 1
        if call.outcome != "ok" or call.is_retry or not call.is_evidence or summary.stop_reason in _NOT_FINAL:
            return
        if revision not in self._kept or role is None or self._chosen.get(pending.conversation):
            return
        self._chosen[pending.conversation] = True
        self._made += 1
        tap = pending.tap
        answer = SampledAnswer(tap.text, summary.stop_reason, call.answering_model[:1024], tap.calls, summary.usage)
        sample = Sample(
            id=f"{self._boot}.{self._made}",
            revision=revision,
            role=role,
            surface=call.surface,
            conversation=pending.conversation,
            at=self._wall(),
            messages=pending.messages,
            answer=answer,
            cut_question=pending.cut,
            cut_answer=tap.cut,
        )
        self._keep(_Kept(sample, pending.size + tap.size + 512, self._clock()))

    def expire(self) -> None:
        """Drop what is too old."""
        oldest = self._clock() - KEPT_SECONDS
        for revision, kept in self._kept.items():
            while kept and kept[0].at < oldest:
                kept.popleft()
                self._dropped[revision] += 1

    def hear(self, trouble: str) -> None:
        """A grader asks, and says what keeps it from grading."""
        self._asked, self._trouble = self._clock(), _line(trouble)

    @property
    def grader(self) -> GraderNote | None:
        """Of who asked last."""
        return None if self._asked is None else GraderNote(round(self._clock() - self._asked, 1), self._trouble)

    def take(self, pod: str, wanted: dict[str, int], after: str) -> Samples:
        """Hand out the newest samples by role and forget them, to who names the answer before."""
        self.expire()
        sampling = self._live is not None
        if after != self._cursor:
            return Samples(pod, self._generation, self._cursor, sampling)
        self._handed += 1
        found = []
        for kept in self._kept.values():
            left = min(wanted.get(kept[-1].sample.role, 0), len(kept)) if kept else 0
            found += [kept.pop().sample for _ in range(left)]
        conversations, dropped = dict(self._conversations), dict(self._dropped)
        self._conversations.clear()
        self._dropped.clear()
        return Samples(pod, self._generation, self._cursor, sampling, found, conversations, dropped)

    @property
    def _cursor(self) -> str:
        return f"{self._boot}.{self._handed}"

    def _digest(self, call: Call) -> str:
        """Stands for the conversation under its revision; a request that has none stands for itself."""
        live, known = call.live, call.known
        if live is None or known is None:
            return ""
        # A user is drawn and counted anew with each weight, and so is the digest.
        by_user = live.split is not None and live.split.unit == "User"
        key = (None if by_user else call.conversation) or f"{known.digest:032x}"
        found = live.assignment.digest(live.config.deployment.uid, f"graded\0{call.revision}\0{key}")
        return f"{found:032x}"

    def _chooses(self, live: Live, digest: str, revision: str, *, begins: bool) -> bool:
        """A token goes to a conversation that begins: of a large arm later turns would be graded against first ones."""
        sampled = self._chosen.get(digest)
        if sampled is not None:
            return not sampled
        bucket, now = self._buckets[revision], self._clock()
        has_token = bucket.has_token(now) and begins
        if not has_token and int(digest[:8], 16) >= live.sample_rate * _FRACTION:
            return False
        bucket.take()
        self._chosen[digest] = False
        if len(self._chosen) > _KNOWN:
            self._chosen.popitem(last=False)
        return True

    def _keep(self, kept: _Kept) -> None:
        """Keep a sample; older ones give way to it."""
        own = self._kept[kept.sample.revision]
        own.append(kept)
        if len(own) > MOST_SAMPLES:
            self._drop_oldest(kept.sample.revision)
        while sum(one.size for each in self._kept.values() for one in each) > KEPT_BYTES:
            self._drop_oldest(max(self._kept, key=lambda name: sum(one.size for one in self._kept[name])))

    def _drop_oldest(self, revision: str) -> None:
        self._kept[revision].popleft()
        self._dropped[revision] += 1


def _line(text: str) -> str:
    """What a grader says, as one line of a sentence."""
    printable = "".join(one if one.isprintable() else " " for one in text[:LONGEST_TROUBLE])
    return " ".join(printable.split())
