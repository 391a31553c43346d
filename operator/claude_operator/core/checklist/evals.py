"""What eval runs decide: items 3, 9 and 12."""

from __future__ import annotations

from claude_operator.core.checklist.case import Case, Finding, requests_of
from claude_operator.core.text import join_names

__all__ = ["check_gate", "check_model", "check_workloads"]

_DECLARE = "write a ClaudeEvalSet, and name it in spec.evals.setRef"


def check_gate(case: Case) -> Finding:
    """Item 12: a set gated this revision, and not only reported on it."""
    if case.spec.evals is None:
        return Finding("eval-gate", "Failed", f"spec.evals is missing: {_DECLARE}")
    if not case.spec.evals.required:
        return Finding("eval-gate", "Failed", "spec.evals.required is false, so the run gates nothing: set it to true")
    return _run_finding(case, "eval-gate") or Finding("eval-gate", "Passed", f"{case.run_name} has passed")


def check_model(case: Case) -> Finding:
    """Item 3: where model or effort changes, the run has compared the new with the old."""
    item = "model-by-eval"
    if case.spec.evals is None:
        return Finding(item, "Failed", f"nothing was compared, because spec.evals is missing: {_DECLARE}")
    found = _run_finding(case, item)
    if found is not None:
        return found
    run, changed = case.run, _changes(case)
    if run is not None and run.rule == "Floors":
        return Finding(item, "Passed", f"{case.run_name} has passed its floors; there was nothing to compare with")
    if run is not None and (run.rule == "Paired" or run.comparisons):
        return Finding(item, "Passed", f"{case.run_name} has compared it with the revision before")
    if changed == "":
        return Finding(item, "Passed", f"model and effort are those of stable, and {case.run_name} has passed")
    why = f"{changed} changes, and {case.run_name} had too few items for a comparison" if changed else (
        f"{case.run_name} had too few items for a comparison"
    )  # fmt: skip
    return Finding(item, "Failed" if changed else "Unknown", f"{why}: add items to ClaudeEvalSet {_set(case)}")


def check_workloads(case: Case) -> Finding:
    """Item 9: each subagent is asked by the set too."""
    item = "workloads"
    if case.spec.evals is None:
        return Finding(item, "Failed", f"no workload was evaluated, because spec.evals is missing: {_DECLARE}")
    found = _run_finding(case, item)
    if found is not None:
        return found
    subagents = [name for name in requests_of(case.content) if name]
    if not subagents:
        return Finding(item, "Passed", f"there are no subagents, and {case.run_name} has passed")
    if case.asked is None:
        why = f"which subagents the items of ClaudeEvalSet {_set(case)} ask is not seen"
        return Finding(item, "Unknown", f"{why}: put the items into the set or a ConfigMap")
    missing = [name for name in subagents if not case.asked.get(name)]
    if missing:
        what = "subagent" if len(missing) == 1 else "subagents"
        why = f"no item of ClaudeEvalSet {_set(case)} asks {what} {join_names(missing)}"
        return Finding(item, "Failed", f"{why}: add items with subagent: {missing[0]}")
    return Finding(item, "Passed", f"{case.run_name} has asked the main request and each subagent")


def _run_finding(case: Case, item: str) -> Finding | None:
    """What stands in the way of an item that a run decides; None where the run lets the revision through."""
    run = case.run
    if run is None:
        if case.serves:
            why = f"no run of ClaudeEvalSet {_set(case)} is known for {case.revision}"
            return Finding(item, "Failed", f"{why}: the next revision will be gated by it")
        return Finding(item, "Unknown", f"{case.revision} has no eval run yet: it begins by itself")
    if run.lets_through:
        return None
    if run.phase == "Failed":
        return Finding(item, "Failed", f"{case.run_name} has failed: {run.message}")
    if run.phase in ("Pending", "Running"):
        return Finding(
            item, "Unknown", f"the eval run has not ended: see `kubectl -n {case.namespace} get cer {case.run_name}`"
        )
    return Finding(item, "Unknown", f"{case.run_name} has no result ({run.phase}): {run.message}")


def _changes(case: Case) -> str | None:
    """Which of model and effort differs from stable, empty where none does; None where that is not known."""
    if case.stable is None:
        return None
    before, after = requests_of(case.stable), requests_of(case.content)
    for name, request in after.items():
        was = before.get(name, before[""])
        of = f" of subagent {name}" if name else ""
        if request.get("model") != was.get("model"):
            return f"the model{of}"
        if (request.get("output_config") or {}).get("effort") != (was.get("output_config") or {}).get("effort"):
            return f"the effort{of}"
    return ""


def _set(case: Case) -> str:
    return case.spec.evals.set_ref.name if case.spec.evals else ""
