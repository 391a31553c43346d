"""The process that tries users' JSON Schemas on texts. It needs the library, and so takes a moment to start."""

from __future__ import annotations

import datetime
import json
import re
import sys
import urllib.parse
import warnings
from collections.abc import Iterator
from functools import lru_cache
from itertools import islice
from pathlib import Path
from typing import Any

import jsonschema  # type: ignore[import-untyped]
from jsonschema.exceptions import best_match  # type: ignore[import-untyped]
from jsonschema_specifications import REGISTRY  # type: ignore[import-untyped]
from referencing.exceptions import NoSuchResource, Unresolvable

sys.path.append(str(Path(__file__).parent))  # this folder is no package here
from worker_loop import main  # type: ignore[import-not-found]

_MOST_ERRORS = 50
_SHOWN = 100
_HOST = re.compile(r"(?!-)[A-Za-z0-9-]{1,63}(?<!-)(\.(?!-)[A-Za-z0-9-]{1,63}(?<!-))*")
_TIME = re.compile(r"\d\d:\d\d:\d\d(\.\d+)?([Zz]|[+-]\d\d:\d\d)")
_checker = jsonschema.FormatChecker(())


def _is_date_time(value: Any) -> bool:
    if not isinstance(value, str):
        return True
    moment = datetime.datetime.fromisoformat(value)
    return moment.tzinfo is not None and "T" in value.upper()


def _is_time(value: Any) -> bool:
    if not isinstance(value, str):
        return True
    datetime.time.fromisoformat(value.upper())
    return bool(_TIME.fullmatch(value))


def _is_uri(value: Any) -> bool:
    if not isinstance(value, str):
        return True
    parts = urllib.parse.urlsplit(value)
    return bool(parts.scheme and (parts.netloc or parts.path)) and not re.search(r"[\s<>\"{}|\\^`]", value)


def _is_host(value: Any) -> bool:
    return not isinstance(value, str) or (len(value) <= 253 and bool(_HOST.fullmatch(value)))


_checker.checkers |= {
    "date-time": (_is_date_time, ValueError),
    "time": (_is_time, ValueError),
    "uri": (_is_uri, ValueError),
    "hostname": (_is_host, ()),
}
for _name in ("date", "email", "ipv4", "ipv6", "regex", "uuid"):
    _checker.checkers[_name] = jsonschema.FormatChecker.checkers[_name]


def tried(program: str, text: str | None) -> tuple[str, str]:
    """What becomes of a schema on a text, or what is wrong with it where there is no text."""
    try:
        mode, schema = json.loads(program)
        validator = _validator(program)
        if text is None:
            validator.check_schema(schema, format_checker=jsonschema.FormatChecker(("regex",)))
            why = _useless(validator, schema)
            return ("useless" if why else "found"), why
        if mode == "inside":
            return _inside(validator, text)
        return _whole(validator, json.loads(text, parse_constant=_refuse))
    except jsonschema.SchemaError as error:
        return "invalid", f"{'/'.join(map(str, error.absolute_path))}: {error.message}"[:500]
    except RecursionError:
        return "memory", ""
    except re.error as error:
        return "invalid", f"pattern: {error}"[:500]
    except (Unresolvable, NoSuchResource):
        return "invalid", "a $ref leads to no schema in it"
    except ValueError:
        return "missing", "it is not JSON"


def _useless(validator: Any, schema: Any) -> str:
    """Why no value holds a schema that lists all that may."""
    if not isinstance(schema, dict):
        return ""
    wanted = schema["enum"] if "enum" in schema else [schema["const"]] if "const" in schema else None
    if wanted is not None and not any(validator.is_valid(value) for value in wanted):
        return "is a schema that no JSON holds: its other rules exclude each value of enum or const"
    return ""


@lru_cache(maxsize=256)
def _validator(program: str) -> Any:
    schema = json.loads(program)[1]
    kind = jsonschema.validators.validator_for(schema, default=jsonschema.Draft202012Validator)
    return kind(schema, format_checker=_checker, registry=REGISTRY)  # another one fetches what a $ref names


def _refuse(name: str) -> Any:
    raise ValueError(name)


def _whole(validator: Any, value: Any) -> tuple[str, str]:
    error = best_match(islice(validator.iter_errors(value), _MOST_ERRORS))
    return ("found", "") if error is None else ("missing", _why(error))


def _inside(validator: Any, text: str) -> tuple[str, str]:
    why = "no object or list of JSON is in it"
    for value in _values(text):
        outcome, told = _whole(validator, value)
        if outcome == "found":
            return outcome, ""
        why = told
    return "missing", why


def _values(text: str) -> Iterator[Any]:
    """The outermost objects and lists in a text."""
    decoder, at = json.JSONDecoder(parse_constant=_refuse), 0
    while start := re.compile(r"[{\[]").search(text, at):
        at = start.start() + 1
        try:
            value, at = decoder.raw_decode(text, start.start())
        except (ValueError, RecursionError):
            continue
        yield value


def _why(error: Any) -> str:
    """What a value lacks, in the schema's words: names in its path that the schema does not have are left out."""
    known = {str(part) for part in error.absolute_schema_path}
    path = "".join(
        f"[{one}]" if isinstance(one, int) else f".{one if one in known else '*'}" for one in error.absolute_path
    )
    wanted = error.validator_value
    if error.validator == "required" and isinstance(error.instance, dict):
        wanted = [name for name in wanted if name not in error.instance]
    rule = json.dumps(wanted, ensure_ascii=False)
    return f"${path[:_SHOWN]} does not hold {error.validator} {rule[:_SHOWN]}"


if __name__ == "__main__":
    warnings.simplefilter("ignore")
    main(tried)
