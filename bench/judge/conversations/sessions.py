"""Conversations and their requests as they would be on either arm, drawn with numpy before any arm is chosen.

So the fast and the slow way to count see the same requests, and a conversation goes on as it would have, whichever
replica, generation or weight it meets.
"""

from __future__ import annotations

import math
import zlib
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from bench.judge.conversations.cases import Case
from bench.judge.conversations.kinds import NO_HARM, Kind
from bench.judge.ticks import Floats, Ints

__all__ = ["ERROR", "HUNG", "LIMITED", "MAX_TOKENS", "OK", "REFUSAL", "Drawn", "draw"]

OK, REFUSAL, MAX_TOKENS, ERROR, LIMITED, HUNG = range(6)
"""What becomes of a request: the first three are complete answers."""

_REFUSALS, _MAX_TOKENS = 0.003, 0.01
_TTFT, _TTFT_SIGMA = 0.787, 0.5
_TOKENS, _TOKENS_SIGMA = 200.0, 0.6
_PER_TOKEN, _PER_TOKEN_SIGMA = 0.015, 0.2
_PROMPT, _PROMPT_SIGMA = 4000.0, 0.6
_GROWTH = 0.1  # of ln time to first token and ln prompt, each time that the number of turns doubles
_OLD = 127  # turns after which contexts are compacted
_MINUTE = 60.0  # of traffic at least that pods have seen before
_HOUR = 3600.0  # of users' past that tells how they differ

Codes = NDArray[np.int8]


@dataclass(frozen=True, slots=True)
class Drawn:
    """Conversations, an entry each, and requests, an entry each, those of a conversation one after the other.

    What depends on the arm has two rows: stable, canary. `label`: a conversation that begins while the canary's weight
    is above it goes there. `place`: which request of its conversation it is, from 0. Times are seconds from the
    rollout's beginning; requests before it are there for what they say of a conversation's turns.
    """

    begin: Floats
    label: Floats
    user: Ints
    named: NDArray[np.bool_]
    """Whether its requests name it."""
    surface: Ints
    surfaces: tuple[str, ...]
    conversation: Ints
    place: Ints
    time: Floats
    pod: Ints
    outcome: tuple[Codes, Codes]
    ttft: tuple[Floats, Floats]
    output: tuple[Ints, Ints]
    prompt: tuple[Ints, Ints]
    duration: tuple[Floats, Floats]
    last: NDArray[np.bool_]
    """Whether it is the last of its conversation: all others ask for a tool."""


def draw(case: Case, *, seed: int, number: int) -> Drawn:
    """The conversations of one rollout: the same again for the same seed and number."""
    random = np.random.default_rng([seed, zlib.crc32(case.name.encode()), number])
    surfaces = tuple(dict.fromkeys(kind.surface for kind in case.kinds))
    parts = [_of_kind(case, kind, random, surfaces.index(kind.surface)) for kind in case.kinds]
    sizes = np.cumsum([0, *(len(part["begin"]) for part in parts)])
    people = np.cumsum([0, *(max(kind.users, 0) for kind in case.kinds)])
    for part, size, first in zip(parts, sizes, people, strict=False):
        part["conversation"] = part["conversation"] + size
        part["user"] = np.where(part["user"] >= 0, part["user"] + first, -1)
    whole = {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}
    if case.unit == "User":
        labels = random.random(int(people[-1]) + len(whole["begin"]))
        alone = whole["user"] < 0
        whole["user"][alone] = int(people[-1]) + np.flatnonzero(alone)
        whole["label"] = labels[whole["user"]]
    if case.unit == "Request":
        owner = whole["conversation"]
        size = len(owner)
        whole |= {name: whole[name][owner] for name in ("user", "surface", "named")}
        whole |= {"conversation": np.arange(size), "begin": whole["time"], "label": random.random(size)}
    pod = random.integers(0, case.pods.count, len(whole["time"]))
    pairs = {}
    for name in _BOTH:
        stable = whole.pop(f"{name}0")
        pairs[name] = (stable, whole.pop(f"{name}1", stable))
    return Drawn(**whole, **pairs, surfaces=surfaces, pod=pod)


_BOTH = ("outcome", "ttft", "output", "prompt", "duration")


def _arms(case: Case) -> tuple[int, ...]:
    """Those that requests are drawn for: where the canary does no harm both are alike."""
    return (0,) if case.harm == NO_HARM else (0, 1)


def _of_kind(case: Case, kind: Kind, random: np.random.Generator, surface: int) -> dict[str, np.ndarray]:
    """The conversations of a kind and their requests, by name of the field of `Drawn`; rows of arms are numbered."""
    begin, length = _conversations(case, kind, random)
    count = len(begin)
    owner, place, time = _times(begin, length, kind.gap, random)
    until = case.planned_seconds if kind.until is None else kind.until
    struck = _struck(case, kind, time)
    users = random.integers(0, kind.users, count) if kind.users else np.full(count, -1)
    rate, toxic = _rates(kind, length, users, random)
    rate1, toxic1 = rate, toxic
    if case.harm.toxic_share and _strikes(case, kind):
        begins = _toxic_from(case.harm.toxic_share, length, random, first=False)
        toxic1 = np.minimum(toxic, begins)
    dice = random.random(len(owner)), random.random(len(owner))
    found: dict[str, np.ndarray] = {
        "begin": begin,
        "label": random.random(count),
        "user": users,
        "surface": np.full(count, surface),
        "named": np.full(count, kind.named and (kind.agents > 0 or kind.turns[1] > 1)),
        "conversation": owner,
        "place": place,
        "time": time,
        "last": place == length[owner] - 1,
    }
    for arm, (rates, start) in zip(_arms(case), ((rate, toxic), (rate1, toxic1)), strict=False):
        found[f"outcome{arm}"] = _outcomes(case, kind, rates, start, owner, place, struck if arm else None, dice)
    found |= _values(case, kind, users if kind.users else np.arange(count), owner, place, struck, random)
    keep = time < until
    return {
        name: values if len(values) == count and name in _OF_CONVERSATION else values[keep]
        for name, values in found.items()
    }


_OF_CONVERSATION = ("begin", "label", "user", "surface", "named")


def _conversations(case: Case, kind: Kind, random: np.random.Generator) -> tuple[Floats, Ints]:
    """When they begin and how many requests they have; those that are over before the rollout begins are left out."""
    end = case.planned_seconds
    if kind.agents:
        begin = random.uniform(*kind.begin, kind.agents)
        begin = begin * (end / 1800.0) if kind.begin[0] >= 0 else begin
        until = end if kind.until is None else kind.until
        expected = np.maximum(until - begin, 0.0) / kind.gap
        return begin, np.ceil(expected + 5.0 * np.sqrt(expected) + 1.0).astype(np.int64)
    low, high = kind.turns
    mean = (low + high) / 2.0
    past = max(high * kind.gap * 1.5, _HOUR if case.unit == "User" else _MINUTE)
    expected_count = case.requests_per_second * kind.share / mean * (end + past)
    count = int(random.poisson(expected_count))
    at = random.uniform(size=count)
    at = _swung(_trended(at, kind.trend), case.swing, case.day_seconds / (end + past))
    return np.sort(at * (end + past) - past), random.integers(low, high + 1, count)


def _trended(share: Floats, trend: float) -> Floats:
    """Even shares of the time as they are where the rate grows to so many times what it was."""
    if trend == 1.0:
        return share
    # The mean rate up to a share x of the time is proportional to x + (trend - 1) x^2 / 2.
    more = (trend - 1.0) / 2.0
    return (np.sqrt(1.0 + 4.0 * more * (1.0 + more) * share) - 1.0) / (2.0 * more)


def _swung(share: Floats, swing: float, day: float) -> Floats:
    """Even shares of the time as they are where the rate goes up and down, between one and so many times as much."""
    if swing == 1.0:
        return share
    grid = np.linspace(0.0, 1.0, 4001)
    depth = (swing - 1.0) / (swing + 1.0)
    upto = grid + depth * day / (2.0 * math.pi) * (np.cos(2.0 * math.pi * grid / day) - 1.0)
    return np.interp(share, upto / upto[-1], grid)


def _times(begin: Floats, length: Ints, gap: float, random: np.random.Generator) -> tuple[Ints, Ints, Floats]:
    """Conversation, place and time of every request; two are `gap` apart, or half as much more or less."""
    owner = np.repeat(np.arange(len(begin)), length)
    first = np.cumsum(length) - length
    waits = gap * random.uniform(0.5, 1.5, len(owner))
    waits[first] = 0.0
    clock = np.cumsum(waits)
    return owner, np.arange(len(owner)) - first[owner], begin[owner] + clock - clock[first][owner]


def _rates(kind: Kind, length: Ints, users: Ints, random: np.random.Generator) -> tuple[Floats, Ints]:
    """Each conversation's error rate, and the request from which on it is toxic."""
    rate = np.full(len(length), kind.errors)
    if kind.beta and kind.users:
        rate = random.beta(*kind.beta, kind.users)[users]
    elif kind.beta:
        rate = random.beta(*kind.beta, len(length))
    return rate, _toxic_from(kind.toxic_share, length, random, first=kind.toxic_from_first)


def _toxic_from(share: float, length: Ints, random: np.random.Generator, *, first: bool) -> Ints:
    never = np.iinfo(np.int64).max
    if not share:
        return np.full(len(length), never)
    start = np.zeros(len(length), dtype=np.int64) if first else random.integers(0, length)
    return np.where(random.random(len(length)) < share, start, never)


def _strikes(case: Case, kind: Kind) -> bool:
    return not case.harm.only or kind.name in case.harm.only


def _struck(case: Case, kind: Kind, time: Floats) -> NDArray[np.bool_]:
    """Which requests are harmed on the canary; from which weight on is known when the weights are."""
    return (time >= case.harm.onset) & _strikes(case, kind)


def _outcomes(
    case: Case,
    kind: Kind,
    rate: Floats,
    toxic: Ints,
    owner: Ints,
    place: Ints,
    struck: NDArray[np.bool_] | None,
    dice: tuple[Floats, Floats],
) -> Codes:
    """What becomes of every request on an arm; `struck` are those that the canary harms, None on stable.

    The dice are the same on both arms, so that what differs is the arm.
    """
    chance = rate[owner]
    if kind.first_errors is not None:
        chance = np.where(place == 0, kind.first_errors, chance)
    chance = np.where(place >= toxic[owner], np.maximum(kind.toxic_errors, chance), chance)
    harm = case.harm
    if struck is not None and harm.errors:
        chance = np.where(struck, np.minimum(chance + harm.errors, 1.0), chance)
    failed = dice[0] < chance
    other = dice[1]
    found = np.full(len(owner), OK, dtype=np.int8)
    found[other < _REFUSALS + _MAX_TOKENS] = MAX_TOKENS
    found[other < _REFUSALS] = REFUSAL
    if struck is not None and (harm.hangs or harm.rate_limited):
        found[struck & (other >= 1.0 - harm.hangs)] = HUNG
        found[struck & (other >= 1.0 - harm.rate_limited)] = LIMITED
    found[failed & (found != LIMITED) & (found != HUNG)] = ERROR
    return found


def _values(
    case: Case,
    kind: Kind,
    unit: Ints,
    owner: Ints,
    place: Ints,
    struck: NDArray[np.bool_],
    random: np.random.Generator,
) -> dict[str, np.ndarray]:
    """Seconds to the first token, prompt and output tokens and duration of every request on both arms.

    `unit`: whose speed and cost a conversation has.
    """
    size, harm = len(owner), case.harm
    age = _GROWTH * np.log2(1.0 + np.minimum(place, _OLD))
    between = (sd * random.standard_normal(int(unit.max(initial=0)) + 1)[unit] for sd in (kind.ttft_sd, kind.cost_sd))
    between_ttft, between_cost = between
    noise = [random.standard_normal(size) for _ in range(4)]
    if kind.pareto:  # of the same median
        noise[:3] = [(random.exponential(1.0, size) - math.log(2.0)) / (kind.pareto * _TTFT_SIGMA) for _ in range(3)]
    ttft = math.log(_TTFT * kind.ttft_factor) + age + between_ttft[owner] + _TTFT_SIGMA * noise[0]
    prompt = math.log(_PROMPT * kind.cost_factor) + 4.0 * age + between_cost[owner] + _PROMPT_SIGMA * noise[1]
    output = math.log(_TOKENS) + _TOKENS_SIGMA * noise[2]
    output += math.log(kind.cost_factor) + between_cost[owner]
    pace = math.log(_PER_TOKEN) + _PER_TOKEN_SIGMA * noise[3]
    found: dict[str, np.ndarray] = {}
    for arm in _arms(case):
        factor = struck * 1.0 if arm else 0.0
        seconds = np.exp(ttft + factor * math.log(harm.ttft))
        tokens = np.maximum(np.rint(np.exp(output + factor * math.log(harm.output * harm.cost))), 1.0).astype(np.int64)
        found[f"ttft{arm}"] = seconds
        found[f"output{arm}"] = tokens
        found[f"prompt{arm}"] = np.maximum(np.rint(np.exp(prompt + factor * math.log(harm.cost))), 1.0).astype(np.int64)
        found[f"duration{arm}"] = seconds + tokens * np.exp(pace - factor * math.log(harm.speed))
    return found
