"""The chart's rules: Prometheus takes them, each alert has a runbook, fires where it should, and ends."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import yaml
from tests.monitoring.cases import CASES, WHO, Case, document
from tests.monitoring.promtool import RULES, alerts, promtool

ROOT = Path(__file__).parents[2]
RUNBOOKS = (ROOT / "docs/runbooks.md").read_text()


def sections() -> list[str]:
    return list(re.findall(r"^## (\w+)$", RUNBOOKS, re.MULTILINE))


def test_each_alert_has_a_runbook_and_each_runbook_an_alert() -> None:
    assert sections() == list(dict.fromkeys(sections()))
    assert set(sections()) == set(alerts())
    for name, alert in alerts().items():
        assert alert["annotations"]["runbook_url"] == f"docs/runbooks.md#{name.lower()}"


def test_the_document_lists_the_alerts() -> None:
    document = (ROOT / "docs/monitoring.md").read_text()
    rows = dict(re.findall(r"^\| \[`(\w+)`\]\(runbooks\.md#\w+\) \| (\w+) \| .+ \|$", document, re.MULTILINE))
    assert rows == {name: alert["labels"]["severity"] for name, alert in alerts().items()}


def test_alerts_say_what_to_do() -> None:
    for name, alert in alerts().items():
        assert alert["labels"].keys() == {"severity"}, name
        assert alert["labels"]["severity"] in {"critical", "warning", "info"}, name
        assert alert["annotations"].keys() == {"summary", "description", "runbook_url"}, name
        assert re.search(r"[;.] ?[A-Za-z].*\.$", alert["annotations"]["summary"]), f"{name}: and what to do?"
        assert alert["annotations"]["description"].endswith("."), name


def test_each_alert_has_a_case() -> None:
    assert {case.alert for case in CASES} == set(alerts())


@pytest.mark.slow
def test_prometheus_takes_the_rules(prometheus_program: str) -> None:
    done = promtool("check", "rules", "--lint-fatal", str(RULES))
    assert done.returncode == 0, done.stdout + done.stderr


QUIET = Case(
    "",
    {
        **{
            f'claude_operator_condition{{{WHO},type="{type_}",status="True",reason="{reason}"}}': "1x240"
            for type_, reason in (("Ready", "Serving"), ("Accepted", "Valid"), ("Promoted", "Promoted"))
        },
        f'claude_gateway_requests_total{{{WHO},arm="stable",outcome="ok"}}': "0+60x240",
        f'claude_gateway_requests_total{{{WHO},arm="stable",outcome="error"}}': "0+1x240",
    },
    silent=("5m", "60m", "119m"),
    why="nothing fires where all is well",
)


@pytest.mark.slow
@pytest.mark.parametrize("interval", sorted({case.interval for case in CASES}))
def test_alerts_fire_and_end_where_they_should(prometheus_program: str, tmp_path: Path, interval: str) -> None:
    cases = [case for case in (QUIET, *CASES) if case.interval == interval]
    file = tmp_path / "cases.yaml"
    file.write_text(yaml.safe_dump(document(str(RULES), cases, interval), sort_keys=False, width=1000))
    done = promtool("test", "rules", str(file))
    assert done.returncode == 0, done.stdout + done.stderr
