//! What stands for `--cluster` in a program that is built without the feature.

use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use tokio::runtime::Handle;

use crate::convert::crew::{Crew, ThisMachine};
use crate::lake::Holder;
use crate::query::Engine;

/// No options.
#[derive(clap::Args, Clone, Debug)]
pub struct ClusterArgs {}

/// No options.
#[derive(clap::Args, Clone, Debug)]
pub struct PartitionArgs {}

impl ClusterArgs {
    pub fn crew(&self, _: &str, _: &Handle, _: &Holder) -> anyhow::Result<Arc<dyn Crew>> {
        Ok(Arc::new(ThisMachine))
    }

    pub fn engine(
        &self,
        _: &str,
        _: &PartitionArgs,
        _: impl FnOnce() -> Arc<AtomicBool>,
    ) -> anyhow::Result<Option<Arc<dyn Engine>>> {
        Ok(None)
    }
}

pub fn is_cancelled(_: &anyhow::Error) -> bool {
    false
}
