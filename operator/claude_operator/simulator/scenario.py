"""The scenario: how the simulated API behaves, as people write it, and as requests meet it."""

from __future__ import annotations

import datetime
import fnmatch
import json
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated, Any, Self

import yaml
from pydantic import Field, ValidationError, model_validator

from claude_operator.api.base import ApiModel, Duration, seconds

__all__ = ["Behaviour", "Profile", "Rule", "Scenario", "ScenarioError", "compile_scenario", "load", "parse"]

Share = Annotated[float, Field(ge=0, le=1, allow_inf_nan=False)]
_Loader: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


class ScenarioError(ValueError):
    """A scenario that cannot be used; the message says where, and what to write instead."""


class Latency(ApiModel):
    """Time to the first token, drawn from a lognormal distribution; without `p95` it is always the median."""

    median: Duration
    p95: Duration | None = None

    @model_validator(mode="after")
    def _ordered(self) -> Self:
        if self.p95 and (seconds(self.p95) < seconds(self.median) or not seconds(self.median)):
            raise ValueError("p95 has to be at least the median, and the median more than 0s; or leave p95 out")
        return self


class Behaviour(ApiModel):
    """What requests meet; a rule gives what differs from `defaults`."""

    latency: Latency | None = None
    tokens_per_second: Annotated[float, Field(gt=0, allow_inf_nan=False)] | None = None
    output_tokens: Annotated[int, Field(ge=1, le=128_000)] | None = None
    error_rate: Share | None = None
    overload_rate: Share | None = None
    rate_limit_rate: Share | None = None
    refusal_rate: Share | None = None
    break_stream_rate: Share | None = None
    accuracy: Share | None = None


class Match(ApiModel):
    """All conditions that are given have to hold."""

    model: Annotated[str, Field(min_length=1)] | None = None
    system_contains: Annotated[str, Field(min_length=1)] | None = None
    system_hash: Annotated[str, Field(pattern=r"^[0-9a-f]{8,64}$")] | None = None


_ALL = Match()


class Rule(Behaviour):
    """Behaviour of the requests that match; the first rule that matches counts."""

    name: Annotated[str, Field(max_length=64)] | None = None
    match: Match = _ALL


class Answer(ApiModel):
    """A question, exactly as the last user message puts it, and its right answer."""

    question: str
    answer: str


class AnswerFile(ApiModel):
    """A file of JSON lines, each an Answer; relative to the scenario's own folder."""

    file: Annotated[str, Field(min_length=1)]


class Scenario(ApiModel):
    """The whole document."""

    seed: int | None = None
    today: datetime.date | None = None
    answers: list[Answer] | AnswerFile = Field(default_factory=list)
    defaults: Behaviour = Behaviour()
    rules: list[Rule] = Field(default_factory=list, max_length=1000)


@dataclass(frozen=True, slots=True)
class Profile:
    """Behaviour with every value filled in; durations in seconds, rates as shares of requests."""

    label: str = "defaults"
    match: Match = _ALL
    median: float = 0.3
    p95: float | None = 0.9
    tokens_per_second: float = 80.0
    output_tokens: int = 40
    error_rate: float = 0.0
    overload_rate: float = 0.0
    rate_limit_rate: float = 0.0
    refusal_rate: float = 0.0
    break_stream_rate: float = 0.0
    accuracy: float = 1.0

    def matches(self, model: str, system: str, system_hash: str) -> bool:
        """Whether a request with this model id, system prompt and its SHA-256 is meant."""
        match = self.match
        return (
            (match.model is None or fnmatch.fnmatchcase(model, match.model))
            and (match.system_contains is None or match.system_contains in system)
            and (match.system_hash is None or system_hash.startswith(match.system_hash))
        )


@dataclass(frozen=True, slots=True)
class Compiled:
    """A scenario ready for requests: the profiles in order, the last one matches all."""

    source: Scenario
    seed: int
    today: datetime.date | None
    answers: dict[str, str]
    distinct: tuple[str, ...]
    profiles: tuple[Profile, ...]

    def profile(self, model: str, system: str, system_hash: str) -> Profile:
        """The first profile that matches."""
        return next(profile for profile in self.profiles if profile.matches(model, system, system_hash))


def parse(text: str | bytes) -> Scenario:
    """The scenario of a YAML or JSON text; raises ScenarioError. An empty text is an empty scenario."""
    try:
        document = yaml.load(text, Loader=_Loader)  # noqa: S506  (a safe loader, in C where it exists)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark
        where = f" at line {mark.line + 1}, column {mark.column + 1}" if mark else ""
        raise ScenarioError(f"not YAML or JSON{where}: {error.problem}") from error
    except (yaml.YAMLError, UnicodeDecodeError, ValueError, RecursionError) as error:
        raise ScenarioError("not YAML or JSON") from error
    if document is not None and not isinstance(document, dict):
        raise ScenarioError("a scenario is an object; write for example `defaults: {errorRate: 0.1}`")
    try:
        return Scenario.model_validate(document or {})
    except ValidationError as error:
        raise ScenarioError(_explain(error)) from error


def compile_scenario(
    scenario: Scenario, base: Path | None, *, seed: int | None = None, rate: float | None = None
) -> Compiled:
    """Read its answers and fill in what it leaves out; raises ScenarioError.

    `base`: the folder of answers.file; None refuses files. `seed` stands in place of the scenario's,
    `rate` (tokens per second) in place of the built-in default.
    """
    answers = scenario.answers
    pairs = answers if isinstance(answers, list) else _read_answers(answers.file, base)
    start = replace(Profile(), tokens_per_second=rate) if rate else Profile()
    defaults = _filled(start, scenario.defaults, "defaults")
    rules = [
        replace(_filled(defaults, rule, rule.name or f"rules[{number}]"), match=rule.match)
        for number, rule in enumerate(scenario.rules)
    ]
    known = {pair.question.strip(): pair.answer for pair in pairs}
    chosen = next((number for number in (seed, scenario.seed) if number is not None), 1)
    distinct = tuple(dict.fromkeys(known.values()))
    return Compiled(scenario, chosen, scenario.today, known, distinct, (*rules, defaults))


def load(path: Path, *, seed: int | None = None, rate: float | None = None) -> Compiled:
    """The scenario of a file; raises ScenarioError, also where a file cannot be read."""
    try:
        text = path.read_bytes()
    except OSError as error:
        raise ScenarioError(f"{path} cannot be read: {error.strerror}") from error
    return compile_scenario(parse(text), path.parent, seed=seed, rate=rate)


def _read_answers(name: str, base: Path | None) -> list[Answer]:
    if base is None:
        raise ScenarioError("answers.file: only a scenario file may name one; write the answers inline")
    try:
        lines = (base / name).read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise ScenarioError(f"answers.file: {name} cannot be read beside the scenario") from error
    found = []
    for number, line in enumerate(lines, 1):
        if line.strip():
            try:
                found.append(Answer.model_validate(json.loads(line)))
            except (ValueError, RecursionError) as error:
                form = '{"question": "…", "answer": "…"}'
                raise ScenarioError(f"answers.file: line {number} of {name} is not of the form {form}") from error
    return found


def _filled(start: Profile, behaviour: Behaviour, label: str) -> Profile:
    given = behaviour.model_dump(exclude_none=True, exclude={"latency", "name", "match"})
    if behaviour.latency:
        p95 = behaviour.latency.p95
        given |= {"median": seconds(behaviour.latency.median), "p95": seconds(p95) if p95 else None}
    profile = replace(start, label=label, **given)
    if profile.error_rate + profile.overload_rate + profile.rate_limit_rate > 1:
        raise ScenarioError(f"{label}: errorRate, overloadRate and rateLimitRate exclude each other; let them sum to 1")
    return profile


def _explain(error: ValidationError) -> str:
    """Each finding with its place; the first three are enough."""
    found = []
    for item in error.errors(include_url=False, include_context=False):
        place = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in item["loc"]).lstrip(".")
        message = item["msg"].removeprefix("Value error, ")
        if item["type"] == "extra_forbidden":
            message = "no such field; the fields are in the scenario reference"
        if item["type"] == "string_pattern_mismatch" and "latency" in place:
            message = "not a duration; write for example 300ms or 1.5s"
        found.append(f"{place}: {message}")
    return "; ".join(found[:3]) + (f"; and {len(found) - 3} more" if len(found) > 3 else "")
