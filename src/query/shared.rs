//! Runs once what a statement names once and reads in several places: a common table expression.
//!
//! The engine puts the expression's plan wherever its name stands, so that a report which compares
//! the events of an hour with those of all hours would read the lake again for each. Here all places
//! read one copy of the rows, held in memory or, where there are many, on disk.

use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;

use arrow::compute::BatchCoalescer;
use arrow::datatypes::SchemaRef;
use arrow::record_batch::RecordBatch;
use datafusion::catalog::{Session, TableProvider};
use datafusion::common::stats::Precision;
use datafusion::common::tree_node::{Transformed, TreeNodeRecursion};
use datafusion::common::{DataFusionError, Result, Statistics};
use datafusion::datasource::{TableType, provider_as_source};
use datafusion::execution::TaskContext;
use datafusion::execution::memory_pool::{MemoryConsumer, MemoryLimit, MemoryReservation};
use datafusion::execution::spill_file::SpillFile;
use datafusion::logical_expr::{Expr, LogicalPlan, LogicalPlanBuilder, SubqueryAlias};
use datafusion::physical_expr::{EquivalenceProperties, Partitioning, PhysicalExpr};
use datafusion::physical_plan::execution_plan::{Boundedness, EmissionType};
use datafusion::physical_plan::metrics::{ExecutionPlanMetricsSet, MetricsSet, SpillMetrics};
use datafusion::physical_plan::spill::{SpillManager, get_record_batch_memory_size};
use datafusion::physical_plan::statistics::{ChildStats, StatisticsArgs};
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use datafusion::physical_plan::{
    DisplayAs, DisplayFormatType, ExecutionPlan, PlanProperties, SendableRecordBatchStream,
};
use futures::{StreamExt, TryStreamExt};
use tokio::sync::OnceCell;
use tokio::task::JoinSet;

/// Of the memory that a session may have, what the rows of one expression may hold.
const HELD_PART: usize = 4;

/// The plan with every expression that is read in several places run once.
pub fn share(plan: LogicalPlan) -> Result<LogicalPlan> {
    let mut readers = HashMap::new();
    if !count_readers(&plan, &mut readers)? {
        return Ok(plan);
    }
    readers.retain(|_, count| *count > 1);
    let mut tables = HashMap::new();
    replace(plan, &readers, &mut tables)
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

fn replace(
    plan: LogicalPlan,
    readers: &HashMap<SubqueryAlias, usize>,
    tables: &mut HashMap<SubqueryAlias, Arc<SharedTable>>,
) -> Result<LogicalPlan> {
    let replaced = plan.transform_down_with_subqueries(|plan| match plan {
        LogicalPlan::SubqueryAlias(alias) if readers.contains_key(&alias) => {
            let table = match tables.get(&alias) {
                Some(table) => table.clone(),
                None => {
                    let plan = replace(alias.input.as_ref().clone(), readers, tables)?;
                    let table = Arc::new(SharedTable::new(alias.alias.to_string(), plan));
                    tables.insert(alias.clone(), table.clone());
                    table
                }
            };
            let source = provider_as_source(table);
            let scan = LogicalPlanBuilder::scan(alias.alias.clone(), source, None)?.build()?;
            Ok(Transformed::new(scan, true, TreeNodeRecursion::Jump))
        }
        other => Ok(Transformed::no(other)),
    })?;
    Ok(replaced.data)
}

/// An expression as a table.
#[derive(Debug)]
struct SharedTable {
    name: String,
    schema: SchemaRef,
    plan: LogicalPlan,
    input: OnceCell<Arc<dyn ExecutionPlan>>,
    rows: SharedRows,
}

impl SharedTable {
    fn new(name: String, plan: LogicalPlan) -> Self {
        Self {
            name,
            schema: Arc::new(plan.schema().as_arrow().clone()),
            plan,
            input: OnceCell::new(),
            rows: SharedRows::default(),
        }
    }
}

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
        state: &dyn Session,
        projection: Option<&Vec<usize>>,
        _: &[Expr],
        _: Option<usize>,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        let input = self
            .input
            .get_or_try_init(|| state.create_physical_plan(&self.plan))
            .await?;
        let projection = projection.cloned();
        let properties = properties(input, projection.as_deref())?;
        Ok(Arc::new(SharedExec {
            name: self.name.clone(),
            input: input.clone(),
            projection,
            rows: self.rows.clone(),
            properties,
            metrics: ExecutionPlanMetricsSet::new(),
        }))
    }
}

fn properties(
    input: &Arc<dyn ExecutionPlan>,
    projection: Option<&[usize]>,
) -> Result<Arc<PlanProperties>> {
    let schema = match projection {
        Some(columns) => Arc::new(input.schema().project(columns)?),
        None => input.schema(),
    };
    Ok(Arc::new(PlanProperties::new(
        EquivalenceProperties::new(schema),
        Partitioning::UnknownPartitioning(partitions(input)),
        EmissionType::Final,
        Boundedness::Bounded,
    )))
}

fn partitions(plan: &Arc<dyn ExecutionPlan>) -> usize {
    plan.properties().partitioning.partition_count()
}

/// The rows of an expression, by partition of its plan, from when the first reader asks for them.
type SharedRows = Arc<OnceCell<std::result::Result<Arc<Vec<KeptRows>>, Arc<DataFusionError>>>>;

/// One place where an expression is read.
#[derive(Debug)]
struct SharedExec {
    name: String,
    /// The expression's plan. The optimizer may have changed it in one place and not in another;
    /// it is the same question in all.
    input: Arc<dyn ExecutionPlan>,
    projection: Option<Vec<usize>>,
    rows: SharedRows,
    properties: Arc<PlanProperties>,
    metrics: ExecutionPlanMetricsSet,
}

impl DisplayAs for SharedExec {
    fn fmt_as(&self, _: DisplayFormatType, f: &mut fmt::Formatter) -> fmt::Result {
        write!(f, "SharedExec: {}", self.name)
    }
}

impl ExecutionPlan for SharedExec {
    fn name(&self) -> &str {
        "SharedExec"
    }

    fn properties(&self) -> &Arc<PlanProperties> {
        &self.properties
    }

    fn children(&self) -> Vec<&Arc<dyn ExecutionPlan>> {
        vec![&self.input]
    }

    fn benefits_from_input_partitioning(&self) -> Vec<bool> {
        vec![false]
    }

    fn apply_expressions(
        &self,
        _: &mut dyn FnMut(&Arc<dyn PhysicalExpr>) -> Result<TreeNodeRecursion>,
    ) -> Result<TreeNodeRecursion> {
        Ok(TreeNodeRecursion::Continue)
    }

    fn with_new_children(
        self: Arc<Self>,
        mut children: Vec<Arc<dyn ExecutionPlan>>,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        let input = children.swap_remove(0);
        Ok(Arc::new(Self {
            name: self.name.clone(),
            properties: properties(&input, self.projection.as_deref())?,
            input,
            projection: self.projection.clone(),
            rows: self.rows.clone(),
            metrics: self.metrics.clone(),
        }))
    }

    fn execute(
        &self,
        partition: usize,
        context: Arc<TaskContext>,
    ) -> Result<SendableRecordBatchStream> {
        let rows = self.rows.clone();
        let input = self.input.clone();
        let metrics = SpillMetrics::new(&self.metrics, partition);
        let spills = SpillManager::new(context.runtime_env(), metrics, input.schema());
        let step = partitions(&input);
        let projection = self.projection.clone();
        let stream = async move {
            let run = || async { run(input, &context, &spills).await.map_err(Arc::new) };
            let rows = rows.get_or_init(run).await.clone();
            let rows = rows.map_err(DataFusionError::Shared)?;
            // Where another reader's plan has more partitions than this one's, their rows are taken
            // in turn.
            let mine: Vec<usize> = (partition..rows.len()).step_by(step).collect();
            let streams = mine.into_iter().map(move |kept| rows[kept].read(&spills));
            Ok::<_, DataFusionError>(futures::stream::iter(streams).try_flatten())
        };
        let stream = futures::stream::once(stream).try_flatten();
        let stream = stream.map(move |batch| match &projection {
            Some(columns) => Ok(batch?.project(columns)?),
            None => batch,
        });
        let schema = self.schema();
        Ok(Box::pin(RecordBatchStreamAdapter::new(schema, stream)))
    }

    fn metrics(&self) -> Option<MetricsSet> {
        Some(self.metrics.clone_inner())
    }

    fn child_stats_requests(&self, partition: Option<usize>) -> Vec<ChildStats> {
        vec![match partition {
            None => ChildStats::At(None),
            Some(_) => ChildStats::Skip,
        }]
    }

    fn statistics_from_inputs(
        &self,
        inputs: &[Arc<Statistics>],
        args: &StatisticsArgs,
    ) -> Result<Arc<Statistics>> {
        let mut statistics = Statistics::new_unknown(&self.schema());
        if args.partition().is_none() {
            let rows: Precision<usize> = inputs[0].num_rows;
            statistics.num_rows = rows.to_inexact();
        }
        Ok(Arc::new(statistics))
    }
}

/// Runs all partitions of a plan, and keeps their rows.
async fn run(
    input: Arc<dyn ExecutionPlan>,
    context: &Arc<TaskContext>,
    spills: &SpillManager,
) -> Result<Arc<Vec<KeptRows>>> {
    let pool = context.memory_pool();
    let count = partitions(&input);
    let most_bytes = match pool.memory_limit() {
        MemoryLimit::Finite(limit) => limit / HELD_PART / count,
        _ => usize::MAX,
    };
    let mut tasks = JoinSet::new();
    for partition in 0..count {
        let kept = KeptRows {
            files: Vec::new(),
            batches: Vec::new(),
            reservation: MemoryConsumer::new(format!("SharedExec[{partition}]"))
                .with_can_spill(true)
                .register(pool),
        };
        let stream = input.execute(partition, context.clone())?;
        let spills = spills.clone();
        let batch_rows = context.session_config().batch_size();
        tasks.spawn(async move {
            let kept = kept.fill(stream, &spills, batch_rows, most_bytes).await;
            kept.map(|kept| (partition, kept))
        });
    }
    let mut kept = Vec::with_capacity(count);
    while let Some(task) = tasks.join_next().await {
        kept.push(task.map_err(|error| DataFusionError::ExecutionJoin(Box::new(error)))??);
    }
    kept.sort_unstable_by_key(|(partition, _)| *partition);
    Ok(Arc::new(kept.into_iter().map(|(_, kept)| kept).collect()))
}

/// The rows of one partition, in order: those in files, then those in memory.
struct KeptRows {
    files: Vec<Arc<dyn SpillFile>>,
    batches: Vec<RecordBatch>,
    reservation: MemoryReservation,
}

impl fmt::Debug for KeptRows {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (files, batches) = (self.files.len(), self.batches.len());
        write!(f, "{files} files, {batches} batches")
    }
}

impl KeptRows {
    async fn fill(
        mut self,
        mut stream: SendableRecordBatchStream,
        spills: &SpillManager,
        batch_rows: usize,
        most_bytes: usize,
    ) -> Result<Self> {
        // Its batches hold their own rows only: what comes in may be a slice of something large.
        let mut coalescer = BatchCoalescer::new(stream.schema(), batch_rows);
        while let Some(batch) = stream.next().await {
            coalescer.push_batch(batch?)?;
            self.keep(&mut coalescer, spills, most_bytes)?;
        }
        coalescer.finish_buffered_batch()?;
        self.keep(&mut coalescer, spills, most_bytes)?;
        Ok(self)
    }

    fn keep(
        &mut self,
        coalescer: &mut BatchCoalescer,
        spills: &SpillManager,
        most_bytes: usize,
    ) -> Result<()> {
        while let Some(batch) = coalescer.next_completed_batch() {
            let bytes = get_record_batch_memory_size(&batch);
            self.batches.push(batch);
            let is_too_much = self.reservation.size() + bytes > most_bytes;
            if is_too_much || self.reservation.try_grow(bytes).is_err() {
                let batches = std::mem::take(&mut self.batches);
                let file = spills.spill_record_batch_and_finish(&batches, "SharedExec")?;
                self.files.extend(file);
                self.reservation.free();
            }
        }
        Ok(())
    }

    fn read(&self, spills: &SpillManager) -> Result<SendableRecordBatchStream> {
        let files = self.files.iter().cloned();
        let files: Vec<_> = files
            .map(|file| spills.read_spill_as_stream(file, None))
            .collect();
        let batches = self.batches.clone().into_iter().map(Ok);
        let stream = futures::stream::iter(files)
            .try_flatten()
            .chain(futures::stream::iter(batches));
        let schema = spills.schema().clone();
        Ok(Box::pin(RecordBatchStreamAdapter::new(schema, stream)))
    }
}
