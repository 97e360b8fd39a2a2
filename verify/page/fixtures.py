"""Reports of drift runs that nobody measured: one per verdict, one with hostile names, one with 166 features. They are
committed under host/drift/fixtures for the unit tests; the large one is only written where verify/page/run asks for it.
Usage: fixtures.py FOLDER [--large]
"""

import json
import math
import sys
from pathlib import Path
from statistics import NormalDist

FLOORS = {"psi": 0.2, "ks": 0.1, "wasserstein": 0.1, "jensen_shannon": 0.1, "missing": 0.1}
POLICY = {
    "min_rows": 500, "significance": 0.05, "floors": FLOORS, "calibration_quantile": 0.99, "calibration_splits": 500,
    "windows_needed": 2, "windows_seen": 3, "feature_share": 0.3, "alert_rate_factors": [0.3333333333333333, 3.0],
    "missing_flood": 0.5, "outside_flood": 0.5,
}


NORMAL = NormalDist()
# Twenty bins of equal share between the least and the greatest value of a reference of 100,000 rows.
ENDS = [-4.3] + [NORMAL.inv_cdf(step / 20) for step in range(1, 20)] + [4.3]


def shares(edges, mean, sd):
    law = NormalDist(mean, sd)
    steps = [0.0] + [law.cdf(edge) for edge in edges] + [1.0]
    return [round(b - a, 5) for a, b in zip(steps, steps[1:])]


def comparison(mean, sd, shift=0.0, scale=1.0, missing=0.0, p=0.4, limit=1.0):
    """A normal reference and a normal window, with the distances that their plots' bins have."""
    edges = [float(f"{mean + sd * end:.6g}") for end in ENDS]
    reference = shares(edges, mean, sd)
    window = shares(edges, mean + shift * sd, sd * scale)
    floor = 1e-4
    psi = sum((w - r) * math.log(max(w, floor) / max(r, floor)) for r, w in zip(reference, window))
    distance, total = 0.0, 0.0
    for r, w in zip(reference, window):
        total += w - r
        distance = max(distance, abs(total))
    middle = [(r + w) / 2 for r, w in zip(reference, window)]
    entropy = sum((a * math.log(a / m) if a > 0 else 0) for part in (reference, window) for a, m in zip(part, middle)) / 2
    effects = {
        "psi": round(psi, 4), "ks": round(distance, 4), "wasserstein": round(abs(shift) + 0.8 * abs(scale - 1), 4),
        "jensen_shannon": round(math.sqrt(max(entropy, 0)), 4), "missing": missing,
    }
    limits = {key: round(value * limit, 4) for key, value in FLOORS.items()}
    drifted = p <= 0.05 and any(abs(effects[key]) >= limits[key] for key in limits)
    return {
        "effects": effects, "limits": limits, "p_value": p / 4, "p_adjusted": p, "drifted": drifted,
        "means": [mean, float(f"{mean + shift * sd:.6g}")],
        "plot_edges": edges, "plot_reference": reference, "plot_window": window,
    }


def strength(feature):
    return max(abs(feature["effects"][key]) / feature["limits"][key] for key in FLOORS)


def window(day, rows, alert, score=False, share=0.0):
    return {"window": f"202611{day:02}T000000Z", "rows": rows, "sampled_rows": min(rows // 10, 200_000),
            "score_drifted": score, "features_drifted": share, "alert_rate": alert}


def report(verdict, reasons, windows, **rest):
    return {
        "schema": 1, "release": "pump@1.4.0", "digest": "sha256:" + "3f9ab2c4d5e6f708" * 4, "windows": windows,
        "verdict": verdict, "reasons": reasons, "score": None, "alert_rate": None, "features": [], "problems": [],
        "policy": POLICY, **rest,
    }


SENSORS = ["vibration_x", "vibration_y", "bearing_temperature", "flow_rate", "inlet_pressure", "outlet_pressure",
           "motor_current", "motor_voltage", "rotation_speed", "oil_level", "ambient_temperature", "humidity"]


def calm():
    features = []
    for at, name in enumerate(SENSORS):
        mean, sd = 10.0 * (at + 1), 1.5 + at / 3
        features.append({"name": name, **comparison(mean, sd, 0.004 * (at + 1), p=0.3 + at / 20)})
    return features


def drifted():
    changed = {
        "bearing_temperature": comparison(30.0, 2.2, 1.4, p=1e-12),
        "vibration_x": comparison(10.0, 1.5, 0.8, 1.5, p=3e-9),
        "motor_current": comparison(70.0, 3.5, -0.45, p=2e-5),
        "flow_rate": comparison(40.0, 2.5, 0.1, 0.6, missing=0.12, p=0.004),
    }
    features = [{**feature, **changed.get(feature["name"], {})} for feature in calm()]
    features.sort(key=lambda feature: (not feature["drifted"], -strength(feature)))
    return report(
        "drifted",
        ["4.310 % of the rows alert, 1.000 % at calibration: outside 0.33 to 3.00 times that, and not by chance",
         "scores drifted in 2 of the last 3 windows, 2 are needed: Wasserstein / σ 0.950 over a limit of 0.100 (9.5 times)",
         "4 of 12 features drifted (30 % twice running decide), not as many in the window before: bearing_temperature, vibration_x, flow_rate, motor_current"],
        [window(21, 1_187_402, 0.0099), window(22, 1_201_993, 0.0102), window(23, 1_204_331, 0.031, True, 0.25),
         window(24, 1_198_876, 0.0431, True, 1 / 3)],
        score=comparison(0.42, 0.06, 0.75, 1.25, p=1e-15), alert_rate={"target": 0.01, "window": 0.0431, "within": False},
        features=features)


def stable():
    features = sorted(calm(), key=lambda feature: -strength(feature))
    return report(
        "stable", ["scores are distributed as in the reference"],
        [window(22, 1_201_993, 0.0102), window(23, 1_204_331, 0.0098), window(24, 1_198_876, 0.0101)],
        score=comparison(0.42, 0.06, 0.01, p=0.61), alert_rate={"target": 0.01, "window": 0.0101, "within": True},
        features=features)


def data_quality():
    base = stable()
    base.update(
        verdict="data_quality",
        problems=[
            {"feature": "inlet_pressure", "kind": "missing_column", "detail": "100.0 % missing, 0.1 % in the reference"},
            {"feature": "bearing_temperature", "kind": "unit_change",
             "detail": "0.0 % under and 98.2 % over the reference's range 20.5..39.4; the mean was 30 and is 86"},
            {"feature": "oil_level", "kind": "constant",
             "detail": "all 119887 values lie where 0.8 % of the reference's do; the mean was 100 and is 100"},
        ])
    base["reasons"] = [f"{problem['feature']}: {problem['detail']}" for problem in base["problems"]]
    return base


def insufficient_data():
    return report("insufficient_data", ["212 rows; 500 are needed"], [window(24, 212, 0.0142)])


HOSTILE = ["<script>alert(1)</script>", "\"><img src=x onerror=alert(2)>", "</style><style>*{display:none}</style>",
           "javascript:alert(3)", "a\u202egnp.exe", "line\nbreak\r\u2028more", "\u001b[31mred\u001b[0m\u0007", "```\n# heading",
           "   ", "\u200b\u200d", "x" * 3000, "温度センサー_" * 12, "{{constructor}}' OR 1=1;--", "&lt;b&gt; &amp; &#x27;", "https://example.com/collect?x=1",
           "<svg/onload=alert(4)>", "]]><!--", "@everyone | pipe | `code`"]


def hostile():
    features = [{"name": name, **comparison(5.0, 1.0, 1.2 - at / 20, p=1e-6)} for at, name in enumerate(HOSTILE)]
    base = drifted()
    base.update(
        features=features,
        reasons=["the feature <script>alert(5)</script> drifted", "and so did \u202ethis one", "https://example.com/" + "a" * 300],
        problems=[{"feature": name, "kind": "constant", "detail": name} for name in HOSTILE[:3]])
    return base


def large():
    features = []
    for at in range(166):
        changed = at % 5 == 0
        limit = 1 + (at % 7) / 10
        features.append({"name": f"sensor_{at // 10:02}.channel_{at % 10}.{'rms' if at % 2 else 'peak_to_peak_amplitude'}",
                         **comparison(10.0 ** (at % 9 - 4), 10.0 ** (at % 9 - 5), (2.0 - at / 90) if changed else 0.01,
                                      p=1e-8 if changed else 0.6, limit=limit)})
    features.sort(key=lambda feature: (not feature["drifted"], -strength(feature)))
    base = drifted()
    days = [window(day, 900_000 + 40_000 * (day % 5), 0.009 + 0.002 * (day % 4) + (0.03 if day > 22 else 0), day > 22, 0.2 if day > 22 else 0.01)
            for day in range(1, 25)]
    base.update(release="turbine-hall@2.0.0-rc.1", features=features, windows=days,
                reasons=["scores drifted in 2 of the last 3 windows, 2 are needed: Wasserstein / σ 0.950 over a limit of 0.100 (9.5 times)",
                         "34 of 166 features drifted (30 % twice running decide)"])
    return base


def watching():
    base = drifted()
    windows = base["windows"][1:]
    windows[1].update(score_drifted=False, alert_rate=0.0104, features_drifted=0.0)
    windows[2].update(alert_rate=0.0171)
    base.update(verdict="watching", reasons=["scores drifted in 1 of the last 3 windows, 2 are needed: Wasserstein / σ 0.950 over a limit of 0.100 (9.5 times)"], windows=windows,
                alert_rate={"target": 0.01, "window": 0.0171, "within": True})
    return base


def main():
    folder = Path(sys.argv[1])
    folder.mkdir(parents=True, exist_ok=True)
    makers = [drifted, stable, watching, data_quality, insufficient_data, hostile]
    if "--large" in sys.argv:
        makers.append(large)
    for make in makers:
        found = json.dumps(make(), ensure_ascii=True, separators=(",", ":"))
        (folder / f"{make.__name__}.json").write_text(found + "\n")


main()
