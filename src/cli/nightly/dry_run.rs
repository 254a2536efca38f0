//! A night that only says what it would read.

use super::run::{open_archive, scope, selection};
use super::{Args, out};
use crate::cli::aws::runtime;
use crate::cli::terminal::{tell, write_log_as};
use crate::cli::{Manner, Outcome};
use crate::convert::unit::error_chain;
use crate::lake::LakeState;
use crate::nightly::estimate::Estimate;
use crate::nightly::look_back::LookBack;

/// Says what a run would read, and changes nothing.
pub fn dry_run(args: &Args, place: &str, manner: Manner) -> anyhow::Result<Outcome> {
    write_log_as(args.tell.log_format);
    let runtime = runtime()?;
    let store = args.s3.open_store(place, runtime.handle())?;
    let keep = args.what.keep()?;
    let lake = LakeState::find(&store, &keep.describe())?;
    let archive = open_archive(args)?;
    let look_back = LookBack::read(&store, &scope(args))?;
    let selection = selection(args, &look_back, lake.as_ref())?;
    let listing = runtime.block_on(archive.list(&selection, &|_| ()))?;
    let left = lake.as_ref().map(|lake| lake.objects_left(&store));
    let left = left.transpose()?.unwrap_or_default();
    let filter = args.what.filter(&selection);
    let estimate = Estimate::of(&listing, lake.as_ref(), &filter, left)?;
    out::print_estimate(&estimate)?;
    if !manner.quiet {
        for failure in &listing.failures {
            tell(&format!("dynatrail: {}", error_chain(failure)));
        }
    }
    match listing.failures.is_empty() {
        true => Ok(Outcome::Complete),
        false => Ok(Outcome::Incomplete),
    }
}
