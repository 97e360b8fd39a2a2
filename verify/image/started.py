"""started.py <executable> <port> <arguments…>: starts it five times and prints the milliseconds, in the middle, from exec to the
first answer of its readiness on that port, and its resident memory then."""

import http.client
import statistics
import subprocess
import sys
import time

port = int(sys.argv[2])


def ready():
    try:
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
        connection.request("GET", "/v2/health/ready")
        return connection.getresponse().status == 200
    except OSError:
        return False


took, resident = [], []
for _ in range(5):
    start = time.perf_counter()
    process = subprocess.Popen([sys.argv[1], *sys.argv[3:]], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    while not ready():
        if process.poll() is not None or time.perf_counter() - start > 60:
            sys.exit("it did not become ready")
        time.sleep(0.0005)
    took.append((time.perf_counter() - start) * 1000)
    status = open(f"/proc/{process.pid}/status").read()
    resident.append(int(status.split("VmRSS:")[1].split()[0]) / 1024)
    process.terminate()
    process.wait()
print(f"ready {statistics.median(took):.0f} ms after exec, {statistics.median(resident):.0f} MiB resident")
