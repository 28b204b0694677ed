//! The opcodes, by name: which the machine runs, and which it refuses by name.

macro_rules! opcodes {
    ($($name:ident $code:literal)*) => {
        $(pub(super) const $name: u8 = $code;)*

        /// The name of an opcode, as Python's `pickletools` gives it; `?` for a byte that is none.
        pub const fn name(code: u8) -> &'static str {
            match code { $($code => stringify!($name),)* _ => "?" }
        }
    };
}

opcodes! {
    // What PyTorch's restricted reader accepts: the opcodes of protocol 2.
    PROTO 0x80 STOP b'.' MARK b'(' NONE b'N' NEWTRUE 0x88 NEWFALSE 0x89
    BININT b'J' BININT1 b'K' BININT2 b'M' LONG1 0x8a BINFLOAT b'G' BINUNICODE b'X' SHORT_BINSTRING b'U'
    EMPTY_TUPLE b')' EMPTY_LIST b']' EMPTY_DICT b'}' EMPTY_SET 0x8f
    TUPLE b't' TUPLE1 0x85 TUPLE2 0x86 TUPLE3 0x87
    APPEND b'a' APPENDS b'e' SETITEM b's' SETITEMS b'u'
    BINPUT b'q' LONG_BINPUT b'r' BINGET b'h' LONG_BINGET b'j'
    GLOBAL b'c' REDUCE b'R' BUILD b'b' NEWOBJ 0x81 BINPERSID b'Q'
    // The same meanings in other protocols and in Python 2: no new powers.
    STACK_GLOBAL 0x93 MEMOIZE 0x94 FRAME 0x95 SHORT_BINUNICODE 0x8c BINUNICODE8 0x8d
    BINBYTES b'B' SHORT_BINBYTES b'C' BINBYTES8 0x8e BYTEARRAY8 0x96 ADDITEMS 0x90 FROZENSET 0x91
    LONG4 0x8b POP b'0' DUP b'2' POP_MARK b'1' BINSTRING b'T'
    // Refused. The text opcodes of protocol 0, which PyTorch never writes and scanners were evaded with:
    INT b'I' LONG b'L' FLOAT b'F' STRING b'S' UNICODE b'V' LIST b'l' DICT b'd' GET b'g' PUT b'p' PERSID b'P' INST b'i'
    // calls that protocol 2 spells otherwise, registries and buffers outside of the stream:
    OBJ b'o' EXT1 0x82 EXT2 0x83 EXT4 0x84 NEWOBJ_EX 0x92 NEXT_BUFFER 0x97 READONLY_BUFFER 0x98
}
