//! `dynatrail convert`: archives in, a lake out.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};

use anyhow::{Context, bail};
use jiff::Timestamp;

use super::aws::{S3Args, runtime};
use super::progress::{Display, Expected};
use super::terminal::tell;
use super::{Manner, Outcome};
use crate::archive::{Archive, Kinds, Listing, Selection, Source, parse_since, parse_until};
use crate::convert::keep::Keep;
use crate::convert::object::{MAX_KEPT_BYTES, Rules};
use crate::convert::summary::Summary;
use crate::convert::unit::error_chain;
use crate::convert::{self, ConvertError, Progress, Workshop};
use crate::lake::LakeState;
use crate::lake::receipt::{EventFilter, EventWindow};
use crate::select::Selectors;

/// Converts CloudTrail archives into a lake of DynamoDB events.
///
/// Reads folders, files, globs and s3:// prefixes; keeps the events of DynamoDB, its Streams and
/// DAX; writes Parquet that Athena, DuckDB and Spark read. What an earlier run has converted is
/// not read again; what it left unfinished is finished first.
#[derive(clap::Args)]
#[command(after_help = "\
Examples:
  dynatrail convert sample-data/archive --lake /tmp/lake
  dynatrail convert s3://my-trail-bucket --lake s3://my-lake/dynamodb --since -30d
  dynatrail convert s3://logs/prefix/AWSLogs --lake lake --account 111122223333 --region eu-west-1
  dynatrail convert 'logs/2025-*/*.json.gz' extra.json --lake lake --event-selectors selectors.json")]
pub struct Args {
    /// Folders, files, globs or s3://bucket/prefix.
    #[arg(required = true, value_name = "SOURCE")]
    sources: Vec<String>,

    /// Where the lake is or shall be: a folder or s3://bucket/prefix.
    #[arg(long, value_name = "LAKE")]
    lake: String,

    /// Only this account's events; may be repeated.
    #[arg(long, value_name = "ID", value_parser = account_id, help_heading = "Selection")]
    account: Vec<String>,

    /// Only this region's events; may be repeated. The region to sign for is found by itself, or
    /// given by --aws-region.
    #[arg(long, value_name = "REGION", help_heading = "Selection")]
    region: Vec<String>,

    /// Only events from here on: RFC 3339, a date (its beginning, UTC), or a span back such as
    /// -30d.
    #[arg(
        long,
        value_name = "TIME",
        allow_hyphen_values = true,
        help_heading = "Selection"
    )]
    since: Option<String>,

    /// Only events before: RFC 3339, a date (its end, UTC), or a span back such as -12h.
    #[arg(
        long,
        value_name = "TIME",
        allow_hyphen_values = true,
        help_heading = "Selection"
    )]
    until: Option<String>,

    /// How many days late events may be delivered; further key dates are not listed.
    #[arg(long, value_name = "DAYS", default_value = "2", value_parser = days, help_heading = "Selection")]
    late: u32,

    /// Keeps what these event selectors would log: the JSON of put-event-selectors or the output
    /// of get-event-selectors.
    #[arg(
        long,
        value_name = "FILE",
        conflicts_with = "all",
        help_heading = "Selection"
    )]
    event_selectors: Option<PathBuf>,

    /// Keeps every API event of every service.
    #[arg(long, help_heading = "Selection")]
    all: bool,

    /// Prints the closing summary to stdout in this format.
    #[arg(long, value_enum, default_value = "text")]
    summary: SummaryFormat,

    /// Threads that compute [default: one a core].
    #[arg(long, value_name = "N")]
    threads: Option<usize>,

    #[command(flatten)]
    s3: S3Args,
}

#[derive(clap::ValueEnum, Clone, Copy, PartialEq, Eq)]
enum SummaryFormat {
    Text,
    Json,
}

pub fn account_id(text: &str) -> Result<String, String> {
    match text.len() == 12 && text.bytes().all(|b| b.is_ascii_digit()) {
        true => Ok(text.to_owned()),
        false => Err("an account is 12 digits".to_owned()),
    }
}

/// `2` or `2d`.
fn days(text: &str) -> Result<u32, String> {
    text.strip_suffix('d')
        .unwrap_or(text)
        .parse()
        .map_err(|_| "a number of days, such as 2 or 30d".to_owned())
}

pub fn run(args: Args, manner: Manner) -> anyhow::Result<Outcome> {
    let selection = selection(&args)?;
    let filter = EventFilter {
        window: EventWindow {
            since_ms: selection.since.map(Timestamp::as_millisecond),
            until_ms: selection.until.map(Timestamp::as_millisecond),
        },
        accounts: sorted(&args.account),
        regions: sorted(&args.region),
    };
    let keep = keep(&args)?;
    if let Some(threads) = args.threads {
        rayon::ThreadPoolBuilder::new()
            .num_threads(threads.max(1))
            .build_global()
            .context("cannot start the threads")?;
    }

    let runtime = runtime()?;
    let progress = Arc::new(Progress::default());
    let signal = watch_signals(runtime.handle(), progress.clone());
    let store = args.s3.open_store(&args.lake, runtime.handle())?;
    // Listing a large archive takes long: what is wrong with the lake is told before.
    LakeState::check(&store, &keep.describe())?;
    let sources = args.sources.iter().map(|text| Source::parse(text));
    let sources = sources.collect::<Result<Vec<_>, _>>()?;
    let archive = Archive::open(sources, args.s3.options());
    let listing = list(&archive, &selection, &runtime, manner);
    let listing = args.s3.name_profile(listing)?;
    let expected = Expected {
        objects: listing.objects.len() as u64,
        compressed_bytes: listing.objects.iter().map(|object| object.size).sum(),
    };
    let workshop = Workshop {
        archive: Arc::new(archive),
        rules: Arc::new(Rules {
            keep,
            filter,
            max_kept_bytes: MAX_KEPT_BYTES,
        }),
        runtime: runtime.handle().clone(),
        progress: progress.clone(),
    };
    let display = Display::start(progress, expected, manner);
    let ended = convert::run(&workshop, &store, listing);
    drop(display);
    let summary = match ended {
        Err(ConvertError::Interrupted) => {
            tell(&format!("dynatrail: {}", ConvertError::Interrupted));
            return Ok(Outcome::Interrupted(signal.load(Ordering::Relaxed)));
        }
        ended => ended?,
    };
    report(&summary, &args, manner)
}

fn selection(args: &Args) -> anyhow::Result<Selection> {
    let now = Timestamp::now();
    let since = args.since.as_deref().map(|text| parse_since(text, now));
    let until = args.until.as_deref().map(|text| parse_until(text, now));
    let selection = Selection {
        accounts: args.account.clone(),
        regions: args.region.clone(),
        since: since.transpose().context("--since")?,
        until: until.transpose().context("--until")?,
        late_days: args.late,
        kinds: Kinds::LogInput,
    };
    if let (Some(since), Some(until)) = (selection.since, selection.until)
        && since >= until
    {
        bail!("--since {since} is not before --until {until}: no event can be selected");
    }
    Ok(selection)
}

fn keep(args: &Args) -> anyhow::Result<Keep> {
    match &args.event_selectors {
        Some(path) => {
            let text = std::fs::read_to_string(path)
                .with_context(|| format!("cannot read {}", path.display()))?;
            let selectors = Selectors::from_json(&text)
                .with_context(|| format!("{} is no valid event selectors", path.display()))?;
            Ok(Keep::selectors(selectors))
        }
        None if args.all => Ok(Keep::all()),
        None => Ok(Keep::dynamodb()),
    }
}

fn sorted(names: &[String]) -> Vec<String> {
    let mut names = names.to_vec();
    names.sort();
    names.dedup();
    names
}

fn list(
    archive: &Archive,
    selection: &Selection,
    runtime: &tokio::runtime::Runtime,
    manner: Manner,
) -> anyhow::Result<Listing> {
    let listing = runtime.block_on(archive.list(selection, &|_| ()));
    if !manner.quiet {
        tell(&format!(
            "listed {} objects, {} to look at",
            listing.listed,
            listing.objects.len()
        ));
    }
    // A night without wanted objects is quiet, not failed; what was left out is in the summary.
    let is_left_out = listing.failures.is_empty() && !listing.pruned_folders.is_empty();
    if listing.listed == 0 && !is_left_out {
        for failure in &listing.failures {
            tell(&format!("dynatrail: {}", error_chain(failure)));
        }
        match listing.failures.is_empty() {
            true => bail!("the sources hold no objects: nothing was read, so nothing can be said"),
            false => bail!("no source could be listed: nothing was read, so nothing can be said"),
        }
    }
    Ok(listing)
}

/// The first signal ends the run after the objects at hand, a second one at once.
fn watch_signals(runtime: &tokio::runtime::Handle, progress: Arc<Progress>) -> Arc<AtomicU8> {
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

fn report(summary: &Summary, args: &Args, manner: Manner) -> anyhow::Result<Outcome> {
    if !manner.quiet {
        for problem in &summary.problems {
            tell(&format!("{}: {}", problem.object, problem.problem));
        }
        if summary.further_problems > 0 {
            tell(&format!("and {} more problems", summary.further_problems));
        }
    }
    let mut text = match args.summary {
        SummaryFormat::Json => serde_json::to_string_pretty(summary)?,
        SummaryFormat::Text => super::show::summary_text(summary),
    };
    if !text.ends_with('\n') {
        text.push('\n');
    }
    match std::io::Write::write_all(&mut std::io::stdout(), text.as_bytes()) {
        // The outcome is the conversion's, whether or not anybody reads its summary.
        Err(error) if error.kind() != std::io::ErrorKind::BrokenPipe => return Err(error.into()),
        _ => {}
    }
    if !summary.identities.hold() {
        bail!("the counts do not agree: this is a defect of dynatrail, do not rely on this lake");
    }
    match summary.is_incomplete() {
        true => Ok(Outcome::Incomplete),
        false => Ok(Outcome::Complete),
    }
}
