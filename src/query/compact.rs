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
