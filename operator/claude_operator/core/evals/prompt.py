"""The system prompt of a request file, block by block, and the merge patches that change it where it is written."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

__all__ = ["Block", "Patch", "Prompt", "make_patches", "read_blocks", "with_texts"]


@dataclass(frozen=True, slots=True)
class Block:
    """A text block as the API takes it; `source` names the ConfigMap and the key that hold its text, if any do."""

    fields: Mapping[str, Any]
    source: tuple[str, str] | None = None

    @property
    def text(self) -> str:
        """Its text."""
        return str(self.fields["text"])


@dataclass(frozen=True, slots=True)
class Prompt:
    """The blocks of promptFrom, then those of request.system; `kind` is empty for a bare request."""

    kind: Literal["ClaudeDeployment", ""]
    name: str
    blocks: tuple[Block, ...]

    @property
    def texts(self) -> tuple[str, ...]:
        """The texts of the blocks."""
        return tuple(block.text for block in self.blocks)


@dataclass(frozen=True, slots=True)
class Patch:
    """A JSON merge patch for the object with this kind and name; without a kind for a bare request."""

    kind: Literal["ClaudeDeployment", "ConfigMap", ""]
    name: str
    document: Mapping[str, Any]


def read_blocks(
    system: Sequence[Mapping[str, Any]], sources: Sequence[Mapping[str, Any]], texts: Mapping[tuple[str, str], str]
) -> tuple[Block, ...]:
    """The blocks of a request with `system` and promptFrom's `sources`; one that is empty where there is none."""
    found = []
    for source in sources:
        reference = source["configMapKeyRef"]
        place = (reference["name"], reference["key"])
        control = {"cache_control": source["cache_control"]} if source.get("cache_control") is not None else {}
        found.append(Block({"type": "text", "text": texts[place], **control}, place))
    found += [Block(dict(block)) for block in system]
    return tuple(found) or (Block({"type": "text", "text": ""}),)


def with_texts(prompt: Prompt, texts: Sequence[str]) -> list[dict[str, Any]]:
    """The whole `system` with other texts: everything else of a block stays, above all its cache_control."""
    return [{**block.fields, "text": text} for block, text in zip(prompt.blocks, texts, strict=True)]


def make_patches(prompt: Prompt, texts: Sequence[str]) -> list[Patch]:
    """The patches that give these texts, each where the text is kept; nothing for what stays as it is.

    A merge patch replaces a list as a whole, so request.system is there with all of its blocks.
    """
    changed = [
        (block, text) for block, text in zip(prompt.blocks, texts, strict=True) if text != block.text or not block.text
    ]
    patches = []
    if any(block.source is None for block, _ in changed):
        whole = zip(prompt.blocks, with_texts(prompt, texts), strict=True)
        system = [fields for block, fields in whole if block.source is None]
        document = {"spec": {"request": {"system": system}}} if prompt.kind else {"system": system}
        patches.append(Patch(prompt.kind, prompt.name, document))
    data: dict[str, dict[str, str]] = {}
    for block, text in changed:
        if block.source is not None:
            data.setdefault(block.source[0], {})[block.source[1]] = text
    return patches + [Patch("ConfigMap", name, {"data": entries}) for name, entries in data.items()]
