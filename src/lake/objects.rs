//! Writes parts of the small tables: `receipts`, what became of a unit's objects, and `integrity`.

use std::sync::Arc;

use arrow::array::{
    ArrayRef, BooleanArray, Int32Array, Int64Array, RecordBatch, StringArray,
    TimestampMillisecondArray,
};
use parquet::arrow::ArrowWriter;
use parquet::basic::{Compression, ZstdLevel};
use parquet::errors::ParquetError;
use parquet::file::properties::WriterProperties;

use super::receipt::Part;
use super::store::Store;
use super::{FORMAT, LakeError};
use crate::event::schema::{Cell, ReceiptRow, Receipts, Table};

/// Writes the rows of a unit whose objects' keys have this date; the part that they are.
pub fn write_objects(
    store: &Store,
    unit: &str,
    dt: &str,
    rows: &[ReceiptRow<'_>],
) -> Result<Part, LakeError> {
    let path = format!("{}/dt={dt}/{unit}.parquet", Receipts::NAME);
    write_rows::<Receipts>(store, path, dt, rows)
}

/// Writes rows as one part of a small table.
pub fn write_rows<T: Table>(
    store: &Store,
    path: String,
    dt: &str,
    rows: &[T::Row<'_>],
) -> Result<Part, LakeError> {
    let failed = |source: ParquetError| LakeError::Write {
        path: store.full_path(&path),
        source,
    };
    let schema = Arc::new(T::schema());
    let columns = T::COLUMNS.iter().map(|c| array(&c.cell, rows));
    let batch = RecordBatch::try_new(schema.clone(), columns.collect())
        .map_err(|error| failed(error.into()))?;
    let properties = WriterProperties::builder()
        .set_created_by(format!("dynatrail lake format {FORMAT}"))
        .set_compression(Compression::ZSTD(ZstdLevel::default()))
        .build();
    let mut writer =
        ArrowWriter::try_new(store.create(&path)?, schema, Some(properties)).map_err(failed)?;
    writer.write(&batch).map_err(failed)?;
    let file = writer.into_inner().map_err(failed)?;
    let size_bytes = file.written_bytes();
    file.finish()?;
    Ok(Part {
        table: T::NAME.to_owned(),
        dt: dt.to_owned(),
        path,
        rows: rows.len() as u64,
        size_bytes,
        min_event_time_ms: None,
        max_event_time_ms: None,
    })
}

fn array<T: Table>(cell: &Cell<T>, rows: &[T::Row<'_>]) -> ArrayRef {
    match cell {
        Cell::Text(read) | Cell::Json(read) => {
            Arc::new(rows.iter().map(read).collect::<StringArray>())
        }
        Cell::Bool(read) => Arc::new(rows.iter().map(read).collect::<BooleanArray>()),
        Cell::Int(read) => Arc::new(rows.iter().map(read).collect::<Int32Array>()),
        Cell::Long(read) => Arc::new(rows.iter().map(read).collect::<Int64Array>()),
        Cell::Timestamp(read) => {
            Arc::new(rows.iter().map(read).collect::<TimestampMillisecondArray>())
        }
    }
}
