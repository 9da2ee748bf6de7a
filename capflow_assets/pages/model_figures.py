"""What each model showed on customers, as ``bench/models.md`` has it, for the list of models."""

from __future__ import annotations

import re
from collections import defaultdict

CELLS, FIGURE = 8, re.compile(r"-?\d")
# A bar within a cell is written with a backslash before it.
BETWEEN_CELLS = re.compile(r"(?<!\\)\|")


def figures_of(page: str) -> dict[str, list[str]]:
    """Of each model what it showed on each customer that it was judged on; the customers in the page's order.

    Args:
        page: the rows are those of its table: model, customer, what answers, metric, the model's figure, the
            baseline's, their difference, and what was decided.

    >>> figures_of("| churn | grocer | trees | roc_auc | 0.9 [0.8, 1] | 0.7 [0.6, 0.8] recency | 0.2 | promoted |")
    {'churn': ['grocer 0.9 [0.8, 1], trees, against 0.7 [0.6, 0.8] recency, promoted']}
    """
    figures: defaultdict[str, list[str]] = defaultdict(list)
    for line in page.splitlines():
        cells = [cell.strip() for cell in BETWEEN_CELLS.split(line)[1:-1]]
        if len(cells) == CELLS and FIGURE.match(cells[4]):
            model, customer, answers, _, own, baseline, _, decision = cells
            outcome = "promoted" if decision == "promoted" else "not promoted"
            figures[model].append(f"{customer} {own}, {answers}, against {baseline}, {outcome}")
    return dict(figures)
