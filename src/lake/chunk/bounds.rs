//! The least and the greatest value of a page or chunk, by which readers skip it.

use parquet::basic::Type;
use parquet::data_type::ByteArray;
use parquet::file::statistics::{Statistics, ValueStatistics};

use crate::event::column::Value;

/// A chunk or page with a longer text among its bounds, in bytes, is left without bounds.
const MAX_BOUND_BYTES: usize = 1024;

/// Least and greatest value; nothing where there is no value, or no bounds are wanted.
pub type Bounds<'v> = Option<(Value<'v>, Value<'v>)>;

/// The bounds, unless a text is too long for one.
pub fn short(bounds: Bounds<'_>) -> Bounds<'_> {
    bounds.filter(|(min, max)| {
        [min, max]
            .iter()
            .all(|bound| !matches!(bound, Value::Text(text) if text.len() > MAX_BOUND_BYTES))
    })
}

/// The bounds of both.
pub fn widen<'v>(bounds: Bounds<'v>, other: Bounds<'v>) -> Bounds<'v> {
    match (bounds, other) {
        (Some((min, max)), Some((low, high))) => Some((min.min(low), max.max(high))),
        (bounds, other) => bounds.or(other),
    }
}

/// A bound as the format stores it: the value in PLAIN encoding without a length.
pub fn bytes_of(value: Value<'_>, physical: Type) -> Vec<u8> {
    match value {
        Value::Text(text) => text.as_bytes().to_vec(),
        Value::Number(number) if physical == Type::INT32 => (number as i32).to_le_bytes().to_vec(),
        Value::Number(number) => number.to_le_bytes().to_vec(),
        Value::Flag(flag) => vec![u8::from(flag)],
    }
}

/// The statistics of a chunk.
pub fn statistics(physical: Type, bounds: Bounds<'_>, nulls: u64) -> Statistics {
    let nulls = Some(nulls);
    let number = |value| match value {
        Value::Number(number) => number,
        _ => unreachable!("a column of numbers holds numbers"),
    };
    let (min, max) = bounds.unzip();
    match physical {
        Type::BOOLEAN => {
            let flag = |value| value == Value::Flag(true);
            ValueStatistics::new(min.map(flag), max.map(flag), None, nulls, false).into()
        }
        Type::INT32 => {
            let int = |value| number(value) as i32;
            ValueStatistics::new(min.map(int), max.map(int), None, nulls, false).into()
        }
        Type::INT64 => {
            ValueStatistics::new(min.map(number), max.map(number), None, nulls, false).into()
        }
        _ => {
            let bytes = |value| ByteArray::from(bytes_of(value, physical));
            ValueStatistics::new(min.map(bytes), max.map(bytes), None, nulls, false).into()
        }
    }
}

/// The order of a dictionary's values, by which a page's bounds are found.
pub struct Order<'d, 'v> {
    dictionary: &'d [Value<'v>],
    /// The place of each value among the sorted ones; none where no bounds are wanted.
    ranks: Vec<u32>,
    sorted: Vec<u32>,
}

impl<'d, 'v> Order<'d, 'v> {
    pub fn of(dictionary: &'d [Value<'v>], is_wanted: bool) -> Self {
        let mut sorted: Vec<u32> = Vec::new();
        if is_wanted {
            sorted.extend(0..dictionary.len() as u32);
            sorted.sort_unstable_by_key(|code| dictionary[*code as usize]);
        }
        let mut ranks = vec![0; sorted.len()];
        for (rank, code) in (0..).zip(&sorted) {
            ranks[*code as usize] = rank;
        }
        Self {
            dictionary,
            ranks,
            sorted,
        }
    }

    /// The bounds of the values of these codes.
    pub fn bounds(&self, codes: &[u32]) -> Bounds<'v> {
        if self.ranks.is_empty() || codes.is_empty() {
            return None;
        }
        let (mut min, mut max) = (u32::MAX, 0);
        for code in codes {
            let rank = self.ranks[*code as usize];
            min = min.min(rank);
            max = max.max(rank);
        }
        let value = |rank: u32| self.dictionary[self.sorted[rank as usize] as usize];
        Some((value(min), value(max)))
    }
}
