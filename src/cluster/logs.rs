//! Hands what the engine writes into its log over to ours.

pub use log::LevelFilter;
use log::{Level, Log, Metadata, Record};

struct Bridge;

/// From here on the engine's log lines are traces of ours.
pub fn tell_engine_logs(level: LevelFilter) {
    // A logger can be set once; one that is set stays.
    if log::set_logger(&Bridge).is_ok() {
        log::set_max_level(level);
    }
}

impl Log for Bridge {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        metadata.target().starts_with("ballista")
    }

    fn log(&self, record: &Record<'_>) {
        if !self.enabled(record.metadata()) {
            return;
        }
        let (module, words) = (record.target(), record.args());
        match record.level() {
            Level::Error => tracing::error!(module, "{words}"),
            Level::Warn => tracing::warn!(module, "{words}"),
            Level::Info => tracing::info!(module, "{words}"),
            Level::Debug => tracing::debug!(module, "{words}"),
            Level::Trace => tracing::trace!(module, "{words}"),
        }
    }

    fn flush(&self) {}
}
