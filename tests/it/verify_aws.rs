//! The aws CLI and dynatrail say the same of the same tampered bucket.

use std::collections::BTreeMap;
use std::process::Command;

use serde_json::{Value, json};

use crate::product::dynatrail;
use crate::verify_archive::{
    ACCOUNTS, BACKFILL, BUCKET, FIRST, HOME, Line, REGIONS, SIGNING, Site, TRAIL, digest_of,
    fingerprint, gzip, hour, key_list, log_of,
};

/// The Python that has the aws CLI and moto; none where the test cannot run, which is said.
fn python() -> Option<String> {
    let python = std::env::var("DYNATRAIL_PYTHON").ok();
    if python.is_none() {
        assert!(
            std::env::var("CI").as_deref() != Ok("true"),
            "DYNATRAIL_PYTHON names no Python with the aws CLI and moto"
        );
        println!("skipped: DYNATRAIL_PYTHON names no Python with the aws CLI and moto");
    }
    python
}

/// Tampers with each chain in ways of its own that the aws CLI sees.
fn tampered() -> Site {
    let mut site = Site::new();
    site.put(&log_of(FIRST, 0, 0), gzip(b"{\"Records\":[]}"));
    site.objects.remove(&log_of(FIRST, 0, 1));
    site.put(&log_of(FIRST, 1, 0), b"{\"Records\":[]}".to_vec());
    let cut = site.get(&log_of(FIRST, 1, 1));
    cut.bytes.truncate(cut.bytes.len() - 12);
    let appended = gzip(b"{\"Records\":[{}]}");
    site.get(&log_of(FIRST, 4, 0)).bytes.extend(appended);
    site.replace(
        &digest_of(FIRST, 3),
        "\"newestEventTime\":null",
        "\"newestEventTime\":0",
    );
    let metadata = &mut site.get(&digest_of(BACKFILL, 0)).metadata;
    metadata.remove("backfill-generation-timestamp");

    let second = Line {
        region: REGIONS[1],
        ..FIRST
    };
    site.objects.remove(&digest_of(second, 2));
    site.get(&digest_of(second, 4)).metadata.clear();

    let third = Line {
        account: ACCOUNTS[1],
        ..FIRST
    };
    site.put(&digest_of(third, 1), b"{}".to_vec());
    let metadata = &mut site.get(&digest_of(third, 4)).metadata;
    metadata.insert("signature".to_owned(), "xyzz".to_owned());

    let fourth = Line {
        region: REGIONS[1],
        ..third
    };
    let unknown = "0badf00d0badf00d0badf00d0badf00d";
    site.replace(&digest_of(fourth, 4), &fingerprint(&SIGNING), unknown);
    let copied = site.objects[&digest_of(fourth, 3)].clone();
    site.objects.insert(digest_of(fourth, 1), copied);
    site.add_digest(fourth, hour(48)..hour(49), None, &[]);
    site
}

fn key_answer() -> String {
    let mut list: Value = serde_json::from_str(&key_list(SIGNING.public().as_ref())).unwrap();
    for (member, time) in [
        ("ValidityStartTime", 1_735_000_000),
        ("ValidityEndTime", 1_741_000_000),
    ] {
        list["PublicKeyList"][0][member] = json!(time);
    }
    list.to_string()
}

/// Runs both programs on a site; what they say by account and region.
fn answers(python: &str, site: &Site) -> Vec<Value> {
    let folder = tempfile::tempdir().expect("a folder");
    let write = |name: &str, text: String| std::fs::write(folder.path().join(name), text).unwrap();
    site.copy_to(&folder.path().join("objects"));
    let metadata: BTreeMap<_, _> = site
        .objects
        .iter()
        .map(|(key, object)| (key, &object.metadata))
        .collect();
    write("metadata.json", json!(metadata).to_string());
    write("keys.json", key_answer());
    let mut pairs = Vec::new();
    for account in ACCOUNTS {
        pairs.extend(REGIONS.map(|region| [account, region]));
    }
    let runs = json!({"bucket": BUCKET, "trail": TRAIL, "home": HOME, "pairs": pairs});
    write("runs.json", runs.to_string());
    let script = concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/tests/engines/validate_logs_check.py"
    );
    let output = Command::new(python)
        .args([script, env!("CARGO_BIN_EXE_dynatrail")])
        .arg(folder.path())
        .output()
        .expect("Python runs");
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    serde_json::from_slice(&output.stdout).expect("JSON")
}

/// Guarantee: every failure that `aws cloudtrail validate-logs` sees is told in its words, and its
/// counters are ours, keys fetched from CloudTrail's API as it does.
#[test]
fn the_aws_cli_says_the_same() {
    let Some(python) = python() else { return };
    let answers = answers(&python, &tampered());
    assert_eq!(answers.len(), 4);
    let mut lines = 0;
    for answer in &answers {
        let (aws, ours) = (&answer["aws"], &answer["ours"]);
        assert_eq!(aws["lines"], ours["lines"], "{answer:#}");
        assert_eq!(aws["counters"], ours["counters"], "{answer:#}");
        assert_eq!(aws["code"], 1, "{answer:#}");
        assert_eq!(ours["code"], 3, "{answer:#}");
        let asked = json!([["ListPublicKeys", answer["region"]]]);
        assert_eq!(answer["asked"], asked, "{answer:#}");
        lines += aws["lines"].as_array().map_or(0, Vec::len);
    }
    assert_eq!(lines, 14, "{answers:#?}");
}

/// Where CloudTrail refuses its keys, that is said, and no digest is valid.
#[test]
fn keys_that_are_refused_are_said() {
    let root = tempfile::tempdir().unwrap();
    Site::new().serve_from(root.path());
    let server =
        crate::s3_server::S3Server::start(root.path(), crate::s3_server::Faults::default());
    let output = dynatrail()
        .envs(server.environment())
        // An S3 server knows no ListPublicKeys.
        .env("AWS_ENDPOINT_URL_CLOUDTRAIL", &server.endpoint)
        .args(["verify", "s3://logs", "--format", "json"])
        .output()
        .expect("the binary runs");
    let (stdout, stderr) = (
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr),
    );
    assert_eq!(output.status.code(), Some(3), "{stderr}");
    assert_eq!(stdout.matches("\"key_not_found\"").count(), 26, "{stdout}");
    for region in REGIONS {
        let warning = format!("cannot list CloudTrail's public keys of {region}");
        assert_eq!(stderr.matches(&warning).count(), 1, "{stderr}");
    }
    assert!(stderr.contains("--public-keys"), "{stderr}");
}
