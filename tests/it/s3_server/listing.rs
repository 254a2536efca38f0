//! Answers ListObjectsV2 in pages of any size, where s3s-fs reads the whole bucket for each.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::ops::Bound;
use std::path::Path;

use hyper::{Response, StatusCode};
use s3s::Body;
use siphasher::sip::SipHasher13;

use super::{Seen, xml};

/// Sizes by key.
pub type Keys = BTreeMap<String, u64>;

/// Answers ListObjectsV2 with pages of at most `page_keys` keys and prefixes.
pub fn answer(keys: &Keys, seen: &Seen, page_keys: usize, disorder: bool) -> Response<Body> {
    let prefix = seen.prefix();
    let limit = seen
        .query("max-keys")
        .map_or(page_keys, |text| page_keys.min(text.parse().unwrap()));
    let mut entries = Vec::new();
    let mut from = match seen.query("continuation-token") {
        Some(last) => past(last),
        None => Bound::Included(prefix.to_owned()),
    };
    // One more than the page holds tells whether another follows.
    while entries.len() <= limit {
        let next = keys.range((from, Bound::Unbounded)).next();
        let Some((key, size)) = next.filter(|(key, _)| key.starts_with(prefix)) else {
            break;
        };
        let end = seen
            .query("delimiter")
            .and_then(|delimiter| key[prefix.len()..].find(delimiter));
        let (entry, size) = match end {
            Some(end) => (&key[..=prefix.len() + end], None),
            None => (key.as_str(), Some(size)),
        };
        entries.push((entry.to_owned(), size));
        from = past(entry);
    }
    let is_truncated = entries.len() > limit;
    entries.truncate(limit);
    let last = entries.last().map(|(last, _)| last.clone());
    if disorder {
        entries.sort_by_key(|(key, _)| SipHasher13::new().hash(key.as_bytes()));
    }
    let mut text = format!(
        "<ListBucketResult><IsTruncated>{is_truncated}</IsTruncated><EncodingType>url</EncodingType>"
    );
    for (key, size) in &entries {
        let key = percent_encode(key);
        match size {
            Some(size) => write!(
                text,
                "<Contents><Key>{key}</Key><Size>{size}</Size>\
                 <LastModified>2025-01-01T00:00:00.000Z</LastModified></Contents>"
            ),
            None => write!(
                text,
                "<CommonPrefixes><Prefix>{key}</Prefix></CommonPrefixes>"
            ),
        }
        .unwrap();
    }
    if let Some(last) = last.filter(|_| is_truncated) {
        // Opaque to the client: the last key, not URL-encoded.
        let token = last.replace('&', "&amp;").replace('<', "&lt;");
        write!(
            text,
            "<NextContinuationToken>{token}</NextContinuationToken>"
        )
        .unwrap();
    }
    text.push_str("</ListBucketResult>");
    xml(StatusCode::OK, text)
}

/// Where a listing goes on after a key, or after all that a prefix stands for.
fn past(entry: &str) -> Bound<String> {
    match entry.strip_suffix('/') {
        // The character after the slash.
        Some(folder) => Bound::Included(format!("{folder}0")),
        None => Bound::Excluded(entry.to_owned()),
    }
}

/// The keys that begin with `prefix`, with their sizes; reads no folder that cannot hold one.
pub fn keys_below(bucket: &Path, prefix: &str) -> Keys {
    let folder = prefix.rfind('/').map_or("", |slash| &prefix[..slash]);
    let mut keys = Keys::new();
    for entry in walkdir::WalkDir::new(bucket.join(folder)) {
        let Ok(entry) = entry else { continue };
        let key = entry.path().strip_prefix(bucket).unwrap().to_str().unwrap();
        if entry.file_type().is_file() && key.starts_with(prefix) {
            keys.insert(key.to_owned(), entry.metadata().unwrap().len());
        }
    }
    keys
}

fn percent_encode(text: &str) -> String {
    let mut encoded = String::new();
    for byte in text.bytes() {
        match byte {
            b' ' => encoded.push('+'),
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'_' | b'.' | b'/' => {
                encoded.push(byte.into());
            }
            _ => write!(encoded, "%{byte:02X}").unwrap(),
        }
    }
    encoded
}
