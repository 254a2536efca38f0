//! What scheduler and executors know of functions: the engine's and ours.

use std::sync::Arc;

use ballista_core::extension::SessionConfigExt;
use ballista_core::registry::BallistaFunctionRegistry;
use datafusion::execution::SessionStateBuilder;
use datafusion::execution::session_state::SessionState;
use datafusion::prelude::SessionConfig;

use crate::query;

/// A session with every function that a plan of ours may name.
pub fn session_state(config: SessionConfig) -> SessionState {
    let mut state = SessionStateBuilder::new()
        .with_config(config)
        .with_default_features()
        .build();
    query::register_functions(&mut state);
    state
}

pub fn registry() -> Arc<BallistaFunctionRegistry> {
    Arc::new((&session_state(SessionConfig::new_with_ballista())).into())
}
