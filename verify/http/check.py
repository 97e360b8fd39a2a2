"""The checks of the group `http`: see `run`. Ends with `N passed, N failed`."""

import argparse
import json
import os
import pathlib
import re
import signal
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request

import numpy
import tritonclient.http as triton
from tritonclient.utils import InferenceServerException

PASSED, FAILED = [], []


def check(what):
    """Runs a function as one check, at once."""

    def run(function):
        try:
            function()
        except Exception as error:  # a check may fail in any way; the others still run
            FAILED.append(what)
            print(f"FAIL {what}\n     {type(error).__name__}: {error}", flush=True)
        else:
            PASSED.append(what)
            print(f"ok   {what}", flush=True)

    return run


def fetch(url, **headers):
    with urllib.request.urlopen(urllib.request.Request(url, headers=headers), timeout=60) as answer:
        return answer.read()


def wait_until_ready(address, patience=60):
    end = time.monotonic() + patience
    while True:
        try:
            return fetch(f"http://{address}/v2/health/ready")
        except (urllib.error.URLError, ConnectionError):
            if time.monotonic() > end:
                raise
            time.sleep(0.1)


def fuzz(options, address, *more):
    """Runs schemathesis on one port, once with any names and once with names that exist."""
    document = json.loads(fetch(f"http://{address}/openapi.json"))
    for item in document["paths"].values():
        for operation in item.values():
            for parameter in operation.get("parameters", []):
                if parameter["name"] == "name":
                    parameter["schema"]["enum"] = ["pump", "zscore"]
                if parameter["name"] == "version":
                    parameter["schema"]["enum"] = ["1.0.0", "0.1.0"]
    with tempfile.NamedTemporaryFile("w", suffix=".json") as known:
        json.dump(document, known)
        known.flush()
        for schema in [f"http://{address}/openapi.json", known.name]:
            generate(options, address, schema, *more)


def generate(options, address, schema, *more):
    command = [
        options.schemathesis, "run", schema, "--url", f"http://{address}",
        "--checks", "not_a_server_error,status_code_conformance,content_type_conformance,response_schema_conformance",
        "--phases", "examples,coverage,fuzzing", "--max-examples", "40", "--seed", "7", "--request-timeout", "60",
        "--suppress-health-check", "all", "--no-color", *more,
    ]  # fmt: skip
    with tempfile.TemporaryDirectory() as scratch:  # it leaves its caches where it runs
        done = subprocess.run(command, capture_output=True, text=True, timeout=1800, cwd=scratch)
    if done.returncode != 0:
        raise AssertionError("schemathesis found:\n" + (done.stdout + done.stderr)[-6000:])
    cases = re.search(r"(\d+) generated", done.stdout)
    assert cases and int(cases.group(1)) > 100, "schemathesis generated too little:\n" + done.stdout[-2000:]
    print(f"     {cases.group(1)} cases on {schema.rsplit('/')[-1]}", flush=True)


def main():
    parser = argparse.ArgumentParser()
    for name in ["data", "admin", "token", "schemathesis", "host-pid", "log"]:
        parser.add_argument(f"--{name}", required=True)
    options = parser.parse_args()
    wait_until_ready(options.data)
    token = pathlib.Path(options.token).read_text().strip()
    operator = {"Authorization": f"Bearer {token}"}
    client = triton.InferenceServerClient(options.data)
    admin = triton.InferenceServerClient(options.admin)

    @check("Triton's client: live, ready, server metadata")
    def _():
        assert client.is_server_live() and client.is_server_ready()
        assert "binary_tensor_data" in client.get_server_metadata()["extensions"]

    for name in ["pump", "zscore"]:
        model = client.get_model_metadata(name)
        width = model["inputs"][0]["shape"][1]
        rows = numpy.random.default_rng(1).normal(size=(50, width))
        scores = {}

        @check(f"Triton's client: {name} is ready, also by version")
        def _():
            assert client.is_model_ready(name) and client.is_model_ready(name, model["versions"][0])
            assert not client.is_model_ready(name, "9.9.9") and not client.is_model_ready("nobody")

        for datatype, kind in [("FP64", numpy.float64), ("FP32", numpy.float32), ("INT64", numpy.int64), ("UINT8", numpy.uint8)]:
            for binary_in in [True, False]:
                for binary_out in [True, False]:

                    @check(f"Triton's client: {name} infers {datatype}, in {binary_in}, out {binary_out}")
                    def _():
                        values = numpy.abs(rows * 10).astype(kind)
                        tensor = triton.InferInput("rows", list(values.shape), datatype)
                        tensor.set_data_from_numpy(values, binary_data=binary_in)
                        asked = [triton.InferRequestedOutput(o, binary_data=binary_out) for o in ["score", "score_samples"]]
                        answer = client.infer(name, [tensor], outputs=asked, request_id="one")
                        assert answer.get_response()["id"] == "one"
                        found = answer.as_numpy("score")
                        assert found.shape == (50,) and ((found >= 0) & (found <= 1)).all()
                        assert (answer.as_numpy("score_samples") == -found).all()
                        first = scores.setdefault(datatype, found)
                        assert (first == found).all(), "JSON and binary differ"

        @check(f"Triton's client: {name} refuses another width with a text")
        def _():
            tensor = triton.InferInput("rows", [1, width + 1], "FP64")
            tensor.set_data_from_numpy(numpy.zeros((1, width + 1)))
            try:
                client.infer(name, [tensor])
            except InferenceServerException as error:
                assert f"takes {width}" in error.message(), error.message()
            else:
                raise AssertionError("it was answered")

    @check("Triton's client: the repository index names both")
    def _():
        index = client.get_model_repository_index()
        assert {line["name"]: line["state"] for line in index} == {"pump": "READY", "zscore": "READY"}, index

    @check("Triton's client: unload and load need the token, and act with it")
    def _():
        try:
            admin.unload_model("zscore")
        except InferenceServerException as error:
            assert "token" in error.message(), error.message()
        else:
            raise AssertionError("unloaded without a token")
        admin.unload_model("zscore", headers=operator)
        assert not client.is_model_ready("zscore")
        body = json.dumps({"parameters": {"version": "0.1.0"}}).encode()
        request = urllib.request.Request(f"http://{options.admin}/v2/repository/models/zscore/load", data=body, headers=operator, method="POST")
        urllib.request.urlopen(request, timeout=60).read()
        assert client.is_model_ready("zscore")
        admin.load_model("pump", headers=operator)
        assert client.is_model_ready("pump")

    @check("schemathesis: the data port answers as described, and never with a 5xx")
    def _():
        fuzz(options, options.data)

    @check("schemathesis: the admin port without a token")
    def _():
        fuzz(options, options.admin)

    @check("schemathesis: the admin port with the token")
    def _():
        fuzz(options, options.admin, "--header", f"Authorization: Bearer {token}", "--exclude-path-regex", "unload$")

    @check("the host still answers after all that, and its log has no panic")
    def _():
        assert client.is_model_ready("pump")
        assert "panicked" not in pathlib.Path(options.log).read_text()

    @check("the token is not in the log")
    def _():
        assert token not in pathlib.Path(options.log).read_text()

    @check("SIGTERM ends the host with exit code 0")
    def _():
        pid = int(options.host_pid)
        os.kill(pid, signal.SIGTERM)
        end = time.monotonic() + 120
        while pathlib.Path(f"/proc/{pid}/stat").exists() and pathlib.Path(f"/proc/{pid}/stat").read_text().split()[2] != "Z":
            if time.monotonic() > end:
                os.kill(pid, signal.SIGKILL)
                raise AssertionError("still there after 120 s")
            time.sleep(0.05)
        assert "drained" in pathlib.Path(options.log).read_text()

    print(f"{len(PASSED)} passed, {len(FAILED)} failed")
    return 1 if FAILED else 0


if __name__ == "__main__":
    sys.exit(main())
