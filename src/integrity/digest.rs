//! One digest file: strict gzip and JSON, its members, and the text that its signature is over.

use std::collections::BTreeSet;
use std::fmt;

use jiff::Timestamp;
use ring::digest::{SHA256, digest as hash};
use serde::Deserialize;
use serde::de::{DeserializeSeed, Deserializer, Error as _, MapAccess, SeqAccess, Visitor};

use crate::container::{Content, Encoding, Inflater, Window};

/// The most bytes that a digest may have as it is stored, and the most log files that it may name.
pub const MAX_STORED_BYTES: u64 = 32 << 20;
const MAX_INFLATED_BYTES: usize = 64 << 20;

/// How many times its stored bytes a digest may inflate to, beyond a small one: those of CloudTrail
/// stay below ten, since much of their text are hashes and signatures.
const MAX_INFLATION: usize = 32;
const SMALL_BYTES: usize = 128 << 10;

/// Bytes of an object's key in S3, and of a bucket's name: buckets of us-east-1 from before 2018
/// may have so many.
const MAX_KEY_BYTES: usize = 1024;
const MAX_BUCKET_BYTES: usize = 255;
/// Bytes of a signature in hexadecimal: an RSA key of 8192 bits has so many.
const MAX_SIGNATURE_BYTES: usize = 2048;
/// Bytes of times, hashes, fingerprints and names of algorithms.
const MAX_WORD_BYTES: usize = 64;
const MAX_LOG_FILES: usize = 100_000;

pub(super) const SIGNATURE_ALGORITHM: &str = "SHA256withRSA";
const HASH_ALGORITHM: &str = "SHA-256";

/// SHA-256 of inflated bytes.
pub type Sha256 = [u8; 32];

/// A digest file whose members are all there; nothing says yet that it is authentic.
#[derive(Clone, Debug)]
pub struct Digest {
    pub start: Timestamp,
    pub end: Timestamp,
    pub bucket: String,
    pub object: String,
    pub fingerprint: String,
    pub algorithm: Option<String>,
    pub previous: Option<Previous>,
    pub log_files: Vec<LogFile>,
    /// Of the file's inflated bytes.
    pub sha256: Sha256,
    /// What the signature is over.
    pub signed_text: String,
}

/// The digest before, as its successor names it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Previous {
    pub bucket: String,
    pub object: String,
    pub sha256: Sha256,
    /// Hexadecimal.
    pub signature: String,
}

/// One log file that a digest vouches for.
#[derive(Clone, Debug)]
pub struct LogFile {
    pub bucket: String,
    pub object: String,
    /// None where it is no SHA-256 or does not say so: such a file cannot be vouched for.
    pub sha256: Option<Sha256>,
}

/// Why bytes are no digest.
#[derive(Debug, thiserror::Error)]
pub enum DigestError {
    #[error("it is not gzip")]
    NotGzip,
    #[error("{0}")]
    Damaged(String),
    #[error("it has {members} gzip members where CloudTrail writes one")]
    Members { members: u32 },
    #[error("it inflates to more than {limit} bytes")]
    TooLarge { limit: usize },
    #[error("its {member} has {bytes} bytes, more than {limit}")]
    TooLong {
        member: &'static str,
        bytes: usize,
        limit: usize,
    },
    #[error("it is no JSON of a digest: {0}")]
    Json(#[from] serde_json::Error),
    #[error("{member} {text:?} is no time")]
    Time { member: &'static str, text: String },
    #[error("the members that name the digest before are not complete")]
    Previous,
    #[error("it names {files} log files, more than {MAX_LOG_FILES}")]
    TooManyFiles { files: usize },
}

/// The members that are read, as they are written.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Written {
    digest_start_time: String,
    digest_end_time: String,
    #[serde(rename = "digestS3Bucket")]
    digest_s3_bucket: String,
    #[serde(rename = "digestS3Object")]
    digest_s3_object: String,
    digest_public_key_fingerprint: String,
    digest_signature_algorithm: Option<String>,
    #[serde(rename = "previousDigestS3Bucket")]
    previous_digest_s3_bucket: Option<String>,
    #[serde(rename = "previousDigestS3Object")]
    previous_digest_s3_object: Option<String>,
    previous_digest_hash_value: Option<String>,
    previous_digest_hash_algorithm: Option<String>,
    // May be null, but must be there.
    #[serde(deserialize_with = "Option::deserialize")]
    previous_digest_signature: Option<String>,
    log_files: Vec<WrittenLogFile>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct WrittenLogFile {
    #[serde(rename = "s3Bucket")]
    s3_bucket: String,
    #[serde(rename = "s3Object")]
    s3_object: String,
    hash_value: String,
    hash_algorithm: String,
}

impl Digest {
    /// Inflates and parses a digest file, which is one gzip member and nothing behind it.
    pub fn read(
        bytes: &[u8],
        inflater: &mut Inflater,
        window: &mut Window,
    ) -> Result<Digest, DigestError> {
        if Encoding::sniff(bytes) != Encoding::Gzip {
            return Err(DigestError::NotGzip);
        }
        let mut content = Content::open(bytes, window);
        content.fill(inflater, window, 0);
        if let Some(damage) = content.damage() {
            return Err(DigestError::Damaged(damage.to_string()));
        }
        let limit = (bytes.len() * MAX_INFLATION).clamp(SMALL_BYTES, MAX_INFLATED_BYTES);
        if !content.is_finished() || window.bytes().len() > limit {
            return Err(DigestError::TooLarge { limit });
        }
        if content.gzip_members() != 1 {
            let members = content.gzip_members();
            return Err(DigestError::Members { members });
        }
        Digest::parse(window.bytes())
    }

    /// Parses the inflated bytes of a digest.
    pub fn parse(text: &[u8]) -> Result<Digest, DigestError> {
        let mut strict = serde_json::Deserializer::from_slice(text);
        UniqueMembers.deserialize(&mut strict)?;
        strict.end()?;
        let written: Written = serde_json::from_slice(text)?;
        if written.log_files.len() > MAX_LOG_FILES {
            let files = written.log_files.len();
            return Err(DigestError::TooManyFiles { files });
        }
        written.check_lengths()?;
        let sha256 = sha256(text);
        Ok(Digest {
            start: time("digestStartTime", &written.digest_start_time)?,
            end: time("digestEndTime", &written.digest_end_time)?,
            previous: previous(&written)?,
            signed_text: signed_text(&written, &sha256),
            sha256,
            bucket: written.digest_s3_bucket,
            object: written.digest_s3_object,
            fingerprint: written.digest_public_key_fingerprint,
            algorithm: written.digest_signature_algorithm,
            log_files: written.log_files.into_iter().map(log_file).collect(),
        })
    }
}

impl Written {
    /// Refuses members longer than what they name can be: each is kept, and told again.
    fn check_lengths(&self) -> Result<(), DigestError> {
        let text = |text: &Option<String>| text.as_ref().map_or(0, String::len);
        let members = [
            (
                "digestStartTime",
                self.digest_start_time.len(),
                MAX_WORD_BYTES,
            ),
            ("digestEndTime", self.digest_end_time.len(), MAX_WORD_BYTES),
            (
                "digestS3Bucket",
                self.digest_s3_bucket.len(),
                MAX_BUCKET_BYTES,
            ),
            ("digestS3Object", self.digest_s3_object.len(), MAX_KEY_BYTES),
            (
                "digestPublicKeyFingerprint",
                self.digest_public_key_fingerprint.len(),
                MAX_WORD_BYTES,
            ),
            (
                "digestSignatureAlgorithm",
                text(&self.digest_signature_algorithm),
                MAX_WORD_BYTES,
            ),
            (
                "previousDigestS3Bucket",
                text(&self.previous_digest_s3_bucket),
                MAX_BUCKET_BYTES,
            ),
            (
                "previousDigestS3Object",
                text(&self.previous_digest_s3_object),
                MAX_KEY_BYTES,
            ),
            (
                "previousDigestSignature",
                text(&self.previous_digest_signature),
                MAX_SIGNATURE_BYTES,
            ),
        ];
        let of_files = self.log_files.iter().flat_map(|file| {
            [
                ("s3Bucket", file.s3_bucket.len(), MAX_BUCKET_BYTES),
                ("s3Object", file.s3_object.len(), MAX_KEY_BYTES),
            ]
        });
        for (member, bytes, limit) in members.into_iter().chain(of_files) {
            if bytes > limit {
                return Err(DigestError::TooLong {
                    member,
                    bytes,
                    limit,
                });
            }
        }
        Ok(())
    }
}

/// The text that CloudTrail signs: values as they are written, a null signature as `null` (AWS
/// CloudTrail user guide, "Custom implementations of CloudTrail log file integrity validation").
fn signed_text(written: &Written, sha256: &Sha256) -> String {
    format!(
        "{}\n{}/{}\n{}\n{}",
        written.digest_end_time,
        written.digest_s3_bucket,
        written.digest_s3_object,
        hex(sha256),
        written
            .previous_digest_signature
            .as_deref()
            .unwrap_or("null")
    )
}

/// A first digest names none before it; any other names all of it.
fn previous(written: &Written) -> Result<Option<Previous>, DigestError> {
    let (Some(bucket), Some(object)) = (
        &written.previous_digest_s3_bucket,
        &written.previous_digest_s3_object,
    ) else {
        return Ok(None);
    };
    let is_sha256 = written.previous_digest_hash_algorithm.as_deref() == Some(HASH_ALGORITHM);
    let hash = written.previous_digest_hash_value.as_deref();
    match (
        hash.and_then(parse_sha256),
        &written.previous_digest_signature,
    ) {
        (Some(sha256), Some(signature)) if is_sha256 => Ok(Some(Previous {
            bucket: bucket.clone(),
            object: object.clone(),
            sha256,
            signature: signature.clone(),
        })),
        _ => Err(DigestError::Previous),
    }
}

fn log_file(written: WrittenLogFile) -> LogFile {
    let sha256 = match written.hash_algorithm == HASH_ALGORITHM {
        true => parse_sha256(&written.hash_value),
        false => None,
    };
    LogFile {
        bucket: written.s3_bucket,
        object: written.s3_object,
        sha256,
    }
}

fn time(member: &'static str, text: &str) -> Result<Timestamp, DigestError> {
    text.parse().map_err(|_| DigestError::Time {
        member,
        text: text.to_owned(),
    })
}

pub(super) fn sha256(bytes: &[u8]) -> Sha256 {
    hash(&SHA256, bytes)
        .as_ref()
        .try_into()
        .expect("SHA-256 has 32 bytes")
}

/// Lower-case hexadecimal.
pub(super) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Bytes of hexadecimal text in either case; None for anything else.
pub(super) fn parse_hex(text: &str) -> Option<Vec<u8>> {
    if !text.len().is_multiple_of(2) || !text.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        return None;
    }
    let pairs = (0..text.len()).step_by(2);
    pairs
        .map(|at| u8::from_str_radix(&text[at..at + 2], 16).ok())
        .collect()
}

fn parse_sha256(text: &str) -> Option<Sha256> {
    parse_hex(text)?.try_into().ok()
}

/// Walks a JSON text and refuses a member that stands twice: readers differ in which one counts.
struct UniqueMembers;

impl<'de> DeserializeSeed<'de> for UniqueMembers {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for UniqueMembers {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON")
    }

    fn visit_bool<E>(self, _: bool) -> Result<(), E> {
        Ok(())
    }

    fn visit_i64<E>(self, _: i64) -> Result<(), E> {
        Ok(())
    }

    fn visit_u64<E>(self, _: u64) -> Result<(), E> {
        Ok(())
    }

    fn visit_f64<E>(self, _: f64) -> Result<(), E> {
        Ok(())
    }

    fn visit_str<E>(self, _: &str) -> Result<(), E> {
        Ok(())
    }

    fn visit_unit<E>(self) -> Result<(), E> {
        Ok(())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<(), A::Error> {
        while items.next_element_seed(UniqueMembers)?.is_some() {}
        Ok(())
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<(), A::Error> {
        let mut names = BTreeSet::new();
        while let Some(name) = members.next_key::<String>()? {
            members.next_value_seed(UniqueMembers)?;
            if let Some(twice) = names.replace(name) {
                return Err(A::Error::custom(format!("member {twice:?} stands twice")));
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const START: &str = concat!(
        r#"{"awsAccountId":"111122223333","digestStartTime":"2025-01-02T00:00:31Z","#,
        r#""digestEndTime":"2025-01-02T01:00:31Z","digestS3Bucket":"b","digestS3Object":"k","#,
        r#""digestPublicKeyFingerprint":"00","digestSignatureAlgorithm":"SHA256withRSA","#,
        r#""previousDigestS3Bucket":null,"previousDigestS3Object":null,"#,
        r#""previousDigestHashValue":null,"previousDigestHashAlgorithm":null,"#,
        r#""previousDigestSignature":null,"logFiles":[]}"#
    );

    fn problem(text: &str) -> String {
        match Digest::parse(text.as_bytes()) {
            Ok(_) => "none".to_owned(),
            Err(error) => error.to_string(),
        }
    }

    #[test]
    fn a_first_digest_signs_null() {
        let digest = Digest::parse(START.as_bytes()).expect("a digest");
        assert!(
            digest
                .signed_text
                .starts_with("2025-01-02T01:00:31Z\nb/k\n")
        );
        assert!(digest.signed_text.ends_with("\nnull"));
        assert_eq!(digest.previous, None);
    }

    #[test]
    fn what_readers_could_take_in_two_ways_is_refused() {
        let twice = START.replacen('{', r#"{"digestS3Object":"other","#, 1);
        assert!(
            problem(&twice).contains("stands twice"),
            "{}",
            problem(&twice)
        );
        let unread = START.replacen('{', r#"{"new":1,"new":[{"a":null}],"#, 1);
        assert!(problem(&unread).contains("stands twice"));
        let escaped = START.replacen('{', r#"{"log\u0046iles":[],"#, 1);
        assert!(problem(&escaped).contains("stands twice"));
        assert_eq!(
            problem(&START.replacen('{', r#"{"new":{"a":[1.5,true]},"#, 1)),
            "none"
        );
        assert!(problem(&format!("{START} {{}}")).contains("trailing"));
        let missing = START.replace(r#""previousDigestSignature":null,"#, "");
        assert!(problem(&missing).contains("previousDigestSignature"));
        let time = START.replace("2025-01-02T00:00:31Z", "yesterday");
        assert!(problem(&time).contains("digestStartTime"));
        let half = START.replace(
            r#""previousDigestS3Bucket":null,"previousDigestS3Object":null"#,
            r#""previousDigestS3Bucket":"b","previousDigestS3Object":"k""#,
        );
        assert!(problem(&half).contains("not complete"));
    }

    #[test]
    fn log_files_are_limited() {
        let file = r#"{"s3Bucket":"b","s3Object":"k","hashValue":"","hashAlgorithm":"SHA-256"}"#;
        let with =
            |count: usize| START.replace("[]", &format!("[{}]", vec![file; count].join(",")));
        assert_eq!(problem(&with(MAX_LOG_FILES)), "none");
        assert!(problem(&with(MAX_LOG_FILES + 1)).contains("log files"));
    }

    #[test]
    fn members_are_limited() {
        let bucket = |bytes: usize| {
            let from = r#""digestS3Bucket":""#;
            START.replacen(from, &format!("{from}{}", "x".repeat(bytes)), 1)
        };
        let written: serde_json::Value = serde_json::from_str(START).expect("JSON");
        let own = written["digestS3Bucket"].as_str().map_or(0, str::len);
        assert_eq!(problem(&bucket(MAX_BUCKET_BYTES - own)), "none");
        assert!(problem(&bucket(MAX_BUCKET_BYTES - own + 1)).contains("its digestS3Bucket has"));
        let file = r#"{"s3Bucket":"b","s3Object":"KEY","hashValue":"","hashAlgorithm":"SHA-256"}"#;
        let with = |bytes: usize| {
            let file = file.replace("KEY", &"k".repeat(bytes));
            START.replace("[]", &format!("[{file}]"))
        };
        assert_eq!(problem(&with(MAX_KEY_BYTES)), "none");
        assert!(problem(&with(MAX_KEY_BYTES + 1)).contains("its s3Object has 1025 bytes"));
    }

    #[test]
    fn hexadecimal_is_taken_in_either_case() {
        assert_eq!(parse_hex("00fFA0"), Some(vec![0, 255, 160]));
        assert_eq!(parse_hex("0"), None);
        assert_eq!(parse_hex("0g"), None);
        assert_eq!(parse_hex("é"), None);
        assert_eq!(hex(&[0, 255, 160]), "00ffa0");
    }
}
