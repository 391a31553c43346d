"""What a set refers to: the keys of its ConfigMaps, or files beside it on a laptop."""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from claude_operator.api.evals import EvalSetSpec
from claude_operator.core.evals.formats.text import as_text

__all__ = [
    "LARGEST",
    "SCHEME",
    "Contents",
    "block_source",
    "claim_of",
    "config_maps",
    "contents_of",
    "is_media",
    "item_keys",
]

Object = Mapping[str, Any]

SCHEME = "file://"
LARGEST = 8 * 1024 * 1024  # bytes of all ConfigMaps of a set together
_SHOWN = 80
_MAGIC = (
    (b"\x89PNG\r\n\x1a\n", "image/png"),
    (b"\xff\xd8\xff", "image/jpeg"),
    (b"GIF8", "image/gif"),
    (b"%PDF-", "application/pdf"),
)
_MEDIA = re.compile(r"\.(png|jpe?g|gif|webp|pdf)$", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Contents:
    """By name and key of a ConfigMap. `beside` finds a file by its name where there is a folder to look in."""

    texts: Mapping[tuple[str, str], str | bytes] = field(default_factory=dict)
    beside: Callable[[str], bytes | None] | None = None
    place: str = "beside the set"
    """Where `beside` looks."""

    def file(self, reference: str) -> str | bytes:
        """What `file://NAME` names; raises ValueError."""
        name = reference.removeprefix(SCHEME)
        if self.beside is not None and (data := self.beside(name)) is not None:
            return data
        found = [place for place in self.texts if place[1] == name]
        if len(found) > 1:
            maps = " and ".join(place[0] for place in found[:2])
            raise ValueError(f"{reference[:_SHOWN]} is a key of the ConfigMaps {maps}: give one of them another name")
        if not found:
            where = f"{self.place}, nor a key" if self.beside is not None else "a key"
            raise ValueError(
                f"{reference[:_SHOWN]} is not {where} of the ConfigMaps that the set names: add it, or name its"
                " ConfigMap in files"
            )
        return self.texts[found[0]]

    def text(self, reference: str) -> str:
        """The text that `file://NAME` names, without line ends at its end."""
        try:
            return as_text(self.file(reference)).rstrip("\r\n")
        except UnicodeError:
            raise ValueError(f"{reference[:_SHOWN]} cannot be read: save it as UTF-8") from None
        except ValueError as error:
            said = str(error)
            raise ValueError(f"{reference[:_SHOWN]} {said}" if said.startswith("is ") else said) from None


def is_media(reference: str) -> bool:
    """Whether `file://NAME` is an image or a PDF by its name: such a one goes into a block, not into a text."""
    return _MEDIA.search(reference) is not None


def block_source(reference: str, contents: Contents) -> dict[str, str]:
    """The `source` of an image or document block: what the bytes are decides, not the name."""
    data = contents.file(reference)
    raw = data.encode("utf-8", "surrogatepass") if isinstance(data, str) else data
    kind = next((kind for magic, kind in _MAGIC if raw.startswith(magic)), None)
    if kind is None and raw[:4] == b"RIFF" and raw[8:12] == b"WEBP":
        kind = "image/webp"
    if kind is not None:
        return {"type": "base64", "media_type": kind, "data": base64.b64encode(raw).decode()}
    if is_media(reference):
        raise ValueError(f"{reference[:_SHOWN]} is not a PNG, JPEG, GIF, WebP or PDF: save it as one of these")
    return {"type": "text", "media_type": "text/plain", "data": contents.text(reference)}


def config_maps(stored: Object) -> list[str]:
    """Names of the ConfigMaps that a set's stored spec refers to, each once."""
    dataset = _mapping(stored.get("dataset"))
    labels = _mapping(stored.get("calibration")).get("configMapKeyRef")
    named = [dataset.get("configMapKeyRef"), *_list(dataset.get("configMaps")), *_list(stored.get("files")), labels]
    names = [one.get("name") for one in named if isinstance(one, Mapping)]
    return list(dict.fromkeys(name for name in names if isinstance(name, str) and name))


def claim_of(stored: Object) -> str | None:
    """Name of the PersistentVolumeClaim that a set's stored spec refers to."""
    name = _mapping(_mapping(stored.get("dataset")).get("volume")).get("claimName")
    return name if isinstance(name, str) and name else None


def item_keys(spec: EvalSetSpec) -> list[tuple[str, str]]:
    """Names and keys of the ConfigMaps that hold the set's items."""
    if spec.dataset is None:
        return []
    reference, sources = spec.dataset.config_map_key_ref, spec.dataset.config_maps or ()
    return [(one.name, one.key) for one in ([reference] if reference is not None else sources)]


def contents_of(stored: Object, found: Mapping[str, Object]) -> Contents:
    """The contents of a set from its ConfigMaps by name; raises ValueError where they are too large or not base64.

    Where the set has `configMapKeyRef`, that key alone is read of its ConfigMap.
    """
    reference = _mapping(_mapping(stored.get("dataset")).get("configMapKeyRef"))
    named = {one.get("name") for one in _list(stored.get("files")) if isinstance(one, Mapping)}
    texts: dict[tuple[str, str], str | bytes] = {}
    size = 0
    content = config_maps({name: value for name, value in stored.items() if name != "calibration"})
    for name, live in found.items():
        if name not in content:  # it has labels alone
            continue
        only = reference.get("key") if name == reference.get("name") and name not in named else None
        for part in ("data", "binaryData"):
            for key, value in (live.get(part) or {}).items():
                if only is None or key == only:
                    texts[name, key] = value if part == "data" else _decoded(name, key, value)
                    size += len(value)
    if size > LARGEST:
        raise ValueError(
            f"the ConfigMaps of the set have {size:,} bytes together, more than {LARGEST:,}: use fewer items"
        )
    return Contents(texts)


def _decoded(name: str, key: str, value: str) -> bytes:
    try:
        return base64.b64decode(value, validate=True)
    except (binascii.Error, ValueError):
        raise ValueError(f"the ConfigMap {name}, key {key}: binaryData is not base64: create it again") from None


def _mapping(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}


def _list(value: Any) -> Sequence[Any]:
    return value if isinstance(value, list) else ()
