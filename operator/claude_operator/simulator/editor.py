"""A model as editor of prompts: it proposes better, equal, overfitted and worse ones as often as the scenario says.

A proposal is the prompt that was shown with a line at its end that says what was edited. What the line makes of the
prompt is known: `edited` gives the accuracy that it has, so a test knows whether a proposal is truly better.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from claude_operator.simulator.draws import uniform
from claude_operator.simulator.grader import ENCLOSED, USER
from claude_operator.simulator.scenario import Editor

__all__ = ["Edited", "edited", "proposal"]

_EDIT = re.compile(r"\n?\[simulated edit ([0-9a-f]{8}): (better|equal|overfitted|worse)((?: [0-9a-f]{12})*)\]")


@dataclass(frozen=True, slots=True)
class Edited:
    """What the edits in a prompt make of it: its accuracy, the questions that it has learnt by heart, and its text
    without the edits that leave alone which questions it loses."""

    accuracy: float
    learnt: frozenset[str]
    text: str

    def knows(self, question: str) -> bool:
        """Whether it has learnt the answer to this question."""
        return bool(self.learnt) and _digest(question) in self.learnt


def edited(system: str, accuracy: float, editor: Editor | None) -> Edited:
    """The prompt after its edits.

    A better one gets more questions right, and all that it got before; a worse one loses some; an overfitted one gets
    right those that the editor was shown, and no others; an equal one loses as many, and not the same ones.
    """
    if editor is None or "[simulated edit " not in system:
        return Edited(accuracy, frozenset(), system)
    kinds = [(kind, questions) for _, kind, questions in _EDIT.findall(system)]
    steps = sum(kind == "better" for kind, _ in kinds) - sum(kind == "worse" for kind, _ in kinds)
    learnt = frozenset(one for kind, questions in kinds if kind == "overfitted" for one in questions.split())
    text = _EDIT.sub(lambda found: found[0] if found[2] == "equal" else "", system)
    return Edited(min(1.0, max(0.0, accuracy + editor.gain * steps)), learnt, text)


def proposal(text: str, schema: Any, editor: Editor, vote: Sequence[object]) -> dict[str, str] | None:
    """What the editor answers; None where the schema does not ask for the blocks of a prompt. `vote` is what the draw
    depends on beside the question."""
    parts = schema.get("properties") if isinstance(schema, dict) else None
    names = [name for name in parts if re.fullmatch(r"block_\d+", name)] if isinstance(parts, dict) else []
    texts = {name: content for name, _, content in ENCLOSED.findall(text)}
    if not names or set(parts or ()) != {"reason", *names} or not set(names) <= texts.keys():
        return None
    kind = _drawn(editor, uniform("edit", *vote, text))
    shown = [content for name, content in texts.items() if name.startswith("asked_")]
    questions = [_digest(USER.split(content)[-1].strip()) for content in shown] if kind == "overfitted" else []
    number = hashlib.sha256("\x1f".join(map(str, (*vote, text))).encode("utf-8", "replace")).hexdigest()[:8]
    line = f"[simulated edit {number}: {' '.join([kind, *questions])}]"
    blocks = {name: texts[name] for name in names}
    blocks[names[-1]] = f"{blocks[names[-1]]}\n{line}".lstrip("\n")
    return {"reason": f"The simulator made this prompt {kind}.", **blocks}


def _drawn(editor: Editor, drawn: float) -> str:
    shares = {"better": editor.better, "equal": editor.equal, "overfitted": editor.overfitted}
    for kind, share in shares.items():
        if drawn < share:
            return kind
        drawn -= share
    return "worse"


def _digest(question: str) -> str:
    return hashlib.sha256(question.encode("utf-8", "replace")).hexdigest()[:12]
