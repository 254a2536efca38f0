//! The rows that a run keeps of a report until all reports have run and are written.

use arrow::array::RecordBatch;
use arrow::datatypes::SchemaRef;
use arrow::error::ArrowError;
use bytes::Bytes;
use parquet::arrow::ArrowWriter;
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use parquet::basic::{Compression, ZstdLevel};
use parquet::file::properties::WriterProperties;

/// Rows in order, held as a Parquet file in memory: principals, tables and addresses come again and
/// again, so that it takes a tenth of what they take as they are.
#[derive(Debug, Default)]
pub struct KeptRows {
    file: Bytes,
    count: usize,
}

impl KeptRows {
    /// Rows that are kept.
    pub fn count(&self) -> usize {
        self.count
    }

    /// The rows, a batch at a time.
    pub fn batches(&self) -> impl Iterator<Item = RecordBatch> + use<> {
        let reader = (self.count > 0).then(|| {
            ParquetRecordBatchReaderBuilder::try_new(self.file.clone())
                .and_then(|builder| builder.build())
                .expect("the file was written here")
        });
        let batches = reader.into_iter().flatten();
        batches.map(|batch| batch.expect("the file was written here"))
    }
}

/// Writes kept rows.
pub struct RowKeeper {
    writer: ArrowWriter<Vec<u8>>,
    count: usize,
}

impl RowKeeper {
    pub fn new(schema: SchemaRef) -> Result<Self, ArrowError> {
        let properties = WriterProperties::builder()
            .set_compression(Compression::ZSTD(ZstdLevel::default()))
            .build();
        let writer = ArrowWriter::try_new(Vec::new(), schema, Some(properties))?;
        Ok(Self { writer, count: 0 })
    }

    /// Rows kept so far.
    pub fn count(&self) -> usize {
        self.count
    }

    pub fn keep(&mut self, batch: &RecordBatch) -> Result<(), ArrowError> {
        self.count += batch.num_rows();
        Ok(self.writer.write(batch)?)
    }

    pub fn finish(self) -> Result<KeptRows, ArrowError> {
        Ok(KeptRows {
            file: self.writer.into_inner()?.into(),
            count: self.count,
        })
    }
}
