//! Tells how far a conversion is: a bar on a terminal, plain lines in a log.

use std::io::IsTerminal;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use super::Manner;
use super::terminal::tell;
use crate::archive::Listing;
use crate::convert::Progress;

/// How often the bar moves, and how often a log gets a line.
const BAR_EVERY: Duration = Duration::from_millis(200);
const LINE_EVERY: Duration = Duration::from_secs(10);

/// A display that runs beside the conversion until it is dropped.
pub struct Display {
    ended: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

/// What is to be done, as far as the listing knows.
#[derive(Clone, Copy)]
pub struct Expected {
    pub objects: u64,
    pub compressed_bytes: u64,
}

impl Expected {
    pub fn of(listing: &Listing) -> Self {
        Self {
            objects: listing.objects.len(),
            compressed_bytes: listing.objects.size_bytes(),
        }
    }
}

impl Display {
    pub fn start(progress: Arc<Progress>, expected: Expected, manner: Manner) -> Self {
        let ended = Arc::new(AtomicBool::new(false));
        let thread = (!manner.quiet && expected.objects > 0).then(|| {
            let ended = ended.clone();
            std::thread::spawn(move || {
                if std::io::stderr().is_terminal() {
                    show_bar(&progress, expected, &ended);
                } else {
                    show_lines(&progress, expected, &ended);
                }
            })
        });
        Self { ended, thread }
    }
}

impl Drop for Display {
    fn drop(&mut self) {
        self.ended.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            thread.thread().unpark();
            // A display that failed has nothing more to tell.
            let _ = thread.join();
        }
    }
}

fn show_bar(progress: &Progress, expected: Expected, ended: &AtomicBool) {
    let bar = ProgressBar::with_draw_target(
        Some(expected.compressed_bytes.max(1)),
        ProgressDrawTarget::stderr(),
    );
    let style =
        ProgressStyle::with_template("{elapsed_precise} {wide_bar} {percent}% · {msg} · ETA {eta}");
    bar.set_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()));
    let start = Instant::now();
    while !ended.load(Ordering::Relaxed) {
        bar.set_position(progress.compressed_bytes.load(Ordering::Relaxed));
        bar.set_message(told(progress, expected, start));
        std::thread::park_timeout(BAR_EVERY);
    }
    bar.finish_and_clear();
}

fn show_lines(progress: &Progress, expected: Expected, ended: &AtomicBool) {
    let start = Instant::now();
    let mut next = start + LINE_EVERY;
    while !ended.load(Ordering::Relaxed) {
        std::thread::park_timeout(LINE_EVERY.min(next.saturating_duration_since(Instant::now())));
        if Instant::now() >= next {
            tell(&format!("converting: {}", told(progress, expected, start)));
            next += LINE_EVERY;
        }
    }
}

/// `120/400 objects, 931 MB inflated, 53210 events/s`
fn told(progress: &Progress, expected: Expected, start: Instant) -> String {
    let seconds = start.elapsed().as_secs_f64().max(0.001);
    let events = progress.events.load(Ordering::Relaxed);
    let units = match progress.units_planned.load(Ordering::Relaxed) {
        0 => String::new(),
        planned => format!(
            "{}/{planned} units on the cluster, ",
            progress.units_done.load(Ordering::Relaxed)
        ),
    };
    format!(
        "{units}{}/{} objects, {} MB inflated, {:.0} events/s",
        progress.objects.load(Ordering::Relaxed),
        expected.objects,
        progress.inflated_bytes.load(Ordering::Relaxed) / 1_000_000,
        events as f64 / seconds,
    )
}
