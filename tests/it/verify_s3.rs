//! Verification of a bucket: every way of tampering is told in the aws CLI's words.

use std::collections::BTreeMap;

use serde_json::Value;
use tempfile::TempDir;

use crate::convert_s3::run_on;
use crate::product::{Ended, path};
use crate::s3_server::{Faults, S3Server};
use crate::verify_archive::{
    BACKFILL, BUCKET, FIRST, LOGS_OF_HOUR, OTHER, SIGNING, Site, digest_key, digest_of, gzip, hour,
    key_list, log_of,
};

/// A served site and its keys.
pub struct Served {
    pub root: TempDir,
    pub server: S3Server,
}

impl Served {
    pub fn of(site: &Site) -> Served {
        let root = TempDir::new().unwrap();
        site.serve_from(root.path());
        std::fs::write(
            root.path().join("keys.json"),
            key_list(SIGNING.public().as_ref()),
        )
        .unwrap();
        let server = S3Server::start(root.path(), Faults::default());
        Served { root, server }
    }

    pub fn verify(&self, more: &[&str]) -> Ended {
        let keys = self.root.path().join("keys.json");
        let fixed = ["verify", "s3://logs", "--public-keys", path(&keys)];
        run_on(&self.server, &[&fixed, more].concat())
    }
}

/// What is told of each URI in text, without --verbose.
pub fn told(ended: &Ended) -> Vec<String> {
    let lines = ended.stdout.lines().skip(2);
    lines
        .take_while(|line| !line.is_empty())
        .map(str::to_owned)
        .collect()
}

pub fn counters(ended: &Ended) -> Vec<&str> {
    let mut sections = ended
        .stdout
        .split("\n\n")
        .skip_while(|section| !section.trim_start().starts_with("Results requested"));
    sections.next();
    sections
        .next()
        .map_or(Vec::new(), |text| text.lines().collect())
}

pub const ALL_VALID: [&str; 3] = [
    "24/24 digest files valid",
    "2/2 backfill digest files valid",
    "44/44 log files valid",
];

/// Guarantee: an archive as CloudTrail left it is valid, and nothing else is said.
#[test]
fn an_untouched_bucket_is_valid() {
    let served = Served::of(&Site::new());
    let ended = served.verify(&[]);
    assert_eq!(ended.code, 0, "{}\n{}", ended.stdout, ended.stderr);
    assert_eq!(told(&ended), Vec::<String>::new());
    assert_eq!(counters(&ended), ALL_VALID);
    assert!(
        ended
            .stdout
            .contains("Results found for 2025-01-02T00:00:31Z to 2025-01-02T06:00:31Z:"),
        "{}",
        ended.stdout
    );
    let ended = served.verify(&["--verbose"]);
    let valid = ended
        .stdout
        .lines()
        .filter(|line| line.ends_with("\tvalid"));
    assert_eq!(valid.count(), 24 + 2 + 44);
    assert!(ended.stdout.contains(&format!(
        "(backfill) Digest file\ts3://{BUCKET}/{}\tvalid",
        digest_of(BACKFILL, 1)
    )));
}

/// One way of tampering, and the lines that it must be told in.
struct Case {
    name: &'static str,
    tamper: fn(&mut Site),
    /// Kind, key and word of each line.
    lines: Vec<(&'static str, String, &'static str)>,
    /// The statuses in JSON that are not valid, and how often.
    statuses: &'static [(&'static str, usize)],
}

pub const DIGEST: &str = "Digest file";
pub const LOG: &str = "Log file";

fn check(cases: Vec<Case>) {
    for case in cases {
        let mut site = Site::new();
        (case.tamper)(&mut site);
        let served = Served::of(&site);
        let ended = served.verify(&[]);
        let expected: Vec<String> = case
            .lines
            .iter()
            .map(|(kind, key, word)| format!("{kind}\ts3://{BUCKET}/{key}\t{word}"))
            .collect();
        assert_eq!(told(&ended), expected, "{}", case.name);
        assert_eq!(ended.code, 3, "{}", case.name);
        assert_eq!(
            statuses(&served.verify(&["--format", "json"])),
            of(case.statuses),
            "{}",
            case.name
        );
    }
}

fn of(statuses: &[(&str, usize)]) -> BTreeMap<String, usize> {
    let owned = statuses
        .iter()
        .map(|(name, count)| ((*name).to_owned(), *count));
    owned.collect()
}

/// How often each status other than valid is told in JSON.
fn statuses(ended: &Ended) -> BTreeMap<String, usize> {
    let mut statuses = BTreeMap::new();
    for line in ended.stdout.lines() {
        let line: Value = serde_json::from_str(line).expect("a line of JSON");
        if let Some(status) = line["status"].as_str()
            && status != "valid"
        {
            *statuses.entry(status.to_owned()).or_default() += 1;
        }
    }
    statuses
}

fn log(key: String, word: &'static str) -> Vec<(&'static str, String, &'static str)> {
    vec![(LOG, key, word)]
}

fn digest(key: String, word: &'static str) -> Vec<(&'static str, String, &'static str)> {
    vec![(DIGEST, key, word)]
}

pub const HASH: &str = "INVALID: hash value doesn't match";
pub const FORMAT: &str = "INVALID: invalid format";
const MISSING: &str = "INVALID: not found";
const SIGNATURE: &str = "INVALID: signature verification failed";

/// Guarantee: a log file that was changed, cut, replaced, removed or slipped in is told.
#[test]
fn tampered_log_files_are_told() {
    let key = log_of(FIRST, 1, 0);
    check(vec![
        Case {
            name: "altered",
            tamper: |site| site.put(&log_of(FIRST, 1, 0), gzip(b"{\"Records\":[]}")),
            lines: log(key.clone(), HASH),
            statuses: &[("hash_mismatch", 1)],
        },
        Case {
            name: "removed",
            tamper: |site| drop(site.objects.remove(&log_of(FIRST, 1, 0))),
            lines: log(key.clone(), MISSING),
            statuses: &[("not_found", 1)],
        },
        Case {
            name: "not gzip",
            tamper: |site| site.put(&log_of(FIRST, 1, 0), b"{\"Records\":[]}".to_vec()),
            lines: log(key.clone(), FORMAT),
            statuses: &[("invalid_format", 1)],
        },
        Case {
            name: "cut short",
            tamper: |site| {
                let bytes = &mut site.get(&log_of(FIRST, 1, 0)).bytes;
                bytes.truncate(bytes.len() - 12);
            },
            lines: log(key.clone(), HASH),
            statuses: &[("hash_mismatch", 1)],
        },
        Case {
            name: "a further gzip member, which readers would read",
            tamper: |site| {
                let more = gzip(b"{\"Records\":[{\"eventName\":\"DeleteTable\"}]}");
                site.get(&log_of(FIRST, 1, 0)).bytes.extend(more);
            },
            lines: log(
                key,
                "INVALID: unexpected data after end of compressed stream",
            ),
            statuses: &[("trailing_data", 1)],
        },
        Case {
            name: "slipped in",
            tamper: |site| {
                let own = gzip(b"{\"Records\":[]}");
                site.put(&log_of(FIRST, 2, 7), own);
            },
            lines: log(log_of(FIRST, 2, 7), "UNREFERENCED: no digest file names it"),
            statuses: &[("unreferenced", 1)],
        },
    ]);
}

/// Guarantee: a digest that was changed, replaced, moved or removed is told, and the walk goes on.
#[test]
fn tampered_digests_are_told() {
    let key = digest_of(FIRST, 3);
    check(vec![
        Case {
            name: "removed",
            tamper: |site| drop(site.objects.remove(&digest_of(FIRST, 3))),
            // Nothing vouches for its log files any more.
            lines: [
                digest(digest_of(FIRST, 3), MISSING),
                log(log_of(FIRST, 3, 0), "UNREFERENCED: no digest file names it"),
                log(log_of(FIRST, 3, 1), "UNREFERENCED: no digest file names it"),
            ]
            .concat(),
            statuses: &[("not_found", 1), ("unreferenced", LOGS_OF_HOUR)],
        },
        Case {
            name: "altered",
            tamper: |site| {
                site.replace(
                    &digest_of(FIRST, 3),
                    "oldestEventTime\":\"",
                    "oldestEventTime\":\"x",
                )
            },
            lines: digest(key.clone(), SIGNATURE),
            statuses: &[("signature_failed", 1)],
        },
        Case {
            name: "not gzip",
            tamper: |site| site.put(&digest_of(FIRST, 3), b"{}".to_vec()),
            lines: [
                digest(digest_of(FIRST, 3), FORMAT),
                log(log_of(FIRST, 3, 0), "UNREFERENCED: no digest file names it"),
                log(log_of(FIRST, 3, 1), "UNREFERENCED: no digest file names it"),
            ]
            .concat(),
            statuses: &[("invalid_format", 1), ("unreferenced", LOGS_OF_HOUR)],
        },
        Case {
            name: "a further gzip member",
            tamper: |site| site.get(&digest_of(FIRST, 3)).bytes.extend(gzip(b" ")),
            lines: [
                digest(digest_of(FIRST, 3), FORMAT),
                log(log_of(FIRST, 3, 0), "UNREFERENCED: no digest file names it"),
                log(log_of(FIRST, 3, 1), "UNREFERENCED: no digest file names it"),
            ]
            .concat(),
            statuses: &[("invalid_format", 1), ("unreferenced", LOGS_OF_HOUR)],
        },
        Case {
            name: "signed by another key",
            tamper: |site| site.sign(&digest_of(FIRST, 3), &OTHER, false),
            lines: digest(key.clone(), SIGNATURE),
            statuses: &[("signature_failed", 1)],
        },
        Case {
            name: "signed with another hash",
            tamper: |site| site.sign(&digest_of(FIRST, 3), &SIGNING, true),
            lines: digest(key.clone(), SIGNATURE),
            statuses: &[("signature_failed", 1)],
        },
        Case {
            name: "metadata lost",
            tamper: |site| site.get(&digest_of(FIRST, 3)).metadata.clear(),
            lines: digest(key.clone(), SIGNATURE),
            statuses: &[("signature_failed", 1)],
        },
        Case {
            name: "no hexadecimal signature",
            tamper: |site| {
                let metadata = &mut site.get(&digest_of(FIRST, 3)).metadata;
                metadata.insert("signature".to_owned(), "xyzz".to_owned());
            },
            lines: digest(key.clone(), "INVALID: Non-hexadecimal digit found"),
            statuses: &[("signature_failed", 1)],
        },
        Case {
            name: "another algorithm",
            tamper: |site| {
                let metadata = &mut site.get(&digest_of(FIRST, 3)).metadata;
                metadata.insert("signature-algorithm".to_owned(), "SHA1withRSA".to_owned());
            },
            lines: digest(
                key.clone(),
                "INVALID: its signature algorithm is not SHA256withRSA",
            ),
            statuses: &[("algorithm_unsupported", 1)],
        },
        Case {
            name: "unknown key",
            tamper: |site| {
                let known = crate::verify_archive::fingerprint(&SIGNING);
                site.replace(
                    &digest_of(FIRST, 3),
                    &known,
                    "0badf00d0badf00d0badf00d0badf00d",
                );
            },
            lines: digest(
                key,
                "INVALID: public key not found in region us-east-1 for fingerprint 0badf00d0badf00d0badf00d0badf00d",
            ),
            statuses: &[("key_not_found", 1)],
        },
        Case {
            name: "backfill without its timestamp",
            tamper: |site| {
                let metadata = &mut site.get(&digest_of(BACKFILL, 0)).metadata;
                metadata.remove("backfill-generation-timestamp");
            },
            lines: vec![("(backfill) Digest file", digest_of(BACKFILL, 0), FORMAT)],
            statuses: &[("invalid_format", 1)],
        },
    ]);
}

/// Guarantee: what the aws CLI passes over is told: links by hash, members that stand twice,
/// digests off the chain, objects that are none.
#[test]
fn what_the_aws_cli_misses_is_told() {
    check(vec![
        Case {
            name: "another digest that is signed",
            tamper: |site| {
                let key = digest_of(FIRST, 3);
                site.replace(
                    &key,
                    "\"newestEventTime\":null",
                    "\"newestEventTime\":\"2025\"",
                );
                site.sign(&key, &SIGNING, false);
            },
            lines: digest(
                digest_of(FIRST, 3),
                "INVALID: it is not the file that the digest file after it vouches for",
            ),
            statuses: &[("chain_hash_mismatch", 1)],
        },
        Case {
            name: "a member that stands twice",
            tamper: |site| {
                let key = digest_of(FIRST, HOURS_LAST);
                site.replace(&key, "{", "{\"logFiles\":[],");
                site.sign(&key, &SIGNING, false);
            },
            lines: [
                digest(digest_of(FIRST, HOURS_LAST), FORMAT),
                log(
                    log_of(FIRST, HOURS_LAST, 0),
                    "UNREFERENCED: no digest file names it",
                ),
                log(
                    log_of(FIRST, HOURS_LAST, 1),
                    "UNREFERENCED: no digest file names it",
                ),
            ]
            .concat(),
            statuses: &[("invalid_format", 1), ("unreferenced", LOGS_OF_HOUR)],
        },
        Case {
            name: "off the chain",
            tamper: |site| {
                let between = hour(3) + jiff::SignedDuration::from_mins(20);
                site.add_digest(FIRST, hour(3)..between, None, &[]);
            },
            lines: digest(
                digest_key(FIRST, hour(3) + jiff::SignedDuration::from_mins(20)),
                "ORPHAN: signed, but the digest files after it point past it",
            ),
            statuses: &[("orphan", 1)],
        },
        Case {
            name: "no digest",
            tamper: |site| site.put(&format!("{}x", digest_of(FIRST, 3)), b"x".to_vec()),
            lines: digest(
                format!("{}x", digest_of(FIRST, 3)),
                "STRAY: it has not the name of a digest file",
            ),
            statuses: &[],
        },
        Case {
            name: "a jump within a chain",
            tamper: |site| {
                let last = digest_of(FIRST, HOURS_LAST);
                site.objects.remove(&last);
                let later = hour(HOURS_LAST) + jiff::SignedDuration::from_mins(10);
                let logs = [0, 1].map(|index| log_of(FIRST, HOURS_LAST, index));
                let before = Some(digest_of(FIRST, HOURS_LAST - 1));
                site.add_digest(FIRST, later..hour(HOURS_LAST + 1), before, &logs);
            },
            lines: digest(
                digest_of(FIRST, HOURS_LAST - 1),
                "JUMP: deliveries between 2025-01-02T05:00:31Z and 2025-01-02T05:10:31Z are not covered",
            ),
            statuses: &[],
        },
    ]);
}

const HOURS_LAST: i64 = crate::verify_archive::HOURS - 1;
