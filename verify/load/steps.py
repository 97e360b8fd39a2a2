"""Load in steps: doubles the rate of requests until the host no longer keeps up, then offers twice that, then asks whether
it has recovered. One host process for all steps; vegeta shares the machine with it."""

import json
import os
import pathlib
import socket
import subprocess
import sys
import time
import urllib.request

BIN, VEGETA, OUT = sys.argv[1], sys.argv[2], pathlib.Path(sys.argv[3])
SECONDS = 5
FIRST_RATE = 500
# A host that answers so late no longer keeps up: requests wait in its sockets.
LATE_MS = 50
DETECTORS = 50
NORMAL = {"ambient_c": 18, "rpm": 2060, "flow_m3_h": 113.7, "discharge_bar": 3.62, "motor_a": 35.4, "bearing_c": 53,
          "vibration_mm_s": 1.53, "oil_bar": 2.96}


def run(*line):
    subprocess.run([BIN, *line], cwd=OUT, check=True, stdout=subprocess.DEVNULL)


def port():
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return free.getsockname()[1]


def attack(url, body, rate, seconds=SECONDS):
    """What vegeta reports of a steady rate."""
    target = f"POST {url}\nContent-Type: application/json\n@{body}\n"
    shot = subprocess.run([VEGETA, "attack", f"-rate={rate}", f"-duration={seconds}s", "-connections=256", "-max-connections=256",
                           "-max-workers=256", "-timeout=10s"], input=target.encode(), capture_output=True, check=True)
    report = subprocess.run([VEGETA, "report", "-type=json"], input=shot.stdout, capture_output=True, check=True)
    return json.loads(report.stdout)


class Process:
    def __init__(self, pid):
        self.pid = pid

    def cpu(self):
        fields = open(f"/proc/{self.pid}/stat").read().rsplit(")", 1)[1].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def resident_mib(self):
        lines = open(f"/proc/{self.pid}/status").read().splitlines()
        return next(int(line.split()[1]) for line in lines if line.startswith("VmRSS")) / 1024


def wait(admin):
    for _ in range(200):
        try:
            urllib.request.urlopen(f"http://127.0.0.1:{admin}/v2/health/ready", timeout=1)
            return
        except OSError:
            time.sleep(0.05)
    sys.exit("the host is not ready after 10 s; see target/load/host.log")


def check(sentence, holds, detail=""):
    print(f"{'ok   ' if holds else 'FAIL '} {sentence}{'' if holds else ': ' + str(detail)}", flush=True)


def steps(url, rows, host):
    body = OUT / f"{rows}.json"
    body.write_text(json.dumps({"rows": [NORMAL] * rows}))
    attack(url, body, FIRST_RATE, 2)
    rate, kept = FIRST_RATE, 0
    print(f"\n{rows} row{'s' if rows > 1 else ''} of 8 features, JSON\n"
          "  offered/s  answered/s    p50 ms    p99 ms  CPU µs/request  resident MiB", flush=True)
    while True:
        before = host.cpu()
        report = attack(url, body, rate)
        spent = (host.cpu() - before) / max(report["requests"], 1) * 1e6
        p50, p99 = (report["latencies"][q] / 1e6 for q in ("50th", "99th"))
        print(f"  {rate:>9}  {report['throughput']:>10.0f}  {p50:>8.2f}  {p99:>8.2f}  {spent:>14.1f}  "
              f"{host.resident_mib():>12.0f}", flush=True)
        behind = p99 > LATE_MS or report["throughput"] < 0.97 * rate
        if not behind:
            check(f"{rate}/s with {rows} rows: every request is answered 200", report["success"] == 1.0, report["status_codes"])
            kept = rate
            rate *= 2
            continue
        # Asked for twice what it can, it may be late or say so, but not break.
        codes = set(attack(url, body, max(kept, FIRST_RATE) * 4)["status_codes"])
        check(f"overload with {rows} rows: late or refused, never broken", codes <= {"0", "200", "429", "503"}, codes)
        calm = attack(url, body, max(kept // 4, 50))
        check(f"after overload with {rows} rows: all answered again",
              calm["success"] == 1.0 and calm["latencies"]["99th"] < LATE_MS * 1e6, calm["status_codes"])
        return kept


def main():
    data, admin = port(), port()
    run("simulate", "--generate", "20000", "--out", "pumps.csv")
    run("train", "pumps.csv", "--name", "pump", "--label", "label", "--out", "pump.wasm")
    run("push", "pump.wasm", "--version", "1.0.0")
    run("promote", "pump@1.0.0")
    log = open(OUT / "host.log", "wb")
    served = subprocess.Popen([BIN, "serve", "--data-address", f"127.0.0.1:{data}", "--admin-address",
                               f"127.0.0.1:{admin}"], cwd=OUT, stdout=log, stderr=log)
    try:
        wait(admin)
        host = Process(served.pid)
        url = f"http://127.0.0.1:{data}/v1/detectors/pump/score"
        one = steps(url, 1, host)
        many = steps(url, 100, host)
        alone = host.resident_mib()
        for number in range(DETECTORS):
            name = f"pump-{number}"
            run("train", "pumps.csv", "--name", name, "--label", "label", "--seed", str(number + 1), "--out", "next.wasm")
            run("push", "next.wasm", "--version", "1.0.0")
            run("promote", f"{name}@1.0.0")
        run("status", "--wait", "60", "--url", f"http://127.0.0.1:{admin}")
        each = (host.resident_mib() - alone) / DETECTORS
        cores = os.cpu_count()
        print(f"\nkept up with {one} requests/s of one row and {many}/s of a hundred on {cores} cores that vegeta shares; "
              f"{each:.2f} MiB for each further detector", flush=True)
        check("the host kept up with the first rate", one > 0 and many > 0, (one, many))
    finally:
        served.terminate()
        served.wait(timeout=30)
    check("the host drained and ended", served.returncode == 0, served.returncode)


main()
