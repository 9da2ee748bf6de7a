"""The few features that moved a score most, in words."""

from __future__ import annotations

import numpy as np
import pandas as pd

from capflow_assets.learning.explanations import reasons

VALUES = pd.DataFrame({"visits": [9.0, np.nan], "spend_avg": [1234.5, 2.0], "recency_days": [3.0, 4.0]})
WORDS = {"visits": "{:.0f} visits", "recency_days": "last visit {:.0f} days ago"}


def test_the_largest_come_first_with_value_and_direction() -> None:
    texts = reasons(VALUES, np.array([[0.1, -0.3, 0.2], [-0.5, 0.0, 0.001]]), WORDS, top=2)
    assert texts == ["spend avg 1,234 lowers it; last visit 3 days ago raises it", "visits unknown lowers it"]


def test_nothing_that_matters_is_the_average_user() -> None:
    assert reasons(VALUES, np.zeros((2, 3)), WORDS) == ["close to the average user"] * 2
    assert reasons(VALUES[:0], np.zeros((0, 3)), WORDS) == []
