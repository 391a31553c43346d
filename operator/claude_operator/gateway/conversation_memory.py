"""What a gateway process knows of conversations: the arm that each is on, and what was counted of it.

Memory is bounded. What is forgotten is taken for a conversation of the home arm, so those that are there are forgotten
first, and of them the one that was heard of longest ago. Of a client nothing is kept but digests. What another process
knows is united with what this one does, in any order and as often as one likes.
"""

from __future__ import annotations

import asyncio
import itertools
from collections import OrderedDict
from collections.abc import Iterable, Iterator
from typing import NamedTuple

from claude_operator.api.conversations import MOST, Conversations, KnownConversation

__all__ = ["BEFORE", "LIMIT", "QUOTES", "Conversation", "ConversationMemory", "Drawn", "Quoted"]

LIMIT = 50_000  # conversations
QUOTES = 150_000  # answers of theirs, ...
_MOST_QUOTES = 64  # ... of one where there are few, ...
_LEAST_QUOTES = 2  # ... and where there are many
_CROWDS = 10_000  # answers that several conversations had
_MOST_FAILED = 16
_MOST_KINDS = 16
_DIGEST, _QUOTE = 32, 16  # hex digits


class Drawn(NamedTuple):
    """The era that a conversation began in: a config generation, and the canary and its weight then."""

    era: int
    canary: str = ""
    weight: int = 0


BEFORE = Drawn(0)
"""Of a conversation that began before there was a canary, or of which nothing is known."""


class Conversation:
    """One conversation. Change it through `ConversationMemory` where other processes have to know."""

    __slots__ = (
        "bad",
        "counted",
        "digest",
        "drawn",
        "failed",
        "heard",
        "moved",
        "quotes",
        "revision",
        "shared",
        "step",
        "turns",
    )

    def __init__(self, digest: int, revision: str, drawn: Drawn) -> None:
        self.digest = digest
        self.revision = revision
        self.drawn = drawn
        self.moved = False
        self.turns = 0
        """Requests that this process has seen answered."""
        self.counted = 0
        """What was counted of it, a bit each: `gateway.units`."""
        self.bad: tuple[str, ...] = ()
        self.step = 0
        """How often its row of failures began anew; of two processes the one with more steps is right."""
        self.failed: tuple[int, ...] = ()
        """Its failures in a row, a random number each."""
        self.quotes: tuple[int, ...] = ()
        self.heard = 0
        """When it was heard of last, in the memory's own count."""
        self.shared = False
        """Whether other processes are told."""


class Quoted(NamedTuple):
    """Whose answer was quoted. `conversation`: the one that had it; `revision`: the arm that all who had it are on,
    empty where they are on several.
    """

    conversation: Conversation | None
    revision: str


class ConversationMemory:
    """The conversations that one process knows. `changed` is set while there is something to tell."""

    def __init__(self, boot_id: str = "", limit: int = LIMIT, quotes: int = QUOTES) -> None:
        self.is_complete = True
        """Whether all conversations since the canary's first weight are known, but for those that were forgotten."""
        self.changed = asyncio.Event()
        self._boot_id = boot_id
        self._limit, self._most_quotes = limit, quotes
        self.forgot_some = False
        """Whether a conversation was forgotten that was not on the home arm: any that is not known may be that one."""
        self._home = ""
        self._at_home: OrderedDict[int, Conversation] = OrderedDict()
        self._elsewhere: OrderedDict[int, Conversation] = OrderedDict()
        self._heard = 0
        self._forgotten_until = 0
        self._quotes: dict[int, Conversation] = {}
        self._crowds: OrderedDict[int, str] = OrderedDict()
        self._drawn: dict[Drawn, Drawn] = {}
        self._words: dict[tuple[str, ...], tuple[str, ...]] = {}
        self._news: dict[int, tuple[int, ...]] | None = None
        """The quotes to tell of each conversation that changed; None while nobody has asked."""

    def __len__(self) -> int:
        return len(self._at_home) + len(self._elsewhere)

    # ------------------------------------------------------------------------------------- this process

    def find(self, digest: int) -> Conversation | None:
        """A conversation, which is then the newest."""
        found = self._get(digest)
        if found is not None:
            self._hear_again(found)
        return found

    def quoted(self, quote: int) -> Quoted | None:
        """Who had the answer that a request quotes."""
        found = self._quotes.get(quote)
        if found is not None and self._get(found.digest) is not found:
            del self._quotes[quote]
            return None
        if found is not None:
            self._hear_again(found)
            return Quoted(found, found.revision)
        revision = self._crowds.get(quote)
        return None if revision is None else Quoted(None, revision)

    def make(self, digest: int, revision: str, drawn: Drawn, *, moved: bool = False) -> Conversation:
        """A conversation that is not kept yet."""
        made = Conversation(digest, revision, self._drawn.setdefault(drawn, drawn))
        made.moved = moved
        return made

    def keep(self, known: Conversation) -> Conversation:
        """Know a conversation from now on; returns what is known of it."""
        kept = self._get(known.digest)
        if kept is None:
            kept = known
            self._keep(known)
            self.tell(known)
        return kept

    def live_at(self, home: str) -> None:
        """Take in where conversations are that are not known."""
        if home == self._home:
            return
        self._home = home
        known = sorted(self, key=lambda one: one.heard)
        self._at_home = OrderedDict((one.digest, one) for one in known if one.revision == home)
        self._elsewhere = OrderedDict((one.digest, one) for one in known if one.revision != home)

    def leave_out(self, known: Conversation, revision: str) -> None:
        """Take in that somebody chose the arm of a request: the conversation's own was not left to chance."""
        known.moved = known.moved or known.revision != revision
        known.drawn = BEFORE
        self.tell(known)

    def move(self, known: Conversation, revision: str) -> None:
        """Take in that a conversation is on another arm from now on."""
        known.revision = revision
        known.moved = True
        self._restart(known)

    def quote(self, known: Conversation, quote: int) -> None:
        """Remember an answer of a conversation, if that is known still."""
        kept = self._get(known.digest)  # it may have been forgotten meanwhile, and learnt anew
        if kept is None:
            return
        known = kept
        if self._add_quote(known, quote):
            self.tell(known, (quote,))

    def fail(self, known: Conversation, mark: int) -> int:
        """Take in that one more request of a conversation failed: how many did in a row, in all processes."""
        known.failed = (*known.failed, mark)[-_MOST_FAILED:]
        self.tell(known)
        return len(known.failed)

    def succeed(self, known: Conversation) -> None:
        """Take in that a request of a conversation did not fail."""
        if known.failed:
            self._restart(known)

    def go_bad(self, known: Conversation, kind: str) -> bool:
        """Whether a bad event is the first of its kind."""
        if kind in known.bad or len(known.bad) >= _MOST_KINDS:
            return False
        known.bad = self._word((*known.bad, kind))
        self.tell(known)
        return True

    def tell(self, known: Conversation, quotes: tuple[int, ...] = ()) -> None:
        """Note that other processes do not know all of a conversation yet."""
        if self._news is not None and known.shared:
            self._news[known.digest] = (*self._news.get(known.digest, ()), *quotes)
            self.changed.set()

    def share(self, known: Conversation) -> None:
        """Have the other processes know a conversation that they had no need to know before."""
        if not known.shared:
            known.shared = True
            self.tell(known, known.quotes)

    # ------------------------------------------------------------------------------------ all processes

    def complete(self) -> None:
        """Take in that all has been learnt that there was to learn."""
        self.is_complete = True

    def outgoing(self) -> list[KnownConversation]:
        """What is new or changed since this was last asked, at most `MOST`; from the first time on it is noted.

        `changed` stays set where there is more.
        """
        news = self._news = {} if self._news is None else self._news
        told: list[KnownConversation] = []
        while news and len(told) < MOST:
            digest = next(iter(news))
            quotes = news.pop(digest)
            known = self._get(digest)
            if known is not None:
                told.append(_as_told(known, quotes))
        if not news:
            self._news = {}  # a dict whose first entries were taken out is slow to begin
            self.changed.clear()
        return told

    def learn(self, known: Iterable[KnownConversation]) -> None:
        """Take in what another process knows, in any order, as often as it comes; raises ValueError."""
        for each in known:
            digest, quotes = _number(each.digest, _DIGEST), [_number(quote, _QUOTE) for quote in each.quotes]
            drawn = Drawn(each.era, each.canary, each.weight)
            mine = self._get(digest)
            if mine is not None:
                self._hear(mine)
            else:
                mine = Conversation(digest, each.revision, self._drawn.setdefault(drawn, drawn))
                mine.step = each.step
                self._keep(mine)
            self._unite(mine, each, drawn)
            mine.shared = True
            for quote in quotes:
                self._add_quote(mine, quote)

    def pages(self, after: str = "", most: int = MOST) -> Conversations:
        """What other processes have to know, by digest, from the first behind `after` on: so many of them."""
        least = _number(after, _DIGEST) if after else -1
        found = self._shared_behind(least, most + 1)
        told = [_as_told(known, known.quotes) for known in found[:most]]
        return Conversations(self._boot_id, told, complete=self.is_complete, more=len(found) > most)

    def _shared_behind(self, least: int, most: int) -> list[Conversation]:
        """The next ones by digest. These are spread evenly, so that only a part of all has to be sorted."""
        whole = 1 << 4 * _DIGEST
        part = 2 * most * whole // (len(self) + 1)
        while True:
            end = least + part
            found = [known for known in self if least < known.digest <= end and known.shared]
            if len(found) >= most or end >= whole:
                return sorted(found, key=lambda known: known.digest)[:most]
            part *= 4

    # ------------------------------------------------------------------------------------------- inside

    def _get(self, digest: int) -> Conversation | None:
        return self._at_home.get(digest) or self._elsewhere.get(digest)

    def _hear(self, known: Conversation) -> None:
        """Put a conversation last where its arm is now."""
        self._heard += 1
        known.heard = self._heard
        _ = self._at_home.pop(known.digest, None) or self._elsewhere.pop(known.digest, None)
        place = self._at_home if known.revision == self._home else self._elsewhere
        place[known.digest] = known

    def _hear_again(self, known: Conversation) -> None:
        """A conversation that would be forgotten if it were on the home arm stays where it is, but is not compared."""
        if known.heard < self._forgotten_until and known.revision != self._home and known.drawn.era:
            known.drawn = BEFORE
            self.tell(known)
        self._hear(known)

    def _keep(self, known: Conversation) -> None:
        self._hear(known)
        if len(self) > self._limit:
            self._forget_oldest()

    def _forget_oldest(self) -> None:
        known = self._take_oldest()
        if known.revision != self._home:
            self.forgot_some = True
        elif known.drawn.era:
            self._forgotten_until = max(self._forgotten_until, known.heard)
        self._forget_quotes(known, known.quotes)
        if self._news is not None:
            self._news.pop(known.digest, None)

    def _take_oldest(self) -> Conversation:
        while self._at_home:
            digest, known = self._at_home.popitem(last=False)
            if known.revision == self._home:
                return known
            self._elsewhere[digest] = known  # it has changed its arm since it was heard of
        return self._elsewhere.popitem(last=False)[1]

    def _forget_quotes(self, known: Conversation, quotes: Iterable[int]) -> None:
        for quote in quotes:
            if self._quotes.get(quote) is known:
                del self._quotes[quote]

    def _add_quote(self, known: Conversation, quote: int) -> bool:
        """Remember an answer; the conversation's first one and its newest are kept."""
        if quote in known.quotes:
            return False
        self._index(known, quote)
        most = max(_LEAST_QUOTES, min(_MOST_QUOTES, self._most_quotes // max(len(self), 1)))
        quotes = (*known.quotes, quote)
        if len(quotes) > most:
            spare = len(quotes) - most
            self._forget_quotes(known, quotes[1 : 1 + spare])
            quotes = (quotes[0], *quotes[1 + spare :])
        known.quotes = quotes
        while len(self._quotes) > self._most_quotes and len(self) > 1:
            self._forget_oldest()
        return True

    def _index(self, known: Conversation, quote: int) -> None:
        other = self._quotes.get(quote)
        if other is None and quote not in self._crowds:
            self._quotes[quote] = known
        elif other is not known:
            revision = other.revision if other is not None else self._crowds[quote]
            self._quotes.pop(quote, None)
            self._crowds[quote] = revision if revision == known.revision else ""
            if len(self._crowds) > _CROWDS:
                self._crowds.popitem(last=False)

    def _unite(self, mine: Conversation, other: KnownConversation, drawn: Drawn) -> None:
        """One result, whoever hears of what first."""
        mine.moved = mine.moved or other.moved or mine.revision != other.revision
        theirs = tuple(int(mark, 16) for mark in other.failed)
        if other.step == mine.step:
            mine.failed = tuple(sorted({*mine.failed, *theirs}))[:_MOST_FAILED]
        elif other.step > mine.step:
            mine.failed = theirs
        if (-other.step, drawn, other.revision) < (-mine.step, mine.drawn, mine.revision):
            mine.step, mine.drawn, mine.revision = other.step, self._drawn.setdefault(drawn, drawn), other.revision
        mine.bad = self._word(sorted({*mine.bad, *other.bad})[:_MOST_KINDS])
        mine.counted |= other.counted

    def _restart(self, known: Conversation) -> None:
        known.step += 1
        known.failed = ()
        self.tell(known)

    def _word(self, kinds: Iterable[str]) -> tuple[str, ...]:
        """Kinds in an order of their own; all conversations with the same kinds share one object."""
        found = tuple(sorted(kinds))
        return self._words.setdefault(found, found) if len(self._words) < self._limit else found

    def __iter__(self) -> Iterator[Conversation]:
        return itertools.chain(self._at_home.values(), self._elsewhere.values())


def _as_told(known: Conversation, quotes: Iterable[int]) -> KnownConversation:
    return KnownConversation(
        f"{known.digest:0{_DIGEST}x}",
        known.revision,
        *known.drawn,
        known.moved,
        list(known.bad),
        [f"{quote:0{_QUOTE}x}" for quote in quotes],
        known.counted,
        known.step,
        [f"{mark:x}" for mark in known.failed],
    )


def _number(digest: str, digits: int) -> int:
    """Hex digits as a number: it takes less memory than they do."""
    if len(digest) != digits:
        raise ValueError(f"a digest has {len(digest)} hex digits, not {digits}")
    return int(digest, 16)
