"""The verdict on a run."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from claude_operator.api.evals import EvalGate, EvalRunStatus, GateMetric
from claude_operator.core.evals.checks import Check
from claude_operator.core.evals.gate import Result, judge_run, rejected, shared_out
from claude_operator.core.evals.outcomes import Outcome
from claude_operator.core.evals.sets import Item

GATE = EvalGate(passRate=0.5, margin=0.1, onInconclusive="Block")  # 29 items can show 10 points
BAD = "equals: x"


def item(number: int, *, critical: bool = False, held_out: bool = False, topic: str = "") -> Item:
    metadata = {"topic": topic} if topic else {}
    return Item(f"i{number}", b"[]", (Check("equals", "x"),), critical, metadata=metadata, held_out=held_out)


def outcome(mark: str) -> Outcome:
    meaning = {"+": "", "-": BAD, "r": "refusal"}
    return Outcome(meaning[mark], float(mark == "+"), mark == "r", 10, 2, 0.5)


def answers(*marks: str) -> dict[str, list[Outcome]]:
    """By item, a text an epoch: + passed, - failed, r refused by the model, ? refused by the API."""
    items = zip(*marks, strict=True)
    return {f"i{n}": [outcome(mark) for mark in epochs] for n, epochs in enumerate(items) if "?" not in epochs}


def judge(
    ours: str | Sequence[str],
    theirs: str | Sequence[str] | None = None,
    gate: EvalGate = GATE,
    critical: int = -1,
    epochs_left: bool = False,
) -> Result:
    """Judge texts of marks, one epoch each; a text alone is one epoch."""
    ours = [ours] if isinstance(ours, str) else ours
    theirs = [theirs] if isinstance(theirs, str) else theirs
    items = [item(number, critical=number == critical) for number in range(len(ours[0]))]
    baseline = None if theirs is None else answers(*theirs)
    name = "support-1"
    return judge_run(items, answers(*ours), baseline, gate, baseline_name=name, epochs_left=epochs_left)


@pytest.mark.parametrize(
    ("ours", "theirs", "phase", "reason", "rule"),
    [
        ("", None, "Inconclusive", "EmptySet", ""),
        ("", "", "Inconclusive", "EmptySet", ""),
        ("+", None, "Passed", "Passed", "Floors"),
        ("+-", None, "Passed", "Passed", "Floors"),
        ("+--", None, "Failed", "PassRateTooLow", "Floors"),
        ("+--", "---", "Failed", "PassRateTooLow", "Floors"),
        # 28 items cannot show 10 points, however they come out: 0.9 ** 28 is over 5 %
        ("+" * 28, "+" * 28, "Passed", "TooFewItems", "TooFewItems"),
        ("+" * 29, "+" * 29, "Passed", "Passed", "Paired"),
        ("+" * 28 + "-", "+" * 29, "Inconclusive", "Undecided", "Paired"),
        ("+" * 45 + "-", "+" * 46, "Passed", "Passed", "Paired"),  # binom(46, 0.1): at most 1 in 4.8 %
        ("+" * 44 + "-", "+" * 45, "Inconclusive", "Undecided", "Paired"),  # 5.2 %
        ("+" * 34 + "-" * 12, "+" * 46, "Failed", "WorseThanBaseline", "Paired"),
        ("+" * 34 + "r" * 12, "+" * 46, "Failed", "WorseThanBaseline", "Paired"),
        # Too few items, of which six lost and none gained: 1 in 64 by chance; five are 1 in 32, of alpha / 2.
        ("+" * 22 + "-" * 6, "+" * 28, "Failed", "WorseThanBaseline", "TooFewItems"),
        ("+" * 23 + "-" * 5, "+" * 28, "Passed", "TooFewItems", "TooFewItems"),
        # The API refuses some items on the baseline.
        ("+" * 30, "+" * 29 + "?", "Passed", "Passed", "Paired"),
        ("+" * 28 + "-", "+" * 28 + "?", "Inconclusive", "BaselineIncomplete", "Paired"),
        ("+" * 45 + "-", "+" * 45 + "?", "Passed", "Passed", "Paired"),  # even if the baseline had passed it
        ("+" * 28, "-" * 20 + "+" * 7 + "?", "Passed", "Passed", "Paired"),
        ("+" * 28, "+" * 27 + "?", "Passed", "TooFewItems", "TooFewItems"),  # shown, had it failed that one
        ("+++++-----", "??????????", "Passed", "Passed", "Floors"),
        ("++++------", "??????????", "Failed", "PassRateTooLow", "Floors"),
    ],
)
def test_the_rule(ours: str, theirs: str | None, phase: str, reason: str, rule: str) -> None:
    result = judge(ours, theirs)
    assert (result.phase, result.reason, result.rule) == (phase, reason, rule)
    assert result.message.startswith(f"{phase}: ")


def test_a_critical_item_comes_first() -> None:
    result = judge("+" * 19 + "-", "-" * 20, critical=19)
    assert (result.phase, result.reason) == ("Failed", "CriticalItemFailed")
    assert result.message.startswith("Failed: critical item i19 failed (equals: x); 19 of 20 (95 %) against 0 of")


def test_a_critical_item_must_pass_in_every_epoch_and_is_not_compared() -> None:
    fine = ["+" * 30] * 3
    assert judge(fine, ["-" + "+" * 29] * 3, critical=0).comparisons[0].items == 29
    assert judge(fine, ["-" + "+" * 29] * 3, critical=0).comparisons[0].difference == 0
    once = judge(["+" * 30, "+" * 30, "-" + "+" * 29], fine, critical=0)
    assert (once.phase, once.reason) == ("Failed", "CriticalItemFailed")
    alone = judge("+", "+", critical=0)
    assert (alone.phase, alone.rule) == ("Passed", "Floors")
    assert "all items are critical and hold" in alone.message


def test_messages_have_the_numbers() -> None:
    assert judge("+" * 46, "+" * 45 + "-").message == (
        "Passed: quality keeps the margin of 10 points against support-1: +2.2 points, between -4.9 and +9.9; so many"
        " items see 6.9 points, not less; 46 of 46 (100 %) against 45 of 46 (97.8 %) of support-1 in 1 epoch; 1 better,"
        " 0 worse"
    )
    assert judge("+-").message == "Passed: 1 of 2 (50 %) in 1 epoch"
    assert judge(["+-", "--"], gate=EvalGate()).message == "Passed: 0 of 2 (25 %) in 2 epochs"
    assert judge("+--").message == "Failed: the pass rate is below the floor of 50 %; 1 of 3 (33.3 %) in 1 epoch"
    assert judge("+" * 34 + "-" * 12, "+" * 46).message == (
        "Failed: quality is worse than that of support-1: -26.1 points, between -38.8 and -12.7 (margin 10 points);"
        " 34 of 46 (73.9 %) against 46 of 46 (100 %) of support-1 in 1 epoch; 0 better, 12 worse"
    )
    assert judge("+" * 28 + "-", "+" * 29).message == (
        "Inconclusive: quality may or may not be worse than that of support-1 by 10 points: -3.4 points, between -15.3"
        " and +7.6; so many items see 12.2 points. About 58 items like these would tell; or raise the margin; 28 of 29"
        " (96.5 %) against 29 of 29 (100 %) of support-1 in 1 epoch; 0 better, 1 worse"
    )
    assert judge("+++", "+++").message == (
        "Passed: no item is shown to be worse than on support-1; 3 items are too few to rule out a drop of 10 points"
        " (that takes 29 at least); 3 of 3 (100 %) against 3 of 3 (100 %) of support-1 in 1 epoch; 0 better, 0 worse"
    )
    assert judge("+-", "??").message == (
        "Passed: the Claude API refuses every item on support-1, so only the floor applies; 1 of 2 (50 %) in 1 epoch"
    )
    assert (
        "refuses 1 item on support-1, and the result depends on them" in judge("+" * 28 + "-", "+" * 28 + "?").message
    )


@pytest.mark.parametrize("size", [1, 5, 8, 10, 28])
def test_a_set_too_small_for_its_margin_is_neither_blocked_nor_called_no_worse(size: int) -> None:
    for gate in (GATE, EvalGate(), EvalGate(margin=0)):
        result = judge(["+" * size] * 3, ["+" * size] * 3, gate, epochs_left=True)
        assert (result.phase, result.reason, result.more_epochs) == ("Passed", "TooFewItems", 0)
        assert "too few to rule out" in result.message
        assert "margin" not in result.message


def test_an_item_that_got_worse_fails_a_small_set_once_its_epochs_show_it() -> None:
    gate = EvalGate()
    lost, fine = "-" + "+" * 7, "+" * 8
    first = judge([lost] * 3, [fine] * 3, gate, epochs_left=True)
    assert (first.phase, first.reason, first.more_epochs) == ("Inconclusive", "Undecided", 3)
    assert judge([lost] * 3, [fine] * 3, gate, epochs_left=False).phase == "Passed", (
        "1 in 20, and nothing more is known"
    )
    second = judge([lost] * 6, [fine] * 6, gate, epochs_left=True)
    assert (second.phase, second.more_epochs) == ("Failed", 0)
    assert second.rule == "TooFewItems"


def test_more_epochs_are_asked_where_they_can_help() -> None:
    """Twice as many each time, up to four times as many as planned; what is the same each time is not asked again."""
    gate = EvalGate(margin=0.1)
    size = 60
    noisy = ["".join("-" if (n + epoch) % 5 == 0 else "+" for n in range(size)) for epoch in range(24)]
    ours, theirs = noisy[:12], noisy[2:14]
    first = judge(ours[:3], theirs[:3], gate, epochs_left=True)
    assert (first.phase, first.reason, first.more_epochs) == ("Inconclusive", "Undecided", 3)
    assert judge(ours[:3], theirs[:3], gate, epochs_left=False).more_epochs == 0
    assert judge(ours[:6], theirs[:6], gate, epochs_left=True).more_epochs in (0, 6)
    assert judge(ours, theirs, gate, epochs_left=True).more_epochs == 0
    copies = judge(["+" * 54 + "-" * 6] * 3, ["+" * 60] * 3, gate, epochs_left=True)
    assert (copies.phase, copies.more_epochs) == ("Inconclusive", 0)
    for policy in ("Block", "Allow"):
        asked_once = gate.model_copy(update={"on_inconclusive": policy})
        assert judge(ours[:3], theirs[:3], asked_once, epochs_left=True).more_epochs == 0


def test_looks_that_are_not_the_last_spend_a_part_of_alpha() -> None:
    gate = EvalGate(margin=0.1)

    def spent(epochs: int, *, left: bool = True) -> float:
        ours, theirs = ["+" * 40 + "-"] * epochs, ["+" * 41] * epochs
        return judge(ours, theirs, gate, epochs_left=left).comparisons[0].alpha

    assert [spent(3), spent(6), spent(12)] == pytest.approx([0.015, 0.005, 0.03])
    assert [spent(3, left=False), spent(6, left=False)] == pytest.approx([0.05, 0.035])


def test_an_inconclusive_run_may_be_allowed_to_go_on() -> None:
    allow = GATE.model_copy(update={"on_inconclusive": "Allow"})
    result = judge("+" * 28 + "-", "+" * 29, allow)
    assert (result.phase, result.reason, result.allowed) == ("Inconclusive", "Undecided", True)
    assert result.message.endswith("gate.onInconclusive lets it go on")
    incomplete = judge("+" * 28 + "-", "+" * 28 + "?", allow)
    assert (incomplete.reason, incomplete.allowed) == ("BaselineIncomplete", False)
    assert not judge("", "", allow).allowed


def test_metrics_have_margins_of_their_own() -> None:
    gate = EvalGate(margin=0.1, onInconclusive="Block", metrics=[GateMetric(name="refusals", margin=0.1)])
    refusing = judge("+" * 28 + "r" * 12, "+" * 28 + "-" * 12, gate)
    assert refusing.phase == "Failed"
    assert [(one.metric, one.verdict) for one in refusing.comparisons] == [
        ("quality", "NotWorse"),
        ("refusals", "Worse"),
    ]
    refusals = refusing.comparisons[1]
    assert (refusals.candidate, refusals.baseline, refusals.difference) == (0.3, 0, 0.3)
    assert 0 < refusals.lower < 0.3 < refusals.upper
    assert "the share of refusals is worse than that of support-1: +30 points" in refusing.message
    assert judge("+" * 40, "+" * 28 + "r" * 12, gate).phase == "Passed"


@pytest.mark.parametrize(("cost", "phase", "verdict"), [(1.0, "Passed", "NotWorse"), (1.15, "Passed", "NotWorse")])
def test_cost_is_compared_in_proportion(cost: float, phase: str, verdict: str) -> None:
    gate = EvalGate(margin=0.2, onInconclusive="Block", metrics=[GateMetric(name="cost", margin=0.2)])
    result = priced(gate, [cost] * 200, [1.0] * 200)
    assert (result.phase, result.comparisons[1].verdict) == (phase, verdict)
    assert result.comparisons[1].difference == pytest.approx(cost - 1, abs=1e-6)


def test_a_candidate_that_costs_more_fails_and_one_without_a_price_is_not_known() -> None:
    gate = EvalGate(margin=0.2, onInconclusive="Block", metrics=[GateMetric(name="cost", margin=0.2)])
    dear = priced(gate, [1.5] * 100, [1.0] * 100)
    assert (dear.phase, dear.comparisons[1].verdict) == ("Failed", "Worse")
    assert "cost is worse than that of stable: +50 %" in dear.message
    unknown = priced(gate, [None] * 100, [1.0] * 100)
    assert (unknown.phase, unknown.reason) == ("Inconclusive", "Undecided")
    assert "cost is not known of any answer: remove it from gate.metrics" in unknown.message


def test_no_margin_allows_whatever_a_ratio_counts_as() -> None:
    """A ratio counts as 4 at most, so a margin of 3 would be kept by any cost."""
    with pytest.raises(ValueError, match="less than or equal to 2"):
        GateMetric(name="cost", margin=3)
    gate = EvalGate(margin=0.2, onInconclusive="Block", metrics=[GateMetric(name="cost", margin=2)])
    assert priced(gate, [100.0] * 200, [1.0] * 200).phase == "Failed"


def test_extreme_costs_are_compared_too() -> None:
    gate = EvalGate(margin=0.2, onInconclusive="AddEpochs", metrics=[GateMetric(name="cost", margin=0.2)])
    arms = ({f"i{n}": [Outcome("", cost_usd=cost)] * 3 for n in range(50)} for cost in (1e300, 1e-300))
    found = judge_run([item(number) for number in range(50)], *arms, gate, epochs_left=True)
    assert (found.phase, found.reason) == ("Failed", "WorseThanBaseline")
    assert found.comparisons[1].difference == pytest.approx(3)  # a ratio counts as 4 at most


def test_several_metrics_that_are_not_known_are_all_named() -> None:
    metrics = [GateMetric(name="cost", margin=0.2), GateMetric(name="latency", margin=0.2)]
    unknown = priced(EvalGate(margin=0.2, onInconclusive="Block", metrics=metrics), [None] * 100, [1.0] * 100)
    assert "cost and latency are not known of any answer: remove them from gate.metrics" in unknown.message


def test_a_small_margin_is_not_written_as_0() -> None:
    found = judge("+" * 100, "+" * 100, EvalGate(margin=0.0004))
    assert "too few to rule out a drop of 0.04 points" in found.message


def test_only_all_is_100_percent() -> None:
    marks = "+" * 19_999 + "-"
    found = judge(marks, None, EvalGate(passRate=1))
    assert found.candidate is not None
    assert found.candidate.pass_rate == 0.9999
    assert "below the floor of 100 %; 19,999 of 20,000 (99.99 %)" in found.message
    assert "below the floor of 99.96 %" in judge("-", None, EvalGate(passRate=0.9996)).message
    few = judge("-" * 19_999 + "+", None, EvalGate())
    assert "1 of 20,000 (0.01 %)" in few.message


def priced(gate: EvalGate, ours: Sequence[float | None], theirs: Sequence[float | None]) -> Result:
    items = [item(number) for number in range(len(ours))]
    arms = ({f"i{n}": [Outcome("", cost_usd=cost)] for n, cost in enumerate(costs)} for costs in (ours, theirs))
    return judge_run(items, *arms, gate)


def test_items_of_a_cluster_count_as_one() -> None:
    gate = GATE.model_copy(update={"cluster": "topic"})
    items = [item(number, topic=f"t{number // 10}") for number in range(100)]
    same = answers("+" * 100)
    alone = judge_run(items, same, same, GATE)
    clustered = judge_run(items, same, same, gate)
    assert (alone.phase, alone.reason) == ("Passed", "Passed")
    assert (clustered.phase, clustered.reason) == ("Passed", "TooFewItems"), "ten clusters"
    assert (clustered.comparisons[0].items, clustered.comparisons[0].clusters) == (100, 10)
    assert "10 clusters are too few" in clustered.message
    by_itself = [item(number) for number in range(100)]
    assert judge_run(by_itself, same, same, gate).comparisons[0].clusters == 100


def test_several_candidates_share_the_error() -> None:
    assert shared_out(EvalGate(), 3).alpha == pytest.approx(0.05 / 3)
    assert shared_out(EvalGate(alpha=0.1), 1).alpha == 0.1


def test_scores_are_of_each_arm() -> None:
    result = judge("+r-", "++?")
    assert result.candidate is not None
    assert result.baseline is not None
    assert (result.candidate.items, result.candidate.passed, result.candidate.refused) == (3, 1, 1)
    assert (result.candidate.input_tokens, result.candidate.output_tokens, result.candidate.cost_usd) == (30, 6, 1.5)
    assert result.candidate.pass_rate == 0.3333
    assert (result.baseline.items, result.baseline.pass_rate) == (2, 1.0)
    assert (result.better, result.worse) == (0, 1)
    assert result.cost_usd == 2.5


def test_epochs_are_averaged() -> None:
    result = judge(["++-", "+--"], ["+++", "++-"], EvalGate())
    assert result.candidate is not None
    assert (result.candidate.passed, result.candidate.pass_rate) == (1, 0.5)
    assert (result.better, result.worse, result.epochs) == (0, 2, 2)
    quality = result.comparisons[0]
    assert (quality.candidate, quality.baseline, quality.difference) == (0.5, 0.833333, -0.333333)


def test_a_cost_that_is_not_known_is_not_guessed() -> None:
    result = judge_run([item(0), item(1)], {"i0": [Outcome("", cost_usd=None)], "i1": [Outcome("")]}, None, GATE)
    assert result.candidate is not None
    assert result.candidate.cost_usd is None
    assert result.cost_usd is None
    assert result.grader_cost_usd == 0


def test_failed_items_are_the_worst_twenty_critical_ones_first() -> None:
    result = judge("-" * 25, "+?" + "-" * 23, critical=24)
    assert len(result.failed_items) == 20
    assert [one.id for one in result.failed_items[:3]] == ["i24", "i0", "i1"]
    assert [one.baseline_passed for one in result.failed_items[:3]] == [False, True, None]
    assert result.failed_items[0].critical
    often = judge(["+--", "+-+", "++-"], ["+++"] * 3, EvalGate())
    assert [(one.id, one.passed, one.baseline_epochs_passed) for one in often.failed_items] == [
        ("i1", 1, 3),
        ("i2", 1, 3),
    ]


def test_held_out_items_count_and_are_not_named() -> None:
    items = [item(0, held_out=True), item(1)]
    result = judge_run(items, answers("--"), answers("++"), EvalGate())
    assert [one.id for one in result.failed_items] == ["i1"]
    assert result.candidate is not None
    assert result.candidate.items == 2
    secret = [Item("secret", b"[]", (), critical=True, held_out=True)]
    failed = judge_run(secret, {"secret": [outcome("-")]}, None, EvalGate())
    assert failed.message == "Failed: a held-out critical item failed; 0 of 1 (0 %) in 1 epoch"


def test_slices_by_metadata_are_bounded() -> None:
    items = [item(number, topic=f"t{number // 2}") for number in range(60)]
    result = judge_run(items, answers("-" + "+" * 59), answers("+" * 59 + "?"), GATE)
    assert len(result.slices) == 20
    first = result.slices[0]
    assert (first.key, first.value, first.items, first.pass_rate, first.baseline_pass_rate) == (
        "topic",
        "t0",
        2,
        0.5,
        1,
    )
    whole = EvalRunStatus(**result.fields)
    assert len(whole.model_dump_json(by_alias=True)) < 20_000


def test_a_rejected_request() -> None:
    result = rejected(item(3), "model: claude-x (404 not_found_error)")
    assert (result.phase, result.reason) == ("Failed", "RequestRejected")
    assert (
        result.message == "Failed: the Claude API refuses the request of item i3: model: claude-x (404 not_found_error)"
    )


MARKS = st.lists(st.tuples(st.sampled_from("+-"), st.sampled_from("+-?")), min_size=1, max_size=40)


@settings(max_examples=25, deadline=None)
@given(MARKS, st.floats(0, 1), st.floats(0, 1))
def test_knowing_what_was_refused_never_turns_a_verdict_round(
    marks: list[tuple[str, str]], floor: float, margin: float
) -> None:
    """Whatever the baseline would have answered, a Passed or Failed stands (where there is a comparison at all)."""
    gate = EvalGate(passRate=floor, margin=margin)
    ours, theirs = ("".join(side) for side in zip(*marks, strict=True))
    phase = judge(ours, theirs, gate).phase
    if phase != "Inconclusive" and set(theirs) != {"?"}:
        for known in "+-":
            assert judge(ours, theirs.replace("?", known), gate).phase == phase


@settings(max_examples=30, deadline=None)
@given(st.lists(st.tuples(st.sampled_from("+-"), st.sampled_from("+-")), min_size=1, max_size=40), st.data())
def test_one_more_good_answer_never_harms(marks: list[tuple[str, str]], data: st.DataObject) -> None:
    ours, theirs = ("".join(side) for side in zip(*marks, strict=True))
    place = data.draw(st.integers(0, len(ours) - 1))
    better = ours[:place] + "+" + ours[place + 1 :]
    if judge(ours, theirs).phase == "Passed":
        assert judge(better, theirs).phase == "Passed"


@settings(max_examples=30, deadline=None)
@given(st.text("+-", min_size=1, max_size=20))
def test_the_same_answers_are_never_worse(marks: str) -> None:
    for margin in (0.0, 0.03, 0.1):
        assert judge(marks, marks, EvalGate(margin=margin)).phase != "Failed"
