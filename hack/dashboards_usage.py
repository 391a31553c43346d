"""The dashboards of cost and cache, and of latency."""

from __future__ import annotations

from dashboards_parts import CHOICE, EACH, ONE, RATE, WHO, Dashboard, Panel, Row, figure, quantile, rate, ratio

__all__ = ["COST", "LATENCY"]

_OK, _OVERLOAD = ', outcome="ok"', ', outcome="overload"'
_OVER = ', within="false"'
_BUDGET, _LIMIT = "{{surface}} {{metric}} {{percentile}} %", "{{surface}} {{metric}} {{max}} s"
_READ, _PROMPT = ', kind="cache_read"', ', kind!="output"'  # of tokens; `input` is without the cache


def _hits(by: str) -> str:
    """The share of a prompt's tokens that were read from the cache."""
    return ratio(by, "claude_gateway_tokens_total", _READ, _PROMPT)


def _spent(window: str, by: str = "") -> str:
    """Dollars as the operator has added them up, whatever restarts."""
    found = f'(claude_operator_cost_usd{{{ONE}, window="{window}"}})'
    return f"sum by ({by}) {found}" if by else f"sum{found}"


COST = Dashboard(
    "cost",
    "Cost and cache",
    "What calls cost, by whom and on which model, and how much of the prompts comes from the cache.",
    (
        figure(
            "Cost an hour",
            "US dollars an hour, of answers whose price is known.",
            f"sum(rate(claude_gateway_cost_usd_total{{{ONE}}}[1h])) * 3600",
            unit="currencyUSD",
        ),
        figure(
            "Cache-hit ratio",
            "Share of all prompt tokens that were read from the cache, over an hour.",
            f"sum(rate(claude_gateway_tokens_total{{{ONE}{_READ}}}[1h]))"
            f" / sum(rate(claude_gateway_tokens_total{{{ONE}{_PROMPT}}}[1h]))",
            unit="percentunit",
        ),
        figure(
            "Unpriced answers",
            "In an hour; the figures of cost leave them out.",
            f"sum(increase(claude_gateway_unpriced_total{{{ONE}}}[1h]))",
            alarming=1,
        ),
        figure("Today", "US dollars since midnight in UTC.", _spent("day"), unit="currencyUSD"),
        figure("This month", "US dollars since the month began in UTC.", _spent("month"), unit="currencyUSD"),
        figure("Forecast", "US dollars at the end of the month.", _spent("forecast"), unit="currencyUSD"),
        Row("Cost"),
        Panel(
            "Cost by ClaudeDeployment",
            "US dollars an hour.",
            ((f"{rate(EACH, 'claude_gateway_cost_usd_total')} * 3600", WHO),),
            "currencyUSD",
            stacked=True,
        ),
        Panel(
            "Cost of the month",
            "US dollars since the month began in UTC, what it will be at the end, and the budget.",
            (
                (_spent("month", EACH), f"{WHO} so far"),
                (_spent("forecast", EACH), f"{WHO} forecast"),
                (f"sum by ({EACH}) (claude_operator_monthly_budget_usd{{{ONE}}})", f"{WHO} budget"),
            ),
            "currencyUSD",
        ),
        Panel(
            "Cost by model",
            "US dollars an hour, by the model that the revision declares.",
            ((f"{rate('model', 'claude_gateway_cost_usd_total')} * 3600", "{{model}}"),),
            "currencyUSD",
            stacked=True,
        ),
        Panel(
            "Cost of a request by revision",
            "Mean of the requests that were answered, in US dollars.",
            (
                (
                    f"{rate(f'{EACH}, revision', 'claude_gateway_cost_usd_total')}"
                    f" / {rate(f'{EACH}, revision', 'claude_gateway_requests_total', _OK)}",
                    "{{revision}}",
                ),
            ),
            "currencyUSD",
        ),
        Panel(
            "Models in use",
            "ClaudeDeployments that use a model, by its lifecycle state; subagents and graders count too.",
            ((f"count by (model, state) (claude_operator_model_in_use{{{ONE}}})", "{{model}} {{state}}"),),
            "short",
        ),
        Panel(
            "Answers without a price",
            "A second. `no_price`: the model is in no price list. `priority_tier`: the price is in a contract.",
            ((rate(f"{EACH}, model, reason", "claude_gateway_unpriced_total"), f"{WHO} {{{{model}}}} {{{{reason}}}}"),),
            "reqps",
        ),
        Panel(
            "Cost of live grading",
            "US dollars since midnight in UTC; not part of the figures above.",
            ((f"sum by ({EACH}) (claude_grader_cost_today_usd{{{ONE}}})", WHO),),
            "currencyUSD",
        ),
        Row("Tokens and cache"),
        Panel(
            "Cache-hit ratio by ClaudeDeployment",
            "Share of all prompt tokens that were read from the cache.",
            ((_hits(EACH), WHO),),
            "percentunit",
        ),
        Panel(
            "Cache-hit ratio by arm",
            "A new revision begins with a cold cache.",
            ((_hits(f"{EACH}, arm"), f"{WHO} {{{{arm}}}}"),),
            "percentunit",
        ),
        Panel(
            "Cache-hit ratio by surface, of a day",
            "Share of the prompt tokens of the last 24 hours that were read from the cache, of all revisions.",
            ((f"claude_operator_cache_hit_ratio{{{ONE}}}", f"{WHO} {{{{surface}}}}"),),
            "percentunit",
        ),
        Panel(
            "Cache-hit ratio by prefix",
            "Of the prefixes that are used most; a prefix is all that stands before a breakpoint.",
            ((ratio(f"{EACH}, prefix", "claude_gateway_prefix_tokens_total", _READ), f"{WHO} {{{{prefix}}}}"),),
            "percentunit",
        ),
        Panel(
            "Cold calls by cause",
            "Calls a second that read less from the cache than they could have.",
            (
                (
                    rate(f"{EACH}, surface, cause", "claude_gateway_cold_calls_total"),
                    f"{WHO} {{{{surface}}}} {{{{cause}}}}",
                ),
            ),
            "reqps",
            stacked=True,
        ),
        Panel(
            "Tokens by surface",
            "A second, of all kinds together.",
            ((rate(f"{EACH}, surface", "claude_gateway_surface_tokens_total"), f"{WHO} {{{{surface}}}}"),),
            stacked=True,
        ),
        Panel(
            "Tokens by kind",
            "A second; `input` is without what was read from the cache or written to it.",
            ((rate("kind", "claude_gateway_tokens_total"), "{{kind}}"),),
            stacked=True,
        ),
        Panel(
            "Prompt tokens of a call",
            "Half of the calls have no more, and 95 %, with the cache.",
            tuple(
                (
                    quantile(share, EACH, "gen_ai_client_token_usage", ', gen_ai_token_type="input"'),
                    f"{WHO} {share:.0%}",
                )
                for share in (0.5, 0.95)
            ),
        ),
    ),
    CHOICE,
)

_FIRST, _LAST = "gen_ai_client_operation_time_to_first_chunk_seconds", "gen_ai_client_operation_duration_seconds"
LATENCY = Dashboard(
    "latency",
    "Latency",
    "How long applications wait, by arm.",
    (
        Panel(
            "Budgets: share of calls that keep to them",
            "Over the window of each budget, and the share that should.",
            (
                (f"claude_operator_budget_attainment{{{ONE}}}", f"{WHO} {_BUDGET}"),
                (f"claude_operator_budget_target{{{ONE}}}", f"{WHO} {_BUDGET} {{{{max}}}} s target"),
            ),
            "percentunit",
        ),
        Panel(
            "Budgets: burn rate",
            "1: as many calls are over the limit as the budget allows. Over its own window, and over 5 minutes.",
            (
                (f"claude_operator_budget_burn_rate{{{ONE}}}", f"{WHO} {_BUDGET}"),
                (f"claude:budget_burn_rate:5m{{{ONE}}}", f"{WHO} {_LIMIT} 5 min"),
            ),
        ),
        Panel(
            "Budgets: calls over the limit by arm",
            "Share of an arm's calls.",
            (
                (
                    ratio(f"{EACH}, arm, surface, metric, max", "claude_gateway_budget_calls_total", _OVER),
                    f"{WHO} {{{{arm}}}} {_LIMIT}",
                ),
            ),
            "percentunit",
        ),
        Panel(
            "Batches",
            "Batches that pass through, and their requests, in each interval.",
            (
                (
                    f"sum by ({EACH}, state) (increase(claude_gateway_batches_total{{{ONE}}}{RATE}))",
                    f"{WHO} {{{{state}}}}",
                ),
                (
                    f"sum by ({EACH}, result) (increase(claude_gateway_batch_requests_total{{{ONE}}}{RATE}))",
                    f"{WHO} requests {{{{result}}}}",
                ),
            ),
        ),
        Panel(
            "Time to the first token",
            "Of streams, to the first content.",
            tuple((quantile(share, f"{EACH}, arm", _FIRST), f"{WHO} {{{{arm}}}} {share:.0%}") for share in (0.5, 0.95)),
            "s",
        ),
        Panel(
            "Duration",
            "From the request's arrival to its last byte, of complete answers.",
            tuple(
                (quantile(share, f"{EACH}, arm", _LAST, _OK), f"{WHO} {{{{arm}}}} {share:.0%}") for share in (0.5, 0.95)
            ),
            "s",
        ),
        Panel(
            "Time to the first token by model",
            "95 % of the streams begin no later.",
            ((quantile(0.95, "model", _FIRST), "{{model}}"),),
            "s",
        ),
        Panel(
            "Duration by model",
            "95 % of the complete answers take no longer.",
            ((quantile(0.95, "model", _LAST, _OK), "{{model}}"),),
            "s",
        ),
        Panel(
            "Output tokens of an answer",
            "Half of the answers have no more, and 95 %; longer answers take longer.",
            tuple(
                (
                    quantile(share, f"{EACH}, arm", "gen_ai_client_token_usage", ', gen_ai_token_type="output"'),
                    f"{WHO} {{{{arm}}}} {share:.0%}",
                )
                for share in (0.5, 0.95)
            ),
        ),
        Panel(
            "Overloads of the API",
            "Share of the requests that the API answers 429 or 529.",
            ((ratio(EACH, "claude_gateway_requests_total", _OVERLOAD), WHO),),
            "percentunit",
        ),
    ),
    CHOICE,
)
