"""Which models there are at a moment, and where each is in its life: the catalogue, as the scenario changes it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from claude_operator.api.base import seconds
from claude_operator.core.catalogue.table import Model, all_models, find
from claude_operator.simulator.scenario import LifeChange, ScenarioError

__all__ = ["Lives", "Served", "check_changes"]


@dataclass(frozen=True, slots=True)
class Served:
    """The models at one moment."""

    models: tuple[Model, ...]
    by_name: Mapping[str, Model]

    def find(self, model_id: str) -> Model | None:
        """The model of an id or alias, None where there is none."""
        return self.by_name.get(model_id)


class Lives:
    """The models of a scenario that was set at `since`, in seconds since the epoch."""

    def __init__(self, changes: Sequence[LifeChange], since: float) -> None:
        self._changes = [(_begins(one, since), one) for one in changes]
        self._served: dict[tuple[int, ...], Served] = {}

    def at(self, now: float) -> Served:
        """The models at a moment. Of the changes of one model that have come, the last in the list holds."""
        due = tuple(number for number, (begins, _) in enumerate(self._changes) if begins <= now)
        if due not in self._served:
            self._served = {due: _served([self._changes[number][1] for number in due])}
        return self._served[due]


def check_changes(changes: Sequence[LifeChange]) -> None:
    """Raises ScenarioError for a change of a model that nobody knows."""
    made: set[str] = set()
    for number, one in enumerate(changes):
        where = f"lifecycle[{number}]"
        if one.like is not None and find(one.like) is None:
            raise ScenarioError(f"{where}.like: {one.like} is not in the catalogue: write the id of a model that is")
        if one.like is not None:
            made.add(one.model)
        elif one.model not in made and find(one.model) is None:
            raise ScenarioError(f"{where}.model: {one.model} is not in the catalogue: add like: claude-haiku-5-5")


def _begins(change: LifeChange, since: float) -> float:
    if change.at is not None:
        return change.at.timestamp()
    return since + seconds(change.after) if change.after is not None else float("-inf")


def _served(changes: Sequence[LifeChange]) -> Served:
    models = {model.id: model for model in all_models()}
    ids = {name: model.id for model in models.values() for name in (model.id, *model.aliases)}
    for change in changes:
        own = models.get(ids.get(change.model, change.model))
        like = models.get(ids.get(change.like, "")) if change.like is not None else None
        base = replace(like, id=change.model, aliases=()) if like is not None else own
        if base is None:  # the change that makes it has not come yet
            continue
        models[base.id] = replace(base, stated=change.state, deprecated=change.deprecated_at, retires=change.retires_at)
        ids[base.id] = base.id
    return Served(tuple(models.values()), {name: models[model_id] for name, model_id in ids.items()})
