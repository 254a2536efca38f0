//! Walks one chain from its newest digest to its oldest, and judges each by what the newer ones say.
//!
//! As the aws CLI does: a signed digest points to the one before; after any other one the walk goes
//! on with the next older digest that is there.

use jiff::{SignedDuration, Timestamp};

use super::digest::{Digest, Previous, SIGNATURE_ALGORITHM};
use super::keys::Keys;
use super::load::{Loaded, Unreadable, Wanted};
use super::name::{DigestName, file_name, is_in_place, later, uri_of};
use super::result::{
    Chain, ChainKind, DigestResult, DigestStatus, Gap, LogResult, LogStatus, Note,
};
use crate::archive::ObjectKey;

/// Where the walk stands: at the digest that was judged last and lies on the chain.
#[derive(Default)]
pub(super) struct Walk {
    newer: Option<Newer>,
    /// Digests that end earlier are not asked for.
    since: Option<Timestamp>,
}

struct Newer {
    uri: String,
    /// The key under which it says that it was written.
    object: String,
    end: Timestamp,
    /// What the one before it said of it.
    claim: Claim,
    trust: Trust,
    /// Where it begins, if it could be read.
    start: Option<Timestamp>,
    previous: Option<Previous>,
}

/// What the word of the newer digest is worth, the best first.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Trust {
    Signed,
    /// Nothing speaks against it.
    Unsigned,
    Broken,
}

/// A status, and more about it.
type Judged = (DigestStatus, Option<String>);

impl Walk {
    /// Stands before the newest digest of a chain.
    pub(super) fn new(since: Option<Timestamp>) -> Walk {
        Walk { newer: None, since }
    }

    /// The digest that the last one points to, if it should have come before `next`, the next older
    /// one that was listed.
    pub(super) fn missing_before(&self, next: Option<&Wanted>, chain: &Chain) -> Option<Wanted> {
        let newer = self.newer.as_ref()?;
        let previous = newer.followed()?;
        let end = DigestName::parse(&previous.object)?.end;
        let is_out_of_window = self.since.is_some_and(|since| end < since);
        let is_listed = next.is_some_and(|next| next.end >= end);
        if is_out_of_window || is_listed {
            return None;
        }
        Some(Wanted {
            uri: uri_of(
                &newer.uri,
                &newer.object,
                &previous.bucket,
                &previous.object,
            )?,
            chain: chain.clone(),
            end,
            has_sidecar: false,
        })
    }

    /// Follows the last digest's pointer no further: it leads into a chain of its own.
    pub(super) fn leave_pointer(&mut self) {
        self.newer = None;
    }

    /// Begins with a digest that is itself not asked for: it only has the signature of the one
    /// before. Its word is worth no more than that of a broken one.
    pub(super) fn hear(&mut self, witness: &Loaded) {
        if let Ok(digest) = &witness.content {
            self.newer = Some(Newer {
                uri: witness.wanted.uri.clone(),
                object: digest.object.clone(),
                end: witness.wanted.end,
                claim: Claim::None,
                trust: Trust::Broken,
                start: None,
                previous: digest.previous.clone(),
            });
        }
    }

    /// What is said if the digest before is not to be had, and nothing older is listed.
    pub(super) fn expired(&self) -> Option<String> {
        let oldest = self.newer.as_ref()?.end;
        let since = later(oldest, SignedDuration::from_secs(1));
        let place = match self.since {
            Some(since) => format!("listed from {since} on"),
            None => "there".to_owned(),
        };
        Some(format!(
            "nothing older of this chain is {place}: expired or removed; --since {since} verifies what is kept"
        ))
    }

    /// Judges the next older digest, and goes on to it where it lies on the chain.
    pub(super) fn judge(&mut self, loaded: &Loaded, keys: &Keys) -> DigestResult {
        let claim = self.claim_of(&loaded.wanted);
        let (status, detail) = match &loaded.content {
            Err(Unreadable::NotFound) => (DigestStatus::NotFound, None),
            Err(Unreadable::Format(detail)) => (DigestStatus::InvalidFormat, Some(detail.clone())),
            Err(Unreadable::Failed(detail)) => (DigestStatus::Failed, Some(detail.clone())),
            Ok(digest) => judge_content(digest, loaded, keys, &claim),
        };
        let digest = loaded.content.as_ref().ok();
        let mut notes = Vec::new();
        if let Some(digest) = digest.filter(|_| status.is_signed()) {
            notes = notes_of(digest, &loaded.wanted.chain, keys);
            notes.extend(self.continuity(digest, &claim));
        }
        let result = DigestResult {
            uri: loaded.wanted.uri.clone(),
            chain: loaded.wanted.chain.clone(),
            start: digest.map(|digest| digest.start),
            end: loaded.wanted.end,
            status,
            detail,
            fingerprint: digest.map(|digest| digest.fingerprint.clone()),
            notes,
            gap: self.gap_after(&loaded.wanted),
            logs_named: digest.map_or(0, |digest| digest.log_files.len()),
            logs: digest.map_or_else(Vec::new, |digest| logs_of(digest, &loaded.wanted.uri)),
        };
        let trust = Trust::of(status);
        if !matches!(claim, Claim::PointsPast) && !self.has_better(&loaded.wanted, trust) {
            self.newer = Some(Newer {
                uri: loaded.wanted.uri.clone(),
                object: digest.map_or_else(String::new, |digest| digest.object.clone()),
                end: loaded.wanted.end,
                claim,
                trust,
                start: digest.map(|digest| digest.start),
                previous: digest.and_then(|digest| digest.previous.clone()),
            });
        }
        result
    }

    /// What the newer digest says of this one.
    fn claim_of(&self, wanted: &Wanted) -> Claim {
        let Some(newer) = &self.newer else {
            return Claim::None;
        };
        if newer.is_another_copy_of(wanted) {
            return newer.claim.clone();
        }
        let Some(previous) = &newer.previous else {
            return Claim::None;
        };
        if file_name(&previous.object) == file_name(&wanted.uri) {
            return Claim::Vouches(previous.clone(), newer.trust);
        }
        let points_past =
            DigestName::parse(&previous.object).is_some_and(|named| named.end < wanted.end);
        match newer.trust != Trust::Broken && points_past {
            true => Claim::PointsPast,
            false => Claim::None,
        }
    }

    /// Whether another copy of the digest, judged just before, is worth more.
    fn has_better(&self, wanted: &Wanted, trust: Trust) -> bool {
        let copy = self.newer.as_ref();
        copy.is_some_and(|newer| newer.is_another_copy_of(wanted) && newer.trust < trust)
    }

    /// A chain that begins anew has a gap before its first digest, if an older digest is there.
    fn gap_after(&self, wanted: &Wanted) -> Option<Gap> {
        let newer = self.newer.as_ref()?;
        let is_anew = newer.trust != Trust::Broken && newer.previous.is_none();
        if !is_anew || newer.is_another_copy_of(wanted) {
            return None;
        }
        Some(Gap {
            from: wanted.end,
            to: newer.start?,
        })
    }

    /// The intervals of digests that are linked should meet.
    fn continuity(&self, digest: &Digest, claim: &Claim) -> Option<Note> {
        let Claim::Vouches(_, Trust::Signed) = claim else {
            return None;
        };
        let newer = self.newer.as_ref()?;
        if file_name(&newer.uri) == file_name(&digest.object) {
            return None;
        }
        let start = newer.start?;
        let previous_end = digest.end;
        match start.cmp(&previous_end) {
            std::cmp::Ordering::Equal => None,
            std::cmp::Ordering::Greater => Some(Note::Jump {
                previous_end,
                start,
            }),
            std::cmp::Ordering::Less => Some(Note::Overlap {
                previous_end,
                start,
            }),
        }
    }
}

impl Trust {
    fn of(status: DigestStatus) -> Trust {
        match status {
            DigestStatus::Valid | DigestStatus::ChainHashMismatch => Self::Signed,
            DigestStatus::Unsigned => Self::Unsigned,
            _ => Self::Broken,
        }
    }
}

impl Newer {
    /// Whether both are copies of one digest, in two buckets or folders.
    fn is_another_copy_of(&self, wanted: &Wanted) -> bool {
        file_name(&self.uri) == file_name(&wanted.uri)
    }

    /// The digest before, if the word of this one is worth following.
    fn followed(&self) -> Option<&Previous> {
        match self.trust {
            Trust::Broken => None,
            Trust::Signed | Trust::Unsigned => self.previous.as_ref(),
        }
    }
}

/// What the newer digest says of an older one.
#[derive(Clone)]
enum Claim {
    None,
    /// It names its hash and signature.
    Vouches(Previous, Trust),
    /// It names one that is older still.
    PointsPast,
}

/// Judges in the order of the aws CLI, then what that does not look at.
fn judge_content(digest: &Digest, loaded: &Loaded, keys: &Keys, claim: &Claim) -> Judged {
    let uri = &loaded.wanted.uri;
    let is_remote = uri.starts_with("s3://");
    let metadata = &loaded.metadata;
    if is_remote && (metadata.signature.is_none() || metadata.algorithm.is_none()) {
        return (DigestStatus::SignatureFailed, None);
    }
    let is_backfill = loaded.wanted.chain.kind == ChainKind::Backfill;
    if is_remote && is_backfill && metadata.generated.is_none() {
        let detail = "it has no backfill-generation-timestamp";
        return (DigestStatus::InvalidFormat, Some(detail.to_owned()));
    }
    if !is_in_place(uri, &digest.bucket, &digest.object) {
        return (DigestStatus::Moved, None);
    }
    match keys.get(&digest.fingerprint) {
        None => return (DigestStatus::KeyNotFound, None),
        Some(key) if key.rsa.is_none() => return (DigestStatus::KeyUnusable, None),
        Some(_) => {}
    }
    let failed = judge_signature(loaded, keys, claim);
    if points_ahead(digest, &loaded.wanted) && failed.as_ref().is_none_or(is_unsigned) {
        let detail = "the digest that it names before it is not older";
        return (DigestStatus::InvalidFormat, Some(detail.to_owned()));
    }
    if let Some(failed) = failed {
        return failed;
    }
    let named = [digest.algorithm.as_deref(), metadata.algorithm.as_deref()];
    let is_other = |name: &Option<&str>| name.is_some_and(|name| name != SIGNATURE_ALGORITHM);
    if digest.algorithm.is_none() || named.iter().any(is_other) {
        let detail = format!("its signature algorithm is not {SIGNATURE_ALGORITHM}");
        return (DigestStatus::AlgorithmUnsupported, Some(detail));
    }
    (judge_chain(digest, loaded, claim), None)
}

fn is_unsigned(judged: &Judged) -> bool {
    judged.0 == DigestStatus::Unsigned
}

/// None where the signature holds.
fn judge_signature(loaded: &Loaded, keys: &Keys, claim: &Claim) -> Option<Judged> {
    if let Some(own) = &loaded.metadata.signature {
        if loaded.holds(own, keys) {
            return None;
        }
        return Some((DigestStatus::SignatureFailed, python_problem(own)));
    }
    let Claim::Vouches(previous, trust) = claim else {
        return Some((DigestStatus::Unsigned, None));
    };
    if loaded.holds(&previous.signature, keys) {
        return None;
    }
    // A digest that is broken itself may have any signature in it.
    match trust {
        Trust::Broken => Some((DigestStatus::Unsigned, None)),
        Trust::Signed | Trust::Unsigned => Some((DigestStatus::SignatureFailed, None)),
    }
}

/// What the aws CLI prints of a signature that is no hexadecimal text.
fn python_problem(signature: &str) -> Option<String> {
    if !signature.len().is_multiple_of(2) {
        return Some("Odd-length string".to_owned());
    }
    let is_hex = signature.bytes().all(|byte| byte.is_ascii_hexdigit());
    (!is_hex).then(|| "Non-hexadecimal digit found".to_owned())
}

/// What the links say of a digest whose signature holds.
fn judge_chain(digest: &Digest, loaded: &Loaded, claim: &Claim) -> DigestStatus {
    match claim {
        Claim::PointsPast => return DigestStatus::Orphan,
        Claim::Vouches(previous, Trust::Signed) => {
            let other_signature = loaded
                .metadata
                .signature
                .as_ref()
                .is_some_and(|own| !own.eq_ignore_ascii_case(&previous.signature));
            if previous.sha256 != digest.sha256 || other_signature {
                return DigestStatus::ChainHashMismatch;
            }
        }
        Claim::Vouches(..) | Claim::None => {}
    }
    DigestStatus::Valid
}

/// Whether a digest names one before it that is not older: pointers lead back in time only, or a
/// walk would not end.
fn points_ahead(digest: &Digest, wanted: &Wanted) -> bool {
    let named = digest.previous.as_ref();
    named
        .and_then(|previous| DigestName::parse(&previous.object))
        .is_some_and(|name| name.end >= wanted.end)
}

fn notes_of(digest: &Digest, chain: &Chain, keys: &Keys) -> Vec<Note> {
    let mut notes = Vec::new();
    let is_foreign = |object: &str| {
        ObjectKey::parse(object).is_none_or(|key| {
            key.account != chain.account || key.region.is_some_and(|region| region != chain.region)
        })
    };
    let files = digest
        .log_files
        .iter()
        .filter(|file| is_foreign(&file.object))
        .count();
    if files > 0 {
        notes.push(Note::ForeignLogs { files });
    }
    // A backfill digest is signed when it is written, long after its end.
    if let Some((from, to)) = keys.get(&digest.fingerprint).and_then(|key| key.validity)
        && chain.kind == ChainKind::Standard
        && !(from..=to).contains(&digest.end)
    {
        notes.push(Note::KeyOutOfTime { from, to });
    }
    notes
}

/// The log files that a digest names, before any is looked at.
fn logs_of(digest: &Digest, digest_uri: &str) -> Vec<LogResult> {
    let unseen = digest.log_files.iter().map(|file| {
        let uri = uri_of(digest_uri, &digest.object, &file.bucket, &file.object);
        LogResult {
            uri: uri.unwrap_or_else(|| file.object.clone()),
            status: LogStatus::Unvouched,
            detail: None,
        }
    });
    unseen.collect()
}
