"""The HTTP peer: FastAPI, uvicorn and scikit-learn, in the shape in which such services are commonly written.

Usage: service.py FOLDER SET PORT. One worker process; `POST /score` with `{"rows": [[...], ...]}`.
"""

import pathlib
import pickle
import sys

import numpy
import uvicorn
from fastapi import FastAPI
from pydantic import BaseModel

folder, name, port = pathlib.Path(sys.argv[1]), sys.argv[2], int(sys.argv[3])
forest = pickle.loads((folder / f"{name}.pickle").read_bytes())
app = FastAPI()


class Rows(BaseModel):
    """A batch of rows, each as wide as the forest."""

    rows: list[list[float]]


@app.post("/score")
def score(body: Rows):
    """Scores each row; higher is more anomalous."""
    scores = -forest.score_samples(numpy.asarray(body.rows, numpy.float32))
    return {"scores": scores.tolist()}


@app.get("/ready")
def ready():
    """Answers once the forest is loaded."""
    return {"ready": True}


uvicorn.run(app, host="127.0.0.1", port=port, log_level="warning", access_log=False)
