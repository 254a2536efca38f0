//! Verification as a library: hashes that are known already, interruption, coverage.

use std::ops::ControlFlow;
use std::sync::Arc;

use dynatrail::archive::{Archive, FetchError, Kinds, ObjectRef, S3Options, Selection, Source};
use dynatrail::integrity::{
    DigestStatus, Keys, Known, Listed, LogStatus, Sha256, Summary, Verdict, Verifier, verify,
};
use jiff::Timestamp;
use tempfile::TempDir;
use tokio::runtime::Runtime;

use crate::product::path;
use crate::verify_archive::{
    BACKFILL, FIRST, HOURS, SIGNING, Site, digest_of, gunzip, gzip, hour, key_list, log_of,
};

/// An archive in a folder, listed.
struct Shelf {
    root: TempDir,
    runtime: Runtime,
    digests: Vec<ObjectRef>,
    logs: Vec<ObjectRef>,
}

impl Shelf {
    fn of(site: &Site) -> Shelf {
        let root = TempDir::new().unwrap();
        site.copy_to(root.path());
        for key in site.objects.keys().filter(|key| key.contains("-Digest")) {
            site.write_sidecar(root.path(), key);
        }
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build()
            .unwrap();
        let archive = archive(&root);
        let list = |kinds| {
            let selection = Selection {
                kinds,
                ..Selection::everything()
            };
            let listing = runtime.block_on(archive.list(&selection, &|_| ()));
            listing.unwrap().objects.into_sorted_vec().unwrap()
        };
        let (digests, logs) = (list(Kinds::Digests), list(Kinds::LogInput));
        Shelf {
            root,
            runtime,
            digests,
            logs,
        }
    }

    fn verifier(&self, now: Timestamp) -> Verifier {
        let mut keys = Keys::default();
        keys.add_saved(&key_list(SIGNING.public().as_ref()))
            .unwrap();
        Verifier {
            archive: Arc::new(archive(&self.root)),
            runtime: self.runtime.handle().clone(),
            keys,
            since: None,
            until: None,
            now,
        }
    }

    fn verify(&self, now: Timestamp, known: &Known<'_>) -> (Summary, Vec<Verdict>) {
        let listed = Listed {
            digests: &self.digests,
            logs: Some(&self.logs),
            earlier_logs: &[],
        };
        let mut verdicts = Vec::new();
        let summary = verify(&mut self.verifier(now), listed, known, &mut |verdict| {
            verdicts.push(verdict);
            ControlFlow::Continue(())
        });
        (summary, verdicts)
    }
}

fn archive(root: &TempDir) -> Archive {
    let source = Source::parse(path(root.path())).unwrap();
    Archive::open(vec![source], S3Options::default())
}

fn sha256(bytes: &[u8]) -> Sha256 {
    let hash = ring::digest::digest(&ring::digest::SHA256, bytes);
    hash.as_ref().try_into().unwrap()
}

fn late() -> Timestamp {
    hour(1000)
}

/// Guarantee: a log file that a conversion has hashed in its own pass is not read again, unless
/// its hash is wrong.
#[test]
fn known_hashes_spare_the_reading() {
    let site = Site::new();
    let shelf = Shelf::of(&site);
    let known = |object: &ObjectRef| {
        let key = object.uri.strip_prefix(path(shelf.root.path())).unwrap();
        Some(sha256(&gunzip(&site.objects[&key[1..]].bytes)))
    };
    for object in &shelf.logs {
        std::fs::remove_file(&*object.uri).unwrap();
    }
    let (summary, _) = shelf.verify(late(), &known);
    assert!(summary.is_sound(), "{summary:?}");
    assert_eq!((summary.logs_valid, summary.logs_known), (44, 44));
    let (summary, _) = shelf.verify(late(), &|_| Some([0; 32]));
    assert_eq!((summary.logs_invalid, summary.logs_known), (44, 0));
}

/// What coverage is computed from: each digest's interval, status and log files.
#[test]
fn results_carry_what_coverage_needs() {
    let mut site = Site::new();
    site.put(&log_of(FIRST, 1, 0), gzip(b"{}"));
    site.objects.remove(&digest_of(FIRST, 4));
    let (summary, verdicts) = Shelf::of(&site).verify(late(), &|_| None);
    let mut hours = Vec::new();
    for verdict in &verdicts {
        if let Verdict::Digest(digest) = verdict
            && (digest.chain.account.as_str(), digest.chain.region.as_str())
                == (FIRST.account, FIRST.region)
        {
            let statuses: Vec<LogStatus> = digest.logs.iter().map(|log| log.status).collect();
            hours.push((
                digest.chain.kind.as_str(),
                digest.start,
                digest.end,
                digest.status,
                statuses,
            ));
        }
    }
    let whole = vec![LogStatus::Valid, LogStatus::Valid];
    let altered = vec![LogStatus::HashMismatch, LogStatus::Valid];
    let valid = DigestStatus::Valid;
    let span = |number: i64| (Some(hour(number)), hour(number + 1));
    let mut expected = Vec::new();
    for (number, status, logs) in [
        (5, valid, &whole),
        (4, DigestStatus::NotFound, &vec![]),
        (3, valid, &whole),
        (2, valid, &vec![]),
        (1, valid, &altered),
        (0, valid, &whole),
    ] {
        let (start, end) = span(number);
        let start = start.filter(|_| status == valid);
        expected.push(("standard", start, end, status, logs.clone()));
    }
    for number in [1, 0] {
        let (start, end) = span(number);
        expected.push(("backfill", start, end, valid, whole.clone()));
    }
    assert_eq!(hours, expected);
    assert_eq!(summary.logs_unreferenced, 2);
    assert!(!summary.is_sound());
    assert_eq!(summary.found, Some((hour(0), hour(HOURS))));
}

/// What is too new for a digest is pending; what is older is unreferenced, and a lost tail of digests
/// does not make it new.
#[test]
fn new_log_files_wait_for_their_digest() {
    let mut site = Site::new();
    site.put(&log_of(FIRST, HOURS, 0), gzip(b"{\"Records\":[]}"));
    let shelf = Shelf::of(&site);
    let (summary, _) = shelf.verify(hour(HOURS + 1), &|_| None);
    assert_eq!((summary.logs_pending, summary.logs_unreferenced), (1, 0));
    assert!(summary.is_sound(), "{summary:?}");
    let (summary, _) = shelf.verify(hour(HOURS + 5), &|_| None);
    assert_eq!((summary.logs_pending, summary.logs_unreferenced), (0, 1));
    assert!(!summary.is_sound());
}

#[test]
fn the_caller_may_end_it() {
    let shelf = Shelf::of(&Site::new());
    let listed = Listed {
        digests: &shelf.digests,
        logs: Some(&shelf.logs),
        earlier_logs: &[],
    };
    let mut told = 0;
    let summary = verify(&mut shelf.verifier(late()), listed, &|_| None, &mut |_| {
        told += 1;
        ControlFlow::Break(())
    });
    assert_eq!(told, 1);
    assert!(summary.interrupted && !summary.is_sound());
}

/// More digests than a window takes give what few give, across the windows' borders.
#[test]
fn long_chains_go_through_in_windows() {
    let mut site = Site::empty();
    let hours = 1200;
    let last = site.add_hours(FIRST, 0..2, None);
    let mut previous = last;
    for number in 2..hours {
        previous = Some(site.add_digest(FIRST, hour(number)..hour(number + 1), previous, &[]));
    }
    site.add_chain(BACKFILL, 0..2);
    let root = TempDir::new().unwrap();
    site.copy_to(root.path());
    let shelf = Shelf::of(&site);
    // Without metadata a signature comes over the border of a window as well.
    let selection = Selection {
        kinds: Kinds::Digests,
        ..Selection::everything()
    };
    let archive = archive(&root);
    let listing = shelf.runtime.block_on(archive.list(&selection, &|_| ()));
    let digests = listing.unwrap().objects.into_sorted_vec().unwrap();
    let mut verifier = Verifier {
        archive: Arc::new(archive),
        ..shelf.verifier(late())
    };
    let listed = Listed {
        digests: &digests,
        logs: None,
        earlier_logs: &[],
    };
    let summary = verify(&mut verifier, listed, &|_| None, &mut |_| {
        ControlFlow::Continue(())
    });
    assert_eq!(summary.standard.valid, hours as u64 - 1);
    assert_eq!(
        (summary.standard.unsigned, summary.standard.invalid),
        (1, 0)
    );
    let (summary, _) = shelf.verify(late(), &|_| None);
    assert_eq!(summary.standard.valid, hours as u64);
    assert!(summary.is_sound(), "{summary:?}");
}

#[test]
fn files_are_read_as_they_are_up_to_a_limit() {
    let shelf = Shelf::of(&Site::new());
    let archive = archive(&shelf.root);
    let uri = format!("{}/{}", path(shelf.root.path()), log_of(FIRST, 0, 0));
    let size = std::fs::metadata(&uri).unwrap().len();
    let fetch = |limit| {
        shelf
            .runtime
            .block_on(archive.fetch_with_metadata(&uri, limit))
    };
    assert_eq!(fetch(size).unwrap().bytes.len() as u64, size);
    assert!(matches!(fetch(size - 1), Err(FetchError::TooLarge { .. })));
    let folder = path(shelf.root.path()).to_owned();
    let fetched = shelf
        .runtime
        .block_on(archive.fetch_with_metadata(&folder, 1 << 20));
    assert!(matches!(fetched, Err(FetchError::Other { .. })));
}
