//! What verification says of a digest, a log file and a chain, in the words of the aws CLI.

use jiff::Timestamp;

/// Whose digests point to one another.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Chain {
    /// The organization's id, where the trail is one of an organization.
    pub organization: Option<String>,
    /// Twelve digits.
    pub account: String,
    /// The region that the log files come from.
    pub region: String,
    pub trail: String,
    /// The region in which the trail was created.
    pub home_region: String,
    pub kind: ChainKind,
}

/// Regular digests and those written afterwards have chains of their own.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum ChainKind {
    Standard,
    Backfill,
}

impl ChainKind {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Standard => "standard",
            Self::Backfill => "backfill",
        }
    }

    /// What the aws CLI puts before its lines.
    fn mark(self) -> &'static str {
        match self {
            Self::Standard => "",
            Self::Backfill => "(backfill) ",
        }
    }
}

/// What is found of a digest.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum DigestStatus {
    /// Signed by CloudTrail, where it was written, and what its successor says it is.
    Valid,
    /// No signature is at hand: the newest of a chain in a copy without metadata.
    Unsigned,
    /// Signed by CloudTrail, but its successors point past it.
    Orphan,
    Moved,
    InvalidFormat,
    NotFound,
    KeyNotFound,
    /// The public key is there but is no RSA key.
    KeyUnusable,
    SignatureFailed,
    /// The signature holds, but another algorithm than SHA256withRSA is named for it.
    AlgorithmUnsupported,
    /// Signed by CloudTrail, but not the file that its successor vouches for.
    ChainHashMismatch,
    /// It could not be read.
    Failed,
}

impl DigestStatus {
    /// The stable name.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Valid => "valid",
            Self::Unsigned => "unsigned",
            Self::Orphan => "orphan",
            Self::Moved => "moved",
            Self::InvalidFormat => "invalid_format",
            Self::NotFound => "not_found",
            Self::KeyNotFound => "key_not_found",
            Self::KeyUnusable => "key_unusable",
            Self::SignatureFailed => "signature_failed",
            Self::AlgorithmUnsupported => "algorithm_unsupported",
            Self::ChainHashMismatch => "chain_hash_mismatch",
            Self::Failed => "failed",
        }
    }

    /// Whether CloudTrail's signature over it holds, so that its log files are vouched for.
    pub fn is_signed(self) -> bool {
        matches!(self, Self::Valid | Self::Orphan | Self::ChainHashMismatch)
    }
}

/// What is found of a log file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum LogStatus {
    /// A digest whose signature holds vouches for its bytes.
    Valid,
    HashMismatch,
    /// Something stands behind the gzip member that was hashed.
    TrailingData,
    InvalidFormat,
    NotFound,
    /// It could not be read.
    Failed,
    /// The digest that names it is not itself vouched for.
    Unvouched,
    /// No digest names it.
    Unreferenced,
    /// No digest names it, and none can yet: it is too new.
    Pending,
}

impl LogStatus {
    /// The stable name.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Valid => "valid",
            Self::HashMismatch => "hash_mismatch",
            Self::TrailingData => "trailing_data",
            Self::InvalidFormat => "invalid_format",
            Self::NotFound => "not_found",
            Self::Failed => "failed",
            Self::Unvouched => "unvouched",
            Self::Unreferenced => "unreferenced",
            Self::Pending => "pending",
        }
    }

    /// What the aws CLI says, and what it does not know said likewise.
    fn told(self) -> &'static str {
        match self {
            Self::Valid => "valid",
            Self::HashMismatch => "INVALID: hash value doesn't match",
            Self::TrailingData => "INVALID: unexpected data after end of compressed stream",
            Self::InvalidFormat => "INVALID: invalid format",
            Self::NotFound => "INVALID: not found",
            Self::Failed => "INVALID: could not be read",
            Self::Unvouched => "UNVOUCHED: the digest file that names it is not valid",
            Self::Unreferenced => "UNREFERENCED: no digest file names it",
            Self::Pending => "pending: too new to be named by a digest file",
        }
    }
}

/// What beside its status is worth a word about a digest.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Note {
    /// It begins later than the digest before ends: deliveries between are not covered.
    Jump {
        previous_end: Timestamp,
        start: Timestamp,
    },
    /// It begins before the digest before ends.
    Overlap {
        previous_end: Timestamp,
        start: Timestamp,
    },
    /// Log files of another account or region, which the user guide does not foresee.
    ForeignLogs { files: usize },
    /// Its key's validity does not include its end.
    KeyOutOfTime { from: Timestamp, to: Timestamp },
}

impl Note {
    /// The stable name.
    pub fn as_str(&self) -> &'static str {
        match self {
            Self::Jump { .. } => "jump",
            Self::Overlap { .. } => "overlap",
            Self::ForeignLogs { .. } => "foreign_logs",
            Self::KeyOutOfTime { .. } => "key_out_of_time",
        }
    }

    pub fn told(&self) -> String {
        match self {
            Self::Jump {
                previous_end,
                start,
            } => {
                format!("JUMP: deliveries between {previous_end} and {start} are not covered")
            }
            Self::Overlap {
                previous_end,
                start,
            } => {
                format!("OVERLAP: it begins at {start}, the digest before ends at {previous_end}")
            }
            Self::ForeignLogs { files } => {
                format!("FOREIGN: it names {files} log files of another account or region")
            }
            Self::KeyOutOfTime { from, to } => {
                format!("KEY: its public key is valid from {from} to {to} only")
            }
        }
    }
}

/// A chain that begins anew while older digests are there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Gap {
    /// Where the older digest ends.
    pub from: Timestamp,
    /// Where the newer digest begins.
    pub to: Timestamp,
}

/// What is found of one digest and of the log files that it names.
#[derive(Clone, Debug)]
pub struct DigestResult {
    pub uri: String,
    pub chain: Chain,
    /// The beginning of its interval of delivery, where it could be read.
    pub start: Option<Timestamp>,
    /// The end of that interval.
    pub end: Timestamp,
    pub status: DigestStatus,
    /// More about the status, in our own words.
    pub detail: Option<String>,
    /// The fingerprint of the public key that it names.
    pub fingerprint: Option<String>,
    pub notes: Vec<Note>,
    /// The gap between this digest and the next newer one.
    pub gap: Option<Gap>,
    /// How many log files it names.
    pub logs_named: usize,
    /// These in the order of the digest; none of a digest that is not worth following.
    pub logs: Vec<LogResult>,
}

impl DigestResult {
    /// The fields of the aws CLI's line, which it separates by tabs. They may steer a terminal.
    pub fn fields(&self) -> [String; 3] {
        let mark = self.chain.kind.mark();
        [format!("{mark}Digest file"), self.uri.clone(), self.told()]
    }

    /// The aws CLI's line on the gap before the next newer digest.
    pub fn gap_line(&self) -> Option<String> {
        let gap = self.gap?;
        let mark = self.chain.kind.mark();
        Some(format!(
            "{mark}No log files were delivered by CloudTrail between {} and {}",
            gap.from, gap.to
        ))
    }

    /// What is wrong in one sentence; None of a valid digest.
    pub fn problem(&self) -> Option<String> {
        match (self.status, &self.detail) {
            (DigestStatus::Valid, _) => None,
            (DigestStatus::NotFound, Some(detail)) => Some(format!("{}: {detail}", self.told())),
            _ => Some(self.told()),
        }
    }

    fn told(&self) -> String {
        let fingerprint = self.fingerprint.as_deref().unwrap_or("null");
        let detail = self.detail.as_deref().unwrap_or("unknown");
        match self.status {
            DigestStatus::Valid => "valid".to_owned(),
            DigestStatus::Unsigned => {
                "UNSIGNED: no signature is at hand, its metadata was not copied".to_owned()
            }
            DigestStatus::Orphan => {
                "ORPHAN: signed, but the digest files after it point past it".to_owned()
            }
            DigestStatus::Moved => "INVALID: has been moved from its original location".to_owned(),
            DigestStatus::InvalidFormat => "INVALID: invalid format".to_owned(),
            DigestStatus::NotFound => "INVALID: not found".to_owned(),
            // The aws CLI names the home region, though it asks the region of the log files.
            DigestStatus::KeyNotFound => format!(
                "INVALID: public key not found in region {} for fingerprint {fingerprint}",
                self.chain.home_region
            ),
            DigestStatus::KeyUnusable => {
                format!("INVALID: Unable to load PKCS #1 key with fingerprint {fingerprint}")
            }
            DigestStatus::SignatureFailed => match &self.detail {
                Some(detail) => format!("INVALID: {detail}"),
                None => "INVALID: signature verification failed".to_owned(),
            },
            DigestStatus::AlgorithmUnsupported => format!("INVALID: {detail}"),
            DigestStatus::ChainHashMismatch => {
                "INVALID: it is not the file that the digest file after it vouches for".to_owned()
            }
            DigestStatus::Failed => format!("INVALID: could not be read: {detail}"),
        }
    }
}

/// What is found of one log file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogResult {
    pub uri: String,
    pub status: LogStatus,
    /// More about the status, in our own words.
    pub detail: Option<String>,
}

impl LogResult {
    /// The fields of the aws CLI's line, which it separates by tabs. They may steer a terminal.
    pub fn fields(&self) -> [String; 3] {
        let told = match (&self.detail, self.status) {
            (Some(detail), LogStatus::Failed) => format!("{}: {detail}", self.status.told()),
            _ => self.status.told().to_owned(),
        };
        ["Log file".to_owned(), self.uri.clone(), told]
    }
}

/// A chain that ends before others of its trail do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EarlyEnd {
    pub chain: Chain,
    /// The end of its newest digest.
    pub end: Timestamp,
    /// The end of the newest digest of the trail in any region, and of an organization's in any
    /// account.
    pub trail_end: Timestamp,
}

impl EarlyEnd {
    /// The fields of a line in the manner of the aws CLI's.
    pub fn fields(&self) -> [String; 3] {
        let Chain {
            account,
            region,
            trail,
            ..
        } = &self.chain;
        [
            "Chain".to_owned(),
            format!("{account} {region} {trail}"),
            format!(
                "ENDS EARLY: no digest file after {}, others of the trail go on to {}",
                self.end, self.trail_end
            ),
        ]
    }
}

/// One thing that verification found, in the order of the walk: each chain from its newest digest.
#[derive(Clone, Debug)]
pub enum Verdict {
    Digest(DigestResult),
    /// A log file that no digest names: unreferenced or pending.
    Log(LogResult),
    /// An object among the digests whose name is none of a digest.
    Stray {
        uri: String,
    },
    EarlyEnd(EarlyEnd),
}

/// How many digests of one kind of chain came out how.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct DigestCounts {
    pub valid: u64,
    /// What the aws CLI counts as such, and what it does not see.
    pub invalid: u64,
    pub unsigned: u64,
    pub orphan: u64,
}

/// The closing count of a verification.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Summary {
    pub chains: u64,
    pub standard: DigestCounts,
    pub backfill: DigestCounts,
    pub logs_valid: u64,
    pub logs_invalid: u64,
    pub logs_unvouched: u64,
    pub logs_unreferenced: u64,
    pub logs_pending: u64,
    pub gaps: u64,
    pub jumps: u64,
    pub overlaps: u64,
    pub strays: u64,
    pub early_ends: u64,
    /// Logs whose hash a conversion knew already.
    pub logs_known: u64,
    /// The first start and the last end of a digest that is valid.
    pub found: Option<(Timestamp, Timestamp)>,
    /// What was odd about public keys and sidecars, sorted.
    pub warnings: Vec<String>,
    /// Whether the caller ended it before its end.
    pub interrupted: bool,
}

impl Summary {
    /// How many digests were looked at.
    pub fn digests(&self) -> u64 {
        let count = |of: &DigestCounts| of.valid + of.invalid + of.unsigned + of.orphan;
        count(&self.standard) + count(&self.backfill)
    }

    /// Whether something was verified and nothing was invalid, missing or beyond verification.
    ///
    /// Log files that are too new and digests that overlap do not count against it.
    pub fn is_sound(&self) -> bool {
        let flaw = |of: &DigestCounts| of.invalid + of.unsigned + of.orphan;
        let flaws = flaw(&self.standard)
            + flaw(&self.backfill)
            + self.logs_invalid
            + self.logs_unvouched
            + self.logs_unreferenced
            + self.gaps
            + self.jumps
            + self.strays
            + self.early_ends;
        flaws == 0 && self.digests() > 0 && !self.interrupted
    }

    /// Counts a digest with its log files.
    pub(super) fn count(&mut self, result: &DigestResult) {
        let counts = match result.chain.kind {
            ChainKind::Standard => &mut self.standard,
            ChainKind::Backfill => &mut self.backfill,
        };
        match result.status {
            DigestStatus::Valid => counts.valid += 1,
            DigestStatus::Unsigned => counts.unsigned += 1,
            DigestStatus::Orphan => counts.orphan += 1,
            _ => counts.invalid += 1,
        }
        self.gaps += u64::from(result.gap.is_some());
        for note in &result.notes {
            match note {
                Note::Jump { .. } => self.jumps += 1,
                Note::Overlap { .. } => self.overlaps += 1,
                Note::ForeignLogs { .. } | Note::KeyOutOfTime { .. } => {}
            }
        }
        for log in &result.logs {
            self.count_log(log.status);
        }
        self.logs_unvouched += (result.logs_named - result.logs.len()) as u64;
        if let (DigestStatus::Valid, Some(start)) = (result.status, result.start) {
            let (first, last) = self.found.unwrap_or((start, result.end));
            self.found = Some((first.min(start), last.max(result.end)));
        }
    }

    pub(super) fn count_log(&mut self, status: LogStatus) {
        match status {
            LogStatus::Valid => self.logs_valid += 1,
            LogStatus::Unvouched => self.logs_unvouched += 1,
            LogStatus::Unreferenced => self.logs_unreferenced += 1,
            LogStatus::Pending => self.logs_pending += 1,
            LogStatus::HashMismatch
            | LogStatus::TrailingData
            | LogStatus::InvalidFormat
            | LogStatus::NotFound
            | LogStatus::Failed => self.logs_invalid += 1,
        }
    }
}
