#!/usr/bin/env python3
"""The ways from a repository of Hugging Face to ONNX that need Python; `cargo xtask bench hf` measures the whole process.

    python hf_export.py make bert-base --out FOLDER        # seeded weights in the shape of a published model
    python hf_export.py export FOLDER --exporter optimum --task text-generation-with-past --out FOLDER/of/graphs
    python hf_export.py export FOLDER --exporter dynamo --task feature-extraction --out FOLDER/of/graphs

`make` writes `config.json` and `model.safetensors`. `optimum` is `optimum-cli export onnx` without its checking of the result; `dynamo` is
torch's own exporter. What fails ends with one line.
"""

from __future__ import annotations

import argparse
import sys
import warnings
from pathlib import Path

OPSET = 18

CONFIGS: dict[str, tuple[str, dict]] = {
    # google-bert/bert-base-uncased
    "bert-base": ("BertModel", {}),
    # The shape of TinyLlama/TinyLlama-1.1B
    "llama-1.1b": (
        "LlamaForCausalLM",
        {
            "vocab_size": 32000, "hidden_size": 2048, "intermediate_size": 5632, "num_hidden_layers": 22,
            "num_attention_heads": 32, "num_key_value_heads": 4, "max_position_embeddings": 2048, "tie_word_embeddings": False,
        },
    ),
}


def make(args: argparse.Namespace) -> None:
    import torch
    import transformers

    name, values = CONFIGS[args.name]
    cls = getattr(transformers, name)
    torch.manual_seed(0)
    cls(cls.config_class(**values)).eval().save_pretrained(args.out, max_shard_size="50GB")


def optimum(args: argparse.Namespace) -> None:
    from optimum.exporters.onnx import main_export

    main_export(
        str(args.folder), output=str(args.out), task=args.task, opset=OPSET, do_validation=False, library_name="transformers"
    )


def dynamo(args: argparse.Namespace) -> None:
    import torch
    import transformers

    model = transformers.AutoModel.from_pretrained(args.folder).eval()
    size = (2, 16)
    feed = {"input_ids": torch.ones(size, dtype=torch.int64), "attention_mask": torch.ones(size, dtype=torch.int64)}
    shape = {0: torch.export.Dim("batch_size"), 1: torch.export.Dim("sequence_length")}
    args.out.mkdir(parents=True, exist_ok=True)
    torch.onnx.export(
        model, kwargs=feed, f=str(args.out / "model.onnx"), dynamo=True, opset_version=OPSET,
        input_names=list(feed), output_names=["last_hidden_state"], dynamic_shapes={name: shape for name in feed},
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", 1)[0])
    commands = parser.add_subparsers(dest="command", required=True)
    making = commands.add_parser("make", help="a repository")
    making.add_argument("name", choices=sorted(CONFIGS))
    exporting = commands.add_parser("export", help="a repository to ONNX")
    exporting.add_argument("folder", type=Path)
    exporting.add_argument("--exporter", choices=["optimum", "dynamo"], required=True)
    exporting.add_argument("--task", required=True)
    for command in (making, exporting):
        command.add_argument("--out", type=Path, required=True)
    args = parser.parse_args()
    warnings.simplefilter("ignore")
    if args.command == "make":
        make(args)
        return
    try:
        optimum(args) if args.exporter == "optimum" else dynamo(args)
    except Exception as error:  # noqa: BLE001 - whatever it is, it is the answer, and it goes into a table
        sentence = str(error).strip().split("\n", 1)[0].split(". ", 1)[0]
        sys.exit(f"{type(error).__name__}: {sentence}")


if __name__ == "__main__":
    main()
