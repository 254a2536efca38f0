//! Runs what a plan says about nothing stored, such as a list of numbers, before it is sent.
//!
//! Where a task gets no row of such a source Ballista (55.0) puts another node in its place, whose
//! metrics it then cannot match with those of other tasks: the job never ends. A table in memory is
//! divided as it is.

use std::sync::Arc;

use arrow::array::RecordBatch;
use datafusion::common::tree_node::{Transformed, TreeNode, TreeNodeRecursion};
use datafusion::common::{Result, exec_err};
use datafusion::datasource::memory::MemorySourceConfig;
use datafusion::execution::TaskContext;
use datafusion::physical_plan::empty::EmptyExec;
use datafusion::physical_plan::placeholder_row::PlaceholderRowExec;
use datafusion::physical_plan::{ExecutionPlan, ExecutionPlanProperties, Partitioning};
use futures::TryStreamExt;

/// Rows of such a source that are sent with a plan.
const MAX_ROWS: usize = 100_000;

/// The plan with tables in memory in the place of subtrees that read nothing.
pub async fn fold(plan: Arc<dyn ExecutionPlan>) -> Result<Arc<dyn ExecutionPlan>> {
    let mut found = Vec::new();
    plan.apply(|node| {
        if is_constant(node)? && !is_arranged(node) {
            found.push(node.clone());
            return Ok(TreeNodeRecursion::Jump);
        }
        Ok(TreeNodeRecursion::Continue)
    })?;
    let mut tables = Vec::new();
    for subtree in found {
        let table = run(&subtree).await?;
        tables.push((subtree, table));
    }
    let replaced = plan.transform_down(|node| {
        let table = tables
            .iter()
            .find(|(subtree, _)| Arc::ptr_eq(subtree, &node));
        Ok(match table {
            Some((_, table)) => Transformed::new(table.clone(), true, TreeNodeRecursion::Jump),
            None => Transformed::no(node),
        })
    })?;
    Ok(replaced.data)
}

/// Whether a subtree reads nothing.
fn is_constant(plan: &Arc<dyn ExecutionPlan>) -> Result<bool> {
    let reads = plan.exists(|node| {
        let is_source = node.children().is_empty();
        Ok(is_source && !node.is::<EmptyExec>() && !node.is::<PlaceholderRowExec>())
    })?;
    Ok(!reads)
}

/// Whether those above may rely on how the rows are divided or sorted.
fn is_arranged(plan: &Arc<dyn ExecutionPlan>) -> bool {
    let is_divided = matches!(
        plan.output_partitioning(),
        Partitioning::Hash(..) | Partitioning::Range(_)
    );
    is_divided || plan.output_ordering().is_some()
}

/// The rows of a subtree as a table in memory.
async fn run(plan: &Arc<dyn ExecutionPlan>) -> Result<Arc<dyn ExecutionPlan>> {
    let context = Arc::new(TaskContext::default());
    let count = plan.output_partitioning().partition_count();
    let mut partitions: Vec<Vec<RecordBatch>> = Vec::with_capacity(count);
    let mut rows = 0;
    for partition in 0..count {
        let mut batches = plan.execute(partition, context.clone())?;
        let mut kept = Vec::new();
        while let Some(batch) = batches.try_next().await? {
            rows += batch.num_rows();
            if rows > MAX_ROWS {
                return exec_err!(
                    "the statement makes more than {MAX_ROWS} rows of nothing stored, which are not \
                     sent to a cluster; ask without --cluster"
                );
            }
            kept.push(batch);
        }
        partitions.push(kept);
    }
    Ok(MemorySourceConfig::try_new_exec(
        &partitions,
        plan.schema(),
        None,
    )?)
}
