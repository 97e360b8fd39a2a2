"""Writes the rows that the replay draws its windows from, into a folder for each data set.

Usage: prepare.py <data folder> <target folder> [set ...]

Normal rows only. A third trains an isolation forest (scikit-learn's, 100 trees of 256 rows); the others get its score as
one more column and are kept in the file's order (`rows.f32`). For the power table they are split in two: reference rows
(`reference.f32`), and traffic, of which every scenario writes a changed and newly scored copy (`<scenario>.f32`).
All files hold float32, row by row, features first and the score last; `set.json` says what is what.
"""

import json
import sys
import zlib
from pathlib import Path

import numpy as np
import pandas
from sklearn.cluster import KMeans
from sklearn.ensemble import IsolationForest

SETS = ["campaign", "cover", "donors", "http", "mammography", "pendigits", "satimage-2", "shuttle"]
ROWS = 70_000
REFERENCE = 20_000
TRAFFIC = 20_000
CLUSTERS = 20
LOUD = 0.3


def scored(forest, medians, rows):
    """Rows with their score; a missing value is scored as the training rows' median, and stays missing."""
    filled = np.where(np.isnan(rows), medians, rows)
    return np.column_stack([rows, -forest.score_samples(filled)]).astype(np.float32)


def two_humps(values, random):
    """The same mean and deviation, the other half of the values on the other side."""
    humps = np.where(values > np.median(values), 1.0, -1.0) + random.normal(0, 0.2, len(values))
    humps = (humps - humps.mean()) / humps.std()
    return values.mean() + values.std() * humps


def scenarios(rows, anomalies, touched, random):
    """Name, changed rows, changed features; every scenario starts from the same traffic."""
    deviations = rows.std(axis=0)
    one = touched[:1]

    def changed(columns, change):
        copy = rows.copy()
        for column in columns:
            copy[:, column] = change(copy[:, column], column)
        return copy

    def gone(share):
        return lambda values, _: np.where(random.random(len(values)) < share, np.nan, values)

    yield "none", rows, []
    for size in (0.25, 0.5, 1.0):
        yield f"shift {size} σ", changed(touched, lambda v, c: v + size * deviations[c]), touched
    yield "shift 1.0 σ, one feature", changed(one, lambda v, c: v + deviations[c]), one
    yield "scale × 1.5", changed(touched, lambda v, c: v.mean() + 1.5 * (v - v.mean())), touched
    yield "scale × 0.5", changed(touched, lambda v, c: v.mean() + 0.5 * (v - v.mean())), touched
    yield "shape, two humps", changed(touched, lambda v, c: two_humps(v, random)), touched
    yield "missing 5 %", changed(touched, gone(0.05)), touched
    yield "missing 15 %", changed(touched, gone(0.15)), touched
    yield "missing 40 %", changed(touched, gone(0.4)), touched
    pair = touched if len(touched) > 1 else [touched[0], next(c for c in range(rows.shape[1]) if c != touched[0])]
    yield "correlation only", changed(pair, lambda v, c: random.permutation(v)), pair
    yield "loud tenant, 30 % of rows", loud_tenant(rows, random), []
    share = int(len(rows) / 19)
    attack = anomalies[random.integers(0, len(anomalies), share)]
    yield "anomalies, 5 % of rows", random.permutation(np.vstack([rows, attack])), []
    yield "unit × 1000, one feature", changed(one, lambda v, c: v * 1000), one
    yield "constant, one feature", changed(one, lambda v, c: np.full(len(v), np.median(v))), one


def loud_tenant(rows, random):
    """One of twenty clusters, of middling size, sends 30 % of the rows beside what all send."""
    spread = np.where(rows.std(axis=0) > 0, rows.std(axis=0), 1)
    clusters = KMeans(CLUSTERS, n_init=1, random_state=1).fit_predict((rows - rows.mean(axis=0)) / spread)
    sizes = np.bincount(clusters, minlength=CLUSTERS)
    tenant = np.flatnonzero(clusters == np.argsort(sizes)[CLUSTERS // 2])
    share = int(len(rows) * LOUD / (1 - LOUD))
    return random.permutation(np.vstack([rows, rows[random.choice(tenant, share)]]))


def prepare(name, data, target):
    random = np.random.default_rng(zlib.crc32(name.encode()))
    frame = pandas.read_parquet(data / f"{name}.parquet")
    labels = frame.pop("label").to_numpy()
    values = frame.to_numpy(dtype=np.float64)
    normal, anomalies = values[labels == 0], values[labels == 1]
    order = random.permutation(len(normal))
    train, rest = order[: len(order) // 3], order[len(order) // 3 :][:ROWS]
    forest = IsolationForest(n_estimators=100, max_samples=256, random_state=1).fit(normal[train])
    medians = np.median(normal[train], axis=0)

    folder = target / name
    folder.mkdir(parents=True, exist_ok=True)
    rows = normal[np.sort(rest)]
    scored(forest, medians, rows).tofile(folder / "rows.f32")
    half = min(len(rest) // 2, REFERENCE)
    reference, traffic = normal[rest[:half]], normal[rest[half:][:TRAFFIC]]
    scored(forest, medians, reference).tofile(folder / "reference.f32")

    # A flag or a category has no deviation to be shifted by.
    varied = [column for column in range(values.shape[1]) if len(np.unique(reference[:, column])) > 10]
    touched = random.permutation(varied)[: max(1, values.shape[1] // 3)].tolist()
    written = []
    for number, (scenario, changed, columns) in enumerate(scenarios(traffic, anomalies, touched, random)):
        scored(forest, medians, changed).tofile(folder / f"{number}.f32")
        written.append({"name": scenario, "file": f"{number}.f32", "touched": [int(c) for c in columns]})
    described = {"name": name, "width": values.shape[1], "rows": len(rows), "scenarios": written}
    (folder / "set.json").write_text(json.dumps(described))
    print(f"{name}: {len(rows)} rows, {values.shape[1]} features, {len(written)} scenarios", flush=True)


if __name__ == "__main__":
    for name in sys.argv[3:] or SETS:
        if not (Path(sys.argv[2]) / name / "set.json").exists():
            prepare(name, Path(sys.argv[1]), Path(sys.argv[2]))
