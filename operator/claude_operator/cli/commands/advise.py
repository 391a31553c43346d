"""`advise`: what would change the bill, or bring a surface back into its latency budget."""

from __future__ import annotations

import datetime as dt
import sys

import click
from pydantic import ValidationError

from claude_operator.cli.cluster import Cluster
from claude_operator.cli.failure import Exit, Failure
from claude_operator.cli.kubectl import KubectlError, Object
from claude_operator.cli.options import Session, command, deployment
from claude_operator.cli.trial import Trial, run_trial
from claude_operator.cli.undo import wanted_spec
from claude_operator.cli.view.advise import advise_facts, advise_view, patch_of, patch_text
from claude_operator.core.advice.advise import advise as find_advice
from claude_operator.core.advice.case import Case
from claude_operator.core.advice.patches import merged
from claude_operator.core.evals.contents import config_maps as config_maps_of

__all__ = ["advise"]

_NOTES = """
The figures are of the last seven days, today among them, as the gateways measured them, at your own prices where the
operator has told the gateways any. The cluster is not changed. A patch that makes a new revision goes through its eval
gate and its canary like any other change.

--try needs claude-operator in PATH and ANTHROPIC_API_KEY, and ends with 0 where the gate passes, 100 where it fails,
and 101 where it cannot tell. Without --try the command ends with 1 where there is too little traffic to say anything.
"""


@click.command(short_help="Show what would change the bill.", epilog=_NOTES)
@deployment()
@click.option("--patch", type=click.IntRange(min=1), metavar="N", help="Print the patch of advice N alone, as YAML.")
@click.option("--try", "tried", type=click.IntRange(min=1), metavar="N", help="Ask the eval set with advice N here.")
@click.option("--max-cost", type=click.FloatRange(min=0), metavar="USD", help="With --try: the most it may cost.")
@command
def advise(session: Session, name: str, patch: int | None, tried: int | None, max_cost: float | None) -> int:
    """Show what would change the bill of a ClaudeDeployment, with the arithmetic, and what each change risks.

    A smaller model, less effort, prompt caching, batches, and what helps a surface over its latency budget.
    """
    if patch is not None and tried is not None:
        raise click.UsageError("--patch and --try do not go together")
    if max_cost is not None and tried is None:
        raise click.UsageError("--max-cost goes with --try")
    obj = session.cluster.deployment(name)
    case = _case(session, obj)
    found = find_advice(case)
    facts = advise_facts(obj["metadata"]["namespace"], name, case, found)
    if patch is not None:
        wanted = patch_of(facts, patch)
        if session.terminal.form == "json":
            session.terminal.show(wanted, "")
        else:
            sys.stdout.write(patch_text(wanted))
        return Exit.DONE
    if tried is not None:
        wanted = patch_of(facts, tried)
        if not found.advice[tried - 1].is_gated:
            raise Failure(f"advice {tried} makes no new revision, so there is nothing to ask the eval set")
        return run_trial(_trial(session, obj, case, wanted), max_cost)
    session.terminal.show(facts, advise_view(facts))
    return Exit.DONE if found.advice or not found.lacks_data else Exit.FAILED


def _case(session: Session, obj: Object) -> Case:
    cluster: Cluster = session.cluster
    (used,) = cluster.usages([obj["metadata"]["name"]])
    if used.kept is None:
        raise Failure(f"nothing is known of what it uses: {used.blind}")
    stable = (obj.get("status") or {}).get("stableRevision")
    try:
        models = cluster.models()
    except KubectlError as error:
        models = {}
        session.terminal.warn(f"the shipped list of models is used, since ClaudeModels cannot be read: {error}")
    case = Case(wanted_spec(obj), used.kept, stable, dt.datetime.now(dt.UTC), cluster.prices(obj), models)
    try:
        _ = case.spec
    except ValidationError as error:
        raise Failure(f"the spec cannot be read: {error.error_count()} fields are wrong; see Accepted") from error
    return case


def _trial(session: Session, obj: Object, case: Case, patch: Object) -> Trial:
    evals = case.spec.evals
    if evals is None:
        raise Failure("spec.evals is not set: there is no eval set to try it with")
    eval_set = session.cluster.eval_set(evals.set_ref.name)
    prompts = [one.config_map_key_ref.name for one in case.spec.prompt_from or ()]
    config_maps = session.cluster.config_maps([*prompts, *config_maps_of(eval_set["spec"])])
    spec = wanted_spec(obj)
    return Trial({**obj, "spec": spec}, merged(spec, patch["spec"]), eval_set, config_maps)
