//! Which slots of executors are free: those that no task under way has.
//!
//! Ballista (55.0) counts them up and down, and forgets to give back those of tasks that it cancels
//! since their input was lost with another executor: each loss leaves fewer slots to those that are
//! there, and in the end none, and jobs wait for ever. Here they are counted anew each time.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use ballista_core::JobId;
use ballista_core::error::Result;
use ballista_core::serde::protobuf::{ExecutorHeartbeat, RunningTask, task_status};
use ballista_core::serde::scheduler::{ExecutorData, ExecutorMetadata};
use ballista_scheduler::cluster::memory::InMemoryClusterState;
use ballista_scheduler::cluster::{BoundTask, ClusterState, ClusterStateEventStream, ExecutorSlot};
use ballista_scheduler::config::TaskDistributionPolicy;
use ballista_scheduler::state::execution_stage::ExecutionStage;
use ballista_scheduler::state::task_manager::JobInfoCache;
use tokio::sync::Mutex;

/// Ballista's own state, whose free slots are those that are free.
#[derive(Default)]
pub struct CountedSlots {
    state: InMemoryClusterState,
    slots: Mutex<HashMap<String, Slots>>,
}

/// The slots of one executor.
#[derive(Debug, Clone, Copy)]
struct Slots {
    all: u32,
    /// As the engine's state has it.
    free: u32,
}

impl CountedSlots {
    /// Tells the engine's state what is free.
    async fn count(
        &self,
        slots: &mut HashMap<String, Slots>,
        jobs: &HashMap<JobId, JobInfoCache>,
    ) -> Result<()> {
        let used = used(jobs).await;
        let mut freed = Vec::new();
        for (executor, slots) in slots {
            let used = used.get(executor).copied().unwrap_or_default();
            let free = slots.all.saturating_sub(used);
            // It never is less: what is given to tasks is taken off at once.
            if free > slots.free {
                freed.push((executor.clone(), free - slots.free));
                slots.free = free;
            }
        }
        self.state.unbind_tasks(freed).await
    }
}

/// The slots that tasks under way have, by executor.
async fn used(jobs: &HashMap<JobId, JobInfoCache>) -> HashMap<String, u32> {
    let mut used = HashMap::new();
    for job in jobs.values() {
        let graph = job.execution_graph.read().await;
        let tasks = graph
            .stages()
            .values()
            .filter_map(ExecutionStage::task_infos);
        for task in tasks.flatten() {
            if let task_status::Status::Running(RunningTask { executor_id }) = &task.task_status {
                *used.entry(executor_id.clone()).or_default() += task.vcores_consumed;
            }
        }
    }
    used
}

#[async_trait::async_trait]
impl ClusterState for CountedSlots {
    async fn init(&self) -> Result<()> {
        self.state.init().await
    }

    async fn bind_schedulable_tasks(
        &self,
        distribution: TaskDistributionPolicy,
        active_jobs: Arc<HashMap<JobId, JobInfoCache>>,
        executors: Option<HashSet<String>>,
    ) -> Result<Vec<BoundTask>> {
        let mut slots = self.slots.lock().await;
        self.count(&mut slots, &active_jobs).await?;
        let bound = self
            .state
            .bind_schedulable_tasks(distribution, active_jobs, executors)
            .await?;
        for (executor, task) in &bound {
            if let Some(slots) = slots.get_mut(executor) {
                slots.free = slots.free.saturating_sub(task.vcores_consumed);
            }
        }
        Ok(bound)
    }

    /// What is free is counted when it is needed.
    async fn unbind_tasks(&self, _: Vec<ExecutorSlot>) -> Result<()> {
        Ok(())
    }

    async fn register_executor(
        &self,
        metadata: ExecutorMetadata,
        data: ExecutorData,
    ) -> Result<()> {
        let mut slots = self.slots.lock().await;
        let executor = data.executor_id.clone();
        let own = Slots {
            all: data.available_vcores,
            free: data.available_vcores,
        };
        self.state.register_executor(metadata, data).await?;
        slots.insert(executor, own);
        Ok(())
    }

    async fn remove_executor(&self, executor_id: &str) -> Result<()> {
        let mut slots = self.slots.lock().await;
        slots.remove(executor_id);
        self.state.remove_executor(executor_id).await
    }

    async fn save_executor_metadata(&self, metadata: ExecutorMetadata) -> Result<()> {
        self.state.save_executor_metadata(metadata).await
    }

    async fn get_executor_metadata(&self, executor_id: &str) -> Result<ExecutorMetadata> {
        self.state.get_executor_metadata(executor_id).await
    }

    async fn registered_executor_metadata(&self) -> Vec<ExecutorMetadata> {
        self.state.registered_executor_metadata().await
    }

    async fn save_executor_heartbeat(&self, heartbeat: ExecutorHeartbeat) -> Result<()> {
        self.state.save_executor_heartbeat(heartbeat).await
    }

    fn executor_heartbeats(&self) -> HashMap<String, ExecutorHeartbeat> {
        self.state.executor_heartbeats()
    }

    fn get_executor_heartbeat(&self, executor_id: &str) -> Option<ExecutorHeartbeat> {
        self.state.get_executor_heartbeat(executor_id)
    }

    async fn cluster_state_events(&self) -> Result<ClusterStateEventStream> {
        self.state.cluster_state_events().await
    }
}

#[cfg(test)]
mod tests {
    use ballista_core::config::BALLISTA_SCHEDULER_MAX_PARTITIONS_PER_TASK;
    use ballista_core::extension::SessionConfigExt;
    use ballista_core::serde::scheduler::ExecutorSpecification;
    use ballista_scheduler::planner::DefaultDistributedPlanner;
    use ballista_scheduler::state::execution_graph::StaticExecutionGraph;
    use datafusion::datasource::memory::MemorySourceConfig;
    use datafusion::prelude::SessionConfig;

    use super::*;

    const SLOTS: u32 = 3;

    async fn with_executor(state: &dyn ClusterState) {
        let metadata = ExecutorMetadata {
            id: "a".to_owned(),
            host: "localhost".to_owned(),
            port: 1,
            grpc_port: 2,
            specification: ExecutorSpecification { vcores: SLOTS },
            os_info: Default::default(),
        };
        let data = ExecutorData {
            executor_id: "a".to_owned(),
            total_vcores: SLOTS,
            available_vcores: SLOTS,
        };
        let registered = state.register_executor(metadata, data).await;
        registered.expect("registered");
    }

    /// A job of more tasks than slots, under way.
    fn job() -> Arc<HashMap<JobId, JobInfoCache>> {
        let schema = Arc::new(arrow::datatypes::Schema::empty());
        let partitions = vec![vec![arrow::array::RecordBatch::new_empty(schema.clone())]; 9];
        let plan = MemorySourceConfig::try_new_exec(&partitions, schema, None).expect("a plan");
        let config = SessionConfig::new_with_ballista()
            .set_usize(BALLISTA_SCHEDULER_MAX_PARTITIONS_PER_TASK, 1);
        let id = JobId::from("job");
        let mut planner = DefaultDistributedPlanner::new();
        let config = Arc::new(config);
        let graph = StaticExecutionGraph::new(
            "scheduler",
            &id,
            "",
            "session",
            plan,
            0,
            config,
            &mut planner,
            None,
        );
        let job = JobInfoCache::new(Box::new(graph.expect("a graph")));
        Arc::new(HashMap::from([(id, job)]))
    }

    async fn bound(state: &dyn ClusterState, jobs: &Arc<HashMap<JobId, JobInfoCache>>) -> usize {
        let policy = TaskDistributionPolicy::RoundRobin;
        let bound = state.bind_schedulable_tasks(policy, jobs.clone(), None);
        bound.await.expect("bound").len()
    }

    /// All tasks of the job's stage are cancelled, and to be done again.
    async fn roll_back(jobs: &HashMap<JobId, JobInfoCache>) {
        for job in jobs.values() {
            let mut graph = job.execution_graph.write().await;
            let stages: Vec<usize> = graph.stages().keys().copied().collect();
            for stage in stages {
                let rolled = graph.rollback_running_stage(stage, HashSet::new());
                assert_eq!(rolled.expect("rolled back").len(), SLOTS as usize);
                assert!(graph.resolve_stage(stage).expect("resolved"));
            }
            assert!(graph.revive());
        }
    }

    #[tokio::test]
    async fn slots_of_cancelled_tasks_are_free() {
        let (ours, engine) = (CountedSlots::default(), InMemoryClusterState::default());
        for (state, bound_again) in [
            (&ours as &dyn ClusterState, SLOTS as usize),
            // Where the engine no longer forgets them, this module can go.
            (&engine, 0),
        ] {
            with_executor(state).await;
            let jobs = with_revived(job()).await;
            assert_eq!(bound(state, &jobs).await, SLOTS as usize);
            assert_eq!(bound(state, &jobs).await, 0, "all slots are taken");
            roll_back(&jobs).await;
            assert_eq!(bound(state, &jobs).await, bound_again);
        }
        // What has ended is free, what goes on is not.
        assert_eq!(bound(&ours, &Arc::default()).await, 0);
        assert_eq!(
            bound(&ours, &with_revived(job()).await).await,
            SLOTS as usize
        );
    }

    async fn with_revived(
        jobs: Arc<HashMap<JobId, JobInfoCache>>,
    ) -> Arc<HashMap<JobId, JobInfoCache>> {
        for job in jobs.values() {
            job.execution_graph.write().await.revive();
        }
        jobs
    }
}
