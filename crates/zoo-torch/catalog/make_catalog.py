#!/usr/bin/env python3
"""Writes the compiled-in catalogue of the torchvision zoo, `torchvision.json`, from an installed torchvision.

    python make_catalog.py            # rewrites torchvision.json beside this script
    python make_catalog.py --check    # makes it again and compares; needs the torchvision that the file names
    python make_catalog.py -o FILE    # for ZOO_TORCHVISION_CATALOG: another torchvision, without rebuilding zoo

Everything comes from torchvision's own registry: builders, weight enumerations with their metadata, the presets that prepare
pictures, and what the legacy `pretrained=True` means (read from the decorator that still implements it). Nothing is
downloaded, and no model is built.

One model is a few lines: its own and one for each of its weights, so that a difference between two versions reads as one. Sets
of labels that several weights share stand once, at the end.
"""

from __future__ import annotations

import argparse
import functools
import inspect
import json
import math
import re
import sys
import textwrap
from pathlib import Path
from urllib.parse import urlsplit

import torchvision
from torchvision.models import get_model_builder, get_model_weights, list_models
from torchvision.models._api import WeightsEnum
from torchvision.transforms import _presets

HERE = Path(__file__).parent
SCHEMA = 1
HOST = "download.pytorch.org"

# As `torch.hub` finds the digest in a name: what the pattern does not find, torchvision does not check either.
HASH = re.compile(r"-([a-f0-9]*)\.")

# Sets of labels by how torchvision itself calls them; a set that is none of these stops the script.
LABELS = {
    "imagenet1k": "_IMAGENET_CATEGORIES",
    "coco": "_COCO_CATEGORIES",
    "coco_person": "_COCO_PERSON_CATEGORIES",
    "coco_keypoints": "_COCO_PERSON_KEYPOINT_NAMES",
    "voc": "_VOC_CATEGORIES",
    "kinetics400": "_KINETICS400_CATEGORIES",
}

TASKS = {
    "torchvision.models": "classification",
    "torchvision.models.detection": "detection",
    "torchvision.models.optical_flow": "optical_flow",
    "torchvision.models.quantization": "classification",
    "torchvision.models.segmentation": "segmentation",
    "torchvision.models.video": "video",
}


def stop(reason: str) -> None:
    sys.exit(f"torchvision {torchvision.__version__}: {reason}")


def label_sets() -> dict[str, list[str]]:
    from torchvision.models import _meta

    return {name: list(getattr(_meta, constant)) for name, constant in LABELS.items()}


def named_set(names, sets: dict[str, list[str]], of: str) -> str | None:
    if names is None:
        return None
    found = [name for name, known in sets.items() if known == list(names)]
    if len(found) != 1:
        stop(f"{of} has labels that are none of {', '.join(sets)}")
    return found[0]


def public_module(builder) -> str:
    """`torchvision.models.resnet` is an implementation detail; `torchvision.models` is where people import from."""
    parts = builder.__module__.split(".")
    module = ".".join(parts[: 3 if ".".join(parts[:3]) in TASKS else 2])
    if getattr(sys.modules[module], builder.__name__, None) is not builder:
        stop(f"{builder.__name__} is not public in {module}")
    return module


def legacy(builder, enum) -> str | None:
    """What `pretrained=True` means to a builder, where it means one thing. None: it has no meaning, or it depends on another
    argument (the quantized builders ask for `quantize`)."""
    function = builder
    while function is not None:
        cells = inspect.getclosurevars(function).nonlocals if inspect.isfunction(function) else {}
        # `kwonly_to_pos_or_kw` around `handle_legacy_interface` around the builder, each holding the next in a closure.
        rules = cells.get("weights")
        if isinstance(rules, dict) and "weights" in rules:
            parameter, default = rules["weights"]
            if not callable(default):
                means = [default]
            else:
                means = [default({parameter: True, "quantize": quantize}) for quantize in (False, True)]
            if means[0] is None or any(one is not means[0] for one in means):
                return None
            if not isinstance(means[0], enum):
                stop(f"{builder.__name__}(pretrained=True) means {means[0]!r}")
            return means[0].name
        function = cells.get("fn")
    return None


def transform(preset, of: str) -> dict:
    """The parameters of a preset, defaults included, in the words of the presets themselves."""
    make = preset.func if isinstance(preset, functools.partial) else preset
    made = preset()
    name = make.__name__
    if getattr(_presets, name, None) is not make:
        stop(f"{of} is prepared by {name}, which is none of torchvision's presets")
    if name == "ObjectDetection":
        return {"preset": name}
    if name == "OpticalFlow":
        # Its numbers are constants in its code; a change of them has to be seen here.
        if inspect.getsource(make).count("mean=[0.5, 0.5, 0.5], std=[0.5, 0.5, 0.5]") != 2:
            stop("OpticalFlow no longer maps to [-1, 1]")
        return {"preset": name, "mean": [0.5] * 3, "std": [0.5] * 3}
    fields = {"preset": name, "resize": made.resize_size}
    if name != "SemanticSegmentation":
        fields["crop"] = made.crop_size
    if name == "VideoClassification":
        if "antialias=False" not in inspect.getsource(make.forward):
            stop("VideoClassification no longer resizes without antialiasing")
        antialias = False
    else:
        antialias = made.antialias
    if made.interpolation.value not in ("bilinear", "bicubic"):
        stop(f"{of} is resized by {made.interpolation.value}")
    if not isinstance(antialias, bool):
        stop(f"{of} does not say whether it is antialiased")
    return fields | {
        "interpolation": made.interpolation.value,
        "antialias": antialias,
        "mean": made.mean,
        "std": made.std,
    }


def metrics(meta: dict) -> dict:
    """Without numbers that are none: VGG16's features are not measured."""
    sets = {
        data: {name: value for name, value in values.items() if math.isfinite(value)}
        for data, values in meta["_metrics"].items()
    }
    return {data: values for data, values in sets.items() if values}


def weights_entry(weights: WeightsEnum, sets: dict[str, list[str]]) -> dict:
    meta, of = weights.meta, f"{type(weights).__name__}.{weights.name}"
    url = urlsplit(weights.url)
    if (url.scheme, url.netloc, url.query) != ("https", HOST, ""):
        stop(f"{of} is at {weights.url}")
    path = url.path.removeprefix("/")
    digest = HASH.search(path.rsplit("/", 1)[-1])
    known = {
        "_docs", "_file_size", "_metrics", "_ops", "backend", "categories", "keypoint_names", "license",
        "min_size", "min_temporal_size", "num_params", "recipe", "unquantized",
    }  # fmt: skip
    if unknown := set(meta) - known:
        stop(f"{of} has metadata that this script does not know: {', '.join(sorted(unknown))}")
    entry = {
        "weights": weights.name,
        "path": path,
        "sha256": digest.group(1) if digest and digest.group(1) else None,
        "mib": meta["_file_size"],
        "parameters": meta["num_params"],
        "min_size": list(meta["min_size"]),
        "min_frames": meta.get("min_temporal_size"),
        "labels": named_set(meta.get("categories"), sets, of),
        "keypoints": named_set(meta.get("keypoint_names"), sets, of),
        "licence": meta.get("license"),
        "quantized_for": meta.get("backend"),
        "metrics": metrics(meta),
        "recipe": meta["recipe"],
        "transform": transform(weights.transforms, of),
    }
    return {key: value for key, value in entry.items() if value is not None}


def model_entry(name: str, sets: dict[str, list[str]]) -> tuple[dict, list[dict]]:
    builder, enum = get_model_builder(name), get_model_weights(name)
    module = public_module(builder)
    members = list(enum)
    if not members:
        stop(f"{name} has no weights")
    if aliases := set(enum.__members__) - {member.name for member in members} - {"DEFAULT"}:
        stop(f"{enum.__name__} has several names for one thing: {', '.join(sorted(aliases))}")
    entry = {
        "model": name,
        "task": TASKS[module],
        "builder": f"{module}.{builder.__name__}",
        "enum": enum.__name__,
        "default": enum.DEFAULT.name,
        "pretrained": legacy(builder, enum),
    }
    return entry, [weights_entry(weights, sets) for weights in members]


def line(value: dict) -> str:
    return json.dumps(value, ensure_ascii=False, allow_nan=False)


def catalogue() -> str:
    sets = label_sets()
    models = []
    for name in sorted(list_models()):
        entry, members = model_entry(name, sets)
        rows = ",\n".join(f"  {line(member)}" for member in members)
        models.append(f"{line(entry)[:-1]}, \"weights\": [\n{rows}\n]}}")
    labels = []
    for name, names in sets.items():
        text = json.dumps(names, ensure_ascii=False)[1:-1]
        # Wrapped between names only: a space within one is made unbreakable for the moment.
        bare = text.replace("\", \"", "\"\v\"").replace(" ", "\0").replace("\v", ", ")
        wrapped = "\n".join(textwrap.wrap(bare, 118, break_long_words=False, break_on_hyphens=False))
        labels.append(f"{json.dumps(name)}: [\n{wrapped.replace(chr(0), ' ')}\n]")
    version = torchvision.__version__.split("+")[0]
    head = f'"schema": {SCHEMA},\n"source": "torchvision {version}",\n'
    text = "{\n" + head + '"models": [\n' + ",\n".join(models) + '\n],\n"labels": {\n' + ",\n".join(labels) + "\n}\n}\n"
    again = json.loads(text)
    assert again["labels"] == sets and len(again["models"]) == len(models), "what was written reads differently"
    return text


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--check", action="store_true", help="compare with the file that is there")
    parser.add_argument("-o", "--out", type=Path, default=HERE / "torchvision.json")
    arguments = parser.parse_args()
    text = catalogue()
    if arguments.check:
        if arguments.out.read_text(encoding="utf-8") != text:
            stop(f"{arguments.out} is not what this torchvision says")
        print(f"{arguments.out} is what torchvision {torchvision.__version__} says")
        return
    arguments.out.write_text(text, encoding="utf-8")
    made = json.loads(text)
    count = sum(len(model["weights"]) for model in made["models"])
    print(f"{len(made['models'])} models, {count} weights, {len(text)} bytes")


if __name__ == "__main__":
    main()
