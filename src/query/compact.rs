//! Copies rows together before what holds many of them.
//!
//! A grouping gives its groups as slices of one batch, and text that was joined or divided still
//! points into the batches that it came from. What holds such slices counts for each the whole that it
//! keeps alive, and spills, or fails, when a small part of its memory is really used.

use std::sync::Arc;

use datafusion::common::Result;
use datafusion::common::config::ConfigOptions;
use datafusion::common::tree_node::{Transformed, TreeNode};
use datafusion::physical_optimizer::PhysicalOptimizerRule;
#[expect(
    deprecated,
    reason = "what the operators do now by themselves, these do not"
)]
use datafusion::physical_plan::coalesce_batches::CoalesceBatchesExec;
use datafusion::physical_plan::execution_plan::{ExecutionPlan, replace_children_if_necessary};
use datafusion::physical_plan::joins::{CrossJoinExec, HashJoinExec, NestedLoopJoinExec};
use datafusion::physical_plan::repartition::RepartitionExec;
use datafusion::physical_plan::sorts::sort::SortExec;
use datafusion::physical_plan::windows::WindowAggExec;

/// Puts the copying below every operator that holds rows.
#[derive(Debug)]
pub struct CompactHeldRows;

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
            // Of a join, it is the first input that is held.
            let mut inputs: Vec<_> = plan.children().into_iter().cloned().collect();
            #[expect(deprecated)]
            let compact = CoalesceBatchesExec::new(inputs[0].clone(), batch_rows);
            inputs[0] = Arc::new(compact);
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
        || plan.is::<RepartitionExec>()
        || plan.is::<HashJoinExec>()
        || plan.is::<NestedLoopJoinExec>()
        || plan.is::<CrossJoinExec>()
}

#[cfg(test)]
mod tests {
    use arrow::array::{Array, ArrayRef, Int64Array};
    use arrow::compute::concat_batches;
    use arrow::record_batch::RecordBatch;
    use datafusion::datasource::memory::MemorySourceConfig;
    use datafusion::physical_expr::PhysicalSortExpr;
    use datafusion::physical_expr::expressions::col;
    use datafusion::physical_plan::spill::get_record_batch_memory_size;
    use futures::TryStreamExt;
    use tokio::runtime::Runtime;

    use super::*;

    /// What rows hold if each batch is counted by itself, as the operators do.
    fn counted(batches: &[RecordBatch]) -> usize {
        batches.iter().map(get_record_batch_memory_size).sum()
    }

    #[test]
    fn a_sort_is_given_slices_as_rows_of_their_own() {
        let numbers: ArrayRef = Arc::new((0..100_000).collect::<Int64Array>());
        let whole = RecordBatch::try_from_iter([("number", numbers)]).expect("one column");
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
        let stream = plan.children()[0].execute(0, Arc::default());
        let batches: Vec<RecordBatch> = Runtime::new()
            .expect("a runtime")
            .block_on(stream.expect("one partition").try_collect())
            .expect("rows in memory");
        assert!(counted(&batches) < 2 * whole_size);
        let rows = concat_batches(&whole.schema(), &batches).expect("one schema");
        assert_eq!(rows, whole);
        assert_eq!(rows.column(0).null_count(), 0);
    }
}
