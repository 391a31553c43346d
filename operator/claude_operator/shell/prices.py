"""The installation's own prices: a file, the key of a ConfigMap that is mounted, read again when it has changed."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from pathlib import Path

from claude_operator.api.prices import PRICES_FILE, PriceList, TokenPrices
from claude_operator.core.catalogue.own_prices import lay_over, own_prices
from claude_operator.core.catalogue.table import Model
from claude_operator.core.reconcile.price_list import parse_price_list
from claude_operator.log import fields

__all__ = ["PriceBook"]

_log = logging.getLogger(__name__)


class PriceBook:
    """What the cluster knows of models, as `models` gives it, with the prices in the file at `path`.

    Without a path there are none of its own. A file that cannot be read changes nothing.
    """

    def __init__(self, models: Callable[[], Mapping[str, Model]], path: Path | None = None) -> None:
        self._models, self._path = models, path
        self._seen: tuple[int, ...] | None = None
        self._own = PriceList()
        self._laid: tuple[Mapping[str, Model], PriceList, Mapping[str, Model]] | None = None
        self.fault = ""
        """Why the file cannot be read as it is now, empty where it can."""

    def models(self) -> Mapping[str, Model]:
        """By id and alias, priced by the file as it is now."""
        models = self._models()
        if self._path is None:
            return models
        self._read(self._path)
        if self._laid is None or self._laid[0] is not models or self._laid[1] is not self._own:
            self._laid = (models, self._own, lay_over(models, self._own))
        return self._laid[2]

    def own_prices(self) -> Mapping[str, TokenPrices]:
        """What gateways and Jobs do not know of prices by themselves."""
        return own_prices(self.models())

    def _read(self, path: Path) -> None:
        try:
            found = path.stat()
            look = (found.st_dev, found.st_ino, found.st_mtime_ns, found.st_size)
            if look == self._seen:
                return
            self._seen = look
            self._own, fault = parse_price_list(path.read_text("utf-8")), ""
        except FileNotFoundError:
            self._seen = None
            fault = f"the ConfigMap of the prices does not exist, or has no key {PRICES_FILE}"
        except OSError as error:
            self._seen = None
            fault = f"{PRICES_FILE} cannot be read: {error.strerror}"
        except ValueError as error:
            fault = str(error) if str(error).startswith(PRICES_FILE) else f"{PRICES_FILE} is not UTF-8"
        if fault != self.fault:
            self.fault = fault
            if fault:
                _log.warning("own prices cannot be read; those of before hold", extra=fields(error=fault))
            else:
                _log.info("own prices were read", extra=fields(models=len(self._own.models)))
