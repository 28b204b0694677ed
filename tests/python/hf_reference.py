#!/usr/bin/env python3
"""Full-size references from transformers: for each family a repository, inputs, and what transformers computes.

    python hf_reference.py --out FOLDER bert llama ...

Configurations are the defaults of the classes (their published base sizes), some with fewer layers where a default has billions of parameters; weights
are seeded, in ranges that keep signals of order 1 (`limits` of the fixtures' make_models.py). Each family gives FOLDER/NAME/ with `config.json`,
`model.safetensors`, and an array for each input and output, and one line of JSON on standard output that lists them. Then a line on standard
input is waited for, so that whoever compares can delete the files; the end of input ends the run. `--all` does every family; `--no-wait` keeps going.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
import transformers

FIXTURES = Path(__file__).resolve().parent.parent / "fixtures"
sys.path.insert(0, str(FIXTURES / "torch"))
sys.path.insert(0, str(FIXTURES / "huggingface"))

import formula  # noqa: E402
from make_models import limits  # noqa: E402

Arrays = dict[str, torch.Tensor]


def texts(vocabulary: int, lengths: list[int], first: int = 5) -> Arrays:
    width = max(lengths)
    generator = torch.Generator().manual_seed(len(lengths) * 1000 + width)
    mask = (torch.arange(width)[None] < torch.tensor(lengths)[:, None]).long()
    ids = torch.randint(first, vocabulary, (len(lengths), width), generator=generator)
    return {"input_ids": ids * mask + (1 - mask), "attention_mask": mask}


def encoder(model: torch.nn.Module) -> list[tuple[str, Arrays, Arrays]]:
    cases = []
    for name, lengths in (("padded", [128, 50, 7]), ("long", [300])):
        given = texts(model.config.vocab_size, lengths)
        takes_types = model.config.model_type in TYPED and getattr(model.config, "type_vocab_size", 0) > 0
        extra = {"token_type_ids": (given["input_ids"] % 2) * given["attention_mask"]} if takes_types else {}
        cases.append((name, {**given, **extra}, {"last_hidden_state": model(**given, **extra).last_hidden_state}))
    return cases


def decoder(model: torch.nn.Module) -> list[tuple[str, Arrays, Arrays]]:
    cases = []
    for name, lengths in (("padded", [64, 20]), ("long", [150])):
        given = texts(model.config.vocab_size, lengths)
        places = (given["attention_mask"].cumsum(1) - 1).clamp(min=0)
        found = model(**given, position_ids=places) if model.config.model_type in PLACED else model(**given)
        extra = {"position_ids": places} if model.config.model_type in PLACED else {}
        seen = given["attention_mask"].bool()
        # What a decoder says behind a text's end means nothing.
        logits = torch.where(seen[..., None], found.logits, torch.zeros(()))
        cases.append((name, {**given, **extra}, {"logits": logits}))
    return cases


def images(output: str) -> Callable:
    def run(model: torch.nn.Module) -> list[tuple[str, Arrays, Arrays]]:
        side = getattr(model.config, "image_size", None) or 224
        pixels = torch.from_numpy(formula.picture("input:two", (2, 3, side, side)))
        return [("two", {"pixel_values": pixels}, {output: getattr(model(pixels), output)})]

    return run


def sounds(model: torch.nn.Module) -> list[tuple[str, Arrays, Arrays]]:
    wave = torch.from_numpy(formula.picture("input:sound", (2, 16000)))
    return [("second", {"input_values": wave}, {"logits": model(wave).logits})]


def pair(model: torch.nn.Module) -> list[tuple[str, Arrays, Arrays]]:
    given = texts(model.config.vocab_size, [60, 23])
    start = torch.full((2, 9), 7).scatter(1, torch.arange(9)[None].repeat(2, 1), torch.arange(9)[None].repeat(2, 1) + 11)
    encoded = model.get_encoder()(**given).last_hidden_state
    found = model(**given, decoder_input_ids=start)
    return [
        ("encoder", {f"encoder_model/{k}": v for k, v in given.items()}, {"encoder_model/last_hidden_state": encoded}),
        (
            "decoder",
            {
                "decoder_model/input_ids": start,
                "decoder_model/encoder_hidden_states": encoded,
                "decoder_model/encoder_attention_mask": given["attention_mask"],
            },
            {"decoder_model/logits": found.logits},
        ),
    ]


TYPED = ("bert", "electra", "albert")
PLACED = ("gpt2", "llama", "qwen2", "qwen3", "mistral", "phi3", "gpt_neox", "opt")
WIDE = dict(hidden_size=1024, intermediate_size=2816, num_hidden_layers=8, num_attention_heads=16, num_key_value_heads=4, vocab_size=32000, pad_token_id=0)
# Name, class, values that differ from the class's defaults, and what is run.
FAMILIES: dict[str, tuple[str, dict, Callable]] = {
    "bert": ("BertModel", {}, encoder),
    "roberta": ("RobertaModel", dict(max_position_embeddings=514, type_vocab_size=1, vocab_size=50265), encoder),
    "distilbert": ("DistilBertModel", {}, encoder),
    "mpnet": ("MPNetModel", dict(max_position_embeddings=514), encoder),
    "electra": ("ElectraModel", {}, encoder),
    "albert": ("AlbertModel", dict(hidden_size=768, num_attention_heads=12, intermediate_size=3072), encoder),
    "deberta-v2": (
        "DebertaV2Model",
        dict(hidden_size=768, num_hidden_layers=6, num_attention_heads=12, intermediate_size=3072, relative_attention=True, position_buckets=256,
             norm_rel_ebd="layer_norm", share_att_key=True, pos_att_type=["p2c", "c2p"], position_biased_input=False, type_vocab_size=0, vocab_size=32000),
        encoder,
    ),
    "modernbert": ("ModernBertModel", {}, encoder),
    "gpt2": ("GPT2LMHeadModel", {}, decoder),
    "llama": ("LlamaForCausalLM", WIDE, decoder),
    "qwen2": ("Qwen2ForCausalLM", WIDE, decoder),
    "qwen3": ("Qwen3ForCausalLM", {**WIDE, "head_dim": 128}, decoder),
    "mistral": ("MistralForCausalLM", {**WIDE, "sliding_window": 48}, decoder),
    "gemma": ("GemmaForCausalLM", {**WIDE, "head_dim": 128}, decoder),
    "gemma2": ("Gemma2ForCausalLM", {**WIDE, "head_dim": 128, "sliding_window": 48}, decoder),
    "phi3": ("Phi3ForCausalLM", WIDE, decoder),
    "gpt_neox": ("GPTNeoXForCausalLM", dict(hidden_size=768, num_hidden_layers=6, num_attention_heads=12, intermediate_size=3072, vocab_size=32000), decoder),
    "opt": ("OPTForCausalLM", dict(vocab_size=32000), decoder),
    "t5": ("T5ForConditionalGeneration", {}, pair),
    "bart": ("BartForConditionalGeneration", dict(encoder_layers=6, decoder_layers=6), pair),
    "marian": ("MarianMTModel", dict(d_model=512, encoder_layers=6, decoder_layers=6, vocab_size=32000, decoder_vocab_size=32000, pad_token_id=1), pair),
    "vit": ("ViTModel", {}, images("last_hidden_state")),
    "deit": ("DeiTModel", {}, images("last_hidden_state")),
    "dinov2": ("Dinov2Model", {}, images("last_hidden_state")),
    "beit": ("BeitForImageClassification", {}, images("logits")),
    "convnext": ("ConvNextForImageClassification", {}, images("logits")),
    "resnet": ("ResNetForImageClassification", {}, images("logits")),
    "swin": ("SwinForImageClassification", {}, images("logits")),
    "segformer": ("SegformerForSemanticSegmentation", {}, images("logits")),
    "wav2vec2": ("Wav2Vec2ForCTC", {}, sounds),
    "hubert": ("HubertForCTC", {}, sounds),
}


# Networks that multiply rounding errors with weights of the usual ranges could not be compared with anything: Gemma multiplies by 1 + weight, and
# T5 does not divide scores by the root of a head's width.
CALMED: dict[str, dict[str, tuple[float, float]]] = {
    "gemma": {"norm": (-0.3, 0.3), "embed_tokens": (-0.05, 0.05)},
    "gemma2": {"norm": (-0.3, 0.3), "embed_tokens": (-0.05, 0.05)},
    "t5": {".q.": (-0.01, 0.01)},
}


def made(name: str, out: Path) -> dict:
    cls_name, values, run = FAMILIES[name]
    cls = getattr(transformers, cls_name)
    seed = formula.seed(name) & 0x7FFF_FFFF
    torch.manual_seed(seed)
    config = cls.config_class(**values)
    config._attn_implementation = "eager"
    model = cls(config).eval()
    # What is not saved is computed: positions by sines, mostly.
    computed = getattr(model, "_keys_to_ignore_on_save", None) or []
    with torch.no_grad():
        for key, tensor in model.state_dict().items():
            chosen = next((limit for part, limit in CALMED.get(name, {}).items() if part in key), None) or limits(key, tensor)
            if key in computed:
                continue
            if isinstance(chosen, tuple):
                tensor.uniform_(*chosen)
        model.tie_weights()
        cases = run(model)
    folder = out / name
    model.save_pretrained(folder, max_shard_size="50GB")
    written = []
    for case, inputs, outputs in cases:
        files = {"name": case, "inputs": {}, "outputs": {}}
        for kind, arrays in (("inputs", inputs), ("outputs", outputs)):
            for key, array in arrays.items():
                path = folder / f"{case}.{kind}.{key.replace('/', '.')}.npy"
                np.save(path, array.detach().numpy())
                files[kind][key] = str(path)
        written.append(files)
    return {"name": name, "class": cls_name, "folder": str(folder), "bytes": (folder / "model.safetensors").stat().st_size, "cases": written}


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", 1)[0])
    parser.add_argument("families", nargs="*")
    parser.add_argument("--all", action="store_true")
    parser.add_argument("--no-wait", action="store_true")
    parser.add_argument("--out", type=Path, required=True)
    args = parser.parse_args()
    transformers.logging.set_verbosity_error()
    for name in FAMILIES if args.all else args.families:
        began = time.time()
        try:
            line = made(name, args.out) if name in FAMILIES else {"name": name, "error": f"no such family; there are {', '.join(FAMILIES)}"}
        except Exception as error:  # noqa: BLE001 - whatever it is, it is told in the family's line
            line = {"name": name, "error": f"{type(error).__name__}: {str(error).strip().splitlines()[0]}"}
        print(json.dumps({**line, "seconds": round(time.time() - began, 1)}), flush=True)
        if not args.no_wait and not sys.stdin.readline():
            return


if __name__ == "__main__":
    main()
