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
/// again, so that it takes a fraction of what they take as they are.
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

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow::array::{
        ArrayRef, BooleanArray, Float64Array, Int64Array, StringArray, TimestampMillisecondArray,
    };
    use arrow::compute::concat_batches;

    use super::*;

    #[test]
    fn rows_come_back_as_they_were_kept() {
        let some = |row: i64| (row % 7 != 0).then_some(row);
        let rows = || (0..20_000).map(some);
        let texts = rows().map(|row| row.map(|row| format!("role {}", row % 10)));
        let columns: [(&str, ArrayRef); 5] = [
            ("text", Arc::new(texts.collect::<StringArray>())),
            ("number", Arc::new(rows().collect::<Int64Array>())),
            (
                "share",
                Arc::new(
                    rows()
                        .map(|row| row.map(|row| row as f64 / 3.0))
                        .collect::<Float64Array>(),
                ),
            ),
            (
                "truth",
                Arc::new(
                    rows()
                        .map(|row| row.map(|row| row % 2 == 0))
                        .collect::<BooleanArray>(),
                ),
            ),
            (
                "time",
                Arc::new(rows().collect::<TimestampMillisecondArray>()),
            ),
        ];
        let whole = RecordBatch::try_from_iter(columns).expect("columns of one length");
        let mut keeper = RowKeeper::new(whole.schema()).expect("plain types");
        for part in 0..4 {
            keeper
                .keep(&whole.slice(part * 5000, 5000))
                .expect("plain types");
        }
        let kept = keeper.finish().expect("plain types");
        assert_eq!(kept.count(), 20_000);
        for _ in 0..2 {
            let batches: Vec<_> = kept.batches().collect();
            let rows = concat_batches(&whole.schema(), &batches).expect("one schema");
            assert_eq!(rows, whole);
        }
        assert!(kept.file.len() * 3 < whole.get_array_memory_size());
    }

    #[test]
    fn no_rows_are_no_batches() {
        assert_eq!(KeptRows::default().batches().count(), 0);
        let keeper = RowKeeper::new(Arc::new(arrow::datatypes::Schema::empty()));
        let kept = keeper.and_then(RowKeeper::finish).expect("an empty file");
        assert_eq!((kept.count(), kept.batches().count()), (0, 0));
    }
}
