"""The log's two forms, and what becomes of other libraries' lines."""

from __future__ import annotations

import io
import json
import logging
from collections.abc import Iterator

import pytest

from claude_operator.gateway.call import Call
from claude_operator.gateway.log import call_fields
from claude_operator.log import Log


@pytest.fixture
def logger() -> Iterator[logging.Logger]:
    made = logging.getLogger("tests.gateway.log")
    made.propagate = False
    yield made
    made.handlers.clear()


def test_text_is_one_line_with_what_there_is() -> None:
    output = io.StringIO()
    call = Call("GET", "/v1/models", 0.0, None, status=200, outcome="ok", ended=0.5)
    Log(output, "text").write("call", call_fields(call))
    (line,) = output.getvalue().splitlines()
    assert line.endswith(" info call method=GET path=/v1/models status=200 outcome=ok latency_ms=500.0 surface=other")


def test_a_value_that_is_no_text_or_has_lines_stays_one_line() -> None:
    for form in ("json", "text"):
        output = io.StringIO()
        Log(output, form).write("call", call_fields(Call("GET", "/v1/\udcff\n\nx", 0.0, None)))
        assert len(output.getvalue().splitlines()) == 1


def test_other_libraries_lines_quote_nothing(logger: logging.Logger) -> None:
    output = io.StringIO()
    Log(output, "json").adopt(logger)
    logger.info("not worth a line")
    try:
        raise ValueError("SENTINEL")
    except ValueError:
        logger.exception("Error handling request from %s", "SENTINEL")
    message = f"Task exception was never retrieved\nfuture: {ValueError('SENTINEL')!r}"
    logger.error(message)
    first, second = map(json.loads, output.getvalue().splitlines())
    assert (first["message"], first["exception"]) == ("Error handling request from %s", "ValueError")
    assert second["message"] == "Task exception was never retrieved"
    assert "SENTINEL" not in output.getvalue()
