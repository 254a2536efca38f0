//! CSV (RFC 4180) that no spreadsheet takes for formulas.

use std::io::Write;

use arrow::array::RecordBatch;
use arrow::datatypes::Schema;

use super::RenderError;
use super::cell;
use super::sanitize::spreadsheet;

/// Writes rows under one line of column names.
pub struct CsvWriter<W: Write>(csv::Writer<W>);

impl<W: Write> CsvWriter<W> {
    pub fn new(schema: &Schema, out: W) -> Result<Self, RenderError> {
        let mut writer = csv::WriterBuilder::new()
            .terminator(csv::Terminator::CRLF)
            .from_writer(out);
        let names = schema.fields().iter();
        writer.write_record(names.map(|field| spreadsheet(field.name()).into_owned()))?;
        Ok(Self(writer))
    }

    pub fn write(&mut self, batch: &RecordBatch) -> Result<(), RenderError> {
        for row in 0..batch.num_rows() {
            for column in batch.columns() {
                let text = cell::text(column, row).unwrap_or_default();
                // A negative number is no formula.
                match cell::is_number(column.data_type()) {
                    true => self.0.write_field(text)?,
                    false => self.0.write_field(spreadsheet(&text).as_ref())?,
                }
            }
            self.0.write_record(None::<&[u8]>)?;
        }
        Ok(())
    }

    pub fn finish(mut self) -> Result<(), RenderError> {
        Ok(self.0.flush()?)
    }
}
