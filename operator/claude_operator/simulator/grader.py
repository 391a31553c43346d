"""A model as grader: it finds a right answer right, and a wrong one wrong, as often as the scenario says."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any

from claude_operator.simulator.draws import uniform
from claude_operator.simulator.scenario import Grader

__all__ = ["ENCLOSED", "USER", "grades"]

# The tags around material, whose names end in a hash, and the beginning of a user's message in it.
ENCLOSED = re.compile(r"<(\w+)-([0-9a-f]{16})>\n(.*?)\n</\1-\2>", re.DOTALL)
USER = re.compile(r"(?:^|\n\n)user: ")


def grades(
    text: str, schema: Any, known: Mapping[str, str], grader: Grader, vote: tuple[object, ...]
) -> dict[str, dict[str, Any]] | None:
    """The decisions that a grading request's schema asks for; None where the request asks for none.

    What is right is what the scenario knows: an answer that is the known answer of its question. `vote` is what each
    draw depends on beside the answer.
    """
    wanted = _decisions(schema)
    texts = {name: content for name, _, content in ENCLOSED.findall(text)}
    if not wanted or "asked" not in texts:
        return None
    right = known.get(USER.split(texts["asked"])[-1].strip())

    def seems_right(name: str, part: str) -> bool:
        is_right = right is not None and texts.get(name, "").strip() == right.strip()
        sure = grader.sensitivity if is_right else grader.specificity
        return is_right is (uniform("grade", *vote, part, name, texts.get(name, "")) < sure)

    reason = "The simulator compares with the answer that it knows."
    return {part: {"reason": reason, "decision": _decide(form, part, seems_right)} for part, form in wanted.items()}


def _decide(form: Mapping[str, Any], part: str, seems_right: Callable[[str, str], bool]) -> bool | str:
    words = form.get("enum") or ()
    if "first" in words:
        ours, theirs = seems_right("first_answer", part), seems_right("second_answer", part)
        return "equal" if ours == theirs else "first" if ours else "second"
    good = seems_right("answer", part)
    if not words:
        return good
    return next((word for word in (("same", "superset") if good else ("disagrees",)) if word in words), words[0])


def _decisions(schema: Any) -> dict[str, Mapping[str, Any]]:
    """The form of each decision, by its name; empty where the schema asks for something else too."""
    parts = schema.get("properties") if isinstance(schema, dict) else None
    if not isinstance(parts, dict):
        return {}
    found: dict[str, Mapping[str, Any]] = {}
    for name, part in parts.items():
        fields = part.get("properties") if isinstance(part, dict) else None
        if not isinstance(fields, dict) or set(fields) != {"reason", "decision"}:
            return {}
        found[name] = fields["decision"] if isinstance(fields["decision"], dict) else {}
    return found
