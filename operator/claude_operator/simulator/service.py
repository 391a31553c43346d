"""The simulated API without HTTP: its state, and how it answers a request."""

from __future__ import annotations

import datetime
import hashlib
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field, replace

from claude_operator.core.catalogue.table import Model
from claude_operator.simulator.admin_book import Book
from claude_operator.simulator.answers import Reply, reply_to
from claude_operator.simulator.cache import CacheLookup, PromptCache
from claude_operator.simulator.diagnostics import Diagnostics
from claude_operator.simulator.draws import Draw, draw
from claude_operator.simulator.errors import ApiError, new_id, of_status, spent
from claude_operator.simulator.ledger import Ledger
from claude_operator.simulator.limits import RateLimits
from claude_operator.simulator.lives import Lives, Served
from claude_operator.simulator.models import find_served
from claude_operator.simulator.profile import Compiled, Profile
from claude_operator.simulator.request import Request
from claude_operator.simulator.rules import shape_violation, violation
from claude_operator.simulator.stats import Stats
from claude_operator.simulator.stream import Message
from claude_operator.simulator.thinking import thoughts
from claude_operator.simulator.threads import Threads

__all__ = ["Simulator", "Turn"]

_REFUSAL = Reply("", "refusal", 0)
_MOST_ASKED = 200_000  # questions of prompts whose askings are counted


@dataclass(frozen=True, slots=True)
class Turn:
    """A valid request, the profile that applies to it, and its random draw."""

    request: Request
    model: Model
    profile: Profile
    draw: Draw
    began: float
    scenario: Compiled
    system_hash: str
    asked: int = 0
    """How often this prompt was asked this question before."""


@dataclass(slots=True)
class Simulator:
    """The API's state. `clock` gives seconds since the epoch; it dates requests, cache entries and models."""

    scenario: Compiled
    clock: Callable[[], float] = time.time
    cache: PromptCache = field(default_factory=PromptCache)
    stats: Stats = field(default_factory=Stats)
    limits: RateLimits = field(default_factory=RateLimits)
    threads: Threads = field(default_factory=Threads)
    diagnostics: Diagnostics = field(default_factory=Diagnostics)
    ledger: Ledger = field(default_factory=Ledger)
    book: Book = field(default_factory=Book)
    _numbers: Counter[str] = field(default_factory=Counter)
    _asked: Counter[bytes] = field(default_factory=Counter)
    _lives: Lives = field(init=False)

    def __post_init__(self) -> None:
        self._lives = Lives(self.scenario.source.lifecycle, self.clock())

    @property
    def today(self) -> datetime.date:
        """The scenario's day, else the clock's."""
        return self.scenario.today or datetime.datetime.fromtimestamp(self.clock(), datetime.UTC).date()

    @property
    def served(self) -> Served:
        """The models that there are now."""
        return self._lives.at(self.clock())

    def apply(self, scenario: Compiled) -> None:
        """Use another scenario from the next request on; draws start again, cache and stats stay."""
        self.scenario = scenario
        self._lives = Lives(scenario.source.lifecycle, self.clock())
        self._numbers.clear()
        self._asked.clear()

    def check(self, request: Request) -> Model:
        """The model that answers; raises ApiError 400 or 404 for what breaks a rule."""
        wrong = shape_violation(request)
        if wrong:
            raise of_status(400, wrong)
        model = find_served(request.body["model"], self.served, self.today)
        wrong = violation(request, model, self.today)
        if wrong:
            raise of_status(400, wrong)
        return model

    def begin(self, request: Request) -> Turn:
        """Accept a request; raises ApiError where it breaks a rule."""
        began = self.clock()
        request = self.threads.expand(request, began)
        model = self.check(request)
        scenario = self.scenario
        system_hash = request.system_hash
        profile = scenario.profile(model.id, request.system, system_hash, request.question)
        number = self._numbers[profile.label]
        self._numbers[profile.label] += 1
        self.stats.request(profile.label, model.id)
        self.limits.add(began, requests=1)
        try:
            self.check_account()
        except ApiError as error:
            self.stats.error(profile.label, model.id, error.kind)
            raise
        drawn = draw(profile, scenario.seed, number)
        counts = drawn.status == 200 and (profile.difficulty or profile.grader or profile.editor)
        asked = self._count_asked(request, model, system_hash) if counts else 0
        return Turn(request, model, profile, drawn, began, scenario, system_hash, asked)

    def check_account(self) -> None:
        """Raises ApiError where the account may spend nothing more."""
        account = self.scenario.source.account
        if account is not None and self.ledger.usd >= account.usd:
            raise spent(account.limit, self.clock())

    def look_up_prompt(self, request: Request, model: Model, now: float) -> CacheLookup:
        """The prompt's tokens, and those of them in the cache."""
        return self.cache.look_up(request, model, now)

    def answer(self, turn: Turn, lookup: CacheLookup, tier: str = "standard") -> Message:
        """The answer; counts it and writes the prompt to the cache."""
        label, model = turn.profile.label, turn.model
        self.cache.write(lookup, turn.began)
        reply = _REFUSAL
        if not turn.draw.refused:
            reply = reply_to(turn.request, model, turn.scenario, turn.profile, turn.asked)
        geo = turn.request.body.get("inference_geo", "global") if model.inference_geo_ok else "not_available"
        usage = lookup.usage | {"service_tier": tier, "inference_geo": geo}
        if "speed" in turn.request.body:
            usage["speed"] = turn.request.body["speed"]
        thinking = "" if turn.draw.refused else thoughts(turn.request)
        message_id = new_id("msg")
        told = self.diagnostics.compare(turn.request, model, message_id)
        message = Message(message_id, model, reply, usage, thinking, told)
        if not (turn.draw.refused or turn.draw.broken):
            self.threads.store(turn.request, message, self.clock())
        if turn.draw.refused:
            self.stats.answer(label, model.id, "refusals")
        elif reply.right is not None:
            self.stats.answer(label, model.id, "right" if reply.right else "wrong")
        self.stats.usage(label, model.id, message.usage)
        tokens = lookup.fresh + sum(lookup.written.values())
        self.limits.add(turn.began, input_tokens=tokens, output_tokens=message.output_tokens)
        return message

    def _count_asked(self, request: Request, model: Model, system_hash: str) -> int:
        """How often this model and prompt were asked this question at this turn of its calls, before now."""
        key = "\x1f".join((model.id, system_hash, str(request.calls_answered), request.question))
        digest = hashlib.blake2b(key.encode("utf-8", "replace"), digest_size=8).digest()
        if len(self._asked) > _MOST_ASKED:
            self._asked.clear()
        self._asked[digest] += 1
        return self._asked[digest] - 1

    def count(self, request: Request) -> int:
        """The prompt's tokens, without the cache; raises ApiError where the request breaks a rule."""
        model = self.check(request)
        everything = replace(request, body={**request.body, "max_tokens": 1})
        lookup = PromptCache().look_up(everything, model, 0.0)
        return lookup.fresh + sum(lookup.written.values())
