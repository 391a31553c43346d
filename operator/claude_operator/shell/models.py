"""ClaudeModel objects: made from the shipped catalogue, of today's status, and read back as the cluster's."""

from __future__ import annotations

import logging
from collections.abc import Mapping

from claude_operator.core import names, render
from claude_operator.core.catalogue.objects import model_objects, model_status, models_by_name
from claude_operator.core.catalogue.table import Model
from claude_operator.kube.client import Kube, KubeError, Object
from claude_operator.kube.resources import CLAUDE_MODELS
from claude_operator.log import fields
from claude_operator.shell.clock import Clock

__all__ = ["ModelBook"]

_log = logging.getLogger(__name__)


class ModelBook:
    """What the cluster knows of models, by id and alias; the shipped table holds for the rest."""

    def __init__(self, kube: Kube, clock: Clock) -> None:
        self._kube, self._clock = kube, clock
        self._models: Mapping[str, Model] = {}

    def models(self) -> Mapping[str, Model]:
        """The models as last read."""
        return self._models

    async def refresh(self) -> bool:
        """Make what is missing, mend what differs, bring every status to today; True where the models changed.

        What is in the catalogue is the catalogue's; an object of another name is a person's and is left as it is.
        """
        live = {item["metadata"]["name"]: item for item in await self._kube.list(CLAUDE_MODELS)}
        for wanted in model_objects():
            name = wanted["metadata"]["name"]
            if name not in live or not render.covers(live[name], wanted):
                live[name] = await self._kube.apply(CLAUDE_MODELS, wanted, field_manager=names.FIELD_MANAGER)
        models = models_by_name(item["spec"] for item in live.values())
        changed = models != self._models
        self._models = models
        for item in live.values():
            try:
                await self._write(item)
            except KubeError as error:  # one that the API server refuses keeps none of the others
                if error.not_found:  # deleted meanwhile
                    continue
                _log.warning(
                    "a model's status was not written", extra=fields(model=item["metadata"]["name"], error=str(error))
                )
        return changed

    async def _write(self, item: Object) -> None:
        status = model_status(item["spec"], self._clock.now().date(), self._models)
        wanted = status.model_dump(by_alias=True, exclude_none=True, mode="json")
        stored = item.get("status") or {}
        if {key: value for key, value in stored.items() if value is not None} == wanted:
            return
        gone = {key: None for key in stored if key not in wanted}
        name = item["metadata"]["name"]
        await self._kube.patch_status(CLAUDE_MODELS, name, None, {**wanted, **gone})
        if stored and stored.get("lifecycle") != wanted["lifecycle"]:
            _log.info(status.message, extra=fields(model=item["spec"].get("id"), lifecycle=status.lifecycle))
