//! The README's commands verify real signatures: by the metadata, and by the next digest.

use std::fs;
use std::path::Path;

use serde_json::{Value, json};

use super::digest_file::{self, BUCKET};
use super::{Case, as_map, commands, shell};
use crate::bad_input::{record, wrapped};
use crate::product::path;

const LOG: &str = "AWSLogs/111122223333/CloudTrail/us-east-1/2025/03/05/111122223333_CloudTrail_us-east-1_20250305T2355Z_Zk3uHxWbq0aPt7Ls.json.gz";

fn digest_key(day: &str, hour: &str) -> String {
    format!(
        "AWSLogs/111122223333/CloudTrail-Digest/us-east-1/2025/03/{day}/\
         111122223333_CloudTrail-Digest_us-east-1_my_trail.x_us-east-1_202503{day}T{hour}0000Z.json.gz"
    )
}

/// Makes, with openssl, a key pair and a chain of two digests over the log: the first names it, on the
/// day after its delivery, and the second signs the first.
fn signed_archive(folder: &Path) -> Option<()> {
    fs::write(folder.join("log"), wrapped(&[record("a")])).expect("written");
    let log = json!({"s3Bucket": BUCKET, "s3Object": LOG, "hashValue": "HASH", "hashAlgorithm": "SHA-256"});
    let mut first = digest_file::first(&digest_key("06", "00"), &[log]);
    first["digestStartTime"] = "2025-03-05T23:00:00Z".into();
    first["digestEndTime"] = "2025-03-06T00:00:00Z".into();
    first["digestPublicKeyFingerprint"] = "FINGERPRINT".into();
    let after = |hour: &str, before: &str| {
        let mut digest = digest_file::first(&digest_key("06", hour), &[]);
        digest["previousDigestS3Bucket"] = BUCKET.into();
        digest["previousDigestS3Object"] = digest_key("06", before).into();
        digest["previousDigestHashValue"] = "00".repeat(32).into();
        digest["previousDigestHashAlgorithm"] = "SHA-256".into();
        digest
    };
    let mut second = after("01", "00");
    second["previousDigestSignature"] = "SIGNATURE".into();
    let mut unrelated = after("02", "01");
    unrelated["previousDigestSignature"] = "00".into();
    for (name, digest) in [("first", first), ("second", second), ("third", unrelated)] {
        fs::write(folder.join(name), digest.to_string()).expect("written");
    }
    let script = r#"
        openssl genrsa -out private.pem 2048 2>/dev/null
        openssl rsa -in private.pem -RSAPublicKey_out -outform DER -out public.der 2>/dev/null
        fingerprint=$(md5sum < public.der | head -c 32)
        printf '{"PublicKeyList":[{"Value":"%s","Fingerprint":"%s"}]}' "$(base64 -w0 < public.der)" "$fingerprint" > keys.json
        sed -i "s/FINGERPRINT/$fingerprint/; s/HASH/$(sha256sum < log | head -c 64)/" first
        end=2025-03-06T00:00:00Z
        printf '%s\n%s/%s\n%s\nnull' "$end" BUCKET KEY "$(sha256sum < first | head -c 64)" > signed
        openssl dgst -sha256 -sign private.pem -out signature signed
        signature=$(od -An -v -tx1 signature | tr -d ' \n')
        sed -i "s/SIGNATURE/$signature/" second
        printf '{"Metadata":{"signature":"%s","signature-algorithm":"SHA256withRSA"}}' "$signature" > metadata
        gzip -n log first second third
    "#;
    let key = digest_key("06", "00");
    shell(
        folder,
        &script.replace("BUCKET", BUCKET).replace("KEY", &key),
    )?;
    Some(())
}

fn archive(folder: &Path, with_metadata: bool) -> Case {
    let read = |name: &str| fs::read(folder.join(name)).expect("made");
    let (first, second, third) = (
        digest_key("06", "00"),
        digest_key("06", "01"),
        digest_key("06", "02"),
    );
    let metadata = format!("{first}.metadata.json");
    let mut objects = vec![
        (LOG, read("log.gz")),
        (&first, read("first.gz")),
        (&second, read("second.gz")),
        (&third, read("third.gz")),
    ];
    if with_metadata {
        objects.push((&metadata, read("metadata")));
    }
    Case::of(&objects)
}

/// openssl verifies the digest in the bundle by the README's commands, with and without its metadata,
/// and refuses one that was changed.
#[test]
fn openssl_verifies_the_digest_in_a_bundle() {
    let keys = tempfile::tempdir().expect("temp folder");
    if signed_archive(keys.path()).is_none() {
        return;
    }
    for with_metadata in [true, false] {
        let case = archive(keys.path(), with_metadata);
        let (code, told) = case.evidence("bundle", &["--event-id", "a"]);
        assert_eq!(code, 0, "{told}");
        let bundle = case.path("bundle");
        let names = as_map(&bundle).into_keys();
        let digests: Vec<String> = names.filter(|name| name.starts_with("digests/")).collect();
        assert_eq!(digests.len(), 2 + usize::from(with_metadata), "{digests:?}");
        let named: Value = case.manifest("bundle")["objects"][0]["digests"].clone();
        assert_eq!(named.as_array().map(Vec::len), Some(1), "{named}");
        assert_eq!(named[0]["matches"], true);

        let blocks = commands("4. The digests");
        let next = digests
            .iter()
            .find(|name| name.ends_with("T010000Z.json.gz"))
            .expect("it");
        let set = format!(
            "digest='{}'\nkey='{}'\nnext='{next}'\n",
            named[0]["path"].as_str().expect("a path"),
            path(&keys.path().join("keys.json")),
        );
        let mut verify = blocks[1].clone();
        if !with_metadata {
            let line = verify
                .lines()
                .find(|line| line.contains(".Metadata.signature"));
            verify = verify.replace(line.expect("one"), blocks[2].trim_end());
        }
        let told = shell(&bundle, &format!("{set}{verify}")).expect("tools");
        assert!(told.contains("Verified OK"), "{told}");

        let forged = verify.replace("digestEndTime", "digestStartTime");
        let last = forged.lines().last().expect("a line").to_owned();
        let forged = forged.replace(&last, &format!("! {last}"));
        let told = shell(&bundle, &format!("{set}{forged}")).expect("tools");
        assert!(!told.contains("Verified OK"), "{told}");
    }
}
