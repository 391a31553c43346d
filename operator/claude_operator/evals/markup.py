"""HTML that is escaped as it is made: text is text, and only what `tag` has made is markup."""

from __future__ import annotations

import base64
import hashlib
from html import escape

from claude_operator.evals.plain import printable

__all__ = ["Markup", "join", "page", "tag"]

_EMPTY = frozenset({"meta"})


class Markup(str):
    """Text that is markup already."""

    __slots__ = ()


def tag(name: str, *children: str, **attributes: str | None) -> Markup:
    """An element. An attribute of None is left out; `class_` is `class`, and `_` in names is `-`."""
    words = [name]
    for key, value in attributes.items():
        if value is not None:
            words.append(f'{key.rstrip("_").replace("_", "-")}="{escape(printable(value))}"')
    opened = f"<{' '.join(words)}>"
    return Markup(opened if name in _EMPTY else f"{opened}{join(*children)}</{name}>")


def join(*children: str) -> Markup:
    """Children one after another; what is not markup is escaped."""
    return Markup("".join(one if isinstance(one, Markup) else escape(printable(one), quote=False) for one in children))


def page(title: str, style: str, *body: str) -> str:
    """A whole document that loads nothing and runs nothing: its own policy allows this one style and no more."""
    digest = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()
    policy = f"default-src 'none'; style-src 'sha256-{digest}'; base-uri 'none'; form-action 'none'"
    head = tag(
        "head",
        tag("meta", charset="utf-8"),
        tag("meta", http_equiv="Content-Security-Policy", content=policy),
        tag("meta", name_="viewport", content="width=device-width, initial-scale=1"),
        tag("meta", name_="color-scheme", content="light dark"),
        tag("title", title),
        tag("style", Markup(style)),
    )
    return f"<!doctype html>\n{tag('html', head, tag('body', *body), lang='en')}\n"
