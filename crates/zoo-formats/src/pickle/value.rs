//! What a pickle evaluates to: an arena of inert values.

use std::fmt;

/// The number of a value in its [`Pickle`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Id(pub(super) u32);

/// A value, looked at.
#[derive(Debug, Clone, Copy, PartialEq)]
#[non_exhaustive]
pub enum Value<'p> {
    /// `None`.
    None,
    /// `True` or `False`.
    Bool(bool),
    /// An integer of up to 64 bits.
    Int(i64),
    /// A longer one: two's complement, the lowest byte first.
    BigInt(&'p [u8]),
    /// A float.
    Float(f64),
    /// Text.
    Str(&'p str),
    /// Bytes, a byte array, a string of Python 2, or text with lone surrogates, which Rust's text cannot hold.
    Bytes(&'p [u8]),
    /// A list.
    List(&'p [Id]),
    /// A tuple.
    Tuple(&'p [Id]),
    /// A dictionary, in the order in which its entries were set. A key may occur again: the last one counts.
    Dict(&'p [(Id, Id)]),
    /// A set, in the order of its making.
    Set(&'p [Id]),
    /// The name of a class or function.
    Global(&'p Global),
    /// A reference to something outside of the pickle; PyTorch's storages are such.
    Persistent(Id),
    /// What a class or function would have returned.
    Object(&'p Object),
}

impl Value<'_> {
    /// The kind of value, as Python calls it.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::None => "None",
            Self::Bool(_) => "a bool",
            Self::Int(_) | Self::BigInt(_) => "an int",
            Self::Float(_) => "a float",
            Self::Str(_) => "a str",
            Self::Bytes(_) => "bytes",
            Self::List(_) => "a list",
            Self::Tuple(_) => "a tuple",
            Self::Dict(_) => "a dict",
            Self::Set(_) => "a set",
            Self::Global(_) => "a class or function",
            Self::Persistent(_) => "a storage",
            Self::Object(_) => "an object",
        }
    }
}

/// The name of a class or function. Names of Python 2's modules are given in their Python 3 spelling.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Global {
    /// The module: `collections`.
    pub module: String,
    /// The name in it: `OrderedDict`.
    pub name: String,
    /// How many opcodes of the pickle mention it; using it again from the memo does not count.
    pub mentions: u64,
}

impl Global {
    /// Whether it is this one.
    pub fn is(&self, module: &str, name: &str) -> bool {
        self.module == module && self.name == name
    }
}

impl fmt::Display for Global {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.module, self.name)
    }
}

/// What a class or function would have returned, had it been called: the call itself, and what was done to the result.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Object {
    /// What would have been called: a [`Value::Global`] in honest pickles.
    pub callee: Id,
    /// Its arguments: always a [`Value::Tuple`].
    pub args: Id,
    /// States set by BUILD, in order. Python merges them or hands each to `__setstate__`.
    pub states: Vec<Id>,
    /// What was appended to it or added.
    pub items: Vec<Id>,
    /// What was set in it by key.
    pub pairs: Vec<(Id, Id)>,
}

/// A value as it is kept: text, bytes and tuples lie in common pools, so that most take no allocation of their own.
#[derive(Debug)]
pub(super) enum Node {
    None,
    Bool(bool),
    Int(i64),
    Float(f64),
    BigInt(Span),
    Str(Span),
    Bytes(Span),
    Tuple(Span),
    List(Vec<Id>),
    Set(Vec<Id>),
    Dict(Vec<(Id, Id)>),
    Global(u32),
    Persistent(Id),
    Object(Box<Object>),
}

/// A range of a pool.
#[derive(Debug, Clone, Copy)]
pub(super) struct Span {
    start: u32,
    end: u32,
}

impl Span {
    fn of<T>(self, pool: &[T]) -> &[T] {
        pool.get(self.start as usize..self.end as usize).unwrap_or_default()
    }
}

/// A pickle that was read: its values, and how many bytes it took.
#[derive(Debug, Default)]
pub struct Pickle {
    pub(super) nodes: Vec<Node>,
    pub(super) text: String,
    pub(super) bytes: Vec<u8>,
    pub(super) links: Vec<Id>,
    pub(super) globals: Vec<Global>,
    pub(super) root: Option<Id>,
    pub(super) consumed: u64,
}

impl Pickle {
    /// The value of the whole pickle.
    pub fn root(&self) -> Id {
        self.root.unwrap_or(Id(0))
    }

    /// Bytes from the first opcode to behind STOP.
    pub fn consumed(&self) -> u64 {
        self.consumed
    }

    /// How many values there are.
    pub fn len(&self) -> usize {
        self.nodes.len()
    }

    /// Whether there is no value, which no pickle that was read is.
    pub fn is_empty(&self) -> bool {
        self.nodes.is_empty()
    }

    /// Every value with its number, in the order of their making.
    pub fn iter(&self) -> impl Iterator<Item = (Id, Value<'_>)> {
        (0..self.nodes.len() as u32).map(|id| (Id(id), self.get(Id(id))))
    }

    /// The names of all classes and functions that it mentions.
    pub fn globals(&self) -> &[Global] {
        &self.globals
    }

    /// A value.
    pub fn get(&self, id: Id) -> Value<'_> {
        match self.nodes.get(id.0 as usize) {
            None | Some(Node::None) => Value::None,
            Some(Node::Bool(value)) => Value::Bool(*value),
            Some(Node::Int(value)) => Value::Int(*value),
            Some(Node::Float(value)) => Value::Float(*value),
            Some(Node::BigInt(span)) => Value::BigInt(span.of(&self.bytes)),
            Some(Node::Str(span)) => {
                Value::Str(self.text.get(span.start as usize..span.end as usize).unwrap_or_default())
            }
            Some(Node::Bytes(span)) => Value::Bytes(span.of(&self.bytes)),
            Some(Node::Tuple(span)) => Value::Tuple(span.of(&self.links)),
            Some(Node::List(items)) => Value::List(items),
            Some(Node::Set(items)) => Value::Set(items),
            Some(Node::Dict(pairs)) => Value::Dict(pairs),
            Some(Node::Global(index)) => self.globals.get(*index as usize).map_or(Value::None, Value::Global),
            Some(Node::Persistent(id)) => Value::Persistent(*id),
            Some(Node::Object(object)) => Value::Object(object),
        }
    }

    /// A name or key as text. Python 2 wrote them as byte strings.
    pub fn text(&self, id: Id) -> Option<&str> {
        match self.get(id) {
            Value::Str(text) => Some(text),
            Value::Bytes(bytes) if bytes.len() <= crate::limits::MAX_NAME_BYTES => {
                std::str::from_utf8(bytes).ok()
            }
            _ => None,
        }
    }

    /// An integer. `True` and `False` are 1 and 0, as in Python.
    pub fn int(&self, id: Id) -> Option<i64> {
        match self.get(id) {
            Value::Int(value) => Some(value),
            Value::Bool(value) => Some(i64::from(value)),
            _ => None,
        }
    }

    /// An integer that is a size, an offset or a count.
    pub fn size(&self, id: Id) -> Option<u64> {
        self.int(id).and_then(|value| u64::try_from(value).ok())
    }

    /// The members of a tuple or list.
    pub fn items(&self, id: Id) -> Option<&[Id]> {
        match self.get(id) {
            Value::Tuple(items) | Value::List(items) => Some(items),
            _ => None,
        }
    }

    /// The object.
    pub fn object(&self, id: Id) -> Option<&Object> {
        match self.get(id) {
            Value::Object(object) => Some(object),
            _ => None,
        }
    }

    /// The name of a class or function.
    pub fn global(&self, id: Id) -> Option<&Global> {
        match self.get(id) {
            Value::Global(global) => Some(global),
            _ => None,
        }
    }

    /// An object's arguments.
    pub fn args(&self, object: &Object) -> &[Id] {
        self.items(object.args).unwrap_or_default()
    }

    /// Puts bytes into their pool.
    pub(super) fn store_bytes(&mut self, bytes: &[u8]) -> Span {
        let start = self.bytes.len() as u32;
        self.bytes.extend_from_slice(bytes);
        Span { start, end: self.bytes.len() as u32 }
    }

    /// Puts text into its pool.
    pub(super) fn store_text(&mut self, text: &str) -> Span {
        let start = self.text.len() as u32;
        self.text.push_str(text);
        Span { start, end: self.text.len() as u32 }
    }

    /// Puts a tuple's members into their pool.
    pub(super) fn store_links(&mut self, links: impl Iterator<Item = Id>) -> Span {
        let start = self.links.len() as u32;
        self.links.extend(links);
        Span { start, end: self.links.len() as u32 }
    }
}
