"""The Console's CSV exports: both kinds, columns of all years, spoiled files, and what counts once."""

from __future__ import annotations

import datetime as dt

import pytest

from claude_operator.core.audit.console import in_days, merge, newest_day, read_export
from claude_operator.core.audit.keys import KeyUse
from claude_operator.core.audit.names import id_finder

USAGE = (
    "usage_date_utc,model_version,api_key,workspace,usage_type,context_window,usage_input_tokens_no_cache,"
    "usage_input_tokens_cache_write_5m,usage_input_tokens_cache_write_1h,usage_input_tokens_cache_read,"
    "usage_output_tokens,web_search_count,inference_geo,speed"
)
FIRST = "usage_date_utc,model_version,api_key,workspace,usage_type,context_window,usage_input_tokens_no_cache," \
    "usage_input_tokens_cache_write,usage_input_tokens_cache_read,usage_output_tokens"  # fmt: skip
COST = (
    "usage_date_utc,model,workspace,api_key,usage_type,context_window,token_type,cost_usd,list_price_usd,cost_type,"
    "inference_geo,speed,api_key_id,api_key_status"
)
FIRST_COST = "usage_date_utc,model,workspace,api_key,usage_type,token_type,cost_usd"
SONNET = "claude-sonnet-4-5-20250929"
ROW = f"2026-11-28,{SONNET},Closer App,Default,standard,≤ 200k,46981,15969,7,5,16932,0,global,"
DAY = dt.date(2026, 11, 28)
find_id = id_finder()


def file(heading: str, *rows: str, end: str = "\n") -> bytes:
    return end.join((heading, *rows, "")).encode()


def uses(*files: bytes, since: dt.date | None = None) -> list[KeyUse]:
    return merge([read_export(one) for one in files], find_id, since)


TOKENS = 46981 + 15969 + 7 + 5 + 16932


@pytest.mark.parametrize(
    "data",
    [
        pytest.param(file(USAGE, ROW), id="of today"),
        pytest.param(b"\xef\xbb\xbf" + file(USAGE, ROW, end="\r\n"), id="BOM and CRLF"),
        pytest.param(file(USAGE, ROW).decode().encode("utf-16"), id="UTF-16, as a spreadsheet saves it"),
        pytest.param(file(USAGE, ROW).replace(b",", b";"), id="semicolons, as a spreadsheet saves it"),
        pytest.param(file(USAGE.rpartition(",web")[0], ROW.rpartition(",0,")[0]), id="without the last three columns"),
        pytest.param(file(FIRST, ROW.rpartition(",0,")[0].replace("15969,7,5", "15976,5")), id="one kind of write"),
        pytest.param(file(USAGE, ROW.replace("2026-11-28", "2026-11-28T05:00:00Z")), id="by hour"),
        pytest.param(file(USAGE, ROW.replace("46981", '"46,981"')), id="thousands"),
        pytest.param(file(USAGE, ROW.replace("46981", "46981.0")), id="numbers of pandas"),
        pytest.param(file(USAGE.upper(), ROW, "", ",,,,,,,,,,,,,"), id="headings in capitals, empty lines"),
        pytest.param(file(f"note,{USAGE}", f'"a, ""b""\nc",{ROW}'), id="one more column, quoted"),
        pytest.param(file(USAGE, ROW)[:-1], id="no end of line"),
    ],
)
def test_tokens(data: bytes) -> None:
    assert uses(data) == [KeyUse(SONNET, "", "Closer App", "Default", TOKENS, None, DAY, DAY)]


def test_costs_with_their_ids_and_without() -> None:
    row = "2026-11-28,Claude Sonnet 4.5,Prod,app,message,≤ 200k,input_no_cache,1.25,1.25,token,global,,apikey_1,active"
    output = row.replace("input_no_cache,1.25", "output,0.5")
    found = uses(file(COST, row, output))
    assert found == [KeyUse(SONNET, "apikey_1", "app", "Prod", None, 1.75, DAY, DAY)]
    old = uses(file(FIRST_COST, "2024-12-07,Claude 3.5 Sonnet 2024-10-22,,Stéphane,message,input_no_cache,0.00"))
    day = dt.date(2024, 12, 7)
    assert old == [KeyUse("claude-3-5-sonnet-20241022", "", "Stéphane", "", None, 0.0, day, day)]
    (archived,) = uses(file(COST, row.replace("active", "archived")))
    assert archived.archived


def test_both_kinds_together_are_one_use_and_a_day_counts_once() -> None:
    usage = file(USAGE, ROW, ROW.replace("11-28", "11-29"))
    again = file(USAGE, ROW)
    cost = file(
        COST,
        "2026-11-28,Claude Sonnet 4.5,Default,Closer App,message,,output,2.5,,token,,,apikey_1,active",
        "2026-11-28,Claude Sonnet 4.5,Default,Closer App,message,,web_search,0.5,,web_search,,,apikey_1,active",
    )
    old = file(FIRST_COST, "2026-11-28,Claude Sonnet 4.5,Default,Closer App,message,output,3.0")
    found = uses(usage, again, cost, old)
    last = dt.date(2026, 11, 29)
    assert found == [KeyUse(SONNET, "apikey_1", "Closer App", "Default", 2 * TOKENS, 3.0, DAY, last)]


def test_since_and_the_newest_day() -> None:
    data = file(USAGE, ROW, ROW.replace("11-28", "10-01"), ROW.replace("11-28", "11-29").replace("Closer", "Other"))
    exports = [read_export(data)]
    assert newest_day(exports) == dt.date(2026, 11, 29)
    assert in_days(exports, 30) == dt.date(2026, 10, 31)
    assert {one.key: one.first for one in merge(exports, find_id, in_days(exports, 30))} == {
        "Closer App": DAY,
        "Other App": dt.date(2026, 11, 29),
    }
    assert newest_day([read_export(file(USAGE))]) is None
    assert in_days([], 30) is None


def test_the_console_itself_has_no_key_and_costs_of_no_model_are_left_out() -> None:
    assert uses(file(USAGE, ROW.replace("Closer App", "")))[0].key == ""
    assert not uses(file(FIRST_COST, "2026-11-28,,,app,message,web_search,1.0"))


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (b"", r"no column api_key, model_version, usage_date_utc, usage_output_tokens"),
        (b"a,b\n1,2\n", "is no export of the Console's page Usage"),
        (file(COST.replace("api_key,", ""), ""), "page Cost: its first line has no column api_key; export it again"),
        (file(USAGE, ROW, ROW[:40]), "line 3 has 3 cells where 14 are expected: the file may be cut short"),
        (file(USAGE, ROW.replace("2026-11-28", "28.11.2026")), "line 2: usage_date_utc is '28.11.2026', which is not"),
        (file(USAGE, ROW.replace("2026-11-28", "2026-02-30")), "'2026-02-30', which is not a date"),
        (file(USAGE, ROW.replace("46981", "-1")), "usage_input_tokens_no_cache is '-1', which is not a number of"),
        (file(USAGE, ROW.replace("46981", "46.981")), "is '46.981', which is not a number of tokens"),
        (file(USAGE, ROW.replace("46981", "NaN")), "'NaN', which is not"),
        (file(USAGE, ROW.replace("46981", "9" * 200)), "…', which is not a number of tokens"),
        (file(FIRST_COST, "2026-11-28,m,,a,message,x,nan"), "line 2: cost_usd is 'nan', which is not a number of US"),
        (file(FIRST_COST, "2026-11-28,m,,a,message,x,1e999"), "cost_usd is '1e999'"),
        (file(FIRST_COST, "2026-11-28,m,,a,message,x,$1"), r"cost_usd is '\$1'"),
        (file(USAGE, ROW.replace("Closer App", '"Closer')), r"is not CSV \(unexpected end of data\): export it again"),
        (file(USAGE, ROW.replace("Closer App", '"Cl"oser')), "line 2 is not CSV"),
        (file(USAGE, ROW.replace("Closer App", "x" * 200_000)), "line 2 is not CSV"),
        (file(USAGE, ROW).replace(b"Closer", b"Cl\xe9ser"), "is not text in UTF-8"),
        (b"PK\x03\x04" + bytes(range(128, 200)), "is not text in UTF-8"),
    ],
)
def test_a_spoiled_file_is_told_with_its_line(data: bytes, said: str) -> None:
    with pytest.raises(ValueError, match=said) as error:
        read_export(data)
    assert "in the Console" in str(error.value)


@pytest.mark.parametrize(
    ("name", "model"),
    [
        ("Claude Sonnet 4.5", SONNET),
        ("claude-sonnet-4-5", SONNET),
        (SONNET, SONNET),
        ("Claude Opus 5.5", "claude-opus-5-5"),
        ("Claude Opus 5", "claude-opus-5"),
        ("Claude Opus 4", "claude-opus-4-20250514"),
        ("Claude Opus 4.1", "claude-opus-4-1-20250805"),
        ("Claude Haiku 3", "claude-3-haiku-20240307"),
        ("Claude 3 Haiku", "claude-3-haiku-20240307"),
        ("Claude 3.5 Sonnet", "claude-3-5-sonnet-20241022"),
        ("Claude 3.5 Sonnet 2024-06-20", "claude-3-5-sonnet-20240620"),
        ("Claude Instant 1.2", "claude-instant-1.2"),
        ("Claude 2.1", "claude-2.1"),
        ("Claude Mythos Preview", "claude-mythos-preview"),
        ("Claude Sonnet 4.5 2031-01-01", "Claude Sonnet 4.5 2031-01-01"),
        ("Claude Sonnet 99", "Claude Sonnet 99"),
        ("Claude", "Claude"),
        ("Sonnet 4.5", "Sonnet 4.5"),
        ("", ""),
        ("claude " * 100, "claude " * 100),
    ],
)
def test_what_the_console_calls_a_model(name: str, model: str) -> None:
    assert find_id(name) == model
