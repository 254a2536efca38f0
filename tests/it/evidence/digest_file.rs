//! Digest files as CloudTrail writes them, over given log files.

use std::fmt::Write;

use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use crate::bad_input::gzip;

pub const BUCKET: &str = "trail-logs";

/// An entry of a digest for a log file that inflates to these bytes.
pub fn entry(key: &str, inflated: &[u8]) -> Value {
    let mut hash = String::new();
    for byte in Sha256::digest(inflated) {
        write!(hash, "{byte:02x}").expect("into memory");
    }
    json!({"s3Bucket": BUCKET, "s3Object": key, "hashValue": hash, "hashAlgorithm": "SHA-256"})
}

/// A first digest with these entries, not compressed yet.
pub fn first(key: &str, log_files: &[Value]) -> Value {
    json!({
        "awsAccountId": "111122223333",
        "digestStartTime": "2025-03-05T10:00:00Z", "digestEndTime": "2025-03-05T11:00:00Z",
        "digestS3Bucket": BUCKET, "digestS3Object": key,
        "digestPublicKeyFingerprint": "00", "digestSignatureAlgorithm": "SHA256withRSA",
        "previousDigestS3Bucket": null, "previousDigestS3Object": null,
        "previousDigestHashValue": null, "previousDigestHashAlgorithm": null,
        "previousDigestSignature": null, "logFiles": log_files
    })
}

pub fn stored(digest: &Value) -> Vec<u8> {
    gzip(digest.to_string().as_bytes())
}
