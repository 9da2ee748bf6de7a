"""The rule by one column: shares by hand, one way only."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from capflow_assets.contract import Examples, Horizon
from capflow_assets.errors import EvidenceError
from capflow_assets.learning.single_column import SingleColumn


def known(days: list[float], bought: list[float]) -> Examples:
    return Examples(pd.DataFrame({"days": days}), pd.DataFrame({"bought": bought}))


def rule(*, grows: bool) -> SingleColumn:
    return SingleColumn(Horizon(), "bought", "days", "days since", grows=grows)


def test_the_share_falls_with_the_column_by_hand() -> None:
    # 1 and 2 are out of order, so they share (0 + 1) / 2
    fitted = rule(grows=False).fit(known([0, 1, 2, 3], [1, 0, 1, 0]))
    answers = fitted.predict(Examples(pd.DataFrame({"days": [-5.0, 0.0, 1.0, 2.0, 3.0, 99.0, np.nan]})))
    assert answers["score"].tolist() == [1.0, 1.0, 0.5, 0.5, 0.0, 0.0, 0.5]
    assert set(answers["reasons"]) == {"days since"}


def test_the_share_grows_where_it_is_said_to() -> None:
    fitted = rule(grows=True).fit(known([0, 1, 2, 3], [0, 0, 1, 1]))
    assert fitted.predict(known([0, 3], [0, 0]))["score"].tolist() == [0.0, 1.0]


def test_a_column_that_nobody_has_makes_no_rule() -> None:
    with pytest.raises(EvidenceError, match="rule by days"):
        rule(grows=True).fit(known([np.nan, np.inf], [0, 1]))
