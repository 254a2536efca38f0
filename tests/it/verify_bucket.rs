//! Verification of a bucket: where chains lead, what is asked for, and what is only worth a note.

use jiff::SignedDuration;

use crate::convert_s3::run_on;
use crate::product::path;
use crate::s3_server::Faults;
use crate::verify_archive::{
    ACCOUNTS, BACKFILL, BUCKET, FIRST, HOURS, LOGS_OF_HOUR, Line, REGIONS, SIGNING, Site,
    digest_of, gzip, hour, key_list, log_of,
};
use crate::verify_s3::{ALL_VALID, DIGEST, HASH, LOG, Served, counters, told};

/// The last hour of a chain.
const HOURS_LAST: i64 = HOURS - 1;

#[test]
fn a_moved_digest_is_told_where_it_lies() {
    let mut site = Site::new();
    let key = digest_of(FIRST, 3);
    let moved = key.replace("/2025/01/02/", "/2025/01/03/");
    let object = site.objects.remove(&key).unwrap();
    site.objects.insert(moved.clone(), object);
    let ended = Served::of(&site).verify(&[]);
    assert_eq!(ended.code, 3);
    let line = format!(
        "{DIGEST}\ts3://{BUCKET}/{moved}\tINVALID: has been moved from its original location"
    );
    assert!(told(&ended).contains(&line), "{}", ended.stdout);
}

#[test]
fn a_chain_that_begins_anew_has_a_gap() {
    let mut site = Site::new();
    // The trail stood still for two days.
    let (start, end) = (hour(48), hour(49));
    for region in REGIONS {
        for account in ACCOUNTS {
            let line = Line {
                account,
                region,
                backfill: false,
            };
            site.add_digest(line, start..end, None, &[]);
        }
    }
    let ended = Served::of(&site).verify(&[]);
    let gap = "No log files were delivered by CloudTrail between 2025-01-02T06:00:31Z and 2025-01-04T00:00:31Z";
    assert_eq!(told(&ended), [gap; 4]);
    assert_eq!(ended.code, 3);
    assert!(
        ended.stdout.contains("28/28 digest files valid\n"),
        "{}",
        ended.stdout
    );
    assert!(ended.stdout.contains("\n4 gaps"), "{}", ended.stdout);
}

#[test]
fn a_chain_whose_newest_digests_were_removed_ends_early() {
    let mut site = Site::new();
    for number in 2..=HOURS_LAST {
        site.objects.remove(&digest_of(FIRST, number));
        for index in 0..LOGS_OF_HOUR {
            site.objects.remove(&log_of(FIRST, number, index));
        }
    }
    let ended = Served::of(&site).verify(&[]);
    assert_eq!(
        told(&ended),
        [
            "Chain\t111122223333 us-east-1 t_a.b-c\tENDS EARLY: no digest file after \
          2025-01-02T02:00:31Z, others of the trail go on to 2025-01-02T06:00:31Z"
        ]
    );
    assert_eq!(ended.code, 3);
}

/// A window takes the digests that end in it, as the aws CLI does, and judges only its log files.
#[test]
fn times_accounts_regions_and_trails_select() {
    let served = Served::of(&Site::new());
    let window = [
        "--since",
        "2025-01-02T02:00:00Z",
        "--until",
        "2025-01-02T04:00:00Z",
    ];
    let ended = served.verify(&window);
    assert_eq!(ended.code, 0, "{}", ended.stdout);
    // Those that end at 02:00:31, 03:00:31 and 04:00:31; backfill: at 02:00:31.
    assert_eq!(
        counters(&ended)[..3],
        [
            "12/12 digest files valid",
            "1/1 backfill digest files valid",
            "18/18 log files valid"
        ]
    );
    assert!(
        ended
            .stdout
            .contains("Results found for 2025-01-02T02:00:00Z to 2025-01-02T04:00:00Z:"),
        "{}",
        ended.stdout
    );
    let ended = served.verify(&["--account", "444455556666", "--region", "eu-west-1"]);
    assert_eq!(
        counters(&ended),
        ["6/6 digest files valid", "10/10 log files valid"]
    );
    let ended = served.verify(&["--trail", "t_a.b-c"]);
    assert_eq!(counters(&ended), ALL_VALID);
    let ended = served.verify(&["--trail", "b-c"]);
    assert_eq!(ended.code, 3);
    assert!(
        ended.stdout.contains("No digests found"),
        "{}",
        ended.stdout
    );
    assert!(
        ended.stderr.contains("nothing was verified"),
        "{}",
        ended.stderr
    );
}

/// Guarantee: nothing to verify is not a success.
#[test]
fn a_bucket_without_digests_is_loud() {
    let mut site = Site::new();
    site.objects.retain(|key, _| !key.contains("-Digest"));
    let ended = Served::of(&site).verify(&[]);
    assert_eq!(ended.code, 3);
    assert!(
        ended.stdout.contains("No digests found"),
        "{}",
        ended.stdout
    );
    assert!(
        ended.stdout.contains("44 log files UNREFERENCED"),
        "{}",
        ended.stdout
    );
    assert!(
        ended.stderr.contains("nothing was verified"),
        "{}",
        ended.stderr
    );
}

#[test]
fn a_server_that_fails_now_and_then_changes_nothing() {
    let served = Served::of(&Site::new());
    served.server.set_faults(Faults {
        seed: 7,
        unavailable: 0.05,
        resets: 0.05,
        short_bodies: 0.1,
        ..Faults::default()
    });
    let ended = served.verify(&[]);
    assert_eq!(ended.code, 0, "{}\n{}", ended.stdout, ended.stderr);
    assert_eq!(counters(&ended), ALL_VALID);
}

/// What cannot be read is not called altered.
#[test]
fn refused_files_are_told_as_unread() {
    let served = Served::of(&Site::new());
    served.server.set_faults(Faults {
        frozen_keys: vec![log_of(FIRST, 1, 0), digest_of(BACKFILL, 0)],
        ..Faults::default()
    });
    let ended = served.verify(&[]);
    assert_eq!(ended.code, 3);
    let lines = told(&ended);
    assert_eq!(
        lines[0].matches("\tINVALID: could not be read: ").count(),
        1,
        "{lines:?}"
    );
    assert!(lines[0].contains("restore it first"), "{lines:?}");
    assert!(
        lines[1].starts_with("(backfill) Digest file\t"),
        "{lines:?}"
    );
}

/// A trail whose files go to another bucket since some day: the chain leads back to the first.
#[test]
fn a_chain_is_followed_into_another_bucket() {
    let mut site = Site::empty();
    let last = site.add_hours(FIRST, 0..3, None);
    site.bucket = "new";
    site.add_hours(FIRST, 3..6, last);
    site.put(&log_of(FIRST, 1, 0), gzip(b"{}"));
    site.get(&log_of(FIRST, 1, 0)).bucket = BUCKET.to_owned();
    let served = Served::of(&site);
    let keys = served.root.path().join("keys.json");
    let verify = |sources: &[&str]| {
        let fixed = ["verify", "--public-keys", path(&keys), "--"];
        run_on(&served.server, &[&fixed, sources].concat())
    };
    let altered = format!("{LOG}\ts3://{BUCKET}/{}\t{HASH}", log_of(FIRST, 1, 0));
    let mut counted = Vec::new();
    for sources in [&["s3://new"][..], &["s3://new", "s3://logs"]] {
        let ended = verify(sources);
        assert_eq!(told(&ended), std::slice::from_ref(&altered), "{sources:?}");
        counted.push(counters(&ended).join("\n"));
    }
    assert_eq!(counted[0], counted[1]);
    assert_eq!(
        counted[0],
        "6/6 digest files valid\n9/10 log files valid, 1/10 log files INVALID"
    );
}

/// Digests alone are listed where log files are not asked for, and nothing beside them.
#[test]
fn listings_of_digests_leave_out_the_rest() {
    let mut site = Site::new();
    for other in ["vpcflowlogs", "CloudTrail-Insight", "CloudTrail"] {
        site.put(
            &format!("AWSLogs/111122223333/{other}/us-east-1/2025/01/02/x"),
            b"x".to_vec(),
        );
    }
    site.put("loose.json", b"{}".to_vec());
    let served = Served::of(&site);
    let ended = served.verify(&["--trail", "t_a.b-c", "--account", "111122223333"]);
    assert_eq!(ended.code, 0, "{}", ended.stdout);
    for seen in served.server.take_requests() {
        let Some(prefix) = seen.query.get("prefix").filter(|_| seen.is_list()) else {
            continue;
        };
        let is_above = "AWSLogs/111122223333/".starts_with(prefix.as_str());
        assert!(
            is_above || prefix.contains("/CloudTrail-Digest/"),
            "{prefix}"
        );
    }
}

/// What is odd but authentic is noted, and changes nothing else.
#[test]
fn odd_digests_are_noted() {
    let mut site = Site::empty();
    let other = Line {
        region: REGIONS[1],
        ..FIRST
    };
    site.add_chain(other, 0..2);
    let last = site.add_hours(FIRST, 0..2, None);
    let earlier = hour(2) - SignedDuration::from_mins(10);
    site.add_digest(FIRST, earlier..hour(3), last, &[log_of(other, 1, 0)]);
    let served = Served::of(&site);
    let ended = served.verify(&[]);
    let line = |number, word: &str| {
        format!(
            "{DIGEST}\ts3://{BUCKET}/{}\t{word}",
            digest_of(FIRST, number)
        )
    };
    let overlap = "OVERLAP: it begins at 2025-01-02T01:50:31Z, the digest before ends at 2025-01-02T02:00:31Z";
    let foreign = "FOREIGN: it names 1 log files of another account or region";
    assert_eq!(told(&ended), [line(2, foreign), line(1, overlap)]);
    assert_eq!(ended.code, 0, "{}", ended.stdout);
    assert!(
        ended.stdout.contains("1 overlaps in time"),
        "{}",
        ended.stdout
    );

    let list = key_list(SIGNING.public().as_ref()).replace("2025-03-01T", "2025-01-01T");
    std::fs::write(served.root.path().join("keys.json"), list).unwrap();
    let ended = served.verify(&["--region", "eu-west-1"]);
    let key = "KEY: its public key is valid from 2024-12-24T00:26:40Z to 2025-01-01T00:00:00Z only";
    assert_eq!(told(&ended).len(), 2);
    assert!(
        told(&ended).iter().all(|line| line.ends_with(key)),
        "{}",
        ended.stdout
    );
    assert_eq!(ended.code, 0);
}

/// A bucket that forgets its old objects: what is gone is told as the aws CLI tells it, with what
/// verifies the rest.
#[test]
fn an_expired_beginning_is_told() {
    let mut site = Site::new();
    site.objects.remove(&digest_of(FIRST, 0));
    for index in 0..LOGS_OF_HOUR {
        site.objects.remove(&log_of(FIRST, 0, index));
    }
    let served = Served::of(&site);
    let ended = served.verify(&[]);
    let detail = "nothing older of this chain is there: expired or removed; --since 2025-01-02T02:00:32Z verifies what is kept";
    let missing = format!(
        "{DIGEST}\ts3://{BUCKET}/{}\tINVALID: not found",
        digest_of(FIRST, 0)
    );
    assert_eq!(told(&ended), [&missing, detail]);
    assert_eq!(ended.code, 3);
    let ended = served.verify(&["--format", "json"]);
    let line = ended.stdout.lines().find(|line| line.contains("not_found"));
    assert!(line.expect("a line").contains(detail), "{}", ended.stdout);
    let ended = served.verify(&["--since", "2025-01-02T02:00:32Z"]);
    assert_eq!(ended.code, 0, "{}", ended.stdout);

    // Removed from within, it is no beginning that expired.
    let mut site = Site::new();
    site.objects.remove(&digest_of(FIRST, 2));
    let ended = Served::of(&site).verify(&[]);
    assert_eq!(told(&ended).len(), 1, "{}", ended.stdout);
}

/// A file of unknown size is asked for again once its size is known, to be within the budget.
#[test]
fn large_files_that_are_not_listed_are_verified() {
    let mut site = Site::empty();
    let mut number = 1_u64;
    let mut noise = String::new();
    while noise.len() < 300_000 {
        number = number
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1);
        noise.push_str(&format!("{number:x}"));
    }
    let logs = [log_of(FIRST, 0, 0), log_of(FIRST, 0, 1)];
    site.put(&logs[0], gzip(noise.as_bytes()));
    site.put(&logs[1], gzip(b"{}"));
    site.add_digest(FIRST, hour(0)..hour(1), None, &logs);
    let served = Served::of(&site);
    let ended = served.verify(&["--trail", "t_a.b-c"]);
    assert_eq!(ended.code, 0, "{}", ended.stdout);
    assert_eq!(counters(&ended)[1], "2/2 log files valid");
    let requests = served.server.take_requests();
    let asked = logs.map(|log| {
        let of_log = requests.iter().filter(|seen| seen.key == log);
        of_log.count()
    });
    assert_eq!(asked, [2, 1]);
}
