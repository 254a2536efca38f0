//! Ends a run when the process is told to: the first signal gently, the second at once.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU8, Ordering};

use super::terminal::tell;
use crate::convert::Progress;

/// Watches; the number of the signal that came, or 0. The first ends the run after the objects at hand, a second one at once.
pub fn watch_signals(runtime: &tokio::runtime::Handle, progress: &Progress) -> Arc<AtomicU8> {
    let words = "ending after the objects at hand";
    watch(runtime, &progress.interrupted, words)
}

/// Watches: the first signal sets `interrupted`, a second one ends the process at once.
pub fn watch(
    runtime: &tokio::runtime::Handle,
    interrupted: &Arc<AtomicBool>,
    words: &'static str,
) -> Arc<AtomicU8> {
    use tokio::signal::unix::{SignalKind, signal};

    let received = Arc::new(AtomicU8::new(0));
    for (kind, number) in [(SignalKind::interrupt(), 2), (SignalKind::terminate(), 15)] {
        let (interrupted, received) = (interrupted.clone(), received.clone());
        runtime.spawn(async move {
            let Ok(mut signals) = signal(kind) else {
                return;
            };
            while signals.recv().await.is_some() {
                if received.swap(number, Ordering::Relaxed) != 0 {
                    std::process::exit(128 + i32::from(number));
                }
                interrupted.store(true, Ordering::Relaxed);
                tell(&format!("dynatrail: {words}; again to end at once"));
            }
        });
    }
    received
}
