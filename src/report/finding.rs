//! Findings with an identity: the rows of a run that nobody has suppressed, each with an id that it
//! keeps from night to night.

use std::collections::{BTreeMap, BTreeSet};

use arrow::array::{Array, ArrayRef, AsArray, RecordBatch};
use arrow::datatypes::{DataType, TimeUnit, TimestampMillisecondType};
use arrow::error::ArrowError;
use arrow::util::display::array_value_to_string;
use jiff::civil::Date;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::catalogue::Report;
use super::header::Level;
use super::result::{Answer, ReportResult, ReportRun};
use crate::lake::hex::hex;

/// Rows of a report that become findings although nobody knows them yet; those beyond are counted, and
/// are the next run's. Of the known ones no row hides another.
pub const MAX_UNKNOWN: usize = 1_000;

/// Bytes of the hash that an id has; written as twice as many hexadecimal digits.
const ID_BYTES: usize = 8;

/// Characters of a column's value that a finding keeps.
const MAX_FACT_CHARACTERS: usize = 160;

/// What is hashed in front, so that another way to make ids makes other ones.
const ID_SCHEME: &[u8] = b"dynatrail finding 1";

/// Columns that tell a person what a finding is about, where its identity has them not.
const TELLING: [&str; 8] = [
    "event_time",
    "aws_region",
    "what",
    "event_name",
    "table_name",
    "principal",
    "source_ip_address",
    "finding",
];

/// Columns that tell when it was that a row is about, as a time or as a date.
const TIMES: [&str; 6] = ["event_time", "first_seen", "last_seen", "day", "dt", "hour"];

/// Event dates in UTC, both included.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Span {
    pub first: Date,
    pub last: Date,
}

impl Span {
    pub fn of_day(day: Date) -> Self {
        Self {
            first: day,
            last: day,
        }
    }

    pub fn overlaps(&self, other: &Self) -> bool {
        self.first <= other.last && other.first <= self.last
    }
}

/// A row of a report of level low or above that no suppression matched.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// 16 hexadecimal digits.
    pub id: String,
    /// The report's name.
    pub report: String,
    pub level: Level,
    /// The report's title.
    pub title: String,
    /// Names and values of the columns that say which one it is, as the log has them, cut; NULLs
    /// are left out. Whoever shows them must make them harmless.
    pub facts: Vec<(String, String)>,
    /// The event dates that it is about; none where the report does not say.
    pub span: Option<Span>,
}

/// The findings of a run.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RunFindings {
    /// In the order of reports and rows, each id once.
    pub findings: Vec<Finding>,
    /// Reports whose rows are all among the findings, and that had all there is to read: what such
    /// a report does not find has ended.
    pub answered: BTreeSet<String>,
    /// Rows by report that are beyond [`MAX_UNKNOWN`] or that the run did not keep.
    pub beyond: BTreeMap<String, u64>,
}

impl RunFindings {
    /// Takes the findings out of a run; `is_known` says which ids are no news.
    pub fn of(run: &ReportRun, is_known: &dyn Fn(&str) -> bool) -> Result<Self, ArrowError> {
        let mut found = Self::default();
        for result in &run.results {
            let report = &result.report;
            if report.header.level == Level::Informational {
                continue;
            }
            let beyond = found.add(result, is_known)?;
            if beyond > 0 {
                found.beyond.insert(report.name.clone(), beyond);
            }
            let is_whole = !result.has_failed
                && matches!(result.answer, Answer::Finding | Answer::Clean)
                && run.evidence.gaps.is_empty();
            if is_whole && beyond == 0 {
                found.answered.insert(report.name.clone());
            }
        }
        Ok(found)
    }

    /// Adds a report's findings; says how many rows there are beyond them.
    fn add(
        &mut self,
        result: &ReportResult,
        is_known: &dyn Fn(&str) -> bool,
    ) -> Result<u64, ArrowError> {
        let report = &result.report;
        let open = result.open_rows();
        if report.header.identity.is_empty() {
            // Its rows cannot be told from one another: that there are some is the finding.
            if open > 0 {
                let facts = vec![("rows".to_owned(), open.to_string())];
                let id = id(&report.name, &[]);
                self.findings.push(finding(report, id, facts));
            }
            return Ok(0);
        }
        let mut seen = BTreeSet::new();
        let (mut looked, mut number, mut unknown, mut beyond) = (0, 0, 0, 0);
        for batch in result.rows.batches() {
            for row in 0..batch.num_rows() {
                let suppression = result.suppressed.get(number).copied().flatten();
                number += 1;
                if suppression.is_some() {
                    continue;
                }
                looked += 1;
                let Some(id) = finding_id(report, &batch, row)? else {
                    continue;
                };
                if !seen.insert(id.clone()) {
                    continue;
                }
                if !is_known(&id) {
                    if unknown >= MAX_UNKNOWN {
                        beyond += 1;
                        continue;
                    }
                    unknown += 1;
                }
                let facts = facts(report, &batch, row)?;
                self.findings.push(Finding {
                    span: span(&batch, row)?,
                    ..finding(report, id, facts)
                });
            }
        }
        if open > looked {
            self.findings.push(not_kept(report, open - looked));
        }
        Ok(beyond + open - looked)
    }
}

/// That a run did not keep all rows, which may hide what is new. It is another finding when the rows
/// have become twice as many.
fn not_kept(report: &Report, rows: u64) -> Finding {
    let doublings = rows.ilog2().to_string();
    // No column has such a name.
    let id = id(&report.name, &[("rows not kept", Some(doublings))]);
    finding(
        report,
        id,
        vec![("rows_not_looked_at".to_owned(), rows.to_string())],
    )
}

fn finding(report: &Report, id: String, facts: Vec<(String, String)>) -> Finding {
    Finding {
        id,
        report: report.name.clone(),
        level: report.header.level,
        title: report.header.title.clone(),
        facts,
        span: None,
    }
}

/// The dates from the earliest to the latest time in a row.
fn span(batch: &RecordBatch, row: usize) -> Result<Option<Span>, ArrowError> {
    let mut span: Option<Span> = None;
    for name in TIMES {
        let Some(column) = batch.column_by_name(name) else {
            continue;
        };
        let text = value_text(column, row)?.unwrap_or_default();
        let date = text.get(..10).and_then(|date| date.parse::<Date>().ok());
        if let Some(date) = date {
            let so_far = span.unwrap_or(Span::of_day(date));
            span = Some(Span {
                first: so_far.first.min(date),
                last: so_far.last.max(date),
            });
        }
    }
    Ok(span)
}

/// The id of a row: a hash of the report's name and of the columns that its header calls the
/// identity. None where the header names none.
pub fn finding_id(
    report: &Report,
    batch: &RecordBatch,
    row: usize,
) -> Result<Option<String>, ArrowError> {
    let identity = &report.header.identity;
    if identity.is_empty() {
        return Ok(None);
    }
    let mut members = Vec::with_capacity(identity.len());
    for name in identity {
        let value = match batch.column_by_name(name) {
            Some(column) => value_text(column, row)?,
            None => None,
        };
        members.push((name.as_str(), value));
    }
    Ok(Some(id(&report.name, &members)))
}

/// Hashes names and values in the order of the names, so that the header's order is no part of it.
fn id(report: &str, members: &[(&str, Option<String>)]) -> String {
    let mut members: Vec<_> = members.iter().collect();
    members.sort();
    let mut hash = Sha256::new();
    hash.update(ID_SCHEME);
    let mut add = |text: &str| {
        // With its length, so that no value can pose as the end of another.
        hash.update((text.len() as u64).to_be_bytes());
        hash.update(text);
    };
    add(report);
    for (name, value) in members {
        add(name);
        match value {
            Some(value) => {
                add("=");
                add(value);
            }
            None => add(""),
        }
    }
    hex(&hash.finalize()[..ID_BYTES])
}

fn facts(
    report: &Report,
    batch: &RecordBatch,
    row: usize,
) -> Result<Vec<(String, String)>, ArrowError> {
    let mut facts = Vec::new();
    for (name, _) in &report.header.columns.0 {
        if !report.header.identity.contains(name) && !TELLING.contains(&name.as_str()) {
            continue;
        }
        let Some(column) = batch.column_by_name(name) else {
            continue;
        };
        if let Some(value) = value_text(column, row)? {
            facts.push((name.clone(), cut(&value, MAX_FACT_CHARACTERS)));
        }
    }
    Ok(facts)
}

/// The text's first characters, with a mark where there are more.
fn cut(text: &str, characters: usize) -> String {
    match text.char_indices().nth(characters) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.to_owned(),
    }
}

/// A value as text that no setting of an engine changes: times in RFC 3339, in UTC and milliseconds.
fn value_text(column: &ArrayRef, row: usize) -> Result<Option<String>, ArrowError> {
    if column.is_null(row) {
        return Ok(None);
    }
    let text = match column.data_type() {
        DataType::Utf8 => column.as_string::<i32>().value(row).to_owned(),
        DataType::Timestamp(_, _) => {
            let kind = DataType::Timestamp(TimeUnit::Millisecond, None);
            let column = arrow::compute::cast(&column.slice(row, 1), &kind)?;
            let ms = column.as_primitive::<TimestampMillisecondType>().value(0);
            match jiff::Timestamp::from_millisecond(ms) {
                Ok(time) => format!("{time:.3}"),
                Err(_) => ms.to_string(),
            }
        }
        _ => array_value_to_string(column, row)?,
    };
    Ok(Some(text))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_is_of_names_and_values_alone() {
        let text = |text: &str| Some(text.to_owned());
        let first = id("r", &[("a", text("1")), ("b", text("2"))]);
        assert_eq!(first, id("r", &[("b", text("2")), ("a", text("1"))]));
        assert_eq!(first.len(), 16);
        assert!(first.bytes().all(|b| b.is_ascii_hexdigit()));
        let others = [
            id("s", &[("a", text("1")), ("b", text("2"))]),
            id("r", &[("a", text("2")), ("b", text("1"))]),
            id("r", &[("a", text("1")), ("b", text(""))]),
            id("r", &[("a", text("1")), ("b", None)]),
            id("r", &[("a", text("1"))]),
            id("r", &[("a", text("1b2"))]),
            id("r", &[]),
        ];
        let distinct: BTreeSet<&String> = others.iter().chain([&first]).collect();
        assert_eq!(distinct.len(), others.len() + 1);
    }

    #[test]
    fn ids_stay_from_version_to_version() {
        let members = [
            ("recipient_account_id", Some("111122223333".to_owned())),
            ("table_name", None),
        ];
        assert_eq!(id("table-deleted", &members), "4ee878ac4c664e35");
    }

    #[test]
    fn long_values_are_cut_between_characters() {
        assert_eq!(cut("äöü", 3), "äöü");
        assert_eq!(cut("äöüß", 3), "äöü…");
    }
}
