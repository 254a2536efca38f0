//! Takes what verification by digests finds into the lake's table `integrity`, and the hashes that a
//! conversion made into verification.

use std::collections::{BTreeMap, HashMap};

use jiff::Timestamp;
use jiff::civil::Date;
use jiff::tz::TimeZone;
use serde::Serialize;

use crate::archive::ObjectKey;
use crate::event::schema::IntegrityRow;
use crate::integrity::{
    DigestResult, DigestStatus, LogResult, LogStatus, Sha256, Summary, Verdict,
};
use crate::lake::{LakeError, LakeState, Store, integrity, state};

/// Sentences about what is wrong that are kept; the rows in the lake have all.
const MAX_PROBLEMS: usize = 200;

/// Hashes of the log files of some days, as they were read when they were converted.
#[derive(Default)]
pub struct KnownHashes(HashMap<String, Sha256>);

impl KnownHashes {
    /// Reads them from the receipts of units with keys of these dates on. What is damaged, or of
    /// several gzip members, is none: whether it is as a digest says must be looked at anew.
    pub fn read(
        store: &Store,
        lake: &LakeState,
        first_date: Option<Date>,
    ) -> Result<Self, LakeError> {
        let first = first_date.map(|date| date.strftime("%Y%m%d").to_string());
        let mut known = HashMap::new();
        for unit in lake.receipts.keys() {
            // A unit's name begins with the date of its keys; those without one sort behind.
            if first.as_ref().is_some_and(|first| unit < first) {
                continue;
            }
            for object in state::read_receipt(store, unit)?.objects {
                if let Some(hash) = object.sha256.filter(|_| object.gzip_members.is_none())
                    && let Some(hash) = from_hex(&hash)
                {
                    known.insert(object.object.uri, hash);
                }
            }
        }
        Ok(Self(known))
    }

    pub fn get(&self, uri: &str) -> Option<Sha256> {
        self.0.get(uri).copied()
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

/// A row that owns its texts.
#[derive(Debug, Clone, Default, PartialEq, Eq, PartialOrd, Ord)]
struct Row {
    delivered_to_ms: Option<i64>,
    account_id: Option<String>,
    region: Option<String>,
    trail: Option<String>,
    kind: &'static str,
    object: Option<String>,
    status: &'static str,
    problem: Option<String>,
    delivered_from_ms: Option<i64>,
    files_named: i64,
    files_valid: i64,
}

/// What verification found, as rows of `integrity`.
#[derive(Default)]
pub struct Verified {
    rows: BTreeMap<String, Vec<Row>>,
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
                    kind: "chain",
                    account_id: Some(early.chain.account.clone()),
                    region: Some(early.chain.region.clone()),
                    trail: Some(early.chain.trail.clone()),
                    status: "ends_early",
                    problem: Some(early.fields()[2].clone()),
                    delivered_from_ms: Some(early.end.as_millisecond()),
                    delivered_to_ms: Some(early.trail_end.as_millisecond()),
                    ..Row::default()
                };
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
        let valid = digest
            .logs
            .iter()
            .filter(|log| log.status == LogStatus::Valid);
        let is_valid = digest.status == DigestStatus::Valid;
        let told = digest.fields().join(": ");
        self.row(
            digest.end,
            Row {
                kind: "digest",
                object: Some(digest.uri.clone()),
                status: digest.status.as_str(),
                problem: (!is_valid).then(|| digest.fields()[2].clone()),
                delivered_from_ms: digest.start.map(Timestamp::as_millisecond),
                delivered_to_ms: Some(digest.end.as_millisecond()),
                files_named: digest.logs.len() as i64,
                files_valid: valid.count() as i64,
                ..row.clone()
            },
        );
        if !is_valid {
            self.problem(told);
        }
        if let (Some(gap), Some(line)) = (digest.gap, digest.gap_line()) {
            self.row(
                gap.from,
                Row {
                    kind: "gap",
                    status: "gap",
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
        let wrong = digest.logs.iter();
        for log in wrong.filter(|log| log.status != LogStatus::Valid) {
            self.log(log, Some(&row));
        }
    }

    fn log(&mut self, log: &LogResult, of: Option<&Row>) {
        if log.status == LogStatus::Pending {
            return;
        }
        let key = ObjectKey::parse(&log.uri);
        let stamp = key.as_ref().and_then(|key| key.stamp);
        let of_key = Row {
            account_id: key.as_ref().map(|key| key.account.to_owned()),
            region: key.as_ref().and_then(|key| key.region).map(str::to_owned),
            ..of.cloned().unwrap_or_default()
        };
        let row = Row {
            kind: "log",
            object: Some(log.uri.clone()),
            status: log.status.as_str(),
            problem: Some(log.fields()[2].clone()),
            delivered_to_ms: stamp.map(Timestamp::as_millisecond),
            ..of_key
        };
        self.problem(log.fields().join(": "));
        let date = key.and_then(|key| key.date);
        match (date, stamp) {
            (Some(date), _) => self.rows.entry(date.to_string()).or_default().push(row),
            (None, Some(stamp)) => self.row(stamp, row),
            (None, None) => {}
        }
    }

    fn row(&mut self, delivered: Timestamp, row: Row) {
        let date = TimeZone::UTC.to_datetime(delivered).date().to_string();
        self.rows.entry(date).or_default().push(row);
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

    /// Writes the rows into the lake, in place of those of the same dates.
    pub fn write(mut self, store: &Store, lake: &mut LakeState) -> Result<(), LakeError> {
        let mut dates: BTreeMap<String, Vec<IntegrityRow<'_>>> = BTreeMap::new();
        for (date, rows) in &mut self.rows {
            rows.sort();
            dates.insert(date.clone(), rows.iter().map(Row::borrowed).collect());
        }
        lake.integrity = integrity::replace(store, &dates)?;
        Ok(())
    }
}

impl Row {
    fn borrowed(&self) -> IntegrityRow<'_> {
        IntegrityRow {
            kind: self.kind,
            object: self.object.as_deref(),
            account_id: self.account_id.as_deref(),
            region: self.region.as_deref(),
            trail: self.trail.as_deref(),
            status: self.status,
            problem: self.problem.as_deref(),
            delivered_from_ms: self.delivered_from_ms,
            delivered_to_ms: self.delivered_to_ms,
            files_named: self.files_named,
            files_valid: self.files_valid,
        }
    }
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

    pub fn of(summary: &Summary) -> Self {
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
            problems: summary.warnings.clone(),
            further_problems: 0,
            beside_rows: Vec::new(),
        }
    }
}
