//! Verifies what a conversion has read, with the hashes that it made on its way.

use std::ops::ControlFlow;
use std::path::PathBuf;
use std::sync::Arc;

use anyhow::Context;
use jiff::civil::Date;
use jiff::tz::TimeZone;
use jiff::{Timestamp, ToSpan};

use super::aws::S3Args;
use super::terminal::tell;
use super::verify::read_keys;
use crate::archive::{Archive, Kinds, Listing, ListingError, ObjectRef, Selection, Source};
use crate::integrity::{self, Listed, Verdict, Verifier};
use crate::lake::{LakeState, Store};
use crate::nightly::verified::{KnownHashes, Verified, VerifySummary};
use crate::render::sanitize::one_line;

/// Whether what is read is verified too.
#[derive(clap::Args, Clone, Debug)]
#[command(next_help_heading = "Integrity")]
pub struct VerifyArgs {
    /// Hashes every log file on the way, verifies them by CloudTrail's digest files, and keeps what
    /// is found in the lake's table integrity.
    #[arg(long)]
    pub verify: bool,

    /// Output of `aws cloudtrail list-public-keys`, of each region and time; asked of CloudTrail if
    /// it is not given and a source is in S3.
    #[arg(long, value_name = "FILE", requires = "verify")]
    pub public_keys: Vec<PathBuf>,
}

/// What was converted, to be verified.
pub struct Converted<'c> {
    pub archive: Arc<Archive>,
    pub runtime: &'c tokio::runtime::Runtime,
    pub store: &'c Store,
    pub selection: &'c Selection,
    /// The log files that were listed, sorted by URI.
    pub logs: &'c [ObjectRef],
    pub now: Timestamp,
}

/// Reads saved keys, or makes ready to ask for them: what is wrong with them is told before any work.
pub fn keys(
    args: &VerifyArgs,
    sources: &[String],
    s3: &S3Args,
    runtime: &tokio::runtime::Runtime,
) -> anyhow::Result<Option<integrity::Keys>> {
    if !args.verify {
        return Ok(None);
    }
    let sources = sources.iter().map(|text| Source::parse(text));
    let sources = sources.collect::<Result<Vec<_>, _>>()?;
    let keys = read_keys(&args.public_keys, &sources, s3, runtime.handle())?;
    Ok(Some(keys))
}

/// Verifies by the digests of the listed dates and of the day before, and writes what is found into
/// the lake.
pub fn verify(
    converted: &Converted<'_>,
    keys: integrity::Keys,
    lake: &mut LakeState,
) -> anyhow::Result<VerifySummary> {
    let Converted {
        archive,
        runtime,
        store,
        selection,
        ..
    } = converted;
    let by_event = selection
        .since
        .map(|since| TimeZone::UTC.to_datetime(since).date());
    let first: Option<Date> = by_event.max(selection.first_key_date);
    // A file that was delivered at the day's first minutes may stand in a digest of the day before.
    let first_digest = first.map(|first| first.saturating_sub(1.day()));
    let of_digests = Selection {
        since: None,
        until: None,
        first_key_date: first_digest,
        last_key_date: selection
            .last_key_date
            .map(|last| last.saturating_add(1.day())),
        kinds: Kinds::Digests,
        ..(*selection).clone()
    };
    let digests = runtime.block_on(archive.list(&of_digests, &|_| ()))?;
    let begin = |date: Date| date.to_zoned(TimeZone::UTC).map(|zoned| zoned.timestamp());
    let mut verifier = Verifier {
        archive: archive.clone(),
        runtime: runtime.handle().clone(),
        keys,
        since: first_digest
            .map(begin)
            .transpose()
            .context("the first date")?,
        until: None,
        now: converted.now,
    };
    let earlier_logs = list_earlier(converted, first)?;
    let known = KnownHashes::read(store, lake, first_digest)?;
    let mut verified = Verified::default();
    let listed = Listed {
        digests: &digests.objects.to_sorted_vec()?,
        logs: Some(converted.logs),
        earlier_logs: &earlier_logs.objects.to_sorted_vec()?,
    };
    let summary = integrity::verify(
        &mut verifier,
        listed,
        &|object| known.get(object),
        &mut |verdict: Verdict| {
            verified.take(&verdict);
            ControlFlow::Continue(())
        },
    );
    let told = summed_up(&summary, &verified, [&digests, &earlier_logs]);
    verified.write(store, lake)?;
    Ok(told)
}

/// Lists the log files of the day before: only to know whether they are still what was converted.
fn list_earlier(converted: &Converted<'_>, first: Option<Date>) -> Result<Listing, ListingError> {
    let Some(first) = first else {
        return Ok(Listing::default());
    };
    let before = first.saturating_sub(1.day());
    let selection = Selection {
        since: None,
        until: None,
        first_key_date: Some(before),
        last_key_date: Some(before),
        kinds: Kinds::LogInput,
        ..converted.selection.clone()
    };
    let listing = converted.archive.list(&selection, &|_| ());
    converted.runtime.block_on(listing)
}

/// What verification found, with what it could not look at.
fn summed_up(
    summary: &integrity::Summary,
    verified: &Verified,
    listings: [&Listing; 2],
) -> VerifySummary {
    let mut told = VerifySummary::of(summary, verified);
    let mut more = Vec::new();
    for failure in listings.iter().flat_map(|listing| &listing.failures) {
        told.is_sound = false;
        more.push(format!("cannot list {}", failure.place));
    }
    if summary.digests() == 0 {
        more.push("there are no digest files: nothing was verified".to_owned());
    }
    told.problems.extend(more.iter().cloned());
    told.beside_rows.extend(more);
    told
}

/// Says on stderr what is wrong.
pub fn tell_problems(summary: &VerifySummary) {
    for problem in &summary.problems {
        tell(&one_line(problem));
    }
    if summary.further_problems > 0 {
        tell(&format!("and {} more problems", summary.further_problems));
    }
}
