//! Markdown: tables of code spans, so that nothing of a log is a link, markup or HTML.

use std::io::Write;

use arrow::array::RecordBatch;
use arrow::datatypes::Schema;

use super::sanitize::code_span;
use super::{RenderError, cell};
use crate::report::evidence::Evidence;
use crate::report::result::{ReportResult, ReportRun};

/// Writes rows as one table.
pub struct RowsWriter<W: Write>(W);

impl<W: Write> RowsWriter<W> {
    pub fn new(schema: &Schema, mut out: W) -> Result<Self, RenderError> {
        let names = schema.fields().iter();
        let names: Vec<String> = names.map(|field| code_span(field.name())).collect();
        writeln!(out, "| {} |", names.join(" | "))?;
        let lines = schema
            .fields()
            .iter()
            .map(|field| match cell::is_number(field.data_type()) {
                true => "--:",
                false => "---",
            });
        writeln!(out, "|{}|", lines.collect::<Vec<_>>().join("|"))?;
        Ok(Self(out))
    }

    pub fn write(&mut self, batch: &RecordBatch) -> Result<(), RenderError> {
        for row in 0..batch.num_rows() {
            let cells = batch.columns().iter().map(|column| {
                let text = cell::text(column, row).unwrap_or_default();
                match cell::is_number(column.data_type()) {
                    true => text,
                    false => code_span(&text),
                }
            });
            writeln!(self.0, "| {} |", cells.collect::<Vec<_>>().join(" | "))?;
        }
        Ok(())
    }

    pub fn finish(mut self) -> Result<(), RenderError> {
        Ok(self.0.flush()?)
    }
}

/// Writes a run as one document: a summary, the evidence, and a section a report.
pub fn write_run(run: &ReportRun, out: &mut impl Write) -> Result<(), RenderError> {
    writeln!(out, "# Reports over {}\n", code_span(&run.evidence.lake))?;
    writeln!(out, "| answer | level | rows | report |\n|---|---|--:|---|")?;
    for result in &run.results {
        writeln!(
            out,
            "| {} | {} | {} | {} |",
            result.answer.in_words(),
            result.report.header.level.as_str(),
            result.row_count,
            code_span(&result.report.name)
        )?;
    }
    write_evidence(&run.evidence, out)?;
    for result in &run.results {
        write_report(result, out)?;
    }
    Ok(())
}

/// Writes what a run rests on.
pub fn write_evidence(evidence: &Evidence, out: &mut impl Write) -> Result<(), RenderError> {
    writeln!(out, "\n## Evidence\n")?;
    for line in evidence.in_words() {
        writeln!(out, "- {}", code_span(&line))?;
    }
    Ok(())
}

/// Writes a section for a report.
pub fn write_report(result: &ReportResult, out: &mut impl Write) -> Result<(), RenderError> {
    let header = &result.report.header;
    writeln!(out, "\n## {}: {}\n", header.title, result.answer.in_words())?;
    writeln!(
        out,
        "{} · {} · {} rows\n",
        code_span(&result.report.name),
        header.level.as_str(),
        result.row_count
    )?;
    for reason in &result.reasons {
        writeln!(out, "- {}", code_span(reason))?;
    }
    for suppression in result.suppressions.iter().filter(|s| s.rows > 0) {
        let reason = code_span(&suppression.reason);
        let (rows, until) = (suppression.rows, &suppression.until);
        writeln!(out, "- {rows} rows are suppressed until {until}: {reason}")?;
    }
    if result.row_count > 0 {
        writeln!(out)?;
        let mut rows = RowsWriter::new(&result.schema, &mut *out)?;
        for batch in result.rows.batches() {
            rows.write(&batch)?;
        }
        rows.finish()?;
        let more = result.row_count - result.rows.count() as u64;
        if more > 0 {
            writeln!(out, "\n… and {more} more rows, which are not shown")?;
        }
    }
    Ok(())
}
