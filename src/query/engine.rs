//! Another engine than this process's own: it gets physical plans and answers with rows.

use std::sync::Arc;

use datafusion::common::Result;
use datafusion::common::tree_node::{TreeNode, TreeNodeRecursion};
use datafusion::datasource::physical_plan::FileScanConfig;
use datafusion::datasource::source::DataSourceExec;
use datafusion::execution::object_store::ObjectStoreUrl;
use datafusion::optimizer::OptimizerRule;
use datafusion::physical_plan::empty::EmptyExec;
use datafusion::physical_plan::placeholder_row::PlaceholderRowExec;
use datafusion::physical_plan::{ExecutionPlan, SendableRecordBatchStream};
use datafusion::prelude::SessionConfig;
use futures::future::BoxFuture;

/// Runs plans elsewhere.
pub trait Engine: Send + Sync {
    /// The address of the lake in its plans.
    fn url(&self) -> Result<ObjectStoreUrl>;

    /// The settings that plans for it are made with.
    fn configure(&self, config: SessionConfig) -> SessionConfig;

    /// The rules by which statements are rewritten for it.
    fn rules(&self) -> Vec<Arc<dyn OptimizerRule + Send + Sync>>;

    fn run(
        &self,
        plan: Arc<dyn ExecutionPlan>,
        config: SessionConfig,
    ) -> BoxFuture<'_, Result<SendableRecordBatchStream>>;
}

/// Whether a plan can be divided between machines, and is worth it: it reads files, and nothing that
/// only this process has. A source that an engine does not know it would read once for every task.
pub fn is_for_others(plan: &Arc<dyn ExecutionPlan>) -> Result<bool> {
    let (mut reads_files, mut is_known) = (false, true);
    plan.apply(|node| {
        if !node.children().is_empty() {
            return Ok(TreeNodeRecursion::Continue);
        }
        let source = node.downcast_ref::<DataSourceExec>();
        let file = source.and_then(|source| {
            let source: &dyn std::any::Any = source.data_source().as_ref();
            source.downcast_ref::<FileScanConfig>()
        });
        reads_files |= file.is_some();
        is_known &= file.is_some() || node.is::<EmptyExec>() || node.is::<PlaceholderRowExec>();
        Ok(match is_known {
            true => TreeNodeRecursion::Continue,
            false => TreeNodeRecursion::Stop,
        })
    })?;
    Ok(reads_files && is_known)
}
