"""Events: what is written, and that none ever fails a pass."""

from __future__ import annotations

import datetime as dt
import logging

import pytest
from tests.shell.fakes import Client, SetClock, Store, now, run

from claude_operator.kube.client import KubeError, Object
from claude_operator.kube.resources import Resource
from claude_operator.shell.events import Recorder

MOMENT = dt.datetime(2026, 11, 24, 11, 0, 0, 12, dt.timezone(dt.timedelta(hours=1)))
REGARDING: Object = {
    "apiVersion": "claudeops.dev/v1alpha1",
    "kind": "ClaudeDeployment",
    "metadata": {"name": "support", "namespace": "team", "uid": "u-1", "resourceVersion": "7", "labels": {"a": "b"}},
    "spec": {"request": {"system": "secret"}},
}


def only(store: Store) -> Object:
    (event,) = store.objects.values()
    return event


async def emit(
    store: Store, note: str = "All is well.", regarding: Object = REGARDING, at: dt.datetime = MOMENT
) -> None:
    recorder = Recorder(Client(store), instance="claude-operator-7f-x", clock=SetClock(at))
    await recorder.emit(regarding, type="Normal", reason="RolledBack", note=note, action="Rollback")


async def test_the_whole_event() -> None:
    store = Store()
    await emit(store)
    event = only(store)
    assert event.pop("metadata")["namespace"] == "team"
    assert event == {
        "apiVersion": "events.k8s.io/v1",
        "kind": "Event",
        "eventTime": "2026-11-24T10:00:00.000012Z",
        "reportingController": "claudeops.dev/claude-operator",
        "reportingInstance": "claude-operator-7f-x",
        "regarding": {
            "apiVersion": "claudeops.dev/v1alpha1",
            "kind": "ClaudeDeployment",
            "name": "support",
            "namespace": "team",
            "uid": "u-1",
            "resourceVersion": "7",
        },
        "type": "Normal",
        "reason": "RolledBack",
        "action": "Rollback",
        "note": "All is well.",
    }


async def test_names_are_new_each_time_and_short_enough() -> None:
    store = Store()
    long = {**REGARDING, "metadata": {"name": "x" * 253, "namespace": "team"}}
    for regarding in (REGARDING, REGARDING, long):
        await emit(store, regarding=regarding)
    names = [name for _, _, name in store.objects]
    assert len(set(names)) == 3
    assert max(map(len, names)) <= 253
    assert names[0].startswith("support.")


async def test_events_of_one_moment_keep_their_order() -> None:
    """A thousand of the same microsecond have names of their own, in the order in which they were told."""
    store = Store()
    recorder = Recorder(Client(store), instance="claude-operator-7f-x", clock=SetClock(MOMENT))
    for number in range(1000):
        await recorder.emit(REGARDING, type="Normal", reason="RolledBack", note=str(number), action="Rollback")
    notes = [event["note"] for _, event in sorted(store.objects.items())]
    assert notes == [str(number) for number in range(1000)]


async def test_a_clock_that_steps_back_a_long_way_is_believed() -> None:
    store, clock = Store(), SetClock(MOMENT)
    recorder = Recorder(Client(store), instance="claude-operator-7f-x", clock=clock)
    for note, back in (("later", 0), ("an hour before", 3600)):
        clock.moment = MOMENT - dt.timedelta(seconds=back)
        await recorder.emit(REGARDING, type="Normal", reason="RolledBack", note=note, action="Rollback")
    assert [event["note"] for _, event in sorted(store.objects.items())] == ["an hour before", "later"]


async def test_events_of_an_object_are_named_in_the_order_of_time() -> None:
    """`kubectl describe` shows them as the API server lists them: by name."""
    store = Store()
    for later in (0, 2, 300, 4_000_000, 10**14):
        await emit(store, at=MOMENT + dt.timedelta(microseconds=later))
    names = [name for _, _, name in store.objects]
    assert names == sorted(names)


async def test_a_cluster_scoped_object_has_its_events_in_default() -> None:
    store = Store()
    await emit(store, regarding={"apiVersion": "v1", "kind": "ClaudeModel", "metadata": {"name": "m"}})
    event = only(store)
    assert event["metadata"]["namespace"] == "default"
    assert "namespace" not in event["regarding"]


@pytest.mark.parametrize("note", ["x" * 1024, "x" * 1025, "é" * 600, "x" + "🙂" * 300, "🙂" * 256])
async def test_notes_are_cut_at_1024_bytes_between_characters(note: str) -> None:
    store = Store()
    await emit(store, note)
    written = only(store)["note"]
    assert len(written.encode()) <= 1024
    if len(note.encode()) <= 1024:
        assert written == note
    else:
        assert written.endswith("…")
        assert note.startswith(written[:-1])
        assert len(written.encode()) > 1024 - 4


async def test_an_event_whose_first_answer_was_lost_counts_as_written(caplog: pytest.LogCaptureFixture) -> None:
    class Twice(Client):
        async def create(self, resource: Resource, body: Object, namespace: str | None = None) -> Object:
            await super().create(resource, body, namespace)
            return await super().create(resource, body, namespace)  # as the client tries again after a lost answer

    reasons: list[str] = []
    recorder = Recorder(Twice(Store()), instance="p", on_emit=reasons.append)
    await recorder.emit(REGARDING, type="Normal", reason="RolledBack", note="n", action="Rollback")
    assert reasons == ["RolledBack"]
    assert not caplog.records


def test_a_failure_is_logged_and_not_raised(caplog: pytest.LogCaptureFixture) -> None:
    async def main() -> list[str]:
        client, reasons = Client(Store()), []
        recorder = Recorder(client, instance="p", on_emit=reasons.append)
        for failing, cut in ((KubeError(403, "Forbidden", "no"), False), (None, True), (None, False)):
            client.failing, client.cut = failing, cut
            began = now()
            await recorder.emit(REGARDING, type="Warning", reason="Held", note="n", action="Hold")
            assert now() - began <= 3.0
        return reasons

    with caplog.at_level(logging.WARNING):
        assert run(main()) == ["Held"]  # the last one was written
    assert [record.__dict__["fields"]["status"] for record in caplog.records] == [403, 0]
    assert caplog.records[0].__dict__["fields"]["name"] == "support"
