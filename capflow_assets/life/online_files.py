"""The file of a version for online answers, written where it is registered: its process has the libraries anyway."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from capflow_assets.contract import Estimator, Examples, Model
from capflow_assets.learning.online.files import NAME

if TYPE_CHECKING:
    from typing import Any

    import numpy as np

LINES = "clean/line_items"


def online_file(model: Model[Any], estimator: Estimator, population: Examples) -> dict[str, bytes]:
    """The file by its name; none where the model's answers cannot be given from what a request can carry.

    What is written is tried on a sample of the population; where it does not agree, the file says so.
    """
    if model.answer.shape == "score" and not model.frames:
        from capflow_assets.learning.online.by_code import columns_of
        from capflow_assets.learning.online.conversion import online_scores

        columns = columns_of(estimator, tuple(dict.fromkeys(model.columns)))
        return {NAME: online_scores(estimator, columns, _sampled(population, columns)).packed()}
    if hasattr(estimator, "visit_net") and LINES in population.tables:
        from capflow_assets.learning.baskets import baskets_of
        from capflow_assets.learning.online.visit_nets import FollowsVisits, online_lists

        assert isinstance(estimator, FollowsVisits)  # noqa: S101
        logging.getLogger("torch.onnx").setLevel(logging.ERROR)  # of what torchvision would add
        return {NAME: online_lists(estimator, baskets_of(population.table(LINES))).packed()}
    return {}


def _sampled(population: Examples, columns: tuple[str, ...]) -> np.ndarray:
    """Numbers of subjects, half of them with holes; what is no number, or not known of anybody, is missing."""
    import numpy as np
    import pandas as pd

    from capflow_assets.learning.online.conversion import with_holes

    frame, sample = population.columns, np.full((len(population), len(columns)), np.nan)
    for place, name in enumerate(columns):
        if name in frame.columns and pd.api.types.is_numeric_dtype(frame[name].dtype):
            sample[:, place] = frame[name].to_numpy(dtype=float, na_value=np.nan)
    return with_holes(sample)
