"""How an answer is checked: what an assert may say, and the models that grade what no rule can decide."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import AfterValidator, Field, StringConstraints

from claude_operator.api.base import ApiModel

__all__ = ["ASSERT_TYPES", "LONGEST_VALUE", "NOT", "Assert", "Asserts", "Grader"]

_NEGATABLE = (
    "equals",
    "contains",
    "contains-any",
    "contains-all",
    "icontains",
    "icontains-any",
    "icontains-all",
    "starts-with",
    "ends-with",
    "regex",
    "is-json",
    "contains-json",
    "levenshtein",
    "token-f1",
    "is-refusal",
    "tool-call",
    "tool-call-f1",
    "is-valid-tool-call",
    "llm-rubric",
    "factuality",
)
_PLAIN = ("cost", "latency", "select-best")
NOT = "not-"
ASSERT_TYPES = (*_NEGATABLE, *_PLAIN, *(f"{NOT}{name}" for name in _NEGATABLE))
"""All that an assert's type may be."""
LONGEST_VALUE = 65_536  # characters


def _known(name: str) -> str:
    if name in ASSERT_TYPES:
        return name
    if name.removeprefix(NOT) in _PLAIN:
        raise ValueError(f"{name[:80]!r} does not exist: {name.removeprefix(NOT)} cannot be turned round")
    names = ", ".join((*_NEGATABLE, *_PLAIN))
    raise ValueError(f"unknown assert type {name[:80]!r}: write one of {names}, or {NOT} before one of them")


def _short(value: Any) -> Any:
    if isinstance(value, str) and len(value) > LONGEST_VALUE:
        raise ValueError(f"must have at most {LONGEST_VALUE} characters")
    return value


class Assert(ApiModel):
    """One check on an answer."""

    type: Annotated[str, AfterValidator(_known)] = Field(
        description="What is checked, such as equals, contains, regex, is-json, tool-call or llm-rubric; docs/evals has"
        " the table.",
        json_schema_extra={"enum": list(ASSERT_TYPES)},
    )
    value: Annotated[Any, AfterValidator(_short)] = Field(
        default=None,
        description="What to compare with: text, texts, a JSON Schema or an expected call, as the type has it.",
        json_schema_extra={"x-kubernetes-preserve-unknown-fields": True},
    )
    threshold: Annotated[float, Field(gt=0)] | None = Field(
        default=None, description="The limit of types that measure, such as cost in US dollars, latency in ms."
    )
    weight: Annotated[float, Field(gt=0, le=1000)] | None = Field(  # a default would change the hash of stored sets
        default=None, description="How much it counts in the score of an item that has a threshold; 1 if left out."
    )
    metric: Annotated[str, StringConstraints(max_length=63)] | None = Field(
        default=None, description="The metric that a report counts this check in."
    )
    grader: Annotated[str, StringConstraints(min_length=1, max_length=63)] | None = Field(
        default=None, description="Which of the set's graders answers; needed where there are several and no `default`."
    )


# The schema has fewer: the API server checks each in every write, and what was stored before is still read.
Asserts = Annotated[list[Assert], Field(max_length=256)]


def _odd(votes: int) -> int:
    if votes % 2 == 0:
        raise ValueError(f"must be odd, or votes can be tied: write {votes - 1} or {votes + 1}")
    return votes


class Grader(ApiModel):
    """A model that grades answers, the same for both arms."""

    name: Annotated[str, StringConstraints(min_length=1, max_length=63)] = Field(
        description="The name that asserts use; `default` is for those that name none."
    )
    model: Annotated[str, StringConstraints(min_length=1, max_length=128)] = Field(
        description="A pinned model, never an alias: grades of another model cannot be compared."
    )
    votes: Annotated[int, Field(ge=1, le=9), AfterValidator(_odd)] = Field(
        default=1, description="How many times each criterion is graded; the majority counts. Odd."
    )
    max_tokens: Annotated[int, Field(ge=256, le=32_000)] = Field(
        default=4096, description="Limit of a grade, with its reason."
    )
    own_model: bool = Field(
        default=False,
        description="Allow a grader that is the model of the candidate or of stable. Models prefer their own answers.",
    )
