//! Names of files in a bundle, made of names that others chose: they cannot climb, steer or collide.

use std::collections::BTreeSet;

use sha2::{Digest, Sha256};

use crate::lake::hex::hex;

/// The longest segment of a path; file systems allow 255 bytes, and a sidecar's ending follows.
const MAX_SEGMENT_BYTES: usize = 200;

/// The longest path below a bundle's root.
const MAX_PATH_BYTES: usize = 2_000;

/// The path of an object in a bundle: `objects/<bucket>/<key>`, `objects/local/<path>`.
///
/// Every byte but letters, digits and `-_.=+,@` is percent-encoded; so are a segment that is `.` or
/// `..`, and an empty one, which becomes `%2F`. Buckets and CloudTrail's own keys stay as they are.
pub fn path_of(folder: &str, uri: &str) -> String {
    let whole = match uri.strip_prefix("s3://") {
        Some(rest) => rest.to_owned(),
        None => format!("local/{uri}"),
    };
    let mut path = folder.to_owned();
    for segment in whole.split('/') {
        path.push('/');
        path.push_str(&segment_of(segment));
    }
    match path.len() > MAX_PATH_BYTES {
        true => hashed_path(folder, uri),
        false => path,
    }
}

/// A path that nothing but the URI's hash tells, where its own is too long or taken.
fn hashed_path(folder: &str, uri: &str) -> String {
    format!("{folder}/by-hash/{}", short_hash(uri))
}

fn short_hash(text: &str) -> String {
    hex(&Sha256::digest(text.as_bytes())[..16])
}

fn segment_of(segment: &str) -> String {
    if segment.is_empty() {
        return "%2F".to_owned();
    }
    let is_dots = matches!(segment, "." | "..");
    let mut encoded = String::with_capacity(segment.len());
    for byte in segment.bytes() {
        let c = char::from(byte);
        let is_plain = c.is_ascii_alphanumeric() || "-_.=+,@".contains(c);
        // A leading dash would be an option to the tools that check the bundle.
        let is_option = encoded.is_empty() && c == '-';
        match is_plain && !is_dots && !is_option {
            true => encoded.push(c),
            false => encoded.push_str(&format!("%{byte:02X}")),
        }
    }
    if encoded.len() > MAX_SEGMENT_BYTES {
        let mut end = MAX_SEGMENT_BYTES - 33;
        // Not within an escape.
        if let Some(escape) = encoded[..end].rfind('%').filter(|at| at + 3 > end) {
            end = escape;
        }
        encoded.truncate(end);
        encoded = format!("{encoded}+{}", short_hash(segment));
    }
    encoded
}

/// The paths of a bundle, none of which stands in another's way: not as its folder, and not on a file
/// system that does not tell large letters from small ones.
#[derive(Debug, Default)]
pub struct Paths {
    files: BTreeSet<String>,
    folders: BTreeSet<String>,
}

impl Paths {
    /// Takes the path for the object of this URI, or one by its hash where it is taken.
    pub fn take(&mut self, folder: &str, uri: &str) -> String {
        let path = path_of(folder, uri);
        if self.reserve(&path) {
            return path;
        }
        let path = hashed_path(folder, uri);
        self.reserve(&path);
        path
    }

    /// Takes a path; false if another stands in its way.
    pub fn reserve(&mut self, path: &str) -> bool {
        let path = path.to_ascii_lowercase();
        let folders = path.match_indices('/').map(|(at, _)| path[..at].to_owned());
        let folders: Vec<String> = folders.collect();
        let is_taken = self.files.contains(&path)
            || self.folders.contains(&path)
            || folders.iter().any(|folder| self.files.contains(folder));
        if !is_taken {
            self.folders.extend(folders);
            self.files.insert(path);
        }
        !is_taken
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_cloudtrail_stay_as_they_are() {
        let key = "my-trail-bucket/p/AWSLogs/o-exampleorg1/111122223333/CloudTrail/us-east-1/2025/03/12/111122223333_CloudTrail_us-east-1_20250312T0310Z_Zk3uHxWbq0aPt7Ls.json.gz";
        let path = path_of("objects", &format!("s3://{key}"));
        assert_eq!(path, format!("objects/{key}"));
    }

    #[test]
    fn nothing_climbs_or_steers() {
        let hostile = [
            (
                "s3://b/../../etc/passwd",
                "objects/b/%2E%2E/%2E%2E/etc/passwd",
            ),
            ("s3://b/./x", "objects/b/%2E/x"),
            ("s3://b//x/", "objects/b/%2F/x/%2F"),
            ("/etc/passwd", "objects/local/%2F/etc/passwd"),
            ("s3://b/-rf", "objects/b/%2Drf"),
            ("s3://b/a\nb", "objects/b/a%0Ab"),
            ("s3://b/\u{1b}[2J", "objects/b/%1B%5B2J"),
            (
                "s3://b/$(id)`;'\"\\",
                "objects/b/%24%28id%29%60%3B%27%22%5C",
            ),
            ("s3://b/%2E%2E", "objects/b/%252E%252E"),
            ("s3://b/\u{202e}gz.é", "objects/b/%E2%80%AEgz.%C3%A9"),
        ];
        for (uri, path) in hostile {
            assert_eq!(path_of("objects", uri), path);
        }
    }

    #[test]
    fn long_names_are_cut_and_stay_apart() {
        let one = path_of("objects", &format!("s3://b/{}1", "x".repeat(300)));
        let other = path_of("objects", &format!("s3://b/{}2", "x".repeat(300)));
        assert_ne!(one, other);
        for path in [&one, &other] {
            assert!(
                path.split('/')
                    .all(|segment| segment.len() <= MAX_SEGMENT_BYTES)
            );
        }
        let deep = format!("s3://b/{}", "é/".repeat(400));
        assert!(path_of("objects", &deep).len() <= MAX_PATH_BYTES);
        assert!(path_of("objects", &deep).starts_with("objects/by-hash/"));
    }

    #[test]
    fn nothing_stands_in_the_way_of_another() {
        let mut paths = Paths::default();
        let mut all = BTreeSet::new();
        for uri in [
            "s3://b/a",
            "s3://b/a/b",
            "s3://b/A",
            "s3://b/a/b/c",
            "s3://b",
        ] {
            let path = paths.take("objects", uri);
            assert!(all.insert(path.to_ascii_lowercase()), "{path}");
        }
        for path in &all {
            let below = format!("{path}/");
            assert!(!all.iter().any(|other| other.starts_with(&below)), "{path}");
        }
        assert!(all.contains("objects/b/a"));
    }
}
