//! The ground truth of a generated archive: what a correct reader must find in it.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::Path;

use serde::Serialize;

use super::record::{DAX, DYNAMODB, Record};
use super::time::day;

/// The folder of management and data events.
pub const LOGS: &str = "CloudTrail";

/// Day (of eventTime), then recipient account, then event name, to a number of events.
pub type EventCounts = BTreeMap<String, BTreeMap<String, BTreeMap<String, u64>>>;

/// Written as `truth.json` beside the archive.
#[derive(Default, Serialize)]
pub struct Truth {
    /// The command that makes this archive again.
    pub command: String,
    /// What is stored, by CloudTrail's name of the folder (`CloudTrail`, `CloudTrail-Digest`, …).
    pub folders: BTreeMap<String, Stored>,
    /// Distinct events of eventSource `dynamodb.amazonaws.com` in the folder `CloudTrail`.
    pub dynamodb_events: EventCounts,
    /// Likewise of `dax.amazonaws.com`.
    pub dax_events: EventCounts,
    /// Records in the folder `CloudTrail` beyond the first with their recipientAccountId and eventID.
    pub duplicates: Duplicates,
    /// Table, then operation, then outcome, to a number of accesses by distinct DynamoDB events.
    ///
    /// A batch or transaction counts once an entry. The operations are `get`, `put`, `update`, `delete`,
    /// `condition_check`, `query`, `scan`, the PartiQL verbs `select`, `insert` (and `update`, `delete`), and
    /// `get_records` of a stream. The outcome is `success` or the event's errorCode.
    pub operations: BTreeMap<String, BTreeMap<String, BTreeMap<String, u64>>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub incident: Option<Incident>,
}

#[derive(Default, Serialize)]
pub struct Stored {
    pub objects: u64,
    /// Entries of `Records`; a digest has none.
    pub records: u64,
    pub inflated_bytes: u64,
}

#[derive(Default, Serialize)]
pub struct Duplicates {
    pub dynamodb: u64,
    pub dax: u64,
    pub other: u64,
}

/// Who did it, and step by step what.
#[derive(Serialize)]
pub struct Incident {
    pub principal_arn: String,
    pub access_key_id: String,
    pub source_ip_address: String,
    pub first_event_time: String,
    pub last_event_time: String,
    pub steps: Vec<Step>,
}

#[derive(Serialize)]
pub struct Step {
    pub step: &'static str,
    pub event_name: &'static str,
    pub first_event_time: String,
    pub event_ids: Vec<String>,
}

impl Truth {
    pub fn stored(&mut self, folder: &str, stored: &Stored) {
        let sum = self.folders.entry(folder.to_owned()).or_default();
        sum.objects += stored.objects;
        sum.records += stored.records;
        sum.inflated_bytes += stored.inflated_bytes;
    }

    /// Counts the first copy of an event.
    pub fn event(&mut self, record: &Record) {
        let events = match record.event_source {
            DYNAMODB => &mut self.dynamodb_events,
            DAX => &mut self.dax_events,
            _ => return,
        };
        *events
            .entry(day(record.moment.time))
            .or_default()
            .entry(record.recipient.to_owned())
            .or_default()
            .entry(record.event_name.to_owned())
            .or_default() += 1;
        let outcome = record
            .failure
            .as_ref()
            .map_or("success", |failure| failure.code);
        for access in &record.accesses {
            let operations = self.operations.entry(access.table.clone()).or_default();
            let outcomes = operations.entry(access.operation.to_owned()).or_default();
            *outcomes.entry(outcome.to_owned()).or_default() += access.times;
        }
    }

    /// Counts a further copy of an event.
    pub fn duplicate(&mut self, record: &Record) {
        match record.event_source {
            DYNAMODB => self.duplicates.dynamodb += 1,
            DAX => self.duplicates.dax += 1,
            _ => self.duplicates.other += 1,
        }
    }

    /// Adds what another part of the same archive holds.
    pub fn merge(mut self, other: Truth) -> Truth {
        for (folder, stored) in &other.folders {
            self.stored(folder, stored);
        }
        merge_counts(&mut self.dynamodb_events, other.dynamodb_events);
        merge_counts(&mut self.dax_events, other.dax_events);
        merge_counts(&mut self.operations, other.operations);
        self.duplicates.dynamodb += other.duplicates.dynamodb;
        self.duplicates.dax += other.duplicates.dax;
        self.duplicates.other += other.duplicates.other;
        self
    }

    pub fn write(&self, path: &Path) -> io::Result<()> {
        let mut text = serde_json::to_string_pretty(self)?;
        text.push('\n');
        fs::write(path, text)
    }
}

fn merge_counts(into: &mut EventCounts, from: EventCounts) {
    for (first, seconds) in from {
        for (second, thirds) in seconds {
            for (third, count) in thirds {
                let counts = into
                    .entry(first.clone())
                    .or_default()
                    .entry(second.clone())
                    .or_default();
                *counts.entry(third).or_default() += count;
            }
        }
    }
}
