//! Ends a run when the process is told to: the first signal gently, the second at once.

use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};

use super::terminal::tell;
use crate::convert::Progress;

/// Watches; the number of the signal that came, or 0. The first ends the run after the objects at hand, a second one at once.
pub fn watch_signals(runtime: &tokio::runtime::Handle, progress: Arc<Progress>) -> Arc<AtomicU8> {
    use tokio::signal::unix::{SignalKind, signal};

    let received = Arc::new(AtomicU8::new(0));
    for (kind, number) in [(SignalKind::interrupt(), 2), (SignalKind::terminate(), 15)] {
        let (progress, received) = (progress.clone(), received.clone());
        runtime.spawn(async move {
            let Ok(mut signals) = signal(kind) else {
                return;
            };
            while signals.recv().await.is_some() {
                if received.swap(number, Ordering::Relaxed) != 0 {
                    std::process::exit(128 + i32::from(number));
                }
                progress.interrupted.store(true, Ordering::Relaxed);
                tell("dynatrail: ending after the objects at hand; again to end at once");
            }
        });
    }
    received
}
