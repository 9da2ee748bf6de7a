"""Which columns a version was trained on, from its report: what a description names before the version is loaded."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from capflow_assets.serving.scorer_cache import Key
from capflow_assets.stores.registry import Registry

LOG = logging.getLogger("capflow.serving")


@dataclass(slots=True)
class VersionColumns:
    """The columns of versions by customer and model, the last version of each; for any thread."""

    registry: Callable[[], Registry]
    _known: dict[tuple[str, str], tuple[int, tuple[str, ...]]] = field(default_factory=dict)

    def of(self, key: Key, named: Sequence[str]) -> tuple[str, ...]:
        """The columns of a version; those that its model names where its report cannot be read."""
        customer, model, version = key
        known = self._known.get((customer, model))
        if known is not None and known[0] == version:
            return known[1]
        try:
            report = self.registry().report(customer, model, version)
        except Exception as error:  # MLflow or its files may fail in any way
            LOG.warning({"what": "a report cannot be read", "version": list(key), "error": type(error).__name__})
            return tuple(dict.fromkeys(named))
        columns = tuple(map(str, report.get("feature_columns") or dict.fromkeys(named)))
        self._known[customer, model] = version, columns
        return columns
