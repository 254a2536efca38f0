//! Writes CloudTrail JSON back from the rows of `events`, equal as JSON to what was read.

use std::collections::BTreeMap;

use arrow::array::{Array, AsArray, RecordBatch};
use arrow::datatypes::Int64Type;

use super::receipt::Part;
use super::settle::read_part;
use super::{LakeError, Store};
use crate::event::parse::Parser;
use crate::event::schema::{Cell, Events, Table};
use crate::event::time;

/// Appends the records of a part of `events`, one a line, calling `record` for each.
pub fn export_part<E: From<LakeError>>(
    store: &Store,
    part: &Part,
    mut record: impl FnMut(&str) -> Result<(), E>,
) -> Result<(), E> {
    let mut text = String::new();
    for batch in read_part(store, part, None)? {
        let rows = RecordTexts::of(&batch?);
        for row in 0..rows.batch.num_rows() {
            text.clear();
            rows.write(row, &mut text);
            record(&text)?;
        }
    }
    Ok(())
}

/// A batch of `events` whose columns are known.
struct RecordTexts {
    batch: RecordBatch,
    /// Column index, member name and kind of the columns that give members back.
    members: Vec<(usize, &'static str, MemberKind)>,
}

#[derive(Clone, Copy)]
enum MemberKind {
    Text,
    Json,
    Bool,
}

impl RecordTexts {
    fn of(batch: &RecordBatch) -> Self {
        let members = Events::COLUMNS.iter().filter_map(|column| {
            let kind = match column.cell {
                Cell::Text(_) => MemberKind::Text,
                Cell::Json(_) => MemberKind::Json,
                Cell::Bool(_) => MemberKind::Bool,
                Cell::Int(_) | Cell::Long(_) | Cell::Timestamp(_) => return None,
            };
            let index = batch.schema_ref().index_of(column.name).ok()?;
            Some((index, column.member?, kind))
        });
        Self {
            members: members.collect(),
            batch: batch.clone(),
        }
    }

    fn text(&self, column: &str, row: usize) -> Option<&str> {
        let column = self.batch.column_by_name(column)?.as_string_opt::<i32>()?;
        column.is_valid(row).then(|| column.value(row))
    }

    /// Appends the record of a row. A member in `extra` stands for the column of its name.
    fn write(&self, row: usize, out: &mut String) {
        let extra = self.text("extra", row).map(members).unwrap_or_default();
        let is_extra = |member: &str| extra.values().any(|(name, _)| name == member);
        out.push('{');
        let time = match self.text("event_time_text", row) {
            Some(text) => Some(text.to_owned()),
            None => self.canonical_time(row),
        };
        if let Some(time) = time.filter(|_| !is_extra("eventTime")) {
            push_name(out, "eventTime");
            push_string(out, &time);
        }
        for (index, member, kind) in &self.members {
            let column = self.batch.column(*index);
            if column.is_null(row) || is_extra(member) {
                continue;
            }
            push_name(out, member);
            match kind {
                MemberKind::Text => push_string(out, column.as_string::<i32>().value(row)),
                MemberKind::Json => out.push_str(column.as_string::<i32>().value(row)),
                MemberKind::Bool => {
                    let value = column.as_boolean().value(row);
                    out.push_str(if value { "true" } else { "false" });
                }
            }
        }
        for (raw_name, (_, value)) in &extra {
            push_comma(out);
            out.push_str(raw_name);
            out.push(':');
            out.push_str(value);
        }
        out.push('}');
    }

    fn canonical_time(&self, row: usize) -> Option<String> {
        let column = self.batch.column_by_name("event_time_ms")?;
        let times = column.as_primitive_opt::<Int64Type>()?;
        let time = times.is_valid(row).then(|| times.value(row))?;
        Some(time::canonical_event_time(time))
    }
}

/// The members of an object by their names as written: name and value's text.
fn members(object: &str) -> BTreeMap<String, (String, String)> {
    let mut parser = Parser::default();
    let members = parser.parse(object.as_bytes(), |object| {
        let members = object.members().filter_map(|(name, value)| {
            let raw_name = value.raw_name()?.to_owned();
            Some((raw_name, (name.to_owned(), value.raw().to_owned())))
        });
        members.collect()
    });
    members.unwrap_or_default()
}

fn push_comma(out: &mut String) {
    if out.len() > 1 {
        out.push(',');
    }
}

fn push_name(out: &mut String, name: &str) {
    push_comma(out);
    push_string(out, name);
    out.push(':');
}

fn push_string(out: &mut String, text: &str) {
    out.push_str(&serde_json::Value::from(text).to_string());
}
