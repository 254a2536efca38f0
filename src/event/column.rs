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
        self.bytes.len() + self.ends.len() * size_of::<u32>()
    }

    fn fitted(self) -> Self {
        Self {
            bytes: fitted_text(self.bytes),
            ends: fitted(self.ends),
        }
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

    /// The size of what is in it, in bytes.
    pub fn size_bytes(&self) -> usize {
        match self {
            Self::Repeating { codes, texts } => codes.len() * size_of::<u32>() + texts.size_bytes(),
            Self::Unique { spans, bytes } => spans.len() * size_of::<(u32, u32)>() + bytes.len(),
            Self::Numbers(numbers) => numbers.len() * size_of::<Option<i64>>(),
            Self::Flags(flags) => flags.len() * size_of::<Option<bool>>(),
        }
    }
}

/// The span of a row without a value.
const NO_SPAN: (u32, u32) = (NO_VALUE, NO_VALUE);

/// Room that may stay unused beside as much as is used.
const MAX_ROOM: usize = 4096;

/// The values, without most of the room that came of larger objects before.
fn fitted<V>(mut values: Vec<V>) -> Vec<V> {
    if values.capacity() > 2 * values.len() + MAX_ROOM {
        values.shrink_to_fit();
    }
    values
}

/// As [`fitted`], of text.
fn fitted_text(mut text: String) -> String {
    if text.capacity() > 2 * text.len() + MAX_ROOM {
        text.shrink_to_fit();
    }
    text
}

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

/// Fills a column of texts that repeat. Rows come in order; those without a value need not come.
#[derive(Default)]
pub struct RepeatingBuilder {
    codes: Vec<u32>,
    texts: Texts,
    interner: Interner,
}

impl RepeatingBuilder {
    #[inline]
    pub fn push(&mut self, row: usize, text: &str) {
        // Programs repeat themselves: most rows have the value of the row before.
        let code = match self.codes.last() {
            Some(&last) if last != NO_VALUE && self.texts.is(last, text) => last,
            _ => self.interner.code(&mut self.texts, text),
        };
        fill(&mut self.codes, row, NO_VALUE);
        self.codes.push(code);
    }

    pub fn get(&self, row: usize) -> Option<&str> {
        let code = *self.codes.get(row).filter(|code| **code != NO_VALUE)?;
        Some(self.texts.get(code as usize))
    }

    /// Memory that the rows so far need, in bytes.
    pub fn needed_bytes(&self) -> usize {
        let each_text = 2 * size_of::<u32>();
        size_of_val(&self.codes[..]) + self.texts.bytes.len() + self.texts.len() * each_text
    }

    /// The column so far; the builder is empty afterwards.
    pub fn finish(&mut self) -> Column {
        self.interner.codes.clear();
        let texts = self.texts.another();
        Column::Repeating {
            codes: renewed(&mut self.codes),
            texts: std::mem::replace(&mut self.texts, texts).fitted(),
        }
    }
}

/// Fills a column of texts that hardly repeat, as [`RepeatingBuilder`] does.
#[derive(Default)]
pub struct UniqueBuilder {
    spans: Vec<(u32, u32)>,
    bytes: String,
}

impl UniqueBuilder {
    #[inline]
    pub fn push(&mut self, row: usize, text: &str) {
        fill(&mut self.spans, row, NO_SPAN);
        let start = self.bytes.len();
        self.bytes.push_str(text);
        self.spans.push((offset(start), offset(self.bytes.len())));
    }

    /// Memory that the rows so far need, in bytes.
    pub fn needed_bytes(&self) -> usize {
        size_of_val(&self.spans[..]) + self.bytes.len()
    }

    /// The column so far; the builder is empty afterwards.
    pub fn finish(&mut self) -> Column {
        let bytes = String::with_capacity(with_headroom(self.bytes.len()));
        Column::Unique {
            spans: renewed(&mut self.spans),
            bytes: fitted_text(std::mem::replace(&mut self.bytes, bytes)),
        }
    }
}

/// Gives a row of plain values its value, as [`RepeatingBuilder`] does.
#[inline]
pub fn put<V: Clone>(values: &mut Vec<Option<V>>, row: usize, value: V) {
    fill(values, row, None);
    values.push(Some(value));
}

/// The values; what stays is empty, with room for as many: objects are of about one size.
pub fn renewed<V>(values: &mut Vec<V>) -> Vec<V> {
    let next = Vec::with_capacity(with_headroom(values.len()));
    fitted(std::mem::replace(values, next))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Columns of texts that nothing was built with before.
    fn afresh(rows: &[Option<u8>], text: impl Fn(u8) -> String) -> [Column; 2] {
        let (mut repeating, mut unique): (RepeatingBuilder, UniqueBuilder) = Default::default();
        for (row, n) in rows.iter().enumerate() {
            if let Some(n) = *n {
                repeating.push(row, &text(n));
                unique.push(row, &text(n));
            }
        }
        [repeating.finish(), unique.finish()]
    }

    proptest! {
        /// Row groups are cut by the columns' sizes: what a thread had built before must not count.
        #[test]
        fn sizes_depend_on_the_rows_alone(
            batches in proptest::collection::vec(
                proptest::collection::vec(proptest::option::of(0_u8..6), 0..3000), 2..5),
        ) {
            let text = |n: u8| "é-".repeat(n as usize);
            let (mut repeating, mut unique): (RepeatingBuilder, UniqueBuilder) = Default::default();
            for rows in &batches {
                for (row, n) in rows.iter().enumerate() {
                    if let Some(n) = *n {
                        repeating.push(row, &text(n));
                        unique.push(row, &text(n));
                    }
                }
                let columns = [repeating.finish(), unique.finish()];
                for (column, fresh) in columns.iter().zip(&afresh(rows, text)) {
                    prop_assert_eq!(column.size_bytes(), fresh.size_bytes());
                }
            }
        }

        #[test]
        fn columns_give_back_what_was_put_in(
            batches in proptest::collection::vec(
                proptest::collection::vec(proptest::option::of(0_u8..6), 0..60), 1..4),
        ) {
            let text = |n: u8| "é-".repeat(n as usize);
            let (mut repeating, mut unique) = Default::default();
            let (mut numbers, mut flags) = (Vec::new(), Vec::new());
            for rows in &batches {
                for (row, n) in rows.iter().enumerate() {
                    let Some(n) = *n else { continue };
                    RepeatingBuilder::push(&mut repeating, row, &text(n));
                    UniqueBuilder::push(&mut unique, row, &text(n));
                    put(&mut numbers, row, i64::from(n));
                    put(&mut flags, row, n % 2 == 0);
                }
                let columns = [
                    repeating.finish(),
                    unique.finish(),
                    Column::Numbers(renewed(&mut numbers)),
                    Column::Flags(renewed(&mut flags)),
                ];
                for row in 0..rows.len() + 1 {
                    let n = rows.get(row).copied().flatten();
                    let text = n.map(text);
                    prop_assert_eq!(columns[0].get(row), text.as_deref().map(Value::Text));
                    prop_assert_eq!(columns[1].get(row), text.as_deref().map(Value::Text));
                    prop_assert_eq!(columns[2].get(row), n.map(|n| Value::Number(n.into())));
                    prop_assert_eq!(columns[3].get(row), n.map(|n| Value::Flag(n % 2 == 0)));
                }
                if let Column::Repeating { texts, .. } = &columns[0] {
                    let mut distinct: Vec<_> = rows.iter().flatten().collect();
                    distinct.sort_unstable();
                    distinct.dedup();
                    prop_assert_eq!(texts.len(), distinct.len());
                }
            }
        }
    }
}
