"""The names that dashboards and alerts rely on."""

from __future__ import annotations

from prometheus_client.parser import text_string_to_metric_families

from claude_operator.shell.metrics import Metrics


def test_the_page() -> None:
    metrics = Metrics()
    metrics.reconcile_duration.labels("ClaudeDeployment", "ok").observe(0.2)
    metrics.queue_depth.set(3)
    metrics.rollouts.labels("RolledBack").inc()
    metrics.rollback_latency.observe(1.5)
    metrics.leader.set(1)
    metrics.gateway_read_failures.inc()
    metrics.events.labels("RolledBack").inc()
    metrics.leaderships_lost.labels("blind").inc()
    metrics.api_retries.inc()
    metrics.watch_restarts.inc()
    metrics.blind.set(7)
    metrics.namespaces_away.set(2)
    metrics.loop_stall.observe(0.5)
    metrics.longest_hold.set(0.5)
    families = text_string_to_metric_families(metrics.page().decode())
    values = {
        (sample.name, *sample.labels.values()): sample.value
        for family in families
        for sample in family.samples
        if not sample.name.endswith(("_bucket", "_created"))
    }
    assert values.pop(("process_cpu_seconds_total",)) > 0
    values = {key: value for key, value in values.items() if not key[0].startswith("process_")}
    assert values == {
        ("claude_operator_reconcile_duration_seconds_count", "ClaudeDeployment", "ok"): 1,
        ("claude_operator_reconcile_duration_seconds_sum", "ClaudeDeployment", "ok"): 0.2,
        ("claude_operator_queue_depth",): 3,
        ("claude_operator_rollouts_total", "RolledBack"): 1,
        **{("claude_operator_rollouts_total", one): 0 for one in ("Promoted", "Aborted", "EvalFailed", "Superseded")},
        ("claude_operator_rollback_latency_seconds_count",): 1,
        ("claude_operator_rollback_latency_seconds_sum",): 1.5,
        ("claude_operator_leader",): 1,
        ("claude_operator_gateway_read_failures_total",): 1,
        ("claude_operator_events_total", "RolledBack"): 1,
        ("claude_operator_leaderships_lost_total", "blind"): 1,
        ("claude_operator_leaderships_lost_total", "lease"): 0,
        ("claude_operator_api_retries_total",): 1,
        ("claude_operator_watch_restarts_total",): 1,
        ("claude_operator_blind_seconds",): 7,
        ("claude_operator_namespaces_away",): 2,
        ("claude_operator_loop_stall_seconds_count",): 1,
        ("claude_operator_loop_stall_seconds_sum",): 0.5,
        ("claude_operator_loop_longest_hold_seconds",): 0.5,
    }


def test_each_has_a_registry_of_its_own() -> None:
    first, second = Metrics(), Metrics()
    first.leader.set(1)
    assert b"claude_operator_leader 0.0" in second.page()
