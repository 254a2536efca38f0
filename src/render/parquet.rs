//! Parquet of the rows, as they are.

use std::io::Write;

use arrow::array::RecordBatch;
use arrow::datatypes::SchemaRef;
use parquet::arrow::ArrowWriter;
use parquet::basic::{Compression, ZstdLevel};
use parquet::file::properties::WriterProperties;

use super::RenderError;

/// Writes one Parquet file.
pub struct ParquetWriter<W: Write + Send>(ArrowWriter<W>);

impl<W: Write + Send> ParquetWriter<W> {
    pub fn new(schema: &SchemaRef, out: W) -> Result<Self, RenderError> {
        let properties = WriterProperties::builder()
            .set_created_by("dynatrail".to_owned())
            .set_compression(Compression::ZSTD(ZstdLevel::default()))
            .build();
        let writer = ArrowWriter::try_new(out, schema.clone(), Some(properties))?;
        Ok(Self(writer))
    }

    pub fn write(&mut self, batch: &RecordBatch) -> Result<(), RenderError> {
        Ok(self.0.write(batch)?)
    }

    pub fn finish(self) -> Result<(), RenderError> {
        self.0.into_inner()?.flush()?;
        Ok(())
    }
}
