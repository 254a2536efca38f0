//! `dynatrail rebuild`: what a lake keeps beside its events and can make of them anew.

use std::io::Write;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use jiff::Timestamp;

use super::aws::{S3Args, runtime};
use super::engine::MachineArgs;
use super::signals::watch_signals;
use super::terminal::tell;
use super::{Manner, Outcome};
use crate::convert::Progress;
use crate::lake::{Holder, LakeState, Lock};
use crate::query::{Dates, Session};

/// Makes anew what a lake keeps beside its events: the view sightings, a file an event date.
///
/// Reports on what is new to a table read it in place of the whole history. Without the files they
/// answer the same, and read everything; dynatrail nightly writes them by itself. Only the dates that
/// have none, or one of other events than now, are written.
#[derive(clap::Args)]
#[command(after_help = "\
Examples:
  dynatrail rebuild /tmp/lake
  dynatrail rebuild s3://my-lake/dynamodb --force")]
pub struct Args {
    /// A folder or s3://bucket/prefix.
    #[arg(value_name = "LAKE")]
    lake: String,

    /// Writes the files of all dates again.
    #[arg(long)]
    force: bool,

    #[command(flatten)]
    machine: MachineArgs,

    #[command(flatten)]
    s3: S3Args,
}

pub fn run(args: &Args, manner: Manner) -> anyhow::Result<Outcome> {
    let runtime = runtime()?;
    let progress = Arc::new(Progress::default());
    let signal = watch_signals(runtime.handle(), &progress);
    let mut store = args.s3.open_store(&args.lake, runtime.handle())?;
    // A lock is not left in what is no lake.
    LakeState::load(&store)?;
    let holder = Holder::this_process(Timestamp::now().to_string());
    let _lock = Lock::take(&mut store, &holder)?;
    let lake = LakeState::load(&store)?;
    store.clear_staging()?;
    let mut session = Session::open(&store, &lake, &args.machine.options())?;
    let dates = match args.force {
        true => Dates::All,
        false => Dates::Missing,
    };
    let renewed = session.renew_sightings(&store, &lake, dates, &progress.interrupted)?;
    writeln!(
        std::io::stdout(),
        "sightings: {} dates written, {} were up to date, {} stale files removed",
        renewed.written,
        renewed.held,
        renewed.removed
    )?;
    if renewed.left > 0 {
        if !manner.quiet {
            tell(&format!(
                "dynatrail: interrupted with {} dates left; what was written is kept",
                renewed.left
            ));
        }
        return Ok(Outcome::Interrupted(signal.load(Ordering::Relaxed)));
    }
    Ok(Outcome::Complete)
}
