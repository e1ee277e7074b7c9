//! The header of a GGUF file, version 3 (ggml's `docs/gguf.md`).

/// Tensors begin at multiples of this; readers assume it unless `general.alignment` says otherwise.
const ALIGNMENT: u64 = 32;

/// How a tensor's numbers are stored: ggml's number for it, and the bytes and numbers of a block.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Format {
    number: u32,
    pub(crate) block_bytes: u64,
    pub(crate) block_length: u64,
}

pub(crate) const F32: Format = Format { number: 0, block_bytes: 4, block_length: 1 };
pub(crate) const F16: Format = Format { number: 1, block_bytes: 2, block_length: 1 };
pub(crate) const Q8_0: Format = Format { number: 8, block_bytes: 34, block_length: 32 };
pub(crate) const Q4_K: Format = Format { number: 12, block_bytes: 144, block_length: 256 };

/// A tensor's entry in the header.
#[derive(Clone, Debug)]
pub(crate) struct Tensor {
    pub(crate) name: String,
    /// Numbers in a row, then rows; 1 row for a vector.
    pub(crate) columns: u64,
    pub(crate) rows: u64,
    pub(crate) format: Format,
}

impl Tensor {
    pub(crate) fn new(name: impl Into<String>, columns: u64, rows: u64, format: Format) -> Tensor {
        Tensor { name: name.into(), columns, rows, format }
    }

    pub(crate) fn bytes(&self) -> u64 {
        self.columns * self.rows / self.format.block_length * self.format.block_bytes
    }

    /// The bytes between this tensor's end and the next one's start.
    pub(crate) fn padding(&self) -> usize {
        padding(self.bytes())
    }
}

fn padding(length: u64) -> usize {
    (length.next_multiple_of(ALIGNMENT) - length) as usize
}

/// A value of the file's metadata.
pub(crate) enum Value {
    U32(u32),
    F32(f32),
    Flag(bool),
    Text(String),
    Texts(Vec<String>),
    I32s(Vec<i32>),
}

/// The header, padded to where the first tensor begins.
pub(crate) fn header(metadata: &[(String, Value)], tensors: &[Tensor]) -> Vec<u8> {
    let mut bytes = b"GGUF".to_vec();
    bytes.extend_from_slice(&3_u32.to_le_bytes());
    bytes.extend_from_slice(&(tensors.len() as u64).to_le_bytes());
    bytes.extend_from_slice(&(metadata.len() as u64).to_le_bytes());
    for (key, value) in metadata {
        text(key, &mut bytes);
        self::value(value, &mut bytes);
    }
    let mut offset = 0_u64;
    for tensor in tensors {
        text(&tensor.name, &mut bytes);
        let dimensions = if tensor.rows == 1 { vec![tensor.columns] } else { vec![tensor.columns, tensor.rows] };
        bytes.extend_from_slice(&(dimensions.len() as u32).to_le_bytes());
        dimensions.iter().for_each(|dimension| bytes.extend_from_slice(&dimension.to_le_bytes()));
        bytes.extend_from_slice(&tensor.format.number.to_le_bytes());
        bytes.extend_from_slice(&offset.to_le_bytes());
        offset += tensor.bytes() + tensor.padding() as u64;
    }
    bytes.resize(bytes.len() + padding(bytes.len() as u64), 0);
    bytes
}

fn text(text: &str, to: &mut Vec<u8>) {
    to.extend_from_slice(&(text.len() as u64).to_le_bytes());
    to.extend_from_slice(text.as_bytes());
}

/// A value behind the number of its type; an array's type is followed by its items' type and their count.
fn value(value: &Value, to: &mut Vec<u8>) {
    match value {
        Value::U32(number) => to.extend([4_u32.to_le_bytes(), number.to_le_bytes()].concat()),
        Value::F32(number) => to.extend([6_u32.to_le_bytes(), number.to_le_bytes()].concat()),
        Value::Flag(flag) => {
            to.extend_from_slice(&7_u32.to_le_bytes());
            to.push(u8::from(*flag));
        }
        Value::Text(string) => {
            to.extend_from_slice(&8_u32.to_le_bytes());
            text(string, to);
        }
        Value::Texts(strings) => {
            to.extend([9_u32.to_le_bytes(), 8_u32.to_le_bytes()].concat());
            to.extend_from_slice(&(strings.len() as u64).to_le_bytes());
            strings.iter().for_each(|string| text(string, to));
        }
        Value::I32s(numbers) => {
            to.extend([9_u32.to_le_bytes(), 5_u32.to_le_bytes()].concat());
            to.extend_from_slice(&(numbers.len() as u64).to_le_bytes());
            numbers.iter().for_each(|number| to.extend_from_slice(&number.to_le_bytes()));
        }
    }
}
