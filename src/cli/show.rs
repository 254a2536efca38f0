//! `dynatrail show`: what a lake holds; and the closing summary of a conversion as text.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::io::Write as _;

use arrow::array::{Array, AsArray, RecordBatch};

use super::Outcome;
use super::aws::{S3Args, runtime};
use super::terminal::printable;
use crate::convert::crew::Shares;
use crate::convert::summary::{LakeTotals, Summary};
use crate::event::schema::{Events, Operations, Table};
use crate::lake::receipt::Tally;
use crate::lake::settle::read_part;
use crate::lake::{LakeState, Store};

/// Shows what a lake holds: events by day, operations by table, what was left out and why.
#[derive(clap::Args)]
#[command(after_help = "\
Examples:
  dynatrail show /tmp/lake
  dynatrail show s3://my-lake/dynamodb --format json
  dynatrail show /tmp/lake --quarantine")]
pub struct Args {
    /// A folder or s3://bucket/prefix.
    lake: String,

    #[arg(long, value_enum, default_value = "text")]
    format: Format,

    /// Prints what is quarantined instead, one JSON object a line.
    #[arg(long)]
    quarantine: bool,

    #[command(flatten)]
    s3: S3Args,
}

#[derive(clap::ValueEnum, Clone, Copy, PartialEq, Eq)]
enum Format {
    Text,
    Json,
}

/// Tables printed; the rest are summed up in one line.
const TABLES_SHOWN: usize = 40;

/// What a lake holds, counted. The names are stable.
#[derive(Default, serde::Serialize)]
struct Contents {
    selection: String,
    totals: LakeTotals,
    /// Events by event date.
    events_by_date: Tally,
    /// Events by source and name.
    events_by_name: Tally,
    events_by_outcome: Tally,
    /// Operations by table and operation; `-` where no table is known.
    operations_by_table: BTreeMap<String, Tally>,
    quarantined: u64,
}

pub fn run(args: &Args) -> anyhow::Result<Outcome> {
    let runtime = runtime()?;
    let store = args.s3.open_store(&args.lake, runtime.handle())?;
    let lake = LakeState::load(&store)?;
    let mut stdout = std::io::stdout().lock();
    if args.quarantine {
        for receipt in lake.receipts.values() {
            if let Some(path) = &receipt.quarantine {
                stdout.write_all(&crate::lake::state::read_quarantine(&store, path)?)?;
            }
        }
        return Ok(Outcome::Complete);
    }
    let contents = Contents::of(&store, &lake)?;
    let text = match args.format {
        Format::Json => serde_json::to_string_pretty(&contents)? + "\n",
        Format::Text => contents.text(),
    };
    stdout.write_all(text.as_bytes())?;
    Ok(Outcome::Complete)
}

impl Contents {
    fn of(store: &Store, lake: &LakeState) -> anyhow::Result<Self> {
        let mut contents = Self {
            selection: lake.description.selection.clone(),
            totals: LakeTotals::of(lake),
            quarantined: lake.counts().quarantined,
            ..Self::default()
        };
        for part in lake.parts() {
            if part.table == Events::NAME {
                *contents.events_by_date.entry(part.dt.clone()).or_default() += part.rows;
                let columns = ["event_source", "event_name", "outcome"];
                for batch in read_part(store, &part, Some(&columns))? {
                    contents.count_events(&batch?);
                }
            } else if part.table == Operations::NAME {
                for batch in read_part(store, &part, Some(&["table_name", "operation"]))? {
                    contents.count_operations(&batch?);
                }
            }
        }
        Ok(contents)
    }

    fn count_events(&mut self, batch: &RecordBatch) {
        let names = (0..batch.num_rows()).map(|row| {
            (
                text(batch, "event_source", row),
                text(batch, "event_name", row),
            )
        });
        for (name, count) in by_name(names) {
            *self.events_by_name.entry(name).or_default() += count;
        }
        for row in 0..batch.num_rows() {
            let outcome = text(batch, "outcome", row);
            *self
                .events_by_outcome
                .entry(outcome.to_owned())
                .or_default() += 1;
        }
    }

    fn count_operations(&mut self, batch: &RecordBatch) {
        for row in 0..batch.num_rows() {
            let table = text(batch, "table_name", row);
            if !self.operations_by_table.contains_key(table) {
                self.operations_by_table
                    .insert(table.to_owned(), Tally::new());
            }
            if let Some(operations) = self.operations_by_table.get_mut(table) {
                let operation = text(batch, "operation", row);
                *operations.entry(operation.to_owned()).or_default() += 1;
            }
        }
    }

    fn text(&self) -> String {
        let mut out = String::new();
        let totals = &self.totals;
        let span = match (&totals.first_date, &totals.last_date) {
            (Some(first), Some(last)) => format!("{first} to {last}"),
            _ => "no dates".to_owned(),
        };
        line(
            &mut out,
            format!(
                "{} events and {} operations, {span}; {} parts, {}",
                totals.events,
                totals.operations,
                totals.parts,
                bytes(totals.bytes)
            ),
        );
        if self.quarantined > 0 {
            line(
                &mut out,
                format!(
                    "{} records are quarantined: --quarantine prints them",
                    self.quarantined
                ),
            );
        }
        for (title, tally) in [
            ("Events by date", &self.events_by_date),
            ("Events by name", &self.events_by_name),
            ("Events by outcome", &self.events_by_outcome),
        ] {
            section(&mut out, title, tally);
        }
        line(&mut out, "\nOperations by table".to_owned());
        let mut tables: Vec<(&String, &Tally)> = self.operations_by_table.iter().collect();
        tables.sort_by_key(|(name, tally)| (std::cmp::Reverse(tally.values().sum::<u64>()), *name));
        for (table, operations) in tables.iter().take(TABLES_SHOWN) {
            let each: Vec<String> = operations
                .iter()
                .map(|(name, count)| format!("{name} {count}"))
                .collect();
            line(&mut out, format!("  {table}: {}", each.join(", ")));
        }
        if tables.len() > TABLES_SHOWN {
            line(
                &mut out,
                format!("  and {} more tables", tables.len() - TABLES_SHOWN),
            );
        }
        out
    }
}

/// Events, of which sources and names are given, by service and name: `dynamodb:PutItem`.
pub fn by_name<'e>(events: impl Iterator<Item = (&'e str, &'e str)>) -> Tally {
    let mut tally = Tally::new();
    for (source, name) in events {
        let source = source.trim_end_matches(".amazonaws.com");
        *tally.entry(format!("{source}:{name}")).or_default() += 1;
    }
    tally
}

fn text<'b>(batch: &'b RecordBatch, column: &str, row: usize) -> &'b str {
    batch
        .column_by_name(column)
        .filter(|column| column.is_valid(row))
        .and_then(|column| column.as_string_opt::<i32>())
        .map_or("-", |column| column.value(row))
}

fn line(out: &mut String, text: String) {
    out.push_str(&printable(&text));
    out.push('\n');
}

fn section(out: &mut String, title: &str, tally: &Tally) {
    if tally.is_empty() {
        return;
    }
    line(out, format!("\n{title}"));
    let width = tally
        .keys()
        .map(|name| name.chars().count())
        .max()
        .unwrap_or(0)
        .min(60);
    for (name, count) in tally {
        line(out, format!("  {name:width$}  {count:>10}"));
    }
}

fn bytes(count: u64) -> String {
    match count {
        0..1_000 => format!("{count} bytes"),
        1_000..1_000_000 => format!("{:.1} kB", count as f64 / 1e3),
        1_000_000..1_000_000_000 => format!("{:.1} MB", count as f64 / 1e6),
        _ => format!("{:.2} GB", count as f64 / 1e9),
    }
}

/// The closing summary of a conversion.
pub fn summary_text(summary: &Summary) -> String {
    let mut out = String::new();
    let (objects, records) = (&summary.objects, &summary.records);
    let agree = |holds: bool| if holds { "agrees" } else { "DOES NOT AGREE" };
    let _ = writeln!(
        out,
        "objects  {} listed = {} converted + {} already done + {} failed + {} out of selection ({})",
        objects.listed,
        objects.converted,
        objects.already_done,
        objects.failed,
        objects.out_of_selection,
        agree(summary.identities.objects)
    );
    tally_line(
        &mut out,
        "out of selection",
        &objects.out_of_selection_by_reason,
    );
    tally_line(&mut out, "folders not listed", &objects.folders_not_listed);
    let _ = writeln!(
        out,
        "records  {} seen = {} kept + {} not selected + {} duplicate + {} quarantined ({})",
        records.seen,
        records.kept,
        records.not_selected,
        records.duplicate,
        records.quarantined,
        agree(summary.identities.records)
    );
    tally_line(&mut out, "not selected", &summary.not_selected);
    tally_line(&mut out, "envelopes and kinds", &summary.kinds);
    tally_line(&mut out, "noticed", &summary.notes);
    remarks(&mut out, summary);
    let lake = &summary.lake;
    let _ = writeln!(
        out,
        "read     {} compressed, {} inflated",
        bytes(summary.compressed_bytes),
        bytes(summary.inflated_bytes)
    );
    let _ = writeln!(
        out,
        "lake     {} events = {} kept by the receipts ({}), {} operations, {} parts, {}",
        lake.events,
        lake.kept_by_receipts,
        agree(summary.identities.lake),
        lake.operations,
        lake.parts,
        bytes(lake.bytes)
    );
    if let Some(cluster) = &summary.cluster {
        shares_text(&mut out, cluster);
    }
    printable(&out).into_owned()
}

/// Who converted what.
fn shares_text(out: &mut String, cluster: &Shares) {
    let units: u64 = cluster.executors.values().map(|share| share.units).sum();
    let _ = writeln!(
        out,
        "cluster  {} units by {} executors, {} here, {} tried again",
        units,
        cluster.executors.len(),
        cluster.done_here,
        cluster.retries
    );
    for (executor, share) in &cluster.executors {
        let _ = writeln!(
            out,
            "         {executor}: {} units, {} objects, {} compressed",
            share.units,
            share.objects,
            bytes(share.compressed_bytes)
        );
    }
    for refusal in &cluster.refusals {
        let _ = writeln!(out, "         given back: {refusal}");
    }
    if cluster.further_refusals > 0 {
        let _ = writeln!(
            out,
            "         given back {} times more",
            cluster.further_refusals
        );
    }
}

/// What befell some of the objects, where it did.
fn remarks(out: &mut String, summary: &Summary) {
    let objects = &summary.objects;
    for (count, what) in [
        (
            objects.damaged,
            "objects are damaged; what could be read is kept",
        ),
        (objects.gone, "objects were deleted since they were listed"),
        (
            summary.multi_member_objects,
            "objects hold several gzip members; all are read",
        ),
        (
            summary.resumed_units,
            "units of an interrupted run were finished first",
        ),
    ] {
        if count > 0 {
            let _ = writeln!(out, "         {count} {what}");
        }
    }
}

fn tally_line(out: &mut String, title: &str, tally: &Tally) {
    if tally.is_empty() {
        return;
    }
    let each: Vec<String> = tally
        .iter()
        .map(|(name, count)| format!("{name} {count}"))
        .collect();
    let _ = writeln!(out, "         {title}: {}", each.join(", "));
}
