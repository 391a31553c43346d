"""The series that the processes of this repository show, with their labels."""

from __future__ import annotations

import io
from collections.abc import Iterator
from pathlib import Path

from prometheus_client import CollectorRegistry
from tests.gateway.harness import NoSource

from claude_operator.evals.live.metrics import Metrics as GraderMetrics
from claude_operator.gateway.accounting import Accounting
from claude_operator.gateway.credentials import CredentialFiles
from claude_operator.gateway.service import Service, Settings
from claude_operator.log import Log
from claude_operator.organisation.metrics import Metrics as HistoryMetrics
from claude_operator.shell.metrics import Metrics as OperatorMetrics

TARGET = {"job", "instance", "pod", "container", "endpoint", "service"}  # the Prometheus operator's own labels
_SUFFIXES = {"counter": ("_total",), "gauge": ("",), "histogram": ("_bucket", "_count", "_sum")}


def shown() -> dict[str, set[str]]:
    """Each series with all the labels that it has in Prometheus."""
    found: dict[str, set[str]] = {}
    for registry, place in (
        (_gateway(), {"namespace", "name"}),  # the PodMonitor puts them on what pods tell
        (GraderMetrics().registry, {"namespace", "name"}),
        (HistoryMetrics().registry, {"namespace", "name"}),
        (OperatorMetrics().registry, {"namespace"}),
    ):
        for name, labels in _series(registry):
            found.setdefault(name, set()).update(labels | place | TARGET)
    return found


def own_labels() -> dict[str, set[str]]:
    """The labels that the processes themselves put on each family, as it is documented."""
    found = {}
    for registry in (_gateway(), GraderMetrics().registry, OperatorMetrics().registry):
        for name, labels in _series(registry):
            if not name.endswith(("_bucket", "_count", "_sum")):
                found[name] = labels
            else:
                found[name.rpartition("_")[0]] = labels - {"le"}
    return found


def _gateway() -> CollectorRegistry:
    """What a gateway's page is made of, as the process puts it together."""
    missing, log = Path("missing"), Log(io.StringIO(), "json")
    files = CredentialFiles(missing, missing, missing, missing, on_a_laptop=True)
    service = Service(Settings(port=0, admin_port=0), NoSource(), files, log)
    Accounting(service.control.store, service.metrics, log)
    return service.metrics.registry


def _series(registry: CollectorRegistry) -> Iterator[tuple[str, set[str]]]:
    for collector in set(registry._collector_to_names):
        for family in getattr(collector, "describe", collector.collect)():
            labels = set(getattr(family, "_labelnames", ())) or set(getattr(collector, "_labelnames", ()))
            for suffix in _SUFFIXES[family.type]:
                yield family.name + suffix, labels | ({"le"} if suffix == "_bucket" else set())
