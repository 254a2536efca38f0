//! How plans are written for the scheduler and the executors: Ballista's way, and our node.

use std::sync::Arc;

use ballista_core::serde::BallistaPhysicalExtensionCodec;
use datafusion::common::{Result, exec_err, internal_err};
use datafusion::execution::TaskContext;
use datafusion::physical_plan::ExecutionPlan;
use datafusion_proto::physical_plan::{PhysicalExtensionCodec, PhysicalProtoConverterExtension};

use super::Site;
use super::node::{ConvertExec, Job};

/// Begins what stands for our node; no message of Ballista's begins so.
const MAGIC: &[u8] = b"\xffdynatrail convert ";

/// Writes and reads plans.
#[derive(Debug)]
pub struct Codec {
    engine: BallistaPhysicalExtensionCodec,
    site: Option<Arc<Site>>,
}

impl Codec {
    /// For a client and a scheduler, which run no task.
    pub fn without_site() -> Self {
        Self {
            engine: BallistaPhysicalExtensionCodec::default(),
            site: None,
        }
    }

    /// For an executor.
    pub fn of(site: Arc<Site>) -> Self {
        Self {
            site: Some(site),
            ..Self::without_site()
        }
    }

    /// The job, or why it is none for this program.
    fn decode_job(&self, text: &[u8]) -> Result<Job, String> {
        /// What every version writes.
        #[derive(serde::Deserialize)]
        struct Versions {
            version: String,
            format: u32,
        }
        let (version, format) = Job::version();
        let who = match &self.site {
            Some(site) => format!("executor {}", site.name()),
            None => "the scheduler".to_owned(),
        };
        match serde_json::from_slice::<Versions>(text) {
            Ok(found) if (&found.version, found.format) != (&version, format) => Err(format!(
                "{who} is dynatrail {version} (lake format {format}), the client is {} ({}): use \
                 the same everywhere",
                found.version, found.format
            )),
            _ => serde_json::from_slice(text)
                .map_err(|error| format!("{who} cannot read the job: {error}")),
        }
    }
}

impl PhysicalExtensionCodec for Codec {
    fn try_decode(
        &self,
        buf: &[u8],
        inputs: &[Arc<dyn ExecutionPlan>],
        context: &TaskContext,
        converter: &dyn PhysicalProtoConverterExtension,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        let Some(text) = buf.strip_prefix(MAGIC) else {
            return self.engine.try_decode(buf, inputs, context, converter);
        };
        let job = self.decode_job(text);
        // An executor gives the units back, since the engine tells nobody why it cannot read a task.
        if let (Err(words), None) = (&job, &self.site) {
            return exec_err!("{words}");
        }
        let [input] = inputs else {
            return internal_err!("ConvertExec has one input");
        };
        let node = ConvertExec::new(job, input.clone(), self.site.clone());
        Ok(Arc::new(node))
    }

    fn try_encode(
        &self,
        node: Arc<dyn ExecutionPlan>,
        buf: &mut Vec<u8>,
        converter: &dyn PhysicalProtoConverterExtension,
    ) -> Result<()> {
        let Some(convert) = node.downcast_ref::<ConvertExec>() else {
            return self.engine.try_encode(node, buf, converter);
        };
        let Ok(job) = &convert.job else {
            return internal_err!("a job that is refused is sent to nobody");
        };
        buf.extend_from_slice(MAGIC);
        serde_json::to_writer(buf, job).expect("plain data becomes JSON");
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use arrow::datatypes::{DataType, Field, Schema};
    use ballista_core::extension::SessionConfigExt;
    use datafusion::catalog::TableProvider;
    use datafusion::prelude::SessionConfig;
    use datafusion_proto::physical_plan::AsExecutionPlan;
    use datafusion_proto::protobuf::PhysicalPlanNode;

    use super::*;
    use crate::cluster::functions::session_state;
    use crate::cluster::under_way::UNITS_OF_JOB;
    use crate::cluster::{MAX_MESSAGE_BYTES, stores};
    use crate::lake::{Holder, Part};
    use crate::query::LakeTable;

    const PARTS: usize = 150_000;

    fn job() -> Job {
        let (version, format) = Job::version();
        Job {
            version,
            format,
            lake: "s3://a-bucket-with-a-long-name/and/a/prefix".to_owned(),
            holder: Holder::this_process("2025-01-01T00:00:00Z".to_owned()),
            deadline_ms: Some(1),
            needs_all: true,
        }
    }

    fn plan(job: Job, units: usize) -> Arc<dyn ExecutionPlan> {
        let units: Vec<String> = (0..units).map(|n| format!("20250101-{n:016x}")).collect();
        let path = "_dynatrail/plans/000000-0123456789abcdef.json.zst";
        let units = units.iter().map(|unit| (path, unit.as_str()));
        ConvertExec::of_units(job, units).expect("a plan")
    }

    fn written(plan: Arc<dyn ExecutionPlan>) -> Vec<u8> {
        let mut bytes = Vec::new();
        PhysicalPlanNode::try_from_physical_plan(plan, &Codec::without_site())
            .and_then(|node| node.try_encode(&mut bytes))
            .expect("it is written");
        bytes
    }

    fn read(bytes: &[u8]) -> Result<Arc<dyn ExecutionPlan>> {
        PhysicalPlanNode::try_decode(bytes)?
            .try_into_physical_plan(&TaskContext::default(), &Codec::without_site())
    }

    #[test]
    fn a_job_comes_back_as_it_was() {
        let plan = read(&written(plan(job(), 3))).expect("it is read");
        let node = plan.downcast_ref::<ConvertExec>().expect("our node");
        assert_eq!(node.job, Ok(job()));
        assert_eq!(node.properties().partitioning.partition_count(), 3);
    }

    /// An executor of another version can read the task, and says of each unit why it does not do it.
    #[test]
    fn an_executor_of_another_version_gives_units_back() {
        let other = Job {
            version: "9.9.9".to_owned(),
            ..job()
        };
        let runtime = tokio::runtime::Runtime::new().expect("a runtime");
        let open = Box::new(|place: &str| Ok(crate::lake::Store::local(place)));
        let options = crate::archive::S3Options::default();
        let site = Arc::new(Site::new(
            "here",
            open,
            options,
            runtime.handle().clone(),
            1,
        ));
        let plan = PhysicalPlanNode::try_decode(&written(plan(other, 1)))
            .and_then(|node| node.try_into_physical_plan(&TaskContext::default(), &Codec::of(site)))
            .expect("it is read");
        let node = plan.downcast_ref::<ConvertExec>().expect("our node");
        let words = node.job.as_ref().expect_err("refused");
        assert!(words.contains("executor here is dynatrail"), "{words}");
        assert!(words.contains("the client is 9.9.9"), "{words}");
    }

    /// The message of the largest job stays far below what Ballista takes.
    #[test]
    fn the_largest_job_is_small() {
        let bytes = written(plan(job(), UNITS_OF_JOB)).len();
        assert!(bytes < MAX_MESSAGE_BYTES as usize / 32, "{bytes} bytes");
    }

    /// A question about as many parts as a year of a large organization has.
    #[test]
    fn a_question_about_many_parts_is_sent() {
        let part = |number: usize| Part {
            table: "events".to_owned(),
            dt: format!("2025-01-{:02}", number % 28 + 1),
            path: format!(
                "events/dt=2025-01-{:02}/20250101-{number:016x}.parquet",
                number % 28 + 1
            ),
            rows: 100_000,
            size_bytes: 5_000_000,
            min_event_time_ms: Some(0),
            max_event_time_ms: Some(1),
        };
        let parts: Vec<Part> = (0..PARTS).map(part).collect();
        let lake = stores::url("s3://lake/dynamodb").expect("an address");
        let columns = (0..60).map(|n| Field::new(format!("column_{n}"), DataType::Utf8, true));
        let schema = Schema::new(columns.collect::<Vec<_>>());
        let table = LakeTable::of_small_files(&lake, &schema, parts).for_others();
        let state = session_state(SessionConfig::new_with_ballista()).expect("a session");
        let runtime = tokio::runtime::Runtime::new().expect("a runtime");
        let plan = runtime.block_on(table.scan(&state, None, &[], None));
        let bytes = written(plan.expect("a plan")).len();
        assert!(bytes < MAX_MESSAGE_BYTES as usize / 2, "{bytes} bytes");
    }

    #[test]
    fn another_version_is_refused_and_named() {
        let other = Job {
            version: "9.9.9".to_owned(),
            ..job()
        };
        let words = read(&written(plan(other, 1))).expect_err("refused");
        let words = words.to_string();
        assert!(words.contains("the scheduler is dynatrail"), "{words}");
        assert!(words.contains("the client is 9.9.9"), "{words}");
    }
}
