//! SQL over a lake: a DataFusion session that sees the parts that count, and can only read.

mod cloudtrail;
mod compact;
mod distinct;
mod engine;
mod error;
mod function;
mod json_path;
mod pool;
mod redact;
mod scope;
mod shared;
mod sightings;
mod table;

use std::sync::Arc;

use arrow::array::{ArrayRef, RecordBatch};
use arrow::compute::cast;
use arrow::datatypes::{DataType, Field};
pub use arrow::datatypes::{Schema, SchemaRef};
use datafusion::common::config::ConfigNonZeroUsize;
use datafusion::common::{ParamValues, ScalarValue};
use datafusion::datasource::ViewTable;
use datafusion::execution::context::SessionState;
use datafusion::execution::disk_manager::{DiskManagerBuilder, DiskManagerMode};
use datafusion::execution::object_store::ObjectStoreUrl;
use datafusion::execution::runtime_env::{RuntimeEnv, RuntimeEnvBuilder};
use datafusion::execution::{FunctionRegistry, SessionStateBuilder};
use datafusion::logical_expr::LogicalPlan;
use datafusion::physical_plan::SendableRecordBatchStream;
use datafusion::prelude::{SQLOptions, SessionConfig, SessionContext};
use datafusion::sql::parser::Statement;
use datafusion::sql::sqlparser::ast;
use futures::StreamExt;
use tokio::runtime::Runtime;

pub use engine::Engine;
pub use error::QueryError;
pub use redact::RedactionKey;
pub use sightings::{Dates, Renewed};

use crate::event::schema::{Events, Integrity, Operations, Receipts, Table};
use crate::lake::sightings::Sightings;
use crate::lake::{LakeState, Store};
pub(crate) use table::LakeTable;

/// Bytes that sorting, grouping and joining may hold before they spill to disk, unless told
/// otherwise.
pub const DEFAULT_MEMORY_LIMIT_BYTES: usize = 320 << 20;

/// The schema that the tables stand in.
const SCHEMA: &str = "public";

/// How a session runs.
#[derive(Clone)]
pub struct QueryOptions {
    /// Bytes that sorting, grouping and joining may hold before they spill to disk.
    pub memory_limit_bytes: usize,
    /// Where to spill; the system's folder for temporary files where it is not given.
    pub spill_folder: Option<std::path::PathBuf>,
    /// Threads that compute; all cores where it is not given.
    pub threads: Option<usize>,
    /// Item keys are replaced by their hash under this key.
    pub redaction: Option<RedactionKey>,
    /// What runs statements instead of this process; it has memory and threads of its own.
    pub engine: Option<Arc<dyn Engine>>,
}

impl Default for QueryOptions {
    fn default() -> Self {
        Self {
            memory_limit_bytes: DEFAULT_MEMORY_LIMIT_BYTES,
            spill_folder: None,
            threads: None,
            redaction: None,
            engine: None,
        }
    }
}

/// A value bound to a parameter of a statement.
#[derive(Debug, Clone, PartialEq)]
pub enum Value {
    Text(String),
    Integer(i64),
    Number(f64),
    Boolean(bool),
    /// Milliseconds since 1970 in UTC.
    Timestamp(i64),
}

/// A lake, open for SQL.
pub struct Session {
    context: SessionContext,
    runtime: Runtime,
    /// The lake as the engine's store.
    url: ObjectStoreUrl,
    engine: Option<Arc<dyn Engine>>,
    /// Which dates of the view `sightings` are read from their files.
    sightings: Sightings,
}

impl Session {
    /// Opens a lake's tables `events`, `operations`, `receipts` and `integrity`, and the views
    /// `cloudtrail` and `sightings`.
    pub fn open(
        store: &Store,
        lake: &LakeState,
        options: &QueryOptions,
    ) -> Result<Self, QueryError> {
        let threads = options.threads.unwrap_or_else(|| {
            std::thread::available_parallelism().map_or(1, std::num::NonZero::get)
        });
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(threads)
            .enable_all()
            .build()
            .map_err(QueryError::Runtime)?;
        if options.engine.is_some() && options.redaction.is_some() {
            return Err(QueryError::RedactedElsewhere);
        }
        let mut config = config(threads, options.memory_limit_bytes);
        let url = match &options.engine {
            Some(engine) => {
                config = engine.configure(config);
                engine.url()?
            }
            None => ObjectStoreUrl::parse("lake://lake")?,
        };
        let environment = environment(options)?;
        environment.register_object_store(url.as_ref(), store.object_store()?);
        let state = SessionStateBuilder::new()
            .with_config(config)
            .with_runtime_env(environment)
            .with_default_features();
        let mut state = match &options.engine {
            Some(engine) => state.with_optimizer_rules(engine.rules()).build(),
            // The step is this process's own, and other machines do not know it.
            None => state
                .with_physical_optimizer_rule(Arc::new(compact::CompactHeldRows))
                .build(),
        };
        register_functions(&mut state);
        let context = SessionContext::new_with_state(state);
        let parts = lake.parts();
        let session = Self {
            context,
            runtime,
            url,
            engine: options.engine.clone(),
            sightings: Sightings::find(store, &parts)?,
        };
        session.register::<Events>(&parts, options)?;
        session.register::<Operations>(&parts, options)?;
        session.register::<Receipts>(&parts, options)?;
        session.register::<Integrity>(&parts, options)?;
        let view = session.plan(&cloudtrail::statement(), &[])?;
        session.register_view("cloudtrail", view)?;
        session.register_sightings()?;
        Ok(session)
    }

    fn register<T: Table>(
        &self,
        parts: &[crate::lake::Part],
        options: &QueryOptions,
    ) -> Result<(), QueryError> {
        let table = LakeTable::of::<T>(&self.url, parts);
        let table = Arc::new(match self.engine {
            Some(_) => table.for_others(),
            None => table,
        });
        match options.redaction {
            Some(ref key) if redact::is_redacted::<T>() => {
                let plan = redact::plan::<T>(table, key)?;
                self.register_view(T::NAME, plan)
            }
            _ => {
                self.context.register_table(T::NAME, table)?;
                Ok(())
            }
        }
    }

    fn register_view(&self, name: &str, plan: LogicalPlan) -> Result<(), QueryError> {
        let view = ViewTable::new(plan, None);
        self.context.register_table(name, Arc::new(view))?;
        Ok(())
    }

    /// Runs a statement that reads; `$name` in it stands for the value of that name.
    ///
    /// It returns with the first rows. Where a table to be joined did not fit into memory by then,
    /// the statement is run again with joins by sorting: slower, but sorting can spill.
    pub fn run(&self, sql: &str, values: &[(String, Value)]) -> Result<Rows<'_>, QueryError> {
        let plan = self.plan(sql, values)?;
        match self.start(plan.clone(), &self.context) {
            Err(QueryError::Memory(_)) => {
                let mut state = self.context.state();
                let options = state.config_mut().options_mut();
                options.optimizer.prefer_hash_join = false;
                // The engine sorts for a join only where it divides the rows.
                options.execution.target_partitions = options.execution.target_partitions.max(2);
                self.start(plan, &SessionContext::new_with_state(state))
            }
            started => started,
        }
    }

    fn start(&self, plan: LogicalPlan, context: &SessionContext) -> Result<Rows<'_>, QueryError> {
        let elsewhere = match &self.engine {
            Some(engine) => self.start_elsewhere(&plan, context, engine.as_ref())?,
            None => None,
        };
        let mut stream = match elsewhere {
            Some(stream) => stream,
            None => {
                let plan = shared::share(plan, context, &self.runtime)?;
                self.runtime.block_on(async {
                    let frame = context.execute_logical_plan(plan).await?;
                    frame.execute_stream().await
                })?
            }
        };
        self.runtime.block_on(async {
            Ok(Rows {
                session: self,
                schema: plain_schema(&stream.schema()),
                first: stream.next().await.transpose()?,
                stream,
            })
        })
    }

    /// Gives a plan to another engine, unless it asks about this process.
    fn start_elsewhere(
        &self,
        plan: &LogicalPlan,
        context: &SessionContext,
        engine: &dyn Engine,
    ) -> Result<Option<SendableRecordBatchStream>, QueryError> {
        if matches!(plan, LogicalPlan::Explain(_) | LogicalPlan::Analyze(_)) {
            return Ok(None);
        }
        let stream = self.runtime.block_on(async {
            let physical = context.state().create_physical_plan(plan).await?;
            match engine::is_for_others(&physical)? {
                true => engine
                    .run(physical, context.copied_config())
                    .await
                    .map(Some),
                false => Ok(None),
            }
        })?;
        Ok(stream)
    }

    /// Plans a statement, and refuses what would do more than read.
    fn plan(&self, sql: &str, values: &[(String, Value)]) -> Result<LogicalPlan, QueryError> {
        let state = self.context.state();
        let dialect = state.config_options().sql_parser.dialect;
        let statement = state.sql_to_statement(sql, &dialect)?;
        if writes(&statement) {
            return Err(QueryError::NotReading);
        }
        let plan = self.runtime.block_on(state.statement_to_plan(statement))?;
        let only_reading = SQLOptions::new()
            .with_allow_ddl(false)
            .with_allow_dml(false)
            .with_allow_statements(false);
        only_reading
            .verify_plan(&plan)
            .map_err(|_| QueryError::NotReading)?;
        let values = values
            .iter()
            .map(|(name, value)| (name.clone(), scalar(value)))
            .collect::<Vec<_>>();
        let plan = match values.is_empty() {
            true => plan,
            false => plan.with_param_values(ParamValues::from(values))?,
        };
        Ok(scope::fold(plan)?)
    }

    /// Names of the tables and their columns, sorted.
    pub fn tables(&self) -> Vec<(String, Vec<String>)> {
        let mut tables = Vec::new();
        for catalog in self.context.catalog_names() {
            let Some(catalog) = self.context.catalog(&catalog) else {
                continue;
            };
            let Some(schema) = catalog.schema(SCHEMA) else {
                continue;
            };
            for name in schema.table_names() {
                let table = self.runtime.block_on(schema.table(&name)).ok().flatten();
                let columns = table
                    .map(|table| table.schema())
                    .unwrap_or_else(|| Arc::new(Schema::empty()));
                let columns = columns.fields().iter().map(|field| field.name().clone());
                tables.push((name, columns.collect()));
            }
        }
        tables.sort();
        tables
    }
}

/// Adds the functions that statements over a lake may name beside the engine's own.
pub fn register_functions(state: &mut SessionState) {
    let functions = cloudtrail::functions().chain([function::json_extract_scalar()]);
    for function in functions {
        // A registry of names cannot fail.
        let _ = state.register_udf(Arc::new(function));
    }
    let _ = state.register_udaf(Arc::new(distinct::count()));
}

/// Whether a statement writes by its first word, however little of it can be planned.
fn writes(statement: &Statement) -> bool {
    match statement {
        Statement::CopyTo(_) | Statement::CreateExternalTable(_) => true,
        Statement::Explain(explained) => writes(&explained.statement),
        Statement::Statement(statement) => {
            matches!(
                **statement,
                ast::Statement::Insert(_) | ast::Statement::Update(_) | ast::Statement::Delete(_)
            )
        }
        _ => false,
    }
}

fn config(threads: usize, memory_limit_bytes: usize) -> SessionConfig {
    let mut config = SessionConfig::new()
        .with_target_partitions(threads)
        .with_default_catalog_and_schema("lake", SCHEMA)
        .with_information_schema(true);
    let options = config.options_mut();
    // As in Athena, DuckDB and Spark 4's ANSI order by DESC: the same text means the same here.
    options.sql_parser.default_null_ordering = "nulls_last".to_owned();
    // Sorting below a union of branches with constant columns fails to plan (seen in 55.2).
    options.optimizer.repartition_sorts = false;
    // What a sort keeps for merging what it spilled is never refused.
    let floor = pool::floor(memory_limit_bytes);
    let reserved = &mut options.execution.sort_spill_reservation_bytes;
    *reserved = floor.min(*reserved);
    // A file for each batch that a repartition spills: where a file is shared by several inputs, its
    // reader can wait for one that is not written to while its rows stand in another (seen in 55.2).
    options.execution.max_spill_file_size_bytes = ConfigNonZeroUsize::try_new(1).expect("not zero");
    options.execution.parquet.pushdown_filters = true;
    options.execution.parquet.reorder_filters = true;
    config
}

fn environment(options: &QueryOptions) -> Result<Arc<RuntimeEnv>, QueryError> {
    let disk = match &options.spill_folder {
        Some(folder) => DiskManagerMode::Directories(vec![folder.clone()]),
        None => DiskManagerMode::OsTmpDirectory,
    };
    let environment = RuntimeEnvBuilder::new()
        .with_memory_pool(Arc::new(pool::Pool::new(options.memory_limit_bytes)))
        .with_disk_manager_builder(DiskManagerBuilder::default().with_mode(disk))
        .build_arc()?;
    Ok(environment)
}

fn scalar(value: &Value) -> ScalarValue {
    match value {
        Value::Text(text) => ScalarValue::Utf8(Some(text.clone())),
        Value::Integer(number) => ScalarValue::Int64(Some(*number)),
        Value::Number(number) => ScalarValue::Float64(Some(*number)),
        Value::Boolean(truth) => ScalarValue::Boolean(Some(*truth)),
        Value::Timestamp(time) => ScalarValue::TimestampMillisecond(Some(*time), None),
    }
}

/// The rows of an answer, as they are found: text is Utf8 and nothing is dictionary-encoded.
pub struct Rows<'s> {
    session: &'s Session,
    schema: SchemaRef,
    first: Option<RecordBatch>,
    stream: SendableRecordBatchStream,
}

impl Rows<'_> {
    pub fn schema(&self) -> SchemaRef {
        self.schema.clone()
    }
}

impl Iterator for Rows<'_> {
    type Item = Result<RecordBatch, QueryError>;

    fn next(&mut self) -> Option<Self::Item> {
        let batch = match self.first.take() {
            Some(first) => Ok(first),
            None => self.session.runtime.block_on(self.stream.next())?,
        };
        Some(
            batch
                .map_err(QueryError::from)
                .and_then(|batch| plain_batch(&self.schema, &batch)),
        )
    }
}

fn plain_type(data_type: &DataType) -> DataType {
    match data_type {
        DataType::Utf8View | DataType::LargeUtf8 => DataType::Utf8,
        DataType::Dictionary(_, value) => plain_type(value),
        other => other.clone(),
    }
}

fn plain_schema(schema: &Schema) -> SchemaRef {
    let fields = schema
        .fields()
        .iter()
        .map(|field| Field::new(field.name(), plain_type(field.data_type()), true));
    Arc::new(Schema::new(fields.collect::<Vec<_>>()))
}

fn plain_batch(schema: &SchemaRef, batch: &RecordBatch) -> Result<RecordBatch, QueryError> {
    let columns = schema.fields().iter().zip(batch.columns());
    let columns = columns
        .map(|(field, column)| cast(column, field.data_type()))
        .collect::<Result<Vec<ArrayRef>, _>>()?;
    let options = arrow::array::RecordBatchOptions::new().with_row_count(Some(batch.num_rows()));
    Ok(RecordBatch::try_new_with_options(
        schema.clone(),
        columns,
        &options,
    )?)
}
