"""The operator's log lines."""

from __future__ import annotations

import io
import json
import logging
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import pytest

from claude_operator.log import Format, configure, fields

LIBRARIES = ("kopf", "kubernetes", "aiohttp", "asyncio", "client")


@pytest.fixture(autouse=True)
def restore() -> Iterator[None]:
    """Leave logging as it was."""
    root = logging.getLogger()
    handlers, level = list(root.handlers), root.level
    levels = {name: logging.getLogger(name).level for name in LIBRARIES}
    yield
    root.handlers[:] = handlers
    root.setLevel(level)
    for name, value in levels.items():
        logging.getLogger(name).setLevel(value)


def start(form: Format = "json", level: str = "INFO") -> io.StringIO:
    stream = io.StringIO()
    configure(form, level=level, stream=stream)
    return stream


def lines(stream: io.StringIO) -> list[dict[str, Any]]:
    return [json.loads(line) for line in stream.getvalue().splitlines()]


def test_json() -> None:
    stream = start()
    logging.getLogger("claude_operator.shell").info(
        "rolled %s", "back", extra=fields(namespace="team", name="support", revision="support-7", weight=0)
    )
    (line,) = lines(stream)
    assert line.pop("time").endswith("+00:00")
    assert line == {
        "level": "info",
        "logger": "claude_operator.shell",
        "message": "rolled back",
        "namespace": "team",
        "name": "support",
        "revision": "support-7",
        "weight": 0,
    }


def test_text_is_one_line() -> None:
    stream = start("text")
    logging.getLogger("x").warning("two\nlines", extra=fields(name="support", revision=None, weight=0))
    (line,) = stream.getvalue().splitlines()
    assert line.endswith(" warning two lines logger=x name=support weight=0")


def test_levels() -> None:
    stream = start()
    for name in (*LIBRARIES, "kopf.objects", "kubernetes.aio.client"):
        logging.getLogger(name).info("too much")
        logging.getLogger(name).warning("enough")
    logging.getLogger("claude_operator").debug("too much")
    assert [line["message"] for line in lines(stream)] == ["enough"] * 7
    stream = start(level="debug")
    logging.getLogger("claude_operator").debug("asked for")
    logging.getLogger("kopf").debug("prints whole objects")
    assert [line["message"] for line in lines(stream)] == ["asked for"]
    with pytest.raises(ValueError, match="write DEBUG, INFO, WARNING or ERROR"):
        start(level="LOUD")


def test_the_object_that_kopf_speaks_of() -> None:
    stream = start()
    reference = {"apiVersion": "v", "kind": "ClaudeDeployment", "name": "support", "namespace": "team", "uid": "u"}
    settings = SimpleNamespace(
        posting=SimpleNamespace(level=50, enabled=False, loggers=False)
    )  # kopf's own handler looks at it
    logging.getLogger("kopf.objects").warning("hm", extra={"k8s_ref": reference, "settings": settings})
    (line,) = lines(stream)
    assert {name: line[name] for name in ("kind", "namespace", "name")} == {
        "kind": "ClaudeDeployment",
        "namespace": "team",
        "name": "support",
    }
    assert "settings" not in line


@pytest.mark.parametrize("form", ["json", "text"])
def test_an_exceptions_text_and_objects_stay_out(form: Format) -> None:
    stream = start(form)
    try:
        raise ValueError("the prompt is secret")
    except ValueError:
        logging.getLogger("x").exception("it broke", extra=fields(body={"system": "secret"}))  # type: ignore[arg-type]
    text = stream.getvalue()
    assert "secret" not in text
    assert "ValueError" in text
    assert "test_an_exceptions_text_and_objects_stay_out" in text  # where it happened
    assert "<dict>" in text


def test_long_and_broken_values() -> None:
    stream = start()
    logging.getLogger("x").info("m" * 9000, extra=fields(name="n" * 900, odd="\ud800", number=float("nan")))
    (line,) = lines(stream)
    assert (len(line["message"]), len(line["name"]), line["odd"], line["number"]) == (2048, 256, "?", None)


def test_our_own_fields_hide_none_of_the_lines() -> None:
    stream = start()
    logging.getLogger("x").info("said", extra=fields(message="other", level="high"))
    assert (lines(stream)[0]["message"], lines(stream)[0]["level"]) == ("said", "info")
