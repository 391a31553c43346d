"""What differs between two revisions, so that a person can read it: parameters, prompt and tools apart."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import yaml
from rich.console import Group, RenderableType
from rich.text import Text

from claude_operator.cli.view.text_diff import Line, Part, changed_line, diff_lines, same_line, whole_line

__all__ = ["diff_facts", "diff_view"]

Spec = Mapping[str, Any]
Facts = dict[str, Any]

_STYLES = {"=": "", "-": "red", "+": "green"}
_APART = ("system", "tools")
_CONTEXT = 2  # unchanged lines beside a change
_LONG, _SHOWN = 160, 60  # characters of unchanged text in a line that are shortened, to so many at each end


def diff_facts(before: str, old: Spec, after: str, new: Spec) -> Facts:
    """Sections with lines; a line is a list of [kind, text], kind `=`, `-` or `+`. Without sections: no difference."""
    sections = [{"title": title, "lines": lines} for title, lines in _sections(old, new)]
    return {"before": before, "after": after, "sections": sections}


def diff_view(facts: Facts) -> RenderableType:
    """The sections; what has gone stands in [-…-], what is new in {+…+}, as `git diff --word-diff` writes it."""
    heading = Text.assemble((f"- {facts['before']}", "red"), "\n", (f"+ {facts['after']}", "green"))
    if not facts["sections"]:
        return Group(heading, Text("\nno difference: both send the same"))
    parts: list[RenderableType] = [heading]
    for section in facts["sections"]:
        parts += [Text(f"\n{section['title']}", style="bold")]
        parts += [_shown(line) for line in _with_context(section["lines"])]
    return Group(*parts)


# ------------------------------------------------------------------------------------------------------- sections


def _sections(old: Spec, new: Spec) -> Iterator[tuple[str, list[Line]]]:
    yield from _request("", old.get("request") or {}, new.get("request") or {})
    olds, news = old.get("subagents") or {}, new.get("subagents") or {}
    for name in dict.fromkeys([*olds, *news]):
        title = f"Subagent {name}"
        if (name in olds) != (name in news):
            kind, one = ("-", olds[name]) if name in olds else ("+", news[name])
            yield f"{title} ({'removed' if kind == '-' else 'added'})", _whole(kind, _yaml(one["request"]))
        else:
            yield from _request(f"{title}: ", olds[name]["request"], news[name]["request"])
    overrides = _fields(old.get("overrides") or {}, new.get("overrides") or {})
    if overrides:
        yield "Overrides", overrides


def _request(prefix: str, old: Spec, new: Spec) -> Iterator[tuple[str, list[Line]]]:
    rest = [{key: value for key, value in one.items() if key not in _APART} for one in (old, new)]
    found = (
        ("Parameters", _fields(*rest)),
        ("System prompt", _texts(old.get("system"), new.get("system"))),
        ("Tools", _tools(old.get("tools") or [], new.get("tools") or [])),
    )
    yield from ((f"{prefix}{title}", lines) for title, lines in found if lines)


def _fields(old: Spec, new: Spec) -> list[Line]:
    """A line for each value that differs, by its path."""
    olds, news = dict(_flat(old)), dict(_flat(new))
    lines = []
    for path in dict.fromkeys([*olds, *news]):
        if olds.get(path) != news.get(path):
            values: list[Part] = []
            values += [["-", olds[path]]] if path in olds else []
            values += [["+", news[path]]] if path in news else []
            lines.append([["=", f"{path}: "], *values])
    return lines


def _flat(value: Any, path: str = "") -> Iterator[tuple[str, str]]:
    if isinstance(value, Mapping) and value:
        for key, one in value.items():
            yield from _flat(one, f"{path}.{key}" if path else str(key))
    elif path:
        yield path, value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def _texts(old: Any, new: Any) -> list[Line]:
    """The system prompt line by line; a block begins with a line that tells its kind and its cache breakpoint."""
    return diff_lines(_prompt(old), _prompt(new))


def _prompt(system: Any) -> list[str]:
    if isinstance(system, str):
        return system.splitlines()
    lines = []
    for block in system or ():
        rest = {key: value for key, value in block.items() if key != "text"}
        lines.append("[" + ", ".join(f"{path} {value}" for path, value in _flat(rest)) + "]")
        lines += str(block.get("text", "")).splitlines()
    return lines


def _tools(old: Sequence[Spec], new: Sequence[Spec]) -> list[Line]:
    olds, news = {_tool_name(one): one for one in old}, {_tool_name(one): one for one in new}
    lines: list[Line] = []
    for name in dict.fromkeys([*olds, *news]):
        if name not in news:
            lines += [whole_line("-", f"tool {name}"), *_whole("-", _yaml(olds[name]), "  ")]
        elif name not in olds:
            lines += [whole_line("+", f"tool {name}"), *_whole("+", _yaml(news[name]), "  ")]
        elif olds[name] != news[name]:
            inner = diff_lines(_yaml(olds[name]), _yaml(news[name]))
            lines += [same_line(f"tool {name}"), *([["=", "  "], *line] for line in inner)]
    kept = [[name for name in one if name in olds and name in news] for one in (olds, news)]
    if kept[0] != kept[1]:
        lines.append(changed_line("order: ", ", ".join(kept[0]), ", ".join(kept[1])))
    return lines


def _tool_name(tool: Spec) -> str:
    return str(tool.get("name") or tool.get("mcp_server_name") or tool.get("type"))


def _yaml(value: Any) -> list[str]:
    text: str = yaml.safe_dump(_plain(value), sort_keys=False, allow_unicode=True, width=10_000)
    return text.splitlines()


def _plain(value: Any) -> Any:
    """Plain dicts and lists, so that YAML writes no tags."""
    if isinstance(value, Mapping):
        return {key: _plain(one) for key, one in value.items()}
    return [_plain(one) for one in value] if isinstance(value, list | tuple) else value


def _whole(kind: str, texts: Sequence[str], indent: str = "") -> list[Line]:
    return [whole_line(kind, f"{indent}{text}") for text in texts]


# ------------------------------------------------------------------------------------------------------ rendering


def _with_context(lines: Sequence[Line]) -> Iterator[Line]:
    """Changes with the lines around them; `…` stands for what is left out."""
    changed = [number for number, line in enumerate(lines) if any(part[0] != "=" for part in line)]
    near = {other for number in changed for other in range(number - _CONTEXT, number + _CONTEXT + 1)}
    left_out = False
    for number, line in enumerate(lines):
        if number in near:
            yield line
            left_out = False
        elif not left_out:
            yield same_line("…")
            left_out = True


def _shown(line: Line) -> Text:
    kinds = {kind for kind, text in line if text.strip() or kind != "="}
    if len(kinds) == 1:
        (kind,) = kinds
        mark = " " if kind == "=" else kind
        return Text(f"{mark} {''.join(text for _, text in line)}".rstrip(), style=_STYLES[kind])
    shown = Text("~ ", style="yellow") if kinds else Text()
    for kind, text in line:
        marked = {"-": f"[-{text}-]", "+": f"{{+{text}+}}"}.get(kind, _shortened(text))
        shown.append(marked, style=_STYLES[kind])
    return shown


def _shortened(text: str) -> str:
    return text if len(text) <= _LONG else f"{text[:_SHOWN]} … {text[-_SHOWN:]}"
