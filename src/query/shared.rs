//! Runs parts of a statement before the rest of it: common table expressions that are read in several
//! places, and groups that are joined.
//!
//! The engine puts an expression's plan wherever its name stands, so that a report which compares
//! the events of an hour with those of all hours would read the lake again for each. Here all places
//! read one copy of the rows, held in memory or, where there are many, on disk.
//!
//! Nor does the engine know how many groups there will be. It would divide millions of rows between
//! the threads to join them to a few hundred groups, which each thread can hold.

use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;

use arrow::datatypes::SchemaRef;
use arrow::record_batch::{RecordBatch, RecordBatchOptions};
use datafusion::catalog::{Session, TableProvider};
use datafusion::common::stats::Precision;
use datafusion::common::tree_node::{Transformed, TreeNode, TreeNodeRecursion};
use datafusion::common::{DataFusionError, Result, Statistics, internal_err};
use datafusion::datasource::{TableType, provider_as_source};
use datafusion::execution::TaskContext;
use datafusion::execution::memory_pool::{MemoryConsumer, MemoryLimit, MemoryReservation};
use datafusion::execution::spill_file::SpillFile;
use datafusion::logical_expr::{Expr, LogicalPlan, LogicalPlanBuilder, SubqueryAlias};
use datafusion::physical_expr::{EquivalenceProperties, Partitioning, PhysicalExpr};
use datafusion::physical_plan::display::DisplayableExecutionPlan;
use datafusion::physical_plan::execution_plan::{Boundedness, EmissionType};
use datafusion::physical_plan::metrics::{ExecutionPlanMetricsSet, SpillMetrics};
use datafusion::physical_plan::spill::{SpillManager, get_record_batch_memory_size};
use datafusion::physical_plan::statistics::StatisticsArgs;
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use datafusion::physical_plan::{
    DisplayAs, DisplayFormatType, ExecutionPlan, PlanProperties, SendableRecordBatchStream,
};
use datafusion::prelude::SessionContext;
use futures::{StreamExt, TryStreamExt};
use tokio::runtime::Runtime;
use tokio::task::JoinSet;

use super::compact::compact;

/// Of the memory that a session may have, what the rows of one expression may hold.
const HELD_PART: usize = 4;

/// The plan with every expression that is read in several places, and all groups that are joined, as
/// tables: run by then, unless the plan is only to be explained.
///
/// What reads a table is planned after it was run: then it is known how many rows there are, and
/// which side of a join is the smaller.
pub fn share(
    plan: LogicalPlan,
    context: &SessionContext,
    runtime: &Runtime,
) -> Result<LogicalPlan> {
    let mut readers = HashMap::new();
    if !count_readers(&plan, &mut readers)? {
        return Ok(plan);
    }
    readers.retain(|_, count| *count > 1);
    let is_explained = matches!(plan, LogicalPlan::Explain(_));
    let mut sharing = Sharing {
        context,
        runtime,
        is_explained,
        readers,
        plans: HashMap::new(),
    };
    let plan = sharing.replace(plan)?;
    sharing.run_joined_groups(plan)
}

/// Counts the places in which each expression is read, where each is written out once. False where
/// an expression is defined by itself: its rounds are not rows to be kept.
fn count_readers(plan: &LogicalPlan, readers: &mut HashMap<SubqueryAlias, usize>) -> Result<bool> {
    let mut is_plain = true;
    plan.apply_with_subqueries(|plan| match plan {
        LogicalPlan::RecursiveQuery(_) => {
            is_plain = false;
            Ok(TreeNodeRecursion::Stop)
        }
        LogicalPlan::SubqueryAlias(alias) if is_worth_keeping(alias) => {
            let count = readers.entry(alias.clone()).or_insert(0);
            *count += 1;
            Ok(match *count {
                1 => TreeNodeRecursion::Continue,
                _ => TreeNodeRecursion::Jump,
            })
        }
        _ => Ok(TreeNodeRecursion::Continue),
    })?;
    Ok(is_plain)
}

/// Whether it is more than another name, and the same wherever it stands.
fn is_worth_keeping(alias: &SubqueryAlias) -> bool {
    let is_name = matches!(
        *alias.input,
        LogicalPlan::TableScan(_) | LogicalPlan::SubqueryAlias(_)
    );
    !is_name && alias.input.all_out_ref_exprs().is_empty()
}

struct Sharing<'s> {
    context: &'s SessionContext,
    runtime: &'s Runtime,
    is_explained: bool,
    readers: HashMap<SubqueryAlias, usize>,
    /// What stands for an expression wherever it is read.
    plans: HashMap<SubqueryAlias, LogicalPlan>,
}

impl Sharing<'_> {
    fn replace(&mut self, plan: LogicalPlan) -> Result<LogicalPlan> {
        let replaced = plan.transform_down_with_subqueries(|plan| match plan {
            LogicalPlan::SubqueryAlias(alias) if self.readers.contains_key(&alias) => {
                let plan = match self.plans.get(&alias) {
                    Some(plan) => plan.clone(),
                    None => {
                        let plan = self.run(&alias)?;
                        self.plans.insert(alias, plan.clone());
                        plan
                    }
                };
                Ok(Transformed::new(plan, true, TreeNodeRecursion::Jump))
            }
            other => Ok(Transformed::no(other)),
        })?;
        Ok(replaced.data)
    }

    /// Runs an expression and keeps its rows in a table, unless reading them again would cost more
    /// than finding them again.
    fn run(&mut self, alias: &SubqueryAlias) -> Result<LogicalPlan> {
        let plan = self.replace(alias.input.as_ref().clone())?;
        let plan = self.run_joined_groups(plan)?;
        self.run_alone(plan, alias)
    }

    /// Runs what a join reads of groups, once no more can be left out of it.
    fn run_joined_groups(&self, plan: LogicalPlan) -> Result<LogicalPlan> {
        if self.is_explained || !plan.exists(|plan| Ok(matches!(plan, LogicalPlan::Join(_))))? {
            return Ok(plan);
        }
        let plan = self.context.state().optimize(&plan)?;
        let replaced = plan.transform_up(|plan| {
            if !matches!(plan, LogicalPlan::Join(_)) {
                return Ok(Transformed::no(plan));
            }
            plan.map_children(|side| match side {
                LogicalPlan::SubqueryAlias(alias) if is_grouped(&alias.input) => {
                    let plan = alias.input.as_ref().clone();
                    self.run_alone(plan, &alias).map(Transformed::yes)
                }
                other => Ok(Transformed::no(other)),
            })
        })?;
        Ok(replaced.data)
    }

    fn run_alone(&self, plan: LogicalPlan, alias: &SubqueryAlias) -> Result<LogicalPlan> {
        let schema = Arc::new(plan.schema().as_arrow().clone());
        let (input, rows) = self.runtime.block_on(async {
            let input = self.context.state().create_physical_plan(&plan).await?;
            let rows = match self.is_explained {
                true => None,
                false => keep_all(&input, &self.context.task_ctx(), is_cheap(&plan)?).await?,
            };
            Ok::<_, DataFusionError>((input, rows))
        })?;
        if rows.is_none() && !self.is_explained {
            let plan = SubqueryAlias::try_new(Arc::new(plan), alias.alias.clone())?;
            return Ok(LogicalPlan::SubqueryAlias(plan));
        }
        let table = SharedTable {
            name: alias.alias.to_string(),
            schema,
            input,
            rows,
        };
        let source = provider_as_source(Arc::new(table));
        LogicalPlanBuilder::scan(alias.alias.clone(), source, None)?.build()
    }
}

/// Whether a plan's rows are groups, of which there may be few.
fn is_grouped(plan: &LogicalPlan) -> bool {
    match plan {
        LogicalPlan::Aggregate(_) | LogicalPlan::Distinct(_) => true,
        LogicalPlan::Projection(projection) => is_grouped(&projection.input),
        LogicalPlan::Filter(filter) => is_grouped(&filter.input),
        LogicalPlan::SubqueryAlias(alias) => is_grouped(&alias.input),
        _ => false,
    }
}

/// Whether rows leave a plan as they enter it: running it anew takes no more than reading the lake,
/// and each reader then reads the columns that it wants.
fn is_cheap(plan: &LogicalPlan) -> Result<bool> {
    let is_costly = plan.exists(|plan| {
        Ok(matches!(
            plan,
            LogicalPlan::Aggregate(_)
                | LogicalPlan::Distinct(_)
                | LogicalPlan::Window(_)
                | LogicalPlan::Sort(_)
                | LogicalPlan::Limit(_)
        ))
    })?;
    Ok(!is_costly)
}

/// An expression as a table.
#[derive(Debug)]
struct SharedTable {
    name: String,
    schema: SchemaRef,
    input: Arc<dyn ExecutionPlan>,
    rows: Option<Rows>,
}

/// The rows of every partition.
type Rows = Arc<Vec<KeptRows>>;

#[async_trait::async_trait]
impl TableProvider for SharedTable {
    fn schema(&self) -> SchemaRef {
        self.schema.clone()
    }

    fn table_type(&self) -> TableType {
        TableType::Temporary
    }

    async fn scan(
        &self,
        _: &dyn Session,
        projection: Option<&Vec<usize>>,
        _: &[Expr],
        _: Option<usize>,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        Ok(Arc::new(SharedExec::new(self, projection.cloned())?))
    }
}

/// A place where an expression is read.
#[derive(Debug)]
struct SharedExec {
    name: String,
    /// The expression's plan, as it was run.
    input: Arc<dyn ExecutionPlan>,
    projection: Option<Vec<usize>>,
    /// None in a plan that is only explained.
    rows: Option<Rows>,
    properties: Arc<PlanProperties>,
}

impl SharedExec {
    fn new(table: &SharedTable, projection: Option<Vec<usize>>) -> Result<Self> {
        let schema = match &projection {
            Some(columns) => Arc::new(table.schema.project(columns)?),
            None => table.schema.clone(),
        };
        let partitions = match &table.rows {
            Some(rows) => rows.len(),
            None => table.input.properties().partitioning.partition_count(),
        };
        let properties = PlanProperties::new(
            EquivalenceProperties::new(schema),
            Partitioning::UnknownPartitioning(partitions),
            EmissionType::Incremental,
            Boundedness::Bounded,
        );
        Ok(Self {
            name: table.name.clone(),
            input: table.input.clone(),
            projection,
            rows: table.rows.clone(),
            properties: Arc::new(properties),
        })
    }
}

impl DisplayAs for SharedExec {
    fn fmt_as(&self, _: DisplayFormatType, f: &mut fmt::Formatter) -> fmt::Result {
        write!(f, "SharedExec: {}", self.name)?;
        if let Some(rows) = &self.rows {
            let count: usize = rows.iter().map(|rows| rows.count).sum();
            let files: usize = rows.iter().map(|rows| rows.files.len()).sum();
            write!(f, ", rows={count}, spill_files={files}")?;
        }
        let input = DisplayableExecutionPlan::with_metrics(self.input.as_ref());
        for line in input.indent(false).to_string().lines() {
            write!(f, "\n    | {line}")?;
        }
        Ok(())
    }
}

impl ExecutionPlan for SharedExec {
    fn name(&self) -> &str {
        "SharedExec"
    }

    fn properties(&self) -> &Arc<PlanProperties> {
        &self.properties
    }

    /// None: what was run is not to be optimized again.
    fn children(&self) -> Vec<&Arc<dyn ExecutionPlan>> {
        Vec::new()
    }

    fn apply_expressions(
        &self,
        _: &mut dyn FnMut(&Arc<dyn PhysicalExpr>) -> Result<TreeNodeRecursion>,
    ) -> Result<TreeNodeRecursion> {
        Ok(TreeNodeRecursion::Continue)
    }

    fn with_new_children(
        self: Arc<Self>,
        _: Vec<Arc<dyn ExecutionPlan>>,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        Ok(self)
    }

    fn execute(&self, partition: usize, _: Arc<TaskContext>) -> Result<SendableRecordBatchStream> {
        let Some(rows) = &self.rows else {
            return internal_err!("{} was not run", self.name);
        };
        rows[partition].read(self.schema(), self.projection.clone())
    }

    fn statistics_from_inputs(
        &self,
        _: &[Arc<Statistics>],
        args: &StatisticsArgs,
    ) -> Result<Arc<Statistics>> {
        let mut statistics = Statistics::new_unknown(&self.schema());
        if let Some(rows) = &self.rows {
            let mut rows = rows.iter().enumerate();
            let count = match args.partition() {
                Some(partition) => rows.nth(partition).map_or(0, |(_, rows)| rows.count),
                None => rows.map(|(_, rows)| rows.count).sum(),
            };
            // The engine does not let each thread hold what it knows to be nothing.
            statistics.num_rows = match count {
                0 => Precision::Inexact(1),
                _ => Precision::Exact(count),
            };
        }
        Ok(Arc::new(statistics))
    }
}

/// Runs all partitions of a plan, and keeps their rows: in memory or, beyond what they may hold
/// there, on disk; where only those in memory are wanted and there are more, none.
async fn keep_all(
    input: &Arc<dyn ExecutionPlan>,
    context: &Arc<TaskContext>,
    only_in_memory: bool,
) -> Result<Option<Rows>> {
    let pool = context.memory_pool();
    let count = input.properties().partitioning.partition_count();
    let most_bytes = match pool.memory_limit() {
        MemoryLimit::Finite(limit) => limit / HELD_PART / count,
        _ => usize::MAX,
    };
    let metrics = ExecutionPlanMetricsSet::new();
    let mut tasks = JoinSet::new();
    for partition in 0..count {
        let metrics = SpillMetrics::new(&metrics, partition);
        let kept = KeptRows {
            spills: SpillManager::new(context.runtime_env(), metrics, input.schema()),
            files: Vec::new(),
            batches: Vec::new(),
            count: 0,
            only_in_memory,
            reservation: MemoryConsumer::new(format!("SharedExec[{partition}]"))
                .with_can_spill(true)
                .register(pool),
        };
        let batch_rows = context.session_config().batch_size();
        let stream = compact(input.execute(partition, context.clone())?, batch_rows);
        tasks.spawn(async move {
            let kept = kept.fill(stream, most_bytes).await;
            kept.map(|kept| kept.map(|kept| (partition, kept)))
        });
    }
    let mut kept = Vec::with_capacity(count);
    while let Some(task) = tasks.join_next().await {
        match task.map_err(|error| DataFusionError::ExecutionJoin(Box::new(error)))?? {
            Some(rows) => kept.push(rows),
            // The other tasks end with the set.
            None => return Ok(None),
        }
    }
    kept.sort_unstable_by_key(|(partition, _)| *partition);
    let kept = kept.into_iter().map(|(_, kept)| kept).collect();
    Ok(Some(Arc::new(kept)))
}

/// The rows of one partition, in order: those in files, then those in memory.
struct KeptRows {
    spills: SpillManager,
    files: Vec<Arc<dyn SpillFile>>,
    batches: Vec<RecordBatch>,
    count: usize,
    only_in_memory: bool,
    reservation: MemoryReservation,
}

impl fmt::Debug for KeptRows {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} rows", self.count)
    }
}

impl KeptRows {
    /// Takes all rows of a partition; none where they are too many to be kept.
    async fn fill(
        mut self,
        mut stream: SendableRecordBatchStream,
        most_bytes: usize,
    ) -> Result<Option<Self>> {
        while let Some(batch) = stream.next().await.transpose()? {
            if !self.keep(batch, most_bytes)? {
                return Ok(None);
            }
        }
        Ok(Some(self))
    }

    fn keep(&mut self, batch: RecordBatch, most_bytes: usize) -> Result<bool> {
        let bytes = get_record_batch_memory_size(&batch);
        self.count += batch.num_rows();
        self.batches.push(batch);
        let has_room = self.reservation.size() + bytes <= most_bytes
            && self.reservation.try_grow(bytes).is_ok();
        if !has_room && self.only_in_memory {
            return Ok(false);
        }
        if !has_room {
            let batches = std::mem::take(&mut self.batches);
            let file = self
                .spills
                .spill_record_batch_and_finish(&batches, "SharedExec")?;
            self.files.extend(file);
            self.reservation.free();
        }
        Ok(true)
    }

    fn read(
        &self,
        schema: SchemaRef,
        projection: Option<Vec<usize>>,
    ) -> Result<SendableRecordBatchStream> {
        let spills = self.spills.clone();
        let files = self.files.clone().into_iter();
        let files = files.map(move |file| spills.read_spill_as_stream(file, None));
        let batches = self.batches.clone().into_iter().map(Ok);
        let read_schema = schema.clone();
        let stream = futures::stream::iter(files)
            .try_flatten()
            .chain(futures::stream::iter(batches))
            .map(move |batch: Result<RecordBatch>| {
                let batch = match &projection {
                    Some(columns) => batch?.project(columns)?,
                    None => batch?,
                };
                // The statement's schema may know of a column that it is never null, where the
                // plan's does not.
                let options = RecordBatchOptions::new().with_row_count(Some(batch.num_rows()));
                let columns = batch.columns().to_vec();
                let schema = read_schema.clone();
                Ok(RecordBatch::try_new_with_options(
                    schema, columns, &options,
                )?)
            });
        Ok(Box::pin(RecordBatchStreamAdapter::new(schema, stream)))
    }
}
