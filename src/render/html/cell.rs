//! Cells of a report's rows as text.

use arrow::array::{Array, ArrayRef, AsArray};
use arrow::compute::cast;
use arrow::datatypes::{DataType, Int64Type, TimeUnit};
use arrow::error::ArrowError;
use arrow::util::display::{ArrayFormatter, FormatOptions};
use jiff::{SignedDuration, Timestamp};

use crate::render::sanitize::one_line;

/// Characters of a cell that the page holds. A request may fill a record of 256 KiB.
pub const MAX_CELL_CHARACTERS: usize = 10_000;

/// How a column is ordered and set.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    Text,
    Number,
    Timestamp,
    /// Why a row is suppressed: a column of the page's own.
    Suppression,
    /// Where an event's record stands: a column of the page's own.
    Source,
}

impl Kind {
    pub fn of(data_type: &DataType) -> Self {
        match data_type {
            DataType::Timestamp(..) => Self::Timestamp,
            other if other.is_numeric() => Self::Number,
            _ => Self::Text,
        }
    }

    pub fn as_str(self) -> &'static str {
        match self {
            Self::Text => "text",
            Self::Number => "number",
            Self::Timestamp => "timestamp",
            Self::Suppression => "suppression",
            Self::Source => "source",
        }
    }
}

/// Reads the cells of one column of one batch.
pub enum Reader<'a> {
    Instant { ticks: ArrayRef, unit: TimeUnit },
    Plain(&'a dyn Array, ArrayFormatter<'a>),
}

impl<'a> Reader<'a> {
    pub fn new(array: &'a dyn Array) -> Result<Self, ArrowError> {
        if let DataType::Timestamp(unit, _) = array.data_type() {
            let ticks = cast(array, &DataType::Int64)?;
            return Ok(Self::Instant { ticks, unit: *unit });
        }
        // Quotes tell where a text of a list ends; a text of its own needs none.
        let quoted = array.data_type().is_nested();
        let options = FormatOptions::new()
            .with_display_error(false)
            .with_quoted_strings(quoted)
            .with_null("null");
        let formatter = ArrayFormatter::try_new(array, &options)?;
        Ok(Self::Plain(array, formatter))
    }

    /// The cell's text as the log has it; none for null.
    pub fn raw(&self, row: usize) -> Result<Option<String>, ArrowError> {
        match self {
            Self::Instant { ticks, unit } => {
                if ticks.is_null(row) {
                    return Ok(None);
                }
                let ticks = ticks.as_primitive::<Int64Type>().value(row);
                Ok(Some(instant(ticks, *unit)))
            }
            Self::Plain(array, _) if array.is_null(row) => Ok(None),
            Self::Plain(_, formatter) => formatter.value(row).try_to_string().map(Some),
        }
    }

    /// The cell's text as the page shows it: on one line, nothing in it steers, and not longer
    /// than a cell may be.
    pub fn shown(&self, row: usize) -> Result<Option<String>, ArrowError> {
        Ok(self.raw(row)?.map(|text| limited(&text)))
    }
}

fn limited(text: &str) -> String {
    let Some((end, _)) = text.char_indices().nth(MAX_CELL_CHARACTERS) else {
        return one_line(text).into_owned();
    };
    let left = text[end..].chars().count();
    format!(
        "{}… [{left} more characters are not in this page]",
        one_line(&text[..end])
    )
}

/// A time as ISO 8601 in UTC, with as many digits of a second as it needs: `2025-03-30T02:00:00Z`.
fn instant(ticks: i64, unit: TimeUnit) -> String {
    let duration = match unit {
        TimeUnit::Second => SignedDuration::from_secs(ticks),
        TimeUnit::Millisecond => SignedDuration::from_millis(ticks),
        TimeUnit::Microsecond => SignedDuration::from_micros(ticks),
        TimeUnit::Nanosecond => SignedDuration::from_nanos(ticks),
    };
    match Timestamp::from_duration(duration) {
        Ok(timestamp) => timestamp.to_string(),
        Err(_) => format!("{ticks} {unit:?}s since 1970").to_lowercase(),
    }
}

#[cfg(test)]
mod tests {
    use arrow::array::{ListBuilder, StringArray, StringBuilder};

    use super::*;

    #[test]
    fn times_are_iso_and_utc() {
        for (ticks, unit, text) in [
            (0, TimeUnit::Second, "1970-01-01T00:00:00Z"),
            (-1, TimeUnit::Millisecond, "1969-12-31T23:59:59.999Z"),
            (1, TimeUnit::Nanosecond, "1970-01-01T00:00:00.000000001Z"),
            (
                i64::MAX,
                TimeUnit::Second,
                "9223372036854775807 seconds since 1970",
            ),
        ] {
            assert_eq!(instant(ticks, unit), text);
        }
    }

    #[test]
    fn texts_of_a_list_are_quoted_and_those_of_a_cell_are_not() {
        let mut builder = ListBuilder::new(StringBuilder::new());
        builder.append_value([Some("a, b"), None]);
        let lists = builder.finish();
        let reader = Reader::new(&lists).expect("a reader");
        assert_eq!(
            reader.shown(0).expect("a text").as_deref(),
            Some("[\"a, b\", null]")
        );
        let text = StringArray::from(vec!["a, b"]);
        let reader = Reader::new(&text).expect("a reader");
        assert_eq!(reader.shown(0).expect("a text").as_deref(), Some("a, b"));
    }

    #[test]
    fn a_cell_has_its_limit() {
        let whole = "表".repeat(MAX_CELL_CHARACTERS);
        assert_eq!(limited(&whole), whole);
        let cut = limited(&(whole.clone() + "ab"));
        assert_eq!(cut, whole + "… [2 more characters are not in this page]");
    }
}
