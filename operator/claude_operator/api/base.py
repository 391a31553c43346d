"""What all resource models share: camelCase, strictness, durations."""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Annotated, Any, Self

from pydantic import BaseModel, ConfigDict, StringConstraints
from pydantic.alias_generators import to_camel
from pydantic.config import JsonDict

GROUP = "claudeops.dev"
VERSION = "v1alpha1"
API_VERSION = f"{GROUP}/{VERSION}"

DURATION_PATTERN = r"^([0-9]+(\.[0-9]+)?(ms|s|m|h))+$"
MONEY_PATTERN = r"^([1-9][0-9]{0,8}(\.[0-9]{1,2})?|0\.(0[1-9]|[1-9][0-9]?))$"
_DURATION_PART = re.compile(r"([0-9]+(?:\.[0-9]+)?)(ms|s|m|h)")
YEAR = 365 * 86_400.0
"""Seconds; a longer duration would leave the calendar."""

_UNITS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0}

Duration = Annotated[str, StringConstraints(pattern=DURATION_PATTERN, max_length=32)]
ObjectName = Annotated[str, StringConstraints(min_length=1, max_length=253)]
EnvName = Annotated[str, StringConstraints(pattern=r"^[A-Za-z_][A-Za-z0-9_]*$", max_length=128)]


class ApiModel(BaseModel):
    """A camelCase object of the Kubernetes API; unknown fields are refused."""

    model_config = ConfigDict(alias_generator=to_camel, populate_by_name=True, extra="forbid", frozen=True)


class WireModel(BaseModel):
    """An object in the Messages API's own snake_case; unknown fields are kept."""

    model_config = ConfigDict(extra="allow", frozen=True)


class StatusModel(BaseModel):
    """A status object: camelCase, tolerant of fields that a newer operator wrote."""

    model_config = ConfigDict(alias_generator=to_camel, populate_by_name=True, extra="ignore")

    @classmethod
    def made(cls, **fields: Any) -> Self:
        """One of all its fields, unchecked: `model_construct` without the search for aliases and defaults."""
        made = cls.__new__(cls)
        object.__setattr__(made, "__dict__", fields)
        object.__setattr__(made, "__pydantic_fields_set__", set(fields))
        object.__setattr__(made, "__pydantic_extra__", None)
        object.__setattr__(made, "__pydantic_private__", None)
        return made


def list_map(*keys: str) -> JsonDict:
    """Schema keywords of a list whose entries are told apart by these fields: no two may agree in them."""
    return {"x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": list(keys)}


@lru_cache(maxsize=256)
def seconds(duration: str) -> float:
    """Seconds in a duration such as `1h30m`, `45s` or `500ms`; raises `ValueError`."""
    if not re.fullmatch(DURATION_PATTERN, duration):
        raise ValueError(f"{duration!r} is not a duration; use e.g. 30s, 10m or 1h30m")
    return sum(float(number) * _UNITS[unit] for number, unit in _DURATION_PART.findall(duration))


def fraction(percentage: str) -> float:
    """The share that a percentage such as `10%` is: 0.1."""
    return float(percentage.removesuffix("%")) / 100.0
