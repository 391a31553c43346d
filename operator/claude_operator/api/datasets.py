"""Where the items of a ClaudeEvalSet are kept, when they are not in it."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, StringConstraints

from claude_operator.api.base import ApiModel, ObjectName
from claude_operator.api.deployment import KeyRef

Column = Annotated[str, StringConstraints(min_length=1, max_length=128)]


class EvalFields(ApiModel):
    """Names of columns or fields; all others are vars."""

    input: Column = Field(default="input", description="The user's message, or a list of messages.")
    target: Column = Field(default="target", description="The good answer.")
    id: Column = Field(default="id", description="The item's id; without one it is row-LINE.")
    metadata: Annotated[list[Column], Field(max_length=64)] | None = Field(
        default=None, description="Those that are labels."
    )


class EvalFile(ApiModel):
    """A ConfigMap key with items."""

    name: ObjectName = Field(description="Name of the ConfigMap, in the same namespace.")
    key: ObjectName = Field(description="Key in its data.")
    format: Literal["JSONL", "JSON", "CSV", "YAML"] | None = Field(
        default=None, description="JSONL, JSON, CSV or YAML (default: as the key's suffix says)."
    )


class EvalVolume(ApiModel):
    """A file with items on a volume, which is mounted into the eval Job and never written."""

    claim_name: ObjectName = Field(description="The PersistentVolumeClaim, in the same namespace.")
    path: Annotated[str, StringConstraints(min_length=1, max_length=512)] = Field(
        description="The file with the items, from the volume's root, as is what file:// names."
    )
    format: Literal["JSONL", "JSON", "CSV", "YAML"] | None = Field(
        default=None, description="JSONL, JSON, CSV or YAML (default: as the file's suffix says)."
    )


class EvalCalibration(ApiModel):
    """Answers that people have judged. Each run asks the graders about them, and tells how far both agree."""

    config_map_key_ref: KeyRef = Field(
        description="A ConfigMap key with labels, as `claude-operator eval calibrate --draw` writes them."
    )
    min_kappa: Annotated[float, Field(ge=0, le=1)] = Field(
        default=0.4, description="Cohen's kappa under which the status warns of the graders."
    )


class EvalDataset(ApiModel):
    """Items kept elsewhere. Exactly one of configMapKeyRef, configMaps and volume."""

    config_map_key_ref: KeyRef | None = Field(default=None, description="A ConfigMap key with JSONL, one item a line.")
    config_maps: Annotated[list[EvalFile], Field(min_length=1, max_length=32)] | None = Field(
        default=None, description="ConfigMap keys with items, in this order; file:// finds their other keys."
    )
    volume: EvalVolume | None = Field(default=None, description=EvalVolume.__doc__)
    fields: EvalFields | None = Field(
        default=None, description="What the fields of the items are called, where not as in tests."
    )
