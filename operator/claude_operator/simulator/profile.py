"""The scenario ready for requests: every value filled in, the answers read."""

from __future__ import annotations

import datetime
import fnmatch
import json
from dataclasses import dataclass, replace
from pathlib import Path

from claude_operator.api.base import seconds
from claude_operator.simulator.lives import check_changes
from claude_operator.simulator.scenario import (
    ALL,
    Answer,
    Behaviour,
    Difficulty,
    Editor,
    Grader,
    Match,
    Scenario,
    ScenarioError,
    ToolUse,
    parse,
)

__all__ = ["Compiled", "Profile", "compile_scenario", "load"]

_WHOLE = {"tool_use", "difficulty", "grader", "editor"}  # taken as they are, not field by field


@dataclass(frozen=True, slots=True)
class Profile:
    """Behaviour with every value filled in; durations in seconds, rates as shares of requests."""

    label: str = "defaults"
    match: Match = ALL
    median: float = 0.3
    p95: float | None = 0.9
    tokens_per_second: float = 80.0
    output_tokens: int = 40
    error_rate: float = 0.0
    overload_rate: float = 0.0
    rate_limit_rate: float = 0.0
    refusal_rate: float = 0.0
    break_stream_rate: float = 0.0
    stream_error_rate: float = 0.0
    empty_account_rate: float = 0.0
    accuracy: float = 1.0
    wrong_answer: str | None = None
    difficulty: tuple[Difficulty, ...] = ()
    tool_use: ToolUse | None = None
    grader: Grader | None = None
    editor: Editor | None = None

    def matches(self, model: str, system: str, system_hash: str, question: str) -> bool:
        """Whether a request with this model id, system prompt (and its SHA-256) and question matches."""
        match = self.match
        return (
            (match.model is None or fnmatch.fnmatchcase(model, match.model))
            and (match.system_contains is None or match.system_contains in system)
            and (match.system_hash is None or system_hash.startswith(match.system_hash))
            and (match.question_contains is None or match.question_contains in question)
        )


@dataclass(frozen=True, slots=True)
class Compiled:
    """A scenario ready for requests: the profiles in order, the last one matches all."""

    source: Scenario
    seed: int
    today: datetime.date | None
    answers: dict[str, str]
    distinct: tuple[str, ...]
    calls: dict[str, tuple[ToolUse, ...]]
    """By question, the tools to call before its answer; only questions that have some."""
    profiles: tuple[Profile, ...]

    @property
    def batch_seconds(self) -> float:
        """How long a batch takes."""
        return seconds(self.source.batches.duration)

    def profile(self, model: str, system: str, system_hash: str, question: str) -> Profile:
        """The first profile that matches."""
        return next(profile for profile in self.profiles if profile.matches(model, system, system_hash, question))


def compile_scenario(
    scenario: Scenario, base: Path | None, *, seed: int | None = None, rate: float | None = None
) -> Compiled:
    """Read its answers and fill in what it leaves out; raises ScenarioError.

    `base`: the folder of answers.file; None refuses files. `seed` stands in place of the scenario's,
    `rate` (tokens per second) in place of the built-in default.
    """
    check_changes(scenario.lifecycle)
    answers = scenario.answers
    pairs = answers if isinstance(answers, list) else _read_answers(answers.file, base)
    start = replace(Profile(), tokens_per_second=rate) if rate else Profile()
    defaults = _merge(start, scenario.defaults, "defaults")
    rules = [
        replace(_merge(defaults, rule, rule.name or f"rules[{number}]"), match=rule.match)
        for number, rule in enumerate(scenario.rules)
    ]
    known = {pair.question.strip(): pair.answer for pair in pairs}
    chosen = next((number for number in (seed, scenario.seed) if number is not None), 1)
    distinct = tuple(dict.fromkeys(known.values()))
    calls = {pair.question.strip(): tuple(pair.calls) for pair in pairs if pair.calls}
    return Compiled(scenario, chosen, scenario.today, known, distinct, calls, (*rules, defaults))


def load(path: Path, *, seed: int | None = None, rate: float | None = None) -> Compiled:
    """The scenario of a file; raises ScenarioError, also where a file cannot be read."""
    try:
        text = path.read_bytes()
    except OSError as error:
        raise ScenarioError(f"{path} cannot be read: {error.strerror}") from error
    return compile_scenario(parse(text), path.parent, seed=seed, rate=rate)


def _read_answers(name: str, base: Path | None) -> list[Answer]:
    if base is None:
        raise ScenarioError("answers.file: only a scenario in a file can use it; write the answers inline")
    try:
        lines = (base / name).read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise ScenarioError(f"answers.file: {name} cannot be read; put it next to the scenario file") from error
    found = []
    for number, line in enumerate(lines, 1):
        if line.strip():
            try:
                found.append(Answer.model_validate(json.loads(line)))
            except (ValueError, RecursionError) as error:
                form = '{"question": "…", "answer": "…"}'
                raise ScenarioError(f"answers.file: line {number} of {name} is not valid; write {form}") from error
    return found


def _merge(start: Profile, behaviour: Behaviour, label: str) -> Profile:
    given = behaviour.model_dump(exclude_none=True, exclude={"latency", "name", "match", *_WHOLE})
    if behaviour.latency:
        p95 = behaviour.latency.p95
        given |= {"median": seconds(behaviour.latency.median), "p95": seconds(p95) if p95 else None}
    if behaviour.difficulty is not None:
        given["difficulty"] = tuple(behaviour.difficulty)
    whole = ("tool_use", "grader", "editor")
    given |= {name: value for name in whole if (value := getattr(behaviour, name)) is not None}
    profile = replace(start, label=label, **given)
    if profile.error_rate + profile.overload_rate + profile.rate_limit_rate + profile.empty_account_rate > 1:
        rates = "errorRate, overloadRate, rateLimitRate and emptyAccountRate"
        raise ScenarioError(f"{label}: {rates} must not sum to more than 1")
    return profile
