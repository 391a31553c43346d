"""Objects as YAML that people read: a text of several lines as such, every value written out."""

from __future__ import annotations

import re
from typing import Any

import yaml

__all__ = ["as_yaml"]


class _Dumper(yaml.SafeDumper):
    def ignore_aliases(self, data: Any) -> bool:
        """Write each value out."""
        return True


def _as_written(dumper: yaml.SafeDumper, text: str) -> yaml.ScalarNode:
    style = "|" if "\n" in text and not re.search(r"[ \t]\n|^\s|\s$", text) else None
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style=style)


_Dumper.add_representer(str, _as_written)


def as_yaml(document: Any) -> str:
    """One object."""
    return yaml.dump(document, Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=110)
