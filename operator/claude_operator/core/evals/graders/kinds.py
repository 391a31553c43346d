"""The table of checks: how each reads its value, and when it holds."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from claude_operator.api.graders import Assert
from claude_operator.core.evals.graders import values
from claude_operator.core.evals.graders.check import REFUSAL, Check, Finding, Subject, Trial, Tried, Value, reaches
from claude_operator.core.evals.graders.json_texts import line, same_json, why_not_json
from claude_operator.core.evals.graders.texts import (
    distance_within,
    folded,
    hidden_difference,
    loosened,
    token_f1,
)

__all__ = [
    "KINDS",
    "LONGEST_SEARCHED",
    "Kind",
    "Limit",
    "evaluate_one",
    "schema_program",
    "second_trials",
    "trials_of",
]

LONGEST_SEARCHED = 100_000  # characters of an answer that a pattern or a schema is tried on
# How refusals in plain text begin, in the model's words; the API marks its own with a stop reason.
_SORRY = r"(?:i(?:'m| am) (?:very |really |so )?sorry|sorry|i apologi[sz]e|unfortunately),? (?:but )?"
_UNABLE = r"can(?:'t|not| not)|won't|will not|must decline|am (?:not able|unable) to|do(?:n't| not) feel comfortable"
_REFUSES = re.compile(rf"(?:{_SORRY})?(?:i (?:{_UNABLE})|i'm (?:not able|unable) to|i'm not comfortable)\b")


@dataclass(frozen=True, slots=True)
class Limit:
    """The limit of a check: what it is if left out (None: it must be given), the most it may be, and its unit."""

    default: float | None = None
    most: float | None = None
    unit: str = ""
    whole: bool = False


@dataclass(frozen=True, slots=True)
class Kind:
    """One type of check. `holds` looks at the answer; `trials` is what has to run in a process before.

    `carries`: any answer on which the check holds has these texts in it, in any case where `fold`.
    `grows`: it still holds when more text comes around. `of_text`: it looks at nothing but the text.
    `one_of_a_kind`: two of it hold together only where each holds on the other's value.
    """

    read: Callable[[Assert], Value]
    holds: Callable[[Check, Subject], Finding]
    threshold: Limit | None = None
    trials: Callable[[Check, Subject], Iterable[Trial]] = lambda _check, _subject: ()
    carries: bool = False
    fold: bool = False
    grows: bool = False
    of_text: bool = False
    one_of_a_kind: bool = False
    graded: bool = False


def evaluate_one(check: Check, subject: Subject) -> Finding:
    """Whether a check holds, turned round where it is negated. A refusal holds nothing but `is-refusal`."""
    if subject.answer.stop_reason == REFUSAL and check.type != "is-refusal":
        return Finding(False, 0.0, "the answer is a refusal", known=False)
    found = KINDS[check.type].holds(check, subject)
    if not check.negated or not found.known:
        return found
    return Finding(not found.holds, 1.0 - found.score, "" if found.holds else found.why, reason=found.reason)


def trials_of(checks: Iterable[Check], subject: Subject) -> list[Trial]:
    """What has to be tried in a process before the checks are evaluated."""
    if subject.answer.stop_reason == REFUSAL:
        return []
    found = [trial for check in checks for trial in KINDS[check.type].trials(check, subject)]
    return list(dict.fromkeys(found))


def _of(holds: bool, why: str = "") -> Finding:
    return Finding(holds, 1.0 if holds else 0.0, why)


def _unknown(why: str) -> Finding:
    return Finding(False, 0.0, why, known=False)


# ---------------------------------------------------------------------------------------------------- texts


def _text_kind(
    read: Callable[[Assert], Value],
    holds: Callable[[str, str], bool],
    *,
    fold: bool = False,
    some: Callable[[Iterable[bool]], bool] = all,
    carries: bool = False,
    grows: bool = False,
    one_of_a_kind: bool = False,
) -> Kind:
    """A comparison of the answer with one text or several, which names differences that cannot be seen."""

    def judge(check: Check, subject: Subject) -> Finding:
        text = subject.folded if fold else subject.text
        wanted = [folded(one) for one in check.texts] if fold else list(check.texts)
        found = [holds(text, one) for one in wanted]
        if some(found):
            return _of(True)
        missed = [one for one, held in zip(wanted, found, strict=True) if not held]
        hidden = next((why for one in missed if (why := hidden_difference(text, one, holds))), "")
        if hidden:
            return _of(False, f"differs only by {hidden}")
        return _of(False, f"lacks {', '.join(missed)[:80]}" if some is all and len(wanted) > 1 else "")

    return Kind(read, judge, fold=fold, of_text=True, carries=carries, grows=grows, one_of_a_kind=one_of_a_kind)


def _equal(text: str, value: str) -> bool:
    return text.strip() == value.strip()


def _contains(text: str, value: str) -> bool:
    return value in text


def _starts(text: str, value: str) -> bool:
    return text.lstrip().startswith(value.lstrip())


def _ends(text: str, value: str) -> bool:
    return text.rstrip().endswith(value.rstrip())


def _regex_trials(check: Check, subject: Subject) -> Iterable[Trial]:
    if len(subject.answer.text) <= LONGEST_SEARCHED:
        yield Trial("pattern", str(check.value), subject.composed)


def _regex(check: Check, subject: Subject) -> Finding:
    found = _tried(_regex_trials(check, subject), subject)
    again = Trial("pattern", str(check.value), loosened(subject.composed))
    if found.known and not found.holds and subject.context.tried.get(again, found) == Tried("found"):
        return _of(False, "is found but for typographic quotes, spaces or characters that cannot be seen")
    return found


def second_trials(tried: Mapping[Trial, Tried]) -> list[Trial]:
    """What is tried once more without such characters, so that a failed item can name them."""
    missing = [one for one, result in tried.items() if one.worker == "pattern" and result.outcome == "missing"]
    again = [one._replace(text=loosened(one.text)) for one in missing if not one.text.isascii()]
    return [one for one in again if one not in tried]


def _tried(trials: Iterable[Trial], subject: Subject) -> Finding:
    """The finding of trials that all must succeed; without any the answer was too long."""
    results: list[Tried] = [subject.context.tried[trial] for trial in trials]
    if not results:
        return _unknown(f"an answer of over {LONGEST_SEARCHED:,} characters")
    unknown = next((one for one in results if one.outcome == "unknown"), None)
    if unknown is not None:
        return _unknown(unknown.why)
    missing = [one for one in results if one.outcome == "missing"]
    return Finding(not missing, 1 - len(missing) / len(results), missing[0].why if missing else "")


def _levenshtein(check: Check, subject: Subject) -> Finding:
    most = int(check.threshold or 0)
    text, wanted = subject.text.strip(), str(check.value).strip()
    found = distance_within(text, wanted, most)
    if found is not None:
        return _of(True)
    hidden = hidden_difference(text, wanted, lambda one, other: distance_within(one, other, most) is not None)
    return _of(False, f"is within {most} but for {hidden}" if hidden else "")


def _token_f1(check: Check, subject: Subject) -> Finding:
    score = token_f1(subject.text, str(check.value))
    holds = reaches(score, check.threshold)
    return Finding(holds, score, "" if holds else f"{score:.2f} is under {check.threshold:g}")


# ----------------------------------------------------------------------------------------------------- JSON


def _json_trials(mode: str) -> Callable[[Check, Subject], Iterable[Trial]]:
    def trials(check: Check, subject: Subject) -> Iterable[Trial]:
        if len(subject.answer.text) <= LONGEST_SEARCHED and (mode == "inside" or check.value):
            yield Trial("schema", schema_program(mode, str(check.value)), subject.text)

    return trials


def schema_program(mode: str, schema: str) -> str:
    """What a process is to do with a text: take it as JSON, `whole`, or look for JSON `inside`."""
    return f'["{mode}",{schema or "true"}]'


def _is_json(check: Check, subject: Subject) -> Finding:
    if why := why_not_json(subject.text):
        return _of(False, why)
    if not check.value:
        return _of(True)
    return _tried(_json_trials("whole")(check, subject), subject)


def _contains_json(check: Check, subject: Subject) -> Finding:
    return _tried(_json_trials("inside")(check, subject), subject)


# ---------------------------------------------------------------------------------------------------- tools


@lru_cache(maxsize=64)
def _decoded(text: str) -> Any:
    return json.loads(text)


def _tool_call(check: Check, subject: Subject) -> Finding:
    wanted = _decoded(str(check.value))
    missing = [
        call for call in wanted if not any(_is_call(call, made.name, made.input) for made in subject.answer.calls)
    ]
    if not missing:
        return _of(True)
    name = missing[0]["name"]
    if all(made.name != name for made in subject.answer.calls):
        why = f"does not call {name[:80]}"
    else:
        why = f"calls {name[:80]} with another input"
    return Finding(False, 1 - len(missing) / len(wanted), why)


def _is_call(wanted: Mapping[str, Any], name: str, made: Any) -> bool:
    """Whether a call is the wanted one; it may have more fields than those that are named."""
    if wanted["name"] != name:
        return False
    fields: Mapping[str, Any] = wanted.get("input", {})
    if not isinstance(made, dict):
        return not fields
    return all(field in made and same_json(made[field], value) for field, value in fields.items())


def _tool_call_f1(check: Check, subject: Subject) -> Finding:
    wanted, made = set(check.texts), {call.name for call in subject.answer.calls}
    score = 2 * len(wanted & made) / (len(wanted) + len(made))
    holds = reaches(score, check.threshold)
    lacks = ", ".join(sorted(wanted - made))[:80]
    return Finding(holds, score, "" if holds else f"{score:.2f}; does not call {lacks}" if lacks else f"{score:.2f}")


def _call_trials(_check: Check, subject: Subject) -> Iterable[Trial]:
    tools = subject.context.tools
    for call in subject.answer.calls:
        text = line(call.input)
        if tools.get(call.name) and text is not None and len(text) <= LONGEST_SEARCHED:
            yield Trial("schema", schema_program("whole", tools[call.name]), text)


def _is_valid_tool_call(check: Check, subject: Subject) -> Finding:
    calls, tools = subject.answer.calls, subject.context.tools
    if not calls:
        return _of(False, "calls no tool")
    for call in calls:
        if call.name not in tools:
            return _of(False, "calls a tool that the request does not declare")
        text = line(call.input)
        if text is None or len(text) > LONGEST_SEARCHED:
            return _of(False, f"the input of {call.name[:80]} is too large, or is not JSON")
    trials = list(_call_trials(check, subject))
    return _tried(trials, subject) if trials else _of(True)


# --------------------------------------------------------------------------------------- the answer as a whole


def _is_refusal(_check: Check, subject: Subject) -> Finding:
    if subject.answer.stop_reason == REFUSAL:
        return _of(True)
    begin = folded(subject.text.lstrip()[:200].replace("\u2019", "'"))
    return _of(bool(_REFUSES.match(begin)))


def _cost(check: Check, subject: Subject) -> Finding:
    cost = subject.context.cost_usd
    if cost is None:
        return _unknown("the model has no known price")
    return _of(cost <= (check.threshold or 0), f"${cost:.6f}")


def _latency(check: Check, subject: Subject) -> Finding:
    seconds = subject.answer.seconds
    if seconds is None:
        return _unknown("was not measured: a batch has no latency")
    return _of(seconds * 1000 <= (check.threshold or 0), f"{seconds * 1000:.0f} ms")


def _by_model(check: Check, subject: Subject) -> Finding:
    return subject.context.graded.get(check) or _unknown("was not graded")


_SHARE = Limit(default=1.0, most=1.0)
KINDS: Mapping[str, Kind] = {
    "equals": _text_kind(values.whole_text, _equal, carries=True, one_of_a_kind=True),
    "contains": _text_kind(values.some_text, _contains, carries=True, grows=True),
    "contains-any": _text_kind(values.list_of_texts, _contains, some=any, grows=True),
    "contains-all": _text_kind(values.list_of_texts, _contains, carries=True, grows=True),
    "icontains": _text_kind(values.some_text, _contains, fold=True, carries=True, grows=True),
    "icontains-any": _text_kind(values.list_of_texts, _contains, fold=True, some=any, grows=True),
    "icontains-all": _text_kind(values.list_of_texts, _contains, fold=True, carries=True, grows=True),
    "starts-with": _text_kind(values.whole_text, _starts, carries=True, one_of_a_kind=True),
    "ends-with": _text_kind(values.whole_text, _ends, carries=True, one_of_a_kind=True),
    "regex": Kind(values.pattern, _regex, trials=_regex_trials),
    "is-json": Kind(values.schema, _is_json, trials=_json_trials("whole")),
    "contains-json": Kind(values.object_schema, _contains_json, trials=_json_trials("inside")),
    "levenshtein": Kind(values.distance_text, _levenshtein, Limit(5.0, 1000.0, whole=True), of_text=True),
    "token-f1": Kind(values.words, _token_f1, Limit(0.5, 1.0), of_text=True),
    "is-refusal": Kind(values.nothing, _is_refusal),
    "tool-call": Kind(values.call_list, _tool_call),
    "tool-call-f1": Kind(values.name_list, _tool_call_f1, _SHARE),
    "is-valid-tool-call": Kind(values.nothing, _is_valid_tool_call, trials=_call_trials),
    "cost": Kind(values.nothing, _cost, Limit(unit="US dollars")),
    "latency": Kind(values.nothing, _latency, Limit(unit="milliseconds")),
    "llm-rubric": Kind(values.question_texts, _by_model, _SHARE, graded=True),
    "factuality": Kind(values.whole_text, _by_model, graded=True),
    "select-best": Kind(values.whole_text, _by_model, graded=True),
}
