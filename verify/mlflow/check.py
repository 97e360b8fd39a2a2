"""Starts `mlflow server`, trains and pushes with HODOSCOPE_BIN, and asks MLflow's own Python client what is there.

Prints one line for each check: `ok …` or `FAIL …`. Loopback only; ends what it started.
"""

import json
import os
import random
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from pathlib import Path

os.environ["MLFLOW_DISABLE_TELEMETRY"] = "true"
os.environ["MLFLOW_SERVER_ENABLE_JOB_EXECUTION"] = "false"
for name in [n for n in os.environ if n.startswith(("HODOSCOPE_", "MLFLOW_TRACKING"))]:
    if name != "HODOSCOPE_BIN":
        del os.environ[name]

BIN = os.environ["HODOSCOPE_BIN"]
WORK = Path(tempfile.mkdtemp(prefix="hodoscope-mlflow-"))
START_SECONDS = 120
# A command without tracking takes well below a second on these files; the rest is a busy machine.
SLACK_SECONDS = 6.0

failed = 0


def check(sentence, holds, said=""):
    global failed
    failed += not holds
    print(("ok    " if holds else "FAIL  ") + sentence, flush=True)
    if not holds and said:
        print(f"      {said}"[:2000], flush=True)


class Server:
    """One MLflow server and its children, which are a process group of their own."""

    def __init__(self):
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]
        self.uri = f"http://127.0.0.1:{self.port}"

    def start(self):
        command = [sys.executable, "-m", "mlflow", "server", "--host", "127.0.0.1", "--port", str(self.port)]
        command += ["--backend-store-uri", f"sqlite:///{WORK}/mlflow.db", "--workers", "1"]
        command += ["--artifacts-destination", f"{WORK}/artifacts"]
        log = open(WORK / "server.log", "ab")
        self.process = subprocess.Popen(command, stdout=log, stderr=log, start_new_session=True, cwd=WORK)
        started = time.monotonic()
        while time.monotonic() - started < START_SECONDS and self.process.poll() is None:
            try:
                with urllib.request.urlopen(f"{self.uri}/health", timeout=2) as answer:
                    if answer.status == 200:
                        return time.monotonic() - started
            except OSError:
                time.sleep(0.2)
        raise SystemExit(f"FAIL  the server did not start\n{(WORK / 'server.log').read_text()[-3000:]}")

    def tell(self, what):
        os.killpg(self.process.pid, what)

    def stop(self):
        if getattr(self, "process", None) and self.process.poll() is None:
            self.tell(signal.SIGCONT)
            self.tell(signal.SIGKILL)
            self.process.wait()


def table(name, rows, seed, bad=False):
    random.seed(seed)
    with open(WORK / name, "w") as out:
        out.write("flow,pressure,heat,label\n")
        for row in range(rows):
            odd = row % 100 == 7
            values = [f"{random.gauss(6.0 if odd else 0.0, 1):.4f}" for _ in range(3)]
            if bad and row == rows - 1:
                values[1] = "not a number"
            out.write(",".join(values) + f",{int(odd)}\n")


class Said:
    def __init__(self, words, extra=None):
        environment = {"HODOSCOPE_HOME": str(WORK / "home"), "PATH": os.environ["PATH"], **(extra or {})}
        started = time.monotonic()
        done = subprocess.run([BIN, *words.split()], cwd=WORK, env=environment, capture_output=True, text=True, timeout=300)
        self.seconds = time.monotonic() - started
        self.code, self.text = done.returncode, done.stdout + done.stderr
        try:
            self.answer = json.loads(done.stdout)
        except ValueError:
            self.answer = {}

    def warnings(self):
        return " ".join(self.answer.get("warnings", []))


def states():
    """How many local records there are of each state."""
    found = {}
    for file in sorted((WORK / "home/tracking").glob("*.json")):
        state = json.loads(file.read_text())["state"]
        word = state if isinstance(state, str) else next(iter(state))
        found[word] = found.get(word, 0) + 1
    return found


def runs(client, experiment):
    found = client.get_experiment_by_name(experiment)
    return client.search_runs([found.experiment_id]) if found else []


def document(client, run, name):
    return json.loads(Path(client.download_artifacts(run, name)).read_text())


def trained(client, own):
    said = Said("train a.csv --name pump --label label --trees 50 --seed 3 --out a.wasm --output json", own)
    answer = said.answer
    check("train records a run", said.code == 0 and answer.get("tracked", {}).get("run_id"), said.text)
    run = client.get_run(answer["tracked"]["run_id"])
    name = client.get_experiment(run.info.experiment_id).name
    check("in the experiment of its detector", name == "hodoscope/pump", name)
    check("that is named and ended", (run.info.run_name, run.info.status) == ("train pump", "FINISHED"), run.info)
    wanted = {"trees": "50", "seed": "3", "label": "label", "input": "a.csv", "contamination": "0.01",
              "max_features": "1.0", "sample_size": "default", "columns": "default", "exclude": "default",
              "exact_threshold": "false"}
    check("with every option as a parameter", run.data.params == wanted, run.data.params)
    figures = ["rows", "features", "trees", "sample_size", "calibration_rows", "threshold", "alert_rate", "roc_auc",
               "average_precision", "labelled_rows", "labelled_anomalies", "size_bytes", "seconds"]
    check("with every figure as a metric", {k: answer[k] for k in figures} == run.data.metrics, run.data.metrics)
    tags = run.data.tags
    check("with the digest as a tag", tags["digest"] == answer["digest"], tags)
    check("with the detector and the command", (tags["detector"], tags["command"]) == ("pump", "train"), tags)
    check("whose time is that of the training", 0 <= run.info.end_time - run.info.start_time < 60_000, run.info)
    inspected = Said("inspect a.wasm --output json").answer
    training = document(client, run.info.run_id, "training.json")
    check("with the component's own training section", training == inspected["training"], training)
    check("with the report", document(client, run.info.run_id, "report.json")["digest"] == answer["digest"])
    return answer


def pushed(client, own, train):
    said = Said("push a.wasm --version 1.0.0 --output json", own)
    check("push adds to the run of the training", said.answer["tracked"]["run_id"] == train["tracked"]["run_id"], said.text)
    version = client.get_model_version_by_alias("pump", "candidate")
    check("registers the release", version.version == said.answer["tracked"]["model_version"] and version.version == "1", version)
    wanted = {"digest": train["digest"], "version": "1.0.0"}
    check("with its digest and version", version.tags == wanted and version.run_id == train["tracked"]["run_id"], version)
    check("ready, from the run's artifacts", version.status == "READY" and version.source.startswith("mlflow-artifacts:"), version)
    run = client.get_run(version.run_id)
    check("tags the run with the release", run.data.tags["release"] == "pump@1.0.0", run.data.tags)
    check("keeps the training's own tags", run.data.tags["command"] == "train", run.data.tags)
    gate = document(client, version.run_id, "gate.json")
    check("adds the gate's report", gate["digest"] == train["digest"] and gate["trusted"], gate)
    Said("train b.csv --name pump --label label --out b.wasm --output json", own)
    Said("push b.wasm --version 1.1.0 --output json", own)
    version = client.get_model_version_by_alias("pump", "candidate")
    check("the next release is the candidate", version.tags["version"] == "1.1.0", version)
    said = Said("push a.wasm --version 1.0.0 --output json", own)
    again = client.search_model_versions("name = 'pump'")
    check("an old one pushed again is registered once", said.answer["pushed"] == "unchanged" and len(again) == 2, again)
    version = client.get_model_version_by_alias("pump", "candidate")
    check("and does not become the candidate", version.tags["version"] == "1.1.0", version)
    for command, version in [("promote pump@1.0.0", "1.0.0"), ("promote pump@1.1.0", "1.1.0"), ("rollback pump", "1.0.0")]:
        said = Said(command, own)
        champion = client.get_model_version_by_alias("pump", "champion")
        check(f"after {command} that release is the champion", champion.tags["version"] == version, f"{said.text} {champion}")
    check("two trainings, three pushes and three promotions are two runs", len(runs(client, "hodoscope/pump")) == 2)
    merged(client, own)
    Said("train a.csv --name pump --label label --seed 9 --out c.wasm", own | {"MLFLOW_EXPERIMENT_NAME": "elsewhere"})
    check("an experiment of one's own", len(runs(client, "elsewhere")) == 1)


def merged(client, own):
    """What the merge of a pull request does: the channel pins another release, and nobody tells MLflow."""
    Said("promote pump@1.1.0")
    champion = client.get_model_version_by_alias("pump", "champion")
    check("a merge elsewhere does not move the champion", champion.tags["version"] == "1.0.0", champion)
    said = Said("drift --all --output json", own)
    champion = client.get_model_version_by_alias("pump", "champion")
    check("the next run of the drift job does", champion.tags["version"] == "1.1.0", f"{said.text} {champion}")
    moved = champion.last_updated_timestamp
    said = Said("drift --all --output json", own)
    champion = client.get_model_version_by_alias("pump", "champion")
    check("and leaves it where it is right", champion.last_updated_timestamp == moved and "warnings" not in said.answer[0], said.text)
    versions = client.search_model_versions("name = 'pump'")
    check("with no version more", len(versions) == 2, versions)
    Said("push b.wasm --name quiet --version 1.0.0")
    Said("promote quiet@1.0.0")
    said = Said("drift --detector quiet --output json", own)
    champion = client.get_model_version_by_alias("quiet", "champion")
    check("a release that MLflow never heard of becomes its champion", champion.tags["version"] == "1.0.0", f"{said.text} {champion}")
    found = [run.data.tags.get("verdict") for run in runs(client, "hodoscope/quiet")]
    check("on the run of the job", found == ["insufficient_data"], found)


def raced(client, own):
    words = "train a.csv --name race --label label --seed {0} --out race{0}.wasm"
    started = [subprocess.Popen([BIN, *words.format(seed).split()], cwd=WORK, stdout=subprocess.DEVNULL,
                                env={"HODOSCOPE_HOME": str(WORK / "home"), **own}) for seed in range(4)]
    codes = [process.wait() for process in started]
    found = runs(client, "hodoscope/race")
    check("four first trainings at once make one experiment and four runs", codes == [0] * 4 and len(found) == 4, found)
    said = Said("train bad.csv --name bad --label label", own)
    found = runs(client, "hodoscope/bad")
    check("a training that fails is a failed run", said.code == 1 and [run.info.status for run in found] == ["FAILED"], said.text)
    check("that says why", found and "not a number" in found[0].data.tags.get("error", ""), found)


def hung(client, own, server):
    server.tell(signal.SIGSTOP)
    limit = 3
    said = Said("train a.csv --name slow --label label --out slow.wasm --output json", own | {"HODOSCOPE_MLFLOW_DEADLINE_SECONDS": str(limit)})
    server.tell(signal.SIGCONT)
    check("before a server that hangs, train succeeds", said.code == 0 and (WORK / "slow.wasm").exists(), said.text)
    check(f"within its deadline of {limit} s: {said.seconds:.1f} s", limit <= said.seconds < limit + SLACK_SECONDS)
    check("with one warning that names the record's file", said.warnings().count("waits in") == 1, said.warnings())
    check("and a local record that waits", states().get("pending") == 1, states())
    said = Said("train b.csv --name slow --label label --out slow2.wasm --output json", own)
    found = runs(client, "hodoscope/slow")
    check("the next training delivers it", "pending" not in states() and len(found) == 2, f"{states()} {found}")
    check("whole and ended", all(run.info.status == "FINISHED" and run.data.metrics["rows"] == 3000 for run in found), found)


def away(own, server):
    server.stop()
    first = Said("train a.csv --name away --label label --out away.wasm --output json", own)
    check("without a server, train succeeds", first.code == 0 and first.answer.get("digest"), first.text)
    check(f"quickly: {first.seconds:.1f} s", first.seconds < SLACK_SECONDS)
    check("with one warning", first.warnings().count("tracking:") == 1, first.warnings())
    said = Said("push away.wasm --version 1.0.0 --output json", own)
    check("so does push", said.code == 0 and said.answer["pushed"] == "created", said.text)
    check("two records wait", states().get("pending") == 2, states())
    return first.answer


def back(client, own, server, train):
    server.start()
    said = Said("train b.csv --name away --label label --out away2.wasm --output json", own)
    check("with the server back, the next training has no warning", said.warnings() == "", said.text)
    check("and nothing waits", "pending" not in states(), states())
    found = [run for run in runs(client, "hodoscope/away") if run.data.tags["digest"] == train["digest"]]
    check("training and push are one run again", [run.info.run_name for run in found] == ["train away"], found)
    version = client.get_model_version_by_alias("away", "candidate")
    check("the pushed release is registered", (version.tags["version"], version.run_id) == ("1.0.0", found[0].info.run_id), version)
    files = {file.path for file in client.list_artifacts(found[0].info.run_id)}
    check("with all documents", files == {"training.json", "report.json", "gate.json"}, files)


def settings(own):
    said = Said("train a.csv --name pump --label label --out d.wasm --output json", {"MLFLOW_TRACKING_URI": "databricks"})
    check("an address for another program is a warning", said.code == 0 and "Databricks" in said.warnings(), said.text)
    said = Said("config", {"HODOSCOPE_MLFLOW_TRACKING_URI": "sqlite:///mlflow.db"})
    check("one for us is an error before any work", said.code == 64 and "mlflow server" in said.text, said.text)
    secret = {"MLFLOW_TRACKING_URI": "http://ann:hush@127.0.0.1:1", "MLFLOW_TRACKING_TOKEN": "t0ken"}
    said = Said("config", secret)
    check("secrets are not shown", "127.0.0.1:1" in said.text and "hush" not in said.text and "t0ken" not in said.text, said.text)
    before = states()
    said = Said("train a.csv --name pump --label label --out d.wasm", own | {"HODOSCOPE_MLFLOW_TRACKING_URI": ""})
    check("an empty address switches tracking off", said.code == 0 and states() == before, said.text)


def main():
    from mlflow import MlflowClient

    table("a.csv", 3000, 1)
    table("b.csv", 3000, 2)
    table("bad.csv", 500, 3, bad=True)
    server = Server()
    try:
        print(f"-- mlflow server, up in {server.start():.0f} s", flush=True)
        client = MlflowClient(tracking_uri=server.uri, registry_uri=server.uri)
        # A server that has just started, on a busy machine, takes its time; where that matters the case sets its own.
        own = {"MLFLOW_TRACKING_URI": server.uri, "HODOSCOPE_MLFLOW_DEADLINE_SECONDS": "60"}
        train = trained(client, own)
        pushed(client, own, train)
        raced(client, own)
        hung(client, own, server)
        train = away(own, server)
        back(client, own, server, train)
        settings(own)
    finally:
        server.stop()
        subprocess.run(["rm", "-rf", str(WORK)], check=False)
    return failed


if __name__ == "__main__":
    sys.exit(1 if main() else 0)
