//! Writes the rows of a question as they come, in every format that holds a table.

use std::io::Write;

use arrow::array::RecordBatch;
use arrow::datatypes::SchemaRef;

use super::csv::CsvWriter;
use super::parquet::ParquetWriter;
use super::table::TableWriter;
use super::{Format, Layout, RenderError, json, markdown};

/// Writes rows in a format; `finish` must end it.
pub enum RowWriter<W: Write + Send> {
    Table(TableWriter<W>),
    Json(json::RowsWriter<W>),
    Csv(CsvWriter<W>),
    Markdown(markdown::RowsWriter<W>),
    Parquet(ParquetWriter<W>),
}

impl<W: Write + Send> RowWriter<W> {
    /// Begins a table of rows of this schema.
    pub fn new(
        format: Format,
        schema: &SchemaRef,
        layout: Layout,
        out: W,
    ) -> Result<Self, RenderError> {
        Ok(match format {
            Format::Table => Self::Table(TableWriter::new(schema.clone(), layout, out)),
            Format::Json => Self::Json(json::RowsWriter::array(schema.clone(), out)),
            Format::Ndjson => Self::Json(json::RowsWriter::lines(schema.clone(), out)),
            Format::Csv => Self::Csv(CsvWriter::new(schema, out)?),
            Format::Markdown => Self::Markdown(markdown::RowsWriter::new(schema, out)?),
            Format::Parquet => Self::Parquet(ParquetWriter::new(schema, out)?),
            Format::Html => return Err(RenderError::OneTable("an HTML page of SQL")),
        })
    }

    pub fn write(&mut self, batch: &RecordBatch) -> Result<(), RenderError> {
        match self {
            Self::Table(writer) => writer.write(batch),
            Self::Json(writer) => writer.write(batch),
            Self::Csv(writer) => writer.write(batch),
            Self::Markdown(writer) => writer.write(batch),
            Self::Parquet(writer) => writer.write(batch),
        }
    }

    /// Ends the table.
    pub fn finish(self) -> Result<(), RenderError> {
        match self {
            Self::Table(writer) => writer.finish(),
            Self::Json(writer) => writer.finish(),
            Self::Csv(writer) => writer.finish(),
            Self::Markdown(writer) => writer.finish(),
            Self::Parquet(writer) => writer.finish(),
        }
    }
}
