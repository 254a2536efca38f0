//! Writes one Parquet file: row groups of encoded columns, only what Athena reads.

use std::sync::Arc;

use arrow::array::ArrayRef;
use arrow::datatypes::{Field, SchemaRef};
use parquet::arrow::ArrowSchemaConverter;
use parquet::arrow::arrow_writer::{
    ArrowColumnChunk, ArrowColumnWriter, ArrowRowGroupWriterFactory, compute_leaves,
};
use parquet::basic::{Compression, ZstdLevel};
use parquet::errors::ParquetError;
use parquet::file::metadata::SortingColumn;
use parquet::file::properties::{EnabledStatistics, WriterProperties, WriterPropertiesPtr};
use parquet::file::writer::SerializedFileWriter;
use parquet::schema::types::ColumnPath;

use super::store::{Store, StoreWriter};
use super::{FORMAT, LakeError};
use crate::event::schema::{Storage, Table};

/// On these columns the fastest level writes fewer bytes than zstd's default of 3.
const ZSTD_LEVEL: i32 = 1;

/// Dictionaries of texts that repeat, user identities above all, may grow to this, in bytes.
const DICTIONARY_BYTES: usize = 4 << 20;

/// Data pages, in bytes: Security Lake asks for at most 1 MB, readers skip by page.
const DATA_PAGE_BYTES: usize = 512 << 10;

/// Values handed to an encoder at once; the page size is kept within by bytes.
const WRITE_BATCH_ROWS: usize = 8192;

/// Share of look-ups that a bloom filter lets pass in vain.
const BLOOM_FALSE_POSITIVES: f64 = 0.01;

/// Most distinct values that a row group's bloom filter is made for: about the rows of one that
/// is full. Filters are folded to what is there.
const BLOOM_DISTINCT_VALUES: u64 = 1 << 15;

/// The columns whose order rows have.
const SORTED_BY: &str = "event_time";

/// How a table's parts are written.
pub struct PartFormat {
    schema: SchemaRef,
    properties: WriterPropertiesPtr,
}

impl PartFormat {
    pub fn of<T: Table>() -> Self {
        let schema = T::schema();
        let mut properties = WriterProperties::builder()
            .set_created_by(format!("dynatrail lake format {FORMAT}"))
            .set_compression(Compression::ZSTD(
                ZstdLevel::try_new(ZSTD_LEVEL).expect("a level that zstd has"),
            ))
            .set_statistics_enabled(EnabledStatistics::Page)
            .set_dictionary_page_size_limit(DICTIONARY_BYTES)
            .set_write_batch_size(WRITE_BATCH_ROWS)
            .set_data_page_size_limit(DATA_PAGE_BYTES);
        for column in T::COLUMNS {
            let path = ColumnPath::from(column.name);
            let (dictionary, bloom) = match column.storage {
                Storage::Repeating => (true, false),
                Storage::RepeatingLookup => (true, true),
                Storage::Unique => (false, false),
                Storage::UniqueLookup => (false, true),
            };
            properties = properties.set_column_dictionary_enabled(path.clone(), dictionary);
            if bloom {
                properties = properties
                    .set_column_bloom_filter_fpp(path.clone(), BLOOM_FALSE_POSITIVES)
                    .set_column_bloom_filter_max_ndv(path.clone(), BLOOM_DISTINCT_VALUES);
            }
            if !has_useful_bounds(column.name) {
                properties =
                    properties.set_column_statistics_enabled(path, EnabledStatistics::None);
            }
        }
        let sorted_by = schema
            .index_of(SORTED_BY)
            .expect("every table has an event time");
        let properties = properties
            .set_sorting_columns(Some(vec![SortingColumn {
                column_idx: sorted_by as i32,
                descending: false,
                nulls_first: false,
            }]))
            .build();
        Self {
            schema: Arc::new(schema),
            properties: Arc::new(properties),
        }
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

/// A row group whose columns are encoded, ready to be written.
pub struct RowGroup {
    columns: Vec<ArrowColumnChunk>,
    pub rows: u64,
}

/// Writes one part.
pub struct PartWriter {
    path: String,
    writer: SerializedFileWriter<StoreWriter>,
    factory: ArrowRowGroupWriterFactory,
    schema: SchemaRef,
    pub rows: u64,
}

impl PartWriter {
    pub fn create(store: &Store, path: &str, format: &PartFormat) -> Result<Self, LakeError> {
        let failed = |source| LakeError::Write {
            path: store.full_path(path),
            source,
        };
        let parquet_schema = ArrowSchemaConverter::new()
            .schema_root("event")
            .convert(&format.schema)
            .map_err(failed)?;
        let writer = SerializedFileWriter::new(
            store.create(path)?,
            parquet_schema.root_schema_ptr(),
            format.properties.clone(),
        )
        .map_err(failed)?;
        let factory = ArrowRowGroupWriterFactory::new(&writer, format.schema.clone());
        Ok(Self {
            path: path.to_owned(),
            writer,
            factory,
            schema: format.schema.clone(),
            rows: 0,
        })
    }

    pub fn path(&self) -> &str {
        &self.path
    }

    /// Encodes the columns of a row group on all cores; `column` makes the array of each.
    pub fn encode(
        &self,
        rows: u64,
        column: impl Fn(usize) -> ArrayRef + Sync,
    ) -> Result<RowGroup, LakeError> {
        use rayon::prelude::*;

        let writers = self
            .factory
            .create_column_writers(self.writer.flushed_row_groups().len())
            .map_err(|source| self.failed(source))?;
        let schema = &self.schema;
        let columns = writers
            .into_par_iter()
            .enumerate()
            .map(|(index, writer)| encode_column(schema.field(index), writer, &column(index)))
            .collect::<Result<Vec<_>, ParquetError>>()
            .map_err(|source| self.failed(source))?;
        Ok(RowGroup { columns, rows })
    }

    /// Writes a row group behind those before it.
    pub fn append(&mut self, group: RowGroup) -> Result<(), LakeError> {
        let path = &self.path;
        let failed = |source| LakeError::Write {
            path: path.clone(),
            source,
        };
        let mut row_group = self.writer.next_row_group().map_err(failed)?;
        for column in group.columns {
            column.append_to_row_group(&mut row_group).map_err(failed)?;
        }
        row_group.close().map_err(failed)?;
        self.rows += group.rows;
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

    fn failed(&self, source: ParquetError) -> LakeError {
        LakeError::Write {
            path: self.path.clone(),
            source,
        }
    }
}

fn encode_column(
    field: &Field,
    mut writer: ArrowColumnWriter,
    array: &ArrayRef,
) -> Result<ArrowColumnChunk, ParquetError> {
    for leaf in compute_leaves(field, array)? {
        writer.write(&leaf)?;
    }
    writer.close()
}
