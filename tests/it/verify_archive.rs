//! Makes archives with digests that are signed as CloudTrail signs, to be tampered with.

use std::collections::BTreeMap;
use std::io::Write as _;
use std::path::Path;
use std::sync::LazyLock;

use jiff::{SignedDuration, Timestamp};
use md5::{Digest as _, Md5};
use ring::rand::SystemRandom;
use ring::signature::{RSA_PKCS1_SHA256, RSA_PKCS1_SHA512, RsaKeyPair};
use serde_json::{Value, json};

pub const BUCKET: &str = "logs";
pub const ACCOUNTS: [&str; 2] = ["111122223333", "444455556666"];
pub const REGIONS: [&str; 2] = ["us-east-1", "eu-west-1"];
/// With everything that trail names may have beside letters.
pub const TRAIL: &str = "t_a.b-c";
pub const HOME: &str = "us-east-1";
/// Hours of each chain; the third has no log files.
pub const HOURS: i64 = 6;
const QUIET_HOUR: i64 = 2;
/// Log files of every other hour.
pub const LOGS_OF_HOUR: usize = 2;

/// The keys of these tests alone: the one that signs, and another.
pub static SIGNING: LazyLock<RsaKeyPair> =
    LazyLock::new(|| pair(include_bytes!("integrity/signing.pk8")));
pub static OTHER: LazyLock<RsaKeyPair> =
    LazyLock::new(|| pair(include_bytes!("integrity/other.pk8")));

fn pair(pkcs8: &[u8]) -> RsaKeyPair {
    RsaKeyPair::from_pkcs8(pkcs8).expect("a key")
}

/// One object with its user metadata.
#[derive(Clone, Debug, Default)]
pub struct Stored {
    pub bucket: String,
    pub bytes: Vec<u8>,
    pub metadata: BTreeMap<String, String>,
}

/// Objects by key.
#[derive(Clone, Debug)]
pub struct Site {
    pub objects: BTreeMap<String, Stored>,
    /// Where what is put next lies.
    pub bucket: &'static str,
}

/// Whose digests are made.
#[derive(Clone, Copy)]
pub struct Line<'a> {
    pub account: &'a str,
    pub region: &'a str,
    pub backfill: bool,
}

/// The digests of an account's first region, which tests tamper with.
pub const FIRST: Line<'static> = Line {
    account: ACCOUNTS[0],
    region: REGIONS[0],
    backfill: false,
};
pub const BACKFILL: Line<'static> = Line {
    backfill: true,
    ..FIRST
};

/// 2025-01-02T00:00:31Z: digests end half a minute after the hour, as real ones do.
pub fn hour(number: i64) -> Timestamp {
    let start: Timestamp = "2025-01-02T00:00:31Z".parse().unwrap();
    start + SignedDuration::from_hours(number)
}

fn folder(kind: &str, line: Line<'_>, time: Timestamp) -> String {
    let Line {
        account, region, ..
    } = line;
    let date = time.strftime("%Y/%m/%d");
    format!("AWSLogs/{account}/{kind}/{region}/{date}")
}

pub fn digest_key(line: Line<'_>, end: Timestamp) -> String {
    let Line {
        account, region, ..
    } = line;
    let stamp = end.strftime("%Y%m%dT%H%M%SZ");
    let ending = if line.backfill { "_backfill" } else { "" };
    let folder = folder("CloudTrail-Digest", line, end);
    format!("{folder}/{account}_CloudTrail-Digest_{region}_{TRAIL}_{HOME}_{stamp}{ending}.json.gz")
}

/// The key of a digest that ends at the end of the hour.
pub fn digest_of(line: Line<'_>, number: i64) -> String {
    digest_key(line, hour(number + 1))
}

/// The key of a log file delivered in the hour.
pub fn log_of(line: Line<'_>, number: i64, index: usize) -> String {
    let Line {
        account, region, ..
    } = line;
    let time = hour(number) + SignedDuration::from_mins(5);
    let stamp = time.strftime("%Y%m%dT%H%MZ");
    let folder = folder("CloudTrail", line, time);
    let kind = if line.backfill { "late" } else { "file" };
    format!("{folder}/{account}_CloudTrail_{region}_{stamp}_{kind}{index}abcdefghijk.json.gz")
}

pub fn gzip(text: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(text).unwrap();
    encoder.finish().unwrap()
}

pub fn gunzip(bytes: &[u8]) -> Vec<u8> {
    let mut text = Vec::new();
    let mut decoder = flate2::read::GzDecoder::new(bytes);
    std::io::Read::read_to_end(&mut decoder, &mut text).unwrap();
    text
}

pub fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

pub fn sha256(bytes: &[u8]) -> String {
    hex(ring::digest::digest(&ring::digest::SHA256, bytes).as_ref())
}

pub fn fingerprint(key: &RsaKeyPair) -> String {
    hex(&Md5::digest(key.public().as_ref()))
}

pub fn base64(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut text = String::new();
    for chunk in bytes.chunks(3) {
        let mut three = [0; 3];
        three[..chunk.len()].copy_from_slice(chunk);
        let value = u32::from_be_bytes([0, three[0], three[1], three[2]]);
        for place in 0..4 {
            let digit = value >> (18 - 6 * place) & 63;
            let is_padding = place > chunk.len();
            text.push(if is_padding {
                '='
            } else {
                DIGITS[digit as usize] as char
            });
        }
    }
    text
}

/// The output of `list-public-keys` with a value for the signing key.
pub fn key_list(value: &[u8]) -> String {
    json!({"PublicKeyList": [{
        "Value": base64(value),
        "ValidityStartTime": "1735000000.0",
        "ValidityEndTime": "2025-03-01T00:00:00+00:00",
        "Fingerprint": fingerprint(&SIGNING),
    }]})
    .to_string()
}

impl Site {
    /// Two accounts, two regions each, six hours; and a backfill chain of two digests.
    pub fn new() -> Site {
        let mut site = Site::empty();
        for account in ACCOUNTS {
            for region in REGIONS {
                let line = Line {
                    account,
                    region,
                    backfill: false,
                };
                site.add_chain(line, 0..HOURS);
            }
        }
        site.add_chain(BACKFILL, 0..2);
        site
    }

    pub fn empty() -> Site {
        Site {
            objects: BTreeMap::new(),
            bucket: BUCKET,
        }
    }

    /// Adds a chain that begins with the first hour.
    pub fn add_chain(&mut self, line: Line<'_>, hours: std::ops::Range<i64>) {
        self.add_hours(line, hours, None);
    }

    /// Adds the digests of hours after another; gives the key of the last.
    pub fn add_hours(
        &mut self,
        line: Line<'_>,
        hours: std::ops::Range<i64>,
        mut previous: Option<String>,
    ) -> Option<String> {
        for number in hours {
            let mut logs = Vec::new();
            for index in 0..LOGS_OF_HOUR {
                if number == QUIET_HOUR {
                    break;
                }
                let key = log_of(line, number, index);
                let text = format!(r#"{{"Records":[{{"eventName":"{key}"}}]}}"#);
                self.put(&key, gzip(text.as_bytes()));
                logs.push(key);
            }
            previous = Some(self.add_digest(line, hour(number)..hour(number + 1), previous, &logs));
        }
        previous
    }

    /// Adds a digest over log files that are there; gives its key.
    pub fn add_digest(
        &mut self,
        line: Line<'_>,
        span: std::ops::Range<Timestamp>,
        previous: Option<String>,
        logs: &[String],
    ) -> String {
        let key = digest_key(line, span.end);
        let named = |bytes: &[u8], object: &str| {
            json!({
                "s3Bucket": self.objects[object].bucket, "s3Object": object, "hashValue": sha256(&gunzip(bytes)),
                "hashAlgorithm": "SHA-256", "newestEventTime": span.start.to_string(),
                "oldestEventTime": span.start.to_string(),
            })
        };
        let files: Vec<Value> = logs
            .iter()
            .map(|log| named(&self.objects[log].bytes, log))
            .collect();
        let before = previous.as_ref().map(|key| &self.objects[key]);
        let digest = json!({
            "awsAccountId": line.account,
            "digestStartTime": span.start.to_string(),
            "digestEndTime": span.end.to_string(),
            "digestS3Bucket": self.bucket,
            "digestS3Object": key,
            "digestPublicKeyFingerprint": fingerprint(&SIGNING),
            "digestSignatureAlgorithm": "SHA256withRSA",
            "newestEventTime": null,
            "oldestEventTime": null,
            "previousDigestS3Bucket": before.map(|before| before.bucket.clone()),
            "previousDigestS3Object": previous,
            "previousDigestHashValue": before.map(|before| sha256(&gunzip(&before.bytes))),
            "previousDigestHashAlgorithm": before.map(|_| "SHA-256"),
            "previousDigestSignature": before.map(|before| before.metadata["signature"].clone()),
            "logFiles": files,
        });
        self.put(&key, gzip(digest.to_string().as_bytes()));
        let metadata = &mut self.objects.get_mut(&key).unwrap().metadata;
        metadata.insert("signature-algorithm".to_owned(), "SHA256withRSA".to_owned());
        if line.backfill {
            let written = "2025-01-20T00:00:00.000Z".to_owned();
            metadata.insert("backfill-generation-timestamp".to_owned(), written);
        }
        self.sign(&key, &SIGNING, false);
        key
    }

    pub fn put(&mut self, key: &str, bytes: Vec<u8>) {
        let object = self.objects.entry(key.to_owned()).or_default();
        object.bytes = bytes;
        object.bucket = self.bucket.to_owned();
    }

    pub fn get(&mut self, key: &str) -> &mut Stored {
        self.objects.get_mut(key).expect("an object")
    }

    pub fn text_of(&self, key: &str) -> String {
        String::from_utf8(gunzip(&self.objects[key].bytes)).unwrap()
    }

    /// Replaces text in a digest, whose signature then no longer holds.
    pub fn replace(&mut self, key: &str, from: &str, to: &str) {
        let text = self.text_of(key);
        assert!(text.contains(from), "{from} in {text}");
        self.put(key, gzip(text.replacen(from, to, 1).as_bytes()));
    }

    /// Signs a digest as it is now; with SHA-512, as CloudTrail never does, if asked.
    pub fn sign(&mut self, key: &str, with: &RsaKeyPair, is_sha512: bool) {
        let text = self.text_of(key);
        let digest: Value = serde_json::from_str(&text).unwrap();
        let member = |name: &str| digest[name].as_str().unwrap_or("null").to_owned();
        let to_sign = format!(
            "{}\n{}/{}\n{}\n{}",
            member("digestEndTime"),
            member("digestS3Bucket"),
            member("digestS3Object"),
            sha256(text.as_bytes()),
            member("previousDigestSignature")
        );
        let mut signature = vec![0; with.public().modulus_len()];
        let scheme = if is_sha512 {
            &RSA_PKCS1_SHA512
        } else {
            &RSA_PKCS1_SHA256
        };
        with.sign(
            scheme,
            &SystemRandom::new(),
            to_sign.as_bytes(),
            &mut signature,
        )
        .unwrap();
        let metadata = &mut self.get(key).metadata;
        metadata.insert("signature".to_owned(), hex(&signature));
    }

    /// Writes the objects below a folder, without their metadata: a plain copy.
    pub fn copy_to(&self, folder: &Path) {
        for (key, object) in &self.objects {
            write(&folder.join(key), &object.bytes);
        }
    }

    /// Writes the objects with their metadata as the S3 server of these tests keeps them.
    pub fn serve_from(&self, root: &Path) {
        for (key, object) in &self.objects {
            write(&root.join(&object.bucket).join(key), &object.bytes);
            if object.metadata.is_empty() {
                continue;
            }
            let encoded = |text: &str| {
                let text = base64(text.as_bytes()).replace('+', "-").replace('/', "_");
                text.trim_end_matches('=').to_owned()
            };
            let (bucket, object_name) = (encoded(&object.bucket), encoded(key));
            let name = format!(".bucket-{bucket}.object-{object_name}.metadata.json");
            let attributes = json!({"user_metadata": object.metadata});
            std::fs::write(root.join(name), attributes.to_string()).unwrap();
        }
    }

    /// Writes one digest's metadata as `head-object` prints it.
    pub fn write_sidecar(&self, folder: &Path, key: &str) {
        let head = json!({"ContentLength": 1, "Metadata": self.objects[key].metadata});
        let path = folder.join(format!("{key}.metadata.json"));
        std::fs::write(path, head.to_string()).unwrap();
    }
}

fn write(path: &Path, bytes: &[u8]) {
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    std::fs::write(path, bytes).unwrap();
}
