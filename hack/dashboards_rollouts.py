"""The dashboard of rollouts."""

from __future__ import annotations

from dashboards_parts import CHOICE, EACH, ONE, RATE, WHO, Dashboard, Panel, Row, figure, holding, rate, ratio

__all__ = ["ROLLOUTS"]

ROLLOUTS = Dashboard(
    "rollouts",
    "Rollouts",
    "What each revision gets, how its answers end, and what the judge makes of it.",
    (
        figure("Not ready", "ClaudeDeployments that are not being served.", holding("Ready", "False"), alarming=1),
        figure("Rolling out", "Rollouts under way or held.", holding("Promoted", "Unknown")),
        figure("Taken back or refused", "Newest specs that do not serve.", holding("Promoted", "False"), alarming=1),
        figure("Harmful canaries", "Canaries with evidence of harm.", holding("CanaryHealthy", "False"), alarming=1),
        figure(
            "Promoted",
            "Rollouts that ended well in this time.",
            'sum(increase(claude_operator_rollouts_total{outcome="Promoted"}[$__range]))',
        ),
        figure(
            "Rolled back",
            "Rollouts that were taken back in this time.",
            'sum(increase(claude_operator_rollouts_total{outcome="RolledBack"}[$__range]))',
        ),
        Panel(
            "State",
            "Conditions with their reasons; docs/conditions.md has what to do about each.",
            ((f'claude_operator_condition{{{ONE}, type=~"Ready|Accepted|CanaryHealthy|Promoted"}}', ""),),
            kind="table",
            width=24,
        ),
        Row("Traffic"),
        Panel(
            "Share that each revision should get",
            "Percent of new conversations, as the operator has written it into the gateways' configuration.",
            ((f"claude_operator_traffic_percent{{{ONE}}}", f"{WHO} {{{{role}}}} {{{{revision}}}}"),),
            "percent",
        ),
        Panel(
            "Requests of each arm",
            "Requests a second that an arm has answered.",
            ((rate(f"{EACH}, arm, revision", "claude_gateway_requests_total"), f"{WHO} {{{{arm}}}} {{{{revision}}}}"),),
            "reqps",
        ),
        Panel(
            "Outcomes of the canary",
            "Only the outcome `error` counts against an arm.",
            ((rate("outcome", "claude_gateway_requests_total", ', arm="canary"'), "{{outcome}}"),),
            "reqps",
            stacked=True,
        ),
        Panel(
            "Outcomes of stable",
            "The same of the revision that serves.",
            ((rate("outcome", "claude_gateway_requests_total", ', arm="stable"'), "{{outcome}}"),),
            "reqps",
            stacked=True,
        ),
        Panel(
            "Errors by arm",
            "Share of requests that ended with an error.",
            ((ratio(f"{EACH}, arm", "claude_gateway_requests_total", ', outcome="error"'), f"{WHO} {{{{arm}}}}"),),
            "percentunit",
        ),
        Panel(
            "Stop reasons by arm",
            "How complete answers ended.",
            ((rate("arm, stop_reason", "claude_gateway_stop_reasons_total"), "{{arm}} {{stop_reason}}"),),
            "reqps",
        ),
        Row("The judge"),
        Panel(
            "Evidence of harm",
            "Traffic is taken back where the combined evidence reaches the threshold.",
            (
                (f"claude_operator_evidence{{{ONE}}}", f"{WHO} {{{{metric}}}}"),
                (f"claude_operator_evidence_threshold{{{ONE}}}", f"{WHO} threshold"),
            ),
            logarithmic=True,
        ),
        Panel(
            "What rollouts wait for",
            "1 for the reason of Promoted while it is Unknown.",
            (
                (
                    f'sum by ({EACH}, reason) (claude_operator_condition{{{ONE}, type="Promoted", status="Unknown"}})',
                    f"{WHO} {{{{reason}}}}",
                ),
            ),
            stacked=True,
        ),
        Panel(
            "Time to a rollback",
            "From the first tick with a bad request to weight 0 written, of the rollbacks in this time.",
            (
                (
                    "histogram_quantile(0.95,"
                    " sum by (le) (increase(claude_operator_rollback_latency_seconds_bucket[$__range])))",
                    "95 %",
                ),
            ),
            "s",
        ),
        Panel(
            "Events",
            "Events by reason.",
            ((f"sum by (reason) (increase(claude_operator_events_total{RATE}))", "{{reason}}"),),
            stacked=True,
        ),
        Row("Live grading"),
        Panel(
            "Verdicts by arm",
            "Verdicts on sampled answers.",
            ((rate("arm, result", "claude_gateway_grades_total"), "{{arm}} {{result}}"),),
            "reqps",
        ),
        Panel(
            "Graders",
            "Answers that are being graded, and samples that gateways have dropped.",
            (
                (f"sum by ({EACH}) (claude_grader_open_samples{{{ONE}}})", f"{WHO} open"),
                (f"sum by ({EACH}) (increase(claude_grader_dropped_total{{{ONE}}}{RATE}))", f"{WHO} dropped"),
            ),
        ),
    ),
    CHOICE,
)
