//! Values in PLAIN encoding (Apache Parquet, Encodings): numbers little-endian, texts behind their
//! length, flags a bit each.

use parquet::basic::Type;

use crate::event::column::Value;

/// A value of a column as it lies in memory.
pub trait Plain<'v>: Copy + Ord + Into<Value<'v>> {
    /// The length in PLAIN encoding, in bytes.
    fn size_bytes(self) -> usize;

    /// Appends values in PLAIN encoding, to a column of this type.
    fn push(values: impl Iterator<Item = Self>, physical: Type, out: &mut Vec<u8>);
}

impl<'v> Plain<'v> for &'v str {
    fn size_bytes(self) -> usize {
        size_of::<u32>() + self.len()
    }

    fn push(values: impl Iterator<Item = Self>, _: Type, out: &mut Vec<u8>) {
        for text in values {
            out.extend_from_slice(&(text.len() as u32).to_le_bytes());
            out.extend_from_slice(text.as_bytes());
        }
    }
}

impl Plain<'_> for i64 {
    fn size_bytes(self) -> usize {
        size_of::<Self>()
    }

    fn push(values: impl Iterator<Item = Self>, physical: Type, out: &mut Vec<u8>) {
        match physical {
            Type::INT32 => values.for_each(|n| out.extend_from_slice(&(n as i32).to_le_bytes())),
            _ => values.for_each(|n| out.extend_from_slice(&n.to_le_bytes())),
        }
    }
}

impl Plain<'_> for bool {
    fn size_bytes(self) -> usize {
        1
    }

    fn push(values: impl Iterator<Item = Self>, _: Type, out: &mut Vec<u8>) {
        let (mut byte, mut bits) = (0, 0);
        for flag in values {
            byte |= u8::from(flag) << bits;
            bits += 1;
            if bits == u8::BITS {
                out.push(byte);
                (byte, bits) = (0, 0);
            }
        }
        if bits > 0 {
            out.push(byte);
        }
    }
}

/// A dictionary's values are of any type, and few.
impl<'v> Plain<'v> for Value<'v> {
    fn size_bytes(self) -> usize {
        match self {
            Value::Text(text) => text.size_bytes(),
            Value::Number(number) => number.size_bytes(),
            Value::Flag(flag) => flag.size_bytes(),
        }
    }

    fn push(values: impl Iterator<Item = Self>, physical: Type, out: &mut Vec<u8>) {
        for value in values {
            match value {
                Value::Text(text) => Plain::push(std::iter::once(text), physical, out),
                Value::Number(number) => Plain::push(std::iter::once(number), physical, out),
                Value::Flag(_) => unreachable!("flags have no dictionary"),
            }
        }
    }
}
