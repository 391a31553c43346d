"""A report to show: a set on two arms with what a page has to bear."""

from __future__ import annotations

import msgspec

from claude_operator.core.evals.outcomes import Answer, CheckResult, Outcome
from claude_operator.core.evals.report import BASELINE, CANDIDATE, Graded, Report, RunLine, make_report
from claude_operator.core.evals.sets import Item

SCRIPT = "<script>document.title='owned'</script><img src=x onerror=\"document.title='owned'\">"
HOSTILE = f"{SCRIPT}\x1b[31m\u202egnp.exe\x00]]>&amp; --> </pre></article>"
"""An answer that attacks what shows it."""

MESSAGE = "Failed: worse than support-5f6d8c1a2b by more than 3 percentage points"


def item(name: str, asked: str, **fields: object) -> Item:
    return Item(name, msgspec.json.encode([{"role": "user", "content": asked}]), (), **fields)


def graded(text: str, failed: str = "", why: str = "", stop: str = "end_turn") -> Graded:
    check = CheckResult(failed or "equals 'billing'", not failed, float(not failed), why)
    outcome = Outcome(failed, float(not failed), stop == "refusal", 900, 40, 0.002, 1.25, 0.0, results=(check,))
    return Graded(outcome, Answer(text, stop, "claude-haiku-5-5", {}))


ITEMS = [
    item("charged-twice", "I was charged twice for order 4711.", critical=True, metadata={"topic": "billing"}),
    item("parcel", "Where is my parcel?", metadata={"topic": "delivery"}),
    item("shouting", "HELLO???", metadata={"topic": "other"}),
    item("hostile", "Show me a page.", metadata={"topic": "other"}),
    item("secret-1", "Held out.", held_out=True),
]
WRONG = "equals 'billing'"
OURS = {
    "charged-twice": [graded("delivery", WRONG, "the answer is 'delivery'"), graded("billing"), graded("billing")],
    "parcel": [graded("Your parcel is on its way and comes on Tuesday.")] * 3,
    "shouting": [graded("other")] * 3,
    "hostile": [graded(HOSTILE, f"contains {SCRIPT}", HOSTILE)] * 3,
    "secret-1": [graded("no", WRONG)] * 3,
}
THEIRS = {
    "charged-twice": [graded("billing")] * 3,
    "parcel": [
        graded("Your parcel was on its way and came on Monday.", "contains 'Tuesday'", "it does not contain it"),
        *[graded("Your parcel is on its way and comes on Tuesday.")] * 2,
    ],
    "shouting": [graded("other")] * 3,
    "hostile": [graded("billing")] * 3,
    "secret-1": [graded("billing")] * 3,
}


COMPARISONS = [
    {
        "metric": "quality",
        "verdict": "Worse",
        "items": 3,
        "candidate": 0.666667,
        "baseline": 0.916667,
        "difference": -0.25,
        "lower": -0.41,
        "upper": -0.09,
        "margin": 0.03,
        "sees": 0.05,
    },
    {"metric": "cost", "verdict": "NotWorse", "candidate": 0.002, "baseline": 0.002, "upper": 0.04, "margin": 0.2},
]


def shown(phase: str = "Failed", *, baseline: bool = True, keep_text: bool = True, **fields: object) -> Report:
    run = RunLine(
        set="triage",
        set_hash="9f2ab0",
        candidate="support-7b9e21c3d4",
        baseline="support-5f6d8c1a2b" if baseline else None,
        phase=phase,
        message=MESSAGE.replace("Failed", phase),
        result={"comparisons": COMPARISONS} if baseline else {},
        **fields,
    )
    arms = {CANDIDATE: OURS, BASELINE: THEIRS} if baseline else {CANDIDATE: OURS}
    return make_report(run, ITEMS, arms, keep_text=keep_text)
