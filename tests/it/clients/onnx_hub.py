"""What `onnx.hub` does, through the mirror's proxy (HTTPS_PROXY, SSL_CERT_FILE): the fork whose files are still there, and the
archived repository whose files are gone. Prints one JSON object."""
import json
import sys
import urllib.error

import onnx
import onnx.hub

FORK = "zoo-tests/models:main"


def main():
    models = onnx.hub.list_models(repo=FORK)
    info = onnx.hub.get_model_info("mnist", repo=FORK, opset=8)
    model = onnx.hub.load("mnist", repo=FORK, opset=8, silent=True)
    folder = onnx.hub.download_model_with_test_data("MNIST-12", repo=FORK, silent=True)
    try:
        onnx.hub.load("mnist", opset=7, silent=True)
        gone = "no error"
    except urllib.error.HTTPError as error:
        gone = f"HTTP {error.code}"
    report = {
        "version": onnx.__version__,
        "models": len(models),
        "digest": info.metadata["model_sha"],
        "nodes": len(model.graph.node),
        "opset": model.opset_import[0].version,
        "folder": folder,
        "gone": gone,
    }
    json.dump(report, sys.stdout)


main()
