//! A table of the lake as DataFusion reads it: the parts that count, of the dates that are asked for.

use std::sync::Arc;

use arrow::array::{
    Array, ArrayRef, BooleanArray, Int64Array, RecordBatch, StringArray, UInt64Array,
};
use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use datafusion::catalog::{Session, TableProvider};
use datafusion::common::pruning::PruningStatistics;
use datafusion::common::stats::Precision;
use datafusion::common::{Column, DFSchema, Result, ScalarValue, Statistics};
use datafusion::datasource::TableType;
use datafusion::datasource::listing::PartitionedFile;
use datafusion::datasource::physical_plan::parquet::CachedParquetFileReaderFactory;
use datafusion::datasource::physical_plan::{FileGroup, FileScanConfigBuilder, ParquetSource};
use datafusion::datasource::source::DataSourceExec;
use datafusion::datasource::table_schema::TableSchema;
use datafusion::execution::object_store::ObjectStoreUrl;
use datafusion::logical_expr::utils::conjunction;
use datafusion::logical_expr::{Expr, TableProviderFilterPushDown};
use datafusion::physical_optimizer::pruning::PruningPredicateBuilder;
use datafusion::physical_plan::ExecutionPlan;
use datafusion::physical_plan::empty::EmptyExec;

use crate::event::schema::Table;
use crate::event::time;
use crate::lake::Part;

/// The column that the folders stand for.
pub const DT: &str = "dt";

/// How many small files are read at once, whatever the threads: waiting for each takes the time.
const SMALL_FILES_AT_ONCE: usize = 16;

/// Bytes at a part's end that are read at once: footers of the lake's parts fit.
const FOOTER_BYTES: usize = 64 << 10;

/// A table of the lake.
#[derive(Debug)]
pub struct LakeTable {
    url: ObjectStoreUrl,
    schema: TableSchema,
    parts: Vec<Part>,
    rows_are_known: bool,
    /// Whether a plan tells how many rows each part has, which takes as much room as all else about it
    /// many times over.
    tells_rows_of_parts: bool,
}

impl LakeTable {
    pub fn of<T: Table>(url: &ObjectStoreUrl, parts: &[Part]) -> Self {
        let parts = parts.iter().filter(|part| part.table == T::NAME);
        Self {
            rows_are_known: true,
            ..Self::of_small_files(url, &T::schema(), parts.cloned().collect())
        }
    }

    /// Small files of these columns, and of `dt` by their folders, whose rows nobody has counted.
    pub fn of_small_files(url: &ObjectStoreUrl, schema: &Schema, parts: Vec<Part>) -> Self {
        Self {
            url: url.clone(),
            schema: TableSchema::builder(view_schema(schema))
                .with_table_partition_cols(vec![Arc::new(Field::new(DT, DataType::Utf8, true))])
                .build(),
            parts,
            rows_are_known: false,
            tells_rows_of_parts: true,
        }
    }

    /// The same for plans that are sent: text is read as it stands in the files, since views of it are
    /// sent with all that they are views of, and little is said of each part.
    pub fn for_others(self) -> Self {
        let schema = self.schema.file_schema();
        let fields = schema.fields().iter().map(|field| {
            let data_type = match field.data_type() {
                DataType::Utf8View => DataType::Utf8,
                other => other.clone(),
            };
            Field::new(field.name(), data_type, true)
        });
        Self {
            schema: TableSchema::builder(Arc::new(Schema::new(fields.collect::<Vec<_>>())))
                .with_table_partition_cols(self.schema.table_partition_cols().to_vec())
                .build(),
            tells_rows_of_parts: false,
            ..self
        }
    }

    /// How many rows parts have.
    fn rows<'p>(&self, parts: impl Iterator<Item = &'p Part>) -> Precision<usize> {
        match self.rows_are_known {
            true => Precision::Exact(parts.map(|part| part.rows as usize).sum()),
            false => Precision::Absent,
        }
    }

    /// The parts that may hold rows for which the filters hold.
    fn wanted(&self, state: &dyn Session, filters: &[Expr]) -> Result<Vec<&Part>> {
        let mut wanted: Vec<&Part> = self.parts.iter().collect();
        let (of_date, others): (Vec<&Expr>, Vec<&Expr>) =
            filters.iter().partition(|filter| is_about_date(filter));
        if let Some(filter) = conjunction(of_date.into_iter().cloned()) {
            let dates = wanted.iter().map(|part| date_of(part));
            let dates: ArrayRef = Arc::new(dates.collect::<StringArray>());
            let schema = Arc::new(Schema::new(vec![Field::new(DT, DataType::Utf8, true)]));
            let batch = RecordBatch::try_new(schema.clone(), vec![dates])?;
            let filter = state
                .create_physical_expr(filter, &DFSchema::try_from(schema.as_ref().clone())?)?;
            let holds = filter.evaluate(&batch)?.into_array(batch.num_rows())?;
            if let Some(holds) = holds.as_any().downcast_ref::<BooleanArray>() {
                wanted = keep(wanted, |row| holds.is_valid(row) && holds.value(row));
            }
        }
        if let Some(filter) = conjunction(others.into_iter().cloned()) {
            let schema = self.schema.table_schema();
            let df_schema = DFSchema::try_from(schema.as_ref().clone())?;
            let filter = state.create_physical_expr(filter, &df_schema)?;
            let predicate = PruningPredicateBuilder::new()
                .with_file_schema(schema.clone())
                .try_build(filter);
            if let Ok(predicate) = predicate {
                let holds = predicate.prune(&PartBounds(&wanted))?;
                wanted = keep(wanted, |row| holds[row]);
            }
        }
        Ok(wanted)
    }

    /// The parts in about as many groups as there are readers, of about the same size.
    fn groups(&self, parts: &[&Part], readers: usize) -> Vec<FileGroup> {
        let files = parts.iter().map(|part| {
            let file = PartitionedFile::new(part.path.clone(), part.size_bytes)
                .with_partition_values(vec![ScalarValue::Utf8(date_of(part).map(str::to_owned))]);
            if !self.tells_rows_of_parts {
                return file;
            }
            let mut statistics = Statistics::new_unknown(self.schema.file_schema());
            statistics.num_rows = self.rows(std::iter::once(*part));
            file.with_statistics(Arc::new(statistics))
        });
        FileGroup::new(files.collect()).split_files(readers)
    }
}

/// Text is read as views, which are not copied for every batch.
fn view_schema(schema: &Schema) -> SchemaRef {
    let fields = schema.fields().iter().map(|field| {
        let data_type = match field.data_type() {
            DataType::Utf8 => DataType::Utf8View,
            other => other.clone(),
        };
        Field::new(field.name(), data_type, true)
    });
    Arc::new(Schema::new(fields.collect::<Vec<_>>()))
}

fn keep(parts: Vec<&Part>, holds: impl Fn(usize) -> bool) -> Vec<&Part> {
    let numbered = parts.into_iter().enumerate();
    let kept = numbered.filter(|(row, _)| holds(*row));
    kept.map(|(_, part)| part).collect()
}

/// The part's event date; none where the times of its events cannot be read.
fn date_of(part: &Part) -> Option<&str> {
    (part.dt != time::day_text(None)).then_some(part.dt.as_str())
}

fn is_about_date(filter: &Expr) -> bool {
    let columns = filter.column_refs();
    !columns.is_empty() && columns.iter().all(|column| column.name == DT) && !filter.is_volatile()
}

#[async_trait::async_trait]
impl TableProvider for LakeTable {
    fn schema(&self) -> SchemaRef {
        self.schema.table_schema().clone()
    }

    fn table_type(&self) -> TableType {
        TableType::Base
    }

    /// What is about the date alone is decided by the folders; the rest narrows what is read.
    fn supports_filters_pushdown(
        &self,
        filters: &[&Expr],
    ) -> Result<Vec<TableProviderFilterPushDown>> {
        let support = filters.iter().map(|filter| match is_about_date(filter) {
            true => TableProviderFilterPushDown::Exact,
            false => TableProviderFilterPushDown::Inexact,
        });
        Ok(support.collect())
    }

    async fn scan(
        &self,
        state: &dyn Session,
        projection: Option<&Vec<usize>>,
        filters: &[Expr],
        limit: Option<usize>,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        let parts = self.wanted(state, filters)?;
        if parts.is_empty() {
            let schema = datafusion::common::project_schema(&self.schema(), projection)?;
            return Ok(Arc::new(EmptyExec::new(schema)));
        }
        let options = state.config_options().execution.parquet.clone();
        let options = datafusion::common::config::TableParquetOptions {
            global: options,
            ..Default::default()
        };
        // Footers are read once a session, however many statements read the part.
        let environment = state.runtime_env();
        let footers = CachedParquetFileReaderFactory::new(
            environment.object_store(&self.url)?,
            environment.cache_manager.get_file_metadata_cache(),
        );
        let source = ParquetSource::new(self.schema.clone())
            .with_table_parquet_options(options)
            .with_parquet_file_reader_factory(Arc::new(footers))
            .with_metadata_size_hint(FOOTER_BYTES);
        let mut statistics = Statistics::new_unknown(&self.schema());
        // Not the bytes: those of all columns say little of the few that are read, and which side of a
        // join is held would follow them.
        statistics.num_rows = self.rows(parts.iter().copied());
        let threads = state.config().target_partitions();
        let readers = match self.rows_are_known {
            true => threads,
            false => threads.max(SMALL_FILES_AT_ONCE),
        };
        let groups = self.groups(&parts, readers);
        let config = FileScanConfigBuilder::new(self.url.clone(), Arc::new(source))
            .with_file_groups(groups)
            .with_statistics(statistics)
            .with_projection_indices(projection.cloned())?
            .with_limit(limit)
            .build();
        Ok(DataSourceExec::from_data_source(config))
    }

    fn statistics(&self) -> Option<Statistics> {
        let mut statistics = Statistics::new_unknown(&self.schema());
        statistics.num_rows = self.rows(self.parts.iter());
        Some(statistics)
    }
}

/// What the receipts say of the parts' event times.
struct PartBounds<'p>(&'p [&'p Part]);

impl PartBounds<'_> {
    fn times(&self, column: &Column, of: fn(&Part) -> Option<i64>) -> Option<ArrayRef> {
        let times: Int64Array = self.0.iter().map(|part| of(part)).collect();
        match column.name.as_str() {
            "event_time_ms" => Some(Arc::new(times)),
            "event_time" => {
                let times = times.reinterpret_cast::<arrow::datatypes::TimestampMillisecondType>();
                Some(Arc::new(times))
            }
            _ => None,
        }
    }
}

impl PruningStatistics for PartBounds<'_> {
    fn min_values(&self, column: &Column) -> Option<ArrayRef> {
        self.times(column, |part| part.min_event_time_ms)
    }

    fn max_values(&self, column: &Column) -> Option<ArrayRef> {
        self.times(column, |part| part.max_event_time_ms)
    }

    fn num_containers(&self) -> usize {
        self.0.len()
    }

    fn null_counts(&self, _: &Column) -> Option<ArrayRef> {
        None
    }

    fn row_counts(&self) -> Option<ArrayRef> {
        let rows = self.0.iter().map(|part| part.rows);
        Some(Arc::new(rows.collect::<UInt64Array>()))
    }

    fn contained(
        &self,
        _: &Column,
        _: &std::collections::HashSet<ScalarValue>,
    ) -> Option<BooleanArray> {
        None
    }
}
