//! Receipts: what was planned, what each unit did with each object, and what it wrote.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// An object of a unit, as the listing had it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PlannedObject {
    pub uri: String,
    pub size_bytes: u64,
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub etag: Option<String>,
    /// How many earlier contents of the object this one stands for: CloudTrail never writes an
    /// object twice, so it is more than none only where somebody chose to read a changed one.
    #[serde(skip_serializing_if = "is_zero", default)]
    pub replaces: u32,
}

fn is_zero(number: &u32) -> bool {
    *number == 0
}

/// The objects that become the parts of one piece of work.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PlannedUnit {
    pub unit: String,
    pub objects: Vec<PlannedObject>,
}

/// Which events a unit keeps, as far as time decides. Milliseconds since 1970; `until` excluded.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct EventWindow {
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub since_ms: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub until_ms: Option<i64>,
}

impl EventWindow {
    /// An event of unknown time is kept: it cannot be told to lie outside.
    pub fn contains(&self, event_time_ms: Option<i64>) -> bool {
        let Some(event_time_ms) = event_time_ms else {
            return true;
        };
        self.since_ms.is_none_or(|since| event_time_ms >= since)
            && self.until_ms.is_none_or(|until| event_time_ms < until)
    }

    /// Whether everything in `other` is in this window too.
    pub fn covers(&self, other: &Self) -> bool {
        let since = match (self.since_ms, other.since_ms) {
            (None, _) => true,
            (Some(own), Some(other)) => own <= other,
            (Some(_), None) => false,
        };
        let until = match (self.until_ms, other.until_ms) {
            (None, _) => true,
            (Some(own), Some(other)) => own >= other,
            (Some(_), None) => false,
        };
        since && until
    }
}

/// Which events a run keeps beside the lake's selectors: part of every unit's identity.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct EventFilter {
    #[serde(flatten)]
    pub window: EventWindow,
    /// Empty for all. Looked at where an object's key does not tell.
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub accounts: Vec<String>,
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub regions: Vec<String>,
}

impl EventFilter {
    /// Whether a unit with this filter has kept everything that `other` asks for.
    pub fn covers(&self, other: &Self) -> bool {
        fn all(own: &[String], other: &[String]) -> bool {
            own.is_empty() || (!other.is_empty() && other.iter().all(|name| own.contains(name)))
        }
        self.window.covers(&other.window)
            && all(&self.accounts, &other.accounts)
            && all(&self.regions, &other.regions)
    }
}

/// Units of one run, stored before any of them is worked on; a large run has several plans.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Plan {
    pub format: u32,
    pub filter: EventFilter,
    /// Whether the objects' contents are hashed on the way.
    #[serde(default)]
    pub hashes: bool,
    pub units: Vec<PlannedUnit>,
}

/// A part of the lake.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Part {
    /// `events` or `operations`.
    pub table: String,
    /// The event date of its rows.
    pub dt: String,
    pub path: String,
    pub rows: u64,
    pub size_bytes: u64,
    /// Of the events whose time is known.
    pub min_event_time_ms: Option<i64>,
    pub max_event_time_ms: Option<i64>,
}

/// What became of an object.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ObjectStatus {
    /// Read to its end.
    Converted,
    /// Read as far as it goes; something in it is damaged.
    Damaged,
    /// Not read at all.
    Failed,
    /// Deleted between listing and reading.
    Gone,
    /// By its content an integrity digest.
    Digest,
    /// Nothing of CloudTrail.
    NotALog,
}

impl ObjectStatus {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Converted => "converted",
            Self::Damaged => "damaged",
            Self::Failed => "failed",
            Self::Gone => "gone",
            Self::Digest => "digest",
            Self::NotALog => "not_a_log",
        }
    }
}

/// What a unit did with an object.
///
/// Every run reads those of all units, and does so as [`SeenObject`](super::seen::SeenObject): serde
/// buffers what is flattened, which is several times slower.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ObjectReceipt {
    #[serde(flatten)]
    pub object: PlannedObject,
    pub status: ObjectStatus,
    /// What is wrong, in words.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub problem: Option<String>,
    pub inflated_bytes: u64,
    /// Gzip members, where there is more than the one that AWS writes.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub gzip_members: Option<u32>,
    /// Of the inflated bytes, hexadecimal; where the run was to hash them and all were read.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub sha256: Option<String>,
    #[serde(flatten)]
    pub counts: RecordCounts,
}

/// Records by what became of them: `seen` is the sum of the others.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct RecordCounts {
    pub seen: u64,
    pub kept: u64,
    pub not_selected: u64,
    pub duplicate: u64,
    pub quarantined: u64,
}

impl RecordCounts {
    pub fn add(&mut self, other: &Self) {
        self.seen += other.seen;
        self.kept += other.kept;
        self.not_selected += other.not_selected;
        self.duplicate += other.duplicate;
        self.quarantined += other.quarantined;
    }

    pub fn is_balanced(&self) -> bool {
        self.seen == self.kept + self.not_selected + self.duplicate + self.quarantined
    }
}

/// Counts by name.
pub type Tally = BTreeMap<String, u64>;

/// What a unit did. `Object` is what is remembered of each of its objects.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Receipt<Object = ObjectReceipt> {
    pub format: u32,
    pub unit: String,
    pub filter: EventFilter,
    pub counts: RecordCounts,
    /// Records not selected, by reason.
    pub not_selected: Tally,
    /// Kept events of which something was noticed, by note.
    pub notes: Tally,
    /// Records by envelope and kind, where they are not plain API events.
    pub kinds: Tally,
    pub parts: Vec<Part>,
    /// The quarantine file, where anything was quarantined.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub quarantine: Option<String>,
    pub objects: Vec<Object>,
}

impl Receipt {
    /// The same with something else of each object.
    pub fn map<Object>(self, of_object: impl FnMut(ObjectReceipt) -> Object) -> Receipt<Object> {
        Receipt {
            format: self.format,
            unit: self.unit,
            filter: self.filter,
            counts: self.counts,
            not_selected: self.not_selected,
            notes: self.notes,
            kinds: self.kinds,
            parts: self.parts,
            quarantine: self.quarantine,
            objects: self.objects.into_iter().map(of_object).collect(),
        }
    }
}

/// The parts of a unit and date written anew, without events that stand elsewhere too.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Settlement {
    pub format: u32,
    /// The paths replaced: a part of `events`, then that of `operations` if it loses rows too.
    pub replaces: Vec<String>,
    /// What stands for them; a part without a row that stays has none.
    pub parts: Vec<Part>,
    pub dropped_events: u64,
    /// Whether these were of objects whose content was replaced, and not copies.
    pub of_replaced: bool,
}
