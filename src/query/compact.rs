//! Copies rows before what holds many of them.
//!
//! A grouping gives its groups as slices of one batch, and text that was joined or divided still
//! points into the batches that it came from. What holds such slices counts for each the whole that it
//! keeps alive, and spills, or fails, when a small part of its memory is really used.

use std::fmt;
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, UInt32Array};
use arrow::compute::{concat_batches, take};
use arrow::datatypes::SchemaRef;
use arrow::record_batch::{RecordBatch, RecordBatchOptions};
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
use datafusion::physical_plan::windows::{BoundedWindowAggExec, WindowAggExec};
use datafusion::physical_plan::{
    DisplayAs, DisplayFormatType, ExecutionPlan, PlanProperties, SendableRecordBatchStream,
};
use futures::StreamExt;
use futures::stream::{Fuse, try_unfold};

/// A column is copied if it keeps more than so many times its own bytes alive.
const WASTE_FACTOR: usize = 2;

/// Bytes of a view of a text.
const VIEW_BYTES: usize = 16;

/// Few rows are put together with others until they have so many bytes, or are as many as the engine
/// has in a batch.
const ENOUGH_BYTES: usize = 4 << 20;

/// The rows of a stream in batches that hold little else, and are not many small ones.
pub fn compact(input: SendableRecordBatchStream, batch_rows: usize) -> SendableRecordBatchStream {
    let schema = input.schema();
    let compactor = Compactor {
        schema: schema.clone(),
        batch_rows,
        pending: Vec::new(),
        rows: 0,
        bytes: 0,
    };
    let compacted = try_unfold(
        (input.fuse(), compactor),
        |(mut input, mut compactor)| async move {
            let batch = compactor.next(&mut input).await?;
            Ok(batch.map(|batch| (batch, (input, compactor))))
        },
    );
    Box::pin(RecordBatchStreamAdapter::new(schema, compacted))
}

struct Compactor {
    schema: SchemaRef,
    batch_rows: usize,
    /// Batches that are to be one, with their rows and bytes.
    pending: Vec<RecordBatch>,
    rows: usize,
    bytes: usize,
}

impl Compactor {
    async fn next(
        &mut self,
        input: &mut Fuse<SendableRecordBatchStream>,
    ) -> Result<Option<RecordBatch>> {
        while let Some(batch) = input.next().await.transpose()? {
            let batch = map_columns(&batch, |column| match holds_much_else(column)? {
                true => copied(column),
                false => Ok(column.clone()),
            })?;
            self.rows += batch.num_rows();
            self.bytes += get_record_batch_memory_size(&batch);
            self.pending.push(batch);
            // What is only half as many is not worth a second copy.
            if self.rows > self.batch_rows / 2 || self.bytes > ENOUGH_BYTES {
                return self.take();
            }
        }
        self.take()
    }

    fn take(&mut self) -> Result<Option<RecordBatch>> {
        let pending = std::mem::take(&mut self.pending);
        (self.rows, self.bytes) = (0, 0);
        if pending.len() < 2 {
            return Ok(pending.into_iter().next());
        }
        let together = concat_batches(&self.schema, &pending)?;
        // Texts still stand in as many buffers as there were batches.
        let together = map_columns(&together, |column| match text_bytes(column) {
            Some(bytes) if bytes <= column.get_buffer_memory_size() => copied(column),
            _ => Ok(column.clone()),
        })?;
        Ok(Some(together))
    }
}

fn map_columns(
    batch: &RecordBatch,
    map: impl Fn(&ArrayRef) -> Result<ArrayRef>,
) -> Result<RecordBatch> {
    let columns = batch.columns().iter().map(map).collect::<Result<_>>()?;
    // Where there are no columns, rows are counted all the same.
    let options = RecordBatchOptions::new().with_row_count(Some(batch.num_rows()));
    let batch = RecordBatch::try_new_with_options(batch.schema(), columns, &options)?;
    Ok(batch)
}

fn holds_much_else(column: &ArrayRef) -> Result<bool> {
    let needed = match text_bytes(column) {
        Some(bytes) => bytes,
        None => column.to_data().get_slice_memory_size()?,
    };
    Ok(column.get_buffer_memory_size() > WASTE_FACTOR * needed)
}

/// Bytes that a copy of views of texts would take: a text as often as a view points to it.
fn text_bytes(column: &ArrayRef) -> Option<usize> {
    let texts = column.as_string_view_opt()?;
    Some(texts.len() * VIEW_BYTES + texts.total_buffer_bytes_used())
}

fn copied(column: &ArrayRef) -> Result<ArrayRef> {
    match column.as_string_view_opt() {
        Some(texts) => Ok(Arc::new(texts.gc())),
        None => {
            let rows = UInt32Array::from_iter_values(0..column.len() as u32);
            Ok(take(column, &rows, None)?)
        }
    }
}

/// Puts the copying below every operator that holds rows.
#[derive(Debug)]
pub struct CompactHeldRows;

impl PhysicalOptimizerRule for CompactHeldRows {
    fn optimize(
        &self,
        plan: Arc<dyn ExecutionPlan>,
        _: &ConfigOptions,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        let plan = plan.transform_up(|plan| {
            if !holds_rows(plan.as_ref()) {
                return Ok(Transformed::no(plan));
            }
            // Of a join, it is the first input that is held.
            let mut inputs: Vec<_> = plan.children().into_iter().cloned().collect();
            inputs[0] = Arc::new(CompactExec {
                input: inputs[0].clone(),
            });
            Ok(Transformed::yes(replace_children_if_necessary(
                plan, inputs,
            )?))
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
        || plan.is::<BoundedWindowAggExec>()
        || plan.is::<RepartitionExec>()
        || plan.is::<HashJoinExec>()
        || plan.is::<NestedLoopJoinExec>()
        || plan.is::<CrossJoinExec>()
}

/// Its input's rows, in batches that hold little else.
#[derive(Debug)]
struct CompactExec {
    input: Arc<dyn ExecutionPlan>,
}

impl DisplayAs for CompactExec {
    fn fmt_as(&self, _: DisplayFormatType, f: &mut fmt::Formatter) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl ExecutionPlan for CompactExec {
    fn name(&self) -> &str {
        "CompactExec"
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
        }))
    }

    fn execute(
        &self,
        partition: usize,
        context: Arc<TaskContext>,
    ) -> Result<SendableRecordBatchStream> {
        let batch_rows = context.session_config().batch_size();
        let input = self.input.execute(partition, context)?;
        Ok(compact(input, batch_rows))
    }

    fn statistics_from_inputs(
        &self,
        inputs: &[Arc<Statistics>],
        _: &StatisticsArgs,
    ) -> Result<Arc<Statistics>> {
        Ok(inputs[0].clone())
    }
}

#[cfg(test)]
mod tests {
    use arrow::array::{Int64Array, StringViewArray, StringViewBuilder};
    use datafusion::datasource::memory::MemorySourceConfig;
    use datafusion::physical_expr::PhysicalSortExpr;
    use datafusion::physical_expr::expressions::col;
    use futures::TryStreamExt;
    use tokio::runtime::Runtime;

    use super::*;

    /// What rows hold if each batch is counted by itself, as the operators do.
    fn counted(batches: &[RecordBatch]) -> usize {
        batches.iter().map(get_record_batch_memory_size).sum()
    }

    fn numbered_texts(rows: i64) -> RecordBatch {
        let numbers: ArrayRef = Arc::new((0..rows).collect::<Int64Array>());
        let texts = (0..rows).map(|number| Some(format!("the text of the number {number}")));
        let texts: ArrayRef = Arc::new(texts.collect::<StringViewArray>());
        let columns = [("number", numbers), ("text", texts)];
        RecordBatch::try_from_iter(columns).expect("columns of one length")
    }

    fn run(plan: &Arc<dyn ExecutionPlan>) -> Vec<RecordBatch> {
        let stream = plan.execute(0, Arc::default()).expect("one partition");
        let runtime = Runtime::new().expect("a runtime");
        let batches = runtime.block_on(stream.try_collect());
        batches.expect("rows in memory")
    }

    #[test]
    fn a_sort_is_given_slices_as_rows_of_their_own() {
        let whole = numbered_texts(100_000);
        let slices: Vec<_> = (0..100).map(|i| whole.slice(i * 1000, 1000)).collect();
        let whole_size = get_record_batch_memory_size(&whole);
        assert_eq!(counted(&slices), 100 * whole_size);

        let schema = whole.schema();
        let order = PhysicalSortExpr::new_default(col("number", &schema).expect("it is there"));
        let input = MemorySourceConfig::try_new_exec(&[slices], schema, None).expect("one schema");
        let sort: Arc<dyn ExecutionPlan> = Arc::new(SortExec::new([order].into(), input));
        let plan = CompactHeldRows.optimize(sort, &ConfigOptions::default());
        let plan = plan.expect("nothing but the input changes");
        assert_eq!(plan.name(), "SortExec");
        let batches = run(plan.children()[0]);
        assert!(counted(&batches) < 2 * whole_size);
        let rows = concat_batches(&whole.schema(), &batches).expect("one schema");
        assert_eq!(rows, whole);
    }

    #[test]
    fn small_batches_are_put_together() {
        let whole = numbered_texts(10_000);
        // Every other has its own buffers, as if it came another way.
        let small = (0..1000).map(|i| match i % 2 {
            0 => whole.slice(i * 10, 10),
            _ => map_columns(&whole.slice(i * 10, 10), copied).expect("texts and numbers"),
        });
        let schema = whole.schema();
        let input = MemorySourceConfig::try_new_exec(&[small.collect()], schema.clone(), None);
        let plan: Arc<dyn ExecutionPlan> = Arc::new(CompactExec {
            input: input.expect("one schema"),
        });
        let batches = run(&plan);
        // The engine's batches have 8192 rows, and half of that is enough.
        let rows: Vec<_> = batches.iter().map(RecordBatch::num_rows).collect();
        assert_eq!(rows, [4100, 4100, 1800]);
        let buffers = batches
            .iter()
            .map(|batch| batch.column(1).as_string_view().data_buffers().len());
        assert!(buffers.sum::<usize>() < 10);
        assert!(counted(&batches) < 2 * get_record_batch_memory_size(&whole));
        let rows = concat_batches(&schema, &batches).expect("one schema");
        assert_eq!(rows, whole);
    }

    #[test]
    fn a_text_that_many_rows_share_is_not_copied_for_each() {
        let text = "a text too long for a view ".repeat(100);
        let mut shared = StringViewBuilder::new().with_deduplicate_strings();
        (0..5000).for_each(|_| shared.append_value(&text));
        let column: ArrayRef = Arc::new(shared.finish());
        let batch = RecordBatch::try_from_iter([("text", column)]).expect("one column");
        let halves = vec![batch.slice(0, 2500), batch.slice(2500, 2500)];
        let input = MemorySourceConfig::try_new_exec(&[halves], batch.schema(), None);
        let plan: Arc<dyn ExecutionPlan> = Arc::new(CompactExec {
            input: input.expect("one schema"),
        });
        let batches = run(&plan);
        assert_eq!(batches, [batch]);
        assert!(counted(&batches) < 5000 * 2 * VIEW_BYTES + 10 * text.len());
    }
}
