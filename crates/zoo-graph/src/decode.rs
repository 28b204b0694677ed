//! From a file to a [`Model`]: map, walk, decode.

use std::path::Path;

use bytes::Bytes;
use prost::Message;

use crate::proto::{ModelProto, TensorProto};
use crate::scan::{self, Kind};
use crate::sniff::Looks;
use crate::{Error, Model, Result};

impl Model {
    /// Opens a model file. Its weights stay in the file: the result refers to a map of it.
    ///
    /// External data files are not looked at; see [`crate::external`] and [`crate::check()`].
    ///
    /// # Errors
    /// If the file cannot be mapped, is something else (which is then named), is cut short, or asks for more than
    /// [`crate::limits`] allow.
    pub fn open(path: &Path) -> Result<Self> {
        let bytes = zoo_tensor::map::map_file(path)?;
        let proto = decode(&path.display().to_string(), &bytes)?;
        Ok(Self::new(proto, Some(path)))
    }

    /// Reads a model from bytes; `name` stands for the file in messages. External data cannot be found this way.
    ///
    /// # Errors
    /// As [`Model::open`].
    pub fn from_bytes(name: &str, bytes: impl Into<Bytes>) -> Result<Self> {
        Ok(Self::new(decode(name, &bytes.into())?, None))
    }
}

fn decode(file: &str, bytes: &Bytes) -> Result<ModelProto> {
    let looks = |error: Error| match Looks::of(bytes) {
        Looks::Unknown => error,
        looks => Error::NotOnnx { file: file.to_owned(), looks },
    };
    let seen = scan::scan(file, bytes, Kind::Model).map_err(|error| match error {
        // What went over a bound was followed as ONNX for a long way; it is not something else.
        Error::TooMuch { .. } => error,
        error => looks(error),
    })?;
    if !seen.graph {
        let looks = match Looks::of(bytes) {
            Looks::Unknown if is_tensor(file, bytes) => Looks::OnnxTensor,
            looks => looks,
        };
        return Err(Error::NotOnnx { file: file.to_owned(), looks });
    }
    ModelProto::decode(bytes.clone()).map_err(|source| looks(Error::Decode { file: file.to_owned(), source }))
}

/// Decodes a single tensor, as test data sets hold them (`input_0.pb`).
///
/// # Errors
/// As [`Model::open`].
pub(crate) fn decode_tensor(file: &str, bytes: Bytes) -> Result<TensorProto> {
    scan::scan(file, &bytes, Kind::Tensor).map_err(|error| match Looks::of(&bytes) {
        Looks::Unknown => error,
        looks => Error::NotOnnx { file: file.to_owned(), looks },
    })?;
    TensorProto::decode(bytes).map_err(|source| Error::Decode { file: file.to_owned(), source })
}

fn is_tensor(file: &str, bytes: &Bytes) -> bool {
    decode_tensor(file, bytes.clone()).is_ok_and(|tensor| tensor.data_type.is_some_and(|code| code > 0))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::proto::{GraphProto, NodeProto};

    fn sample() -> ModelProto {
        let weight = TensorProto {
            name: Some("w".into()),
            dims: vec![64],
            data_type: Some(1),
            raw_data: Some(Bytes::from(vec![7; 256])),
            ..Default::default()
        };
        let node = NodeProto {
            input: vec!["x".into(), "w".into()],
            output: vec!["y".into()],
            op_type: Some("Add".into()),
            ..Default::default()
        };
        ModelProto {
            ir_version: Some(8),
            graph: Some(GraphProto { node: vec![node], initializer: vec![weight], ..Default::default() }),
            ..Default::default()
        }
    }

    #[test]
    fn weights_are_slices_of_the_input() {
        let bytes = Bytes::from(sample().encode_to_vec());
        let model = Model::from_bytes("m.onnx", bytes.clone()).unwrap();
        assert_eq!(model.proto(), &sample());
        let raw = model.proto().graph.as_ref().unwrap().initializer[0].raw_data.as_ref().unwrap();
        let range = bytes.as_ptr_range();
        assert!(range.contains(&raw.as_ptr()), "the weights were copied");
    }

    #[test]
    fn other_files_are_named() {
        let message = |bytes: &'static [u8]| {
            Model::from_bytes("m.onnx", Bytes::from_static(bytes)).unwrap_err().to_string()
        };
        let page = message(b"<!DOCTYPE html><html><body>Sign in</body></html>");
        assert_eq!(page, "m.onnx is not an ONNX model: it looks like a web page");
        assert!(message(b"version https://git-lfs.github.com/spec/v1\n").ends_with("a git-lfs pointer"));
        assert!(message(b"").ends_with("an empty file"));
        assert!(message(b"Not Found").ends_with("text"));

        let tensor =
            TensorProto { dims: vec![1], data_type: Some(1), float_data: vec![0.5], ..Default::default() };
        let error = Model::from_bytes("input_0.pb", tensor.encode_to_vec()).unwrap_err();
        assert!(error.to_string().ends_with("a single ONNX tensor"), "{error}");
        assert!(error.hint().is_some());
    }

    #[test]
    fn a_truncated_model_is_called_truncated() {
        let bytes = Bytes::from(sample().encode_to_vec());
        let error = Model::from_bytes("m.onnx", bytes.slice(..bytes.len() - 1)).unwrap_err();
        assert!(matches!(error, Error::Truncated { .. }), "{error}");
        assert!(error.hint().unwrap().contains("again"));
    }

    #[test]
    fn subgraphs_nest_only_so_deep() {
        let mut graph = GraphProto::default();
        for _ in 0..40 {
            let attribute = crate::proto::AttributeProto {
                name: Some("body".into()),
                g: Some(Box::new(graph)),
                ..Default::default()
            };
            let node = NodeProto { attribute: vec![attribute], ..Default::default() };
            graph = GraphProto { node: vec![node], ..Default::default() };
        }
        let model = ModelProto { graph: Some(graph), ..Default::default() };
        let error = Model::from_bytes("m.onnx", model.encode_to_vec()).unwrap_err();
        assert!(matches!(error, Error::TooMuch { what: "messages nested", .. }), "{error}");
    }

    /// Everything that looks at a model, so that none of it panics on what decodes.
    fn look_at_everything(bytes: Vec<u8>) {
        if let Ok(model) = Model::from_bytes("m.onnx", bytes) {
            let _ =
                (model.inputs(), model.outputs(), model.opsets(), model.initializers(), model.op_histogram());
            let _ = (model.external_files(), crate::text::to_text(&model), crate::check(&model));
        }
    }

    proptest! {
        #[test]
        fn random_bytes_never_panic(bytes: Vec<u8>) {
            look_at_everything(bytes);
        }

        #[test]
        fn a_damaged_model_never_panics(
            cut in 0_usize..400,
            damage in proptest::collection::vec((0_usize..400, any::<u8>()), 0..6),
        ) {
            let mut bytes = sample().encode_to_vec();
            bytes.truncate(bytes.len() - cut.min(bytes.len()) / 8);
            for (at, value) in damage {
                let length = bytes.len().max(1);
                if let Some(byte) = bytes.get_mut(at % length) {
                    *byte = value;
                }
            }
            look_at_everything(bytes);
        }
    }
}
