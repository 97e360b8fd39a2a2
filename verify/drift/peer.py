"""Evidently's defaults on the rows that the replay used: its own choice of test and threshold for each column, and drift
of the data set where half of the columns drift. Fewer windows than ours, since each reads every row.

Usage: peer.py <folder of sets>
"""

import json
import sys
from pathlib import Path

import numpy as np
import pandas
from evidently.legacy.calculations.stattests import get_stattest

WINDOWS = 5
DATASET_SHARE = 0.5
# Rows of the reference and of a window. Up to 1,000 reference rows Evidently tests by KS, above by Wasserstein.
SIZES = [(1_000, 500), (5_000, 5_000)]


def read(folder, name, width):
    return np.fromfile(folder / name, dtype=np.float32).reshape(-1, width + 1).astype(float)


def drifted(reference, window):
    reference, window = (pandas.Series(side[~np.isnan(side)]) for side in (reference, window))
    if reference.empty or window.empty:
        return False
    return bool(get_stattest(reference, window, "num", None)(reference, window, "num", None).drifted)


def windows(reference, rows, size, random):
    for _ in range(WINDOWS):
        window = rows[random.integers(0, len(rows), size)]
        yield [drifted(reference[:, column], window[:, column]) for column in range(rows.shape[1])]


def percent(values):
    return f"{100 * np.mean(values):.0f} %" if len(values) else "–"


def table(folders, known_rows, size):
    found = {}
    for folder in folders:
        described = json.loads((folder / "set.json").read_text())
        width = described["width"]
        random = np.random.default_rng(size)
        reference = read(folder, "reference.f32", width)[:known_rows]
        for scenario in described["scenarios"]:
            rows = read(folder, scenario["file"], width)
            touched = set(scenario["touched"])
            told = found.setdefault(scenario["name"], {"score": [], "set": [], "touched": [], "others": []})
            for columns in windows(reference, rows, size, random):
                told["score"].append(columns[width])
                told["set"].append(np.mean(columns[:width]) >= DATASET_SHARE)
                for column in range(width):
                    told["touched" if column in touched else "others"].append(columns[column])
    print(f"\nEvidently's defaults, reference {known_rows}, n = {size}, {len(folders)} sets, {WINDOWS} windows each\n")
    print("| change (a third of the features) | score column | data set | changed features found | others flagged |")
    print("|---|---|---|---|---|")
    for name, told in found.items():
        cells = [percent(told[key]) for key in ("score", "set", "touched", "others")]
        print(f"| {name} | {' | '.join(cells)} |", flush=True)


if __name__ == "__main__":
    sets = sorted(path.parent for path in Path(sys.argv[1]).glob("*/set.json"))
    for known, size in SIZES:
        table(sets, known, size)
