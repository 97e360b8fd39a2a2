"""Compares hodoscope-drift's statistics with SciPy's and Evidently's.

Usage: check.py <measure> [data folder]
"""

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas
from evidently.legacy.calculations.stattests import jensenshannon_stat_test, psi_stat_test, wasserstein_stat_test
from scipy import stats
from scipy.spatial import distance

EXACT = 1e-9
# Real columns: heavy tails, integers, few values, wide ranges.
SETS = ["annthyroid", "campaign", "cover", "donors", "http", "mammography", "musk", "pendigits", "shuttle", "wdbc"]

passed, failed = 0, 0


def check(name, good, detail=""):
    global passed, failed
    passed, failed = passed + bool(good), failed + (not good)
    print(f"{'ok    ' if good else 'FAILED'} {name:<66} {detail}", flush=True)


def measure(**request):
    done = subprocess.run([sys.argv[1]], input=json.dumps(request), capture_output=True, text=True)
    if done.returncode:
        sys.exit(f"measure failed: {done.stderr}")
    return json.loads(done.stdout)


def counted(edges, values, low, high):
    present = values[~np.isnan(values)]
    bins = np.searchsorted(edges, present, side="right")
    size = len(edges) + 1
    return {
        "counts": np.bincount(bins, minlength=size).tolist(),
        "sums": np.bincount(bins, weights=present, minlength=size).tolist(),
        "missing": int(np.isnan(values).sum()),
        "below": int((present < low).sum()),
        "above": int((present > high).sum()),
    }


def edges_of(reference, bins=128):
    """The trainer's: about equal counts, between values that occur."""
    ordered = np.sort(reference[~np.isnan(reference)])
    starts = np.searchsorted(ordered, ordered[np.arange(1, bins) * len(ordered) // bins], side="left")
    starts = np.unique(starts[starts > 0])
    return (ordered[starts - 1] + ordered[starts]) / 2


def case(reference, window, edges=None):
    edges = edges_of(reference) if edges is None else np.asarray(edges)
    low, high = float(np.nanmin(reference)), float(np.nanmax(reference))
    known = counted(edges, reference, low, high)
    known = {k: known[k] for k in ("counts", "sums", "missing")}
    return {
        "reference": known | {"edges": edges.tolist(), "range": [low, high]},
        "window": counted(edges, window, low, high),
    }


def relative(ours, theirs):
    ours, theirs = np.asarray(ours), np.asarray(theirs)
    return float(np.max(np.abs(ours - theirs) / np.maximum(np.abs(theirs), 1e-12)))


def on_the_same_bins(random):
    """Ten values, each a bin of its own: every distance must be the libraries' own, to rounding."""
    cases, raw = [], []
    for _ in range(200):
        weights, others = random.dirichlet(np.full(10, 3.0)), random.dirichlet(np.full(10, 3.0))
        mixed = 0.8 * weights + 0.2 * others
        m, n = random.integers(500, 20_000, 2)
        reference = random.choice(10, m, p=weights).astype(float)
        window = random.choice(10, n, p=mixed).astype(float)
        raw.append((reference, window))
        cases.append(case(reference, window, np.arange(9) + 0.5))
    found = measure(cases=cases)["cases"]
    ours = lambda key: np.array([one[key] for one in found])
    frames = [(pandas.Series(r), pandas.Series(w)) for r, w in raw]
    full = [min(len(np.unique(r)), len(np.unique(w))) == 10 for r, w in raw]
    psi = np.array([psi_stat_test(r, w, "num", None).drift_score for r, w in frames])
    full = np.array(full)
    check("PSI = Evidently's, no bin empty", relative(ours("psi")[full], psi[full]) < EXACT, f"{full.sum()} pairs")
    js = [jensenshannon_stat_test(r, w, "num", None).drift_score for r, w in frames]
    check("Jensen-Shannon = Evidently's", relative(ours("jensen_shannon"), js) < 1e-7, "200 pairs")
    shares = [(np.bincount(r.astype(int), minlength=10), np.bincount(w.astype(int), minlength=10)) for r, w in raw]
    js = [distance.jensenshannon(r / r.sum(), w / w.sum()) for r, w in shares]
    check("Jensen-Shannon = scipy.spatial.distance.jensenshannon", relative(ours("jensen_shannon"), js) < 1e-7)
    ks = [stats.ks_2samp(r, w, method="asymp") for r, w in raw]
    check("KS = scipy.stats.ks_2samp", relative(ours("ks")[:, 0], [k.statistic for k in ks]) < EXACT)
    w1 = [stats.wasserstein_distance(r, w) for r, w in raw]
    check("Wasserstein = scipy.stats.wasserstein_distance", relative(ours("wasserstein")[:, 0], w1) < EXACT)
    table = [stats.chi2_contingency(np.vstack(pair), correction=False).pvalue for pair in shares if np.min(pair) > 5]
    mine = [one["p_homogeneity"] for one, pair in zip(found, shares) if np.min(pair) > 5]
    close = np.abs(np.array(mine) - table) < 1e-9
    check("homogeneity p = scipy.stats.chi2_contingency", close.all(), f"{len(table)} pairs")
    empty = case(np.array([0.0] * 500 + [1.0] * 500), np.array([0.0] * 700), [0.5])
    value = measure(cases=[empty])["cases"][0]["psi"]
    wanted = (0.5 - 1) * np.log(0.5) + (0.5 - 1e-4) * np.log(0.5 / 1e-4)
    theirs = psi_stat_test(pandas.Series([0.0] * 500 + [1.0] * 500), pandas.Series([0.0] * 700), "num", None).drift_score
    check("PSI of an empty bin = Evidently's (share 1e-4)", max(abs(value - wanted), abs(value - theirs)) < EXACT)


def p_values(random):
    lists = [random.random(size) ** random.integers(1, 6) for size in (1, 2, 5, 30, 200) for _ in range(20)]
    lists.append(np.array([0.02] * 7 + [0.9]))
    adjusted = measure(p_values=[p.tolist() for p in lists])["adjusted"]
    theirs = [stats.false_discovery_control(p) for p in lists]
    worst = max(float(np.max(np.abs(np.array(a) - b))) for a, b in zip(adjusted, theirs))
    check("Benjamini-Hochberg = scipy.stats.false_discovery_control", worst < 1e-12, f"{len(lists)} lists")

    rates = []
    for _ in range(200):
        n, m = (int(size) for size in random.integers(500, 200_000, 2))
        rates.append({
            "events": int(random.binomial(n, 0.02)), "n": n,
            "known": int(random.binomial(m, 0.01)), "m": m, "factor": float(random.choice([1 / 3, 1.0, 3.0])),
        })
    found = measure(rates=rates)["rates"]
    worst = 0.0
    for rate, one in zip(rates, found):
        share = rate["factor"] * rate["n"] / (rate["factor"] * rate["n"] + rate["m"])
        law = stats.binom(rate["events"] + rate["known"], share)
        worst = max(worst, abs(one["above"] - law.sf(rate["events"] - 1)), abs(one["below"] - law.cdf(rate["events"])))
    check("alert-rate p = scipy.stats.binom given the sum", worst < 1e-9, f"200 pairs, {worst:.1e}")

    cases, wanted = [], []
    for _ in range(300):
        m, n = (int(size) for size in random.integers(500, 20_000, 2))
        reference, window = random.normal(size=m), random.normal(random.normal() * 0.04, 1, n)
        middle = np.sort(np.concatenate([reference, window]))
        cases.append(case(reference, window, (middle[1:] + middle[:-1])[:: max(1, len(middle) // 2000)] / 2))
        wanted.append(n * m / (n + m))
    found = measure(cases=cases)["cases"]
    theirs = np.array([stats.kstwo.sf(one["ks"][0], round(size)) for one, size in zip(found, wanted)])
    ours = np.array([one["p_ks"] for one in found])
    seen = theirs > 1e-6
    error = relative(ours[seen], theirs[seen])
    check("KS p = scipy.stats.kstwo within 3 %, over p = 1e-6", error < 0.03, f"largest {100 * error:.2f} %")


def by_chance(random):
    """Pairs without drift: p-values must not promise more than they hold, and limits be exceeded as often as they say."""
    for m, n in ((500, 500), (1_000, 5_000), (20_000, 500)):
        cases = [case(random.normal(size=m), random.normal(size=n)) for _ in range(3_000)]
        policy = {"min_rows": 1, "significance": 1.0, "calibration_splits": 1000}
        policy["floors"] = {"psi": 0, "ks": 0, "wasserstein": 0, "jensen_shannon": 0, "missing": 0}
        found = [one["judged"] for one in measure(cases=cases, policy=policy, seed=3)["cases"]]
        p = np.array([one["p_value"] for one in found])
        shares = {level: float((p <= level).mean()) for level in (0.05, 0.01)}
        # Three standard errors above the level, and not so careful that nothing is ever found.
        good = all(level / 4 < share < level + 3 * np.sqrt(level / 3_000) for level, share in shares.items())
        told = ", ".join(f"p ≤ {level}: {100 * share:.2f} %" for level, share in shares.items())
        check(f"A/A p-values, m = {m}, n = {n}", good, told)
        above = float(np.mean([one["drifted"] for one in found]))
        check(f"A/A effects over their limits, m = {m}, n = {n}", 0.003 < above < 0.02, f"{100 * above:.2f} % of 1 %")


def raw_values(folder, random):
    """Real columns: what 128 bins cost, and that the stated bounds hold."""
    cases, raw, names = [], [], []
    for name in SETS:
        frame = pandas.read_parquet(folder / f"{name}.parquet")
        frame = frame[frame.label == 0].drop(columns="label")
        for column in frame.columns[:12]:
            values = frame[column].to_numpy(dtype=float)
            if len(np.unique(values)) < 2:
                continue
            values = random.permutation(values)[:40_000]
            half = len(values) // 2
            reference, window = values[:half], values[half:]
            deviation = reference.std()
            for change in (0.0, 0.1, 0.5, 2.0):
                raw.append((reference, window + change * deviation))
                cases.append(case(*raw[-1]))
                names.append((name, column, change))
    found = measure(cases=cases, policy={"min_rows": 1})["cases"]
    pairs = list(zip(found, raw, names))
    ks = [stats.ks_2samp(r, w, method="asymp").statistic for r, w in raw]
    w1 = [stats.wasserstein_distance(r, w) for r, w in raw]
    slack = 1e-9
    # Two different sets of values can have one mean by chance, and then pass for a value that repeats.
    chance = 1e-3
    inside = [one["ks"][0] - slack <= k <= one["ks"][1] + slack for (one, _, _), k in zip(pairs, ks)]
    check("KS of raw values lies within the bounds of its bins", all(inside), f"{sum(inside)} of {len(ks)}")
    largest = [max(c["reference"]["counts"]) / sum(c["reference"]["counts"]) for c in cases]
    gap = max(k - one["ks"][0] for one, k, share in zip(found, ks, largest) if share < 1.5 / 128)
    check("KS on bins is low by at most 1/128, no value repeating", gap <= 1 / 127 + slack, f"largest {gap:.4f}")
    gap = max(k - one["ks"][0] - share for one, k, share in zip(found, ks, largest))
    check("KS on bins is low by at most the largest bin", gap <= slack, "where values repeat, too")
    scale = [max(np.ptp(np.concatenate(pair)), 1e-12) for pair in raw]
    inside = [
        one["wasserstein"][0] - chance * r.std() <= w <= (one["wasserstein"][1] or np.inf) + slack * s
        for (one, (r, _), _), w, s in zip(pairs, w1, scale)
    ]
    check("Wasserstein of raw values lies within the bounds of its bins", all(inside), f"{sum(inside)} of {len(w1)}")
    lost = [(w - one["wasserstein"][0]) / r.std() for (one, (r, _), _), w in zip(pairs, w1)]
    single = [l for l, share in zip(lost, largest) if share < 0.05]
    detail = f"largest {max(single):.4f}, {len(single)} pairs"
    check("Wasserstein / σ on bins is low by at most 0.02, no value in 5 %", max(single) <= 0.02, detail)
    check("Wasserstein / σ on bins is low by at most 0.06", max(lost) <= 0.06, f"largest {max(lost):.4f}")
    spread = [one["deviation"] / r.std() - 1 for one, (r, _), _ in pairs]
    worst = int(np.argmax(np.abs(spread)))
    detail = f"median {np.median(np.abs(spread)):.4f}, largest {spread[worst]:.3f} ({' '.join(map(str, names[worst]))})"
    check("σ from bins is the values' own, half the columns within 2 %", np.median(np.abs(spread)) < 0.02, detail)
    check("σ from bins, every column within 40 %", max(np.abs(spread)) < 0.4, "worst where outliers share a bin with most rows")
    theirs = [wasserstein_stat_test(pandas.Series(r), pandas.Series(w), "num", None) for r, w in raw]
    ours = [one["judged"]["effects"]["wasserstein"] for one in found]
    wanted = [w / (one["deviation"] or np.inf) for one, w in zip(found, w1)]
    # The same area over another σ: what is left is the binning above, and Evidently's least σ of 0.001.
    rescaled = [t.drift_score * max(r.std(), 1e-3) for t, (r, _) in zip(theirs, raw)]
    check("Evidently's Wasserstein is SciPy's area over σ of the values", relative(rescaled, w1) < 1e-9)
    apart = [abs(o - t) for o, t, share in zip(ours, wanted, largest) if share < 0.05]
    check("Wasserstein / σ of judge = that area over σ from bins", max(apart) < 0.03, f"largest gap {max(apart):.4f}")
    same = np.mean([(o >= 0.1) == t.drifted for o, t in zip(ours, theirs)])
    check("the floor of 0.1 says the same as Evidently's threshold", same > 0.9, f"{100 * same:.1f} % of {len(ours)} pairs")
    psi = [psi_stat_test(pandas.Series(r), pandas.Series(w), "num", None).drift_score for r, w in raw]
    mine = [one["judged"]["effects"]["psi"] for one in found]
    drawn = [i for i, (_, _, change) in enumerate(names) if change == 0.5]
    told = f"median {np.median([mine[i] for i in drawn]):.2f}, Evidently's {np.median([psi[i] for i in drawn]):.2f}"
    print(f"note   PSI at a shift of 0.5 σ: other bins, other number: {told} (ten quantiles; Sturges over both samples)")


if __name__ == "__main__":
    generator = np.random.default_rng(20261124)
    on_the_same_bins(generator)
    p_values(generator)
    by_chance(generator)
    if len(sys.argv) > 2 and sys.argv[2]:
        raw_values(Path(sys.argv[2]) / "adbench", generator)
    elif os.environ.get("HODOSCOPE_NO_SKIP") == "1":
        check("data", False, "set HODOSCOPE_DATA")
    else:
        print("SKIP   raw values: no data; set HODOSCOPE_DATA to the folder that holds adbench/")
    print(f"{passed} passed, {failed} failed")
    sys.exit(failed > 0 or passed == 0)
