//! Files that are mistaken for checkpoints, by their bytes.

use crate::assemble::{Member, Zip};
use crate::support::OneFile;
use zoo_formats::{Container, Looks, Sniffed, sniff};

fn looks(bytes: &[u8]) -> Sniffed {
    sniff(&OneFile::of(bytes).path()).unwrap()
}

#[test]
fn first_bytes() {
    for (bytes, expected) in [
        (&b""[..], Looks::Empty),
        (b"<!DOCTYPE html><html>", Looks::Html),
        (b"\xef\xbb\xbf\n <html lang=\"en\">", Looks::Html),
        (b"<?xml version=\"1.0\"?><Error><Code>AccessDenied</Code></Error>", Looks::Html),
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 5\n", Looks::LfsPointer),
        (b"{\"error\": \"not found\"}", Looks::Json),
        (b"Entry not found", Looks::Text),
        (b"\x93NUMPY\x01\x00", Looks::Numpy),
        (b"GGUF\x03\0\0\0", Looks::Gguf),
        (b"\x1c\0\0\0TFL3\0\0", Looks::TfLite),
        (b"\x1c\0\0\0PTMF\0\0", Looks::MobileFlatBuffer),
        (b"\x1c\0\0\0ET12\0\0", Looks::ExecuTorch),
        (b"\x08\x08\x12\x07pytorch\x1a\x062.15.0", Looks::Onnx),
        (b"\x80\x02}q\x00.", Looks::Pickle),
        (b"\x80\x04\x95\x00", Looks::Pickle),
        (b"(dp0\nS'a'\n.", Looks::TextPickle),
        (b"L119547037146038801333356L\n.", Looks::TextPickle),
        (b"ccollections\nOrderedDict\n", Looks::TextPickle),
        (b"BZh91AY", Looks::Compressed),
        (b"\xfd7zXZ\0", Looks::Compressed),
        (b"\x28\xb5\x2f\xfd", Looks::Compressed),
        (b"7z\xbc\xaf\x27\x1c", Looks::Compressed),
        (b"\x1f\x8b\x08\0\0\0", Looks::Gzip),
        (b"\x00\x01\x02\x03", Looks::Unknown),
    ] {
        assert_eq!(looks(bytes), Sniffed::Other(expected), "{}", bytes.escape_ascii());
    }
}

#[test]
fn safetensors_begin_with_a_length_and_a_brace() {
    assert_eq!(looks(b"\x02\0\0\0\0\0\0\0{}"), Sniffed::Container(Container::Safetensors));
    assert_eq!(looks(b"\0\0\0\0\0\0\0\x01{}"), Sniffed::Other(Looks::Unknown));
    for first in [b'\x80', b'\x81', b'\xde', b'<', b'{'] {
        let length = [first, 4, 0, 0, 0, 0, 0, 0];
        let bytes = [&length[..], b"{}"].concat();
        assert_eq!(
            looks(&bytes),
            Sniffed::Container(Container::Safetensors),
            "{first:#x} is a length, no mark"
        );
    }
}

#[test]
fn archives_by_their_members() {
    let zip = |names: &[&str]| {
        let members = names.iter().map(|name| Member::new(name, b"x")).collect();
        looks(&Zip { members, ..Zip::default() }.write())
    };
    for (names, expected) in [
        (&["MAR-INF/MANIFEST.json", "model.pth"][..], Looks::TorchServe),
        (&["serialized_exported_program.json", "version"], Looks::TorchExport),
        (&["m/archive_format", "m/models/model.json", "m/data/aotinductor/model/x.so"], Looks::TorchExport),
        (&["m/archive_format", "m/data/aotinductor/model/x.so"], Looks::AotInductor),
        (&["m/data.pkl", "m/.data/extern_modules"], Looks::TorchPackage),
        (&["m/data.pkl", "m/constants.pkl", "m/code/m.py"], Looks::TorchScript),
        (&["m/bytecode.pkl", "m/data.pkl"], Looks::MobileTorchScript),
        (&["m/bytecode.pkl", "m/data.pkl", "m/code/m.py"], Looks::TorchScript),
        (&["m/model.json", "m/tensors/0", "m/code/m.py"], Looks::TorchScriptPreview),
        (&["metadata.json", "config.json", "model.weights.h5"], Looks::Keras),
        (&["a.npy", "b.npy"], Looks::Npz),
        (&["resnet.pth", "README"], Looks::Zip),
        (&[], Looks::Zip),
    ] {
        assert_eq!(zip(names), Sniffed::Other(expected), "{names:?}");
    }
    assert_eq!(zip(&["any name/data.pkl", "any name/version"]), Sniffed::Container(Container::TorchZip));
    assert_eq!(looks(b"PK\x03\x04 and nothing more"), Sniffed::Other(Looks::BrokenZip));
    let truncated = Zip::checkpoint(b"N.", &[]).write();
    let truncated = truncated.get(..60).unwrap();
    assert_eq!(
        looks(truncated),
        Sniffed::Container(Container::TorchZip),
        "its reader will say what is missing"
    );
}

#[test]
fn tar_archives() {
    let tar = |names: &[&str]| {
        let mut out = Vec::new();
        for name in names {
            let mut header = vec![0_u8; 512];
            header[..name.len()].copy_from_slice(name.as_bytes());
            header[124..136].copy_from_slice(b"00000000003\0");
            header[257..263].copy_from_slice(b"ustar\0");
            out.extend_from_slice(&header);
            out.extend_from_slice(b"abc");
            out.resize(out.len() + 509, 0);
        }
        looks(&out)
    };
    assert_eq!(tar(&["storages", "tensors", "pickle"]), Sniffed::Other(Looks::TorchTar));
    assert_eq!(tar(&["pickle", "storages", "tensors"]), Sniffed::Other(Looks::TorchTar));
    assert_eq!(tar(&["model.pth"]), Sniffed::Other(Looks::Tar));
}

#[test]
fn torchserve_in_gzip() {
    use std::io::Write as _;
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    let mut header = vec![0_u8; 1024];
    header[..28].copy_from_slice(b"resnet/MAR-INF/MANIFEST.json");
    encoder.write_all(&header).unwrap();
    assert_eq!(looks(&encoder.finish().unwrap()), Sniffed::Other(Looks::TorchServe));
}

#[test]
fn a_refusal_says_what_the_file_is_and_what_to_do() {
    let file = OneFile::of(b"<html>");
    let error = file.open().unwrap_err();
    assert_eq!(
        file.shown(&error),
        "x.pth is no weight container that zoo reads: it is a web page or an error message of a server"
    );
    assert_eq!(error.hint().unwrap(), "the address leads to a web page; use the file's own download address");
}
