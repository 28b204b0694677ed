//! Pickles and archives byte by byte, right or wrong.

use std::io::Write as _;

/// A pickle under construction.
#[derive(Clone, Default)]
pub(crate) struct Pickle(pub(crate) Vec<u8>);

impl Pickle {
    /// One of protocol 2.
    pub(crate) fn new() -> Self {
        Self(vec![0x80, 2])
    }

    pub(crate) fn raw(mut self, bytes: impl AsRef<[u8]>) -> Self {
        self.0.extend_from_slice(bytes.as_ref());
        self
    }

    pub(crate) fn global(self, module: &str, name: &str) -> Self {
        self.raw(format!("c{module}\n{name}\n"))
    }

    pub(crate) fn text(self, text: &str) -> Self {
        self.raw([b'X']).raw((text.len() as u32).to_le_bytes()).raw(text)
    }

    /// Any integer of 64 bits.
    pub(crate) fn int(self, value: i64) -> Self {
        self.raw([0x8a, 8]).raw(value.to_le_bytes())
    }

    pub(crate) fn tuple(mut self, items: impl IntoIterator<Item = i64>) -> Self {
        self = self.raw("(");
        for item in items {
            self = self.int(item);
        }
        self.raw("t")
    }

    /// A storage of a class of `torch`.
    pub(crate) fn storage(self, class: &str, key: &str, count: i64) -> Self {
        self.raw("(").text("storage").global("torch", class).text(key).text("cpu").int(count).raw("tQ")
    }

    /// A tensor over what the next bytes build as its storage.
    pub(crate) fn tensor(self, view: &View<'_>) -> Self {
        self.global("torch._utils", "_rebuild_tensor_v2")
            .raw("(")
            .storage(view.class, view.key, view.count)
            .int(view.offset)
            .tuple(view.size.iter().copied())
            .tuple(view.stride.iter().copied())
            .raw([0x89])
            .global("collections", "OrderedDict")
            .raw(")RtR")
    }

    pub(crate) fn stop(self) -> Vec<u8> {
        self.raw(".").0
    }
}

/// A tensor's description.
#[derive(Clone)]
pub(crate) struct View<'v> {
    pub(crate) class: &'v str,
    pub(crate) key: &'v str,
    /// Elements of the storage.
    pub(crate) count: i64,
    pub(crate) offset: i64,
    pub(crate) size: &'v [i64],
    pub(crate) stride: &'v [i64],
}

/// Six floats as two rows of three.
pub(crate) const SIX: View<'static> =
    View { class: "FloatStorage", key: "0", count: 6, offset: 0, size: &[2, 3], stride: &[3, 1] };

/// The pickle of a dictionary with one tensor called `w`.
pub(crate) fn one_tensor(view: &View<'_>) -> Vec<u8> {
    Pickle::new().raw("}").text("w").tensor(view).raw("s").stop()
}

/// A member of an archive: what is true of it, and what is written of it.
#[derive(Clone)]
pub(crate) struct Member {
    pub(crate) name: Vec<u8>,
    pub(crate) local_name: Vec<u8>,
    /// The bytes in the archive.
    pub(crate) data: Vec<u8>,
    pub(crate) size: u32,
    pub(crate) packed: u32,
    pub(crate) crc: u32,
    pub(crate) flags: u16,
    pub(crate) local_flags: u16,
    pub(crate) method: u16,
    pub(crate) local_size: u32,
    pub(crate) local_crc: u32,
    pub(crate) extra: Vec<u8>,
    pub(crate) local_extra: Vec<u8>,
    /// Where the table of contents says that it begins; none: where it does.
    pub(crate) header: Option<u32>,
}

impl Member {
    /// A stored member.
    pub(crate) fn new(name: &str, data: &[u8]) -> Self {
        let (size, crc) = (data.len() as u32, crc32(data));
        Self {
            name: name.into(),
            local_name: name.into(),
            data: data.to_vec(),
            size,
            packed: size,
            crc,
            flags: 0,
            local_flags: 0,
            method: 0,
            local_size: size,
            local_crc: crc,
            extra: Vec::new(),
            local_extra: Vec::new(),
            header: None,
        }
    }

    /// A deflated one.
    pub(crate) fn deflated(name: &str, data: &[u8]) -> Self {
        let mut encoder = flate2::write::DeflateEncoder::new(Vec::new(), flate2::Compression::best());
        encoder.write_all(data).unwrap();
        let packed = encoder.finish().unwrap();
        Self { packed: packed.len() as u32, data: packed, method: 8, ..Self::new(name, data) }
    }
}

/// An archive under construction.
#[derive(Clone, Default)]
pub(crate) struct Zip {
    pub(crate) members: Vec<Member>,
    pub(crate) comment: Vec<u8>,
    /// Whether a ZIP64 end record is written too, as PyTorch does.
    pub(crate) long: bool,
}

impl Zip {
    /// A checkpoint: the pickle, and storages 0, 1, ….
    pub(crate) fn checkpoint(pickle: &[u8], storages: &[&[u8]]) -> Self {
        let mut members = vec![Member::new("x/data.pkl", pickle)];
        members.extend(
            storages.iter().enumerate().map(|(key, data)| Member::new(&format!("x/data/{key}"), data)),
        );
        members.push(Member::new("x/version", b"3\n"));
        Self { members, ..Self::default() }
    }

    pub(crate) fn member(&mut self, name: &str) -> &mut Member {
        self.members.iter_mut().find(|member| member.name == name.as_bytes()).unwrap()
    }

    pub(crate) fn write(&self) -> Vec<u8> {
        let mut out = Vec::new();
        let mut table = Vec::new();
        for member in &self.members {
            let header = out.len() as u32;
            out.extend_from_slice(b"PK\x03\x04\0\0");
            for field in [member.local_flags, member.method, 0, 0] {
                out.extend_from_slice(&field.to_le_bytes());
            }
            let local_packed = if member.method == 0 { member.local_size } else { member.packed };
            for field in [member.local_crc, local_packed, member.local_size] {
                out.extend_from_slice(&field.to_le_bytes());
            }
            for length in [member.local_name.len(), member.local_extra.len()] {
                out.extend_from_slice(&(length as u16).to_le_bytes());
            }
            out.extend_from_slice(&member.local_name);
            out.extend_from_slice(&member.local_extra);
            out.extend_from_slice(&member.data);

            table.extend_from_slice(b"PK\x01\x02\0\0\0\0");
            for field in [member.flags, member.method, 0, 0] {
                table.extend_from_slice(&field.to_le_bytes());
            }
            for field in [member.crc, member.packed, member.size] {
                table.extend_from_slice(&field.to_le_bytes());
            }
            for length in [member.name.len(), member.extra.len(), 0, 0, 0] {
                table.extend_from_slice(&(length as u16).to_le_bytes());
            }
            table.extend_from_slice(&0_u32.to_le_bytes());
            table.extend_from_slice(&member.header.unwrap_or(header).to_le_bytes());
            table.extend_from_slice(&member.name);
            table.extend_from_slice(&member.extra);
        }
        let (offset, size, count) = (out.len() as u64, table.len() as u64, self.members.len() as u64);
        out.extend_from_slice(&table);
        if self.long {
            let record = out.len() as u64;
            out.extend_from_slice(b"PK\x06\x06");
            out.extend_from_slice(&44_u64.to_le_bytes());
            out.extend_from_slice(&[0; 12]);
            for field in [count, count, size, offset] {
                out.extend_from_slice(&field.to_le_bytes());
            }
            out.extend_from_slice(b"PK\x06\x07\0\0\0\0");
            out.extend_from_slice(&record.to_le_bytes());
            out.extend_from_slice(&1_u32.to_le_bytes());
        }
        out.extend_from_slice(b"PK\x05\x06\0\0\0\0");
        for _ in 0..2 {
            out.extend_from_slice(&(count as u16).to_le_bytes());
        }
        out.extend_from_slice(&(size as u32).to_le_bytes());
        out.extend_from_slice(&(offset as u32).to_le_bytes());
        out.extend_from_slice(&(self.comment.len() as u16).to_le_bytes());
        out.extend_from_slice(&self.comment);
        out
    }
}

/// A legacy checkpoint: the object's pickle, the list of keys, and for each what follows.
pub(crate) fn legacy(object: &[u8], keys: &[&str], storages: &[(i64, &[u8])]) -> Vec<u8> {
    let mut list = Pickle::new().raw("](");
    for key in keys {
        list = list.text(key);
    }
    let mut out =
        [b"\x80\x02\x8a\x0al\xfc\x9cF\xf9 j\xa8P\x19.".as_slice(), b"\x80\x02M\xe9\x03.", b"\x80\x02}."]
            .concat();
    out.extend_from_slice(object);
    out.extend_from_slice(&list.raw("e").stop());
    for (count, data) in storages {
        out.extend_from_slice(&count.to_le_bytes());
        out.extend_from_slice(data);
    }
    out
}

/// A storage of a legacy checkpoint, with its view.
pub(crate) fn legacy_storage(
    pickle: Pickle,
    class: &str,
    key: &str,
    count: i64,
    view: Option<[i64; 2]>,
) -> Pickle {
    let pickle = pickle.raw("(").text("storage").global("torch", class).text(key).text("cpu").int(count);
    match view {
        None => pickle.raw("N"),
        Some([start, length]) => pickle.text("view").int(start).int(length).raw([0x87]),
    }
    .raw("tQ")
}

/// Floats as bytes.
pub(crate) fn floats(values: &[f32]) -> Vec<u8> {
    values.iter().flat_map(|value| value.to_le_bytes()).collect()
}

fn crc32(data: &[u8]) -> u32 {
    let mut crc = flate2::Crc::new();
    crc.update(data);
    crc.sum()
}
