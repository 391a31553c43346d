"""How well prompts are cached, by revision, surface and prefix, and why a call found less than it could have."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Mapping

from claude_operator.api.evidence import OTHER
from claude_operator.api.usage_cache import NO_PREFIX, ColdRow, PrefixRow
from claude_operator.core.catalogue.cost import LIST_PRICES, cost_of_reading
from claude_operator.core.catalogue.table import find
from claude_operator.core.request.prefix import LARGEST, Prompt, Shape, shape_of
from claude_operator.core.text import duration
from claude_operator.core.usage.cold import Cause, Placement, Seen, Tokens, compare, find_cause, lost_tokens
from claude_operator.gateway.call import Call
from claude_operator.gateway.prompt_note import PrefixUse, PromptNote

__all__ = ["PrefixStore"]

_MOST_TRACES = 128  # revision, surface, subagent and the client's own key: those unused for longest go first
_MOST_KNOWN = 64  # prefixes of each
_MOST_NAMED = 10  # prefixes of a revision that have a name of their own
_NAMED_AFTER = 3  # calls: a prefix that changes each time gets no name
_MOST_REVISIONS = 8  # that have rows; those unused for longest go first
_MOST_ROWS = 500  # of a revision
_BYTES_A_TOKEN = 6  # at most, of a text: a request's images and documents have far more

_Key = tuple[str, str, str, str]
_REST = (OTHER, OTHER, OTHER)


class _Trace:
    """The calls before, on one revision, surface and subagent, with one key: another may have another cache."""

    __slots__ = ("known", "last")

    def __init__(self) -> None:
        self.last: Shape | None = None
        self.known: OrderedDict[tuple[str, int], PrefixUse] = OrderedDict()

    def look(self, model: str, prompt: Prompt, now: float) -> tuple[PrefixUse, Seen]:
        """What is known of this prefix; from now on it is one of the calls before."""
        key = (model, prompt.key)
        use = self.known.get(key)
        if use is None:
            before, self.last = self.last, shape_of(model, prompt)
            use = self.known[key] = PrefixUse(self.last.name)
            if len(self.known) > _MOST_KNOWN:
                self.known.popitem(last=False)
            return use, Seen(first=before is None, change=compare(before, self.last) if before else None)
        self.known.move_to_end(key)
        return use, Seen(warming=True) if use.answered is None else Seen(gap=now - use.answered)


class _Cold:
    """One cause while it is being counted."""

    __slots__ = ("calls", "hint", "tokens", "unpriced", "usd", "where")

    def __init__(self) -> None:
        self.calls = self.tokens = self.unpriced = 0
        self.usd = 0.0
        self.where = self.hint = ""

    def row(self, cause: Cause) -> ColdRow:
        """As it travels."""
        return ColdRow(cause, self.calls, self.tokens, self.usd, self.unpriced, self.where, self.hint)


class _Sums:
    """One row while it is being filled."""

    __slots__ = ("calls", "cold", "input", "read", "written")

    def __init__(self) -> None:
        self.calls = self.input = self.read = self.written = 0
        self.cold: dict[Cause, _Cold] = {}

    def row(self, key: _Key) -> PrefixRow:
        """As it travels."""
        cold = [sums.row(cause) for cause, sums in self.cold.items()]
        return PrefixRow(*key, self.calls, self.input, self.read, self.written, cold)


class _Revision:
    """The rows of a revision, none of which shrinks, and the prefixes that have a name of their own."""

    __slots__ = ("names", "rows")

    def __init__(self) -> None:
        self.names: set[str] = set()
        self.rows: dict[_Key, _Sums] = {}

    def name(self, prefix: str, calls: int) -> str:
        """The name that a prefix counts under. Once it has its own it keeps it, so that no counter falls."""
        if prefix in self.names:
            return prefix
        if calls < _NAMED_AFTER or len(self.names) >= _MOST_NAMED:
            return OTHER
        self.names.add(prefix)
        return prefix

    def sums(self, key: _Key) -> _Sums:
        """The row of this key."""
        found = self.rows.get(key)
        if found is None:
            found = self.rows.setdefault(key if len(self.rows) < _MOST_ROWS else (key[0], *_REST), _Sums())
        return found


class PrefixStore:
    """What is counted since boot, for the revisions that were used last."""

    def __init__(self) -> None:
        self._traces: OrderedDict[tuple[str, str, str, str], _Trace] = OrderedDict()
        self._revisions: OrderedDict[str, _Revision] = OrderedDict()

    def begin(self, call: Call, prompt: Prompt, body_size: int) -> None:
        """Compare a call that goes upstream with those before it."""
        if prompt.size > LARGEST:
            return
        placed = Placement(bool(prompt.marks), prompt.in_messages, bool(prompt.lost), call.cache_ttl)
        use, seen = self._trace(call).look(call.model, prompt, call.sent)
        call.prompt = PromptNote(use, placed, seen, prompt.size, prompt.size / body_size if body_size else 0.0)

    def record(self, call: Call, tokens: Mapping[str, int]) -> None:
        """Take in an ended `POST /v1/messages` that an arm answered."""
        note = call.prompt
        written = tokens["cacheWrite5m"] + tokens["cacheWrite1h"]
        total = tokens["input"] + tokens["cacheRead"] + written
        if not total:
            return
        revision = self._revision(call.revision)
        name = _count_use(note.use, revision, call.sent) if note else OTHER
        sums = revision.sums((call.revision, call.role or OTHER, call.surface, name))
        sums.calls += 1
        sums.input += total
        sums.read += tokens["cacheRead"]
        sums.written += written
        all_read = tokens["cacheRead"] and not written
        if note and not all_read and not call.warms_cache:  # such a call is there to write
            self._find_cold(call, note, tokens, sums)

    def rows(self) -> list[PrefixRow]:
        """What was counted since boot."""
        return [sums.row(key) for one in self._revisions.values() for key, sums in one.rows.items()]

    def _find_cold(self, call: Call, note: PromptNote, tokens: Mapping[str, int], sums: _Sums) -> None:
        written = tokens["cacheWrite5m"] + tokens["cacheWrite1h"]
        unread = tokens["input"] + written
        model = find(call.answering_model)
        estimate = max(round(note.share * (unread + tokens["cacheRead"])), note.size // _BYTES_A_TOKEN)
        minimum = model.cache_min_tokens if model else None
        said = call.summary.cache_miss
        counts = Tokens(tokens["cacheRead"], written, min(estimate, unread), minimum, said.tokens)
        cause = find_cause(note.seen, note.placed, counts, said.type)
        if cause is None:
            return
        lost = min(lost_tokens(cause, counts), unread)
        cold = sums.cold.setdefault(cause, _Cold())
        cold.calls += 1
        cold.tokens += lost
        prices = call.live.prices if call.live else LIST_PRICES
        dollars = cost_of_reading(call.answering_model, call.summary.usage, tokens, lost, prices)
        cold.usd += dollars or 0.0
        cold.unpriced += dollars is None
        cold.where, cold.hint = _example(cause, note.seen, minimum, call.answering_model if model else "")

    def _trace(self, call: Call) -> _Trace:
        declared = call.choice is not None and call.subagent in call.choice.arm.arm.subagents
        key = (call.revision, call.surface, call.subagent if declared else "", call.shown_key)
        found = self._traces.get(key)
        if found is None:
            found = self._traces[key] = _Trace()
            if len(self._traces) > _MOST_TRACES:
                self._traces.popitem(last=False)
        else:
            self._traces.move_to_end(key)
        return found

    def _revision(self, name: str) -> _Revision:
        found = self._revisions.get(name)
        if found is None:
            found = self._revisions[name] = _Revision()
            if len(self._revisions) > _MOST_REVISIONS:
                self._revisions.popitem(last=False)
        else:
            self._revisions.move_to_end(name)
        return found


def _count_use(use: PrefixUse, revision: _Revision, sent: float) -> str:
    """Count an answer; returns the name that the prefix counts under."""
    use.answered = max(sent, use.answered or sent)
    use.calls += 1
    return revision.name(use.name, use.calls) if use.name else NO_PREFIX


def _example(cause: Cause, seen: Seen, minimum: int | None, model: str) -> tuple[str, str]:
    """Where a call differed and what that looks like, or how far it missed."""
    if cause is Cause.TTL_TOO_SHORT:
        return "", duration(seen.gap or 0.0)
    if cause is Cause.UNDER_MINIMUM:
        return "", f"{model} caches from {minimum:,} tokens on" if minimum and model else ""
    if seen.change is not None and seen.change.cause is cause:
        return seen.change.where, seen.change.hint
    return "", ""
