//! `dynatrail export`: CloudTrail JSON back from a lake.

use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::PathBuf;

use anyhow::Context;
use flate2::{Compression, GzBuilder};

use super::Outcome;
use super::aws::{S3Args, runtime};
use crate::event::schema::{Events, Table};
use crate::lake::export::export_part;
use crate::lake::{LakeError, LakeState, Part, Store};

/// Writes CloudTrail JSON back from a lake: each record equal to the one that was read.
#[derive(clap::Args)]
#[command(after_help = "\
Examples:
  dynatrail export /tmp/lake | jq -c 'select(.eventName==\"DeleteTable\")'
  dynatrail export /tmp/lake --format records --out exported
  dynatrail export s3://my-lake/dynamodb --since 2025-03-05 --until 2025-03-05")]
pub struct Args {
    /// A folder or s3://bucket/prefix.
    lake: String,

    /// ndjson: one record a line. records: {\"Records\":[…]}, as CloudTrail writes it.
    #[arg(long, value_enum, default_value = "ndjson")]
    format: Format,

    /// Writes one gzipped file a part into this folder instead of all to stdout.
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,

    /// Only event dates from here on.
    #[arg(long, value_name = "DATE")]
    since: Option<jiff::civil::Date>,

    /// Only event dates up to here, included.
    #[arg(long, value_name = "DATE")]
    until: Option<jiff::civil::Date>,

    #[command(flatten)]
    s3: S3Args,
}

#[derive(clap::ValueEnum, Clone, Copy, PartialEq, Eq)]
enum Format {
    Ndjson,
    Records,
}

/// An export ends with the lake or with the output.
#[derive(Debug, thiserror::Error)]
enum ExportError {
    #[error(transparent)]
    Lake(#[from] LakeError),
    #[error("cannot write the export")]
    Write(#[from] std::io::Error),
}

pub fn run(args: &Args) -> anyhow::Result<Outcome> {
    let runtime = runtime()?;
    let store = args.s3.open_store(&args.lake, runtime.handle())?;
    let mut parts = LakeState::load(&store)?.parts();
    parts.retain(|part| part.table == Events::NAME && is_wanted(args, part));
    match &args.out {
        None => {
            let mut stdout = BufWriter::new(std::io::stdout().lock());
            write_records(&store, &parts, args.format, &mut stdout)?;
            stdout.flush()?;
        }
        Some(folder) => {
            for part in &parts {
                export_file(&store, part, args.format, folder)?;
            }
        }
    }
    Ok(Outcome::Complete)
}

/// Dates compare as their text does.
fn is_wanted(args: &Args, part: &Part) -> bool {
    args.since.is_none_or(|since| part.dt >= since.to_string())
        && args.until.is_none_or(|until| part.dt <= until.to_string())
}

fn export_file(
    store: &Store,
    part: &Part,
    format: Format,
    folder: &std::path::Path,
) -> anyhow::Result<()> {
    let stem = part
        .path
        .trim_start_matches("events/")
        .trim_end_matches(".parquet");
    let ending = match format {
        Format::Ndjson => "ndjson.gz",
        Format::Records => "json.gz",
    };
    let path = folder.join(format!("{stem}.{ending}"));
    let failed = || format!("cannot write {}", path.display());
    std::fs::create_dir_all(path.parent().unwrap_or(folder)).with_context(failed)?;
    let file = File::create(&path).with_context(failed)?;
    let mut gzip = GzBuilder::new().write(BufWriter::new(file), Compression::default());
    write_records(store, std::slice::from_ref(part), format, &mut gzip)?;
    gzip.finish()
        .and_then(|mut file| file.flush())
        .with_context(failed)
}

fn write_records(
    store: &Store,
    parts: &[Part],
    format: Format,
    out: &mut impl Write,
) -> Result<(), ExportError> {
    let (open, between, close) = match format {
        Format::Ndjson => ("", "\n", "\n"),
        Format::Records => ("{\"Records\":[", ",", "]}"),
    };
    out.write_all(open.as_bytes())?;
    let mut is_first = true;
    for part in parts {
        export_part(store, part, |record| -> Result<(), ExportError> {
            if !is_first {
                out.write_all(between.as_bytes())?;
            }
            is_first = false;
            Ok(out.write_all(record.as_bytes())?)
        })?;
    }
    if !is_first || format == Format::Records {
        out.write_all(close.as_bytes())?;
    }
    Ok(())
}
