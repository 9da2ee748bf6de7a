"""How good short ranked lists are where all that came counts: how high it stood, what share of it was among the first.

``outcomes`` are rows of what came: the subject's key as index, the column ``per`` that names it, and a column that says
how often. ``answers`` are the lists: the same index, the same ``per``, and ``score``, of which the highest comes first;
of equal scores the row that stands first. Each subject counts once. Frames in, frames out.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd
    from matplotlib.figure import Figure


def places(outcomes: pd.DataFrame, answers: pd.DataFrame, per: str) -> np.ndarray:
    """The place on its subject's list of each row of outcomes, 1 the first; infinity where it is not listed."""
    import numpy as np
    import pandas as pd

    subject, _ = pd.factorize(answers.index, sort=False)
    order = np.lexsort((-answers["score"].to_numpy(dtype=float), subject))
    firsts = np.flatnonzero(np.diff(subject[order], prepend=-1))
    place = np.empty(len(order))
    place[order] = np.arange(len(order)) - np.repeat(firsts, np.diff(firsts, append=len(order))) + 1
    listed = pd.MultiIndex.from_arrays([answers.index, answers[per]])
    at = listed.get_indexer(pd.MultiIndex.from_arrays([outcomes.index, outcomes[per]]))
    return np.where(at >= 0, place[at] if len(place) else np.inf, np.inf)


def share_in_top(outcomes: pd.DataFrame, answers: pd.DataFrame, per: str, column: str, top: int) -> pd.DataFrame:
    """Of each subject, the share of what came that is among the first ``top`` of its list: column ``value``."""
    return _mean_of(outcomes, places(outcomes, answers, per) <= top, column)


def reciprocal_place(outcomes: pd.DataFrame, answers: pd.DataFrame, per: str, column: str) -> pd.DataFrame:
    """Of each subject, the mean of ``1 / place`` over what came, 0 where it is not listed: column ``value``.

    The mean reciprocal rank of E. M. Voorhees, "The TREC-8 Question Answering Track Report" (1999), of all that came.
    """
    return _mean_of(outcomes, 1 / places(outcomes, answers, per), column)


def _mean_of(outcomes: pd.DataFrame, value: np.ndarray, column: str) -> pd.DataFrame:
    import pandas as pd

    weight = outcomes[column].to_numpy(dtype=float)
    sums = pd.DataFrame({"value": value * weight, "weight": weight}, index=outcomes.index)
    sums = sums[weight > 0].groupby(level=list(outcomes.index.names), sort=True).sum()
    return pd.DataFrame({"value": sums["value"] / sums["weight"]})


def top_plot(
    outcomes: pd.DataFrame, answers: pd.DataFrame, per: str, column: str, most: int, words: tuple[str, str]
) -> Figure:
    """What share of what came stood on the list, by how much of it is shown.

    ``words`` say what is listed and what came.
    """
    import numpy as np
    from matplotlib.figure import Figure

    lengths = np.arange(1, most + 1)
    shares = [float(share_in_top(outcomes, answers, per, column, int(top))["value"].mean()) for top in lengths]
    figure = Figure(figsize=(5, 3.5), dpi=80, layout="constrained")
    axes = figure.subplots()
    axes.plot(lengths, shares, marker="o")
    axes.set_ylim(0, 1)
    axes.set_xticks(lengths)
    axes.set_xlabel(f"{words[0]} of the list that are shown")
    axes.set_ylabel(f"share of {words[1]} among them")
    axes.set_title(f"The first: {shares[0]:.1%}; the first {most}: {shares[-1]:.1%}")
    return figure
