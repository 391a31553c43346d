"""The dashboard of ClaudeOrganizations."""

from __future__ import annotations

from dashboards_parts import RATE, Dashboard, Panel, Row, figure

__all__ = ["ORGANIZATION"]

_NAME = 'name=~"$name"'


def _month(window: str) -> str:
    return f'sum(claude_organization_cost_usd{{{_NAME}, window="{window}"}})'


ORGANIZATION = Dashboard(
    "organization",
    "Organisation",
    "What the whole organisation uses and costs by the API's own reports, and whose it is.",
    (
        figure("This month", "US dollars since the month began in UTC.", _month("month"), unit="currencyUSD"),
        figure("Forecast", "US dollars at the end of the month.", _month("forecast"), unit="currencyUSD"),
        figure("Tokens", "Tokens of the month.", f"sum(claude_organization_tokens{{{_NAME}}})"),
        figure(
            "Difference",
            "By how much the organisation counts more than the gateways, on closed days.",
            f"max(claude_organization_difference_ratio{{{_NAME}}})",
            unit="percentunit",
            alarming=0.02,
        ),
        figure(
            "Age of the reports",
            "Time since the moment up to which usage is complete; the API's reports come late.",
            f"time() - min(claude_organization_usage_until_timestamp_seconds{{{_NAME}}})",
            unit="s",
        ),
        Row("Whose it is"),
        Panel(
            "Tokens by ClaudeDeployment",
            "Tokens of the month, of the 20 largest.",
            (
                (
                    f"sum by (namespace, deployment) (claude_organization_deployment_tokens{{{_NAME}}})",
                    "{{namespace}}/{{deployment}}",
                ),
            ),
        ),
        Panel(
            "Tokens around the gateways",
            "Tokens of the month of keys that are no ClaudeDeployment's, of the 20 largest.",
            ((f"sum by (key) (claude_organization_other_key_tokens{{{_NAME}}})", "{{key}}"),),
        ),
        Panel(
            "Requests to the API's reports",
            "Requests by what was asked and what came of it, in each interval.",
            (
                (
                    f"sum by (feed, result) (increase(claude_organization_polls_total{{{_NAME}}}{RATE}))",
                    "{{feed}} {{result}}",
                ),
            ),
            stacked=True,
        ),
        Panel(
            "Age of the history",
            "Time since the last answer, and since the end of the newest hour that is known.",
            (
                (
                    f"time() - claude_organization_history_last_poll_timestamp_seconds{{{_NAME}}}",
                    "{{name}} last answer",
                ),
                (
                    f"time() - claude_organization_history_complete_to_timestamp_seconds{{{_NAME}}}",
                    "{{name}} newest hour",
                ),
            ),
            "s",
        ),
        Panel(
            "Conditions",
            "1 where a condition of a ClaudeOrganization is True; docs/organisation.md explains them.",
            ((f"min by (name, type) (claude_organization_condition{{{_NAME}}})", "{{name}} {{type}}"),),
        ),
        Panel(
            "Cost of the month",
            "US dollars since the month began in UTC, and what it will be at the end.",
            ((f"sum by (name, window) (claude_organization_cost_usd{{{_NAME}}})", "{{name}} {{window}}"),),
            "currencyUSD",
        ),
    ),
    {"name": "label_values(claude_organization_condition, name)"},
)
