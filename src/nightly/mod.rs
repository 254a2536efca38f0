//! What a run from cron remembers and tells beside converting and reporting: which key dates it
//! lists, what it would cost, and its summary.

pub mod coverage;
pub mod estimate;
pub mod look_back;
pub mod metrics;
pub mod summary;
pub mod verified;
