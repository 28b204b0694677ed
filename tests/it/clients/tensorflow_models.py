"""Runs staged models in TensorFlow.

    python tensorflow_models.py FOLDER

FOLDER has one folder for each model, with `saved_model/`, `frozen.pb` and `cases.json`: {case: {input: {dtype, shape, values}}}. The
last line printed is a JSON object {model: {case: {way: {output: {shape, values}}}}}, or in place of a way's outputs the error as a text.

Ways: `loaded` (tf.saved_model.load, narrow signature), `wide` (the other signature), `session` (TensorFlow 1's loader), `frozen`.
All models are loaded before the first one runs, because models in one process must not share variables.
"""

import json
import os
import sys
from pathlib import Path

os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"
os.environ["CUDA_VISIBLE_DEVICES"] = ""

import numpy as np
import tensorflow as tf

v1 = tf.compat.v1


def told(outputs):
    return {
        name: {"shape": list(value.shape), "values": np.asarray(value, np.float64).ravel().tolist()}
        for name, value in outputs.items()
    }


def narrow(inputs):
    return {name: value.astype(np.int32) if value.dtype == np.int64 else value for name, value in inputs.items()}


def loaded(model, signature, inputs):
    function = model.signatures[signature]
    return told({k: v.numpy() for k, v in function(**{k: tf.constant(v) for k, v in inputs.items()}).items()})


def in_session(session, signature, inputs):
    feeds = {signature.inputs[name].name: value for name, value in inputs.items()}
    return told(session.run({name: info.name for name, info in signature.outputs.items()}, feeds))


def of_saved_model(folder):
    model = tf.saved_model.load(str(folder))
    session = v1.Session(graph=tf.Graph())
    with session.graph.as_default():
        meta = v1.saved_model.loader.load(session, ["serve"], str(folder))
    ways = {
        "loaded": lambda inputs: loaded(model, "serving_default", narrow(inputs)),
        "session": lambda inputs: in_session(session, meta.signature_def["serving_default"], narrow(inputs)),
    }
    if "int64_serving" in model.signatures:
        ways["wide"] = lambda inputs: loaded(model, "int64_serving", inputs)
    return ways


def of_frozen(path, outputs):
    graph_def = v1.GraphDef.FromString(path.read_bytes())
    session = v1.Session(graph=tf.Graph())
    with session.graph.as_default():
        tf.import_graph_def(graph_def, name="")

    def run(inputs):
        feeds = {f"{name}:0": value for name, value in narrow(inputs).items()}
        return told(session.run({name: f"{name}:0" for name in outputs}, feeds))

    return {"frozen": run}


def attempt(make):
    try:
        return make()
    except Exception as error:  # Whatever it is, it is reported for this model and way.
        return f"{type(error).__name__}: {error}"[:2000]


def main():
    folder = Path(sys.argv[1])
    models = {}
    for model in sorted(path for path in folder.iterdir() if path.is_dir()):
        cases = json.loads((model / "cases.json").read_text())
        ways = {}
        for made in (
            attempt(lambda: of_saved_model(model / "saved_model")),
            attempt(lambda: of_frozen(model / "frozen.pb", cases["outputs"])),
        ):
            ways.update(made if isinstance(made, dict) else {made: None})
        models[model.name] = cases["cases"], ways
    report = {}
    for name, (cases, ways) in models.items():
        for case, inputs in cases.items():
            fed = {k: np.array(v["values"]).astype(v["dtype"]).reshape(v["shape"]) for k, v in inputs.items()}
            for way, run in ways.items():
                result = attempt(lambda: run(fed)) if run else way
                report.setdefault(name, {}).setdefault(case, {})[way if run else "load"] = result
    print(json.dumps(report))


main()
