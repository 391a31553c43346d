"""The file with the installation's own prices, as the kubelet replaces it."""

from __future__ import annotations

from pathlib import Path

import pytest

from claude_operator.core.catalogue.table import find
from claude_operator.shell.prices import PriceBook

GOOD = "models: {{claude-opus-5-5: {{input: {0}, output: 16, cacheRead: 1, cacheWrite5M: 4, cacheWrite1H: 6}}}}"


def put(folder: Path, version: str, text: str | None) -> None:
    """A mounted ConfigMap changes by one rename of a symlink."""
    data = folder / version
    data.mkdir()
    if text is not None:
        (data / "prices.yaml").write_text(text)
    link = folder / "..new"
    link.symlink_to(data)
    link.replace(folder / "..data")
    if not (folder / "prices.yaml").is_symlink():
        (folder / "prices.yaml").symlink_to(folder / "..data" / "prices.yaml")


def price(book: PriceBook) -> float | None:
    told = book.own_prices().get("claude-opus-5-5")
    return told.input if told else None


def test_a_changed_file_is_read_again_and_one_that_is_wrong_changes_nothing(tmp_path: Path) -> None:
    book = PriceBook(dict, tmp_path / "prices.yaml")
    assert price(book) is None
    assert book.fault == "the ConfigMap of the prices does not exist, or has no key prices.yaml"
    put(tmp_path, "1", GOOD.format(3))
    assert (price(book), book.fault) == (3.0, "")
    put(tmp_path, "2", GOOD.format(-2))
    assert price(book) == 3.0
    assert book.fault.startswith("prices.yaml: models.claude-opus-5-5: input: must be")
    put(tmp_path, "3", GOOD.format(2))
    assert (price(book), book.fault) == (2.0, "")
    put(tmp_path, "4", None)
    assert price(book) == 2.0
    assert "does not exist" in book.fault
    put(tmp_path, "5", "discount: 0")
    assert (price(book), book.fault) == (None, "")


def test_bytes_that_are_no_text_are_told(tmp_path: Path) -> None:
    (tmp_path / "prices.yaml").write_bytes(b"\xff\xfe\x00")
    book = PriceBook(dict, tmp_path / "prices.yaml")
    assert price(book) is None
    assert book.fault == "prices.yaml is not UTF-8"


@pytest.mark.parametrize("path", [None, "prices.yaml"])
def test_models_that_change_are_priced_again(tmp_path: Path, path: str | None) -> None:
    opus = find("claude-opus-5-5")
    assert opus is not None
    (tmp_path / "prices.yaml").write_text(GOOD.format(3))
    known = [{"claude-opus-5-5": opus}, {}]
    book = PriceBook(lambda: known[0], tmp_path / path if path else None)
    before = book.models()
    assert before is book.models()  # nothing is computed where nothing has changed
    del known[0]
    assert set(book.models()) == ({"claude-opus-5-5"} if path else set())
