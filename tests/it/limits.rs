//! What is huge, hostile or short of room stays within bounds and costs nothing else.

use dynatrail::convert::keep::Keep;
use dynatrail::convert::object::{Decoder, Source};
use dynatrail::convert::rules::Rules;
use dynatrail::lake::ObjectStatus;
use dynatrail::lake::receipt::EventFilter;
use serde_json::Value;

use crate::bad_input::{Case, gzip, record, wrapped};
use crate::product::{dynatrail, path};

/// Runs the binary with limits that a shell sets.
fn limited(limits: &str, case: &Case) -> std::process::Output {
    let binary = dynatrail();
    std::process::Command::new("sh")
        .arg("-c")
        .arg(format!("{limits}; exec \"$0\" \"$@\""))
        .arg(binary.get_program())
        .args([
            "convert",
            path(&case.archive()),
            "--lake",
            path(&case.lake()),
            "--summary",
            "json",
        ])
        .output()
        .expect("a shell runs")
}

/// A record with a member of 200 MB, and a bomb of 5 GB, under a bound on all memory mapped.
#[test]
fn huge_members_and_bombs_stay_within_bounded_memory() {
    let huge = record("huge").replace("\"7\"", &format!("\"{}\"", "x".repeat(200 << 20)));
    let zeros = gzip(&vec![b' '; 64 << 20]);
    let case = Case::new()
        .with(
            "huge.json.gz",
            &gzip(&wrapped(&[record("a"), huge, record("b")])),
        )
        .with("bomb.json.gz", &zeros.repeat(80));
    let output = limited("ulimit -v 1200000", &case);
    assert_eq!(
        output.status.code(),
        Some(3),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    let summary: Value = serde_json::from_slice(&output.stdout).expect("a summary");
    assert_eq!(summary["records"]["kept"], 2);
    let problems = summary["problems"].to_string();
    assert!(problems.contains("inflates to more than"), "{problems}");
    let quarantine = case.quarantine();
    assert!(
        quarantine
            .iter()
            .any(|entry| entry["reason"].to_string().contains("larger than"))
    );
}

#[test]
fn an_object_that_keeps_too_much_is_left_at_a_limit_and_costs_the_next_nothing() {
    let rules = Rules {
        keep: Keep::dynamodb(),
        filter: EventFilter::default(),
        hashes: false,
        max_kept_bytes: 1 << 20,
    };
    let records = |count: usize| -> Vec<String> {
        (0..count)
            .map(|n| record(&format!("{n}-{}", "x".repeat(1000))))
            .collect()
    };
    let mut decoder = Decoder::default();
    let mut group = decoder.group(&rules);
    for (uri, records) in [("bomb", records(20_000)), ("next", records(300))] {
        let source = Source {
            uri,
            key_is_known: false,
        };
        group.object(&source, &gzip(&wrapped(&records)));
    }
    let decoded = group.finish();
    let [bomb, next] = &decoded.objects[..] else {
        panic!("two objects");
    };
    assert_eq!(bomb.status, ObjectStatus::Damaged);
    let problem = bomb.problem.as_deref().unwrap_or_default();
    assert!(
        problem.contains("takes more than 1048576 bytes"),
        "{problem}"
    );
    assert!(
        (256..2000).contains(&bomb.counts.kept),
        "{}",
        bomb.counts.kept
    );
    assert_eq!(
        (next.status, next.counts.kept),
        (ObjectStatus::Converted, 300)
    );
    assert_eq!(decoded.rows.keys.len() as u64, bomb.counts.kept + 300);
}

/// A disk with one megabyte left: a clear failure, and a lake that the next run finishes.
#[test]
fn a_disk_of_one_megabyte_is_told_and_leaves_the_lake_whole() {
    let records: Vec<String> = (0..150_000_u64)
        .map(|n| record(&format!("{:x}", n.wrapping_mul(0x9e37_79b9_7f4a_7c15))))
        .collect();
    let case = Case::new().with("many.json.gz", &gzip(&wrapped(&records)));
    std::fs::create_dir(case.lake()).expect("created");
    let mounted = std::process::Command::new("mount")
        .args(["-t", "tmpfs", "-o", "size=1m", "tmpfs", path(&case.lake())])
        .output();
    if !mounted.is_ok_and(|output| output.status.success()) {
        println!("skipped: a small disk cannot be mounted here");
        return;
    }
    let output = limited("true", &case);
    let listed = dynatrail().args(["show", path(&case.lake())]).output();
    let unmounted = std::process::Command::new("umount")
        .arg(case.lake())
        .status();
    assert!(unmounted.is_ok_and(|status| status.success()));
    assert_eq!(output.status.code(), Some(1));
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(stderr.contains("No space left on device"), "{stderr}");
    assert!(
        listed.expect("the binary runs").status.success(),
        "the lake can be read"
    );
    // The disk is another one now.
    let (code, summary, _) = case.converted();
    assert_eq!(
        (code, summary["records"]["kept"].as_u64()),
        (0, Some(150_000))
    );
}

#[test]
fn a_full_disk_is_told_and_leaves_the_lake_whole() {
    let records: Vec<String> = (0..3000)
        .map(|n| record(&format!("{:x}", n * 2_654_435_761_u64)))
        .collect();
    let case = Case::new().with("many.json.gz", &gzip(&wrapped(&records)));
    // Files of at most 8 blocks of 512 bytes, with an error instead of a signal beyond.
    let output = limited("trap '' XFSZ; ulimit -f 8", &case);
    assert_eq!(output.status.code(), Some(1));
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(stderr.contains("cannot write"), "{stderr}");
    assert!(
        !case.lake().join("events").exists(),
        "no part appears before it is whole"
    );
    let (code, summary, _) = case.converted();
    assert_eq!(
        (code, summary["records"]["kept"].as_u64()),
        (0, Some(3000)),
        "the next run finishes"
    );
}
