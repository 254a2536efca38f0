//! Joins whose tasks would have to know of one another.
//!
//! What a join holds of its left side is shared by the partitions of the right one, so that rows that
//! none of them matched are told once, at the end. Between tasks nothing is shared, and each would
//! tell what its own partitions did not match (seen in Ballista 55.0): such a join has one partition.

use std::sync::Arc;

use datafusion::common::tree_node::{Transformed, TreeNode};
use datafusion::common::{JoinType, Result};
use datafusion::physical_plan::coalesce_partitions::CoalescePartitionsExec;
use datafusion::physical_plan::joins::{HashJoinExec, NestedLoopJoinExec, PartitionMode};
use datafusion::physical_plan::limit::GlobalLimitExec;
use datafusion::physical_plan::{ChildrenPropertiesMode, ExecutionPlan, ReplaceChildrenOptions};

/// The plan with one partition below such joins.
pub fn in_one_task(plan: Arc<dyn ExecutionPlan>) -> Result<Arc<dyn ExecutionPlan>> {
    let replaced = plan.transform_up(|node| {
        if !tells_unmatched(&node) {
            return Ok(Transformed::no(node));
        }
        let (left, right) = (node.children()[0].clone(), node.children()[1].clone());
        // A limit that limits nothing: Ballista takes away what puts partitions together where the
        // node above does not ask for one, and a limit asks for one.
        let right = Arc::new(CoalescePartitionsExec::new(right));
        let right: Arc<dyn ExecutionPlan> = Arc::new(GlobalLimitExec::new(right, 0, None));
        let options = ReplaceChildrenOptions::new(ChildrenPropertiesMode::Recompute);
        let node = node.replace_children(vec![left, right], options)?;
        Ok(Transformed::yes(node))
    })?;
    Ok(replaced.data)
}

/// Whether a join tells of the rows of the side that it holds which matched, or did not.
fn tells_unmatched(node: &Arc<dyn ExecutionPlan>) -> bool {
    let of_type = |join_type: &JoinType| {
        matches!(
            join_type,
            JoinType::Left
                | JoinType::LeftSemi
                | JoinType::LeftAnti
                | JoinType::LeftMark
                | JoinType::Full
        )
    };
    if let Some(join) = node.downcast_ref::<NestedLoopJoinExec>() {
        return of_type(join.join_type());
    }
    if let Some(join) = node.downcast_ref::<HashJoinExec>() {
        let is_held = *join.partition_mode() == PartitionMode::CollectLeft;
        return join.null_aware || is_held && of_type(join.join_type());
    }
    false
}
