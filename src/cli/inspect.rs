//! `dynatrail inspect`: what files are, what records they hold, and why anything is skipped.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::io::Write as _;

use serde::Serialize;

use super::Outcome;
use super::aws::{S3Args, runtime};
use super::terminal::{printable, tell};
use crate::archive::{Archive, Kinds, ObjectKey, ObjectRef, Selection, Source};
use crate::container::Encoding;
use crate::convert::keep::Keep;
use crate::convert::object::{Decoder, Source as DecodedSource};
use crate::convert::rules::{MAX_KEPT_BYTES, Rules};
use crate::convert::unit::error_chain;
use crate::lake::ObjectStatus;
use crate::lake::receipt::{EventFilter, RecordCounts};

/// Says what files are, how many records of which kind they hold, and why anything is skipped.
///
/// Goes by the content: gzip, zstd or plain; CloudTrail's own wrapper, arrays, lines, LookupEvents,
/// CloudWatch Logs, EventBridge, SQS and SNS.
#[derive(clap::Args)]
#[command(after_help = "\
Examples:
  dynatrail inspect 111122223333_CloudTrail_us-east-1_20250301T1015Z_Zk3uHxWbq0aPt7Ls.json.gz
  dynatrail inspect downloads/ --format json
  dynatrail inspect s3://my-trail-bucket/AWSLogs/111122223333/CloudTrail/us-east-1/2025/03/01")]
pub struct Args {
    /// Files, folders, globs or s3://bucket/prefix.
    #[arg(required = true, value_name = "PATH")]
    paths: Vec<String>,

    #[arg(long, value_enum, default_value = "text")]
    format: Format,

    #[command(flatten)]
    s3: S3Args,
}

#[derive(clap::ValueEnum, Clone, Copy, PartialEq, Eq)]
enum Format {
    Text,
    /// One object a line.
    Json,
}

/// Skipped stretches told one by one; the rest are counted.
const SKIPPED_SHOWN: usize = 10;

/// What an object is. The names are stable.
#[derive(Serialize)]
struct Findings {
    object: String,
    size_bytes: u64,
    /// What the key says, where it is CloudTrail's.
    #[serde(skip_serializing_if = "Option::is_none")]
    key: Option<String>,
    encoding: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    gzip_members: Option<u32>,
    inflated_bytes: u64,
    status: ObjectStatus,
    #[serde(skip_serializing_if = "Option::is_none")]
    problem: Option<String>,
    /// `kept` counts API and network-activity records of every service.
    records: RecordCounts,
    /// Envelopes opened and records of other kinds, by name.
    kinds: BTreeMap<String, u64>,
    /// API events by service and name.
    events: BTreeMap<String, u64>,
    /// Why records are skipped, with their positions.
    skipped: Vec<Skipped>,
}

#[derive(Serialize)]
struct Skipped {
    record: u64,
    offset_bytes: u64,
    reason: String,
}

pub fn run(args: &Args) -> anyhow::Result<Outcome> {
    let runtime = runtime()?;
    let sources = args.paths.iter().map(|path| Source::parse(path));
    let sources = sources.collect::<Result<Vec<_>, _>>()?;
    let archive = Archive::open(sources, args.s3.options());
    let selection = Selection {
        kinds: Kinds::Every,
        ..Selection::everything()
    };
    let listing = runtime.block_on(archive.list(&selection, &|_| ()))?;
    let rules = Rules {
        keep: Keep::all(),
        filter: EventFilter::default(),
        hashes: false,
        max_kept_bytes: MAX_KEPT_BYTES,
    };
    let mut decoder = Decoder::default();
    let mut outcome = Outcome::Complete;
    let mut stdout = std::io::stdout().lock();
    for failure in &listing.failures {
        tell(&error_chain(failure));
        outcome = Outcome::Incomplete;
    }
    for (reason, count) in &listing.out_of_selection {
        tell(&format!("{count} objects are no log input: {reason}"));
    }
    for object in &listing.objects.into_sorted_vec()? {
        let bytes = match read(&archive, object, &runtime) {
            Ok(bytes) => bytes,
            Err(error) => {
                tell(&error_chain(&error));
                outcome = Outcome::Incomplete;
                continue;
            }
        };
        let findings = inspect(&object.uri, &bytes, &rules, &mut decoder);
        if findings.problem.is_some() || !findings.skipped.is_empty() {
            outcome = Outcome::Incomplete;
        }
        let text = match args.format {
            Format::Json => serde_json::to_string(&findings)? + "\n",
            Format::Text => findings.text(),
        };
        stdout.write_all(text.as_bytes())?;
    }
    Ok(outcome)
}

fn read(
    archive: &Archive,
    object: &ObjectRef,
    runtime: &tokio::runtime::Runtime,
) -> Result<Vec<u8>, crate::archive::FetchError> {
    if archive.is_remote(&object.uri) {
        let etag = object.etag.as_deref();
        let bytes = runtime.block_on(archive.fetch(&object.uri, object.size, etag))?;
        return Ok(bytes.to_vec());
    }
    let mut bytes = Vec::new();
    archive.read_local(&object.uri, object.size, &mut bytes)?;
    Ok(bytes)
}

fn inspect(uri: &str, bytes: &[u8], rules: &Rules, decoder: &mut Decoder) -> Findings {
    let mut group = decoder.group(rules);
    let source = DecodedSource {
        uri,
        key_is_known: false,
    };
    group.object(&source, bytes);
    let mut decoded = group.finish();
    let object = decoded.objects.pop().expect("one object was decoded");
    let skipped = decoded.quarantine.into_iter().map(|entry| Skipped {
        record: entry.record,
        offset_bytes: entry.offset_bytes,
        reason: entry.reason,
    });
    let kinds = decoded.kinds.into_iter();
    let rows = &decoded.rows;
    let names = (0..rows.keys.len()).map(|row| {
        let text = |column| rows.event_text(column, row).unwrap_or("-");
        (text("event_source"), text("event_name"))
    });
    Findings {
        object: uri.to_owned(),
        size_bytes: bytes.len() as u64,
        key: ObjectKey::parse(uri).map(|key| key.to_string()),
        encoding: Encoding::sniff(bytes).as_str(),
        gzip_members: object.gzip_members,
        inflated_bytes: object.inflated_bytes,
        status: object.status,
        problem: object.problem,
        records: object.counts,
        kinds: kinds
            .map(|(name, count)| (name.to_owned(), count))
            .collect(),
        events: super::show::by_name(names),
        skipped: skipped.collect(),
    }
}

impl Findings {
    fn text(&self) -> String {
        let mut out = String::new();
        let members = match self.gzip_members {
            Some(members) => format!(" of {members} members"),
            None => String::new(),
        };
        let _ = writeln!(
            out,
            "{}\n  {}{members}, {} bytes, {} inflated",
            self.object, self.encoding, self.size_bytes, self.inflated_bytes
        );
        if let Some(key) = &self.key {
            let _ = writeln!(out, "  {key}");
        }
        let what = match self.status {
            ObjectStatus::Digest => "an integrity digest, which is never log input".to_owned(),
            _ => format!(
                "{} records: {} events, {} of other kinds, {} skipped",
                self.records.seen,
                self.records.kept,
                self.records.not_selected,
                self.records.quarantined
            ),
        };
        let _ = writeln!(out, "  {what}");
        if let Some(problem) = &self.problem {
            let _ = writeln!(out, "  problem: {problem}");
        }
        for (title, counts) in [("kinds", &self.kinds), ("events", &self.events)] {
            for (name, count) in counts {
                let _ = writeln!(out, "    {title:6} {count:>8}  {name}");
            }
        }
        for skipped in self.skipped.iter().take(SKIPPED_SHOWN) {
            let _ = writeln!(
                out,
                "    skipped record {} at byte {}: {}",
                skipped.record, skipped.offset_bytes, skipped.reason
            );
        }
        if self.skipped.len() > SKIPPED_SHOWN {
            let _ = writeln!(
                out,
                "    and {} more skipped",
                self.skipped.len() - SKIPPED_SHOWN
            );
        }
        printable(&out).into_owned()
    }
}
