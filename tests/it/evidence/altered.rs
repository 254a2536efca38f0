//! What was altered or planted since it was converted, where no digest or hash seems to stand against it.

use std::fs;

use serde_json::Value;

use super::digest_file::{entry, first, stored};
use super::{Case, commands, shell};
use crate::bad_input::{gzip, record, wrapped};
use crate::product::{convert, path};
use crate::verify_archive::{SIGNING, key_list};

const DAY: &str = "AWSLogs/111122223333/CloudTrail/us-east-1/2025/03/05";
const DIGEST: &str = "AWSLogs/111122223333/CloudTrail-Digest/us-east-1/2025/03/05/111122223333_CloudTrail-Digest_us-east-1_trail_us-east-1_20250305T110000Z.json.gz";

fn log_key(id: &str) -> String {
    format!("{DAY}/111122223333_CloudTrail_us-east-1_20250305T1005Z_{id}.json.gz")
}

/// The problems of a bundle about what ends so.
fn about(manifest: &Value, ending: &str) -> Vec<String> {
    let problems = manifest["problems"].as_array().expect("a list").iter();
    let about = problems.filter(|problem| {
        problem["about"]
            .as_str()
            .is_some_and(|about| about.ends_with(ending))
    });
    about
        .map(|problem| problem["problem"].as_str().expect("words").to_owned())
        .collect()
}

/// A file as long as before and with the same event IDs is told by what it gives: rows made anew of its
/// records are others, and a hash that was made on the way is another.
#[test]
fn an_altered_file_does_not_prove_rows() {
    let records = [record("a"), record("b")].map(|text| text.replace("user/a", "user/mallory"));
    for is_hashed in [false, true] {
        let case = Case::of(&[("x.json", wrapped(&records))]);
        if is_hashed {
            let list = key_list(SIGNING.public().as_ref());
            fs::write(case.path("keys.json"), list).expect("written");
            fs::remove_dir_all(case.path("lake")).expect("removed");
            let keys = case.path("keys.json");
            let hashing = ["--verify", "--public-keys", path(&keys)];
            convert(&case.path("archive"), &case.path("lake"), &hashing);
        }
        let ids = ["--event-id", "a", "--event-id", "b"];
        let (code, told) = case.evidence("before", &ids);
        assert_eq!(code, 0, "{told}");

        let others = [records[0].replace("mallory", "someone"), records[1].clone()];
        case.put("x.json", &wrapped(&others));
        let (code, told) = case.evidence("after", &ids);
        assert_eq!(code, 3, "{told}");
        let problems = about(&case.manifest("after"), "x.json");
        let mut expected = vec![
            "record 0, the event a, does not give what the lake has in events: principal, \
             principal_arn, user_identity",
            "the record of the event a does not give what the lake has in operations: principal",
        ];
        if is_hashed {
            expected.insert(
                1,
                "the object has been altered since it was converted: its receipt has another hash of it",
            );
        }
        assert_eq!(problems, expected);
    }
}

/// An operation that the record has no longer is missed, and one that is of another table named.
#[test]
fn altered_operations_are_named() {
    let plain = record("a");
    for (text, words) in [
        (
            "Refund",
            "does not give what the lake has in operations: table_arn, table_name",
        ),
        ("", "operations"),
    ] {
        let case = Case::of(&[("x.json", wrapped(std::slice::from_ref(&plain)))]);
        let other = match text {
            "" => plain.replace("GetItem", "Unknown"),
            table => plain.replace("Orders", table),
        };
        assert_eq!(other.len(), plain.len());
        case.put("x.json", &wrapped(&[other]));
        let (code, told) = case.evidence("bundle", &["--event-id", "a"]);
        assert_eq!(code, 3, "{told}");
        let problems = about(&case.manifest("bundle"), "x.json");
        assert_eq!(problems.len(), 2, "{problems:?}");
        assert!(
            problems[0].starts_with("record 0, the event a, "),
            "{problems:?}"
        );
        assert!(problems[1].contains(words), "{problems:?}");
    }
}

/// An object that no digest names is told by the bundle and by the README's commands; copies of a genuine
/// one are compared each for itself.
#[test]
fn a_planted_object_is_named() {
    let [genuine, copied] = ["a", "c"].map(|id| wrapped(&[record(id)]));
    let named = [
        entry(&log_key("a"), &genuine),
        entry(&log_key("c"), &copied),
    ];
    let digest = stored(&first(DIGEST, &named));
    let other_root = format!("other/{}", log_key("c"));
    let case = Case::of(&[
        (&log_key("a"), gzip(&genuine)),
        (&log_key("b"), gzip(&wrapped(&[record("b")]))),
        (&log_key("c"), gzip(&copied)),
        // Another content under the same key below another root.
        (&other_root, gzip(&wrapped(&[record("d")]))),
        (DIGEST, digest),
    ]);
    let ids = ["a", "b", "c", "d"].map(|id| ["--event-id", id]).concat();
    let (code, told) = case.evidence("bundle", &ids);
    assert_eq!(code, 3, "{told}");
    let manifest = case.manifest("bundle");
    assert_eq!(
        manifest["problems"].as_array().map(Vec::len),
        Some(2),
        "{told}"
    );
    assert_eq!(manifest["digests_found"], 1);
    let planted = about(&manifest, &log_key("b"));
    assert!(
        planted[0].contains("no digest names the object"),
        "{planted:?}"
    );
    let altered = about(&manifest, &other_root);
    assert!(altered[0].contains("has been altered"), "{altered:?}");

    let Some(told) = shell(&case.path("bundle"), &commands("3. The log files")[0]) else {
        return;
    };
    let mut lines: Vec<&str> = told.lines().collect();
    lines.sort_unstable();
    let words = [
        "DIFFERS objects/",
        "NAMED BY NO DIGEST objects/",
        "same objects/",
        "same objects/",
    ];
    assert_eq!(lines.len(), words.len(), "{told}");
    for (line, word) in lines.iter().zip(words) {
        assert!(line.starts_with(word), "{told}");
    }
    assert!(
        lines[0].ends_with(&other_root) && lines[1].ends_with(&log_key("b")),
        "{told}"
    );
}

/// What readers could take in two ways, and what names no SHA-256, vouches for nothing.
#[test]
fn doubtful_digests_vouch_for_nothing() {
    let log = wrapped(&[record("a")]);
    let sound = first(DIGEST, &[entry(&log_key("a"), &log)]);
    let mut weak = sound.clone();
    weak["logFiles"][0]["hashAlgorithm"] = "MD5".into();
    let twice = sound.to_string().replacen('{', r#"{"logFiles":[],"#, 1);
    for (digest, words) in [
        (stored(&weak), &["without a SHA-256"][..]),
        (gzip(twice.as_bytes()), &["stands twice", "no digest names"]),
        (
            sound.to_string().into_bytes(),
            &["not gzip", "no digest names"],
        ),
    ] {
        let case = Case::of(&[(&log_key("a"), gzip(&log)), (DIGEST, digest)]);
        let (code, told) = case.evidence("bundle", &["--event-id", "a"]);
        assert_eq!(code, 3, "{told}");
        for words in words {
            assert!(told.contains(words), "{told}");
        }
    }
}
