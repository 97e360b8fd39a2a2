"""Compares hodoscope with scikit-learn on real data: imports on every row, own training by mean ROC-AUC, metrics.

Usage: parity.py [--sets shuttle,musk] [--seeds 10]
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
import onnxruntime
import pandas
from sklearn.ensemble import IsolationForest
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import average_precision_score, roc_auc_score
from skl2onnx import to_onnx

import graphs

SCORE_TOLERANCE = 1e-6
METRIC_TOLERANCE = 1e-9
AUC_TOLERANCE = 0.005
# onnxruntime computes in float32.
RUNTIME_TOLERANCE = 1e-5

passed, failed = 0, 0


def check(name, good, detail):
    global passed, failed
    passed, failed = passed + bool(good), failed + (not good)
    print(f"{'ok    ' if good else 'FAILED'} {name:<42} {detail}", flush=True)


# The executable takes HODOSCOPE_* for its settings; those of this group are none.
SETTINGS = {name: value for name, value in os.environ.items() if not name.startswith("HODOSCOPE_")}


def hodoscope(*arguments):
    command = [os.environ["HODOSCOPE_BIN"], *map(str, arguments), "--output", "json"]
    done = subprocess.run(command, capture_output=True, text=True, env=SETTINGS)
    if done.returncode != 0:
        raise RuntimeError(f"{' '.join(command)}\n{done.stderr.strip()}")
    return json.loads(done.stdout)


def score(component, table, folder):
    out = folder / "scores.parquet"
    hodoscope("score", table, "--detector", component, "--out", out, "--force")
    return pandas.read_parquet(out)["score"].to_numpy()


def load(path):
    table = pandas.read_parquet(path)
    return table.drop(columns="label").to_numpy(np.float32), table["label"].to_numpy()


def imports(name, path, rows, folder):
    """Imported forests: every row equal, threshold carried over, missing values as ONNX has them."""
    kinds = [("skl2onnx", graphs.skl2onnx), ("fused", graphs.fused), ("TreeEnsemble", graphs.ensemble)]
    for share in (1.0, 0.5):
        forest = IsolationForest(random_state=7, max_features=share, contamination=0.01).fit(rows)
        expected = -forest.score_samples(rows)
        alerts = forest.predict(rows) == -1
        for kind, graph in kinds:
            model, component = folder / "forest.onnx", folder / "forest.wasm"
            model.write_bytes(graph(forest, rows))
            columns = ",".join(f"f{i}" for i in range(rows.shape[1]))
            answer = hodoscope("import", model, "--name", "forest", "--columns", columns, "--out", component)
            found = score(component, path, folder)
            error = np.abs(found - expected).max()
            # Rows within float32 rounding of the offset may fall on either side of it.
            flips = ((found >= answer["threshold"]) != alerts) & (np.abs(expected + forest.offset_) > 1e-7)
            good = error <= SCORE_TOLERANCE and not flips.any() and answer["sample_size"] == forest.max_samples_
            check(f"import {name} {kind} max_features={share}", good, f"{len(rows)} rows, max error {error:.1e}")
            if kind == "skl2onnx" and share == 1.0:
                missing(name, model.read_bytes(), component, rows, answer, folder)


def missing(name, model, component, rows, answer, folder):
    random = np.random.default_rng(1)
    sample = rows[random.choice(len(rows), min(len(rows), 500), replace=False)].copy()
    sample[random.random(sample.shape) < 0.2] = np.nan
    table = folder / "missing.parquet"
    pandas.DataFrame(sample, columns=[f"f{i}" for i in range(rows.shape[1])]).to_parquet(table)
    session = onnxruntime.InferenceSession(model)
    decision = session.run(["scores"], {"X": sample})[0].ravel()
    error = np.abs(answer["threshold"] - decision - score(component, table, folder)).max()
    check(f"missing values {name}", error <= RUNTIME_TOLERANCE, f"max difference to onnxruntime {error:.1e}")


def training(name, path, rows, labels, seeds, folder):
    """Own training beside scikit-learn's, and our metrics beside scikit-learn's on our own scores."""
    ours, theirs = [], []
    for seed in range(seeds):
        component = folder / "own.wasm"
        report = hodoscope(
            "train", path, "--name", "own", "--label", "label", "--seed", seed, "--exact-threshold", "--out", component
        )
        ours.append(report["roc_auc"])
        theirs.append(roc_auc_score(labels, -IsolationForest(random_state=seed).fit(rows).score_samples(rows)))
        if seed == 0:
            scores = score(component, path, folder)
            auc, precision = roc_auc_score(labels, scores), average_precision_score(labels, scores)
            error = max(abs(auc - report["roc_auc"]), abs(precision - report["average_precision"]))
            check(f"metrics {name}", error <= METRIC_TOLERANCE, f"max error {error:.1e}")
            rate = (scores >= report["threshold"]).mean()
            good = abs(rate - report["alert_rate"]) < 1e-12 and rate <= 0.01
            check(f"exact threshold {name}", good, f"{rate:.5f} of all rows alert")
    mean, other = np.mean(ours), np.mean(theirs)
    print(f"       ROC-AUC {name:<14} ours {mean:.4f} ± {np.std(ours):.4f}   scikit-learn {other:.4f} ± {np.std(theirs):.4f}")
    return mean, other


def refusals(folder):
    rows = np.random.default_rng(0).normal(size=(50, 3)).astype(np.float32)
    model = folder / "linear.onnx"
    model.write_bytes(to_onnx(LogisticRegression().fit(rows, rows[:, 0] > 0), rows[:1]).SerializeToString())
    try:
        hodoscope("import", model, "--name", "linear", "--out", folder / "linear.wasm")
        check("a linear model is refused", False, "it was taken")
    except RuntimeError as error:
        last = str(error).splitlines()[-1]
        check("a linear model is refused", "LinearClassifier" in last, last[:120])


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--sets", default="")
    parser.add_argument("--seeds", type=int, default=10)
    arguments = parser.parse_args()
    data = Path(os.environ.get("HODOSCOPE_DATA") or "absent") / "adbench"
    paths = sorted(data.glob("*.parquet"))
    if not paths:
        print("SKIP parity: no data sets (../shared/data/adbench)")
        strict = os.environ.get("HODOSCOPE_NO_SKIP") == "1"
        print(f"0 passed, {int(strict)} failed")
        sys.exit(strict)
    chosen = set(filter(None, arguments.sets.split(",")))
    means = []
    with tempfile.TemporaryDirectory() as folder:
        folder = Path(folder)
        SETTINGS["HODOSCOPE_HOME"] = str(folder / "home")
        refusals(folder)
        for path in paths:
            if chosen and path.stem not in chosen:
                continue
            rows, labels = load(path)
            try:
                imports(path.stem, path, rows, folder)
                means.append(training(path.stem, path, rows, labels, arguments.seeds, folder))
            except RuntimeError as error:
                check(f"run {path.stem}", False, str(error))
    if means:
        ours, theirs = np.mean(means, axis=0)
        good = abs(ours - theirs) <= AUC_TOLERANCE
        check("mean ROC-AUC over the sets", good, f"ours {ours:.4f}, scikit-learn {theirs:.4f}")
    print(f"{passed} passed, {failed} failed")
    sys.exit(failed > 0)


main()
