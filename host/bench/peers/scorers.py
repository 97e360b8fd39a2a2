"""The Python peers behind one line protocol: a JSON question per line in, a JSON answer per line out.

The bench keeps one such process, pinned to one core, and asks it in turn with its own measurement, so that a slow
minute of the machine hits both. Time is taken here, around the peer's own call: no process start, no parsing.
"""

import json
import pathlib
import pickle
import sys
import time

import numpy
import onnxruntime
import tl2cgen
from sklearn.ensemble import IsolationForest


class Scorers:
    """Loads each set once and times one call of a peer."""

    def __init__(self, folder):
        self.folder = pathlib.Path(folder)
        self.shapes = {note["name"]: note for note in json.loads((self.folder / "sets.json").read_text())}
        self.loaded = {}
        self.calls = {}

    def rows(self, name):
        if name not in self.loaded:
            shape = self.shapes[name]
            self.loaded[name] = numpy.fromfile(self.folder / f"{name}.f32", "<f4").reshape(shape["rows"], shape["columns"])
        return self.loaded[name]

    def call(self, peer, name, count):
        """A function without arguments that scores the first `count` rows (0: all); what it needs is made before."""
        key = (peer, name, count)
        if key in self.calls:
            return self.calls[key]
        rows = numpy.ascontiguousarray(self.rows(name)[: count or None])
        if peer == "sklearn":
            forest = pickle.loads((self.folder / f"{name}.pickle").read_bytes())
            made = lambda: -forest.score_samples(rows)
        elif peer == "tl2cgen":
            predictor = tl2cgen.Predictor(str(self.folder / f"{name}.so"), nthread=1)
            matrix = tl2cgen.DMatrix(rows)
            made = lambda: predictor.predict(matrix)
        elif peer in ("onnx", "onnx-fused"):
            options = onnxruntime.SessionOptions()
            options.intra_op_num_threads = options.inter_op_num_threads = 1
            file = f"{name}.onnx" if peer == "onnx-fused" else f"{name}.skl2onnx.onnx"
            session = onnxruntime.InferenceSession(str(self.folder / file), options, providers=["CPUExecutionProvider"])
            inputs = {session.get_inputs()[0].name: rows}
            outputs = [session.get_outputs()[-1].name]
            made = lambda: session.run(outputs, inputs)[0]
        else:
            raise ValueError(f"unknown peer {peer}")
        self.calls[key] = made
        return made

    def score(self, peer, set, rows=0, repeat=1):
        call = self.call(peer, set, rows)
        start = time.perf_counter()
        for _ in range(repeat):
            call()
        return {"seconds": (time.perf_counter() - start) / repeat}

    def differ(self, peer, set):
        """The greatest difference of a peer's scores from scikit-learn's, over the whole file."""
        expected = numpy.fromfile(self.folder / f"{set}.scores", "<f8")
        scores = numpy.asarray(self.call(peer, set, 0)(), numpy.float64).reshape(-1)
        if peer == "onnx":  # skl2onnx answers decision_function = score_samples - offset, offset = -0.5
            scores = 0.5 - scores
        return {"difference": float(numpy.abs(scores - expected).max())}

    def fit(self, set, contamination="auto", seed=0):
        rows = self.rows(set)
        forest = IsolationForest(n_estimators=100, max_samples=256, random_state=seed, contamination=contamination)
        start = time.perf_counter()
        forest.fit(rows)
        return {"seconds": time.perf_counter() - start}

    def batch(self, set, input, output, jobs):
        """Parquet to Parquet with pyarrow and scikit-learn, group by group, as a careful user would write it."""
        import pyarrow
        import pyarrow.parquet

        forest = pickle.loads((self.folder / f"{set}.pickle").read_bytes()).set_params(n_jobs=jobs)
        start = time.perf_counter()
        source = pyarrow.parquet.ParquetFile(input)
        schema = pyarrow.schema([("score", pyarrow.float64())])
        with pyarrow.parquet.ParquetWriter(output, schema) as target:
            for part in source.iter_batches(batch_size=1 << 18):
                rows = numpy.column_stack([column.to_numpy() for column in part.columns]).astype(numpy.float32)
                target.write_table(pyarrow.table({"score": -forest.score_samples(rows)}, schema))
        return {"seconds": time.perf_counter() - start}

    def forget(self):
        """Frees rows and prepared calls."""
        self.loaded.clear()
        self.calls.clear()
        return {"forgotten": 1}


def main():
    scorers = Scorers(sys.argv[1])
    for line in sys.stdin:
        question = json.loads(line)
        verb = question.pop("verb")
        try:
            answer = getattr(scorers, verb)(**question)
        except Exception as error:  # told to the bench, which marks the row
            answer = {"error": f"{type(error).__name__}: {error}"}
        print(json.dumps(answer), flush=True)


if __name__ == "__main__":
    main()
