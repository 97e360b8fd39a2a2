"""Prepares what the bench measures on: rows, scikit-learn forests, and the peers' compiled forms of them.

Usage: prepare.py DATA_FOLDER OUT_FOLDER. For each set it writes rows as raw little-endian f32, the forest as ONNX (as
skl2onnx writes it, and fused by hand into one tree ensemble), as a shared library (treelite, tl2cgen, gcc -O3), as a
pickle, and scikit-learn's own scores. What is there already is kept: delete OUT_FOLDER to start afresh.
"""

import json
import pathlib
import pickle
import sys

import numpy
import onnx
import pyarrow
import pyarrow.parquet
import skl2onnx
import tl2cgen
import treelite
from onnx import TensorProto, helper
from sklearn.ensemble import IsolationForest
from sklearn.ensemble._iforest import _average_path_length

SETS = ["shuttle", "generated30", "musk", "cover", "donors"]
GENERATED_ROWS = 284_807
BATCH_ROWS = 5_000_000
SEED = 42


def rows_of(name, data):
    """The rows of a set as f32; the label never reaches a forest."""
    if name == "generated30":
        return numpy.random.default_rng(SEED).standard_normal((GENERATED_ROWS, 30)).astype(numpy.float32)
    table = pyarrow.parquet.read_table(data / "adbench" / f"{name}.parquet")
    columns = [column for column in table.column_names if column != "label"]
    return numpy.column_stack([table[column].to_numpy() for column in columns]).astype(numpy.float32)


def floor_f32(thresholds):
    """The greatest f32 not above each threshold: `x <= t` over f32 rows stays the same question."""
    narrow = thresholds.astype(numpy.float32)
    above = narrow.astype(numpy.float64) > thresholds
    narrow[above] = numpy.nextafter(narrow[above], numpy.float32(-numpy.inf))
    return narrow


def fused(forest, columns):
    """The forest as one TreeEnsembleRegressor that sums path lengths, then 2^(-sum / (T * c)): ONNX at its best."""
    fields = {key: [] for key in ("treeids", "nodeids", "featureids", "values", "modes", "true", "false", "missing")}
    target = {key: [] for key in ("treeids", "nodeids", "ids", "weights")}
    for index, (estimator, chosen) in enumerate(zip(forest.estimators_, forest.estimators_features_)):
        tree = estimator.tree_
        depth = numpy.zeros(tree.node_count)
        thresholds = floor_f32(tree.threshold)
        for node in range(tree.node_count):
            left, right = int(tree.children_left[node]), int(tree.children_right[node])
            leaf = left < 0
            fields["treeids"].append(index)
            fields["nodeids"].append(node)
            fields["featureids"].append(0 if leaf else int(chosen[tree.feature[node]]))
            fields["values"].append(0.0 if leaf else float(thresholds[node]))
            fields["modes"].append("LEAF" if leaf else "BRANCH_LEQ")
            fields["true"].append(0 if leaf else left)
            fields["false"].append(0 if leaf else right)
            fields["missing"].append(0)
            if leaf:
                length = depth[node] + _average_path_length([tree.n_node_samples[node]])[0]
                target["treeids"].append(index)
                target["nodeids"].append(node)
                target["ids"].append(0)
                target["weights"].append(float(length))
            else:
                depth[left] = depth[right] = depth[node] + 1
    ensemble = helper.make_node(
        "TreeEnsembleRegressor",
        ["rows"],
        ["lengths"],
        domain="ai.onnx.ml",
        n_targets=1,
        aggregate_function="SUM",
        post_transform="NONE",
        nodes_treeids=fields["treeids"],
        nodes_nodeids=fields["nodeids"],
        nodes_featureids=fields["featureids"],
        nodes_values=fields["values"],
        nodes_modes=fields["modes"],
        nodes_truenodeids=fields["true"],
        nodes_falsenodeids=fields["false"],
        nodes_missing_value_tracks_true=fields["missing"],
        target_treeids=target["treeids"],
        target_nodeids=target["nodeids"],
        target_ids=target["ids"],
        target_weights=target["weights"],
    )
    scale = -1.0 / (len(forest.estimators_) * _average_path_length([forest.max_samples_])[0])
    graph = helper.make_graph(
        [
            ensemble,
            helper.make_node("Mul", ["lengths", "scale"], ["exponent"]),
            helper.make_node("Pow", ["two", "exponent"], ["score"]),
        ],
        "isolation-forest",
        [helper.make_tensor_value_info("rows", TensorProto.FLOAT, [None, columns])],
        [helper.make_tensor_value_info("score", TensorProto.FLOAT, [None, 1])],
        [
            helper.make_tensor("scale", TensorProto.FLOAT, [1], [scale]),
            helper.make_tensor("two", TensorProto.FLOAT, [1], [2.0]),
        ],
    )
    opsets = [helper.make_opsetid("", 17), helper.make_opsetid("ai.onnx.ml", 3)]
    return helper.make_model(graph, opset_imports=opsets, ir_version=8)


def prepare(name, data, out):
    """Writes everything about one set; answers its shape."""
    rows = rows_of(name, data)
    note = {"name": name, "rows": int(rows.shape[0]), "columns": int(rows.shape[1])}
    if (out / f"{name}.done").exists():
        return note
    print(f"prepare {name}: {rows.shape[0]} rows of {rows.shape[1]} features", file=sys.stderr, flush=True)
    forest = IsolationForest(n_estimators=100, max_samples=256, random_state=SEED).fit(rows)
    rows.tofile(out / f"{name}.f32")
    (-forest.score_samples(rows)).astype("<f8").tofile(out / f"{name}.scores")
    (out / f"{name}.pickle").write_bytes(pickle.dumps(forest))
    written = skl2onnx.to_onnx(forest, rows[:1], target_opset={"": 17, "ai.onnx.ml": 3})
    (out / f"{name}.skl2onnx.onnx").write_bytes(written.SerializeToString())
    (out / f"{name}.onnx").write_bytes(fused(forest, rows.shape[1]).SerializeToString())
    model = treelite.sklearn.import_model(forest)
    tl2cgen.export_lib(model, toolchain="gcc", libpath=str(out / f"{name}.so"), params={"parallel_comp": 8}, nthread=2)
    (out / f"{name}.done").touch()
    return note


def prepare_batch(data, out):
    """Five million rows drawn from donors, as Parquet in f64: the input of the offline row."""
    path = out / "batch.parquet"
    if path.exists():
        return
    print(f"prepare batch.parquet: {BATCH_ROWS} rows", file=sys.stderr, flush=True)
    rows = rows_of("donors", data)
    drawn = rows[numpy.random.default_rng(SEED).integers(0, len(rows), BATCH_ROWS)].astype(numpy.float64)
    columns = {f"f{index}": drawn[:, index] for index in range(drawn.shape[1])}
    pyarrow.parquet.write_table(pyarrow.table(columns), out / "batch.parquet.part", row_group_size=1 << 18)
    (out / "batch.parquet.part").rename(path)


def main():
    data, out = pathlib.Path(sys.argv[1]), pathlib.Path(sys.argv[2])
    out.mkdir(parents=True, exist_ok=True)
    notes = [prepare(name, data, out) for name in SETS]
    prepare_batch(data, out)
    (out / "sets.json").write_text(json.dumps(notes))


if __name__ == "__main__":
    main()
