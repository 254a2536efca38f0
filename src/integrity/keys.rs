//! The public keys that digests are checked with, by fingerprint: saved in files, or asked for.

use std::collections::{BTreeMap, BTreeSet};

use jiff::{SignedDuration, Timestamp};
use md5::{Digest as _, Md5};
use serde::Deserialize;
use tokio::runtime::Handle;

use super::digest::hex;
use super::name::{earlier, later};
use super::online;
use super::result::ChainKind;
use super::rsa::RsaKey;
use crate::archive::S3Options;

/// How long after the last digest's end its key may become valid, as the aws CLI asks.
const AFTER_LAST: SignedDuration = SignedDuration::from_hours(2);
/// How far around the writing of a backfill digest its key is looked for, as the aws CLI does.
const AROUND_BACKFILL: SignedDuration = SignedDuration::from_hours(1);
/// How far back keys are asked for once a chain leads to before what was listed: farther than one
/// digest, so that not each of many is asked for alone.
const BEFORE_LISTED: SignedDuration = SignedDuration::from_hours(30 * 24);
/// Warnings that are kept: each file may be worth one.
const MAX_WARNINGS: usize = 1000;

/// A public key of CloudTrail.
#[derive(Clone, Debug)]
pub(super) struct PublicKey {
    /// None where the value is no RSA key.
    pub(super) rsa: Option<RsaKey>,
    /// The first and the last instant at which it signs, where that is told.
    pub(super) validity: Option<(Timestamp, Timestamp)>,
}

/// A file of public keys that cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum KeyFileError {
    #[error("it is not the JSON of list-public-keys")]
    Json(#[source] serde_json::Error),
    #[error("it has no PublicKeyList: save the output of aws cloudtrail list-public-keys")]
    NoList,
    #[error("the value of key {fingerprint:?} is not base64")]
    Value { fingerprint: String },
    #[error("{text:?} is no time of validity")]
    Time { text: String },
}

/// Public keys by fingerprint, and how to get more.
#[derive(Debug, Default)]
pub struct Keys {
    found: BTreeMap<String, PublicKey>,
    warnings: BTreeSet<String>,
    online: Option<Online>,
}

/// What has been asked of CloudTrail.
#[derive(Debug)]
struct Online {
    options: S3Options,
    runtime: Handle,
    /// What was asked for: region and span.
    asked: BTreeSet<(String, Timestamp, Timestamp)>,
    /// Regions that gave no answer.
    failed: BTreeSet<String>,
    /// The first and the last end of a regular digest in each region, as far as is known.
    spans: BTreeMap<String, (Timestamp, Timestamp)>,
}

impl Online {
    /// The time for which keys are asked; earlier digests than were listed widen it.
    fn span(&mut self, needed: Needed<'_>) -> Option<(Timestamp, Timestamp)> {
        match needed.kind {
            ChainKind::Standard => {
                let (first, last) = self.spans.get_mut(needed.region)?;
                if needed.end < *first {
                    *first = earlier(needed.end, BEFORE_LISTED);
                }
                // The first digest covers the hour before its end.
                let from = earlier(*first, SignedDuration::from_hours(1));
                Some((from, later(*last, AFTER_LAST)))
            }
            ChainKind::Backfill => {
                let time = needed.generated?;
                Some((earlier(time, AROUND_BACKFILL), later(time, AROUND_BACKFILL)))
            }
        }
    }
}

/// Which key a digest needs.
#[derive(Clone, Copy, Debug)]
pub(super) struct Needed<'a> {
    /// The region of the log files: its keys sign.
    pub(super) region: &'a str,
    pub(super) fingerprint: &'a str,
    pub(super) kind: ChainKind,
    /// Where the digest ends.
    pub(super) end: Timestamp,
    /// When a backfill digest was written.
    pub(super) generated: Option<Timestamp>,
}

impl Keys {
    /// No keys; those of CloudTrail are asked for in each region as digests need them.
    pub fn online(options: S3Options, runtime: Handle) -> Keys {
        Keys {
            online: Some(Online {
                options,
                runtime,
                asked: BTreeSet::new(),
                failed: BTreeSet::new(),
                spans: BTreeMap::new(),
            }),
            ..Keys::default()
        }
    }

    /// Adds the keys of a file that holds the output of `aws cloudtrail list-public-keys`.
    ///
    /// `PublicKeyList` or `publicKeyList`; times as ISO text, or as seconds in a number or a text.
    pub fn add_saved(&mut self, json: &str) -> Result<(), KeyFileError> {
        let saved: SavedList = serde_json::from_str(json).map_err(KeyFileError::Json)?;
        for key in saved.list.ok_or(KeyFileError::NoList)? {
            let validity = match (&key.from, &key.to) {
                (Some(from), Some(to)) => Some((from.parse()?, to.parse()?)),
                _ => None,
            };
            let der = decode_base64(&key.value).ok_or_else(|| KeyFileError::Value {
                fingerprint: key.fingerprint.clone(),
            })?;
            self.add(&key.fingerprint, &der, validity);
        }
        Ok(())
    }

    /// How many keys are at hand.
    pub fn len(&self) -> usize {
        self.found.len()
    }

    pub fn is_empty(&self) -> bool {
        self.found.is_empty()
    }

    /// What was odd, sorted.
    pub(super) fn warnings(&self) -> &BTreeSet<String> {
        &self.warnings
    }

    pub(super) fn warn(&mut self, warning: String) {
        if self.warnings.len() < MAX_WARNINGS {
            self.warnings.insert(warning);
        }
    }

    /// Tells for which time the keys of each region are needed.
    pub(super) fn set_spans(&mut self, spans: BTreeMap<String, (Timestamp, Timestamp)>) {
        if let Some(online) = &mut self.online {
            online.spans = spans;
        }
    }

    /// Asks CloudTrail for a key that is not at hand; what fails is among the warnings.
    pub(super) fn ensure(&mut self, needed: Needed<'_>) {
        if self.get(needed.fingerprint).is_some() {
            return;
        }
        let Some(online) = &mut self.online else {
            return;
        };
        let Some((from, to)) = online.span(needed) else {
            return;
        };
        let is_new = online.asked.insert((needed.region.to_owned(), from, to));
        if !is_new || online.failed.contains(needed.region) {
            return;
        }
        let asked = online::list_public_keys(&online.options, needed.region, (from, to));
        match online.runtime.block_on(asked) {
            Ok(keys) => {
                for key in keys {
                    self.add(&key.fingerprint, &key.der, key.validity);
                }
            }
            Err(error) => {
                online.failed.insert(needed.region.to_owned());
                self.warn(error.to_string());
            }
        }
    }

    /// The key of a fingerprint, in either case of its letters.
    pub(super) fn get(&self, fingerprint: &str) -> Option<&PublicKey> {
        self.found.get(&fingerprint.to_ascii_lowercase())
    }

    /// A fingerprint is the MD5 of the value's bytes: that holds for every published sample, but is
    /// documented nowhere, so another one is only worth a warning.
    fn add(&mut self, fingerprint: &str, der: &[u8], validity: Option<(Timestamp, Timestamp)>) {
        let fingerprint = fingerprint.to_ascii_lowercase();
        let computed = hex(&Md5::digest(der));
        if computed != fingerprint {
            self.warn(format!(
                "the public key with fingerprint {fingerprint} has MD5 {computed}: check where it comes from"
            ));
        }
        let key = PublicKey {
            rsa: RsaKey::from_der(der),
            validity,
        };
        self.found.insert(fingerprint, key);
    }
}

/// The output of `aws cloudtrail list-public-keys`.
#[derive(Deserialize)]
struct SavedList {
    #[serde(alias = "PublicKeyList", alias = "publicKeyList")]
    list: Option<Vec<SavedKey>>,
}

#[derive(Deserialize)]
struct SavedKey {
    #[serde(alias = "Value", alias = "value")]
    value: String,
    #[serde(alias = "Fingerprint", alias = "fingerprint")]
    fingerprint: String,
    #[serde(alias = "ValidityStartTime", alias = "validityStartTime")]
    from: Option<SavedTime>,
    #[serde(alias = "ValidityEndTime", alias = "validityEndTime")]
    to: Option<SavedTime>,
}

/// A time as any version of the aws CLI prints it.
#[derive(Deserialize)]
#[serde(untagged)]
enum SavedTime {
    Seconds(f64),
    Text(String),
}

impl SavedTime {
    fn parse(&self) -> Result<Timestamp, KeyFileError> {
        let (seconds, text) = match self {
            Self::Seconds(seconds) => (Some(*seconds), seconds.to_string()),
            Self::Text(text) => (text.parse::<f64>().ok(), text.clone()),
        };
        let parsed = match seconds {
            // Whole seconds are enough: a validity is days long.
            Some(seconds) => Timestamp::from_second(seconds as i64).ok(),
            None => text.parse().ok(),
        };
        parsed.ok_or(KeyFileError::Time { text })
    }
}

/// Decodes base64 of the standard alphabet with its padding; white space between is left out.
fn decode_base64(text: &str) -> Option<Vec<u8>> {
    let written: Vec<u8> = text
        .bytes()
        .filter(|byte| !byte.is_ascii_whitespace())
        .collect();
    if !written.len().is_multiple_of(4) {
        return None;
    }
    let padding = written
        .iter()
        .rev()
        .take_while(|&&byte| byte == b'=')
        .count();
    let digits = &written[..written.len() - padding];
    if padding > 2 {
        return None;
    }
    let mut bytes = Vec::with_capacity(digits.len() * 3 / 4);
    let (mut held, mut held_bits) = (0_u32, 0);
    for &digit in digits {
        let value = match digit {
            b'A'..=b'Z' => digit - b'A',
            b'a'..=b'z' => digit - b'a' + 26,
            b'0'..=b'9' => digit - b'0' + 52,
            b'+' => 62,
            b'/' => 63,
            _ => return None,
        };
        held = held << 6 | u32::from(value);
        held_bits += 6;
        if held_bits >= 8 {
            held_bits -= 8;
            bytes.push((held >> held_bits) as u8);
            held &= (1 << held_bits) - 1;
        }
    }
    Some(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn base64_comes_back() {
        let cases: [(&str, Option<&[u8]>); 7] = [
            ("", Some(b"")),
            ("AA==", Some(b"\0")),
            ("aGk=", Some(b"hi")),
            ("+/\n+/", Some(&[0xfb, 0xff, 0xbf])),
            ("aGk", None),
            ("aG=k", None),
            ("a===", None),
        ];
        for (text, expected) in cases {
            assert_eq!(decode_base64(text).as_deref(), expected, "{text}");
        }
    }

    #[tokio::test]
    async fn spans_widen_where_a_chain_leads_back() {
        let time = |text: &str| text.parse::<Timestamp>().expect("a time");
        let mut keys = Keys::online(S3Options::default(), Handle::current());
        let listed = (time("2025-03-01T01:00:00Z"), time("2025-03-02T00:00:00Z"));
        keys.set_spans(BTreeMap::from([("us-east-1".to_owned(), listed)]));
        let mut span = |kind, end: &str, generated| {
            let needed = Needed {
                region: "us-east-1",
                fingerprint: "00",
                kind,
                end: time(end),
                generated,
            };
            let online = keys.online.as_mut().expect("online");
            online.span(needed).expect("a span")
        };
        let last = time("2025-03-02T02:00:00Z");
        let standard = ChainKind::Standard;
        let within = (time("2025-03-01T00:00:00Z"), last);
        assert_eq!(span(standard, "2025-03-01T05:00:00Z", None), within);
        assert_eq!(span(standard, "2025-03-01T01:00:00Z", None), within);
        let wider = (time("2025-01-29T23:00:00Z"), last);
        assert_eq!(span(standard, "2025-03-01T00:00:00Z", None), wider);
        // Not each digest before is asked for alone.
        assert_eq!(span(standard, "2025-02-01T00:00:00Z", None), wider);
        assert!(span(standard, "2025-01-01T00:00:00Z", None).0 < wider.0);
        let end = Timestamp::MAX;
        let backfill = span(ChainKind::Backfill, "2025-01-01T00:00:00Z", Some(end));
        assert_eq!(backfill.1, end);
    }

    #[test]
    fn lists_of_every_version_are_read() {
        for (list, from) in [
            ("PublicKeyList", "\"1436317441.0\""),
            ("publicKeyList", "1436317441.0"),
            ("PublicKeyList", "\"2015-07-08T01:04:01+00:00\""),
            ("PublicKeyList", "1436317441"),
        ] {
            let json = format!(
                r#"{{"{list}":[{{"Value":"aGk=","ValidityStartTime":{from},
                "ValidityEndTime":{from},"Fingerprint":"49F68A5C8493EC2C0BF489821C21FC3B"}}]}}"#
            );
            let mut keys = Keys::default();
            keys.add_saved(&json).expect("a list");
            let key = keys
                .get("49f68a5c8493ec2c0bf489821c21fc3b")
                .expect("the key");
            let at = Timestamp::from_second(1_436_317_441).expect("a time");
            assert_eq!(key.validity, Some((at, at)));
            assert!(key.rsa.is_none());
            assert!(keys.warnings().is_empty(), "{:?}", keys.warnings());
        }
        let mut keys = Keys::default();
        assert!(matches!(keys.add_saved("{}"), Err(KeyFileError::NoList)));
        assert!(matches!(keys.add_saved("[1"), Err(KeyFileError::Json(_))));
        let odd = r#"{"PublicKeyList":[{"Value":"aGk=","Fingerprint":"00"}]}"#;
        keys.add_saved(odd).expect("a list");
        assert_eq!(keys.warnings().len(), 1);
    }
}
