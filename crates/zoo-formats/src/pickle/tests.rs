//! The machine, opcode by opcode, and what it refuses.

use super::*;
use crate::Error;

fn read(bytes: &[u8]) -> Pickle {
    parse(bytes, "test", &Options::default()).unwrap_or_else(|error| panic!("{error}"))
}

fn refused(bytes: &[u8]) -> String {
    parse(bytes, "test", &Options::default()).unwrap_err().to_string()
}

/// A value as Python would show it; what is deeper than `depth` is left out.
fn show(pickle: &Pickle, id: Id, depth: usize) -> String {
    if depth == 0 {
        return "…".to_owned();
    }
    let list = |ids: &[Id]| ids.iter().map(|&id| show(pickle, id, depth - 1)).collect::<Vec<_>>().join(", ");
    let pairs = |pairs: &[(Id, Id)]| {
        let show = |id| show(pickle, id, depth - 1);
        pairs
            .iter()
            .map(|&(key, value)| format!("{}: {}", show(key), show(value)))
            .collect::<Vec<_>>()
            .join(", ")
    };
    match pickle.get(id) {
        Value::None => "None".to_owned(),
        Value::Bool(value) => if value { "True" } else { "False" }.to_owned(),
        Value::Int(value) => value.to_string(),
        Value::BigInt(bytes) => format!("{bytes:02x?}"),
        Value::Float(value) => format!("{value:?}"),
        Value::Str(text) => format!("{text:?}"),
        Value::Bytes(bytes) => format!("b\"{}\"", bytes.escape_ascii()),
        Value::List(items) => format!("[{}]", list(items)),
        Value::Tuple(items) => format!("({})", list(items)),
        Value::Set(items) => format!("{{{}}}", list(items)),
        Value::Dict(entries) => format!("{{{}}}", pairs(entries)),
        Value::Global(global) => global.to_string(),
        Value::Persistent(id) => format!("persistent{}", show(pickle, id, depth - 1)),
        Value::Object(object) => {
            let call =
                format!("{}{}", show(pickle, object.callee, depth - 1), show(pickle, object.args, depth - 1));
            let more = [
                ("state", list(&object.states)),
                ("items", list(&object.items)),
                ("pairs", pairs(&object.pairs)),
            ];
            let more = more.iter().filter(|(_, shown)| !shown.is_empty());
            more.fold(call, |text, (what, shown)| format!("{text} {what} {shown}"))
        }
    }
}

fn shown(bytes: &[u8]) -> String {
    let pickle = read(bytes);
    assert_eq!(pickle.consumed(), bytes.len() as u64);
    show(&pickle, pickle.root(), 8)
}

#[test]
fn plain_values() {
    for (bytes, expected) in [
        (&b"\x80\x02N."[..], "None"),
        (b"\x88.", "True"),
        (b"\x89.", "False"),
        (b"K\xff.", "255"),
        (b"M\x39\x05.", "1337"),
        (b"J\xff\xff\xff\xff.", "-1"),
        (b"\x8a\x00.", "0"),
        (b"\x8a\x01\xff.", "-1"),
        (b"\x8a\x08\xff\xff\xff\xff\xff\xff\xff\x7f.", "9223372036854775807"),
        (b"\x8a\x09\x00\x00\x00\x00\x00\x00\x00\x80\xff.", "-9223372036854775808"),
        (b"\x8a\x09\xff\xff\xff\xff\xff\xff\xff\xff\x00.", "[ff, ff, ff, ff, ff, ff, ff, ff, 00]"),
        (b"\x8b\x02\x00\x00\x00\x00\x01.", "256"),
        (b"G\x3f\xf8\x00\x00\x00\x00\x00\x00.", "1.5"),
        (b"X\x03\x00\x00\x00\xc3\xa4b.", "\"äb\""),
        (b"\x8c\x01a.", "\"a\""),
        (b"\x8d\x01\x00\x00\x00\x00\x00\x00\x00a.", "\"a\""),
        (b"X\x03\x00\x00\x00\xed\xa0\x80.", "b\"\\xed\\xa0\\x80\""),
        (b"U\x02ab.", "b\"ab\""),
        (b"T\x02\x00\x00\x00ab.", "b\"ab\""),
        (b"C\x01a.", "b\"a\""),
        (b"B\x01\x00\x00\x00a.", "b\"a\""),
        (b"\x8e\x01\x00\x00\x00\x00\x00\x00\x00a.", "b\"a\""),
        (b"\x96\x01\x00\x00\x00\x00\x00\x00\x00a.", "b\"a\""),
    ] {
        assert_eq!(shown(bytes), expected, "{}", bytes.escape_ascii());
    }
}

#[test]
fn containers_and_the_stack() {
    for (bytes, expected) in [
        (&b")."[..], "()"),
        (b"K\x01\x85.", "(1)"),
        (b"K\x01K\x02\x86.", "(1, 2)"),
        (b"K\x01K\x02K\x03\x87.", "(1, 2, 3)"),
        (b"(K\x01K\x02K\x03K\x04t.", "(1, 2, 3, 4)"),
        (b"]K\x01a(K\x02K\x03e.", "[1, 2, 3]"),
        (b"}K\x01K\x02s(K\x03NK\x01\x88u.", "{1: 2, 3: None, 1: True}"),
        (b"\x8f(K\x01K\x02\x90.", "{1, 2}"),
        (b"(K\x01K\x02\x91.", "{1, 2}"),
        (b"K\x01K\x020.", "1"),
        (b"K\x01(K\x02K\x031.", "1"),
        (b"K\x01(0.", "1"),
        (b"K\x012\x86.", "(1, 1)"),
        (b"]q\x07h\x07\x86.", "([], [])"),
        (b"]r\xff\xff\xff\xff0j\xff\xff\xff\xff.", "[]"),
        (b"\x80\x04\x95\x05\x00\x00\x00\x00\x00\x00\x00K\x01\x940h\x00.", "1"),
    ] {
        assert_eq!(shown(bytes), expected, "{}", bytes.escape_ascii());
    }
}

#[test]
fn what_python_would_call_is_noted() {
    for (bytes, expected) in [
        (&b"cos\nsystem\nX\x02\x00\x00\x00ls\x85R."[..], "os.system(\"ls\")"),
        (b"\x8c\x02os\x8c\x06system\x93\x8c\x02ls\x85R.", "os.system(\"ls\")"),
        (b"c__builtin__\nset\n]\x85R.", "builtins.set([])"),
        (b"ccopy_reg\n_reconstructor\n)R.", "copyreg._reconstructor()"),
        (b"cm\nC\n)\x81}b.", "m.C() state {}"),
        (b"cm\nC\n)\x81K\x01aK\x02a.", "m.C() items 1, 2"),
        (b"cm\nC\n)\x81(K\x01\x90K\x02K\x03s.", "m.C() items 1 pairs 2: 3"),
        (b"cm\nC\n)R)R.", "m.C()()"),
        (b"K\x01\x85Q.", "persistent(1)"),
    ] {
        assert_eq!(shown(bytes), expected, "{}", bytes.escape_ascii());
    }
    let pickle = read(b"cm\nC\nq\x00h\x00cm\nC\n\x87.");
    assert_eq!(pickle.globals().iter().map(|global| global.mentions).collect::<Vec<_>>(), [2]);
}

#[test]
fn what_python_wrote_is_read() {
    // pickle.dumps({"a": [1, 2.5, None], "b": (True, b"x"), "c": {3}, "d": datetime.date(2024, 5, 17)}, protocol)
    let two = b"\x80\x02}q\x00(X\x01\x00\x00\x00aq\x01]q\x02(K\x01G@\x04\x00\x00\x00\x00\x00\x00NeX\x01\x00\x00\x00bq\x03\x88c_codecs\nencode\nq\x04X\x01\x00\x00\x00xq\x05X\x06\x00\x00\x00latin1q\x06\x86q\x07Rq\x08\x86q\tX\x01\x00\x00\x00cq\nc__builtin__\nset\nq\x0b]q\x0cK\x03a\x85q\rRq\x0eX\x01\x00\x00\x00dq\x0fcdatetime\ndate\nq\x10h\x04X\x05\x00\x00\x00\x07\xc3\xa8\x05\x11q\x11h\x06\x86q\x12Rq\x13\x85q\x14Rq\x15u.";
    assert_eq!(
        shown(two),
        "{\"a\": [1, 2.5, None], \"b\": (True, _codecs.encode(\"x\", \"latin1\")), \"c\": builtins.set([3]), \
         \"d\": datetime.date(_codecs.encode(\"\\u{7}è\\u{5}\\u{11}\", \"latin1\"))}"
    );
    let four = b"\x80\x04\x95Q\x00\x00\x00\x00\x00\x00\x00}\x94(\x8c\x01a\x94]\x94(K\x01G@\x04\x00\x00\x00\x00\x00\x00Ne\x8c\x01b\x94\x88C\x01x\x94\x86\x94\x8c\x01c\x94\x8f\x94(K\x03\x90\x8c\x01d\x94\x8c\x08datetime\x94\x8c\x04date\x94\x93\x94C\x04\x07\xe8\x05\x11\x94\x85\x94R\x94u.";
    assert_eq!(
        shown(four),
        "{\"a\": [1, 2.5, None], \"b\": (True, b\"x\"), \"c\": {3}, \"d\": datetime.date(b\"\\x07\\xe8\\x05\\x11\")}"
    );
}

#[test]
fn each_pickle_of_a_stack_is_read_alone() {
    let bytes = b"\x80\x02K\x01.\x80\x02K\x02.";
    let first = read(bytes);
    assert_eq!((first.int(first.root()), first.consumed()), (Some(1), 5));
    let second = read(bytes.get(5..).unwrap());
    assert_eq!((second.int(second.root()), second.consumed()), (Some(2), 5));
    assert_eq!(
        refused(b"\x80\x02K\x01\x80\x02K\x02."),
        "test cannot be read: a second pickle begins inside of the first (at byte 4, PROTO)"
    );
}

#[test]
fn what_is_damaged_is_named_with_its_byte() {
    for (bytes, problem) in [
        (&b""[..], "1 bytes are wanted and 0 are left (at byte 0, STOP)"),
        (b"\x80\x02K", "1 bytes are wanted and 0 are left (at byte 2, BININT1)"),
        (b"X\xff\xff\xff\xffab.", "4294967295 bytes are promised and 3 are left (at byte 0, BINUNICODE)"),
        (
            b"\x8d\xff\xff\xff\xff\xff\xff\xff\xffab.",
            "18446744073709551615 bytes are promised and 3 are left (at byte 0, BINUNICODE8)",
        ),
        (b"\x8a\xffab.", "255 bytes are promised and 3 are left (at byte 0, LONG1)"),
        (b"\x8b\xff\xff\xff\xff.", "an integer has a negative length (at byte 0, LONG4)"),
        (b"T\xff\xff\xff\xff.", "a string has a negative length (at byte 0, BINSTRING)"),
        (b".", "the stack is empty (at byte 0, STOP)"),
        (b"K\x01(0e.", "there is no mark (at byte 4, APPENDS)"),
        (b"K\x01(\x85.", "the stack is empty (at byte 3, TUPLE1)"),
        (b"K\x01K\x02.", "values are left over at the end (at byte 4, STOP)"),
        (b"(K\x01.", "values are left over at the end (at byte 3, STOP)"),
        (b"t.", "there is no mark (at byte 0, TUPLE)"),
        (b"h\x05.", "the memo has no entry 5 (at byte 0, BINGET)"),
        (b"q\x05.", "the stack is empty (at byte 0, BINPUT)"),
        (b"}(K\x01u.", "a key has no value (at byte 4, SETITEMS)"),
        (b"K\x01K\x02a.", "it cannot be applied to an int (at byte 4, APPEND)"),
        (b"]K\x01K\x02s.", "it cannot be applied to a list (at byte 5, SETITEM)"),
        (b"](K\x01\x90.", "it cannot be applied to a list (at byte 4, ADDITEMS)"),
        (b"}}b.", "it cannot be applied to a dict (at byte 2, BUILD)"),
        (b"cm\nC\nK\x01R.", "arguments are a tuple, not an int (at byte 7, REDUCE)"),
        (b"K\x01\x8c\x01a\x93.", "a name is an int (at byte 5, STACK_GLOBAL)"),
        (b"cos", "a name does not end within 1024 bytes (at byte 0, GLOBAL)"),
        (b"c\xff\n\xff\n.", "a name is not UTF-8 (at byte 0, GLOBAL)"),
        (b"\x80\x06.", "pickle protocol 6 is not known (at byte 0, PROTO)"),
        (b"\xff.", "0xff is no opcode (at byte 0, ?)"),
    ] {
        assert_eq!(refused(bytes), format!("test cannot be read: {problem}"), "{}", bytes.escape_ascii());
    }
}

#[test]
fn opcodes_that_pytorch_does_not_write_are_refused_by_name() {
    let refused_codes = [
        "INT",
        "LONG",
        "FLOAT",
        "STRING",
        "UNICODE",
        "LIST",
        "DICT",
        "GET",
        "PUT",
        "PERSID",
        "INST",
        "OBJ",
        "EXT1",
        "EXT2",
        "EXT4",
        "NEWOBJ_EX",
        "NEXT_BUFFER",
        "READONLY_BUFFER",
    ];
    let mut found = Vec::new();
    for code in 0..=u8::MAX {
        let error = parse(&[code], "test", &Options::default()).unwrap_err().to_string();
        if error.contains("PyTorch does not write this opcode") {
            found.push(opcode::name(code));
        }
        let known = opcode::name(code) != "?";
        assert_eq!(error.contains("is no opcode"), !known, "{error}");
    }
    found.sort_unstable();
    let mut expected = refused_codes.to_vec();
    expected.sort_unstable();
    assert_eq!(found, expected);
}

#[test]
fn limits_hold() {
    let options = Options {
        max_bytes: 1000,
        max_opcodes: 40,
        max_values: 10,
        max_memo: 3,
        max_depth: 4,
        max_integer_bytes: 16,
        max_globals: 2,
    };
    let refused = |bytes: &[u8]| parse(bytes, "test", &options).unwrap_err().to_string();
    assert_eq!(refused(&b"]".repeat(11)), "test has 11 values, beyond the limit of 10");
    assert_eq!(refused(&b"]0".repeat(30)), "test has 11 values, beyond the limit of 10");
    assert_eq!(
        refused(&[b"]".as_slice(), &b"2".repeat(60)].concat()),
        "test has 41 opcodes, beyond the limit of 40"
    );
    assert_eq!(refused(b"]q\x00q\x01q\x02q\x03."), "test has 4 memo entries, beyond the limit of 3");
    assert_eq!(
        refused(b"]\x85\x85\x85\x85\x85."),
        "test cannot be read: values are nested more than 4 levels deep (at byte 5, TUPLE1)"
    );
    assert_eq!(
        refused(&[b"\x8a\x11".as_slice(), &[0; 17], b"."].concat()),
        "test cannot be read: 17 bytes are more than the limit of 16 for such a value (at byte 0, LONG1)"
    );
    assert_eq!(refused(b"ca\nb\nca\nc\nca\nd\n."), "test has 3 different names, beyond the limit of 2");
    let long = [b"X\xe8\x03\x00\x00".as_slice(), &[b'a'; 1000], b"0N."].concat();
    assert_eq!(refused(&long), "test has 1005 bytes, beyond the limit of 1000");
}

#[test]
fn a_value_may_hold_itself() {
    let pickle = read(b"]q\x00h\x00a.");
    let Value::List(&[only]) = pickle.get(pickle.root()) else { panic!() };
    assert_eq!(only, pickle.root());
    assert_eq!(show(&pickle, pickle.root(), 3), "[[[…]]]");
    // Two lists that hold each other.
    let pickle = read(b"]q\x00]q\x01h\x00aa.");
    assert_eq!(show(&pickle, pickle.root(), 4), "[[[[…]]]]");
}

#[test]
fn a_million_levels_are_refused_early_and_dropped_without_recursion() {
    let bytes = [b"]".repeat(1_000_000), b"a".repeat(999_999), b".".to_vec()].concat();
    let error = parse(&bytes, "test", &Options::default()).unwrap_err().to_string();
    assert_eq!(
        error,
        "test cannot be read: values are nested more than 1000 levels deep (at byte 1001000, APPEND)"
    );
    // A chain that hides its depth: each list is put into the one before while it is still empty.
    let link = b"]q\x01h\x00h\x01a0q\x00";
    let chain = [b"(]q\x00".to_vec(), link.repeat(200_000), b"t.".to_vec()].concat();
    let pickle = parse(&chain, "test", &Options::default());
    drop(pickle.unwrap());
}

#[test]
fn doubling_costs_nothing() {
    // l = [l, l], sixty times: written out it would have 2^60 members.
    let mut bytes = b"]q\x00".to_vec();
    for _ in 0..60 {
        bytes.extend_from_slice(b"]q\x01h\x00ah\x00aq\x00");
    }
    bytes.extend_from_slice(b"h\x00.");
    // Everything that is left on the stack is put into one tuple, so that the pickle ends well.
    let bytes = [b"(".as_slice(), bytes.strip_suffix(b".").unwrap(), b"t."].concat();
    let pickle = read(&bytes);
    assert_eq!(pickle.len(), 62);
}

#[test]
fn an_error_is_an_error_of_the_pickle() {
    let error = parse(b"K", "data.pkl in x.pth", &Options::default()).unwrap_err();
    assert!(matches!(error, Error::Pickle { offset: 0, opcode: "BININT1", .. }), "{error:?}");
    assert!(error.hint().unwrap().contains("nothing of it was executed"));
}

/// A pickle of several hundred kilobytes, so that texts, numbers and names lie across the pieces that a file is read in.
#[test]
fn a_file_reads_as_memory_does() {
    use std::io::Write as _;

    let mut bytes = b"\x80\x02(".to_vec();
    for length in 0..700_u32 {
        bytes.push(b'X');
        bytes.extend_from_slice(&length.to_le_bytes());
        bytes.extend(std::iter::repeat_n(b'a' + (length % 26) as u8, length as usize));
        bytes.extend_from_slice(format!("cmodule{length}\nname\n)RJ").as_bytes());
        bytes.extend_from_slice(&length.to_le_bytes());
    }
    bytes.push(b'B');
    bytes.extend_from_slice(&200_000_u32.to_le_bytes());
    bytes.extend(std::iter::repeat_n(7, 200_000));
    bytes.extend_from_slice(b"t.");
    let mut file = tempfile::NamedTempFile::new().unwrap();
    file.write_all(b"before").unwrap();
    file.write_all(&bytes).unwrap();
    file.write_all(b"K\x01.").unwrap();

    let reader = crate::file::SourceReader::open(file.path()).unwrap();
    let mut input = Input::file(&reader, 6);
    let options = Options::default();
    let from_file = run(&mut input, "test", &options).unwrap();
    let from_memory = read(&bytes);
    assert_eq!(from_file.consumed(), bytes.len() as u64);
    let shown = |pickle: &Pickle| show(pickle, pickle.root(), 8);
    assert!(shown(&from_file) == shown(&from_memory), "they differ");
    // What follows is read from where the first one ended.
    assert_eq!((input.position(), input.remaining()), (6 + bytes.len() as u64, 3));
    let next = run(&mut input, "test", &options).unwrap();
    assert_eq!(next.int(next.root()), Some(1));
    let error = run(&mut input, "test", &options).unwrap_err().to_string();
    assert!(error.contains("1 bytes are wanted and 0 are left"), "{error}");
}
