"""Plays cluster, kubelet and Argo CD for the rendered chart: what runs here are its containers' own commands and environments,
with the places of this machine. `loop.py <repository> <executable> <folder>` prints one line for each check and counts for
itself."""

import json
import os
import random
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
import urllib.request
from pathlib import Path

import yaml

root, executable, work = Path(sys.argv[1]), sys.argv[2], Path(sys.argv[3])
forge, store, captured, mount = work / "forge.git", work / "store", work / "captured", work / "channel"
CHANNEL, WINDOW = "production", 8
shift = 0.0
failures, answered = [], 0


def tell(sentence, fault=None):
    print(f"FAIL  {sentence}: {fault}" if fault else f"ok    {sentence}", flush=True)


def sh(*command, cwd=None, **more):
    done = subprocess.run(list(map(str, command)), capture_output=True, text=True, cwd=cwd, **more)
    if done.returncode != 0:
        raise RuntimeError(f"{' '.join(map(str, command))}: {done.stderr.strip()[-400:] or done.stdout.strip()[-400:]}")
    return done.stdout


def hodoscope(*arguments):
    return sh(executable, "--home", work / "laptop", "--store", store, "--channel", CHANNEL, *arguments)


def git(*arguments):
    return sh("git", "-C", work / "tree", "-c", "user.name=person", "-c", "user.email=person@localhost", *arguments)


def render():
    """What Argo CD renders of the merged branch: the chart with everything on, and the channel's files over it."""
    git("fetch", "-q"), git("reset", "-q", "--hard", "origin/main")
    pins = sorted((work / f"tree/registry/channels/{CHANNEL}").glob("*.yaml"))
    base = yaml.safe_load((root / "helm/hodoscope/ci/full-values.yaml").read_text())
    base["detectors"] = {}
    base["capture"].update(windowSeconds=WINDOW, partSeconds=1, fraction=1)
    (work / "values.yaml").write_text(yaml.safe_dump(base))
    text = sh("helm", "template", "hodoscope", root / "helm/hodoscope", "--kube-version", "1.37.0", "--values", work / "values.yaml", *(f"--values={path}" for path in pins))
    return [o for o in yaml.safe_load_all(text) if o]


def container(objects, kind, name):
    [found] = [o for o in objects if o["kind"] == kind and o["metadata"]["name"] == name]
    spec = found["spec"].get("jobTemplate", found)["spec"]["template"]["spec"]
    return spec["containers"][0]


def environment(box, home):
    """The container's environment and nothing else, with this machine's places; `git` is found by PATH."""
    here = {
        "HODOSCOPE_HOME": home, "HODOSCOPE_STORE": store, "HODOSCOPE_CAPTURE_LOCATION": captured, "HODOSCOPE_CHANNEL_DIR": mount,
        "HODOSCOPE_DATA_ADDRESS": f"127.0.0.1:{data}", "HODOSCOPE_ADMIN_ADDRESS": f"127.0.0.1:{admin}", "HODOSCOPE_FORGE": f"git:{forge}",
        # Nobody listens there: training must not care.
        "MLFLOW_TRACKING_URI": "http://127.0.0.1:9", "HODOSCOPE_GITHUB_APP_KEY_FILE": work / "key.pem",
    }
    told = {e["name"]: here.get(e["name"], e.get("value", "of-a-secret")) for e in box["env"]}
    # Here a job that trains takes both cores, which in a cluster it would not: a request may wait for longer than a second.
    return {"PATH": os.environ["PATH"], **{name: str(value) for name, value in told.items()}, "HODOSCOPE_DEADLINE_MS": "30000"}


def deliver(objects):
    """What a kubelet does with the ConfigMap: a new folder, and one rename."""
    [channel] = [o for o in objects if o["kind"] == "ConfigMap" and "channel.json" in o["data"]]
    folder = mount / f"..{time.monotonic_ns()}"
    folder.mkdir(parents=True)
    (folder / "channel.json").write_text(channel["data"]["channel.json"])
    (mount / "..data_tmp").symlink_to(folder.name)
    (mount / "..data_tmp").rename(mount / "..data")
    if not (mount / "channel.json").is_symlink():
        (mount / "channel.json").symlink_to("..data/channel.json")


def serve(objects):
    box = container(objects, "Deployment", "hodoscope")
    log = open(work / "host.log", "w")
    return subprocess.Popen([executable, *box["args"]], env=environment(box, work / "pod"), stdout=log, stderr=log)


def drift(objects):
    """One run of the CronJob, in a fresh pod; its log, its last words if it failed."""
    box = container(objects, "CronJob", "hodoscope-drift")
    shutil.rmtree(work / "job", ignore_errors=True)
    done = subprocess.run([executable, *box["args"]], env=environment(box, work / "job"), capture_output=True, text=True, timeout=900)
    with open(work / "job.log", "a") as log:
        log.write(done.stdout + done.stderr)
    verdict = captured / "verdicts/v1/pump.json"
    word = json.loads(verdict.read_text())["verdict"] if verdict.exists() else None
    return (None if done.returncode == 0 else f"exit {done.returncode}: {done.stderr.strip()[-400:]}"), word


def after_sync(objects, seconds):
    box = container(objects, "Job", "hodoscope-postsync")
    here = {"--hosts": f"127.0.0.1:{admin}", "--min-hosts": "1", "--wait": str(seconds), "--channel-dir": str(mount)}
    arguments = [f"{flag}={here.get(flag, value)}" if value else flag for flag, _, value in (a.partition("=") for a in box["args"])]
    done = subprocess.run([executable, *arguments], env=environment(box, work / "hook"), capture_output=True, text=True)
    return None if done.returncode == 0 else done.stderr.strip()[-400:] or done.stdout.strip()[-400:]


def ask(path, body=None):
    request = urllib.request.Request(f"http://127.0.0.1:{data}{path}", data=body and json.dumps(body).encode(), headers={"content-type": "application/json"})
    return json.loads(urllib.request.urlopen(request, timeout=60).read() or b"{}")


def traffic(stop):
    global answered
    random.seed(3)
    while not stop.is_set():
        try:
            ask("/v1/detectors/pump/score", {"rows": [{f"f{i}": random.gauss(shift, 1 + shift / 3) for i in range(3)} for _ in range(50)]})
            answered += 1
        except Exception as error:  # whatever it was, a request has failed
            failures.append(error)
        stop.wait(0.05)


def until(what, seconds, condition, pause=0.3):
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        try:
            if found := condition():
                return found
        except OSError:
            pass
        time.sleep(pause)
    raise RuntimeError(f"{what}: not within {seconds} s")


def runs(objects, what, good):
    """Runs the job, as a fast schedule would, until it ends well and this holds of its verdict. A fault that the next run mends
    is none; two in a row are given back."""
    faults = []

    def once():
        fault, word = drift(objects)
        faults.append(fault) if fault else faults.clear()
        return len(faults) > 1 or not fault and good(word)

    until(what, 900, once, WINDOW / 2)
    return "; ".join(faults) or None


def judged(objects, word):
    return runs(objects, f"the verdict {word}", lambda said: said == word)


def windows_since(start):
    """Whether four whole windows began after this moment, and a fifth."""
    since = time.strftime("%Y%m%dT%H%M%SZ", time.gmtime(start))
    return lambda: sum(path.name > f"window={since}" for path in captured.glob("profiles/v1/detector=pump/*")) > 4


def pulls():
    return [line.strip() for line in sh("git", "-C", forge, "branch", "--list", "detector-bot/*").splitlines()]


def prepare():
    random.seed(1)
    table = work / "pump.csv"
    table.write_text("\n".join(["f0,f1,f2"] + [",".join(f"{random.gauss(0, 1):.5f}" for _ in range(3)) for _ in range(20000)]) + "\n")
    hodoscope("train", table, "--name", "pump", "--out", work / "pump.wasm")
    hodoscope("push", work / "pump.wasm", "--version", "1.0.0")
    sh("git", "init", "-q", "--bare", "-b", "main", forge)
    sh("git", "clone", "-q", forge, work / "tree")
    folder = work / f"tree/registry/channels/{CHANNEL}"
    shutil.copytree(root / f"registry/channels/{CHANNEL}", folder)
    hodoscope("--set", f"channel_dir={folder}", "promote", "pump@1.0.0")
    git("add", "registry"), git("commit", "-qm", "Promote pump 1.0.0"), git("push", "-q", "origin", "HEAD:main")


def loop():
    global shift
    objects = render()
    deliver(objects)
    host = serve(objects)
    stop = threading.Event()
    caller = threading.Thread(target=traffic, args=(stop,))
    try:
        until("the host", 180, lambda: ask("/v2/health/ready") is not None)
        tell("the host that the Deployment describes is ready", None)
        tell("the check after the first sync ends", after_sync(objects, 120))
        caller.start()
        tell("the CronJob's command calls the traffic stable", judged(objects, "stable"))
        tell("no drift, no pull request", ", ".join(pulls()) or None)
        shift = 1.5
        # Windows that lie across the change would train a release of neither world.
        until("windows of the new traffic", 900, windows_since(time.time()))
        tell("the CronJob's command sees the drift", judged(objects, "drifted"))
        fault = runs(objects, "a pull request", lambda _: pulls())
        tell("and a run opens the pull request", fault or pulls() != [f"detector-bot/{CHANNEL}/pump"] and f"{pulls()}")
        tell("another run does its work, too", runs(objects, "another run", lambda _: True))
        tell("and there is still one", None if len(pulls()) == 1 else f"{pulls()}")
        tell("what is served has not changed", None if ask("/v1/detectors/pump/score", {"rows": [{"f0": 0, "f1": 0, "f2": 0}]})["release"] == "pump@1.0.0" else "it did")
        hodoscope("--set", f"forge=git:{forge}", "forge", "merge", "pump")
        objects = render()
        deliver(objects)
        before = answered
        tell("the check after the sync ends when the merged release is live", after_sync(objects, 180))
        served = ask("/v1/detectors/pump/score", {"rows": [{"f0": 0, "f1": 0, "f2": 0}]})["release"]
        tell("the new release answers, without a restart", None if served != "pump@1.0.0" and host.poll() is None else served)
        tell("the drift is gone", judged(objects, "stable"))
        tell("no request failed", f"{len(failures)}: {failures[0]!r}" if failures else None)
        tell("and after the merge there were some", None if answered > before else "none was answered")
        shutil.move(forge, work / "gone.git")
        shift = 4.0
        try:
            until("the job that cannot propose", 900, lambda: drift(objects)[0], WINDOW / 2)
            tell("without its forge the job fails, and says so")
        finally:
            shutil.move(work / "gone.git", forge)
        tell("and no request failed of that, either", f"{failures[0]!r}" if failures else None)
    finally:
        stop.set()
        if caller.ident:
            caller.join()
        host.send_signal(signal.SIGTERM)
        try:
            tell("the host drains and ends", None if host.wait(timeout=120) == 0 else f"exit {host.returncode}")
        except subprocess.TimeoutExpired:
            host.kill()
            tell("the host drains and ends", "not within 120 s")


held = [socket.socket() for _ in range(2)]
for one in held:
    one.bind(("127.0.0.1", 0))
data, admin = (one.getsockname()[1] for one in held)
for one in held:
    one.close()
(work / "key.pem").write_text("of a Secret")
prepare()
loop()
