//! The only addresses that a page links to.
//!
//! Log content becomes one of two forms: an object in the S3 console, or a local file. A report's
//! own references must begin with `https://`.

use crate::report::result::Place;

use crate::render::sanitize::one_line;

/// A record's place in the archive, to be shown.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct PlaceLink {
    /// `object name · record N`.
    pub text: String,
    /// The whole path.
    pub title: String,
    /// None where the path is neither an object of S3 nor an absolute local path.
    pub url: Option<String>,
}

impl PlaceLink {
    pub fn new(place: &Place) -> Self {
        let name = place
            .source
            .rsplit('/')
            .find(|part| !part.is_empty())
            .unwrap_or(&place.source);
        Self {
            text: format!("{} · record {}", one_line(name), place.position),
            title: one_line(&place.source).into_owned(),
            url: source_url(&place.source),
        }
    }
}

/// Where a source object can be looked at.
fn source_url(source: &str) -> Option<String> {
    if let Some(path) = source.strip_prefix("s3://") {
        let (bucket, key) = path.split_once('/')?;
        let is_bucket = !bucket.is_empty()
            && bucket
                .bytes()
                .all(|byte| byte.is_ascii_alphanumeric() || b".-_".contains(&byte));
        return (is_bucket && !key.is_empty()).then(|| {
            format!(
                "https://console.aws.amazon.com/s3/object/{bucket}?prefix={}",
                percent_encoded(key, "")
            )
        });
    }
    // A second slash would name another host in some programs.
    if source.starts_with('/') && !source.starts_with("//") {
        return Some(format!("file://{}", percent_encoded(source, "/")));
    }
    None
}

/// Everything but the unreserved characters of RFC 3986 and those of `kept` is encoded.
fn percent_encoded(text: &str, kept: &str) -> String {
    let mut encoded = String::with_capacity(text.len());
    for byte in text.bytes() {
        let c = char::from(byte);
        if c.is_ascii_alphanumeric() || "-._~".contains(c) || kept.contains(c) {
            encoded.push(c);
        } else {
            encoded.push_str(&format!("%{byte:02X}"));
        }
    }
    encoded
}

/// A text with the address it links to, where it may link at all.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct Reference {
    pub text: String,
    pub url: Option<String>,
}

impl Reference {
    /// A reference of a report's header.
    pub fn of_header(text: &str) -> Self {
        Self {
            text: text.to_owned(),
            url: text.starts_with("https://").then(|| text.to_owned()),
        }
    }

    /// A technique of MITRE ATT&CK, such as T1485 or T1078.004.
    pub fn of_technique(id: &str) -> Self {
        Self {
            text: id.to_owned(),
            url: is_technique(id).then(|| {
                let path = id.replace('.', "/");
                format!("https://attack.mitre.org/techniques/{path}/")
            }),
        }
    }
}

fn is_technique(id: &str) -> bool {
    let digits =
        |text: &str, count| text.len() == count && text.bytes().all(|b| b.is_ascii_digit());
    let Some(number) = id.strip_prefix('T') else {
        return false;
    };
    match number.split_once('.') {
        None => digits(number, 4),
        Some((technique, part)) => digits(technique, 4) && digits(part, 3),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn url(source: &str) -> Option<String> {
        source_url(source)
    }

    #[test]
    fn sources_become_two_forms_of_addresses_only() {
        assert_eq!(
            url("s3://logs/AWSLogs/1/a b&c#\".json.gz").as_deref(),
            Some(
                "https://console.aws.amazon.com/s3/object/logs?prefix=AWSLogs%2F1%2Fa%20b%26c%23%22.json.gz"
            )
        );
        assert_eq!(
            url("/logs/é?.json").as_deref(),
            Some("file:///logs/%C3%A9%3F.json")
        );
        for source in [
            "javascript:alert(1)",
            "s3://bucket",
            "s3:///key",
            "s3://bu@cket/key",
            "s3://bucket/",
            "//host/share",
            "relative/path",
            "https://example.com/",
            "",
        ] {
            assert_eq!(url(source), None, "{source}");
        }
    }

    #[test]
    fn places_are_named_by_their_object() {
        let place = Place {
            source: "s3://logs/a/b.json.gz".to_owned(),
            position: 7,
        };
        assert_eq!(PlaceLink::new(&place).text, "b.json.gz · record 7");
    }

    #[test]
    fn techniques_and_references_link_only_where_they_are_such() {
        let technique = |id| Reference::of_technique(id).url;
        assert_eq!(
            technique("T1485").as_deref(),
            Some("https://attack.mitre.org/techniques/T1485/")
        );
        assert_eq!(
            technique("T1078.004").as_deref(),
            Some("https://attack.mitre.org/techniques/T1078/004/")
        );
        for id in ["T14", "T1485.", "T1485/../x", "javascript:x", "t1485"] {
            assert_eq!(technique(id), None, "{id}");
        }
        assert_eq!(Reference::of_header("javascript:alert(1)").url, None);
        assert_eq!(Reference::of_header("http://plain").url, None);
    }
}
