//! Pickles that want to run something, or to be very large.

use super::*;

/// A checkpoint that does something first, and then holds the tensor.
fn with(evil: Pickle) -> Vec<u8> {
    let pickle = Pickle::new().raw("}").text("x").raw(evil.0).raw("s").text("w").tensor(&SIX).raw("s").stop();
    Zip::checkpoint(&pickle, &[&floats(&[0.0; 6])]).write()
}

fn foreign(bytes: &[u8]) -> Vec<String> {
    let checkpoint = OneFile::of(bytes).open().unwrap();
    checkpoint.foreign_globals().iter().map(ToString::to_string).collect()
}

#[test]
fn os_system_is_a_name() {
    let marker = tempfile::tempdir().unwrap();
    let touched = marker.path().join("touched");
    let command = format!("touch {}", touched.display());
    let bytes = with(Pickle::default().global("os", "system").text(&command).raw([0x85, b'R']));
    assert_eq!(foreign(&bytes), ["os.system (called once)"]);
    assert_eq!(read(&bytes), [0.0; 6]);
    assert!(!touched.exists());
}

#[test]
fn eval_is_a_name_under_both_spellings() {
    let call = |module| Pickle::default().global(module, "eval").text("1/0").raw([0x85, b'R']);
    assert_eq!(foreign(&with(call("builtins"))), ["builtins.eval (called once)"]);
    assert_eq!(foreign(&with(call("__builtin__"))), ["builtins.eval (called once)"]);
    let stacked = Pickle::default().text("builtins").text("eval").raw([0x93]).text("1/0").raw([0x85, b'R']);
    assert_eq!(foreign(&with(stacked)), ["builtins.eval (called once)"]);
}

#[test]
fn a_call_by_a_detour_is_named_too() {
    // getattr(os, "system")("ls"): the second call's function is what the first would have returned.
    let detour = Pickle::default()
        .global("builtins", "getattr")
        .global("os", "system")
        .text("__call__")
        .raw([0x86, b'R'])
        .text("ls")
        .raw([0x85, b'R']);
    assert_eq!(foreign(&with(detour)), ["builtins.getattr (called once)", "os.system (never called)"]);
}

#[test]
fn a_name_beside_a_known_one_is_foreign() {
    for (module, name) in [
        ("torch.hub", "load"),
        ("torch.storage", "_load_from_bytes"),
        ("torch._utils", "_import_dotted_name"),
        ("numpy.testing._private.utils", "runstring"),
        ("collections", "OrderedDict.__init__"),
        ("numpy", "load"),
        ("torch", "load"),
        ("torch.FloatStorage", "x"),
    ] {
        let bytes = with(Pickle::default().global(module, name).raw(")R"));
        assert_eq!(foreign(&bytes), [format!("{module}.{name} (called once)")]);
    }
}

#[test]
fn bytes_that_are_a_pickle_stay_bytes() {
    let nested = Pickle::new().global("os", "system").text("ls").raw([0x85, b'R']).stop();
    let load = Pickle::default().global("torch.storage", "_load_from_bytes").raw("B");
    let load = load.raw((nested.len() as u32).to_le_bytes()).raw(&nested).raw([0x85, b'R']);
    assert_eq!(foreign(&with(load)), ["torch.storage._load_from_bytes (called once)"]);
}

#[test]
fn a_second_pickle_behind_the_first_is_refused() {
    let second = Pickle::new().global("os", "system").text("ls").raw([0x85, b'R']).stop();
    let bytes = Zip::checkpoint(&[one_tensor(&SIX), second.clone()].concat(), &[&floats(&[0.0; 6])]).write();
    let error = unopened(&bytes);
    assert!(error.contains("x/data.pkl in x.pth cannot be read"), "{error}");
    assert!(error.contains(&format!("{} bytes follow its end", second.len())), "{error}");
}

#[test]
fn a_pickle_before_the_object_of_a_legacy_file_is_refused() {
    let good = legacy(&one_tensor(&SIX), &[], &[]);
    let facts = b"\x80\x02}.";
    let at = good.windows(facts.len()).position(|window| window == facts).unwrap();
    let call = Pickle::new().global("os", "system").text("ls").raw([0x85, b'R']).stop();
    let bytes = [good.get(..at).unwrap(), &call, good.get(at + facts.len()..).unwrap()].concat();
    assert!(
        unopened(&bytes).contains("the pickle of the machine's facts names os.system"),
        "{}",
        unopened(&bytes)
    );
}

#[test]
fn a_memo_of_high_numbers_costs_what_it_holds() {
    let mut evil = Pickle::default().raw("N");
    for index in 0..1000_u32 {
        evil = evil.raw("r").raw((u32::MAX - index).to_le_bytes());
    }
    assert_eq!(read(&with(evil)), [0.0; 6]);
}

#[test]
fn sixty_doublings_are_read_in_no_time() {
    let mut evil = Pickle::default().raw("]q\x05");
    for _ in 0..60 {
        evil = evil.raw("0](h\x05h\x05eq\x05");
    }
    assert_eq!(read(&with(evil)), [0.0; 6]);
}

#[test]
fn modules_that_double_are_bounded() {
    // Each module has the one before it as two children: a network of 2^60 names.
    let module = |inner: &str| {
        Pickle::default()
            .global("torch.nn", "M")
            .raw([b')', 0x81])
            .raw("}")
            .text("_parameters")
            .raw("}s")
            .text("_modules")
            .raw("}")
            .text("a")
            .raw(inner)
            .raw("s")
            .text("b")
            .raw(inner)
            .raw("ssb")
    };
    let mut pickle = Pickle::new().raw(module("N").0).raw("q\x05");
    for _ in 0..60 {
        pickle = pickle.raw("0").raw(module("h\x05").0).raw("q\x05");
    }
    let error = unopened(&Zip::checkpoint(&pickle.stop(), &[]).write());
    assert!(error.contains("beyond the limit of"), "{error}");
    assert!(error.contains("modules") || error.contains("bytes of names"), "{error}");
}

#[test]
fn a_million_levels_are_one_error() {
    let pickle = [b"]".repeat(1_000_000), b"a".repeat(999_999), b".".to_vec()].concat();
    let error = unopened(&Zip::checkpoint(&pickle, &[]).write());
    assert!(
        error.contains("values are nested more than 1000 levels deep (at byte 1001000, APPEND)"),
        "{error}"
    );
}

#[test]
fn what_holds_itself_is_no_state_dict() {
    let list = Pickle::new().raw("]q\x00h\x00a").stop();
    assert_eq!(untaken(&Zip::checkpoint(&list, &[]).write()), "x.pth holds no state dict: it is a list");
    let dict = Pickle::new().raw("}q\x00").text("state_dict").raw("h\x00s").stop();
    let error = untaken(&Zip::checkpoint(&dict, &[]).write());
    assert_eq!(error, "x.pth holds no state dict: it is a dict with \"state_dict\"");
    // A tensor that is its own parameter.
    let rebuild = Pickle::new().raw("}").text("w").global("torch.nn.parameter", "Parameter").raw(")R");
    let loop_ = rebuild.raw("q\x00(h\x00NNNNtbs").stop();
    let error = untaken(&Zip::checkpoint(&loop_, &[]).write());
    assert_eq!(error, "1 tensor cannot be taken from x.pth: \"w\" is wrapped more than 8 times");
}

#[test]
fn long_keys_that_are_used_often_are_not_copied_often() {
    let long = "k".repeat(100_000);
    let mut pickle = Pickle::new().raw("}").text(&long).raw("q\x05").raw("0(");
    for _ in 0..100_000 {
        pickle = pickle.raw("h\x05N");
    }
    let pickle = pickle.raw("u").text("w").tensor(&SIX).raw("s").stop();
    let checkpoint = OneFile::of(&Zip::checkpoint(&pickle, &[&floats(&[0.0; 6])]).write()).open().unwrap();
    let dictionary = checkpoint.origin().taken.as_ref().unwrap();
    assert_eq!((dictionary.others, dictionary.skipped.len()), (100_000, 256));
    assert_eq!(dictionary.skipped[0].name.len(), 200);
}

#[test]
fn text_protocols_are_refused_inside_an_archive_too() {
    let error = unopened(&Zip::checkpoint(b"(dp0\nS'a'\np1\nI1\ns.", &[]).write());
    assert!(error.contains("PyTorch does not write this opcode (at byte 1, DICT)"), "{error}");
}
