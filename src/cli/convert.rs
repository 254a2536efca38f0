//! `dynatrail convert`: archives in, a lake out.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use anyhow::{Context, bail};
use jiff::Timestamp;

use super::aws::{S3Args, runtime};
use super::cluster::ClusterArgs;
use super::progress::{Display, Expected};
use super::selection::{EventTimeArgs, SelectionArgs, list};
use super::signals::watch_signals;
use super::terminal::tell;
use super::verified::{self, Converted, VerifyArgs};
use super::{Manner, Outcome};
use crate::archive::{Archive, Source};
use crate::convert::rules::{MAX_KEPT_BYTES, Rules};
use crate::convert::summary::Summary;
use crate::convert::{self, Bounds, ConvertError, Progress, Workshop};
use crate::lake::{Holder, LakeState, Lock};
use crate::nightly::verified::VerifySummary;

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

    #[command(flatten)]
    what: SelectionArgs,

    #[command(flatten)]
    when: EventTimeArgs,

    #[command(flatten)]
    integrity: VerifyArgs,

    /// Prints the closing summary to stdout in this format.
    #[arg(long, value_enum, default_value = "text")]
    summary: SummaryFormat,

    /// Threads that compute [default: one a core].
    #[arg(long, value_name = "N")]
    threads: Option<usize>,

    #[command(flatten)]
    cluster: ClusterArgs,

    #[command(flatten)]
    s3: S3Args,
}

#[derive(clap::ValueEnum, Clone, Copy, PartialEq, Eq)]
enum SummaryFormat {
    Text,
    Json,
}

pub fn run(args: Args, manner: Manner) -> anyhow::Result<Outcome> {
    let selection = args.what.of_all_times();
    let selection = args.when.bound(selection, Timestamp::now())?;
    let filter = args.what.filter(&selection);
    let keep = args.what.keep()?;
    start_threads(args.threads)?;

    let runtime = runtime()?;
    let progress = Arc::new(Progress::default());
    let signal = watch_signals(runtime.handle(), &progress);
    let mut store = args.s3.open_store(&args.lake, runtime.handle())?;
    // Listing a large archive takes long: what is wrong with the lake is told before.
    LakeState::check(&store, &keep.describe())?;
    let holder = Holder::this_process(Timestamp::now().to_string());
    let crew = args.cluster.crew(&args.lake, runtime.handle(), &holder)?;
    let sources = args.sources.iter().map(|text| Source::parse(text));
    let sources = sources.collect::<Result<Vec<_>, _>>()?;
    let keys = verified::keys(&args.integrity, &args.sources, &args.s3, &runtime)?;
    let archive = Archive::open(sources, args.s3.options());
    let listing = list(&archive, &selection, &runtime, manner);
    let listing = args.s3.name_profile(listing)?;
    let expected = Expected::of(&listing);
    let logs = keys.as_ref().map(|_| listing.objects.to_sorted_vec());
    let logs = logs.transpose()?;
    let workshop = Workshop {
        archive: Arc::new(archive),
        crew,
        rules: Arc::new(Rules {
            keep,
            filter,
            hashes: args.integrity.verify,
            max_kept_bytes: MAX_KEPT_BYTES,
        }),
        runtime: runtime.handle().clone(),
        progress: progress.clone(),
        units_at_once: 1,
    };
    let _lock = Lock::take(&mut store, &holder)?;
    let mut lake = LakeState::open_or_create(&store, &workshop.rules.keep.describe())?;
    let bounds = Bounds {
        changed: args.what.on_change(),
        ..Bounds::default()
    };
    let display = Display::start(progress, expected, manner);
    let ended = convert::run(&workshop, &store, &mut lake, listing, bounds);
    drop(display);
    let summary = match ended {
        Err(ConvertError::Interrupted) => {
            tell(&format!("dynatrail: {}", ConvertError::Interrupted));
            return Ok(Outcome::Interrupted(signal.load(Ordering::Relaxed)));
        }
        ended => ended?,
    };
    let integrity = match keys {
        None => None,
        Some(keys) => {
            let converted = Converted {
                archive: workshop.archive.clone(),
                runtime: &runtime,
                store: &store,
                selection: &selection,
                logs: logs.as_deref().unwrap_or_default(),
                now: Timestamp::now(),
            };
            Some(verified::verify(&converted, keys, &mut lake)?)
        }
    };
    report(&Told { summary, integrity }, &args, manner)
}

/// What a conversion tells at its end.
#[derive(serde::Serialize)]
struct Told {
    #[serde(flatten)]
    summary: Summary,
    /// Of a run that verified.
    #[serde(skip_serializing_if = "Option::is_none")]
    integrity: Option<VerifySummary>,
}

/// Starts the threads that compute, where another number than the usual is asked for.
pub fn start_threads(threads: Option<usize>) -> anyhow::Result<()> {
    let Some(threads) = threads else {
        return Ok(());
    };
    rayon::ThreadPoolBuilder::new()
        .num_threads(threads.max(1))
        .build_global()
        .context("cannot start the threads")
}

fn report(told: &Told, args: &Args, manner: Manner) -> anyhow::Result<Outcome> {
    let summary = &told.summary;
    if !manner.quiet {
        for problem in &summary.problems {
            tell(&format!("{}: {}", problem.object, problem.problem));
        }
        if summary.further_problems > 0 {
            tell(&format!("and {} more problems", summary.further_problems));
        }
        if let Some(integrity) = &told.integrity {
            verified::tell_problems(integrity);
        }
    }
    let mut text = match args.summary {
        SummaryFormat::Json => serde_json::to_string_pretty(told)?,
        SummaryFormat::Text => super::show::summary_text(summary),
    };
    if let (SummaryFormat::Text, Some(integrity)) = (args.summary, &told.integrity) {
        text.push_str(&integrity.line());
    }
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
    let is_sound = told
        .integrity
        .as_ref()
        .is_none_or(|integrity| integrity.is_sound);
    match summary.is_incomplete() || !is_sound {
        true => Ok(Outcome::Incomplete),
        false => Ok(Outcome::Complete),
    }
}
