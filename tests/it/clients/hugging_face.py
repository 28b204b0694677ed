"""Everything that `huggingface_hub` does with a hub, against the mirror (HF_ENDPOINT), printed as one JSON object."""
import hashlib
import json
import pathlib
import sys

import huggingface_hub
from huggingface_hub import HfApi, hf_hub_download, snapshot_download
from huggingface_hub.errors import (
    DisabledRepoError,
    EntryNotFoundError,
    GatedRepoError,
    HfHubHTTPError,
    RepositoryNotFoundError,
    RevisionNotFoundError,
)

REPO = "zoo-tests/everyday"


def refusal(work, *expected):
    try:
        work()
    except expected as error:
        return type(error).__name__
    return "no error"


def main(cache):
    api = HfApi()
    folder = pathlib.Path(snapshot_download(REPO, cache_dir=cache))
    digests = {
        path.relative_to(folder).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }
    info = api.model_info(REPO, files_metadata=True)
    paths = api.get_paths_info(REPO, ["weights.bin", "config.json"])
    again = hf_hub_download(REPO, "weights.bin", cache_dir=cache)
    member = HfApi(token="hf_member")
    report = {
        "version": huggingface_hub.__version__,
        "digests": digests,
        "commit_is_folder": info.sha == folder.name,
        "sizes": {sibling.rfilename: sibling.size for sibling in info.siblings},
        "lfs": {sibling.rfilename: sibling.lfs.sha256 for sibling in info.siblings if sibling.lfs},
        "files": sorted(api.list_repo_files(REPO)),
        "tree": sorted(entry.path for entry in api.list_repo_tree(REPO)),
        "paths": sorted(path.path for path in paths),
        "found": [model.id for model in api.list_models(search="every", pipeline_tag="text-classification")],
        "by_author": sorted(model.id for model in api.list_models(author="onnxmodelzoo"))[:2],
        "branches": [branch.name for branch in api.list_repo_refs(REPO).branches],
        "references": {
            kind: sorted(ref.ref for ref in getattr(api.list_repo_refs("zoo-tests/branches", include_pull_requests=True), kind))
            for kind in ("branches", "tags", "pull_requests")
        },
        "of_a_pull_request": pathlib.Path(
            hf_hub_download("zoo-tests/branches", "file.txt", revision="refs/pr/1", cache_dir=cache)
        ).read_text(),
        "expanded": api.model_info(REPO, expand=["sha", "downloads"]).downloads,
        "renamed": api.model_info("zoo-tests/former").id,
        "owner_at_last": api.model_info("old-name").id,
        "same_file": pathlib.Path(again).resolve() == (folder / "weights.bin").resolve(),
        "exists": [api.file_exists(REPO, "config.json"), api.file_exists(REPO, "nothing.json")],
        "gated_without_token": refusal(lambda: hf_hub_download("zoo-tests/gated", "weights.bin", cache_dir=cache), GatedRepoError),
        "gated_for_strangers": refusal(
            lambda: hf_hub_download("zoo-tests/gated", "weights.bin", cache_dir=cache, token="hf_stranger"), GatedRepoError
        ),
        "gated_for_members": pathlib.Path(
            hf_hub_download("zoo-tests/gated", "weights.bin", cache_dir=cache, token="hf_member")
        ).read_text(),
        "private": refusal(lambda: api.model_info("zoo-tests/private"), RepositoryNotFoundError, HfHubHTTPError),
        "private_for_members": member.model_info("zoo-tests/private").id,
        "disabled": refusal(lambda: api.model_info("zoo-tests/disabled"), DisabledRepoError),
        "no_repo": refusal(lambda: api.model_info("zoo-tests/nothing"), RepositoryNotFoundError, HfHubHTTPError),
        "no_revision": refusal(lambda: api.model_info(REPO, revision="nowhere"), RevisionNotFoundError),
        "no_file": refusal(lambda: hf_hub_download(REPO, "nothing.bin", cache_dir=cache), EntryNotFoundError),
        "who": member.whoami()["name"],
    }
    json.dump(report, sys.stdout)


main(sys.argv[1])
