"""A part of a set."""

from __future__ import annotations

import pytest

from claude_operator.core.evals.choice import Choice, choose_items, failed_ids, never_passed
from claude_operator.core.evals.gate import Result, RunReason
from claude_operator.core.evals.outcomes import Outcome
from claude_operator.core.evals.report import BASELINE, CANDIDATE, Graded, RunLine, make_report
from claude_operator.core.evals.sets import Item

ITEMS = [Item(f"refund-{n}", b"[]", (), metadata={"topic": "money" if n % 2 else "a=b"}) for n in range(10)]
ITEMS.append(Item("x=1", b"[]", ()))


def chosen(**fields: object) -> list[str]:
    return [item.id for item in choose_items(ITEMS, Choice(**fields))[0]]


@pytest.mark.parametrize(
    ("fields", "ids"),
    [
        ({"filters": ("refund-3",)}, ["refund-3"]),
        ({"filters": ("topic=mon*",)}, [f"refund-{n}" for n in (1, 3, 5, 7, 9)]),
        ({"filters": ("topic=a=b", "refund-1")}, [f"refund-{n}" for n in (0, 1, 2, 4, 6, 8)]),
        ({"filters": ("x=1",)}, ["x=1"]),
        ({"failed": frozenset({"refund-2", "gone"})}, ["refund-2"]),
        ({"failed": frozenset({"refund-2", "refund-3"}), "filters": ("topic=money",)}, ["refund-3"]),
    ],
)
def test_which(fields: dict[str, object], ids: list[str]) -> None:
    assert chosen(**fields) == ids


def test_a_sample_is_drawn_by_the_seed_and_grows() -> None:
    small, large = chosen(sample=3), chosen(sample=6)
    assert len(small) == 3
    assert set(small) < set(large)
    assert small == chosen(sample=3) == [one for one in large if one in small]
    assert chosen(sample=6, seed="other") != large


def test_all_of_them_are_no_part() -> None:
    for choice in (Choice(), Choice(filters=("*",)), Choice(sample=11)):
        assert choose_items(ITEMS, choice) == (ITEMS, "")


def test_held_out_items_are_in_no_part() -> None:
    items = [*ITEMS, Item("secret", b"[]", (), held_out=True)]
    assert choose_items(items, Choice()) == (items, "")
    kept, said = choose_items(items, Choice(filters=("*",)))
    assert kept == ITEMS
    assert said.startswith("only 11 of 12 items")
    with pytest.raises(ValueError, match="no item fits"):
        choose_items(items, Choice(filters=("secret",)))


def test_what_is_said() -> None:
    _, said = choose_items(ITEMS, Choice(filters=("refund-*",), sample=2, seed="7"))
    assert said == (
        "only 2 of 11 items were asked (--filter refund-* --sample 2 --seed 7), so this is no verdict for the gate:"
        " leave these options out for one"
    )
    with pytest.raises(ValueError, match=r"no item fits --filter nope --failed: .* refund-0, refund-1, refund-2"):
        choose_items(ITEMS, Choice(filters=("nope",), failed=frozenset()))


def test_a_part_never_passes() -> None:
    passed = Result("Passed", RunReason.PASSED, "Passed: 2 of 2")
    assert never_passed(passed, "") == passed
    part = never_passed(passed, "only 2 of 11 items were asked")
    assert (part.phase, part.message) == (
        "Inconclusive",
        "Inconclusive: only 2 of 11 items were asked. Of these: 2 of 2",
    )
    failed = Result("Failed", RunReason.PASS_RATE_TOO_LOW, "Failed: 0 of 2")
    assert never_passed(failed, "only two").message == "Failed: only two. Of these: 0 of 2"


def test_what_failed_in_a_report() -> None:
    good, bad = Graded(Outcome("")), Graded(Outcome("equals"))
    items = [Item(name, b"[]", ()) for name in "abc"]
    arms = {CANDIDATE: {"a": [good, bad], "b": [good], "c": [bad]}, BASELINE: {"b": [bad]}}
    assert failed_ids(make_report(RunLine(), items, arms, keep_text=False)) == {"a", "c"}
