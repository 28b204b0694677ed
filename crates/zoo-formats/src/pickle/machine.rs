//! The machine: a stack, marks in it, a memo, and one function per kind of opcode.

use std::collections::HashMap;

use super::input::{Input, Short};
use super::opcode as op;
use super::value::{Global, Id, Node, Object, Pickle};
use super::{Options, Value};
use crate::{Error, Result, limits};

/// Runs the input up to and including STOP.
pub(crate) fn run(input: &mut Input<'_>, name: &str, options: &Options) -> Result<Pickle> {
    let start = input.position();
    // Numbers of values and places in the pools have 32 bits. What a tuple holds was pushed by an opcode each.
    let mut options = options.clone();
    options.max_bytes = options.max_bytes.min(u64::from(u32::MAX));
    options.max_opcodes = options.max_opcodes.min(u64::from(u32::MAX));
    options.max_values = options.max_values.min(u32::MAX as usize);
    let mut machine = Machine {
        input,
        name,
        options: &options,
        start,
        at: start,
        opcode: op::PROTO,
        out: Pickle::default(),
        depths: Vec::new(),
        stack: Vec::new(),
        marks: Vec::new(),
        memo: HashMap::new(),
        global_numbers: HashMap::new(),
        small_ints: Box::new([None; 256]),
    };
    machine.run()?;
    Ok(machine.out)
}

struct Machine<'m, 'i> {
    input: &'m mut Input<'i>,
    name: &'m str,
    options: &'m Options,
    start: u64,
    /// Position and code of the opcode at hand, for errors.
    at: u64,
    opcode: u8,
    out: Pickle,
    /// For each value how many levels it holds. Values that are filled after they were put into another one can be
    /// deeper than this says, so readers must not recurse; it is here to refuse bombs early and at the right byte.
    depths: Vec<u16>,
    stack: Vec<Id>,
    /// Heights of the stack at which marks stand.
    marks: Vec<usize>,
    memo: HashMap<u32, Id>,
    global_numbers: HashMap<(String, String), u32>,
    /// Values of 0 to 255, which sizes and strides are mostly made of.
    small_ints: Box<[Option<Id>; 256]>,
}

impl Machine<'_, '_> {
    fn run(&mut self) -> Result<()> {
        for _ in 0..self.options.max_opcodes {
            self.at = self.input.position();
            if self.at - self.start > self.options.max_bytes {
                return Err(self.too_much("bytes", self.at - self.start, self.options.max_bytes));
            }
            self.opcode = op::STOP; // What the error names when not even an opcode is left.
            self.opcode = self.byte()?;
            if self.opcode == op::STOP {
                let root = self.pop()?;
                if !self.stack.is_empty() || !self.marks.is_empty() {
                    return Err(self.error("values are left over at the end"));
                }
                self.out.root = Some(root);
                self.out.consumed = self.input.position() - self.start;
                return Ok(());
            }
            self.step()?;
        }
        Err(self.too_much("opcodes", self.options.max_opcodes + 1, self.options.max_opcodes))
    }

    fn step(&mut self) -> Result<()> {
        match self.opcode {
            op::PROTO => self.protocol(),
            op::FRAME => self.take(8).map(drop), // Python too only uses it to read ahead.

            op::NONE => self.push_new(Node::None),
            op::NEWTRUE => self.push_new(Node::Bool(true)),
            op::NEWFALSE => self.push_new(Node::Bool(false)),
            op::BININT1 => {
                let value = self.byte()?;
                self.push_int(i64::from(value))
            }
            op::BININT2 => {
                let value = u16::from_le_bytes(self.array()?);
                self.push_int(i64::from(value))
            }
            op::BININT => {
                let value = i32::from_le_bytes(self.array()?);
                self.push_int(i64::from(value))
            }
            op::LONG1 | op::LONG4 => self.long(),
            op::BINFLOAT => {
                let value = f64::from_be_bytes(self.array()?);
                self.push_new(Node::Float(value))
            }

            op::SHORT_BINUNICODE | op::BINUNICODE | op::BINUNICODE8 => self.string(true),
            op::SHORT_BINSTRING
            | op::BINSTRING
            | op::SHORT_BINBYTES
            | op::BINBYTES
            | op::BINBYTES8
            | op::BYTEARRAY8 => self.string(false),

            op::EMPTY_TUPLE => self.tuple(0),
            op::TUPLE1 => self.tuple(1),
            op::TUPLE2 => self.tuple(2),
            op::TUPLE3 => self.tuple(3),
            op::TUPLE => {
                let count = self.above_mark()?;
                self.tuple(count)
            }
            op::EMPTY_LIST => self.push_new(Node::List(Vec::new())),
            op::EMPTY_DICT => self.push_new(Node::Dict(Vec::new())),
            op::EMPTY_SET => self.push_new(Node::Set(Vec::new())),
            op::FROZENSET => {
                let count = self.above_mark()?;
                let items = self.pop_many(count)?;
                let depth = self.depth_over(&items)?;
                self.push_deep(Node::Set(items), depth)
            }
            op::APPEND => self.append(1),
            op::APPENDS | op::ADDITEMS => {
                let count = self.above_mark()?;
                self.append(count)
            }
            op::SETITEM => self.set_items(2),
            op::SETITEMS => {
                let count = self.above_mark()?;
                self.set_items(count)
            }

            op::MARK => {
                self.marks.push(self.stack.len());
                Ok(())
            }
            op::POP => self.drop_top(),
            op::POP_MARK => {
                let count = self.above_mark()?;
                self.pop_many(count).map(drop)
            }
            op::DUP => {
                let top = self.top()?;
                self.stack.push(top);
                Ok(())
            }
            op::BINPUT | op::LONG_BINPUT => {
                let index = self.memo_index()?;
                self.memoize(index)
            }
            op::MEMOIZE => {
                let index = self.memo.len() as u32;
                self.memoize(index)
            }
            op::BINGET | op::LONG_BINGET => {
                let index = self.memo_index()?;
                let Some(&id) = self.memo.get(&index) else {
                    return Err(self.error(format!("the memo has no entry {index}")));
                };
                self.stack.push(id);
                Ok(())
            }

            op::GLOBAL => self.global(),
            op::STACK_GLOBAL => self.stack_global(),
            op::REDUCE | op::NEWOBJ => self.object(),
            op::BUILD => self.build(),
            op::BINPERSID => {
                let id = self.pop()?;
                let depth = self.depth_over(&[id])?;
                self.push_deep(Node::Persistent(id), depth)
            }

            op::INT
            | op::LONG
            | op::FLOAT
            | op::STRING
            | op::UNICODE
            | op::LIST
            | op::DICT
            | op::GET
            | op::PUT
            | op::PERSID
            | op::INST
            | op::OBJ
            | op::EXT1
            | op::EXT2
            | op::EXT4
            | op::NEWOBJ_EX
            | op::NEXT_BUFFER
            | op::READONLY_BUFFER => Err(self.error("PyTorch does not write this opcode")),
            code => Err(self.error(format!("0x{code:02x} is no opcode"))),
        }
    }

    // Input.

    fn take(&mut self, count: usize) -> Result<&[u8]> {
        let remaining = self.input.remaining();
        if count as u64 > remaining {
            return Err(self.error(format!("{count} bytes are wanted and {remaining} are left")));
        }
        // Split to please the borrow checker: an error needs all of the machine, the bytes need its input only.
        let (name, at, opcode) = (self.name, self.at, self.opcode);
        self.input.take(count).map_err(|short| short_error(name, at, opcode, short))
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N]> {
        let mut array = [0; N];
        array.copy_from_slice(self.take(N)?);
        Ok(array)
    }

    fn byte(&mut self) -> Result<u8> {
        self.array::<1>().map(|[byte]| byte)
    }

    /// A length, compared with what is left and with what one value may have, before anything is reserved for it.
    fn length(&mut self, length: u64, limit: u64) -> Result<usize> {
        let remaining = self.input.remaining();
        if length > remaining {
            return Err(self.error(format!("{length} bytes are promised and {remaining} are left")));
        }
        if length > limit {
            return Err(
                self.error(format!("{length} bytes are more than the limit of {limit} for such a value"))
            );
        }
        Ok(length as usize)
    }

    // Stack.

    /// The height below which nothing may be popped.
    fn floor(&self) -> usize {
        self.marks.last().copied().unwrap_or(0)
    }

    fn top(&self) -> Result<Id> {
        match self.stack.last() {
            Some(&id) if self.stack.len() > self.floor() => Ok(id),
            _ => Err(self.error("the stack is empty")),
        }
    }

    fn pop(&mut self) -> Result<Id> {
        let top = self.top()?;
        self.stack.pop();
        Ok(top)
    }

    fn pop_many(&mut self, count: usize) -> Result<Vec<Id>> {
        match self.stack.len().checked_sub(count) {
            Some(rest) if rest >= self.floor() => Ok(self.stack.split_off(rest)),
            _ => Err(self.error("the stack is empty")),
        }
    }

    /// Removes the topmost mark and says how many values stand above it.
    fn above_mark(&mut self) -> Result<usize> {
        match self.marks.pop() {
            Some(mark) => Ok(self.stack.len() - mark.min(self.stack.len())),
            None => Err(self.error("there is no mark")),
        }
    }

    /// POP takes a mark off if nothing stands above it, as in Python.
    fn drop_top(&mut self) -> Result<()> {
        if self.stack.len() > self.floor() || self.marks.is_empty() {
            return self.pop().map(drop);
        }
        self.marks.pop();
        Ok(())
    }

    // Values.

    fn new_value(&mut self, node: Node, depth: u16) -> Result<Id> {
        let count = self.out.nodes.len();
        if count >= self.options.max_values {
            return Err(self.too_much("values", count as u64 + 1, self.options.max_values as u64));
        }
        self.out.nodes.push(node);
        self.depths.push(depth);
        Ok(Id(count as u32))
    }

    fn push_new(&mut self, node: Node) -> Result<()> {
        self.push_deep(node, 0)
    }

    fn push_deep(&mut self, node: Node, depth: u16) -> Result<()> {
        let id = self.new_value(node, depth)?;
        self.stack.push(id);
        Ok(())
    }

    fn push_int(&mut self, value: i64) -> Result<()> {
        let known = usize::try_from(value).ok().and_then(|value| self.small_ints.get(value).copied());
        let Some(cached) = known else { return self.push_new(Node::Int(value)) };
        let id = match cached {
            Some(id) => id,
            None => self.new_value(Node::Int(value), 0)?,
        };
        if let Some(place) = self.small_ints.get_mut(value as usize) {
            *place = Some(id);
        }
        self.stack.push(id);
        Ok(())
    }

    /// How deep a value over these is, or an error if that is too deep.
    fn depth_over(&self, children: &[Id]) -> Result<u16> {
        let deepest = children.iter().filter_map(|id| self.depths.get(id.0 as usize)).max();
        let depth = deepest.map_or(0, |depth| depth.saturating_add(1));
        if depth > self.options.max_depth {
            let problem = format!("values are nested more than {} levels deep", self.options.max_depth);
            return Err(self.error(problem));
        }
        Ok(depth)
    }

    /// Notes that a container now holds these. One that holds itself is no deeper for it.
    fn deepen(&mut self, parent: Id, children: &[Id]) -> Result<()> {
        let depth = match children {
            [only] if *only == parent => 0,
            _ => self.depth_over(children)?,
        };
        if let Some(known) = self.depths.get_mut(parent.0 as usize) {
            *known = depth.max(*known);
        }
        Ok(())
    }

    fn protocol(&mut self) -> Result<()> {
        let version = self.byte()?;
        if self.at != self.start {
            return Err(self.error("a second pickle begins inside of the first"));
        }
        if version > 5 {
            return Err(self.error(format!("pickle protocol {version} is not known")));
        }
        Ok(())
    }

    fn long(&mut self) -> Result<()> {
        let length = match self.opcode {
            op::LONG1 => i64::from(self.byte()?),
            _ => i64::from(i32::from_le_bytes(self.array()?)),
        };
        let Ok(length) = u64::try_from(length) else {
            return Err(self.error("an integer has a negative length"));
        };
        let length = self.length(length, self.options.max_integer_bytes as u64)?;
        let bytes = self.take(length)?;
        let negative = bytes.last().is_some_and(|byte| byte & 0x80 != 0);
        let fill = if negative { 0xff } else { 0 };
        let mut low = [fill; 8];
        low.iter_mut().zip(bytes).for_each(|(to, from)| *to = *from);
        let value = i64::from_le_bytes(low);
        // Whatever lies above the low eight bytes must repeat the sign, and their own sign must be the number's.
        let fits = bytes.iter().skip(8).all(|&byte| byte == fill) && (value < 0) == negative;
        if fits {
            return self.push_int(value);
        }
        let bytes = bytes.to_vec();
        let span = self.out.store_bytes(&bytes);
        self.push_new(Node::BigInt(span))
    }

    fn string(&mut self, unicode: bool) -> Result<()> {
        let length = match self.opcode {
            op::SHORT_BINUNICODE | op::SHORT_BINSTRING | op::SHORT_BINBYTES => u64::from(self.byte()?),
            op::BINUNICODE | op::BINBYTES => u64::from(u32::from_le_bytes(self.array()?)),
            op::BINSTRING => match u64::try_from(i32::from_le_bytes(self.array()?)) {
                Ok(length) => length,
                Err(_) => return Err(self.error("a string has a negative length")),
            },
            _ => u64::from_le_bytes(self.array()?),
        };
        let length = self.length(length, self.options.max_bytes)?;
        let (name, at, opcode) = (self.name, self.at, self.opcode);
        let bytes = self.input.take(length).map_err(|short| short_error(name, at, opcode, short))?;
        let node = match std::str::from_utf8(bytes) {
            Ok(text) if unicode => Node::Str(self.out.store_text(text)),
            _ => Node::Bytes(self.out.store_bytes(bytes)),
        };
        self.push_new(node)
    }

    fn tuple(&mut self, count: usize) -> Result<()> {
        let items = self.pop_many(count)?;
        let depth = self.depth_over(&items)?;
        let span = self.out.store_links(items.into_iter());
        self.push_deep(Node::Tuple(span), depth)
    }

    fn append(&mut self, count: usize) -> Result<()> {
        let mut items = self.pop_many(count)?;
        let target = self.top()?;
        self.deepen(target, &items)?;
        match self.out.nodes.get_mut(target.0 as usize) {
            Some(Node::List(list)) if self.opcode != op::ADDITEMS => list.append(&mut items),
            Some(Node::Set(set)) if self.opcode == op::ADDITEMS => set.append(&mut items),
            Some(Node::Object(object)) => object.items.append(&mut items),
            _ => return Err(self.wrong_target(target)),
        }
        Ok(())
    }

    fn set_items(&mut self, count: usize) -> Result<()> {
        let items = self.pop_many(count)?;
        let (pairs, rest) = items.as_chunks::<2>();
        if !rest.is_empty() {
            return Err(self.error("a key has no value"));
        }
        let target = self.top()?;
        self.deepen(target, &items)?;
        let pairs = pairs.iter().map(|&[key, value]| (key, value));
        match self.out.nodes.get_mut(target.0 as usize) {
            Some(Node::Dict(dict)) => dict.extend(pairs),
            Some(Node::Object(object)) => object.pairs.extend(pairs),
            _ => return Err(self.wrong_target(target)),
        }
        Ok(())
    }

    fn wrong_target(&self, target: Id) -> Error {
        self.error(format!("it cannot be applied to {}", self.out.get(target).kind()))
    }

    // Memo.

    fn memo_index(&mut self) -> Result<u32> {
        match self.opcode {
            op::BINPUT | op::BINGET => self.byte().map(u32::from),
            _ => self.array().map(u32::from_le_bytes),
        }
    }

    fn memoize(&mut self, index: u32) -> Result<()> {
        let top = self.top()?;
        self.memo.insert(index, top);
        if self.memo.len() > self.options.max_memo {
            return Err(self.too_much("memo entries", self.memo.len() as u64, self.options.max_memo as u64));
        }
        Ok(())
    }

    // Names, and what stands in for calling them.

    fn global(&mut self) -> Result<()> {
        let mut names = [String::new(), String::new()];
        for to in &mut names {
            let (name, at, opcode) = (self.name, self.at, self.opcode);
            let line = self.input.line(limits::MAX_GLOBAL_NAME);
            let line = line.map_err(|short| short_error(name, at, opcode, short))?;
            match line.map(std::str::from_utf8) {
                Some(Ok(text)) => text.clone_into(to),
                Some(Err(_)) => return Err(self.error("a name is not UTF-8")),
                None => {
                    let limit = limits::MAX_GLOBAL_NAME;
                    return Err(self.error(format!("a name does not end within {limit} bytes")));
                }
            }
        }
        let [module, name] = names;
        self.push_global(module, name)
    }

    fn stack_global(&mut self) -> Result<()> {
        let (name, module) = (self.pop()?, self.pop()?);
        let mut texts = [String::new(), String::new()];
        for (to, id) in texts.iter_mut().zip([module, name]) {
            match self.out.get(id) {
                Value::Str(text) if text.len() <= limits::MAX_GLOBAL_NAME => text.clone_into(to),
                Value::Str(_) => return Err(self.error("a name is too long")),
                other => return Err(self.error(format!("a name is {}", other.kind()))),
            }
        }
        let [module, name] = texts;
        self.push_global(module, name)
    }

    fn push_global(&mut self, module: String, name: String) -> Result<()> {
        // Protocol 2 spells these two modules as Python 2 did, whichever Python wrote it.
        let module = match module.as_str() {
            "__builtin__" => "builtins".to_owned(),
            "copy_reg" => "copyreg".to_owned(),
            _ => module,
        };
        let count = self.out.globals.len();
        let key = (module, name);
        let number = match self.global_numbers.get(&key) {
            Some(&number) => number,
            None => {
                if count >= self.options.max_globals {
                    let limit = self.options.max_globals as u64;
                    return Err(self.too_much("different names", limit + 1, limit));
                }
                let (module, name) = key.clone();
                self.out.globals.push(Global { module, name, mentions: 0 });
                self.global_numbers.insert(key, count as u32);
                count as u32
            }
        };
        if let Some(global) = self.out.globals.get_mut(number as usize) {
            global.mentions += 1;
        }
        self.push_new(Node::Global(number))
    }

    fn object(&mut self) -> Result<()> {
        let (args, callee) = (self.pop()?, self.pop()?);
        if !matches!(self.out.get(args), Value::Tuple(_)) {
            let kind = self.out.get(args).kind();
            return Err(self.error(format!("arguments are a tuple, not {kind}")));
        }
        let depth = self.depth_over(&[callee, args])?;
        let object = Object { callee, args, states: Vec::new(), items: Vec::new(), pairs: Vec::new() };
        self.push_deep(Node::Object(Box::new(object)), depth)
    }

    fn build(&mut self) -> Result<()> {
        let state = self.pop()?;
        let target = self.top()?;
        self.deepen(target, &[state])?;
        match self.out.nodes.get_mut(target.0 as usize) {
            Some(Node::Object(object)) => object.states.push(state),
            _ => return Err(self.wrong_target(target)),
        }
        Ok(())
    }

    // Errors.

    fn error(&self, problem: impl Into<String>) -> Error {
        pickle_error(self.name, self.at, self.opcode, problem)
    }

    fn too_much(&self, what: &'static str, found: u64, limit: u64) -> Error {
        Error::TooMuch { holder: self.name.to_owned(), what, found, limit }
    }
}

fn pickle_error(name: &str, offset: u64, opcode: u8, problem: impl Into<String>) -> Error {
    Error::Pickle { pickle: name.to_owned(), offset, opcode: op::name(opcode), problem: problem.into() }
}

fn short_error(name: &str, offset: u64, opcode: u8, short: Short) -> Error {
    match short {
        Short::End => pickle_error(name, offset, opcode, "the bytes end here"),
        Short::Io(error) => pickle_error(name, offset, opcode, format!("reading failed: {error}")),
    }
}
