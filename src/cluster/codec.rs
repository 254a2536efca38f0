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

    fn decode_job(&self, text: &[u8]) -> Result<Job> {
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
            Ok(found) if (&found.version, found.format) != (&version, format) => exec_err!(
                "{who} is dynatrail {version} (lake format {format}), the client is {} ({}): use \
                 the same everywhere",
                found.version,
                found.format
            ),
            _ => match serde_json::from_slice(text) {
                Ok(job) => Ok(job),
                Err(error) => internal_err!("{who} cannot read the job: {error}"),
            },
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
        let job = self.decode_job(text)?;
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
        buf.extend_from_slice(MAGIC);
        serde_json::to_writer(buf, &convert.job).expect("plain data becomes JSON");
        Ok(())
    }
}
