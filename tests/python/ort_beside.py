#!/usr/bin/env python3
"""What ONNX Runtime makes of one network's graphs, whoever exported them: all in one process, in turns.

    python ort_beside.py zoo=resnet50.onnx dynamo=dynamo/resnet50.onnx

Prints one line of JSON: for each graph its nodes before and after the Runtime's own optimisation (at the level that runs by default),
the milliseconds that each session took to come into being, and those of each run on one thread: by the clock, and of the processor,
which other work on the machine does not lengthen. All get the same input, and their outputs are compared with the first one's:
graphs that compute something else are not worth comparing, so that is an error.
"""

from __future__ import annotations

import argparse
import json
import random
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import onnx
import onnxruntime as ort

SHAPE = (1, 3, 224, 224)
WARM_UP = 2
# Of the spread of the first one's outputs. Rounding gives a thousandth of it at most.
APART = 0.01


def options() -> ort.SessionOptions:
    chosen = ort.SessionOptions()
    chosen.intra_op_num_threads = chosen.inter_op_num_threads = 1
    chosen.log_severity_level = 3
    return chosen


def open_session(path: Path, chosen: ort.SessionOptions) -> ort.InferenceSession:
    return ort.InferenceSession(path, chosen, providers=["CPUExecutionProvider"])


def nodes(path: Path) -> int:
    return len(onnx.load(path, load_external_data=False).graph.node)


def optimised_nodes(path: Path) -> int:
    with tempfile.TemporaryDirectory(dir=path.parent) as folder:
        chosen = options()
        chosen.optimized_model_filepath = str(Path(folder) / "optimised.onnx")
        # Weights apart, since a model in one file may have two gigabytes at most.
        chosen.add_session_config_entry("session.optimized_model_external_initializers_file_name", "optimised.data")
        open_session(path, chosen)
        return nodes(Path(chosen.optimized_model_filepath))


def feed_of(session: ort.InferenceSession, tokens: int | None) -> dict[str, np.ndarray]:
    """A picture for the one input, or one text of so many tokens without padding."""
    if tokens is None:
        picture = np.random.default_rng(0).standard_normal(SHAPE).astype(np.float32)
        return {session.get_inputs()[0].name: picture}
    shape = (1, tokens)
    texts = {
        "input_ids": np.random.default_rng(0).integers(1000, 20000, shape),
        "attention_mask": np.ones(shape, np.int64),
        "token_type_ids": np.zeros(shape, np.int64),
    }
    return {port.name: texts[port.name] for port in session.get_inputs()}


def measure(models: dict[str, Path], sessions: int, runs: int, tokens: int | None = None) -> dict[str, dict]:
    made = {
        name: {"nodes": nodes(path), "optimised": optimised_nodes(path), "session": [], "wall": [], "cpu": []}
        for name, path in models.items()
    }
    opened: dict[str, ort.InferenceSession] = {}
    names = list(models)
    for _ in range(sessions):
        for name in random.sample(names, len(names)):
            opened.pop(name, None)
            began = time.perf_counter()
            opened[name] = open_session(models[name], options())
            made[name]["session"].append((time.perf_counter() - began) * 1e3)
    outputs = {}
    for run in range(WARM_UP + runs):
        for name in random.sample(names, len(names)):
            session = opened[name]
            feed, first_output = feed_of(session, tokens), session.get_outputs()[0].name
            wall, cpu = time.perf_counter(), time.thread_time()
            (outputs[name],) = session.run([first_output], feed)
            cpu, wall = time.thread_time() - cpu, time.perf_counter() - wall
            if run >= WARM_UP:
                made[name]["wall"].append(wall * 1e3)
                made[name]["cpu"].append(cpu * 1e3)
    first = outputs[names[0]]
    for name, output in outputs.items():
        apart = float(np.abs(output - first).max() / first.std())
        if not apart < APART:
            sys.exit(f"{name} computes something else than {names[0]}: the outputs are {apart:.3g} of their spread apart")
        made[name]["apart"] = apart
    return made


def named(text: str) -> tuple[str, Path]:
    name, _, path = text.partition("=")
    return name, Path(path)


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", 1)[0])
    parser.add_argument("models", nargs="+", type=named, metavar="NAME=FILE")
    parser.add_argument("--sessions", type=int, default=5, help="of each graph")
    parser.add_argument("--runs", type=int, default=20, help="of each graph")
    parser.add_argument("--tokens", type=int, help="feed a text of so many tokens instead of a picture")
    args = parser.parse_args()
    print(json.dumps(measure(dict(args.models), args.sessions, args.runs, args.tokens)))


if __name__ == "__main__":
    main()
