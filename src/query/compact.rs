//! Copies rows together before what holds many of them, and lets those that are divided keep pace with
//! their readers.
//!
//! A grouping gives its groups as slices of one batch, and text that was joined or divided still
//! points into the batches that it came from. What holds such slices counts for each the whole that it
//! keeps alive, and spills, or fails, when a small part of its memory is really used.
//!
//! A repartition takes rows as long as one of its readers has none, and holds those of the others,
//! however many: gigabytes where a reader sorts and spills.

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use arrow::compute::BatchCoalescer;
use arrow::record_batch::RecordBatch;
use datafusion::common::config::ConfigOptions;
use datafusion::common::tree_node::{Transformed, TreeNode, TreeNodeRecursion};
use datafusion::common::{Result, Statistics};
use datafusion::execution::TaskContext;
use datafusion::physical_expr::PhysicalExpr;
use datafusion::physical_optimizer::PhysicalOptimizerRule;
use datafusion::physical_plan::execution_plan::replace_children_if_necessary;
use datafusion::physical_plan::joins::{CrossJoinExec, HashJoinExec, NestedLoopJoinExec};
use datafusion::physical_plan::repartition::RepartitionExec;
use datafusion::physical_plan::sorts::sort::SortExec;
use datafusion::physical_plan::spill::get_record_batch_memory_size;
use datafusion::physical_plan::statistics::StatisticsArgs;
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use datafusion::physical_plan::windows::WindowAggExec;
use datafusion::physical_plan::{
    DisplayAs, DisplayFormatType, ExecutionPlan, PlanProperties, SendableRecordBatchStream,
};
use futures::stream::try_unfold;
use futures::{StreamExt, TryStreamExt};
use tokio::sync::Notify;
use tokio::time::timeout;

/// How long rows that are to be divided wait for any of those divided before to be taken.
///
/// Every reader takes its rows sooner or later, but the engine does not promise that it does so
/// before it has others of the same division.
const LONGEST_WAIT: Duration = Duration::from_secs(30);

/// Puts the copying below every operator that holds rows.
#[derive(Debug)]
pub struct CompactHeldRows {
    /// Bytes that a repartition may hold before its inputs wait.
    pub most_queued_bytes: usize,
}

impl PhysicalOptimizerRule for CompactHeldRows {
    fn optimize(
        &self,
        plan: Arc<dyn ExecutionPlan>,
        config: &ConfigOptions,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        let batch_rows = config.execution.batch_size.get();
        let plan = plan.transform_up(|plan| {
            if !holds_rows(plan.as_ref()) {
                return Ok(Transformed::no(plan));
            }
            // Readers that merge what is in order may want rows of one part alone.
            let queue = plan
                .downcast_ref::<RepartitionExec>()
                .filter(|repartition| !repartition.preserve_order())
                .map(|_| Arc::new(Queue::new(self.most_queued_bytes)));
            // Of a join, it is the first input that is held.
            let mut inputs: Vec<_> = plan.children().into_iter().cloned().collect();
            inputs[0] = Arc::new(CompactExec {
                input: inputs[0].clone(),
                batch_rows,
                queue: queue.clone(),
            });
            let mut plan = replace_children_if_necessary(plan, inputs)?;
            if let Some(queue) = queue {
                plan = Arc::new(TakeExec { input: plan, queue });
            }
            Ok(Transformed::yes(plan))
        })?;
        Ok(plan.data)
    }

    fn name(&self) -> &str {
        "CompactHeldRows"
    }

    fn schema_check(&self) -> bool {
        true
    }
}

fn holds_rows(plan: &dyn ExecutionPlan) -> bool {
    plan.is::<SortExec>()
        || plan.is::<WindowAggExec>()
        || plan.is::<RepartitionExec>()
        || plan.is::<HashJoinExec>()
        || plan.is::<NestedLoopJoinExec>()
        || plan.is::<CrossJoinExec>()
}

/// The rows that a repartition has been given and its readers have not taken yet.
#[derive(Debug)]
struct Queue {
    most_bytes: usize,
    /// Rows, and the bytes that they had together when they were given.
    held: Mutex<(usize, usize)>,
    taken: Notify,
}

impl Queue {
    fn new(most_bytes: usize) -> Self {
        Self {
            most_bytes,
            held: Mutex::default(),
            taken: Notify::new(),
        }
    }

    fn give(&self, batch: &RecordBatch) {
        let mut held = self.held.lock().unwrap_or_else(PoisonError::into_inner);
        held.0 += batch.num_rows();
        held.1 += get_record_batch_memory_size(batch);
    }

    fn take(&self, batch: &RecordBatch) {
        let mut held = self.held.lock().unwrap_or_else(PoisonError::into_inner);
        let (rows, bytes) = *held;
        let rest = rows.saturating_sub(batch.num_rows());
        // As if all rows were of the same size.
        *held = (
            rest,
            (bytes as u128 * rest as u128 / rows.max(1) as u128) as usize,
        );
        drop(held);
        self.taken.notify_waiters();
    }

    fn is_long(&self) -> bool {
        let held = self.held.lock().unwrap_or_else(PoisonError::into_inner);
        held.1 > self.most_bytes
    }

    /// Waits until the queue is short, or nothing was taken for long.
    async fn keep_pace(&self) {
        loop {
            let taken = self.taken.notified();
            if !self.is_long() || timeout(LONGEST_WAIT, taken).await.is_err() {
                return;
            }
        }
    }
}

/// Its input's rows, in batches that hold nothing else.
#[derive(Debug, Clone)]
struct CompactExec {
    input: Arc<dyn ExecutionPlan>,
    batch_rows: usize,
    /// Below a repartition: what that holds.
    queue: Option<Arc<Queue>>,
}

impl CompactExec {
    async fn next(
        &self,
        input: &mut SendableRecordBatchStream,
        coalescer: &mut BatchCoalescer,
    ) -> Result<Option<RecordBatch>> {
        if let Some(queue) = &self.queue {
            queue.keep_pace().await;
        }
        while !coalescer.has_completed_batch() {
            match input.next().await.transpose()? {
                Some(batch) => coalescer.push_batch(batch)?,
                None => {
                    coalescer.finish_buffered_batch()?;
                    break;
                }
            }
        }
        let batch = coalescer.next_completed_batch();
        if let (Some(queue), Some(batch)) = (&self.queue, &batch) {
            queue.give(batch);
        }
        Ok(batch)
    }
}

/// A repartition's rows, which are no longer held when they have passed.
#[derive(Debug, Clone)]
struct TakeExec {
    input: Arc<dyn ExecutionPlan>,
    queue: Arc<Queue>,
}

/// Implements what both operators are: names for their input, with the same rows.
macro_rules! passes_rows {
    ($name:ident, |$self:ident, $input:ident| $stream:expr) => {
        impl DisplayAs for $name {
            fn fmt_as(&self, _: DisplayFormatType, f: &mut fmt::Formatter) -> fmt::Result {
                f.write_str(self.name())
            }
        }

        impl ExecutionPlan for $name {
            fn name(&self) -> &str {
                stringify!($name)
            }

            fn properties(&self) -> &Arc<PlanProperties> {
                self.input.properties()
            }

            fn children(&self) -> Vec<&Arc<dyn ExecutionPlan>> {
                vec![&self.input]
            }

            fn maintains_input_order(&self) -> Vec<bool> {
                vec![true]
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
                Ok(Arc::new(Self {
                    input: children.swap_remove(0),
                    ..self.as_ref().clone()
                }))
            }

            fn execute(
                &self,
                partition: usize,
                context: Arc<TaskContext>,
            ) -> Result<SendableRecordBatchStream> {
                let $self = self.clone();
                let $input = self.input.execute(partition, context)?;
                let schema = $input.schema();
                Ok(Box::pin(RecordBatchStreamAdapter::new(schema, $stream)))
            }

            fn statistics_from_inputs(
                &self,
                inputs: &[Arc<Statistics>],
                _: &StatisticsArgs,
            ) -> Result<Arc<Statistics>> {
                Ok(inputs[0].clone())
            }
        }
    };
}

passes_rows!(CompactExec, |compact, input| {
    let coalescer = BatchCoalescer::new(input.schema(), compact.batch_rows);
    try_unfold((input, coalescer), move |(mut input, mut coalescer)| {
        let compact = compact.clone();
        async move {
            let batch = compact.next(&mut input, &mut coalescer).await?;
            Ok(batch.map(|batch| (batch, (input, coalescer))))
        }
    })
});

passes_rows!(TakeExec, |take, input| input
    .inspect_ok(move |batch| take.queue.take(batch)));
