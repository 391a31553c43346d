"""The dashboards of gateways and of the operator."""

from __future__ import annotations

from dashboards_parts import CHOICE, EACH, ONE, RATE, WHO, Dashboard, Panel, Row, figure, quantile, rate

__all__ = ["GATEWAYS", "OPERATOR"]

# Processes of all kinds have these series.
_GATEWAYS = "and on (job, instance) claude_gateway_in_flight"
_OPERATORS = "and on (job, instance) claude_operator_leader"
_GENERATION = f"claude_gateway_config_generation{{{ONE}}}"

GATEWAYS = Dashboard(
    "gateways",
    "Gateways",
    "The pods that answer applications: load, what they refuse, what they add, and what they know.",
    (
        figure("In flight", "Calls being answered now.", f"sum(claude_gateway_in_flight{{{ONE}}})"),
        figure(
            "Requests", "Requests a second.", f"sum(rate(claude_gateway_requests_total{{{ONE}}}{RATE}))", unit="reqps"
        ),
        figure(
            "Ready pods",
            "Ready gateway pods, as the operator sees them.",
            f"sum(claude_operator_gateways_ready{{{ONE}}})",
        ),
        figure(
            "Pods behind",
            "Pods with an earlier configuration than others of their ClaudeDeployment.",
            f"sum({_GENERATION} < bool on (namespace, name) group_left () max by (namespace, name) ({_GENERATION}))",
            alarming=1,
        ),
        figure(
            "Refused configurations",
            "Configurations that a gateway could not take, in this time.",
            f"sum(increase(claude_gateway_config_errors_total{{{ONE}}}[$__range]))",
            alarming=1,
        ),
        figure(
            "Silent peers",
            "Pods of the same ClaudeDeployment that did not answer each other.",
            f"sum(claude_gateway_silent_peers{{{ONE}}})",
            alarming=1,
        ),
        Row("Load"),
        Panel(
            "Requests by surface",
            "Requests a second, without what the gateway refused before it chose an arm.",
            ((rate(f"{EACH}, surface", "claude_gateway_requests_total"), f"{WHO} {{{{surface}}}}"),),
            "reqps",
            stacked=True,
        ),
        Panel(
            "Requests by outcome",
            "`overload` and `account` are the upstream's, `refused` the gateway's own.",
            ((rate("outcome", "claude_gateway_requests_total"), "{{outcome}}"),),
            "reqps",
            stacked=True,
        ),
        Panel(
            "Refused by the gateway",
            "Refusals a second by HTTP status: 401 a wrong key, 413 too large, 503 no revision, 529 no room.",
            ((rate(f"{EACH}, status", "claude_gateway_refused_total"), f"{WHO} {{{{status}}}}"),),
            "reqps",
        ),
        Panel(
            "Refused for the month's budget",
            "Refusals a second because `spec.budget` is spent.",
            ((rate(EACH, "claude_gateway_throttled_total"), WHO),),
            "reqps",
        ),
        Panel(
            "In flight by pod",
            "Calls being answered.",
            ((f"claude_gateway_in_flight{{{ONE}}}", "{{pod}}"),),
        ),
        Panel(
            "Retries and calls without a conversation",
            "Retries of clients, and calls that name no conversation: these are drawn one by one.",
            (
                (rate(EACH, "claude_gateway_retries_total"), f"{WHO} retries"),
                (rate(EACH, "claude_gateway_unnamed_total"), f"{WHO} without a conversation"),
            ),
            "reqps",
        ),
        Panel(
            "What the gateway adds",
            "Seconds from a request's last byte until it is sent to the upstream.",
            tuple(
                (quantile(share, EACH, "claude_gateway_overhead_seconds"), f"{WHO} {share:.0%}")
                for share in (0.5, 0.99)
            ),
            "s",
        ),
        Row("Pods"),
        Panel(
            "Memory by pod",
            "Resident bytes of the process, and bytes reserved for bodies.",
            (
                (f"process_resident_memory_bytes{{{ONE}}} {_GATEWAYS}", "{{pod}}"),
                (f"claude_gateway_body_bytes{{{ONE}}}", "{{pod}} bodies"),
            ),
            "bytes",
        ),
        Panel(
            "CPU by pod",
            "Cores in use; a gateway process uses one at most.",
            ((f"rate(process_cpu_seconds_total{{{ONE}}}{RATE}) {_GATEWAYS}", "{{pod}}"),),
        ),
        Panel(
            "Generation of the configuration by pod",
            "Lines of one ClaudeDeployment lie on each other, except for the seconds in which a new one is spread.",
            ((f"claude_gateway_config_generation{{{ONE}}}", "{{pod}}"),),
        ),
        Panel(
            "Known conversations by pod",
            "Conversations whose arm a pod knows.",
            ((f"claude_gateway_known_conversations{{{ONE}}}", "{{pod}}"),),
        ),
        Panel(
            "Peers by pod",
            "Other pods that the operator has named, and those of them that do not answer.",
            (
                (f"claude_gateway_peers{{{ONE}}}", "{{pod}}"),
                (f"claude_gateway_silent_peers{{{ONE}}}", "{{pod}} silent"),
            ),
        ),
        Panel(
            "Time since all conversations are known",
            "A pod that does not know all of them yet has no line.",
            (
                (
                    f"time() - (claude_gateway_conversations_complete_timestamp_seconds{{{ONE}}} > 0)",
                    "{{pod}}",
                ),
            ),
            "s",
        ),
    ),
    CHOICE,
)

_JOB = 'job=~"$job"'
OPERATOR = Dashboard(
    "operator",
    "Operator",
    "The operator itself: who leads, what it does, and what keeps it from it.",
    (
        figure("Leaders", "One replica leads.", f"sum(claude_operator_leader{{{_JOB}}})"),
        figure("Replicas", "Replicas that are scraped.", f"count(claude_operator_leader{{{_JOB}}})"),
        figure(
            "ClaudeDeployments",
            "Those that the leader knows.",
            'count(count by (namespace, name) (claude_operator_condition{type="Ready"}))',
        ),
        figure(
            "Waiting", "Objects that wait for a worker.", f"max(claude_operator_queue_depth{{{_JOB}}})", alarming=50
        ),
        figure(
            "Blind now",
            "For how long the leader has not seen changes of some kind.",
            f"max(claude_operator_blind_seconds{{{_JOB}}})",
            unit="s",
            alarming=60,
        ),
        figure(
            "Namespaces away",
            "Namespaces of watchNamespaces that may not be read.",
            f"max(claude_operator_namespaces_away{{{_JOB}}})",
            alarming=1,
        ),
        Row("Passes"),
        Panel(
            "Passes",
            "Passes a second, by kind and how they ended.",
            (
                (
                    f"sum by (kind, result) (rate(claude_operator_reconcile_duration_seconds_count{{{_JOB}}}{RATE}))",
                    "{{kind}} {{result}}",
                ),
            ),
            "ops",
        ),
        Panel(
            "Duration of a pass",
            "95 % of the passes take no longer.",
            (
                (
                    "histogram_quantile(0.95, sum by (kind, le) "
                    f"(rate(claude_operator_reconcile_duration_seconds_bucket{{{_JOB}}}{RATE})))",
                    "{{kind}}",
                ),
            ),
            "s",
        ),
        Panel(
            "Queue",
            "Objects that wait for a worker.",
            ((f"claude_operator_queue_depth{{{_JOB}}}", "{{pod}}"),),
        ),
        Panel("Leader", "1 for the replica that leads.", ((f"claude_operator_leader{{{_JOB}}}", "{{pod}}"),)),
        Row("What goes wrong"),
        Panel(
            "Failed writes, and gateways that gave no evidence",
            "In each interval. Conflicts are not failures.",
            (
                (f"sum by (what) (increase(claude_operator_write_failures_total{{{_JOB}}}{RATE}))", "writes: {{what}}"),
                (f"sum(increase(claude_operator_gateway_read_failures_total{{{_JOB}}}{RATE}))", "evidence not read"),
            ),
        ),
        Panel(
            "The API server",
            "Calls that were tried again, and watches that were started again.",
            (
                (f"sum(increase(claude_operator_api_retries_total{{{_JOB}}}{RATE}))", "calls"),
                (f"sum(increase(claude_operator_watch_restarts_total{{{_JOB}}}{RATE}))", "watches"),
            ),
        ),
        Panel(
            "Leaderships lost",
            "Times that a replica stopped leading without being asked to.",
            (
                (
                    f"sum by (reason) (increase(claude_operator_leaderships_lost_total{{{_JOB}}}{RATE}))",
                    "{{reason}}",
                ),
            ),
        ),
        Panel(
            "Blind",
            "Seconds for which the leader has not seen changes of some kind.",
            ((f"claude_operator_blind_seconds{{{_JOB}}}", "{{pod}}"),),
            "s",
        ),
        Row("The process"),
        Panel(
            "Delay of the event loop",
            "99 % of the delays are no longer, and the longest that its own work has caused.",
            (
                (
                    "histogram_quantile(0.99, sum by (pod, le) "
                    f"(rate(claude_operator_loop_stall_seconds_bucket{{{_JOB}}}{RATE})))",
                    "{{pod}} 99 %",
                ),
                (f"claude_operator_loop_longest_hold_seconds{{{_JOB}}}", "{{pod}} longest"),
            ),
            "s",
        ),
        Panel(
            "Memory",
            "Resident bytes by pod.",
            ((f"process_resident_memory_bytes{{{_JOB}}} {_OPERATORS}", "{{pod}}"),),
            "bytes",
        ),
        Panel(
            "CPU",
            "Cores in use by pod.",
            ((f"rate(process_cpu_seconds_total{{{_JOB}}}{RATE}) {_OPERATORS}", "{{pod}}"),),
        ),
    ),
    {"job": "label_values(claude_operator_leader, job)"},
)
