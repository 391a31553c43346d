"""What holds a step: each hold alone, and which of two is heard."""

from __future__ import annotations

from dataclasses import replace

import pytest
from tests.core.reconcile.rules.sample import CANARY, STEPS, ago, drafted, judgement, observed, raw, told, trial

from claude_operator.api.conditions import Reason
from claude_operator.api.deployment import Step
from claude_operator.api.status import Judgement, MetricState, Plan, Promotion, SampleRatio
from claude_operator.api.sums import Score
from claude_operator.core.judge.evidence.increments import Increments
from claude_operator.core.judge.metrics import METRICS
from claude_operator.core.reconcile.annotations import PROMOTE
from claude_operator.core.reconcile.draft import Draft
from claude_operator.core.reconcile.holds import frozen, gateways
from claude_operator.core.reconcile.observation import GatewayPod, GatewayView
from claude_operator.core.reconcile.rules.canary import move

UNSHOWN, SHOWN = (Promotion(step=1, margin=0.05, logs=[0.0] * 7, shown=shown) for shown in (False, True))


PROMOTES = trial(1, 301, judgement=judgement(promotions=[UNSHOWN]))
_BAKE = Step.model_validate({"bake": {"minDuration": "1m", "maxDuration": "5m", "onInconclusive": "Promote"}})
PROMOTES = PROMOTES.model_copy(
    update={"rollout": PROMOTES.rollout.model_copy(update={"plan": Plan(steps=[STEPS[0], _BAKE, *STEPS[2:]])})}
)


def asking(name: str, counts: tuple[list[int], list[int]]) -> Judgement:
    """A judgement that asks a person about a metric; of a quantity the canary has a fifth of stable's."""
    score = Score(-160.9, 100.0) if not METRICS[name].by_conversation else Score()
    state = MetricState(name=name, evidence=90.0, canary=counts[0], stable=counts[1], score=score)
    return judgement(asks=[name], state=[state])


SHORTER = asking("outputTokens", ([300, 0], [2700, 0]))
LIMITED = asking("overloads", ([30, 20], [900, 0]))


def reason(draft: Draft) -> Reason | None:
    return draft.hold.reason if draft.hold else None


@pytest.mark.parametrize(
    ("status", "why", "says"),
    [
        (trial(1, age=61), Reason.PROGRESSING, "goes from 10 % to 50 % (step 2)"),
        (trial(1, age=59), Reason.WAITING_FOR_EVIDENCE, "step 1 at 10 % bakes for 1.0 s more; 100 of 100 requests"),
        (trial(1, requests=99), Reason.WAITING_FOR_EVIDENCE, "has seen 99 of 100 requests; it needs 1 more"),
        (trial(1, judgement=judgement(last_tick=ago(2))), Reason.WAITING_FOR_EVIDENCE, "waits for the next reading"),
        (trial(1, judgement=None), Reason.WAITING_FOR_EVIDENCE, "waits for the next reading"),
        (trial(1, judgement=judgement(verdict="NoData")), Reason.NO_TRAFFIC, "no request on either arm"),
        (
            trial(1, judgement=judgement(seen_since=ago(9))),
            Reason.WAITING_FOR_EVIDENCE,
            "needs 15 s of readings without a gap",
        ),
        (
            trial(1, judgement=judgement(last_answer=ago(5))),
            Reason.WAITING_FOR_EVIDENCE,
            "the canary to answer a request",
        ),
        (
            trial(1, judgement=judgement(last_answer=ago(15), waiting=12, oldest=18.0, waiting_stable=3)),
            Reason.NO_ANSWER,
            "the canary hangs: 12 requests wait for an answer, the oldest for 18 s, and none was answered recently; 3",
        ),
        (
            trial(1, judgement=judgement(recent=[0, 0, 0, 2, 18, 0, 0, 2, 0, 0, 18, 0])),
            Reason.ACCOUNT_EXHAUSTED,
            "account is empty",
        ),
        (
            trial(1, judgement=judgement(recent=[10, 0, 3, 0, 20, 0, 0, 0, 10, 0, 20, 0])),
            Reason.OVERLOADED,
            "limit of its own",
        ),
        (
            trial(1, judgement=judgement(recent=[20, 9, 0, 0, 20, 1, 0, 0, 90, 9, 30, 1])),
            Reason.WAITING_FOR_EVIDENCE,
            "waits until it is clear why 9 of the canary's last 20 requests failed",
        ),
        (
            trial(1, judgement=judgement(recent=[20, 2, 0, 0, 20, 1, 0, 0, 90, 2, 30, 1])),
            Reason.PROGRESSING,
            "goes from 10 % to 50 % (step 2)",
        ),
        (trial(1, judgement=judgement(overloaded=True)), Reason.OVERLOADED, "429 or 529"),
        (trial(1, judgement=SHORTER), Reason.METRIC_CHANGED, "holds: answers are 80 % shorter than stable's (output"),
        (
            trial(1, judgement=SHORTER),
            Reason.METRIC_CHANGED,
            f"if that is meant; to go on: kubectl -n demo annotate --overwrite cld support {PROMOTE}={CANARY}/1/1",
        ),
        (trial(1, judgement=LIMITED), Reason.OVERLOADED, "raise it before the canary gets more; to go on: kubectl"),
        (
            trial(1, judgement=SHORTER.model_copy(update={"asks": [], "let_pass": ["outputTokens"]})),
            Reason.PROGRESSING,
            "goes from 10 % to 50 % (step 2)",
        ),
        (trial(1, judgement=judgement(asks=["unheard-of", "cost"])), Reason.PROGRESSING, "goes from 10 % to 50 %"),
        (
            trial(
                1,
                judgement=judgement(
                    shared="98 % of stable's requests fail", recent=[8, 0, 0, 0, 20, 20, 0, 0, 8, 0, 99, 98]
                ),
            ),
            Reason.PROGRESSING,
            "goes from 10 % to 50 % (step 2)",
        ),
        (
            trial(1, judgement=judgement(unreachable=["gateway-1"])),
            Reason.METRICS_UNREACHABLE,
            "no answer from ready gateway pods gateway-1",
        ),
        (trial(1, judgement=judgement(verdict="Error", message="odd")), Reason.METRIC_ERROR, "holds: odd"),
        (
            trial(1, judgement=judgement(shared="31 % of stable's requests fail")),
            Reason.SHARED_INCIDENT,
            "holds: 31 % of stable's requests fail",
        ),
        (
            trial(1, judgement=judgement(sample_ratio=SampleRatio(weight=1000, canary=400, stable=500, evidence=9))),
            Reason.SPLIT_MISMATCH,
            "the canary gets 44 % of the conversations at a weight of 10 %",
        ),
        (
            trial(
                1,
                judgement=judgement(
                    sample_ratio=SampleRatio(weight=1000, canary=1, stable=500, evidence=9), waiting=40
                ),
            ),
            Reason.PROGRESSING,
            "goes from 10 % to 50 % (step 2)",
        ),
        (trial(1, judgement=judgement(evidence=10.5)), Reason.WAITING_FOR_EVIDENCE, "evidence of harm to become clear"),
        (PROMOTES, Reason.PROGRESSING, "goes from 10 % to 50 % (step 2)"),
        (
            PROMOTES.model_copy(update={"judgement": judgement(promotions=[UNSHOWN], evidence=95.0)}),
            Reason.INCONCLUSIVE,
            "evidence of harm to become clear",
        ),
        (trial(1, judgement=judgement(promotions=[UNSHOWN])), Reason.WAITING_FOR_EVIDENCE, "5 points more errors"),
        (trial(1, 301, judgement=judgement(promotions=[UNSHOWN])), Reason.INCONCLUSIVE, "inconclusive after 5 min"),
        (trial(1, judgement=judgement(promotions=[SHOWN])), Reason.PROGRESSING, "goes from 10 % to 50 % (step 2)"),
        (trial(3, age=1e6), Reason.PAUSED, "waits for a person: kubectl -n demo annotate --overwrite cld support"),
        (trial(3, age=1e6), Reason.PAUSED, f"claudeops.dev/promote={CANARY}/1/3"),
        (
            trial(3, handled=[f"promote={CANARY}/1/3"]),
            Reason.PAUSED,
            "support claudeops.dev/promote- && kubectl -n demo",
        ),
        (trial(4, age=29), Reason.PAUSED, "continues in 1.0 s"),
        (trial(4, age=31), Reason.PROGRESSING, "goes from 50 % to 80 % (step 5)"),
        (trial(4, judgement=judgement(last_tick=ago(70))), Reason.WAITING_FOR_EVIDENCE, "waits for the next reading"),
        (trial(0), Reason.WAITING_FOR_EVIDENCE, "step 1 at 10 % bakes for 1 min more; 0 of 100 requests"),
        (trial(2), Reason.PAUSED, "step 3 at 50 % waits for a person"),
        (trial(None), Reason.PROGRESSING, "goes from 0 % to 10 % (step 0)"),
    ],
)
def test_hold(status, why: Reason, says: str) -> None:
    held = move(drafted(status, increments=Increments()))
    assert reason(held) == why
    assert held.hold
    assert says in held.hold.message


@pytest.mark.parametrize(
    ("status", "why"),
    [
        # What keeps the judge from judging is said before what time or a person has to bring.
        (trial(1, age=1, judgement=judgement(verdict="NoData", overloaded=True)), Reason.NO_TRAFFIC),
        (trial(1, age=1, judgement=judgement(overloaded=True)), Reason.OVERLOADED),
        (trial(3, judgement=judgement(overloaded=True)), Reason.OVERLOADED),
        (trial(1, age=1, judgement=judgement(verdict="NoData", unreachable=["a"])), Reason.METRICS_UNREACHABLE),
    ],
)
def test_the_first_hold_is_heard(status, why: Reason) -> None:
    assert reason(move(drafted(status))) == why


@pytest.mark.parametrize(
    ("index", "says"),
    [
        (None, "the first weight waits: ClaudeDeployment lacks status.x"),
        (0, "step 0 at 10 % holds: ClaudeDeployment lacks status.x"),
        (1, "step 1 at 10 % holds: ClaudeDeployment lacks status.x"),
        (2, "step 2 at 50 % holds: ClaudeDeployment lacks status.x"),
    ],
)
def test_no_step_while_the_definitions_are_older(index: int | None, says: str) -> None:
    """The API server drops what the judge would have to remember, so most metrics would not be judged."""
    status = trial(index)
    held = move(drafted(status, increments=Increments(), outdated="ClaudeDeployment lacks status.x"))
    assert (reason(held), held.hold.message if held.hold else "") == (Reason.CRD_OUTDATED, says)
    assert held.status.step == status.step
    assert reason(move(drafted(status, increments=Increments()))) != Reason.CRD_OUTDATED


def test_a_person_may_go_on_with_older_definitions() -> None:
    go = {"promote": f"{CANARY}/1/1"}
    moved = move(drafted(trial(1), increments=Increments(), annotations=go, outdated="ClaudeModel lacks spec.x"))
    assert moved.status.step is not None
    assert moved.status.step.index == 2


def test_a_person_promotes_past_a_change_once() -> None:
    go = {"promote": f"{CANARY}/1/1"}
    moved = move(drafted(trial(1, judgement=SHORTER), increments=Increments(), annotations=go))
    assert moved.status.step is not None
    assert moved.status.step.index == 2
    assert moved.status.judgement is not None
    assert (moved.status.judgement.asks, moved.status.judgement.let_pass) == ([], ["outputTokens"])


def test_a_person_who_could_not_see_a_change_is_asked_about_it() -> None:
    go = {"promote": f"{CANARY}/1/1"}
    draft = drafted(trial(1), increments=Increments(), annotations=go).set(judgement=SHORTER)
    moved = move(draft)
    assert moved.status.step is not None
    assert moved.status.step.index == 2
    assert moved.status.judgement == SHORTER


def test_a_pass_without_a_reading_of_its_own_goes_nowhere() -> None:
    assert reason(move(drafted(trial(1)))) == Reason.WAITING_FOR_EVIDENCE
    assert reason(move(drafted(trial(4)))) == Reason.WAITING_FOR_EVIDENCE
    assert reason(move(drafted(trial(4), increments=Increments()))) == Reason.PROGRESSING


def test_a_hold_leaves_the_step_as_it_is() -> None:
    status = trial(1, requests=3)
    assert move(drafted(status)).status == status


def test_a_pass_wakes_when_the_step_is_over() -> None:
    assert move(drafted(trial(1, age=40))).again == pytest.approx(20)
    assert move(drafted(trial(4, age=10))).again == pytest.approx(20)
    assert move(drafted(trial(1, age=100, requests=3))).again == pytest.approx(200)  # maxDuration


def test_past_its_longest_time_a_bake_holds_and_says_so_once() -> None:
    held = move(drafted(trial(1, age=301, requests=3)))
    assert told(held) == [Reason.STEP_HELD]
    assert held.events[0].type == "Warning"
    assert "step 1 at 10 % is inconclusive after 5 min: has seen 3 of 100 requests" in held.events[0].note
    assert held.status.step == trial(1, age=301, requests=3).step
    again = move(drafted(held.status))
    assert told(again) == []
    assert reason(again) == Reason.INCONCLUSIVE


def test_a_bake_that_saw_too_few_requests_in_its_longest_time_is_inconclusive() -> None:
    """onInconclusive decides then; a canary that nobody has asked anything goes nowhere."""
    few = PROMOTES.model_copy(update={"step": PROMOTES.step.model_copy(update={"requests": 3})})
    assert reason(move(drafted(few, increments=Increments()))) == Reason.PROGRESSING
    none = PROMOTES.model_copy(update={"step": PROMOTES.step.model_copy(update={"requests": 0})})
    assert reason(move(drafted(none, increments=Increments()))) == Reason.INCONCLUSIVE


def pods(*generations: int | None, settled: bool = True, ready: bool = True) -> GatewayView:
    found = tuple(GatewayPod(f"gateway-{n}", ready, one) for n, one in enumerate(generations))
    return GatewayView(settled, sum(pod.ready for pod in found), found)


@pytest.mark.parametrize(
    ("view", "why", "says"),
    [
        (pods(1, 1), None, ""),
        (pods(), Reason.WAITING_FOR_GATEWAY, "starting or being replaced"),
        (pods(1, 1, settled=False), Reason.WAITING_FOR_GATEWAY, "starting or being replaced"),
        (pods(1, 1, ready=False), Reason.WAITING_FOR_GATEWAY, "starting or being replaced"),
        (pods(1, 0), Reason.WAITING_FOR_GATEWAY, "config generation 1 is not served yet by 1 gateway pod: gateway-1"),
        (pods(0, 0), Reason.WAITING_FOR_GATEWAY, "2 gateway pods: gateway-0, gateway-1"),
        (pods(1, None), Reason.METRICS_UNREACHABLE, "do not answer on their admin port: gateway-1"),
        (pods(0, None), Reason.METRICS_UNREACHABLE, "gateway-1"),
    ],
)
def test_gateways(view: GatewayView, why: Reason | None, says: str) -> None:
    held = gateways(drafted(trial(1), gateway=view))
    assert reason(held) == why
    assert says in (held.hold.message if held.hold else "")
    assert (held.again is None) == (why is None)


def test_a_pod_that_is_not_ready_holds_nothing_by_its_config() -> None:
    view = replace(pods(1, 1), pods=(*pods(1, 1).pods, GatewayPod("late", False, None)))
    assert gateways(drafted(trial(1), gateway=view)).hold is None


def test_no_step_while_the_config_of_before_is_unwritten() -> None:
    for live in (None, observed(trial(3)).config):
        held = gateways(drafted(trial(1), config=live))
        assert reason(held) == Reason.WAITING_FOR_GATEWAY
        assert "being written" in (held.hold.message if held.hold else "")


@pytest.mark.parametrize(("index", "says"), [(1, "at 10 %"), (None, "before its first weight")])
def test_paused_holds_any_step(index: int | None, says: str) -> None:
    held = frozen(drafted(trial(index), raw(paused=True)))
    assert reason(held) == Reason.PAUSED
    assert says in (held.hold.message if held.hold else "")
    assert move(drafted(trial(index), raw(paused=True))).status == trial(index)
    assert frozen(drafted(trial(index))).hold is None
