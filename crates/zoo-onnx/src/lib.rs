//! zoo-onnx
