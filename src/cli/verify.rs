//! `dynatrail verify`: whether log files are those that CloudTrail delivered, by its digest files.

use std::io::Write;
use std::ops::ControlFlow;
use std::path::PathBuf;
use std::sync::Arc;

use anyhow::{Context, bail};
use jiff::{SignedDuration, Timestamp};

use super::aws::{S3Args, runtime};
use super::selection::account_id;
use super::terminal::tell;
use super::verify_lines::{Lines, Manner as LineManner};
use super::{Manner, Outcome};
use crate::archive::{
    Archive, Kinds, Listing, ObjectRef, Selection, Source, parse_since, parse_until,
};
use crate::convert::unit::error_chain;
use crate::integrity::{self, Keys, Listed, Summary, Verdict, Verifier};

/// Days after the end of an interval in which its digests are looked for.
const LATE_DAYS: u32 = 1;

/// How much earlier than its digest a log file may have been published.
const BEFORE_SINCE: SignedDuration = SignedDuration::from_hours(24);

/// Validates log files by the digest files of CloudTrail's log file integrity validation.
///
/// Goes through the digests of all accounts, regions, trails and chains of the sources, and tells
/// what is wrong in the words of `aws cloudtrail validate-logs`; what is valid only with --verbose.
/// Beyond it: links by hash, further gzip members, digests off the chain, log files that no digest
/// names, intervals that do not meet. Works on a bucket, and on a plain copy of one: since copies
/// lack the metadata that holds the signatures, a digest is then checked with the signature that
/// the next one has of it, and the newest of each chain is reported as unsigned, unless the output
/// of `aws s3api head-object` lies beside it as <file>.metadata.json.
#[derive(clap::Args)]
#[command(after_help = "\
Exit codes:
  0  everything is valid
  1  failed
  2  wrong usage
  3  something is invalid, missing or cannot be verified, or there are no digest files at all

Examples:
  dynatrail verify s3://my-trail-bucket --since -7d
  dynatrail verify s3://logs/prefix --account 111122223333 --region eu-west-1 --format json
  aws cloudtrail list-public-keys --start-time 2025-01-01 --region eu-west-1 > keys.json
  dynatrail verify copies/my-trail-bucket --public-keys keys.json")]
pub struct Args {
    /// Folders, files, globs or s3://bucket/prefix.
    #[arg(required = true, value_name = "SOURCE")]
    sources: Vec<String>,

    /// Output of `aws cloudtrail list-public-keys`, of each region and time; asked of CloudTrail if
    /// it is not given and a source is in S3.
    #[arg(long, value_name = "FILE", num_args = 1..)]
    public_keys: Vec<PathBuf>,

    /// Only this account's files; may be repeated.
    #[arg(long, value_name = "ID", value_parser = account_id, help_heading = "Selection")]
    account: Vec<String>,

    /// Only files of this region; may be repeated.
    #[arg(long, value_name = "REGION", help_heading = "Selection")]
    region: Vec<String>,

    /// Only digest files of this trail; log files that no digest names are then not looked for,
    /// since they may be another trail's.
    #[arg(long, value_name = "NAME", help_heading = "Selection")]
    trail: Option<String>,

    /// Only what was delivered from here on: RFC 3339, a date (its beginning, UTC), or a span back
    /// such as -30d.
    #[arg(
        long,
        value_name = "TIME",
        allow_hyphen_values = true,
        help_heading = "Selection"
    )]
    since: Option<String>,

    /// Only what was delivered before: RFC 3339, a date (its end, UTC), or a span back such as -12h.
    #[arg(
        long,
        value_name = "TIME",
        allow_hyphen_values = true,
        help_heading = "Selection"
    )]
    until: Option<String>,

    /// How to print what is found.
    #[arg(long, value_enum, default_value = "text")]
    format: Format,

    #[command(flatten)]
    s3: S3Args,
}

#[derive(clap::ValueEnum, Clone, Copy, PartialEq, Eq)]
enum Format {
    Text,
    /// One object a line; the last is the summary.
    Json,
}

pub fn run(args: &Args, manner: Manner) -> anyhow::Result<Outcome> {
    let now = Timestamp::now();
    let selection = selection(args, now)?;
    let runtime = runtime()?;
    let sources = args.sources.iter().map(|text| Source::parse(text));
    let sources = sources.collect::<Result<Vec<_>, _>>()?;
    let keys = read_keys(&args.public_keys, &sources, &args.s3, runtime.handle())?;
    let archive = Archive::open(sources, args.s3.options());
    let listing = list(&archive, &selection, args, &runtime);
    let (digests, logs, failures) = args.s3.name_profile(listing)?;

    let mut verifier = Verifier {
        archive: Arc::new(archive),
        runtime: runtime.handle().clone(),
        keys,
        since: selection.since,
        until: selection.until,
        now,
    };
    let mut lines = Lines::new(LineManner {
        json: args.format == Format::Json,
        verbose: manner.verbose > 0,
        since: selection.since,
        until: selection.until,
    });
    let mut broken = lines.begin(&args.sources).err();
    let listed = Listed {
        digests: &digests,
        logs: args.trail.is_none().then_some(&logs[..]),
        earlier_logs: &[],
    };
    let summary =
        integrity::verify(
            &mut verifier,
            listed,
            &|_| None,
            &mut |verdict: Verdict| match lines.take(&verdict) {
                Ok(()) => ControlFlow::Continue(()),
                Err(error) => {
                    broken = Some(error);
                    ControlFlow::Break(())
                }
            },
        );
    if let Some(error) = broken {
        return Err(error).context("cannot write what is found");
    }
    lines.finish(&summary)?;
    std::io::stdout().flush().or_else(quiet_pipe)?;
    Ok(outcome(&summary, failures))
}

/// Whoever has stopped reading (`| head`) changes nothing of what is found.
pub fn quiet_pipe(error: std::io::Error) -> std::io::Result<()> {
    match error.kind() {
        std::io::ErrorKind::BrokenPipe => Ok(()),
        _ => Err(error),
    }
}

fn outcome(summary: &Summary, failures: usize) -> Outcome {
    for warning in &summary.warnings {
        tell(&format!("dynatrail: {warning}"));
    }
    if summary.digests() == 0 {
        tell("dynatrail: no digest files: nothing was verified");
    }
    match summary.is_sound() && failures == 0 {
        true => Outcome::Complete,
        false => Outcome::Incomplete,
    }
}

fn selection(args: &Args, now: Timestamp) -> anyhow::Result<Selection> {
    let since = args.since.as_deref().map(|text| parse_since(text, now));
    let until = args.until.as_deref().map(|text| parse_until(text, now));
    let selection = Selection {
        accounts: args.account.clone(),
        regions: args.region.clone(),
        since: since.transpose().context("--since")?,
        until: until.transpose().context("--until")?,
        late_days: LATE_DAYS,
        kinds: Kinds::Digests,
        ..Selection::everything()
    };
    if let (Some(since), Some(until)) = (selection.since, selection.until)
        && since >= until
    {
        bail!("--since {since} is not before --until {until}: nothing can be verified");
    }
    Ok(selection)
}

/// The keys of files, or those that CloudTrail is asked for.
pub fn read_keys(
    files: &[PathBuf],
    sources: &[Source],
    s3: &S3Args,
    runtime: &tokio::runtime::Handle,
) -> anyhow::Result<Keys> {
    if files.is_empty() {
        let is_in_s3 = |source: &Source| matches!(source, Source::S3 { .. });
        if !sources.iter().any(is_in_s3) {
            bail!(
                "a local copy is verified with saved keys: give --public-keys with the output of aws cloudtrail list-public-keys"
            );
        }
        return Ok(Keys::online(s3.options(), runtime.clone()));
    }
    let mut keys = Keys::default();
    for path in files {
        let text = std::fs::read_to_string(path)
            .with_context(|| format!("cannot read {}", path.display()))?;
        keys.add_saved(&text)
            .with_context(|| format!("{} holds no public keys", path.display()))?;
    }
    if keys.is_empty() {
        bail!("--public-keys holds no key: was it saved for the time of the digest files?");
    }
    Ok(keys)
}

type Objects = Vec<ObjectRef>;

/// Lists digests, then log files; gives how many places could not be listed.
fn list(
    archive: &Archive,
    selection: &Selection,
    args: &Args,
    runtime: &tokio::runtime::Runtime,
) -> anyhow::Result<(Objects, Objects, usize)> {
    let digests = runtime.block_on(archive.list(selection, &|_| ()))?;
    let earlier = |since: Timestamp| since.checked_sub(BEFORE_SINCE).unwrap_or(since);
    let of_logs = Selection {
        since: selection.since.map(earlier),
        kinds: Kinds::LogInput,
        ..selection.clone()
    };
    let logs = match args.trail {
        // They are fetched as digests name them.
        Some(_) => Listing::default(),
        None => runtime.block_on(archive.list(&of_logs, &|_| ()))?,
    };
    let failures = digests.failures.iter().chain(&logs.failures);
    for failure in failures {
        tell(&format!("dynatrail: {}", error_chain(failure)));
    }
    let failures = digests.failures.len() + logs.failures.len();
    let is_nothing = digests.objects.is_empty() && logs.objects.is_empty();
    if is_nothing && failures > 0 {
        bail!("no source could be listed: nothing was read, so nothing can be said");
    }
    let mut digests = digests.objects.into_sorted_vec()?;
    if let Some(trail) = &args.trail {
        digests.retain(|object| integrity::is_of_trail(&object.uri, trail));
    }
    Ok((digests, logs.objects.into_sorted_vec()?, failures))
}
