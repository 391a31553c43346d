"""What a ClaudeEvalSet says of itself, from the newest of its runs."""

from __future__ import annotations

import datetime as dt
from typing import Any

from claude_operator.api.evals import EvalRunStatus, RunCalibration, Scores
from claude_operator.core.evals.set_status import set_status

NOON = dt.datetime(2026, 11, 20, 12, tzinfo=dt.UTC)


def eval_set(**status: Any) -> dict[str, Any]:
    return {"metadata": {"name": "support", "generation": 3}, "status": status}


def run(name: str, hour: int, phase: Any = "Passed", set_ref: str = "support", **fields: Any) -> Any:
    status = EvalRunStatus(
        phase=phase, finished_at=NOON + dt.timedelta(hours=hour), candidate=Scores(items=7), set_hash=name * 4, **fields
    )
    return {"metadata": {"name": name}, "spec": {"setRef": set_ref}}, status


def test_the_number_of_items_is_written_once() -> None:
    assert set_status(eval_set(), 12, []) == {"items": 12}
    assert set_status(eval_set(items=12), 12, []) == {}
    assert set_status({"metadata": {"name": "support"}}, 0, []) == {"items": 0}


def test_the_newest_run_that_has_ended_stands() -> None:
    runs = [run("old", 1), run("new", 2, "Failed"), run("other", 5, set_ref="another"), run("error", 6, "Error")]
    said = set_status(eval_set(items=12), 12, runs)
    assert said == {"run": "new", "runAt": "2026-11-20T14:00:00+00:00", "setHash": "newnewnewnew"}
    assert set_status(eval_set(items=12, **said), 12, runs) == {}


def test_the_run_of_another_deployment_stands_where_it_is_newer() -> None:
    assert set_status(eval_set(items=12, run="theirs", runAt="2026-11-20T15:00:00Z"), 12, [run("ours", 2)]) == {}


def test_items_that_only_the_job_sees() -> None:
    assert set_status(eval_set(), None, []) == {}, "not 0: nobody knows"
    assert set_status(eval_set(), None, [run("one", 1)])["items"] == 7


def test_a_status_that_cannot_be_read_is_written_anew() -> None:
    assert set_status(eval_set(items="many", runAt=[]), 3, [run("one", 1)])["run"] == "one"


def test_what_the_newest_run_found_of_the_graders() -> None:
    low = RunCalibration(answers=50, agreed=35, lenient=5, strict=10, kappa=0.3, lower=0.1, upper=0.5, min_kappa=0.4)
    said = set_status(eval_set(items=12), 12, [run("new", 2, calibration=low)])
    assert said["calibration"]["kappa"] == 0.3
    [condition] = said["conditions"]
    assert (condition["type"], condition["status"], condition["reason"]) == ("GradersAgree", "False", "KappaTooLow")
    assert (condition["lastTransitionTime"], condition["observedGeneration"]) == ("2026-11-20T14:00:00Z", 3)
    again = set_status(eval_set(items=12, **said), 12, [run("newer", 3, calibration=low)])
    assert again["conditions"][0]["lastTransitionTime"] == "2026-11-20T14:00:00Z", "it has not changed since"
    gone = set_status(eval_set(items=12, **said), 12, [run("newer", 3)])
    assert (gone["calibration"], gone["conditions"]) == (None, None), "the set has no labels any more"
