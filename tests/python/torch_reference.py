#!/usr/bin/env python3
"""Full-size references from torchvision: for each builder a checkpoint, inputs, and what torch computes.

    python torch_reference.py --out FOLDER resnet50 vit_b_16 ...

Weights are those of torchvision's own initialisation from a fixed seed, conditioned so that the network behaves like a trained one:
batch norms get the statistics of what reaches them (with noise), layers are scaled until signals neither vanish nor explode, and
what is initialised to zero, to one, or to 1e-6 is made to matter. Each builder gives FOLDER/BUILDER/ with BUILDER.pth,
CASE.input.npy and CASE.OUTPUT.npy, and one line of JSON on standard output that lists them. Then a line on standard input is waited
for, so that whoever compares can delete the files, which together would need tens of gigabytes; the end of input ends the run.
`--all` does every builder of the families that zoo builds; `--no-wait` keeps going.
"""

from __future__ import annotations

import argparse
import json
import resource
import sys
import time
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import torch
import torchvision
import torchvision.models as tv
from torch import nn

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "fixtures" / "torch"))

import formula  # noqa: E402
from calibrate import BIAS, BRANCH, POST_NORM, TO_RESIDUAL, before_norm, ends_of_branches, norm_weights, spread_wanted  # noqa: E402
from narrow import Norm  # noqa: E402

# A network whose samples lie less far apart, relative to the spread of all outputs, would not show a wrong graph.
DISTINCT = 0.05

VIDEO = ("r3d_18", "mc3_18", "r2plus1d_18", "s3d")
SEGMENTATION = tuple(tv.list_models(module=tv.segmentation))
# These take one image size only: the position embedding, or the partitions, are made for it.
ONE_SIZE = ("vit_", "maxvit_")


def builders() -> list[str]:
    """Every builder whose family zoo builds."""
    return [*tv.list_models(module=tv), *SEGMENTATION, *VIDEO]


def size_of(name: str) -> tuple[int, int]:
    """Height and width after the transform of the default weights; where they differ by purpose, those of the first."""
    preset = tv.get_model_weights(name).DEFAULT.transforms()
    side = getattr(preset, "crop_size", None) or preset.resize_size
    return (side[0], side[-1])


def build(name: str) -> nn.Module:
    """The network as the published weights want it, with torchvision's own initialisation."""
    torch.manual_seed(formula.seed(name) & 0x7FFF_FFFF)
    options: dict[str, object] = {}
    if name in SEGMENTATION:
        options["weights_backbone"] = None
        if not name.startswith("lraspp"):
            options["aux_loss"] = True
    if name in ("googlenet", "inception_v3"):
        options |= {"transform_input": True, "init_weights": True}
    if name.startswith("vit_"):
        options["image_size"] = size_of(name)[0]
    return tv.get_model(name, weights=None, **options).eval()


def shapes(name: str) -> dict[str, tuple[int, ...]]:
    """The cases: one input and three at the default size, and one at another size if the network takes any."""
    height, width = size_of(name)
    frames = (16,) if name in VIDEO else ()
    cases = {"one": (1, 3, *frames, height, width), "three": (3, 3, *frames, height, width)}
    if not name.startswith(ONE_SIZE):
        frames = (20,) if name in VIDEO else ()
        # Neither square nor a multiple of the last stage's stride.
        cases["other"] = (1, 3, *frames, height + 34, width + 69)
    return cases


def condition(model: nn.Module, sample: torch.Tensor) -> None:
    """Makes an initialised network behave like a trained one on inputs like `sample`, a batch."""
    names = {layer: name for name, layer in model.named_modules()}
    post_norm = any(name.endswith("logit_scale") for name, _ in model.named_parameters())
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            _condition_parameter(name, parameter, model, post_norm)
        for norm in [*ends_of_branches(model), *_ends_of_resnet_branches(model)]:
            norm.weight.uniform_(*BRANCH)
        # One sample is enough for it, and it holds on to everything that was computed.
        small = before_norm(model, sample[:1])

    def correct_layer(layer: nn.Module, inputs: tuple[torch.Tensor, ...]) -> None:
        norm = small.get(layer)
        bias, layer.bias = layer.bias, None
        # Batch norms get the statistics of what is there; everything else would vanish or explode with depth.
        if not isinstance(norm, Norm):
            target = spread_wanted(f"{names[layer]}.weight", norm)
            layer.weight.mul_(target / type(layer).forward(layer, inputs[0]).std().item())
            if bias is not None:
                # In a squeeze-and-excitation, most of the few channels must survive the ReLU.
                squeezed = isinstance(layer, nn.Conv2d) and inputs[0].shape[2:].numel() == 1
                bias.uniform_(0.5, 1.5) if squeezed else bias.uniform_(-BIAS * target, BIAS * target)
        layer.bias = bias

    def correct_norm(norm: nn.Module, inputs: tuple[torch.Tensor, ...]) -> None:
        over = [axis for axis in range(inputs[0].ndim) if axis != 1]
        variance, mean = torch.var_mean(inputs[0], dim=over, correction=0)
        # A channel that happens to be dead here must not explode elsewhere.
        variance = variance.clamp(min=0.1 * variance.mean().item())
        norm.running_var.copy_(variance * torch.empty_like(variance).uniform_(0.5, 1.5))
        norm.running_mean.copy_(mean + 0.3 * variance.sqrt() * torch.empty_like(mean).uniform_(-1, 1))

    hooks = []
    for layer in model.modules():
        if isinstance(layer, nn.Conv2d | nn.Conv3d | nn.Linear):
            hooks.append(layer.register_forward_pre_hook(correct_layer))
        elif isinstance(layer, Norm):
            hooks.append(layer.register_forward_pre_hook(correct_norm))
    with torch.no_grad():
        model(sample)
    for hook in hooks:
        hook.remove()


def _ends_of_resnet_branches(model: nn.Module) -> list[nn.Module]:
    """The batch norms before the additions of ResNets and RegNets: in a hundred layers at full width, branches as strong as what
    they are added to would multiply rounding errors a thousandfold."""
    ends = []
    for block in model.modules():
        if isinstance(block, tv.resnet.Bottleneck):
            ends.append(block.bn3)
        elif isinstance(block, tv.resnet.BasicBlock):
            ends.append(block.bn2)
        elif isinstance(block, tv.regnet.ResBottleneckBlock):
            ends.append(block.f.c[1])
        elif isinstance(block, tv.video.resnet.BasicBlock):
            ends.append(block.conv2[1])
    return ends


def _condition_parameter(name: str, parameter: nn.Parameter, model: nn.Module, post_norm: bool) -> None:
    """What can be said of a parameter before the network runs: nothing is left at zero, at one, or at 1e-6."""
    leaf = name.rpartition(".")[2]
    if leaf == "layer_scale":
        parameter.uniform_(0.2, 0.6)
    elif leaf == "logit_scale":
        # exp() of it is clamped at ln 100 = 4.6, which must be seen, in one block.
        parameter.uniform_(*((4.0, 5.5) if name.startswith("features.7.1.") else (0.0, 1.0)))
    elif leaf == "relative_position_bias_table":
        parameter.uniform_(-1.0, 1.0)
    elif leaf in ("class_token", "pos_embedding"):
        parameter.uniform_(-TO_RESIDUAL, TO_RESIDUAL)
    elif leaf == "in_proj_bias":
        parameter.uniform_(-BIAS, BIAS)
    elif name.endswith("qkv.weight") or leaf == "in_proj_weight":
        # Attention uses these, and the projections below, without running a layer, so that no hook meets them.
        parameter.normal_(std=parameter.shape[1] ** -0.5)
    elif name.endswith(("attn.proj.weight", "out_proj.weight")):
        parameter.normal_(std=(POST_NORM if post_norm else TO_RESIDUAL) / parameter.shape[1] ** 0.5)
    elif name.endswith("attn.proj.bias") and post_norm:
        parameter.uniform_(-POST_NORM, POST_NORM)
    elif leaf == "bias":
        limit = BIAS * min(spread_wanted(f"{name.removesuffix('bias')}weight", None), 1.0)
        parameter.uniform_(-limit, limit)
    elif parameter.ndim == 1:
        parameter.uniform_(*norm_weights(model))
    elif not parameter.count_nonzero():
        # ViT's head begins as zeros.
        parameter.normal_()


def outputs_of(model: nn.Module, sample: torch.Tensor) -> dict[str, torch.Tensor]:
    with torch.inference_mode():
        found = model(sample)
    return dict(found) if isinstance(found, Mapping) else {"logits": found}


def reference(name: str, folder: Path) -> dict:
    """Makes one builder's files, and says what they are."""
    began = time.perf_counter()
    folder.mkdir(parents=True, exist_ok=True)
    model = build(name)
    cases = shapes(name)
    condition(model, torch.from_numpy(formula.picture("input:three", cases["three"])))
    weights = folder / f"{name}.pth"
    torch.save(model.state_dict(), weights)
    made = {
        "builder": name,
        "torch": torch.__version__,
        "torchvision": torchvision.__version__,
        "weights": str(weights),
        "bytes": weights.stat().st_size,
        "tensors": len(model.state_dict()),
        "parameters": sum(parameter.numel() for parameter in model.parameters()),
        "cases": [],
    }
    for case, shape in cases.items():
        sample = formula.picture(f"input:{case}", shape)
        np.save(folder / f"{case}.input.npy", sample)
        start = time.perf_counter()
        outputs = outputs_of(model, torch.from_numpy(sample))
        seconds = time.perf_counter() - start
        entry = {"name": case, "shape": list(shape), "input": str(folder / f"{case}.input.npy"), "seconds": round(seconds, 4), "outputs": {}}
        for key, output in outputs.items():
            spread = output.std().item()
            if not output.isfinite().all() or spread < 1e-3:
                raise ValueError(f"{name}: {key} is degenerate, its spread is {spread}")
            path = folder / f"{case}.{key}.npy"
            np.save(path, output.numpy())
            entry["outputs"][key] = {"file": str(path), "shape": list(output.shape), "spread": spread}
            if len(output) > 1:
                apart = output.std(dim=0).mean().item() / spread
                if apart < DISTINCT:
                    raise ValueError(f"{name}: {key} hardly depends on the input ({apart:.3f})")
                entry["outputs"][key]["apart"] = apart
        made["cases"].append(entry)
    made["peak_rss"] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    made["total_seconds"] = round(time.perf_counter() - began, 2)
    (folder / "meta.json").write_text(json.dumps(made, indent=1) + "\n")
    return made


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", 1)[0])
    parser.add_argument("builders", nargs="*", help="names of torchvision's builders")
    parser.add_argument("--all", action="store_true", help="every builder of the families that zoo builds")
    parser.add_argument("--list", action="store_true", help="print their names, one JSON list, and end")
    parser.add_argument("--out", type=Path, help="folder to write to")
    parser.add_argument("--no-wait", action="store_true", help="do not wait for a line after each")
    parser.add_argument("--threads", type=int, help="threads of torch (default: its own choice)")
    args = parser.parse_args()
    if args.list:
        print(json.dumps(builders()))
        return
    if args.out is None:
        parser.error("--out is missing")
    if args.threads:
        torch.set_num_threads(args.threads)
    for name in builders() if args.all else args.builders:
        try:
            made = reference(name, args.out / name)
        except Exception as error:  # noqa: BLE001 - the others can still be compared, so this one is reported like them
            made = {"builder": name, "error": f"{type(error).__name__}: {error}"}
        print(json.dumps(made), flush=True)
        if not args.no_wait and not sys.stdin.readline():
            return


if __name__ == "__main__":
    main()
