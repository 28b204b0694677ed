#!/usr/bin/env python3
"""Writes the compiled-in catalogue of the ONNX Model Zoo from a clone of its git repository (no LFS content needed).

    python crates/zoo-onnx/catalog/make.py PATH_TO_CLONE      (the clone's .git folder or a bare repository)

- manifest.json  ONNX_HUB_MANIFEST.json, minified: the 184 validated models with sizes, SHA-256, ports and archives
- exports.tsv    every .onnx outside validated/ (the 2023 exports) and the few below it that the manifest lacks:
                 path, Hugging Face repository name, bytes, SHA-256; digests and sizes are those of the Git LFS pointers
- licences.tsv   folder, SPDX identifier: what the "License" section of each validated model's README names
"""
import json, pathlib, re, subprocess, sys
from collections import defaultdict

HERE = pathlib.Path(__file__).parent
SPDX = [("apache", "Apache-2.0"), ("bsd", "BSD-3-Clause"), ("mit", "MIT")]


def main(clone):
    git = lambda *args: subprocess.run(["git", "-C", clone, *args], check=True, capture_output=True).stdout
    names = git("ls-tree", "-r", "--name-only", "HEAD").decode().splitlines()
    batch = subprocess.Popen(["git", "-C", clone, "cat-file", "--batch"], stdin=subprocess.PIPE, stdout=subprocess.PIPE)

    def content(path):
        batch.stdin.write(f"HEAD:{path}\n".encode())
        batch.stdin.flush()
        size = int(batch.stdout.readline().split()[2])
        return batch.stdout.read(size + 1)[:-1].decode()

    manifest = json.loads(content("ONNX_HUB_MANIFEST.json"))
    known = {entry["model_path"] for entry in manifest}
    (HERE / "manifest.json").write_text(json.dumps(manifest, separators=(",", ":"), sort_keys=True) + "\n")

    exports = sorted(n for n in names if n.endswith(".onnx") and n not in known)
    sources = defaultdict(set)  # stem -> folders' source suffixes; a stem with several keeps its suffix on the Hub
    parsed = []
    for path in exports:
        folder, stem = path.split("/")[-2], pathlib.PurePosixPath(path).stem
        suffix = folder[len(stem) + 1 :] if folder.startswith(stem + "_") else ""
        sources[stem].add(suffix)
        parsed.append((path, stem, suffix))
    rows = []
    for path, stem, suffix in parsed:
        pointer = content(path)
        oid = re.search(r"^oid sha256:([0-9a-f]{64})$", pointer, re.M)
        size = re.search(r"^size (\d+)$", pointer, re.M)
        if not oid or not size:
            sys.exit(f"{path} is no LFS pointer")
        repo = f"{stem}_{suffix}" if suffix and len(sources[stem]) > 1 else stem
        rows.append("\t".join((path, repo, size[1], oid[1])))
    (HERE / "exports.tsv").write_text("\n".join(rows) + "\n")

    licences = []
    for path in sorted(n for n in names if re.fullmatch(r"validated/.*/README\.md", n)):
        section = re.split(r"(?im)^#+\s*licen[sc]e\s*$", content(path))
        words = section[-1].lower()[:200] if len(section) > 1 else ""
        found = [spdx for word, spdx in SPDX if re.search(rf"\b{word}", words)]
        if len(found) == 1:
            licences.append(f"{path.removesuffix('/README.md')}\t{found[0]}")
    (HERE / "licences.tsv").write_text("\n".join(licences) + "\n")
    print(f"{len(manifest)} models, {len(rows)} exports, {len(licences)} licences, commit {git('rev-parse', 'HEAD').decode().strip()}")


if __name__ == "__main__":
    main(sys.argv[1])
