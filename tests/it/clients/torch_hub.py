"""What `torch.hub` does with torchvision's server, through the mirror's proxy (HTTPS_PROXY, SSL_CERT_FILE) and under its real name:
loads a checkpoint by URL with its digest checked, is refused one whose content is not what its name says, and one that is not
there. Prints one JSON object."""
import json
import sys
import urllib.error

import torch
import torch.hub

SERVER = "https://download.pytorch.org/models/"


def refusal(work, expected):
    try:
        work()
    except expected as error:
        return str(error)
    return "no error"


def load(name):
    return torch.hub.load_state_dict_from_url(SERVER + name, check_hash=True, progress=False)


def main(good, wrong):
    weights = load(good)
    report = {
        "version": torch.__version__,
        "names": len(weights),
        "first": [next(iter(weights)), list(next(iter(weights.values())).shape)],
        "folder": torch.hub.get_dir(),
        "wrong": refusal(lambda: load(wrong), RuntimeError),
        "missing": refusal(lambda: load("resnet18-00000000.pth"), urllib.error.HTTPError),
    }
    json.dump(report, sys.stdout)


main(*sys.argv[1:])
