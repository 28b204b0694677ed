"""Lets `onnx` itself judge models: its checker with full, strict shape inference, and the shapes that it infers.

    python onnx_checker.py MODEL.onnx...

Prints, as JSON, for each model the shapes of its outputs as inference sees them, or what was wrong.
"""

import json
import sys

import onnx


def shapes(path: str) -> dict[str, list]:
    onnx.checker.check_model(path, full_check=True)
    # Values that the model declares are taken away, so that inference has to find its outputs by itself.
    model = onnx.load(path, load_external_data=False)
    declared = {output.name: output for output in model.graph.output}
    del model.graph.value_info[:]
    inferred = onnx.shape_inference.infer_shapes(model, check_type=True, strict_mode=True, data_prop=True)
    found = {}
    for output in inferred.graph.output:
        assert output.name in declared
        dims = output.type.tensor_type.shape.dim
        found[output.name] = [dim.dim_value if dim.HasField("dim_value") else dim.dim_param for dim in dims]
    return found


print(json.dumps({path: shapes(path) for path in sys.argv[1:]}))
