"""promptfoo's asserts in our words."""

from __future__ import annotations

import json
import re
from typing import Any

from pydantic import ValidationError

from claude_operator.api.faults import first_fault
from claude_operator.api.graders import Assert
from claude_operator.core.evals.checks import read_check
from claude_operator.core.evals.graders.kinds import KINDS
from claude_operator.evals.importing.findings import SCHEME, Files, Place, as_mapping, shortened
from claude_operator.evals.importing.members import OfTools, Path, compared, leaf_of, member, schema_of

__all__ = ["GRADED", "Asserts"]

GRADED = ("llm-rubric", "factuality", "select-best")
_NOT = "not-"
_CODE = ("javascript", "python", "ruby", "webhook")
_ALIASES = {
    "is-valid-openai-tools-call": "is-valid-tool-call",
    "is-valid-openai-function-call": "is-valid-tool-call",
    "is-valid-function-call": "is-valid-tool-call",
    "model-graded-closedqa": "llm-rubric",
    "model-graded-factuality": "factuality",
    "g-eval": "llm-rubric",
}
_INSTEAD = {
    "similar": "write levenshtein, token-f1, or llm-rubric with what the answer must say",
    "rouge-n": "write token-f1",
    "bleu": "write token-f1",
    "meteor": "write token-f1",
    "word-count": "write a regex such as ^(\\S+\\s*){1,50}$",
    "is-sql": "write a regex or llm-rubric",
    "is-xml": "write a regex or llm-rubric",
    "is-html": "write a regex or llm-rubric",
    "contains-xml": "write contains with the tag",
    "contains-sql": "write contains or llm-rubric",
    "assert-set": "write its asserts into the test, and threshold beside them",
    "max-score": "write select-best",
    "perplexity": "leave it out: the Claude API gives no token probabilities",
    "perplexity-score": "leave it out: the Claude API gives no token probabilities",
}
_GRADE = "write llm-rubric with what the answer must and must not do"
_HINTS = (
    (r"^\s*(JSON\.parse\()?output\[\d+\]", "write tool-call with {name: ..., input: {...}}"),
    (r"JSON\.parse|json\.loads", "write is-json with a JSON Schema"),
    (r"toLowerCase\(\)\.includes|\.lower\(\)", "write icontains"),
    (r"\.includes\(| in output", "write contains"),
    (r"\.startsWith\(|\.startswith\(", "write starts-with"),
    (r"\.length|len\(", "write a regex such as ^[\\s\\S]{0,500}$"),
    (r"\.match\(|\.test\(|re\.", "write regex"),
    (r"output\.trim\(\) ?===? ?|output ?===? ?", "write equals"),
)
_KNOWN = ("type", "value", "threshold", "weight", "metric", "provider", "rubricPrompt", "transform", "config")
_LISTS = ("contains-any", "contains-all", "icontains-any", "icontains-all")
_TEXTS = ("equals", "contains", "icontains", "starts-with", "ends-with", "levenshtein", "token-f1", "factuality")


class Asserts:
    """Takes asserts one by one. `graders` are the models that grade, by provider as promptfoo names it."""

    def __init__(self, files: Files, templates: Any, grader: str | None) -> None:
        self._files, self._templates, self._grader = files, as_mapping(templates), grader
        self.graders: dict[str, str] = {"default": grader} if grader else {}

    def take(self, one: Any, place: Place, transform: Any = None) -> dict[str, Any] | None:
        """The assert in our words, None where it is not taken and said so. `transform` is that of its test."""
        if isinstance(one, dict) and isinstance(one.get("$ref"), str):
            one = self._templates.get(one["$ref"].rpartition("/")[2])
        if not isinstance(one, dict) or not isinstance(one.get("type"), str):
            place.refuse("an assert without a type", "write {type: ..., value: ...}")
            return None
        kind = one["type"]
        try:
            of_member = _of_member(one, transform)
        except OfTools as error:
            code = one.get("transform") or transform or one.get("value")
            place.refuse(f"{kind} ({shortened(code)})", str(error))
            return None
        if of_member is not None:
            place.hint(f"{kind} of a member of the answer is taken as is-json with a JSON Schema")
            one = of_member
            kind = one["type"]
        elif transform is not None and not one.get("transform"):
            place.refuse(f"{kind} after the transform {shortened(transform)}", _instead_of_code(transform))
            return None
        negated, bare = kind.startswith(_NOT), kind.removeprefix(_NOT)
        if bare in _CODE:
            place.refuse(f"{kind} ({shortened(one.get('value'))})", _instead_of_code(one.get("value")))
            return None
        known = _ALIASES.get(bare, bare)
        fields: dict[str, Any] = {"type": (_NOT if negated else "") + known}
        try:
            value = self._value(known, one.get("value"))
        except ValueError as error:
            place.refuse(f"{kind}, value", str(error))
            return None
        if value is not None:
            fields["value"] = value
        fields |= {name: one[name] for name in ("threshold", "weight", "metric") if one.get(name) is not None}
        if "threshold" in fields and known in KINDS and KINDS[known].threshold is None:
            place.hint(f"the threshold of {kind} is left out: it holds or does not")
            del fields["threshold"]
        if not self._options(kind, one, place) or not self._graded(known, one, fields, place):
            return None
        return _checked(kind, fields, place)

    def _value(self, kind: str, value: Any) -> Any:
        if isinstance(value, str) and value.startswith(SCHEME):
            if re.search(r"\.(py|js|ts|mjs|cjs|rb)(:|$)", value):
                raise ValueError("a program is not run: write the value itself")
            text = self._files.text(value).strip()
            value = json.loads(text) if kind in ("is-json", "contains-json") and value.endswith(".json") else text
        if kind == "is-valid-tool-call":
            return None
        if kind in _LISTS:
            texts = [part.strip() for part in value.split(",")] if isinstance(value, str) else value
            return [_word(text) for text in texts] if isinstance(texts, list) else texts
        if kind == "llm-rubric" and isinstance(value, list):
            return [_word(text) for text in value]
        if kind == "regex" and isinstance(value, str):
            if re.search(r"\\[pP]\{", value):
                raise ValueError("\\p{...} does not exist in Python's regular expressions: write the characters")
            return re.sub(r"\(\?<(?=[A-Za-z_])", "(?P<", value)
        return _word(value) if kind in _TEXTS else value

    @staticmethod
    def _options(kind: str, one: dict[str, Any], place: Place) -> bool:
        """Whether nothing else in an assert changes what it means."""
        if one.get("transform") is not None:
            place.at("transform").refuse(
                f"transform of {kind} ({shortened(one['transform'])})", _instead_of_code(one["transform"])
            )
            return False
        if one.get("rubricPrompt") is not None:
            place.at("rubricPrompt").refuse("rubricPrompt", "write the criteria into the value of llm-rubric")
            return False
        unknown = next((name for name in one if name not in _KNOWN or name == "config"), None)
        if unknown is not None:
            place.at(unknown).refuse(f"{unknown} of {kind}", "leave it out, or write it into the value")
            return False
        return True

    def _graded(self, kind: str, one: dict[str, Any], fields: dict[str, Any], place: Place) -> bool:
        """Whether there is a model that grades, where one is needed."""
        if kind not in GRADED:
            return True
        provider = one.get("provider")
        name = provider if isinstance(provider, str) else as_mapping(provider).get("id")
        if self._grader is not None:
            return True
        if isinstance(name, str) and name.startswith("anthropic:"):
            model = name.rpartition(":")[2]
            label = next((label for label, known in self.graders.items() if known == model), None)
            label = label or ("default" if not self.graders else f"grader-{len(self.graders) + 1}")
            self.graders[label] = model
            if label != "default":
                fields["grader"] = label
            return True
        if "default" in self.graders and name is None:
            return True
        place.refuse(
            f"{one['type']} is graded by {'a default model of promptfoo' if name is None else shortened(name)}",
            "give --grader MODEL, a pinned Claude model that is not the one that is evaluated",
        )
        return False


def _of_member(one: dict[str, Any], transform: Any) -> dict[str, Any] | None:
    """The assert as one on the whole answer, where it looks at one member of it; raises OfTools."""
    kind, code = one["type"], one.get("transform")
    negated, bare = kind.startswith(_NOT), kind.removeprefix(_NOT)
    if code is not None and transform is not None:
        return None
    code = transform if code is None else code
    path: Path | None
    leaf: dict[str, Any] | None
    if code is None and bare == "javascript":
        path, value = compared(one.get("value")) or (None, None)
        leaf = {"const": value}
    else:
        path = member(code) if code is not None else None
        leaf = leaf_of(bare, _word(one.get("value")))
    if not path or leaf is None:
        return None
    kept = {name: value for name, value in one.items() if name in ("weight", "metric")}
    return {"type": "is-json", "value": schema_of(path, {"not": leaf} if negated else leaf), **kept}


def _checked(kind: str, fields: dict[str, Any], place: Place) -> dict[str, Any] | None:
    """The assert, if a set may have it."""
    try:
        read_check("", Assert.model_validate(fields))
    except ValidationError as error:
        why = first_fault(error)
        if why.startswith("type:"):
            bare = kind.removeprefix(_NOT)
            place.refuse(kind, _INSTEAD.get(bare, _GRADE))
        else:
            place.refuse(kind, why)
        return None
    except ValueError as error:
        place.refuse(kind, str(error).removeprefix(f": {fields['type']}: "))
        return None
    return fields


def _instead_of_code(code: Any) -> str:
    text = str(code)
    remedy = next((remedy for pattern, remedy in _HINTS if re.search(pattern, text)), _GRADE)
    return f"code is not run in a gate; {remedy}"


def _word(value: Any) -> Any:
    """A number or a word such as true as the text that JavaScript makes of it."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float):
        return f"{value:g}"
    return str(value).strip() if isinstance(value, int) else value
