//! msgpack's headers, one after the other, with the bytes of texts and arrays stepped over.
//!
//! Every value begins with a byte that says its kind and, for short ones, its length; otherwise the length follows,
//! highest byte first (the msgpack specification, <https://github.com/msgpack/msgpack/blob/master/spec.md>).

use std::path::Path;

use crate::file::SourceReader;
use crate::{Error, Result, limits};

/// How much is read at a time. A header takes a few dozen bytes; what lies between two of them is not read.
const WINDOW: u64 = 4096;

/// A value, or the beginning of a map or list. Texts, bytes and extensions are places in the file, which ends behind them.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Token {
    Nil,
    Bool(bool),
    Unsigned(u64),
    Negative,
    Float,
    Text { offset: u64, length: u64 },
    Bytes { offset: u64, length: u64 },
    Ext { kind: i8, offset: u64, length: u64 },
    List(u32),
    Map(u32),
}

impl Token {
    /// What it is, for people.
    pub(super) fn what(self) -> String {
        match self {
            Self::Nil => "nil".to_owned(),
            Self::Bool(_) => "a truth value".to_owned(),
            Self::Unsigned(_) | Self::Negative => "an integer".to_owned(),
            Self::Float => "a float".to_owned(),
            Self::Text { .. } => "text".to_owned(),
            Self::Bytes { .. } => "bytes".to_owned(),
            Self::Ext { kind: 2, .. } => "a complex number".to_owned(),
            Self::Ext { kind, .. } => format!("a value of extension type {kind}"),
            Self::List(_) => "a list".to_owned(),
            Self::Map(_) => "a map".to_owned(),
        }
    }
}

/// A part of the file, read from front to back.
pub(super) struct Input<'f> {
    file: &'f SourceReader,
    at: u64,
    end: u64,
    window: Vec<u8>,
    window_start: u64,
    beyond: bool,
}

impl<'f> Input<'f> {
    /// The whole file.
    pub(super) fn new(file: &'f SourceReader) -> Self {
        Self { file, at: 0, end: file.len(), window: Vec::new(), window_start: 0, beyond: false }
    }

    /// A part of what was stepped over.
    pub(super) fn part(&self, offset: u64, length: u64) -> Self {
        Self {
            file: self.file,
            at: offset,
            end: offset + length,
            window: self.window.clone(),
            window_start: self.window_start,
            beyond: false,
        }
    }

    /// The byte that comes next.
    pub(super) fn at(&self) -> u64 {
        self.at
    }

    /// Whether everything was read.
    pub(super) fn is_at_end(&self) -> bool {
        self.at == self.end
    }

    /// Whether something was wanted that lies behind the end.
    pub(super) fn is_beyond(&self) -> bool {
        self.beyond
    }

    pub(super) fn path(&self) -> &Path {
        self.file.path()
    }

    pub(super) fn damaged(&self, problem: impl Into<String>) -> Error {
        Error::Damaged {
            path: self.file.path().to_owned(),
            container: "msgpack",
            offset: self.at,
            problem: problem.into(),
        }
    }

    /// A text that was stepped over.
    pub(super) fn text(&self, offset: u64, length: u64) -> Result<String> {
        if length > limits::MAX_NAME_BYTES as u64 {
            return Err(self.damaged(format!("a key has {length} bytes")));
        }
        let bytes = match self.windowed(offset, length) {
            Some(bytes) => bytes.to_vec(),
            None => self.file.read(offset, length)?,
        };
        String::from_utf8(bytes).map_err(|_| self.damaged("a key is no UTF-8"))
    }

    /// The next header.
    pub(super) fn next(&mut self) -> Result<Token> {
        let [first] = self.bytes()?;
        Ok(match first {
            0x00..=0x7f => Token::Unsigned(first.into()),
            0x80..=0x8f => Token::Map((first & 0x0f).into()),
            0x90..=0x9f => Token::List((first & 0x0f).into()),
            0xa0..=0xbf => self.text_token((first & 0x1f).into())?,
            0xc0 => Token::Nil,
            0xc1 => return Err(self.damaged("0xc1 begins no value")),
            0xc2 => Token::Bool(false),
            0xc3 => Token::Bool(true),
            0xc4..=0xc6 => {
                let length = self.length(first - 0xc4)?;
                Token::Bytes { offset: self.step(length)?, length }
            }
            0xc7..=0xc9 => {
                let length = self.length(first - 0xc7)?;
                self.ext(length)?
            }
            0xca => self.float::<4>()?,
            0xcb => self.float::<8>()?,
            0xcc..=0xce => Token::Unsigned(self.length(first - 0xcc)?),
            0xcf => Token::Unsigned(u64::from_be_bytes(self.bytes()?)),
            0xd0 => self.signed::<1>()?,
            0xd1 => self.signed::<2>()?,
            0xd2 => self.signed::<4>()?,
            0xd3 => self.signed::<8>()?,
            0xd4..=0xd8 => self.ext(1 << (first - 0xd4))?,
            0xd9..=0xdb => {
                let length = self.length(first - 0xd9)?;
                self.text_token(length)?
            }
            0xdc => Token::List(u16::from_be_bytes(self.bytes()?).into()),
            0xdd => Token::List(u32::from_be_bytes(self.bytes()?)),
            0xde => Token::Map(u16::from_be_bytes(self.bytes()?).into()),
            0xdf => Token::Map(u32::from_be_bytes(self.bytes()?)),
            0xe0..=0xff => Token::Negative,
        })
    }

    /// A length of one, two or four bytes.
    fn length(&mut self, width: u8) -> Result<u64> {
        Ok(match width {
            0 => u8::from_be_bytes(self.bytes()?).into(),
            1 => u16::from_be_bytes(self.bytes()?).into(),
            _ => u32::from_be_bytes(self.bytes()?).into(),
        })
    }

    fn float<const N: usize>(&mut self) -> Result<Token> {
        self.bytes::<N>()?;
        Ok(Token::Float)
    }

    /// A signed integer, of which only the sizes of arrays are ever looked at.
    fn signed<const N: usize>(&mut self) -> Result<Token> {
        let bytes: [u8; N] = self.bytes()?;
        if bytes.first().is_some_and(|&first| first & 0x80 != 0) {
            return Ok(Token::Negative);
        }
        Ok(Token::Unsigned(bytes.iter().fold(0, |number, &byte| number << 8 | u64::from(byte))))
    }

    fn text_token(&mut self, length: u64) -> Result<Token> {
        Ok(Token::Text { offset: self.step(length)?, length })
    }

    fn ext(&mut self, length: u64) -> Result<Token> {
        let [kind] = self.bytes()?;
        Ok(Token::Ext { kind: kind.cast_signed(), offset: self.step(length)?, length })
    }

    /// Steps over bytes, which must be there; where they begin.
    fn step(&mut self, length: u64) -> Result<u64> {
        let left = self.end - self.at;
        if length > left {
            self.beyond = true;
            return Err(self.damaged(format!("a value of {length} bytes begins {left} bytes before the end")));
        }
        let offset = self.at;
        self.at += length;
        Ok(offset)
    }

    fn bytes<const N: usize>(&mut self) -> Result<[u8; N]> {
        let offset = self.step(N as u64)?;
        if self.windowed(offset, N as u64).is_none() {
            self.window = self.file.read(offset, WINDOW)?;
            self.window_start = offset;
        }
        let found = self.windowed(offset, N as u64).and_then(|bytes| bytes.try_into().ok());
        found.ok_or_else(|| self.damaged("the file became shorter"))
    }

    fn windowed(&self, offset: u64, length: u64) -> Option<&[u8]> {
        let start = usize::try_from(offset.checked_sub(self.window_start)?).ok()?;
        self.window.get(start..start.checked_add(length as usize)?)
    }
}
