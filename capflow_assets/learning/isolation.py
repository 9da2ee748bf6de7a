"""Isolation forests as plain arrays: how few random cuts set a row apart from the others.

F. T. Liu, K. M. Ting, Z.-H. Zhou, "Isolation Forest", ICDM 2008. Grown by scikit-learn; kept as arrays, so that a saved
forest holds no foreign object, and walked level by level for all rows at once.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

ROWS_OF_A_TREE = 256


@dataclass(frozen=True)
class IsolationForest:
    """Trees end to end: of each node the column and the value of its cut (column -1: a leaf) and its two children.

    ``left`` are the rows at or below the cut. ``depth`` is the expected number of cuts to set a row of a leaf apart.
    """

    roots: np.ndarray
    column: np.ndarray
    cut: np.ndarray
    left: np.ndarray
    right: np.ndarray
    depth: np.ndarray
    rows: int

    def scores(self, values: np.ndarray) -> np.ndarray:
        """``2^(-E(h) / c)``, equation 2: near 1 for a row that few cuts set apart, 0.5 for one like any other.

        ``values`` are 32-bit numbers in the trees' eyes, as they were when they were grown.
        """
        cells = np.asarray(values, dtype=np.float32)
        total = np.zeros(len(cells))
        for root in self.roots:
            total += self.depth[self._leaves(cells, int(root))]
        return np.asarray(2.0 ** (-total / max(len(self.roots), 1) / max(expected_depth(self.rows), 1e-9)))

    def _leaves(self, cells: np.ndarray, root: int) -> np.ndarray:
        node, inside = np.full(len(cells), root), np.arange(len(cells))
        while inside.size:
            here = node[inside]
            is_inner = self.column[here] >= 0
            inside, here = inside[is_inner], here[is_inner]
            is_left = cells[inside, self.column[here]] <= self.cut[here]
            node[inside] = np.where(is_left, self.left[here], self.right[here])
        return node


def expected_depth(rows: float) -> float:
    """The mean depth of a row in a random binary tree of so many, equation 1."""
    if rows <= 1:
        return 0.0
    if rows <= 2:
        return 1.0
    return float(2.0 * (np.log(rows - 1.0) + np.euler_gamma) - 2.0 * (rows - 1.0) / rows)


def grow_forest(values: np.ndarray, trees: int, seed: int) -> IsolationForest:
    """A forest of so many trees, each of at most 256 of the rows."""
    from sklearn.ensemble import IsolationForest as Grown

    rows = min(ROWS_OF_A_TREE, len(values))
    grown = Grown(n_estimators=trees, max_samples=rows, random_state=seed).fit(values)
    parts = [tree.tree_ for tree in grown.estimators_]
    starts = np.cumsum([0, *(part.node_count for part in parts)])[:-1]
    return IsolationForest(
        roots=starts,
        column=np.concatenate([np.where(part.children_left < 0, -1, part.feature) for part in parts]),
        cut=np.concatenate([part.threshold for part in parts]),
        left=np.concatenate([part.children_left + start for part, start in zip(parts, starts, strict=True)]),
        right=np.concatenate([part.children_right + start for part, start in zip(parts, starts, strict=True)]),
        depth=np.concatenate([_depths(part.children_left, part.children_right, part.n_node_samples) for part in parts]),
        rows=rows,
    )


def _depths(left: np.ndarray, right: np.ndarray, rows: np.ndarray) -> np.ndarray:
    """The cuts down to each node, and those that its rows would take from there on."""
    depth = np.zeros(len(left))
    for node in range(len(left)):  # parents come before their children
        if left[node] >= 0:
            depth[[left[node], right[node]]] = depth[node] + 1
    return depth + np.array([expected_depth(float(count)) for count in rows])
