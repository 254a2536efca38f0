//! Verification of plain copies, which have lost the metadata, and the reference vectors.

use std::path::Path;

use serde_json::{Value, json};
use tempfile::TempDir;

use crate::product::{Ended, path, run};
use crate::verify_archive::{
    ACCOUNTS, BACKFILL, FIRST, HOURS, Line, REGIONS, SIGNING, Site, base64, digest_of, gzip, hour,
    key_list, log_of,
};

/// A copy below `copy/`, with its keys beside it.
fn copied(site: &Site) -> TempDir {
    let root = TempDir::new().unwrap();
    site.copy_to(&root.path().join("copy"));
    write_keys(root.path(), &key_list(SIGNING.public().as_ref()));
    root
}

fn write_keys(root: &Path, list: &str) {
    std::fs::write(root.join("keys.json"), list).unwrap();
}

fn verify(root: &TempDir, more: &[&str]) -> Ended {
    verify_place(root, "copy", more)
}

fn verify_place(root: &TempDir, place: &str, more: &[&str]) -> Ended {
    let (source, keys) = (root.path().join(place), root.path().join("keys.json"));
    let fixed = ["verify", path(&source), "--public-keys", path(&keys)];
    run(&[&fixed, more].concat())
}

/// What is told, with the place of the copy taken out.
fn told(root: &TempDir, ended: &Ended) -> Vec<String> {
    let place = format!("{}/copy/", root.path().display());
    let lines = ended.stdout.lines().skip(2);
    lines
        .take_while(|line| !line.is_empty())
        .map(|line| line.replace(&place, ""))
        .collect()
}

const UNSIGNED: &str = "UNSIGNED: no signature is at hand, its metadata was not copied";

/// The newest digests of all chains, in the order of the walk.
fn tails() -> Vec<String> {
    let mut tails = Vec::new();
    for account in ACCOUNTS {
        for region in ["eu-west-1", "us-east-1"] {
            let line = Line {
                account,
                region,
                backfill: false,
            };
            tails.push(format!(
                "Digest file\t{}\t{UNSIGNED}",
                digest_of(line, HOURS - 1)
            ));
            if (account, region) == (FIRST.account, FIRST.region) {
                tails.push(format!(
                    "(backfill) Digest file\t{}\t{UNSIGNED}",
                    digest_of(BACKFILL, 1)
                ));
            }
        }
    }
    tails
}

/// Guarantee: in a plain copy the newest digest of each chain is an unsigned tail, never valid.
#[test]
fn the_newest_digests_of_a_plain_copy_are_unsigned() {
    let root = copied(&Site::new());
    let ended = verify(&root, &[]);
    assert_eq!(ended.code, 3, "{}", ended.stderr);
    assert_eq!(told(&root, &ended), tails());
    for counter in [
        "20/24 digest files valid, 4/24 digest files UNSIGNED",
        "1/2 backfill digest files valid, 1/2 backfill digest files UNSIGNED",
        "34/34 log files valid",
        "10 log files UNVOUCHED",
    ] {
        assert!(ended.stdout.contains(counter), "{}", ended.stdout);
    }
}

/// With the metadata saved beside the newest digests the copy is as good as the bucket.
#[test]
fn sidecars_give_the_newest_digests_their_signatures() {
    let site = Site::new();
    let root = copied(&site);
    let newest: Vec<String> = tails()
        .iter()
        .map(|line| line.split('\t').nth(1).unwrap().to_owned())
        .collect();
    for key in &newest {
        site.write_sidecar(&root.path().join("copy"), key);
    }
    let ended = verify(&root, &[]);
    assert_eq!(ended.code, 0, "{}\n{}", ended.stdout, ended.stderr);
    assert!(
        ended.stdout.contains("44/44 log files valid"),
        "{}",
        ended.stdout
    );
    let sidecar = root
        .path()
        .join("copy")
        .join(format!("{}.metadata.json", newest[0]));
    std::fs::write(sidecar, "{}").unwrap();
    let ended = verify(&root, &[]);
    assert_eq!(told(&root, &ended), tails()[..1]);
    assert!(
        ended.stderr.contains("is not the output of head-object"),
        "{}",
        ended.stderr
    );
}

/// A copy may lie below any folder, begin anywhere in the layout, or have no folders at all.
#[test]
fn copies_lie_anywhere() {
    let site = Site::new();
    let root = copied(&site);
    let below = verify_place(
        &root,
        "copy/AWSLogs/111122223333/CloudTrail-Digest/us-east-1",
        &[],
    );
    assert!(
        below
            .stdout
            .contains("5/6 digest files valid, 1/6 digest files UNSIGNED"),
        "{}",
        below.stdout
    );
    assert!(
        below.stdout.contains("10/10 log files valid"),
        "{}",
        below.stdout
    );
    // From below AWSLogs/.
    let account = root.path().join("account");
    std::fs::rename(root.path().join("copy/AWSLogs/111122223333"), &account).unwrap();
    let ended = verify_place(&root, "account", &[]);
    for counter in ["10/12 digest files valid", "18/18 log files valid"] {
        assert!(ended.stdout.contains(counter), "{}", ended.stdout);
    }
    assert!(!ended.stdout.contains("INVALID"), "{}", ended.stdout);
    let flat = root.path().join("flat");
    std::fs::create_dir(&flat).unwrap();
    for (key, object) in &site.objects {
        std::fs::write(flat.join(key.rsplit('/').next().unwrap()), &object.bytes).unwrap();
    }
    let ended = verify_place(&root, "flat", &[]);
    assert!(
        ended
            .stdout
            .contains("20/24 digest files valid, 4/24 digest files UNSIGNED"),
        "{}",
        ended.stdout
    );
    assert!(
        ended.stdout.contains("34/34 log files valid"),
        "{}",
        ended.stdout
    );
}

/// A digest that is altered in a copy fails, and takes the signature of the one before with it.
#[test]
fn tampered_copies_are_told() {
    let mut site = Site::new();
    let key = digest_of(FIRST, 3);
    let signature = site.objects[&digest_of(FIRST, 2)].metadata["signature"].clone();
    site.replace(&key, &signature, &signature.replace('a', "b"));
    let root = copied(&site);
    let mut expected = tails();
    let failed = format!("Digest file\t{key}\tINVALID: signature verification failed");
    let unsigned = format!("Digest file\t{}\t{UNSIGNED}", digest_of(FIRST, 2));
    expected.splice(2..2, [failed, unsigned]);
    assert_eq!(told(&root, &verify(&root, &[])), expected);

    // A hostile tail may point anywhere: here ahead of itself, where a walk would not end.
    let mut site = Site::new();
    let (last, first) = (digest_of(FIRST, HOURS - 1), digest_of(FIRST, HOURS - 2));
    site.replace(&last, &first, &last);
    site.replace(
        &first,
        &digest_of(FIRST, HOURS - 3),
        "AWSLogs/../../etc/passwd",
    );
    site.put(&log_of(FIRST, 1, 0), gzip(b"{}"));
    let root = copied(&site);
    let lines = told(&root, &verify(&root, &[]));
    for line in [
        format!("Digest file\t{last}\tINVALID: invalid format"),
        format!("Digest file\t{first}\t{UNSIGNED}"),
        format!(
            "Log file\t{}\tINVALID: hash value doesn't match",
            log_of(FIRST, 1, 0)
        ),
    ] {
        assert!(lines.contains(&line), "{line} in {lines:#?}");
    }
}

/// The same digests in two copies are no orphans of one another, and the better copy leads on.
#[test]
fn two_copies_are_verified_side_by_side() {
    let mut site = Site::new();
    let root = copied(&site);
    site.replace(
        &digest_of(FIRST, 3),
        "2025-01-02T03:00:31Z",
        "2025-01-02T03:00:30Z",
    );
    site.copy_to(&root.path().join("zweit"));
    let (first, second) = (root.path().join("copy"), root.path().join("zweit"));
    let keys = root.path().join("keys.json");
    let ended = run(&[
        "verify",
        path(&first),
        path(&second),
        "--public-keys",
        path(&keys),
    ]);
    assert!(!ended.stdout.contains("ORPHAN"), "{}", ended.stdout);
    assert!(!ended.stdout.contains("No log files"), "{}", ended.stdout);
    assert!(
        ended.stdout.contains(
            "39/48 digest files valid, 1/48 digest files INVALID, 8/48 digest files UNSIGNED"
        ),
        "{}",
        ended.stdout
    );
}

/// Guarantee: a digest that inflates without end is refused, at a limit.
#[test]
fn digests_are_limited_when_inflated() {
    const LIMIT: usize = 128 << 10;
    for (excess, word) in [(0, "valid"), (1, "INVALID: invalid format")] {
        let mut site = Site::empty();
        let key = site.add_digest(FIRST, hour(0)..hour(1), None, &[]);
        let text = site.text_of(&key);
        let padded = format!("{text}{}", " ".repeat(LIMIT + excess - text.len()));
        site.put(&key, gzip(padded.as_bytes()));
        site.sign(&key, &SIGNING, false);
        let root = copied(&site);
        site.write_sidecar(&root.path().join("copy"), &key);
        let ended = verify(&root, &["--verbose"]);
        assert!(
            ended.stdout.contains(&format!("{key}\t{word}\n")),
            "{}",
            ended.stdout
        );
    }
}

/// What a hostile digest quotes is not told at its length.
#[test]
fn members_of_digests_are_limited() {
    for member in ["digestPublicKeyFingerprint", "logFiles"] {
        let mut site = Site::empty();
        let key = site.add_digest(FIRST, hour(0)..hour(1), None, &[]);
        let text: Value = serde_json::from_str(&site.text_of(&key)).unwrap();
        let value = text[member].to_string();
        let long = format!("\"{}\"", "x".repeat(100_000));
        site.replace(
            &key,
            &format!("\"{member}\":{value}"),
            &format!("\"{member}\":{long}"),
        );
        let root = copied(&site);
        let ended = verify(&root, &["--format", "json"]);
        assert!(ended.stdout.contains("\"invalid_format\""), "{member}");
        assert!(ended.stdout.len() < 4_000, "{member}");
    }
}

/// The signature of the last digest that is asked for stands in the next, which is there.
#[test]
fn an_end_takes_no_signature_away() {
    let root = copied(&Site::new());
    let ended = verify(&root, &["--until", "2025-01-02T03:00:00Z"]);
    for counter in [
        "\n12/12 digest files valid\n",
        "1/2 backfill digest files valid, 1/2 backfill digest files UNSIGNED",
    ] {
        assert!(ended.stdout.contains(counter), "{}", ended.stdout);
    }
    let last = digest_of(FIRST, 2);
    let path = root.path().join("copy").join(&last);
    let text = String::from_utf8(crate::verify_archive::gunzip(
        &std::fs::read(&path).unwrap(),
    ));
    let altered = text.unwrap().replacen("null", "0", 1);
    std::fs::write(&path, gzip(altered.as_bytes())).unwrap();
    let ended = verify(&root, &["--until", "2025-01-02T03:00:00Z"]);
    let line = format!("Digest file\t{last}\t{UNSIGNED}");
    assert!(told(&root, &ended).contains(&line), "{}", ended.stdout);
}

/// Names may tell the last instants that there are.
#[test]
fn the_end_of_time_is_no_end_of_verification() {
    let mut site = Site::new();
    let late = |key: String, from: &str, to: &str| {
        key.replace("2025/01/02", "9999/12/30").replace(from, to)
    };
    let digest = late(digest_of(FIRST, 0), "20250102T010031Z", "99991230T210000Z");
    let log = late(log_of(FIRST, 0, 0), "20250102T0005Z", "99991230T2130Z");
    site.put(&digest, gzip(b"{}"));
    site.put(&log, gzip(b"{\"Records\":[]}"));
    let root = copied(&site);
    for more in [
        &[][..],
        &["--until", "2025-01-03"],
        &["--since", "2025-01-01"],
    ] {
        let ended = verify(&root, more);
        assert_eq!(ended.code, 3, "{more:?}{}", ended.stderr);
    }
    let lines = told(&root, &verify(&root, &[]));
    let line = format!("Digest file\t{digest}\tINVALID: invalid format");
    assert!(lines.contains(&line), "{lines:#?}");
}

/// A public key may come as PKCS#1 or as SubjectPublicKeyInfo; one that is neither is said.
#[test]
fn keys_come_in_both_forms() {
    let root = copied(&Site::new());
    let pkcs1 = SIGNING.public().as_ref();
    // The DER of a 2048-bit SubjectPublicKeyInfo before its PKCS#1 part (RFC 5280, RFC 3279).
    let spki_start = b"\x30\x82\x01\x22\x30\x0d\x06\x09\x2a\x86\x48\x86\xf7\x0d\x01\x01\x01\x05\x00\x03\x82\x01\x0f\x00";
    write_keys(root.path(), &key_list(&[spki_start, pkcs1].concat()));
    let ended = verify(&root, &[]);
    assert!(
        ended.stdout.contains("20/24 digest files valid"),
        "{}",
        ended.stdout
    );
    // The fingerprint is that of the PKCS#1 form, so this is worth a warning.
    assert!(
        ended.stderr.contains("check where it comes from"),
        "{}",
        ended.stderr
    );

    write_keys(root.path(), &key_list(&pkcs1[..100]));
    let ended = verify(&root, &[]);
    let fingerprint = crate::verify_archive::fingerprint(&SIGNING);
    let line = format!("INVALID: Unable to load PKCS #1 key with fingerprint {fingerprint}");
    assert_eq!(ended.stdout.matches(&line).count(), 26, "{}", ended.stdout);
    assert!(
        ended.stdout.contains("No valid digests found in range"),
        "{}",
        ended.stdout
    );

    write_keys(root.path(), r#"{"PublicKeyList":[]}"#);
    let ended = verify(&root, &[]);
    assert_eq!(ended.code, 1);
    assert!(ended.stderr.contains("holds no key"), "{}", ended.stderr);
    let source = root.path().join("copy");
    let ended = run(&["verify", path(&source)]);
    assert_eq!(ended.code, 1);
    assert!(ended.stderr.contains("--public-keys"), "{}", ended.stderr);
}

/// Names that steer a terminal, or hold a tab, cannot pass for other lines.
#[test]
fn hostile_names_are_told_harmlessly() {
    let mut site = Site::new();
    let key = format!("{}\tvalid\u{1b}[2J\n.json.gz", digest_of(FIRST, 1));
    site.put(&key, b"x".to_vec());
    let root = copied(&site);
    let lines = told(&root, &verify(&root, &[]));
    assert!(
        lines[0].contains("\\u{9}valid\\u{1b}[2J\\u{a}"),
        "{}",
        lines[0]
    );
    assert_eq!(lines[0].matches('\t').count(), 2);
}

/// The reference vectors: what a published validator accepts and refuses, with their trail's name.
#[test]
fn the_reference_vectors_hold() {
    let text = include_str!("integrity/digest-vectors.json");
    let vectors: Value = serde_json::from_str(text).unwrap();
    let member = |value: &Value, name: &str| value[name].as_str().unwrap().to_owned();
    let root = TempDir::new().unwrap();
    let copy = root.path().join("copy");
    let write = |key: &str, bytes: &[u8]| {
        let file = copy.join(key);
        std::fs::create_dir_all(file.parent().unwrap()).unwrap();
        std::fs::write(file, bytes).unwrap();
    };
    let digests = vectors["digests"].as_array().unwrap();
    for digest in digests {
        let key = member(digest, "key");
        write(&key, &gzip(member(digest, "uncompressed_utf8").as_bytes()));
        let sidecar = json!({"Metadata": digest["metadata"]}).to_string();
        write(&format!("{key}.metadata.json"), sidecar.as_bytes());
    }
    let log = &vectors["log"];
    write(
        &member(log, "s3Object"),
        &gzip(member(log, "uncompressed_utf8").as_bytes()),
    );
    let key = &vectors["publicKey"];
    for form in ["Value_pkcs1_der_base64", "Value_spki_der_base64"] {
        let list = json!({"publicKeyList": [{
            "Value": key[form],
            "Fingerprint": key["Fingerprint_md5_of_pkcs1_der"],
            "ValidityStartTime": key["ValidityStartTime"],
            "ValidityEndTime": key["ValidityEndTime"],
        }]});
        write_keys(root.path(), &list.to_string());
        let ended = verify(&root, &["--verbose"]);
        assert_eq!(ended.code, 0, "{}\n{}", ended.stdout, ended.stderr);
        for digest in digests {
            let line = format!("/{}\tvalid\n", member(digest, "key"));
            assert!(ended.stdout.contains(&line), "{line} in {}", ended.stdout);
        }
        assert!(
            ended
                .stdout
                .contains("3/3 digest files valid\n1/1 log files valid\n")
        );
    }
    let last = &digests[2];
    let altered = member(&last["metadata"], "signature").replacen('5', "6", 1);
    let sidecar =
        json!({"Metadata": {"signature": altered, "signature-algorithm": "SHA256withRSA"}});
    write(
        &format!("{}.metadata.json", member(last, "key")),
        sidecar.to_string().as_bytes(),
    );
    let ended = verify(&root, &[]);
    let expected = member(&vectors, "bad_signature_message")
        .replace("s3://vector-bucket", &copy.display().to_string());
    assert!(ended.stdout.contains(&expected), "{}", ended.stdout);
}

#[test]
fn base64_of_the_tests_is_base64() {
    assert_eq!(base64(b"hi"), "aGk=");
    assert_eq!(REGIONS.len(), ACCOUNTS.len());
}
