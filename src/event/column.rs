//! Columns of decoded rows as they wait for their part: quick to fill, small in memory, and quick
//! to write in another order.
//!
//! A text that repeats is stored once and named by a code. A column ends with its last value: rows
//! behind it have none, so that a column without values costs nothing.

use hashbrown::{DefaultHashBuilder, HashTable};
use std::hash::BuildHasher;

/// The code of a row without a value.
pub const NO_VALUE: u32 = u32::MAX;

/// A cell's value. Those of one column are in the order in which Parquet has bounds: texts by their
/// bytes, `false` before `true`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Value<'v> {
    Text(&'v str),
    Number(i64),
    Flag(bool),
}

impl<'v> From<&'v str> for Value<'v> {
    fn from(text: &'v str) -> Self {
        Self::Text(text)
    }
}

impl From<i64> for Value<'_> {
    fn from(number: i64) -> Self {
        Self::Number(number)
    }
}

impl From<bool> for Value<'_> {
    fn from(flag: bool) -> Self {
        Self::Flag(flag)
    }
}

/// Texts one behind another.
#[derive(Debug, Clone, Default)]
pub struct Texts {
    bytes: String,
    ends: Vec<u32>,
}

impl Texts {
    pub fn len(&self) -> usize {
        self.ends.len()
    }

    pub fn is_empty(&self) -> bool {
        self.ends.is_empty()
    }

    pub fn get(&self, index: usize) -> &str {
        let start = index.checked_sub(1).map_or(0, |before| self.ends[before]);
        &self.bytes[start as usize..self.ends[index] as usize]
    }

    /// Whether the text at `index` is this one.
    pub fn is(&self, index: u32, text: &str) -> bool {
        self.bytes(index as usize) == text.as_bytes()
    }

    /// The bytes of a text, without the test that they are whole characters.
    fn bytes(&self, index: usize) -> &[u8] {
        let start = index.checked_sub(1).map_or(0, |before| self.ends[before]);
        &self.bytes.as_bytes()[start as usize..self.ends[index] as usize]
    }

    fn push(&mut self, text: &str) {
        self.bytes.push_str(text);
        self.ends.push(offset(self.bytes.len()));
    }

    fn size_bytes(&self) -> usize {
        self.bytes.capacity() + self.ends.capacity() * size_of::<u32>()
    }

    /// Empty, with room for as much.
    fn another(&self) -> Self {
        Self {
            bytes: String::with_capacity(with_headroom(self.bytes.len())),
            ends: Vec::with_capacity(with_headroom(self.ends.len())),
        }
    }
}

/// A column; rows behind its end have no value.
#[derive(Debug, Clone)]
pub enum Column {
    /// Codes of texts, each text once.
    Repeating {
        codes: Vec<u32>,
        texts: Texts,
    },
    /// Texts that hardly repeat: where each stands in the bytes.
    Unique {
        spans: Vec<(u32, u32)>,
        bytes: String,
    },
    Numbers(Vec<Option<i64>>),
    Flags(Vec<Option<bool>>),
}

impl Column {
    pub fn get(&self, row: usize) -> Option<Value<'_>> {
        match self {
            Self::Repeating { codes, texts } => {
                let code = *codes.get(row).filter(|code| **code != NO_VALUE)?;
                Some(Value::Text(texts.get(code as usize)))
            }
            Self::Unique { .. } => self.unique(row).map(Value::Text),
            Self::Numbers(numbers) => numbers.get(row).copied().flatten().map(Value::Number),
            Self::Flags(flags) => flags.get(row).copied().flatten().map(Value::Flag),
        }
    }

    /// Whether no row has a value.
    pub fn is_empty(&self) -> bool {
        match self {
            Self::Repeating { codes, .. } => codes.is_empty(),
            Self::Unique { spans, .. } => spans.is_empty(),
            Self::Numbers(numbers) => numbers.is_empty(),
            Self::Flags(flags) => flags.is_empty(),
        }
    }

    /// The text of a row of a `Unique` column.
    pub fn unique(&self, row: usize) -> Option<&str> {
        let Self::Unique { spans, bytes } = self else {
            return None;
        };
        let (start, end) = *spans.get(row).filter(|span| **span != NO_SPAN)?;
        Some(&bytes[start as usize..end as usize])
    }

    pub fn size_bytes(&self) -> usize {
        match self {
            Self::Repeating { codes, texts } => {
                codes.capacity() * size_of::<u32>() + texts.size_bytes()
            }
            Self::Unique { spans, bytes } => {
                spans.capacity() * size_of::<(u32, u32)>() + bytes.capacity()
            }
            Self::Numbers(numbers) => numbers.capacity() * size_of::<Option<i64>>(),
            Self::Flags(flags) => flags.capacity() * size_of::<Option<bool>>(),
        }
    }

    /// Empty, with room for as much: objects are of about one size.
    fn another(&self) -> Self {
        match self {
            Self::Repeating { codes, texts } => Self::Repeating {
                codes: Vec::with_capacity(with_headroom(codes.len())),
                texts: texts.another(),
            },
            Self::Unique { spans, bytes } => Self::Unique {
                spans: Vec::with_capacity(with_headroom(spans.len())),
                bytes: String::with_capacity(with_headroom(bytes.len())),
            },
            Self::Numbers(numbers) => {
                Self::Numbers(Vec::with_capacity(with_headroom(numbers.len())))
            }
            Self::Flags(flags) => Self::Flags(Vec::with_capacity(with_headroom(flags.len()))),
        }
    }
}

/// The span of a row without a value.
const NO_SPAN: (u32, u32) = (NO_VALUE, NO_VALUE);

fn with_headroom(usual: usize) -> usize {
    usual + usual / 8
}

/// Fills the rows before `row` that no value came for.
fn fill<V: Clone>(values: &mut Vec<V>, row: usize, nothing: V) {
    if values.len() < row {
        values.resize(row, nothing);
    }
}

/// What stands in one column comes from one object, which inflates to no more than 4 GiB.
fn offset(bytes: usize) -> u32 {
    u32::try_from(bytes).expect("the texts of a column stay below 4 GiB")
}

/// Finds the code of a text among those stored.
#[derive(Default)]
pub struct Interner {
    codes: HashTable<u32>,
    hasher: DefaultHashBuilder,
}

impl Interner {
    /// The code of `text`, if it is stored.
    pub fn find(&self, texts: &Texts, text: &str) -> Option<u32> {
        let hash = self.hasher.hash_one(text.as_bytes());
        let is_it = |code: &u32| texts.is(*code, text);
        self.codes.find(hash, is_it).copied()
    }

    /// The code of `text`, which is stored if it is new.
    pub fn code(&mut self, texts: &mut Texts, text: &str) -> u32 {
        let hash = self.hasher.hash_one(text.as_bytes());
        let is_it = |code: &u32| texts.is(*code, text);
        if let Some(code) = self.codes.find(hash, is_it) {
            return *code;
        }
        let code = texts.len() as u32;
        texts.push(text);
        let rehash = |code: &u32| -> u64 { self.hasher.hash_one(texts.bytes(*code as usize)) };
        self.codes.insert_unique(hash, code, rehash);
        code
    }
}

/// Fills a column row by row.
pub struct ColumnBuilder {
    column: Column,
    interner: Interner,
}

impl ColumnBuilder {
    pub fn new(column: Column) -> Self {
        Self {
            column,
            interner: Interner::default(),
        }
    }

    /// Gives a row its value; rows come in order, those without a value need not come.
    #[inline]
    pub fn push(&mut self, row: usize, value: Value<'_>) {
        match (&mut self.column, value) {
            (Column::Repeating { codes, texts }, Value::Text(text)) => {
                // Programs repeat themselves: most rows have the value of the row before.
                let code = match codes.last() {
                    Some(&last) if last != NO_VALUE && texts.is(last, text) => last,
                    _ => self.interner.code(texts, text),
                };
                fill(codes, row, NO_VALUE);
                codes.push(code);
            }
            (Column::Unique { spans, bytes }, Value::Text(text)) => {
                fill(spans, row, NO_SPAN);
                let start = bytes.len();
                bytes.push_str(text);
                spans.push((offset(start), offset(bytes.len())));
            }
            (Column::Numbers(numbers), Value::Number(number)) => {
                fill(numbers, row, None);
                numbers.push(Some(number));
            }
            (Column::Flags(flags), Value::Flag(flag)) => {
                fill(flags, row, None);
                flags.push(Some(flag));
            }
            (column, value) => unreachable!("{value:?} is no value of {column:?}"),
        }
    }

    pub fn column(&self) -> &Column {
        &self.column
    }

    /// The column so far; the builder is empty afterwards.
    pub fn finish(&mut self) -> Column {
        self.interner.codes.clear();
        let next = self.column.another();
        std::mem::replace(&mut self.column, next)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn columns() -> [Column; 4] {
        let texts = Texts::default();
        let (codes, spans, bytes) = (Vec::new(), Vec::new(), String::new());
        [
            Column::Repeating { codes, texts },
            Column::Unique { spans, bytes },
            Column::Numbers(Vec::new()),
            Column::Flags(Vec::new()),
        ]
    }

    proptest! {
        #[test]
        fn a_column_gives_back_what_was_put_in(
            rows in proptest::collection::vec(proptest::option::of(0_u8..6), 0..60),
            again in proptest::collection::vec(proptest::option::of(0_u8..6), 0..60),
        ) {
            for column in columns() {
                let text = |n: u8| "é".repeat(n as usize);
                let mut builder = ColumnBuilder::new(column);
                for rows in [&rows, &again] {
                    for (row, value) in rows.iter().enumerate() {
                        let Some(n) = value else { continue };
                        match builder.column {
                            Column::Numbers(_) => builder.push(row, Value::Number((*n).into())),
                            Column::Flags(_) => builder.push(row, Value::Flag(n % 2 == 0)),
                            _ => builder.push(row, Value::Text(&text(*n))),
                        }
                    }
                    let column = builder.finish();
                    for (row, value) in rows.iter().enumerate() {
                        let text = value.map(text);
                        let expected = value.map(|n| match column {
                            Column::Numbers(_) => Value::Number(n.into()),
                            Column::Flags(_) => Value::Flag(n % 2 == 0),
                            _ => Value::Text(text.as_deref().unwrap_or_default()),
                        });
                        prop_assert_eq!(column.get(row), expected);
                    }
                    prop_assert_eq!(column.get(rows.len()), None);
                    if let Column::Repeating { texts, .. } = &column {
                        let mut distinct: Vec<_> = rows.iter().flatten().collect();
                        distinct.sort_unstable();
                        distinct.dedup();
                        prop_assert_eq!(texts.len(), distinct.len());
                    }
                }
            }
        }
    }
}
