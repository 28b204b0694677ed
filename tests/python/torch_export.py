#!/usr/bin/env python3
"""torch's own way from a checkpoint to ONNX, as a user's script goes it; `cargo xtask bench stage` measures the whole process.

    python torch_export.py make resnet50 --out resnet50.pth
    python torch_export.py export resnet50 --weights resnet50.pth --exporter dynamo --out resnet50.onnx

`make` writes the checkpoint: torchvision's own initialisation from a fixed seed, conditioned to behave like a trained network (see
torch_reference.py), so that no activation is a number too small to be computed at full speed. `export` builds the network, loads the
checkpoint and exports it for pictures of 224 by 224 with an open batch. It prints nothing; what fails ends it with one line.
"""

from __future__ import annotations

import argparse
import sys
import warnings
from pathlib import Path

# What zoo writes, so that the Runtime optimises the same operators.
OPSET = 18
SHAPE = (3, 224, 224)
# torch.export takes a size of 1 for a constant in some networks, and refuses to leave that dimension open.
BATCH = 2


def make(args: argparse.Namespace) -> None:
    import torch
    from torch_reference import build, condition, formula

    model = build(args.builder)
    condition(model, torch.from_numpy(formula.picture("input:three", (3, *SHAPE))))
    torch.save(model.state_dict(), args.out)


def export(args: argparse.Namespace) -> None:
    import torch
    import torchvision

    model = torchvision.models.get_model(args.builder, weights=None)
    model.load_state_dict(torch.load(args.weights, weights_only=True))
    model.eval()
    dynamo = args.exporter == "dynamo"
    options: dict = {"opset_version": OPSET, "dynamo": dynamo, "input_names": ["input"]}
    if dynamo:
        options["dynamic_shapes"] = ({0: torch.export.Dim("batch")},)
    else:
        options["dynamic_axes"] = {"input": {0: "batch"}}
    warnings.simplefilter("ignore")
    torch.onnx.export(model, (torch.zeros(BATCH, *SHAPE),), str(args.out), **options)


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", 1)[0])
    commands = parser.add_subparsers(dest="command", required=True)
    making = commands.add_parser("make", help="a checkpoint")
    exporting = commands.add_parser("export", help="a checkpoint to ONNX")
    for command in (making, exporting):
        command.add_argument("builder", help="the name of torchvision's builder")
        command.add_argument("--out", type=Path, required=True, help="the file to write")
    exporting.add_argument("--weights", type=Path, required=True, help="the checkpoint")
    exporting.add_argument("--exporter", choices=["torchscript", "dynamo"], required=True)
    args = parser.parse_args()
    if args.command == "make":
        make(args)
        return
    try:
        export(args)
    except Exception as error:  # noqa: BLE001 - whatever it is, it is the answer, and it goes into a table
        # The first sentence says what is not supported; the others ask for help.
        sentence = str(error).strip().split("\n", 1)[0].split(". ", 1)[0]
        sys.exit(f"{type(error).__name__}: {sentence}")


if __name__ == "__main__":
    main()
