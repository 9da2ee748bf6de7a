"""A forest of scikit-learn as a model of XGBoost that answers the same."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    import xgboost

NO_PARENT = 2**31 - 1


def booster_of(forest: Any, names: list[str]) -> xgboost.Booster:
    """A fitted forest of scikit-learn's classifiers of two classes: its mean chance of the second, by XGBoost.

    The model's description is that of a trained stub, whose trees are replaced: so it is of whichever version is
    installed (XGBoost's "Introduction to Model IO" has the schema).
    """
    import orjson
    import xgboost

    stub = xgboost.DMatrix(np.zeros((2, len(names))), label=[0.0, 1.0], feature_names=names, nthread=1)
    settings = {"objective": "reg:squarederror", "base_score": 0.0, "max_depth": 1, "nthread": 1}
    model = orjson.loads(bytes(xgboost.train(settings, stub, num_boost_round=1).save_raw("json")))
    grown, count = model["learner"]["gradient_booster"]["model"], len(forest.estimators_)
    usual = grown["trees"][0]
    grown["trees"] = [
        {**usual, **_tree(one.tree_.__getstate__(), count), "id": place} for place, one in enumerate(forest.estimators_)
    ]
    for tree in grown["trees"]:
        tree["tree_param"] = {**usual["tree_param"], "num_nodes": str(len(tree["left_children"]))}
    grown["tree_info"], grown["iteration_indptr"] = [0] * count, list(range(count + 1))
    grown["gbtree_model_param"] = {**grown["gbtree_model_param"], "num_trees": str(count)}
    return xgboost.Booster(model_file=bytearray(orjson.dumps(model, option=orjson.OPT_SERIALIZE_NUMPY)))


def _tree(state: dict[str, Any], count: int) -> dict[str, Any]:
    """A tree's nodes as XGBoost names them; its leaves hold the ``count``-th part of the chance."""
    order = _by_level(state["nodes"]["left_child"], state["nodes"]["right_child"])
    nodes, values, size = state["nodes"][order], state["values"][order, 0, -1] / count, len(order)
    is_leaf = nodes["left_child"] < 0
    place = np.empty(size, dtype=int)
    place[order] = np.arange(size)
    left, right = (np.where(is_leaf, -1, place[nodes[side]]) for side in ("left_child", "right_child"))
    parents = np.full(size, NO_PARENT)
    for children in (left, right):
        parents[children[~is_leaf]] = np.flatnonzero(~is_leaf)
    return {
        "base_weights": _numbers(values),
        "default_left": (nodes["missing_go_to_left"].astype(bool) & ~is_leaf).astype(int),
        "left_children": left,
        "right_children": right,
        "parents": parents,
        "loss_changes": np.zeros(size, np.float32),
        "split_conditions": _numbers(np.where(is_leaf, values, _above(nodes["threshold"]))),
        "split_indices": np.where(is_leaf, 0, nodes["feature"]),
        "split_type": np.zeros(size, int),
        "sum_hessian": _numbers(nodes["weighted_n_node_samples"]),
    }


def _numbers(values: np.ndarray) -> Any:
    """Numbers of 32 bits, as XGBoost keeps them: more digits take it several times as long to read."""
    import orjson

    numbers = values.astype(np.float32)
    if np.isfinite(numbers).all():
        return numbers
    # A split into known and unknown values is at infinity, which orjson writes as null.
    return orjson.Fragment(json.dumps(numbers.tolist()))


def _by_level(left: np.ndarray, right: np.ndarray) -> np.ndarray:
    """The nodes level by level: XGBoost takes it that a right child stands behind its left one."""
    level, levels = np.array([0]), []
    while level.size:
        levels.append(level)
        inner = level[left[level] >= 0]
        level = np.column_stack([left[inner], right[inner]]).ravel()
    return np.concatenate(levels)


def _above(thresholds: np.ndarray) -> np.ndarray:
    """Scikit-learn goes left where a number of 32 bits is at most the threshold, XGBoost where it is below its own."""
    rounded = thresholds.astype(np.float32)
    below = np.where(rounded > thresholds, np.nextafter(rounded, np.float32(-np.inf)), rounded)
    return np.nextafter(below, np.float32(np.inf)).astype(float)
