"""A version whose file for online answers says that it must be asked itself: by its own code.

It needs pandas and the estimator's libraries in the server.
"""

from __future__ import annotations

import importlib
import sys
import threading
from collections.abc import Sequence

from capflow_assets.contract import Estimator
from capflow_assets.learning.online.by_code import by_code, columns_of
from capflow_assets.learning.online.scorers import Scorer

CODE_BYTES = 400_000
UNUSED = "sklearn"
IMPORTING = threading.Lock()


def import_xgboost() -> None:
    """XGBoost without scikit-learn, for which it has classes that are not used here: they take 70 MB with scipy's.

    Call it before an estimator is loaded: loads run side by side, and others may need scikit-learn.
    """
    with IMPORTING:
        is_hidden = UNUSED not in sys.modules and "xgboost" not in sys.modules
        if is_hidden:
            sys.modules[UNUSED] = None  # type: ignore[assignment]
        try:
            importlib.import_module("xgboost")
        finally:
            if is_hidden:
                del sys.modules[UNUSED]


def code_scorer(estimator: Estimator, columns: Sequence[str], stored_bytes: int) -> Scorer:
    """The scorer that asks the estimator itself."""
    names = columns_of(estimator, columns)
    return Scorer(names, "code", by_code(estimator, names), CODE_BYTES + 3 * stored_bytes)
