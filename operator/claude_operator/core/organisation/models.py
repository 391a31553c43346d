"""Which API key of an organisation used which model lately, the most urgent first."""

from __future__ import annotations

import datetime as dt
from collections import defaultdict
from collections.abc import Mapping, Sequence

from claude_operator.api.organisation import MOST_HELD, MOST_MODELS, KeyModel
from claude_operator.core.catalogue.lifecycle import NO_MODELS, Lifecycle, lifecycle_of
from claude_operator.core.catalogue.table import Model
from claude_operator.core.organisation.attribution import ApiKey, Holder
from claude_operator.core.organisation.reading import Reading

__all__ = ["key_models"]

_DAYS = 30
_URGENT = (Lifecycle.RETIRED, Lifecycle.DEPRECATED, Lifecycle.UNKNOWN)


def key_models(
    reading: Reading, holders: Sequence[Holder], today: dt.date, models: Mapping[str, Model] = NO_MODELS
) -> tuple[list[KeyModel], int]:
    """Uses of the last thirty days, and how many there are besides; `models` are the cluster's own."""
    sums: dict[tuple[str, str], int] = defaultdict(int)
    last: dict[tuple[str, str], dt.date] = {}
    for one in reading.usage:
        if one.slot.day > today - dt.timedelta(days=_DAYS) and one.tokens.all:
            place = one.slot.model, one.key
            sums[place] += one.tokens.all
            last[place] = max(last.get(place, one.slot.day), one.slot.day)
    urgent = {model: lifecycle_of(model, today, models).lifecycle in _URGENT for model in {model for model, _ in sums}}
    ranked = sorted(sums, key=lambda place: (not urgent[place[0]], -sums[place], place))
    known = {one.id: one for one in reading.keys}
    held: dict[str, list[str]] = defaultdict(list)
    for holder in holders:
        held[holder.key].append(f"{holder.namespace}/{holder.name}")
    listed = [
        KeyModel(
            model=model,
            api_key_id=key,
            name=known.get(key, ApiKey(key)).name,
            workspace=known.get(key, ApiKey(key)).workspace,
            deployments=sorted(held[key])[:MOST_HELD] if key in held and key else [],
            tokens=sums[model, key],
            last_day=str(last[model, key]),
        )
        for model, key in ranked[:MOST_MODELS]
    ]
    return listed, len(ranked) - len(listed)
