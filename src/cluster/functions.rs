//! What scheduler and executors know of functions: the engine's and ours.

use std::sync::Arc;

use ballista_core::extension::SessionConfigExt;
use ballista_core::registry::BallistaFunctionRegistry;
use datafusion::common::Result;
use datafusion::execution::SessionStateBuilder;
use datafusion::execution::runtime_env::RuntimeEnvBuilder;
use datafusion::execution::session_state::SessionState;
use datafusion::prelude::SessionConfig;

use super::stores::UnreadStores;
use crate::query;

/// A session with every function that a plan of ours may name. It plans, and reads nothing.
pub fn session_state(config: SessionConfig) -> Result<SessionState> {
    let environment = RuntimeEnvBuilder::new()
        .with_object_store_registry(Arc::new(UnreadStores))
        .build()?;
    let mut state = SessionStateBuilder::new()
        .with_config(config)
        .with_runtime_env(Arc::new(environment))
        .with_default_features()
        .build();
    query::register_functions(&mut state);
    Ok(state)
}

pub fn registry() -> Result<Arc<BallistaFunctionRegistry>> {
    let state = session_state(SessionConfig::new_with_ballista())?;
    Ok(Arc::new((&state).into()))
}
