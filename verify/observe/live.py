"""A real host under load and faults, scraped by a real Prometheus: every query of every dashboard and rule is asked, those
that should have data have some, the host's table holds for what is really exported, and alerts fire.
`live.py <repository> <executable> <folder>` prints one line for each check and counts for itself."""

import http.client
import json
import random
import re
import signal
import socket
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.parse
import urllib.request
from pathlib import Path

import yaml

from expressions import dashboards, exported, filled, panels, rules

root, executable, work = Path(sys.argv[1]), sys.argv[2], Path(sys.argv[3])
home = work / "home"
processes = []
# Panels that this run leaves empty, each with its reason; all others must show something.
EMPTY = {
    "Drift jobs": "Kubernetes'", "Restarts": "Kubernetes'", "Replicas": "Kubernetes'", "CPU": "Kubernetes'", "Syncs of Argo CD": "Argo CD's",
}
# Metrics that have no series until what they count happens, which this run does not make.
RARE = {"hodoscope_capture_put_failures_total"}
# Alerts that this run causes: a pin of a release that does not exist, a detector that traps, and a verdict.
CAUSED = {"HodoscopeDetectorDown": "valve", "HodoscopeDetectorDiffers": "valve", "HodoscopeBreakerOpen": "fan", "HodoscopeErrorBudgetBurns": "fan", "HodoscopeDriftUnanswered": "pump"}
QUIET = ["HodoscopeDetectorFallback", "HodoscopeChannelDocumentInvalid", "HodoscopeGone", "HodoscopeSyncFailed", "HodoscopePodsDisagree"]


def tell(sentence, faults, remark=""):
    faults = list(faults)
    print(f"FAIL  {sentence}: {'; '.join(map(str, faults))}" if faults else f"ok    {sentence}{remark}", flush=True)


def free_ports(count):
    held = [socket.socket() for _ in range(count)]
    for one in held:
        one.bind(("127.0.0.1", 0))
    ports = [one.getsockname()[1] for one in held]
    for one in held:
        one.close()
    return ports


def run(*arguments):
    done = subprocess.run([executable, "--home", home, *arguments], capture_output=True, text=True)
    if done.returncode != 0:
        sys.exit(f"hodoscope {' '.join(map(str, arguments))} failed: {done.stderr}")


def start(name, command):
    log = open(work / f"{name}.log", "w")
    processes.append(subprocess.Popen(command, stdout=log, stderr=log))


def ask(url, body=None, content="application/json", method=None, token=None):
    request = urllib.request.Request(url, data=body, method=method)
    if body is not None:
        request.add_header("content-type", content)
    if token:
        request.add_header("authorization", f"Bearer {token}")
    try:
        with urllib.request.urlopen(request, timeout=30) as answer:
            return answer.status, answer.read()
    except urllib.error.HTTPError as error:
        return error.code, error.read()


def until(what, seconds, condition):
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        try:
            if found := condition():
                return found
        except (OSError, ValueError):
            pass
        time.sleep(0.2)
    sys.exit(f"{what} did not happen within {seconds} s; logs are in {work}")


def patiently(faults, seconds=60):
    """Asks until there are no faults, and gives those of the last time: one late scrape makes all series stale."""
    end = time.monotonic() + seconds
    while (found := list(faults())) and time.monotonic() < end:
        time.sleep(1)
    return found


def query(expression):
    url = f"http://127.0.0.1:{prometheus}/api/v1/query?" + urllib.parse.urlencode({"query": expression})
    status, body = ask(url)
    answer = json.loads(body)
    if status != 200:
        raise ValueError(answer.get("error", status))
    return answer["data"]["result"]


def releases():
    random.seed(1)
    rows = [",".join(f"{random.gauss(0, 1):.4f}" for _ in range(3)) for _ in range(4000)]
    table = work / "pump.csv"
    table.write_text("\n".join(["f0,f1,f2", *rows]) + "\n")
    for version, seed in (("1.0.0", "1"), ("1.1.0", "7")):
        component = work / f"pump-{version}.wasm"
        run("train", table, "--name", "pump", "--seed", seed, "--out", component)
        run("push", component, "--version", version)
    run("promote", "pump@1.0.0")
    run("promote", "pump@1.1.0", "--shadow")
    run("build", trapping(), "--out", work / "fan.wasm")
    run("push", work / "fan.wasm", "--name", "fan", "--version", "1.0.0")
    run("promote", "fan@1.0.0")
    # Wanted, and nowhere to be had.
    pin = {"version": "1.0.0", "digest": "sha256:" + "0" * 64}
    (home / "channels/local/valve.yaml").write_text(yaml.safe_dump({"detectors": {"valve": {"active": pin}}}))


def trapping():
    """The engine's test guest, which here traps when the first value is 777."""
    places = {"pages": "2", "version": "0.1.0", "triggered": "unreachable"}
    places["description"] = r"\4c\04\00\00\02" + r"\00" * 27
    places["imports"] = '(import "hodoscope:detector/log@0.1.0" "write" (func (param i32 i32 i32)))'
    text = (root / "host/engine/tests/guests/guest.wat").read_text()
    text = re.sub(r"\{\{(\w+)\}\}", lambda place: places.get(place[1], ""), text)
    (work / "fan.wat").write_text(text)
    subprocess.run(["wat2wasm", work / "fan.wat", "-o", work / "fan-core.wasm"], check=True)
    return work / "fan-core.wasm"


def capture():
    """Settings of a host that captures often and little, and the verdict of a drift job that it finds."""
    digest = "sha256:" + "0" * 64
    record = {"schema": 1, "detector": "pump", "verdict": "drifted", "time_ms": int(time.time() * 1000) - 60_000, "window": "20261124T000000Z", "release": "pump@1.0.0", "digest": digest}
    place = home / "capture/verdicts/v1/pump.json"
    place.parent.mkdir(parents=True, exist_ok=True)
    place.write_text(json.dumps(record))
    settings = {"capture": "true", "capture_fraction": "1", "capture_part_seconds": "1", "capture_rows_per_window": "100", "capture_key": "observe"}
    return [part for key, value in settings.items() for part in ("--set", f"{key}={value}")]


def configure():
    """Prometheus with the chart's rules as they are, but for `for`, which would take minutes."""
    document = yaml.safe_load((root / "helm/hodoscope/alerts/rules.yaml").read_text())
    for group in document["groups"]:
        group["interval"] = "1s"
        for rule in group["rules"]:
            if "alert" in rule:
                rule["for"] = "0s"
    (work / "rules.yaml").write_text(yaml.safe_dump(document))
    target = {"targets": [f"127.0.0.1:{admin}"], "labels": {"namespace": "observe", "pod": "hodoscope-0", "service": "hodoscope-admin", "container": "hodoscope", "endpoint": "admin"}}
    # A scrape may take as long as the interval, and on a busy machine one may take seconds.
    scrape = {"job_name": "hodoscope-admin", "scrape_interval": "5s", "scrape_timeout": "5s", "static_configs": [target]}
    (work / "prometheus.yaml").write_text(yaml.safe_dump({"global": {"scrape_interval": "5s", "evaluation_interval": "1s"}, "rule_files": ["rules.yaml"], "scrape_configs": [scrape]}))


def score(detector, *rows):
    return ask(f"http://127.0.0.1:{data}/v1/detectors/{detector}/score", json.dumps({"rows": rows}).encode())


def traffic(stop):
    random.seed(2)
    while not stop.wait(0.05):
        try:
            score("pump", *({f"f{i}": random.gauss(0, 1.5) for i in range(3)} for _ in range(10)))
            score("pump", {"f0": 1})
            score("nobody", {"f0": 1})
            score("fan", {"a": 777, "b": 0})
        except (OSError, http.client.HTTPException):
            pass  # one that is not answered makes no traffic; the panels tell if none is


def series():
    """Name → the labels that a scrape's series really have."""
    found = {}
    for one in json.loads(ask(f"http://127.0.0.1:{prometheus}/api/v1/series?match[]=%7Bjob%3D~%22.%2B%22%7D")[1])["data"]:
        found.setdefault(one["__name__"], set()).update(set(one) - {"__name__", "job", "instance", "namespace", "pod", "service", "container", "endpoint"})
    return found


def check_table():
    live = series()
    table = exported(root)
    for name in sorted(table):
        seen = live.get(name, live.get(f"{name}_count"))
        if seen is None and name in RARE:
            continue
        tell(f"{name} is exported with the labels of the table", ["not seen in this run"] if seen is None else [f"{sorted(seen)}, not {sorted(table[name])}"] if seen != table[name] else [])
    ours = {re.sub(r"_(bucket|sum|count)$", "", name) for name in live if name.startswith(("hodoscope_", "process_"))}
    tell("nothing is exported that the table does not have", ours - set(table))


def check_panels():
    for board, document in dashboards(root).items():
        for panel in panels(document):
            if panel["title"] in EMPTY:
                tell(f"{board}: the panel {panel['title']!r} is a query that Prometheus takes", patiently(lambda: empty(panel, [])), f" ({EMPTY[panel['title']]} metrics)")
            else:
                tell(f"{board}: the panel {panel['title']!r} shows data", patiently(lambda: empty(panel, ["nothing"])))


def empty(panel, nothing):
    """What is wrong with a panel; `nothing` if it is that no query of it finds anything."""
    try:
        return [] if any([query(filled(t["expr"])) for t in panel["targets"]]) else nothing
    except (OSError, ValueError) as error:
        return [error]


def check_rules():
    firing = {}

    def amiss():
        firing.clear(), firing.update(alerts())
        return [name for name, detector in CAUSED.items() if detector not in firing.get(name, ())] + [name for name in QUIET if name in firing]

    # Judged is the one look that waiting for it ended with.
    patiently(amiss, 180)
    for name, detector in CAUSED.items():
        tell(f"{name} fires for {detector}, in Prometheus", [] if detector in firing.get(name, ()) else [f"fires for {firing.get(name)}"])
    tell("HodoscopeDetectorDown does not fire for pump, which runs", {"pump"} & firing.get("HodoscopeDetectorDown", set()))
    tell(f"{', '.join(QUIET)} do not fire", [name for name in QUIET if name in firing])
    tell("every rule is evaluated without an error", patiently(lambda: [r["name"] for g in groups() for r in g["rules"] if r["health"] != "ok"]))
    tell("all rules are there", [] if sum(len(g["rules"]) for g in groups()) == len(rules(root)) else ["some are not"])


def groups():
    return json.loads(ask(f"http://127.0.0.1:{prometheus}/api/v1/rules")[1])["data"]["groups"]


def alerts():
    firing = {}
    for alert in json.loads(ask(f"http://127.0.0.1:{prometheus}/api/v1/alerts")[1])["data"]["alerts"]:
        if alert["state"] == "firing":
            firing.setdefault(alert["labels"]["alertname"], set()).add(alert["labels"].get("detector", ""))
    return firing


def main():
    releases()
    configure()
    start("host", [executable, "--home", home, *capture(), "serve", "--accept-uploads", "--data-address", f"127.0.0.1:{data}", "--admin-address", f"127.0.0.1:{admin}"])
    until("the host", 180, lambda: ask(f"http://127.0.0.1:{data}/v2/models/pump/ready")[0] == 200)
    start("prometheus", ["prometheus", f"--config.file={work}/prometheus.yaml", f"--storage.tsdb.path={work}/tsdb", f"--web.listen-address=127.0.0.1:{prometheus}", "--log.level=warn"])
    until("Prometheus", 180, lambda: ask(f"http://127.0.0.1:{prometheus}/-/ready")[0] == 200)
    token = (home / "token").read_text().strip()
    ask(f"http://127.0.0.1:{admin}/v1/detectors/pump/versions/1.0.0", (work / "pump-1.0.0.wasm").read_bytes(), "application/wasm", "PUT", token)
    stop = threading.Event()
    caller = threading.Thread(target=traffic, args=(stop,), daemon=True)
    caller.start()
    until("traffic", 180, lambda: query("sum(increase(hodoscope_rows_total[30s])) > 500"))
    check_rules()
    check_table()
    check_panels()
    stop.set()
    caller.join()


data, admin, prometheus = free_ports(3)
work.mkdir(parents=True, exist_ok=True)
try:
    main()
finally:
    for process in processes:
        process.send_signal(signal.SIGTERM)
    for process in processes:
        try:
            process.wait(timeout=120)
        except subprocess.TimeoutExpired:
            process.kill()
            tell(f"{Path(process.args[0]).name} ends", ["not within 120 s"])
