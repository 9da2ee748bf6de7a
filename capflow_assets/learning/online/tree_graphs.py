"""XGBoost's trees as an ONNX graph that adds up to the same margin, missing values included.

One operator, ``ai.onnx.ml.TreeEnsembleRegressor``; links and calibration are applied to the margin in numpy, with 64
bits, as the estimators do. Written from the model's own description (XGBoost's "Introduction to Model IO").
"""

from __future__ import annotations

import json
import math
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import xgboost

INPUT, OUTPUT = "features", "margin"
ML_OPSET, OPSET, IR_VERSION = 3, 17, 8


class UnfitTreesError(ValueError):
    """A booster whose trees are of a kind that is not written as a graph."""


def booster_graph(booster: xgboost.Booster) -> tuple[bytes, int]:
    """The graph of a booster, and how many nodes its trees have.

    Raises:
        UnfitTreesError: it has trees with categories or weights, or an objective whose link is not known.
    """
    return graph_of(json.loads(bytes(booster.save_raw("json"))))


def graph_of(description: dict[str, Any]) -> tuple[bytes, int]:
    """The graph of a booster's description, serialised, and how many nodes its trees have."""
    from onnx import TensorProto, helper

    learner = description["learner"]
    grown = learner["gradient_booster"]
    if grown.get("name") != "gbtree":
        raise UnfitTreesError(f"trees of kind {grown.get('name')}")
    trees = grown["model"]["trees"]
    if any(any(tree.get("categories", ())) or any(tree.get("split_type", ())) for tree in trees):
        raise UnfitTreesError("splits by category")
    attributes: dict[str, Any] = dict(_attributes(trees))
    node = helper.make_node(
        "TreeEnsembleRegressor",
        [INPUT],
        [OUTPUT],
        domain="ai.onnx.ml",
        n_targets=1,
        aggregate_function="SUM",
        post_transform="NONE",
        base_values=[base_margin(learner)],
        **attributes,
    )
    width = int(learner["learner_model_param"]["num_feature"])
    graph = helper.make_graph(
        [node],
        "trees",
        [helper.make_tensor_value_info(INPUT, TensorProto.FLOAT, [None, width])],
        [helper.make_tensor_value_info(OUTPUT, TensorProto.FLOAT, [None, 1])],
    )
    opsets = [helper.make_opsetid("", OPSET), helper.make_opsetid("ai.onnx.ml", ML_OPSET)]
    model = helper.make_model(graph, opset_imports=opsets, ir_version=IR_VERSION)
    return model.SerializeToString(), len(attributes["nodes_treeids"])


def base_margin(learner: dict[str, Any]) -> float:
    """What a booster begins to add up from: its base score, through the link of its objective.

    >>> base_margin({"learner_model_param": {"base_score": "5E-1"}, "objective": {"name": "binary:logistic"}})
    0.0
    """
    text = str(learner["learner_model_param"]["base_score"]).strip("[]")
    base, objective = float(text.split(",")[0]), learner["objective"]["name"]
    if objective == "binary:logistic":
        return math.log(base / (1 - base))
    if objective in ("reg:gamma", "reg:tweedie", "count:poisson"):
        return math.log(base)
    if objective in ("reg:squarederror", "reg:absoluteerror", "reg:quantileerror"):
        return base
    raise UnfitTreesError(f"objective {objective}")


def _attributes(trees: list[dict[str, Any]]) -> dict[str, list[Any]]:
    names = ("treeids", "nodeids", "featureids", "modes", "values", "truenodeids", "falsenodeids")
    nodes: dict[str, list[Any]] = {f"nodes_{name}": [] for name in (*names, "missing_value_tracks_true")}
    leaves: dict[str, list[Any]] = {"target_treeids": [], "target_nodeids": [], "target_ids": [], "target_weights": []}
    for number, tree in enumerate(trees):
        left, right, values = tree["left_children"], tree["right_children"], tree["split_conditions"]
        size = len(left)
        is_leaf = [child < 0 for child in left]
        nodes["nodes_treeids"] += [number] * size
        nodes["nodes_nodeids"] += range(size)
        nodes["nodes_featureids"] += tree["split_indices"]
        nodes["nodes_modes"] += ["LEAF" if leaf else "BRANCH_LT" for leaf in is_leaf]
        nodes["nodes_values"] += [0.0 if leaf else float(value) for leaf, value in zip(is_leaf, values, strict=True)]
        nodes["nodes_truenodeids"] += [max(child, 0) for child in left]
        nodes["nodes_falsenodeids"] += [max(child, 0) for child in right]
        nodes["nodes_missing_value_tracks_true"] += [int(side) for side in tree["default_left"]]
        places = [place for place, leaf in enumerate(is_leaf) if leaf]
        leaves["target_treeids"] += [number] * len(places)
        leaves["target_nodeids"] += places
        leaves["target_ids"] += [0] * len(places)
        leaves["target_weights"] += [float(values[place]) for place in places]
    return nodes | leaves
