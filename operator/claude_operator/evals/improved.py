"""What `eval improve` leaves for a person: a table of the proposals, and the best one as a patch to review."""

from __future__ import annotations

import re
import textwrap
from collections.abc import Sequence
from pathlib import Path

from claude_operator.core.evals.gate import RunReason
from claude_operator.core.evals.improve import is_gain
from claude_operator.core.evals.prompt import Patch, Prompt, make_patches
from claude_operator.core.text import count
from claude_operator.evals.improve import Improvement, Plan, Spent, Trial
from claude_operator.evals.manifests import as_yaml
from claude_operator.evals.plain import columns, dollars, line, points

__all__ = ["patch_files", "summary"]

_LONGEST_LINE = 110  # characters of a comment


def summary(ended: Improvement, plan: Plan, written: Sequence[Path]) -> str:
    """The proposals as a table, which one was written, what was spent."""
    rows = [["PROPOSAL", "GATE", "POINTS", "HELD OUT", "POINTS", "AT LEAST"], *map(_row, ended.trials)]
    table = columns(rows) if ended.trials else ""
    notes = "".join(f"{one.name}: {line(_note(one), 500)}\n" for one in ended.trials)
    files = ", ".join(map(str, written))
    said = f"{_verdict(ended, plan)}{f' Review {files}: nothing is applied.' if written else ''}"
    return f"{table}{notes}{said}\n{_method(ended, plan)}\n{_spent(ended.spent, plan)}\n"


def patch_files(path: Path, prompt: Prompt, ended: Improvement, plan: Plan) -> dict[Path, str]:
    """The best proposal's patches by file: the first in `path`, those of further objects beside it."""
    if ended.best is None:
        return {}
    files: dict[Path, str] = {}
    for patch in make_patches(prompt, ended.best.texts):
        name = re.sub(r"[^\w.-]+", "-", patch.name)
        file = path if not files else path.with_name(f"{path.stem}-{name}{path.suffix}")
        files[file] = _header(patch, file, ended.best, ended, plan) + as_yaml(dict(patch.document))
    return files


def _row(trial: Trial) -> list[str]:
    if trial.rest is None:
        return [trial.name, "refused" if trial.refused else "not asked", "-", "-", "-", "-"]
    quality = next((one for one in trial.rest.comparisons if one.metric == "quality"), None)
    gained = trial.gain.status if trial.gain else None
    held = "failed" if trial.failed else "-" if gained is None else "better" if is_gain(trial.gain) else "not shown"
    return [
        trial.name,
        trial.rest.phase,
        points(quality.difference if quality else None),
        held,
        points(gained.difference if gained else None),
        points(gained.lower if gained else None),
    ]


def _note(trial: Trial) -> str:
    if trial.refused:
        return f"refused before it was asked anything: {trial.refused}"
    if trial.failed or trial.rest is None:
        return trial.failed or "the cost ended it before"
    return trial.rest.message


def _verdict(ended: Improvement, plan: Plan) -> str:
    if ended.best is not None and ended.best.gain is not None:
        gained = ended.best.gain.status
        said = (
            f"Proposal {ended.best.name} is better on {count(gained.items, 'held-out item')}:"
            f" {points(gained.difference)} points, at least {points(gained.lower)}."
        )
        if ended.best.rest is not None and ended.best.rest.reason is RunReason.TOO_FEW_ITEMS:
            said += " The other items are too few to rule out a drop by gate.margin on them; none is shown to be worse."
        return said
    if ended.ended_early:
        return f"No proposal is shown to be better, as far as {dollars(plan.max_cost)} went: raise --max-cost."
    return f"Keep the present prompt: {ended.why or 'no proposal is shown to be better'}."


def _method(ended: Improvement, plan: Plan) -> str:
    split = ended.split
    return (
        f"{count(len(split.held_out), 'item')} were held out ({split.why}) and {len(split.shown)} not. Each of"
        f" {count(plan.proposals, 'possible proposal')} is tested with alpha {ended.alpha:.2g} (Bonferroni)."
    )


def _spent(spent: Spent, plan: Plan) -> str:
    tokens = f", and {spent.tokens:,} tokens of models without a known price" if spent.tokens else ""
    return (
        f"Spent {dollars(spent.total)} of {dollars(plan.max_cost)}: editor {dollars(spent.editor)}, answers"
        f" {dollars(spent.answers)}, graders {dollars(spent.graders)}{tokens}."
    )


def _header(patch: Patch, file: Path, best: Trial, ended: Improvement, plan: Plan) -> str:
    """What a reviewer has to know, as comments."""
    lines = [
        f"A proposal of {plan.editor}; it was not applied. Read every line: a model wrote it.",
        _verdict(ended, plan),
        f"On the other items: {best.rest.message if best.rest else ''}",
        _method(ended, plan),
        _spent(ended.spent, plan),
        f"The editor's reason: {best.reason}",
        _how(patch, file),
    ]
    wrapped = (text for part in lines for text in textwrap.wrap(line(part, 10_000), _LONGEST_LINE))
    return "".join(f"# {text}\n" for text in wrapped)


def _how(patch: Patch, file: Path) -> str:
    if not patch.kind:
        return f"To take it, put system into the request {patch.name}."
    command = f"kubectl patch {patch.kind.lower()} {patch.name} --type merge --patch-file {file.name}"
    if patch.kind == "ConfigMap":
        return (
            f"The text is kept in the ConfigMap {patch.name}, which spec.promptFrom reads: {command}, or change the"
            " file that it is made of. Whatever else reads this ConfigMap changes too."
        )
    return f"To take it: {command}, or change your manifest. That makes a new revision, with its own eval run."
