//! Writes CloudTrail JSON back from the rows of `events`, equal as JSON to what was read.

use std::collections::BTreeMap;

use arrow::array::{Array, AsArray, RecordBatch};
use arrow::datatypes::Int64Type;
use serde_json::value::RawValue;

use super::receipt::Part;
use super::settle::read_part;
use super::{LakeError, Store};
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
        let extra: BTreeMap<String, Box<RawValue>> = self
            .text("extra", row)
            .and_then(|extra| serde_json::from_str(extra).ok())
            .unwrap_or_default();
        out.push('{');
        let time = match self.text("event_time_text", row) {
            Some(text) => Some(text.to_owned()),
            None => self.canonical_time(row),
        };
        if let Some(time) = time.filter(|_| !extra.contains_key("eventTime")) {
            push_name(out, "eventTime");
            push_string(out, &time);
        }
        for (index, member, kind) in &self.members {
            let column = self.batch.column(*index);
            if column.is_null(row) || extra.contains_key(*member) {
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
        for (name, value) in &extra {
            push_name(out, name);
            out.push_str(value.get());
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

fn push_name(out: &mut String, name: &str) {
    if out.len() > 1 {
        out.push(',');
    }
    push_string(out, name);
    out.push(':');
}

fn push_string(out: &mut String, text: &str) {
    out.push_str(&serde_json::Value::from(text).to_string());
}
