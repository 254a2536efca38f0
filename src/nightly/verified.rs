//! Takes what verification by digests finds into the lake's table `integrity`, and the hashes that a
//! conversion made into verification.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::hash::{DefaultHasher, Hash, Hasher};

use jiff::Timestamp;
use jiff::civil::Date;
use jiff::tz::TimeZone;
use serde::Serialize;

use crate::archive::{ObjectKey, ObjectRef};
use crate::event::time;
use crate::integrity::{ChainKind, DigestResult, LogResult, LogStatus, Sha256, Summary, Verdict};
use crate::lake::integrity::Row;
use crate::lake::{LakeError, LakeState, Store, integrity, state};

/// Sentences about what is wrong that are kept; the rows in the lake have all.
const MAX_PROBLEMS: usize = 200;

/// Hashes of the log files of some days, as they were read when they were converted.
#[derive(Default)]
pub struct KnownHashes(HashMap<String, Content>);

/// A content of a log file that was read.
struct Content {
    replaces: u32,
    size_bytes: u64,
    etag: Option<String>,
    /// None where the run did not hash, and of what is damaged or of several gzip members: whether
    /// that is as a digest says must be looked at anew.
    sha256: Option<Sha256>,
}

impl KnownHashes {
    /// Reads them from the receipts of units with keys of these dates on: of each file that of the
    /// content that counts, which is the last that was read.
    pub fn read(
        store: &Store,
        lake: &LakeState,
        first_date: Option<Date>,
    ) -> Result<Self, LakeError> {
        let first = first_date.map(|date| date.strftime("%Y%m%d").to_string());
        let mut known: HashMap<String, Content> = HashMap::new();
        for unit in lake.receipts.keys() {
            // A unit's name begins with the date of its keys; those without one sort behind.
            if first.as_ref().is_some_and(|first| unit < first) {
                continue;
            }
            for object in state::read_receipt(store, unit)?.objects {
                if !object.status.is_done() {
                    continue;
                }
                let hash = object.sha256.filter(|_| object.gzip_members.is_none());
                let content = Content {
                    replaces: object.object.replaces,
                    size_bytes: object.object.size_bytes,
                    etag: object.object.etag,
                    sha256: hash.as_deref().and_then(from_hex),
                };
                let other = known.get(&object.object.uri);
                if other.is_none_or(|other| content.is_better_than(other)) {
                    known.insert(object.object.uri, content);
                }
            }
        }
        Ok(Self(known))
    }

    /// The hash of a file, if what was read is what is listed now.
    pub fn get(&self, object: &ObjectRef) -> Option<Sha256> {
        let content = self.0.get(&*object.uri)?;
        let is_same =
            content.size_bytes == object.size && content.etag.as_deref() == object.etag.as_deref();
        content.sha256.filter(|_| is_same)
    }
}

impl Content {
    fn is_better_than(&self, other: &Self) -> bool {
        let rank = |content: &Self| (content.replaces, content.sha256.is_some());
        rank(self) > rank(other)
    }
}

fn from_hex(text: &str) -> Option<Sha256> {
    let mut hash = [0; 32];
    if text.len() != 64 {
        return None;
    }
    for (byte, at) in hash.iter_mut().zip((0..64).step_by(2)) {
        *byte = u8::from_str_radix(text.get(at..at + 2)?, 16).ok()?;
    }
    Some(hash)
}

/// What a run has looked at: of it older rows are outdated.
#[derive(Default)]
struct Looked {
    /// Hashes of the digests and log files: there may be millions.
    objects: HashSet<u64>,
    /// Ends of digests by account, region and trail.
    ends: BTreeMap<[Option<String>; 3], BTreeSet<i64>>,
    /// The newest regular digest of each, as far as it has one.
    newest: BTreeMap<[Option<String>; 3], i64>,
    /// Where chains were told to end early.
    early_ends: BTreeSet<([Option<String>; 3], i64)>,
}

impl Looked {
    fn is_outdated(&self, row: &Row) -> bool {
        let place = place_of(row);
        let Some(from) = row.delivered_from_ms.filter(|_| row.object.is_none()) else {
            let object = row.object.as_deref().unwrap_or_default();
            return self.objects.contains(&hash(&row.kind, object));
        };
        match row.kind.as_str() {
            "gap" => self
                .ends
                .get(&place)
                .is_some_and(|ends| ends.contains(&from)),
            // A chain that ends early does so until it goes on.
            _ => {
                let goes_on = self.newest.get(&place).is_some_and(|newest| *newest > from);
                goes_on || self.early_ends.contains(&(place, from))
            }
        }
    }
}

fn place_of(row: &Row) -> [Option<String>; 3] {
    [&row.account_id, &row.region, &row.trail].map(Clone::clone)
}

fn hash(kind: &str, object: &str) -> u64 {
    let mut hasher = DefaultHasher::new();
    (kind, object).hash(&mut hasher);
    hasher.finish()
}

/// What verification found, as rows of `integrity`.
#[derive(Default)]
pub struct Verified {
    /// By date; none where only older rows may be outdated.
    rows: BTreeMap<String, Vec<Row>>,
    looked: Looked,
    /// What is wrong, a sentence each, as the aws CLI tells it; those beyond are counted.
    pub problems: Vec<String>,
    pub further_problems: u64,
    /// Those of the problems of which no row tells.
    pub beside_rows: Vec<String>,
}

impl Verified {
    /// Takes one verdict on.
    pub fn take(&mut self, verdict: &Verdict) {
        match verdict {
            Verdict::Digest(digest) => self.digest(digest),
            Verdict::Log(log) => self.log(log, None),
            Verdict::Stray { uri } => {
                self.problem_beside_rows(format!("{uri}: no digest file, though among them"));
            }
            Verdict::EarlyEnd(early) => {
                self.problem(early.fields().join(": "));
                let row = Row {
                    kind: "chain".to_owned(),
                    account_id: Some(early.chain.account.clone()),
                    region: Some(early.chain.region.clone()),
                    trail: Some(early.chain.trail.clone()),
                    status: "ends_early".to_owned(),
                    problem: Some(early.fields()[2].clone()),
                    delivered_from_ms: Some(early.end.as_millisecond()),
                    delivered_to_ms: Some(early.trail_end.as_millisecond()),
                    ..Row::default()
                };
                let from = early.end.as_millisecond();
                self.looked.early_ends.insert((place_of(&row), from));
                self.row(early.end, row);
            }
        }
    }

    fn digest(&mut self, digest: &DigestResult) {
        let chain = &digest.chain;
        let row = Row {
            account_id: Some(chain.account.clone()),
            region: Some(chain.region.clone()),
            trail: Some(chain.trail.clone()),
            ..Row::default()
        };
        self.look(digest, &row);
        let valid = digest
            .logs
            .iter()
            .filter(|log| log.status == LogStatus::Valid);
        let [subject, uri, _] = digest.fields();
        self.row(
            digest.end,
            Row {
                kind: "digest".to_owned(),
                object: Some(digest.uri.clone()),
                status: digest.status.as_str().to_owned(),
                problem: digest.problem(),
                delivered_from_ms: digest.start.map(Timestamp::as_millisecond),
                delivered_to_ms: Some(digest.end.as_millisecond()),
                files_named: digest.logs_named as i64,
                files_valid: valid.count() as i64,
                ..row.clone()
            },
        );
        if let Some(problem) = digest.problem() {
            self.problem([subject, uri, problem].join(": "));
        }
        if let (Some(gap), Some(line)) = (digest.gap, digest.gap_line()) {
            self.row(
                gap.from,
                Row {
                    kind: "gap".to_owned(),
                    status: "gap".to_owned(),
                    problem: Some(line.clone()),
                    delivered_from_ms: Some(gap.from.as_millisecond()),
                    delivered_to_ms: Some(gap.to.as_millisecond()),
                    ..row.clone()
                },
            );
            self.problem(line);
        }
        for note in digest.notes.iter().filter(|note| note.as_str() == "jump") {
            self.problem_beside_rows(format!("{}: {}", digest.uri, note.told()));
        }
        for log in &digest.logs {
            self.log(log, Some(&row));
        }
    }

    /// Notes that a digest was looked at.
    fn look(&mut self, digest: &DigestResult, row: &Row) {
        let end = digest.end.as_millisecond();
        self.looked.objects.insert(hash("digest", &digest.uri));
        let ends = self.looked.ends.entry(place_of(row)).or_default();
        ends.insert(end);
        if digest.chain.kind == ChainKind::Standard {
            let newest = self.looked.newest.entry(place_of(row)).or_insert(end);
            *newest = end.max(*newest);
        }
    }

    fn log(&mut self, log: &LogResult, of: Option<&Row>) {
        if log.status == LogStatus::Pending {
            return;
        }
        let key = ObjectKey::parse(&log.uri);
        let stamp = key.as_ref().and_then(|key| key.stamp);
        let date = match (key.as_ref().and_then(|key| key.date), stamp) {
            (Some(date), _) => date.to_string(),
            (None, Some(stamp)) => date_of(stamp),
            (None, None) => time::day_text(None),
        };
        self.looked.objects.insert(hash("log", &log.uri));
        let rows = self.rows.entry(date).or_default();
        if log.status == LogStatus::Valid {
            return;
        }
        let of_key = Row {
            account_id: key.as_ref().map(|key| key.account.to_owned()),
            region: key.as_ref().and_then(|key| key.region).map(str::to_owned),
            ..of.cloned().unwrap_or_default()
        };
        rows.push(Row {
            kind: "log".to_owned(),
            object: Some(log.uri.clone()),
            status: log.status.as_str().to_owned(),
            problem: Some(log.fields()[2].clone()),
            delivered_to_ms: stamp.map(Timestamp::as_millisecond),
            ..of_key
        });
        self.problem(log.fields().join(": "));
    }

    fn row(&mut self, delivered: Timestamp, row: Row) {
        self.rows.entry(date_of(delivered)).or_default().push(row);
    }

    fn problem(&mut self, sentence: String) {
        match self.problems.len() < MAX_PROBLEMS {
            true => self.problems.push(sentence),
            false => self.further_problems += 1,
        }
    }

    fn problem_beside_rows(&mut self, sentence: String) {
        if self.beside_rows.len() < MAX_PROBLEMS {
            self.beside_rows.push(sentence.clone());
        }
        self.problem(sentence);
    }

    /// Writes the rows into the lake, in place of those on the same digests, log files and chains.
    pub fn write(self, store: &Store, lake: &mut LakeState) -> Result<(), LakeError> {
        let looked = &self.looked;
        lake.integrity = integrity::renew(store, self.rows, &|row| looked.is_outdated(row))?;
        Ok(())
    }
}

fn date_of(time: Timestamp) -> String {
    TimeZone::UTC.to_datetime(time).date().to_string()
}

/// What verification found, in a summary.
#[derive(Debug, Default, Serialize)]
pub struct VerifySummary {
    pub digests_valid: u64,
    pub digests_invalid: u64,
    /// Signed by nothing at hand: the newest of each chain in a copy without metadata.
    pub digests_unsigned: u64,
    pub digests_orphan: u64,
    pub logs_valid: u64,
    pub logs_invalid: u64,
    pub logs_unvouched: u64,
    pub logs_unreferenced: u64,
    /// Too new to be named by a digest.
    pub logs_pending: u64,
    /// Of the valid and invalid, those hashed while they were converted.
    pub logs_hashed_on_the_way: u64,
    pub gaps: u64,
    pub is_sound: bool,
    pub problems: Vec<String>,
    pub further_problems: u64,
    /// Those of the problems of which no row of the lake's table tells.
    #[serde(skip)]
    pub beside_rows: Vec<String>,
}

impl VerifySummary {
    /// One line of the closing summary.
    pub fn line(&self) -> String {
        let digests = self.digests_valid + self.digests_invalid + self.digests_unsigned;
        format!(
            "verified {} of {} digest files valid, {} of {} log files valid, {} without a digest, {} too new for one\n",
            self.digests_valid,
            digests + self.digests_orphan,
            self.logs_valid,
            self.logs_valid + self.logs_invalid + self.logs_unvouched,
            self.logs_unreferenced,
            self.logs_pending
        )
    }

    pub fn of(summary: &Summary, verified: &Verified) -> Self {
        let problems = verified.problems.iter().chain(&summary.warnings);
        let (standard, backfill) = (&summary.standard, &summary.backfill);
        Self {
            digests_valid: standard.valid + backfill.valid,
            digests_invalid: standard.invalid + backfill.invalid,
            digests_unsigned: standard.unsigned + backfill.unsigned,
            digests_orphan: standard.orphan + backfill.orphan,
            logs_valid: summary.logs_valid,
            logs_invalid: summary.logs_invalid,
            logs_unvouched: summary.logs_unvouched,
            logs_unreferenced: summary.logs_unreferenced,
            logs_pending: summary.logs_pending,
            logs_hashed_on_the_way: summary.logs_known,
            gaps: summary.gaps,
            is_sound: summary.is_sound(),
            problems: problems.cloned().collect(),
            further_problems: verified.further_problems,
            beside_rows: verified
                .beside_rows
                .iter()
                .chain(&summary.warnings)
                .cloned()
                .collect(),
        }
    }
}
