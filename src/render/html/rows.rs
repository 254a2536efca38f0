//! A report's rows: the first of them for static HTML, all kept ones as JSON for the script.

use std::collections::BTreeMap;
use std::io::Write;

use arrow::array::RecordBatch;
use serde::Serialize;

use super::HtmlError;
use super::cell::{Kind, Reader};
use super::escape::json_in_script;
use super::link::PlaceLink;
use crate::report::result::{Place, ReportResult};

/// Rows that stand in the page without the script.
pub const STATIC_ROWS: usize = 50;

/// Characters of a cell that are shown before it is opened.
pub const BRIEF_CHARACTERS: usize = 160;

/// The column whose values name records of the archive.
const EVENT_ID: &str = "event_id";

#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Column {
    pub name: String,
    pub kind: Kind,
    /// What the column means.
    pub about: String,
}

/// A cell of static HTML.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Cell {
    /// None for null.
    pub text: Option<String>,
    /// The beginning of a long text, which is opened to be read.
    pub brief: Option<String>,
    pub kind: Kind,
    pub link: Option<PlaceLink>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct StaticRow {
    pub cells: Vec<Cell>,
    pub is_suppressed: bool,
}

/// A report's rows with the columns that the page adds: the suppression in front, the place of
/// the event's record behind, each only where a row has one.
pub struct Rows<'a> {
    result: &'a ReportResult,
    places: &'a BTreeMap<String, Place>,
    has_suppressed: bool,
    event_id: Option<usize>,
    pub columns: Vec<Column>,
}

/// A row as it is shown, and what its added columns stand for.
struct Row {
    texts: Vec<Option<String>>,
    suppression: Option<usize>,
    place: Option<PlaceLink>,
}

impl<'a> Rows<'a> {
    pub fn new(
        result: &'a ReportResult,
        places: &'a BTreeMap<String, Place>,
    ) -> Result<Self, HtmlError> {
        let mut rows = Self {
            result,
            places,
            has_suppressed: result.suppressed.iter().any(Option::is_some),
            event_id: result.schema.index_of(EVENT_ID).ok(),
            columns: Vec::new(),
        };
        if !rows.has_place()? {
            rows.event_id = None;
        }
        rows.columns = rows.all_columns();
        Ok(rows)
    }

    fn has_place(&self) -> Result<bool, HtmlError> {
        let Some(event_id) = self.event_id else {
            return Ok(false);
        };
        for batch in self.result.rows.batches() {
            let reader = Reader::new(batch.column(event_id).as_ref())?;
            for row in 0..batch.num_rows() {
                if self.place(&reader, row)?.is_some() {
                    return Ok(true);
                }
            }
        }
        Ok(false)
    }

    fn place(&self, event_ids: &Reader<'_>, row: usize) -> Result<Option<&'a Place>, HtmlError> {
        Ok(event_ids.raw(row)?.and_then(|id| self.places.get(&id)))
    }

    fn all_columns(&self) -> Vec<Column> {
        let meanings = &self.result.report.header.columns.0;
        let mut columns = Vec::new();
        if self.has_suppressed {
            columns.push(Column {
                name: "suppressed".to_owned(),
                kind: Kind::Suppression,
                about: "Until when and why the row is suppressed".to_owned(),
            });
        }
        for field in self.result.schema.fields() {
            let meaning = meanings.iter().find(|(name, _)| name == field.name());
            columns.push(Column {
                name: field.name().clone(),
                kind: Kind::of(field.data_type()),
                about: meaning.map(|(_, about)| about.clone()).unwrap_or_default(),
            });
        }
        if self.event_id.is_some() {
            columns.push(Column {
                name: "source record".to_owned(),
                kind: Kind::Source,
                about: "The object of the archive that holds the event, and its place there"
                    .to_owned(),
            });
        }
        columns
    }

    /// Calls `visit` with each kept row in order, until `limit`.
    fn each(
        &self,
        limit: usize,
        visit: &mut dyn FnMut(Row) -> Result<(), HtmlError>,
    ) -> Result<(), HtmlError> {
        let mut index = 0;
        for batch in self.result.rows.batches() {
            let readers = readers(&batch)?;
            for row in 0..batch.num_rows() {
                if index >= limit {
                    return Ok(());
                }
                visit(self.row(&readers, row, index)?)?;
                index += 1;
            }
        }
        Ok(())
    }

    fn row(&self, readers: &[Reader<'_>], row: usize, index: usize) -> Result<Row, HtmlError> {
        let suppression = self.result.suppressed.get(index).copied().flatten();
        let mut texts = Vec::with_capacity(self.columns.len());
        if self.has_suppressed {
            texts.push(suppression.and_then(|number| self.suppression_text(number)));
        }
        for reader in readers {
            texts.push(reader.shown(row)?);
        }
        let mut place = None;
        if let Some(event_id) = self.event_id {
            place = self.place(&readers[event_id], row)?.map(PlaceLink::new);
            texts.push(place.as_ref().map(|place| place.text.clone()));
        }
        Ok(Row {
            texts,
            suppression,
            place,
        })
    }

    fn suppression_text(&self, number: usize) -> Option<String> {
        let suppression = self.result.suppressions.get(number)?;
        let text = format!("until {}: {}", suppression.until, suppression.reason);
        Some(crate::render::sanitize::one_line(&text).into_owned())
    }

    /// The rows that stand in the page without the script.
    pub fn static_rows(&self) -> Result<Vec<StaticRow>, HtmlError> {
        let mut rows = Vec::new();
        self.each(STATIC_ROWS, &mut |row| {
            let mut cells = Vec::with_capacity(row.texts.len());
            for (column, text) in self.columns.iter().zip(row.texts) {
                let link = match column.kind {
                    Kind::Source => row.place.clone(),
                    _ => None,
                };
                cells.push(Cell {
                    brief: text.as_deref().and_then(brief),
                    text,
                    kind: column.kind,
                    link,
                });
            }
            rows.push(StaticRow {
                cells,
                is_suppressed: row.suppression.is_some(),
            });
            Ok(())
        })?;
        Ok(rows)
    }

    /// Writes the kept rows for the script: the kinds of the columns; then for each row its cells,
    /// whether it is suppressed, and the title and address of its place.
    pub fn write_json(&self, out: &mut impl Write) -> Result<(), HtmlError> {
        let kinds: Vec<&str> = self
            .columns
            .iter()
            .map(|column| column.kind.as_str())
            .collect();
        let kinds = serde_json::to_string(&kinds).map_err(HtmlError::Json)?;
        write!(out, "{{\"kinds\":{kinds},\"rows\":[")?;
        let mut separator = "\n";
        self.each(usize::MAX, &mut |row| {
            let place = row.place.map(|place| (place.title, place.url));
            let entry = (row.texts, u8::from(row.suppression.is_some()), place);
            let json = serde_json::to_string(&entry).map_err(HtmlError::Json)?;
            out.write_all(separator.as_bytes())?;
            out.write_all(json_in_script(&json).as_bytes())?;
            separator = ",\n";
            Ok(())
        })?;
        out.write_all(b"\n]}")?;
        Ok(())
    }
}

fn readers(batch: &RecordBatch) -> Result<Vec<Reader<'_>>, HtmlError> {
    let mut readers = Vec::with_capacity(batch.num_columns());
    for column in batch.columns() {
        readers.push(Reader::new(column.as_ref())?);
    }
    Ok(readers)
}

/// The beginning of a text that is too long to be shown whole in a row.
fn brief(text: &str) -> Option<String> {
    text.chars().nth(BRIEF_CHARACTERS)?;
    Some(text.chars().take(BRIEF_CHARACTERS).collect())
}
