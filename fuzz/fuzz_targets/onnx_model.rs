//! Any bytes as an ONNX model: no panic, no runaway memory or recursion, whatever is asked of what was read.
#![no_main]

use libfuzzer_sys::fuzz_target;
use zoo_graph::{Model, check, tensor, text};

fuzz_target!(|bytes: &[u8]| {
    if let Ok(model) = Model::from_bytes("fuzzed", bytes.to_vec()) {
        let _ = check(&model);
        let _ = text::to_text(&model);
        let _ = (model.inputs(), model.outputs(), model.opsets(), model.op_histogram(), model.initializers());
        let _ = model.external_files();
        for initializer in model.proto().graph.iter().flat_map(|graph| &graph.initializer) {
            // Without a folder, external data is an error and never a file that is opened.
            let _ = tensor::to_tensor(initializer, None);
        }
    }
});
