//! Writes one Parquet file: row groups of encoded columns, only what Athena reads.

use std::sync::Arc;

use arrow::datatypes::SchemaRef;
use parquet::arrow::ArrowSchemaConverter;
use parquet::errors::ParquetError;
use parquet::file::metadata::SortingColumn;
use parquet::file::properties::{WriterProperties, WriterPropertiesPtr};
use parquet::file::writer::SerializedFileWriter;
use parquet::schema::types::SchemaDescriptor;

use super::chunk::{Chunk, ChunkFormat, Values, encode};
use super::store::{Store, StoreWriter};
use super::{FORMAT, LakeError};
use crate::event::schema::{Storage, Table};

/// The columns whose order rows have.
const SORTED_BY: &str = "event_time";

/// How a table's parts are written.
pub struct PartFormat {
    schema: SchemaDescriptor,
    properties: WriterPropertiesPtr,
    columns: Vec<ChunkFormat>,
}

impl PartFormat {
    pub fn of<T: Table>() -> Self {
        let arrow_schema: SchemaRef = Arc::new(T::schema());
        let schema = ArrowSchemaConverter::new()
            .schema_root("event")
            .convert(&arrow_schema)
            .expect("the columns are of types that Parquet has");
        let sorted_by = arrow_schema
            .index_of(SORTED_BY)
            .expect("every table has an event time");
        let properties = WriterProperties::builder()
            .set_created_by(format!("dynatrail lake format {FORMAT}"))
            .set_sorting_columns(Some(vec![SortingColumn {
                column_idx: sorted_by as i32,
                descending: false,
                nulls_first: false,
            }]))
            .build();
        let columns = T::COLUMNS.iter().zip(schema.columns());
        let columns = columns.map(|(column, descriptor)| ChunkFormat {
            column: descriptor.clone(),
            has_bounds: has_useful_bounds(column.name),
            has_bloom_filter: matches!(
                column.storage,
                Storage::RepeatingLookup | Storage::UniqueLookup
            ),
        });
        Self {
            columns: columns.collect(),
            properties: Arc::new(properties),
            schema,
        }
    }

    /// How many columns the table has.
    pub fn columns(&self) -> usize {
        self.columns.len()
    }

    /// Encodes the values of a column, by its place in the table.
    pub fn encode(&self, column: usize, values: &Values<'_>) -> Result<Chunk, ParquetError> {
        encode(&self.columns[column], values)
    }
}

/// Whether bounds of the column let a reader skip rows. Rows are sorted by time: the bounds of
/// ids, names of principals and JSON texts span everything, and cost a comparison a row.
fn has_useful_bounds(column: &str) -> bool {
    matches!(
        column,
        "event_time"
            | "event_time_ms"
            | "event_source"
            | "event_name"
            | "event_category"
            | "aws_region"
            | "recipient_account_id"
            | "error_code"
            | "outcome"
            | "plane"
            | "access"
            | "operation"
            | "table_name"
            | "owner_account_id"
            | "is_cross_account"
            | "is_service_made"
            | "source"
    )
}

/// Writes one part.
pub struct PartWriter {
    path: String,
    writer: SerializedFileWriter<StoreWriter>,
    pub rows: u64,
}

impl PartWriter {
    pub fn create(store: &Store, path: &str, format: &PartFormat) -> Result<Self, LakeError> {
        let writer = SerializedFileWriter::new(
            store.create(path)?,
            format.schema.root_schema_ptr(),
            format.properties.clone(),
        )
        .map_err(|source| LakeError::Write {
            path: store.full_path(path),
            source,
        })?;
        Ok(Self {
            path: path.to_owned(),
            writer,
            rows: 0,
        })
    }

    pub fn path(&self) -> &str {
        &self.path
    }

    /// Writes the chunks of all columns as a row group behind those before it.
    pub fn append(&mut self, chunks: Vec<Chunk>) -> Result<(), LakeError> {
        let path = &self.path;
        let failed = |source| LakeError::Write {
            path: path.clone(),
            source,
        };
        let mut row_group = self.writer.next_row_group().map_err(failed)?;
        for chunk in chunks {
            row_group
                .append_column(&chunk.bytes, chunk.close)
                .map_err(failed)?;
        }
        self.rows += row_group.close().map_err(failed)?.num_rows() as u64;
        Ok(())
    }

    /// Makes the part appear; its size in bytes.
    pub fn finish(mut self) -> Result<u64, LakeError> {
        let path = std::mem::take(&mut self.path);
        let failed = |source| LakeError::Write { path, source };
        let inner = self.writer.into_inner().map_err(failed)?;
        let size_bytes = inner.written_bytes();
        inner.finish()?;
        Ok(size_bytes)
    }
}
