//! The book of findings: what was known on the nights before, since when, and who was told of it.

use std::collections::{BTreeMap, BTreeSet};
use std::io::Read;

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::Night;
use super::config::{Occasion, Wants};
use crate::lake::{Store, StoreError};
use crate::render::sanitize::one_line;
use crate::report::finding::Finding;
use crate::report::header::Level;

/// Where the book stands in the lake's store.
pub const PATH: &str = "_dynatrail/nightly/findings.json.zst";

/// The version of the book's format.
const VERSION: u32 = 1;

/// Entries of a book. Of those that have ended the oldest leave first; what finds no room is not
/// written down, counted, and looked at anew the next night.
pub const MAX_ENTRIES: usize = 100_000;

/// Bytes of a book before compression: more than its entries can have.
const MAX_BOOK_BYTES: u64 = 1 << 30;

/// Characters of what an entry says.
const MAX_SUMMARY_CHARACTERS: usize = 400;

const ZSTD_LEVEL: i32 = 3;

#[derive(Debug, thiserror::Error)]
pub enum BookError {
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error(
        "{path} is no book of findings: move it away to begin a new one, which tells all findings again"
    )]
    Malformed {
        path: String,
        source: serde_json::Error,
    },
    #[error("{path} has version {found}, this program knows {VERSION}: use a newer dynatrail")]
    Newer { path: String, found: u32 },
}

/// What is known, by id.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Book {
    version: u32,
    entries: BTreeMap<String, Entry>,
    /// Whether it stands for one that cannot be read, and is never written.
    #[serde(skip)]
    is_detached: bool,
}

/// The one member of a book that every version has.
#[derive(Deserialize)]
struct Version {
    version: u32,
}

/// A finding, a loss of coverage or a failure.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Entry {
    pub occasion: Occasion,
    /// The report's name; empty for what is no finding.
    pub report: String,
    pub title: String,
    pub level: Level,
    /// One harmless line.
    pub summary: String,
    pub state: State,
    /// How often it began, from 1. Every night that fails is one.
    pub opening: u32,
    /// The label of the night on which it was seen first since it began.
    pub first_night: String,
    /// The label of the last night on which it was seen.
    pub last_night: String,
    /// Nights on which it was seen since it began.
    pub nights: u32,
    /// The label of the night that did not see it any more.
    pub ended_night: Option<String>,
    /// By the key of the sink.
    pub sinks: BTreeMap<String, Mark>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum State {
    Open,
    Ended,
}

/// How far a sink was told of an entry.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Mark {
    /// The opening that is meant, and with it all before.
    pub opening: u32,
    pub progress: Progress,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Progress {
    /// It is to be sent.
    Owed,
    /// A message with it was about to be sent, and may have arrived.
    Sending,
    Sent,
}

/// What became of a finding on a night.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Change {
    pub id: String,
    pub report: String,
    pub title: String,
    pub level: Level,
    /// Columns and values on one line, harmless on a terminal.
    pub summary: String,
    /// The night on which it was seen first since it began.
    pub first_night: String,
    pub last_night: String,
    /// How often it began: more than once where it had ended and came again.
    pub opening: u32,
}

/// What a night says that those before did not, by level from the gravest on, report and id.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Changes {
    pub new: Vec<Change>,
    /// Those that are not known to have ended, seen on this night or not.
    pub continuing: Vec<Change>,
    pub ended: Vec<Change>,
    /// New ones for which the book has no room.
    pub left_out: u64,
}

/// What a night saw, before it is held against the book.
struct Sighting {
    id: String,
    occasion: Occasion,
    report: String,
    title: String,
    level: Level,
    summary: String,
}

impl Book {
    fn empty() -> Self {
        Self {
            version: VERSION,
            entries: BTreeMap::new(),
            is_detached: false,
        }
    }

    /// A book in place of one that cannot be read. It is never stored, and nothing but the failure of
    /// the run is told from it: who knows which findings are new?
    pub fn detached() -> Self {
        Self {
            is_detached: true,
            ..Self::empty()
        }
    }

    /// Makes it a book that is never stored again: the stored one is behind it.
    pub(super) fn detach(&mut self) {
        self.is_detached = true;
    }

    pub(super) fn is_detached(&self) -> bool {
        self.is_detached
    }

    /// Reads the lake's book; an empty one where there is none yet.
    pub fn load(store: &Store) -> Result<Self, BookError> {
        let Some(packed) = store.read(PATH)? else {
            return Ok(Self::empty());
        };
        let malformed = |source| BookError::Malformed {
            path: store.full_path(PATH),
            source,
        };
        let mut text = Vec::new();
        zstd::stream::read::Decoder::new(&packed[..])
            .and_then(|decoder| decoder.take(MAX_BOOK_BYTES).read_to_end(&mut text))
            .map_err(|source| malformed(serde_json::Error::io(source)))?;
        let Version { version } = serde_json::from_slice(&text).map_err(malformed)?;
        if version > VERSION {
            return Err(BookError::Newer {
                path: store.full_path(PATH),
                found: version,
            });
        }
        serde_json::from_slice(&text).map_err(malformed)
    }

    /// Writes the book as a whole. The same entries are the same bytes.
    pub fn store(&self, store: &Store) -> Result<(), StoreError> {
        if self.is_detached {
            return Ok(());
        }
        let text = serde_json::to_vec(self).expect("plain data becomes JSON");
        let packed = zstd::bulk::compress(&text, ZSTD_LEVEL).expect("memory takes what is written");
        store.put(PATH, &packed)
    }

    /// Takes in what a night saw, and says what is new, what continues and what ended. The same night
    /// again changes nothing.
    ///
    /// A finding ends only where its report answered for all there is to read.
    pub fn turn(&mut self, night: &Night<'_>) -> Changes {
        let sightings = sightings(night);
        let mut seen = BTreeSet::new();
        let mut unknown = Vec::new();
        for sighting in sightings {
            if !seen.insert(sighting.id.clone()) {
                continue;
            }
            match self.entries.get_mut(&sighting.id) {
                Some(entry) => entry.see(sighting, night.label),
                None => unknown.push(sighting),
            }
        }
        for (id, entry) in &mut self.entries {
            if entry.state == State::Open && !seen.contains(id) && can_end(entry, night) {
                entry.state = State::Ended;
                entry.ended_night = Some(night.label.to_owned());
            }
        }
        self.make_room(unknown.len());
        let mut left_out = 0;
        for sighting in unknown {
            if self.entries.len() >= MAX_ENTRIES {
                left_out += 1;
                continue;
            }
            let (id, entry) = Entry::first(sighting, night.label);
            self.entries.insert(id, entry);
        }
        Changes {
            left_out,
            ..self.changes(night.label)
        }
    }

    fn changes(&self, label: &str) -> Changes {
        let mut changes = Changes::default();
        for (id, entry) in &self.entries {
            if entry.occasion != Occasion::Findings {
                continue;
            }
            let list = match entry.state {
                State::Open if entry.first_night == label => &mut changes.new,
                State::Open => &mut changes.continuing,
                State::Ended if entry.ended_night.as_deref() == Some(label) => &mut changes.ended,
                State::Ended => continue,
            };
            list.push(entry.change(id));
        }
        for list in [
            &mut changes.new,
            &mut changes.continuing,
            &mut changes.ended,
        ] {
            list.sort_by(|left, right| {
                let key =
                    |change: &Change| (std::cmp::Reverse(change.level), change.report.clone());
                key(left)
                    .cmp(&key(right))
                    .then_with(|| left.id.cmp(&right.id))
            });
        }
        changes
    }

    /// Drops ended entries until there is room for so many new ones, or none is left: those that were
    /// told before those that were not, and the oldest first.
    fn make_room(&mut self, wanted: usize) {
        let excess = (self.entries.len() + wanted).saturating_sub(MAX_ENTRIES);
        if excess == 0 {
            return;
        }
        let mut ended = Vec::new();
        for (id, entry) in &self.entries {
            if entry.state == State::Ended {
                let mut marks = entry.sinks.values();
                let is_owed = marks.any(|mark| mark.progress != Progress::Sent);
                ended.push((is_owed, entry.last_night.clone(), id.clone()));
            }
        }
        ended.sort();
        for (_, _, id) in ended.into_iter().take(excess) {
            self.entries.remove(&id);
        }
    }

    /// Notes what a sink has still to be told, whatever comes of the sending.
    pub(super) fn owe(&mut self, sink: &str, wants: &Wants) {
        for entry in self.entries.values_mut() {
            if entry.state != State::Open || !wants.admit(entry.occasion, entry.level) {
                continue;
            }
            let opening = entry.opening;
            let mark = entry.sinks.entry(sink.to_owned()).or_insert(Mark {
                opening: 0,
                progress: Progress::Sent,
            });
            if mark.opening < opening {
                mark.opening = opening;
                // What may have arrived once stays known as such.
                if mark.progress == Progress::Sent {
                    mark.progress = Progress::Owed;
                }
            }
        }
    }

    /// What a sink has still to be told, by id.
    pub(super) fn pending(&self, sink: &str, wants: &Wants) -> Vec<(&str, &Entry, Progress)> {
        let mut pending = Vec::new();
        for (id, entry) in &self.entries {
            let Some(mark) = entry.sinks.get(sink) else {
                continue;
            };
            if mark.progress != Progress::Sent && wants.admit(entry.occasion, entry.level) {
                pending.push((id.as_str(), entry, mark.progress));
            }
        }
        pending
    }

    /// Notes how far a sink was told of an entry.
    pub(super) fn mark(&mut self, sink: &str, id: &str, progress: Progress) {
        let entry = self.entries.get_mut(id);
        if let Some(mark) = entry.and_then(|entry| entry.sinks.get_mut(sink)) {
            mark.progress = progress;
        }
    }
}

impl Entry {
    fn first(sighting: Sighting, label: &str) -> (String, Self) {
        let entry = Self {
            occasion: sighting.occasion,
            report: sighting.report,
            title: sighting.title,
            level: sighting.level,
            summary: sighting.summary,
            state: State::Open,
            opening: 1,
            first_night: label.to_owned(),
            last_night: label.to_owned(),
            nights: 1,
            ended_night: None,
            sinks: BTreeMap::new(),
        };
        (sighting.id, entry)
    }

    fn see(&mut self, sighting: Sighting, label: &str) {
        if self.state == State::Ended {
            self.state = State::Open;
            self.opening += 1;
            self.first_night = label.to_owned();
            self.nights = 1;
            self.ended_night = None;
        } else if self.last_night != label {
            self.nights += 1;
            if self.occasion == Occasion::Failure {
                self.opening += 1;
            }
        }
        self.last_night = label.to_owned();
        self.title = sighting.title;
        self.level = sighting.level;
        self.summary = sighting.summary;
    }

    fn change(&self, id: &str) -> Change {
        Change {
            id: id.to_owned(),
            report: self.report.clone(),
            title: self.title.clone(),
            level: self.level,
            summary: self.summary.clone(),
            first_night: self.first_night.clone(),
            last_night: self.last_night.clone(),
            opening: self.opening,
        }
    }
}

/// Whether an entry that a night did not see has ended by that.
fn can_end(entry: &Entry, night: &Night<'_>) -> bool {
    match entry.occasion {
        Occasion::Findings => night.findings.answered.contains(&entry.report),
        Occasion::Coverage => night.coverage.is_some(),
        Occasion::Failure => true,
    }
}

fn sightings(night: &Night<'_>) -> Vec<Sighting> {
    let mut sightings = Vec::new();
    for finding in &night.findings.findings {
        sightings.push(Sighting {
            id: finding.id.clone(),
            occasion: Occasion::Findings,
            report: finding.report.clone(),
            title: line(&finding.title),
            level: finding.level,
            summary: summary(finding),
        });
    }
    for loss in night.coverage.unwrap_or_default() {
        sightings.push(Sighting {
            id: format!("coverage-{}", short_hash(&loss.id)),
            occasion: Occasion::Coverage,
            report: String::new(),
            title: "coverage fell".to_owned(),
            level: Level::High,
            summary: line(&loss.sentence),
        });
    }
    if let Some(error) = night.failure {
        sightings.push(Sighting {
            id: format!("failure-{}", short_hash(&without_numbers(error))),
            occasion: Occasion::Failure,
            report: String::new(),
            title: "the run failed".to_owned(),
            level: Level::Critical,
            summary: line(error),
        });
    }
    sightings
}

/// A finding's columns on one line, harmless on a terminal: `table_name=orders principal=…`.
pub fn summary(finding: &Finding) -> String {
    let mut text = String::new();
    for (name, value) in &finding.facts {
        if !text.is_empty() {
            text.push(' ');
        }
        text.push_str(name);
        text.push('=');
        text.push_str(value);
    }
    line(&text)
}

/// The beginning of a text, on one line and without what steers a terminal.
fn line(text: &str) -> String {
    let safe = one_line(text);
    match safe.char_indices().nth(MAX_SUMMARY_CHARACTERS) {
        Some((end, _)) => format!("{}…", &safe[..end]),
        None => safe.into_owned(),
    }
}

/// The text with every number as 0: an error is the same though it names another hour or count.
fn without_numbers(text: &str) -> String {
    let mut same = String::with_capacity(text.len());
    let mut in_number = false;
    for c in text.chars() {
        if !c.is_ascii_digit() {
            same.push(c);
        } else if !in_number {
            same.push('0');
        }
        in_number = c.is_ascii_digit();
    }
    same
}

/// 16 hexadecimal digits of a text's hash.
pub(super) fn short_hash(text: &str) -> String {
    let digest = Sha256::digest(text);
    let mut hash = String::new();
    for byte in &digest[..8] {
        hash.push_str(&format!("{byte:02x}"));
    }
    hash
}
