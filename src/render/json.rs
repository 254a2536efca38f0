//! JSON: rows as an array or one a line; a run with its evidence. The names are stable.

use std::io::Write;

use arrow::array::RecordBatch;
use arrow::datatypes::SchemaRef;
use serde::Serialize;
use serde_json::{Value, json};

use super::sanitize::json_text;
use super::{RenderError, cell};
use crate::report::finding::finding_id;
use crate::report::result::{AppliedSuppression, ReportResult, ReportRun};

/// Writes rows as objects, whose members have the order of the columns.
pub struct RowsWriter<W: Write> {
    schema: SchemaRef,
    out: W,
    is_array: bool,
    rows: u64,
}

impl<W: Write> RowsWriter<W> {
    /// One array of all rows, a row a line.
    pub fn array(schema: SchemaRef, out: W) -> Self {
        Self {
            schema,
            out,
            is_array: true,
            rows: 0,
        }
    }

    /// One row a line.
    pub fn lines(schema: SchemaRef, out: W) -> Self {
        Self {
            is_array: false,
            ..Self::array(schema, out)
        }
    }

    pub fn write(&mut self, batch: &RecordBatch) -> Result<(), RenderError> {
        for row in 0..batch.num_rows() {
            let before = match (self.is_array, self.rows) {
                (true, 0) => "[\n",
                (true, _) => ",\n",
                (false, _) => "",
            };
            let after = if self.is_array { "" } else { "\n" };
            let object = object(&self.schema, batch, row);
            write!(self.out, "{before}{object}{after}")?;
            self.rows += 1;
        }
        Ok(())
    }

    pub fn finish(mut self) -> Result<(), RenderError> {
        if self.is_array {
            let end = if self.rows == 0 { "[]\n" } else { "\n]\n" };
            self.out.write_all(end.as_bytes())?;
        }
        Ok(self.out.flush()?)
    }
}

/// A row as a JSON object.
pub fn object(schema: &SchemaRef, batch: &RecordBatch, row: usize) -> String {
    let mut text = String::from("{");
    for (field, column) in schema.fields().iter().zip(batch.columns()) {
        if text.len() > 1 {
            text.push(',');
        }
        text.push_str(&Value::from(field.name().as_str()).to_string());
        text.push(':');
        text.push_str(&cell::value(column, row).to_string());
    }
    text.push('}');
    json_text(&text).into_owned()
}

/// What a report ends in, without its rows.
#[derive(Serialize)]
struct Head<'r> {
    report: &'r str,
    topic: &'r str,
    title: &'r str,
    level: &'static str,
    attack: &'r [String],
    answer: &'static str,
    reasons: &'r [String],
    rows_found: u64,
    rows_suppressed: u64,
    suppressions: Vec<&'r AppliedSuppression>,
    parameters: serde_json::Map<String, Value>,
}

fn head(result: &ReportResult) -> Head<'_> {
    let header = &result.report.header;
    let parameters = result.parameters.iter();
    let parameters = parameters.map(|(name, value)| (name.clone(), Value::from(value.as_str())));
    let applied = result.suppressions.iter().filter(|s| s.rows > 0);
    Head {
        report: &result.report.name,
        topic: &result.report.topic,
        title: &header.title,
        level: header.level.as_str(),
        attack: &header.attack,
        answer: result.answer.as_str(),
        reasons: &result.reasons,
        rows_found: result.row_count,
        rows_suppressed: result.row_count - result.open_rows(),
        suppressions: applied.collect(),
        parameters: parameters.collect(),
    }
}

/// Writes what reports end in and what that rests on, without rows.
pub fn write_summary(run: &ReportRun, out: &mut impl Write) -> Result<(), RenderError> {
    let reports: Vec<Head<'_>> = run.results.iter().map(head).collect();
    let summary = json!({"evidence": run.evidence, "reports": reports});
    let text = serde_json::to_string_pretty(&summary).unwrap_or_default();
    Ok(writeln!(out, "{}", json_text(&text))?)
}

/// Writes a run as one object.
pub fn write_run(run: &ReportRun, out: &mut impl Write) -> Result<(), RenderError> {
    let evidence = serde_json::to_string(&run.evidence).unwrap_or_default();
    write!(
        out,
        "{{\"evidence\":{},\n\"reports\":[",
        json_text(&evidence)
    )?;
    for (number, result) in run.results.iter().enumerate() {
        let between = if number > 0 { ",\n" } else { "\n" };
        let head = serde_json::to_string(&head(result)).unwrap_or_default();
        // The rows are one member more of the object.
        let head = json_text(head.strip_suffix('}').unwrap_or(&head));
        write!(out, "{between}{head},\"rows\":[")?;
        write_rows(
            result,
            run,
            out,
            |number| if number > 0 { ",\n" } else { "\n" },
            "",
        )?;
        write!(out, "]}}")?;
    }
    writeln!(out, "\n]}}")?;
    Ok(())
}

/// Writes a run as lines: one a report, and one a row behind it.
pub fn write_run_lines(run: &ReportRun, out: &mut impl Write) -> Result<(), RenderError> {
    for result in &run.results {
        let head = serde_json::to_string(&head(result)).unwrap_or_default();
        writeln!(out, "{}", json_text(&head))?;
        write_rows(result, run, out, |_| "", "\n")?;
    }
    Ok(())
}

/// Writes the rows of a report with its name, their ids, what suppresses them and where their record
/// stands.
fn write_rows(
    result: &ReportResult,
    run: &ReportRun,
    out: &mut impl Write,
    before: impl Fn(usize) -> &'static str,
    after: &str,
) -> Result<(), RenderError> {
    let name = Value::from(result.report.name.as_str());
    let mut number = 0;
    for batch in result.rows.batches() {
        for row in 0..batch.num_rows() {
            let object = object(&result.schema, &batch, row);
            let mut beside = String::new();
            if let Some(id) = finding_id(&result.report, &batch, row)? {
                beside.push_str(&format!(",\"finding_id\":\"{id}\""));
            }
            if let Some(suppressed) = result.suppressed.get(number).copied().flatten() {
                let reason = Value::from(result.suppressions[suppressed].reason.as_str());
                beside.push_str(&format!(",\"suppressed\":{reason}"));
            }
            let id = batch.column_by_name("event_id");
            let id = id.and_then(|column| cell::text(column, row));
            if let Some(place) = id.and_then(|id| run.places.get(&id)) {
                let place = serde_json::to_string(place).unwrap_or_default();
                beside.push_str(&format!(",\"place\":{place}"));
            }
            let before = before(number);
            let beside = json_text(&beside);
            write!(
                out,
                "{before}{{\"report\":{name},\"row\":{object}{beside}}}{after}"
            )?;
            number += 1;
        }
    }
    Ok(())
}
