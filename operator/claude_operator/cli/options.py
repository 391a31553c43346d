"""Options that all commands share, as kubectl calls them."""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

import click
from click.shell_completion import CompletionItem

from claude_operator.api.base import seconds
from claude_operator.cli.cluster import CLD, CLR, Cluster
from claude_operator.cli.failure import Failure
from claude_operator.cli.kubectl import Kubectl
from claude_operator.cli.terminal import Form, Terminal

__all__ = ["Session", "Span", "asks", "command", "deployment", "deployments", "revision"]

F = TypeVar("F", bound=Callable[..., Any])

_FLAGS = ("namespace", "context", "kubeconfig", "cluster", "user", "as_")
_WAIT = 60.0  # seconds
_FORMS: tuple[Form, ...] = ("table", "json", "yaml")


@dataclass(frozen=True, slots=True)
class Session:
    """The cluster that a command speaks with, and where it prints."""

    cluster: Cluster
    terminal: Terminal


class Span(click.ParamType[float]):
    """A time span such as 90s, 10m or 1h30m; a bare number is in seconds."""

    name = "duration"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        """In seconds."""
        if isinstance(value, float):
            return value
        try:
            return seconds(f"{value}s" if str(value).replace(".", "", 1).isdigit() else str(value))
        except ValueError as error:
            self.fail(str(error), param, ctx)


def command(function: F, *, forms: Sequence[Form] = _FORMS) -> F:
    """With the flags of kubectl, and a `Session` as first argument."""

    @functools.wraps(function)
    def run(**given: Any) -> Any:
        flags = _kubectl_flags({name: given.pop(name) for name in _FLAGS})
        form: Form = given.pop("output")
        return function(Session(Cluster(Kubectl(flags)), Terminal(form)), **given)

    output = click.option(
        "-o", "--output", type=click.Choice(forms), default=forms[0], show_default=True, help="What to print."
    )
    for option in reversed((*_OPTIONS, output)):
        run = option(run)
    return run  # type: ignore[return-value]


def asks(function: F) -> F:
    """With the options of a command that asks the operator for something."""
    option = click.option(
        "--timeout",
        type=Span(),
        default=_WAIT,
        show_default="60s",
        help="How long to wait until the operator has dealt with it; 0 does not wait.",
    )
    wrapped: F = option(function)
    return wrapped


def deployment(*, required: bool = True) -> Callable[[F], F]:
    """The argument that names a ClaudeDeployment; `cld/NAME` is taken too."""
    return click.argument(
        "name", required=required, callback=_plain_name, shell_complete=functools.partial(_names, CLD), metavar="NAME"
    )


def deployments() -> Callable[[F], F]:
    """Arguments that name ClaudeDeployments; none for all."""
    return click.argument(
        "names", nargs=-1, callback=_plain_names, shell_complete=functools.partial(_names, CLD), metavar="[NAME]..."
    )


def revision(argument: str) -> Callable[[F], F]:
    """An argument that names a ClaudeRevision."""
    complete = functools.partial(_names, CLR)
    return click.argument(argument, callback=_plain_name, shell_complete=complete, metavar="REVISION")


def _kubectl_flags(given: dict[str, str | None]) -> list[str]:
    return [f"--{name.rstrip('_')}={value}" for name, value in given.items() if value]


def _plain_name(ctx: click.Context, param: click.Parameter, value: str | None) -> str | None:
    if value is None:
        return None
    kind, slash, name = value.rpartition("/")
    known = ("cld", "clr", "claudedeployment", "claudedeployments", "clauderevision", "clauderevisions")
    if slash and kind.partition(".")[0].lower() not in known:
        raise click.BadParameter(f"{value} is not the name of a ClaudeDeployment or ClaudeRevision")
    if not name or name.startswith("-"):
        raise click.BadParameter(f"{value!r} is not a name")
    return name


def _plain_names(ctx: click.Context, param: click.Parameter, values: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(name for value in values if (name := _plain_name(ctx, param, value))))


def _names(kind: str, ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """Names in the chosen namespace; none where the cluster does not answer."""
    flags = _kubectl_flags({name: ctx.params.get(name) for name in _FLAGS})
    try:
        found = Kubectl(flags).list(kind)
    except Failure:
        return []
    names = (str(one["metadata"]["name"]) for one in found)
    return [CompletionItem(name) for name in names if name.startswith(incomplete)]


_OPTIONS = (
    click.option("-n", "--namespace", metavar="NAME", help="The namespace; kubectl's default otherwise."),
    click.option("--context", metavar="NAME", help="The kubeconfig context."),
    click.option("--kubeconfig", type=click.Path(), help="The kubeconfig file."),
    click.option("--cluster", metavar="NAME", help="The kubeconfig cluster."),
    click.option("--user", metavar="NAME", help="The kubeconfig user."),
    click.option("--as", "as_", metavar="USER", help="The user to impersonate."),
)
