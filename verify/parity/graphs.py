"""ONNX graphs of a scikit-learn isolation forest: as skl2onnx writes them, and all trees fused into one operator."""

import numpy as np
from onnx import TensorProto, helper
from skl2onnx import to_onnx
from sklearn.ensemble._iforest import _average_path_length


def skl2onnx(forest, rows):
    """skl2onnx refuses max_features < 1 although its graph gathers each tree's features: the check is stepped over."""
    kept, forest._max_features = forest._max_features, rows.shape[1]
    try:
        return to_onnx(forest, rows[:1], target_opset={"": 21, "ai.onnx.ml": 3}).SerializeToString()
    finally:
        forest._max_features = kept


def round_down(wide):
    """The largest float32 that is not above: comparisons with float32 rows stay the same."""
    near = np.float32(wide)
    return np.where(near > wide, np.nextafter(near, np.float32(-np.inf)), near).astype(np.float32)


def leaves(forest, index):
    """The path length of each node if it were a leaf."""
    tree = forest.estimators_[index].tree_
    return tree.compute_node_depths() - 1 + _average_path_length(tree.n_node_samples)


def decision(trees, forest):
    """The operator's sum of path lengths, turned into decision_function."""
    divisor = len(forest.estimators_) * _average_path_length([forest.max_samples_])[0]
    constant = lambda name, value: helper.make_tensor(name, TensorProto.FLOAT, [1], [value])
    steps = [
        ("Div", ["sum", "divisor"], "mean"),
        ("Neg", ["mean"], "negative"),
        ("Pow", ["two", "negative"], "power"),
        ("Neg", ["power"], "turned"),
        ("Add", ["turned", "offset"], "scores"),
    ]
    nodes = [trees] + [helper.make_node(op, inputs, [output]) for op, inputs, output in steps]
    graph = helper.make_graph(
        nodes,
        "forest",
        [helper.make_tensor_value_info("X", TensorProto.FLOAT, [None, forest.n_features_in_])],
        [helper.make_tensor_value_info("scores", TensorProto.FLOAT, [None, 1])],
        [constant("divisor", divisor), constant("two", 2.0), constant("offset", -forest.offset_)],
    )
    opset = 5 if trees.op_type == "TreeEnsemble" else 3
    imports = [helper.make_opsetid("", 21), helper.make_opsetid("ai.onnx.ml", opset)]
    return helper.make_model(graph, opset_imports=imports, producer_name="hand-fused").SerializeToString()


def fused(forest, _rows):
    """One TreeEnsembleRegressor (ai.onnx.ml 3)."""
    fields = {name: [] for name in ("treeids", "nodeids", "featureids", "truenodeids", "falsenodeids", "modes", "values")}
    targets = {name: [] for name in ("treeids", "nodeids", "ids", "weights")}
    for index, (estimator, features) in enumerate(zip(forest.estimators_, forest.estimators_features_)):
        tree, lengths = estimator.tree_, leaves(forest, index)
        thresholds = round_down(tree.threshold)
        for node in range(tree.node_count):
            leaf = tree.children_left[node] < 0
            fields["treeids"].append(index)
            fields["nodeids"].append(node)
            fields["featureids"].append(0 if leaf else int(features[tree.feature[node]]))
            fields["truenodeids"].append(0 if leaf else int(tree.children_left[node]))
            fields["falsenodeids"].append(0 if leaf else int(tree.children_right[node]))
            fields["modes"].append("LEAF" if leaf else "BRANCH_LEQ")
            fields["values"].append(0.0 if leaf else float(thresholds[node]))
            if leaf:
                for name, value in zip(targets, (index, node, 0, float(lengths[node]))):
                    targets[name].append(value)
    trees = helper.make_node(
        "TreeEnsembleRegressor",
        ["X"],
        ["sum"],
        domain="ai.onnx.ml",
        n_targets=1,
        **{f"nodes_{name}": values for name, values in fields.items()},
        **{f"target_{name}": values for name, values in targets.items()},
    )
    return decision(trees, forest)


def ensemble(forest, _rows):
    """One TreeEnsemble (ai.onnx.ml 5), whose leaves lie in arrays of their own."""
    roots, weights = [], []
    fields = {name: [] for name in ("featureids", "truenodeids", "trueleafs", "falsenodeids", "falseleafs")}
    splits = []
    for index, (estimator, features) in enumerate(zip(forest.estimators_, forest.estimators_features_)):
        tree, lengths = estimator.tree_, leaves(forest, index)
        thresholds = round_down(tree.threshold)
        outer = np.flatnonzero(tree.children_left < 0)
        inner = np.flatnonzero(tree.children_left >= 0)
        # Whether each node is a leaf, and where it goes in the array of its kind.
        places = {int(node): (1, len(weights) + at) for at, node in enumerate(outer)}
        places |= {int(node): (0, len(splits) + at) for at, node in enumerate(inner)}
        weights.extend(lengths[outer])
        if len(inner):
            roots.append(places[0][1])
        else:  # a single leaf: a split whose both children are it
            roots.append(len(splits))
            splits.append(0.0)
            for name, value in zip(fields, (0, len(weights) - 1, 1, len(weights) - 1, 1)):
                fields[name].append(value)
        for node in map(int, inner):
            yes, no = places[int(tree.children_left[node])], places[int(tree.children_right[node])]
            for name, value in zip(fields, (int(features[tree.feature[node]]), yes[1], yes[0], no[1], no[0])):
                fields[name].append(value)
        splits.extend(thresholds[inner])
    trees = helper.make_node(
        "TreeEnsemble",
        ["X"],
        ["sum"],
        domain="ai.onnx.ml",
        n_targets=1,
        tree_roots=roots,
        leaf_targetids=[0] * len(weights),
        leaf_weights=helper.make_tensor("w", TensorProto.FLOAT, [len(weights)], weights),
        nodes_splits=helper.make_tensor("s", TensorProto.FLOAT, [len(splits)], splits),
        nodes_modes=helper.make_tensor("m", TensorProto.UINT8, [len(splits)], [0] * len(splits)),
        **{f"nodes_{name}": values for name, values in fields.items()},
    )
    return decision(trees, forest)
