//! What a report's answer rests on: what was listed, read and kept, and what was recorded at all.

use serde::Serialize;

use crate::lake::receipt::RecordCounts;

/// Objects of the archive by what became of them.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct ObjectCounts {
    pub listed: u64,
    /// Read to their end.
    pub converted: u64,
    /// Read as far as they go.
    pub damaged: u64,
    /// Not read at all, or named as log files and without any record.
    pub failed: u64,
    /// Deleted before they were read.
    pub gone: u64,
    /// Digests and files that hold no log.
    pub not_logs: u64,
}

/// Events of a kind that the window holds.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Seen {
    /// `control`, `data.read`, `data.write`, `streams`, `dax`, `network`, or an event source.
    pub kind: String,
    pub events: u64,
}

/// Which events of a table the window holds.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct TableSeen {
    pub account: String,
    pub region: String,
    pub table: String,
    pub data_reads: u64,
    pub data_writes: u64,
    pub control: u64,
}

/// Hours of an account and region of which no object was delivered, though they usually are.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Hole {
    pub account: String,
    pub region: String,
    /// The first hour, `YYYY-MM-DDTHH:00Z`.
    pub from: String,
    pub hours: u64,
}

/// When an account and region that usually deliver last did.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct LastDelivery {
    pub account: String,
    pub region: String,
    /// The hour, in milliseconds since 1970.
    pub hour_ms: i64,
    /// How often they usually deliver: every hour, or every day.
    pub every_hours: u64,
}

/// Times its usual distance after which an account and region that do not deliver are silent.
/// CloudTrail delivers within minutes; what comes every hour may come at its beginning and its end.
pub const SILENT_AFTER: u64 = 3;

const HOUR_MS: i64 = 3_600_000;

impl LastDelivery {
    /// Whether it is longer ago than is usual, at a time in milliseconds since 1970.
    pub fn is_silent_at(&self, ms: i64) -> bool {
        (ms - self.hour_ms) / HOUR_MS > (self.every_hours * SILENT_AFTER) as i64
    }

    /// That nothing came since.
    pub fn silence_in_words(&self) -> String {
        let since = jiff::Timestamp::from_millisecond(self.hour_ms)
            .map_or_else(|_| "long ago".to_owned(), |time| time.to_string());
        format!(
            "nothing was delivered of {} {} since {since}, though it usually comes every {} hours",
            self.account, self.region, self.every_hours
        )
    }
}

/// What CloudTrail's digest files say of the log files, where they were verified.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Integrity {
    pub digests: u64,
    pub digests_valid: u64,
    /// Log files that digests name, and those of them that are as they say.
    pub files_named: u64,
    pub files_valid: u64,
    /// Log files that are missing, altered, not vouched for or named by no digest.
    pub files_wrong: u64,
}

/// What the answers of a run rest on.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Evidence {
    /// The lake as the user named it.
    pub lake: String,
    /// Which events the lake keeps: `dynamodb`, `all`, or selectors.
    pub selection: String,
    /// The asked window of event dates, where one was asked for.
    pub since: Option<String>,
    pub until: Option<String>,
    /// Event dates of the lake, first and last.
    pub first_date: Option<String>,
    pub last_date: Option<String>,
    /// First and last event in the window, `YYYY-MM-DDTHH:MM:SS.mmmZ`.
    pub first_event: Option<String>,
    pub last_event: Option<String>,
    /// Of the objects that may hold events of the window: delivered in it or up to two days later.
    pub objects: ObjectCounts,
    pub records: RecordCounts,
    pub seen: Vec<Seen>,
    pub tables: Vec<TableSeen>,
    /// Tables of which the window holds control-plane events or none, but no data events.
    pub tables_without_data_events: Vec<String>,
    /// Those of the window, also where they began before it.
    pub holes: Vec<Hole>,
    pub last_deliveries: Vec<LastDelivery>,
    /// None where no digest was looked at.
    pub integrity: Option<Integrity>,
    /// What keeps the evidence from being whole, a sentence each.
    pub gaps: Vec<String>,
}

impl Integrity {
    fn in_words(&self) -> String {
        format!(
            "{} of {} digest files valid; {} of {} log files that they name valid, {} not as they say",
            self.digests_valid, self.digests, self.files_valid, self.files_named, self.files_wrong
        )
    }
}

/// Tables named in words; the rest are counted.
const TABLES_NAMED: usize = 12;

impl Evidence {
    /// The evidence as a person reads it, a line a fact.
    pub fn in_words(&self) -> Vec<String> {
        let mut lines = vec![format!(
            "lake {}, which keeps {}",
            self.lake, self.selection
        )];
        let date = |date: &Option<String>| date.clone().unwrap_or_else(|| "none".to_owned());
        lines.push(format!(
            "event dates {} to {}; asked for {} to {}",
            date(&self.first_date),
            date(&self.last_date),
            self.since.as_deref().unwrap_or("the first"),
            self.until.as_deref().unwrap_or("the last"),
        ));
        if let (Some(first), Some(last)) = (&self.first_event, &self.last_event) {
            lines.push(format!("events from {first} to {last}"));
        }
        let objects = &self.objects;
        lines.push(format!(
            "{} objects listed = {} converted + {} damaged + {} failed + {} gone + {} no logs",
            objects.listed,
            objects.converted,
            objects.damaged,
            objects.failed,
            objects.gone,
            objects.not_logs
        ));
        let records = &self.records;
        lines.push(format!(
            "{} records seen = {} kept + {} not selected + {} duplicate + {} quarantined",
            records.seen,
            records.kept,
            records.not_selected,
            records.duplicate,
            records.quarantined
        ));
        lines.extend(self.integrity.as_ref().map(Integrity::in_words));
        let seen = self
            .seen
            .iter()
            .map(|seen| format!("{} {}", seen.kind, seen.events));
        lines.push(format!("recorded: {}", named(seen.collect(), usize::MAX)));
        let tables = self
            .tables
            .iter()
            .filter(|table| table.data_reads + table.data_writes > 0);
        let tables = tables.map(|table| {
            format!(
                "{} in {} {} ({} reads, {} writes)",
                table.table, table.account, table.region, table.data_reads, table.data_writes
            )
        });
        lines.push(format!(
            "data events of tables: {}",
            named(tables.collect(), TABLES_NAMED)
        ));
        if !self.tables_without_data_events.is_empty() {
            lines.push(format!(
                "no data events of tables: {}",
                named(self.tables_without_data_events.clone(), TABLES_NAMED)
            ));
        }
        for hole in self.holes.iter().take(TABLES_NAMED) {
            lines.push(format!(
                "no objects of {} {} for {} hours from {}",
                hole.account, hole.region, hole.hours, hole.from
            ));
        }
        lines.extend(self.gaps.iter().map(|gap| format!("gap: {gap}")));
        lines
    }
}

fn named(names: Vec<String>, most: usize) -> String {
    if names.is_empty() {
        return "none".to_owned();
    }
    let more = names.len().saturating_sub(most);
    let mut text = names[..names.len() - more].join(", ");
    if more > 0 {
        text.push_str(&format!(", and {more} more"));
    }
    text
}
