"""`pause`, `resume`, `undo`: what changes the spec."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from typing import Any

import click

from claude_operator.cli import undo as undoing
from claude_operator.cli.cluster import CLD, Cluster
from claude_operator.cli.deployment import paused, phase_of, status_of
from claude_operator.cli.failure import Exit, Failure
from claude_operator.cli.gitops import warn_of
from claude_operator.cli.kubectl import KubectlError
from claude_operator.cli.options import Session, asks, command, deployment
from claude_operator.cli.view.diff import diff_facts, diff_view
from claude_operator.cli.waiting import until
from claude_operator.core.spec import revision as content_of

__all__ = ["pause", "resume", "undo"]

Object = Mapping[str, Any]

_MANAGED = "--show-managed-fields"


@click.command(short_help="Hold a rollout where it is.")
@deployment()
@asks
@command
def pause(session: Session, name: str, timeout: float) -> Exit:
    """Hold a rollout where it is (spec.paused). A rollback on evidence of harm still happens."""
    return _set_paused(session, name, True, timeout)


@click.command(short_help="Let a paused rollout go on.")
@deployment()
@asks
@command
def resume(session: Session, name: str, timeout: float) -> Exit:
    """Let a paused rollout go on."""
    return _set_paused(session, name, False, timeout)


@click.command(short_help="Put an earlier revision into the spec.")
@deployment()
@click.option("--to", metavar="REVISION", help="The revision to go back to; `history` lists them.")
@click.option("--dry-run", is_flag=True, help="Show what would change, and change nothing.")
@asks
@command
def undo(session: Session, name: str, to: str | None, dry_run: bool, timeout: float) -> Exit:
    """Put the whole content of an earlier revision back into the spec.

    Without --to: where the spec asks for another revision than the one that serves (a rollout is in progress or has
    failed), the one that serves. Otherwise the one that served before it.

    A text of promptFrom that has changed in its ConfigMap since is kept in a ConfigMap REVISION-prompts, so that the
    operator finds the same revision: one that has passed its evals, and that goes to 100 % at once within the rollback
    window. Where spec.lifecycle.migrate would replace the revision's model again, it is removed.
    """
    cluster = session.cluster
    obj = cluster.deployment(name, _MANAGED)
    prompts = cluster.prompts(undoing.prompt_keys(obj))
    chosen = to or undoing.target(obj, cluster.revisions(name), prompts)
    revision = cluster.revision(chosen)
    plan = undoing.plan(obj, revision, prompts, dt.datetime.now(dt.UTC).date())
    if not plan.operations:
        session.terminal.show({"name": name, "revision": chosen, "changed": False}, f"the spec is that of {chosen}")
        return Exit.DONE
    if warning := warn_of(obj):
        session.terminal.warn(warning)
    if dry_run:
        known = dict.fromkeys(undoing.prompt_keys(obj), "(this ConfigMap or key is missing)") | prompts
        present = content_of.revision_spec(content_of.content(undoing.wanted_spec(obj), known))
        facts = diff_facts("the present spec", present, chosen, revision["spec"])
        session.terminal.show(facts, diff_view(facts))
        return Exit.DONE
    if plan.config_map is not None:
        _keep(cluster, plan.config_map)
    changed = _edit(cluster, name, plan.operations)
    message = f"{name} has the content of {chosen} again"
    if plan.ends_migration:
        message += ", and no spec.lifecycle.migrate, which would replace its model"
    after = _observed(cluster, name, changed, timeout)
    return _report(session, {"name": name, "revision": chosen, "changed": True}, message, after)


def _set_paused(session: Session, name: str, value: bool, timeout: float) -> Exit:
    cluster = session.cluster
    obj = cluster.deployment(name, _MANAGED)
    message = f"{name} is paused" if value else f"{name} is not paused"
    if paused(obj) == value:
        return _report(session, {"name": name, "changed": False}, f"{message} already", obj)
    if warning := warn_of(obj):
        session.terminal.warn(warning)
    changed = cluster.kubectl.merge(CLD, name, {"spec": {"paused": value}})
    return _report(session, {"name": name, "changed": True}, message, _observed(cluster, name, changed, timeout))


def _observed(cluster: Cluster, name: str, changed: Object, timeout: float) -> Object | None:
    """The object once the operator has looked at this generation of it."""
    if not timeout:
        return None
    generation = changed["metadata"]["generation"]

    def look() -> Object | None:
        obj = cluster.deployment(name)
        seen = status_of(obj).observed_generation >= generation
        return obj if seen and phase_of(obj).name != "Unknown" else None

    found = until(look, timeout)
    if found is None:
        text = f"the spec is written, but the operator has not looked at it in {timeout:g} s: is it running?"
        raise Failure(text, Exit.TIMED_OUT)
    return found


def _report(session: Session, facts: dict[str, Any], message: str, obj: Object | None) -> Exit:
    phase = phase_of(obj) if obj is not None else None
    facts = {**facts, "message": message, "phase": phase and phase.name, "phaseMessage": phase and phase.message}
    session.terminal.show(facts, f"{message}. {phase.name}: {phase.message}" if phase else message)
    return phase.code or Exit.DONE if phase and phase.name == "Rejected" else Exit.DONE


def _edit(cluster: Cluster, name: str, operations: list[dict[str, Any]]) -> Object:
    try:
        return cluster.kubectl.edit(CLD, name, operations)
    except KubectlError:  # the API server does not say which test of a patch failed
        if cluster.deployment(name)["metadata"]["generation"] != operations[0]["value"]:
            raise Failure("somebody has just changed the spec: look at it, and run this again") from None
        raise


def _keep(cluster: Cluster, config_map: dict[str, Any]) -> None:
    name = config_map["metadata"]["name"]
    found = cluster.kubectl.find("configmap", name)
    if found is None:
        cluster.kubectl.create(config_map)
    elif found.get("data") != config_map["data"]:
        raise Failure(f"there is a ConfigMap {name} with other texts: delete it, and run this again")
