//! Conversions that verify: what they trust, and what of earlier ones they keep.

use std::fs;
use std::path::PathBuf;

use serde_json::{Value, json};
use tempfile::TempDir;

use crate::product::{Ended, path, run};
use crate::verify_archive::{
    ACCOUNTS, BACKFILL, FIRST, HOURS, SIGNING, Site, digest_of, gzip, hour, key_list, log_of,
};

/// A copy with the metadata of its digests, the public key and a lake.
struct Shelf {
    root: TempDir,
}

impl Shelf {
    fn of(site: &Site) -> Self {
        let root = tempfile::tempdir().expect("temp folder");
        let copy = root.path().join("copy");
        site.copy_to(&copy);
        for key in site.objects.keys().filter(|key| key.contains("-Digest")) {
            site.write_sidecar(&copy, key);
        }
        let list = key_list(SIGNING.public().as_ref());
        fs::write(root.path().join("keys.json"), list).expect("written");
        Self { root }
    }

    fn at(&self, name: &str) -> PathBuf {
        self.root.path().join(name)
    }

    fn put(&self, key: &str, bytes: &[u8]) {
        let file = self.at("copy").join(key);
        fs::create_dir_all(file.parent().expect("a folder")).expect("made");
        fs::write(file, bytes).expect("written");
    }

    /// Converts and verifies; the exit code and what verification says.
    fn convert(&self, more: &[&str]) -> (Ended, Value) {
        let (copy, lake, keys) = (self.at("copy"), self.at("lake"), self.at("keys.json"));
        let fixed = [
            "convert",
            path(&copy),
            "--lake",
            path(&lake),
            "--verify",
            "--public-keys",
            path(&keys),
            "--summary",
            "json",
        ];
        let ended = run(&[&fixed, more].concat());
        let summary: Value = serde_json::from_str(&ended.stdout).expect(&ended.stderr);
        (ended, summary["integrity"].clone())
    }

    fn verify(&self) -> Ended {
        let (copy, keys) = (self.at("copy"), self.at("keys.json"));
        run(&["verify", path(&copy), "--public-keys", path(&keys)])
    }

    /// Counts the rows of the lake's table by date, kind and status.
    fn rows(&self) -> Vec<Value> {
        let lake = self.at("lake");
        let ended = run(&[
            "query",
            "SELECT dt, kind, status, count(*) AS n FROM integrity GROUP BY 1, 2, 3 ORDER BY 1 NULLS LAST, 2, 3",
            "--lake",
            path(&lake),
            "--format",
            "ndjson",
        ]);
        let rows = ended.stdout.lines();
        rows.map(|row| {
            let row: Value = serde_json::from_str(row).expect("JSON");
            json!([row["dt"], row["kind"], row["status"], row["n"]])
        })
        .collect()
    }
}

/// Guarantee: of a file that was altered the hash of its earlier content is worth nothing.
#[test]
fn a_replaced_content_vouches_for_nothing() {
    let shelf = Shelf::of(&Site::new());
    let (ended, integrity) = shelf.convert(&[]);
    assert_eq!((ended.code, &integrity["logs_valid"]), (0, &json!(44)));
    let mut altered = 0;
    for number in [0, 1, 3, 4] {
        altered += 1;
        shelf.put(&log_of(FIRST, number, 0), &gzip(b"{\"Records\":[]}"));
        let (ended, integrity) = shelf.convert(&["--changed", "redo"]);
        assert_eq!(
            (ended.code, &integrity["logs_invalid"]),
            (3, &json!(altered)),
            "{integrity:#}"
        );
    }
    // The others were hashed on the way, all the same.
    let (_, integrity) = shelf.convert(&["--changed", "redo"]);
    assert_eq!(integrity["logs_hashed_on_the_way"], 44 - altered);
}

/// Guarantee: what a run did not look at stays as an earlier one found it.
#[test]
fn runs_over_parts_of_an_archive_keep_the_rest() {
    let shelf = Shelf::of(&Site::new());
    for (account, digests) in ACCOUNTS.iter().zip([14, 26]) {
        let (ended, _) = shelf.convert(&["--account", account]);
        assert_eq!(ended.code, 0, "{}", ended.stderr);
        let rows = json!([["2025-01-02", "digest", "valid", digests]]);
        assert_eq!(json!(shelf.rows()), rows);
    }
    let (again, _) = shelf.convert(&[]);
    assert_eq!(again.code, 0, "{}", again.stderr);
    assert_eq!(shelf.rows().len(), 1);
}

/// The evening before a look-back is touched by its first digest only.
#[test]
fn a_look_back_keeps_the_days_before() {
    let mut site = Site::empty();
    site.add_chain(FIRST, 3..28);
    let log = log_of(FIRST, 23, 0);
    let sound = site.objects[&log].bytes.clone();
    let shelf = Shelf::of(&site);
    let (ended, _) = shelf.convert(&[]);
    assert_eq!(ended.code, 0, "{}", ended.stderr);
    let valid = [
        json!(["2025-01-02", "digest", "valid", 20]),
        json!(["2025-01-03", "digest", "valid", 5]),
    ];
    assert_eq!(shelf.rows(), valid);
    shelf.put(&log, &gzip(b"{\"Records\":[]}"));
    let (ended, integrity) = shelf.convert(&["--since", "2025-01-04"]);
    assert_eq!((ended.code, &integrity["logs_invalid"]), (3, &json!(1)));
    let row = json!(["2025-01-02", "log", "hash_mismatch", 1]);
    assert_eq!(shelf.rows(), [valid[0].clone(), row, valid[1].clone()]);
    shelf.put(&log, &sound);
    let (ended, integrity) = shelf.convert(&["--since", "2025-01-04"]);
    assert_eq!((ended.code, &integrity["logs_invalid"]), (0, &json!(0)));
    // Files of the day before were hashed when they were converted, those of the evening not.
    let logs = integrity["logs_valid"].as_u64().expect("a number");
    assert_eq!(integrity["logs_hashed_on_the_way"], logs - 2);
    assert_eq!(shelf.rows(), valid);
}

/// Guarantee: whatever a conversion reads is told where no digest names it, wherever it lies.
#[test]
fn planted_files_are_told_wherever_they_lie() {
    let shelf = Shelf::of(&Site::new());
    let account = format!("AWSLogs/{}", FIRST.account);
    let network = log_of(FIRST, 1, 7).replace("CloudTrail/", "CloudTrail-NetworkActivity/");
    let planted = [
        format!("{account}/misc/extra3.json.gz"),
        network.replace("_CloudTrail_", "_CloudTrail-NetworkActivity_"),
        "elsewhere/events.json.gz".to_owned(),
    ];
    for key in &planted {
        shelf.put(key, &gzip(b"{\"Records\":[{\"eventName\":\"x\"}]}"));
    }
    let ended = shelf.verify();
    assert_eq!(ended.code, 3, "{}", ended.stdout);
    for key in &planted {
        let line = format!("{key}\tUNREFERENCED: no digest file names it\n");
        assert!(ended.stdout.contains(&line), "{line} in {}", ended.stdout);
    }
    let (ended, integrity) = shelf.convert(&[]);
    assert_eq!(
        (ended.code, &integrity["logs_unreferenced"]),
        (3, &json!(3))
    );
    let rows = json!([
        ["2025-01-02", "digest", "valid", 26],
        ["2025-01-02", "log", "unreferenced", 1],
        [null, "log", "unreferenced", 2],
    ]);
    assert_eq!(json!(shelf.rows()), rows);
}

/// What is odd about keys and sidecars is told by conversions too.
#[test]
fn warnings_are_among_the_problems() {
    let mut site = Site::new();
    site.put(&log_of(FIRST, 1, 0), gzip(b"{}"));
    let shelf = Shelf::of(&site);
    let newest = digest_of(BACKFILL, 1);
    shelf.put(&format!("{newest}.metadata.json"), b"{}");
    let (ended, integrity) = shelf.convert(&[]);
    let problems = integrity["problems"].to_string();
    assert!(
        problems.contains("is not the output of head-object"),
        "{problems}"
    );
    assert!(problems.contains("hash value doesn't match"), "{problems}");
    assert!(ended.stderr.contains("is not the output of head-object"));
}

/// An expired beginning is explained in the lake too, and the end of time converts.
#[test]
fn details_reach_the_lake() {
    let mut site = Site::empty();
    site.add_chain(FIRST, 0..HOURS);
    site.objects.remove(&digest_of(FIRST, 0));
    let late = log_of(FIRST, 0, 0)
        .replace("2025/01/02", "9999/12/30")
        .replace("20250102T0005Z", "99991230T2130Z");
    site.put(&late, gzip(b"{\"Records\":[]}"));
    let shelf = Shelf::of(&site);
    let (ended, _) = shelf.convert(&[]);
    assert_eq!(ended.code, 3, "{}", ended.stderr);
    let lake = shelf.at("lake");
    let query = "SELECT problem FROM integrity WHERE status = 'not_found'";
    let row = run(&["query", query, "--lake", path(&lake), "--format", "ndjson"]).json();
    let since = jiff::SignedDuration::from_secs(1);
    let detail = format!("--since {} verifies what is kept", hour(2) + since);
    let problem = row["problem"].as_str().expect("a text");
    assert!(problem.starts_with("INVALID: not found: "), "{problem}");
    assert!(problem.ends_with(&detail), "{problem}");
}
