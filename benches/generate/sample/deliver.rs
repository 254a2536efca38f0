//! Delivers the sample's records: which trail takes them, into which object, and which of them come twice.

use std::collections::{BTreeMap, HashSet};
use std::io;
use std::path::Path;

use sha2::{Digest, Sha256};

use super::super::prng::Prng;
use super::super::record::Record;
use super::super::time::{HOUR, MINUTE, Seconds, iso, moment};
use super::super::truth::{LOGS, Stored, Truth};
use super::super::writer::{Body, Place, store};
use super::world::{ANALYTICS, ORGANIZATION, PLATFORM, SHOP, US};

/// Records of ten minutes go into one object, which is delivered five minutes later.
pub const SLOT: Seconds = 10 * MINUTE;
const DELIVERY: Seconds = 5 * MINUTE;
const LATE_PER_MILLE: u64 = 1;
const KEY_ALPHABET: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789";

/// What digests say about a log object.
pub struct DeliveredLog {
    pub place: Place,
    pub delivered: Seconds,
    pub key: String,
    /// SHA-256 of the inflated text, in hexadecimal.
    pub hash: String,
    pub newest_event_time: String,
    pub oldest_event_time: String,
}

/// The trails that take a record of an account: the organization's has `PLATFORM` from the beginning, and from
/// March 10th on `ANALYTICS` too, whose own trail runs on.
fn trails(account: &'static str, delivered: Seconds) -> Vec<Option<&'static str>> {
    let joined = moment((2025, 3, 10), (0, 0, 0));
    match account {
        PLATFORM => vec![Some(ORGANIZATION)],
        ANALYTICS if delivered >= joined => vec![None, Some(ORGANIZATION)],
        _ => vec![None],
    }
}

pub fn deliver(
    root: &Path,
    mut records: Vec<Record>,
    truth: &mut Truth,
) -> io::Result<Vec<DeliveredLog>> {
    let mut prng = Prng::stream(super::SEED, 0xde11);
    let mut objects: BTreeMap<(Seconds, Place), Vec<usize>> = BTreeMap::new();
    for (number, record) in records.iter_mut().enumerate() {
        let mut delivered = record.moment.time.div_euclid(SLOT) * SLOT + SLOT + DELIVERY;
        if prng.chance(LATE_PER_MILLE) {
            delivered += prng.between(2, 26) * HOUR;
            record.addendum_reason = Some("DELIVERY_DELAY");
        }
        let account = record.recipient;
        for organization in trails(account, delivered) {
            let place = Place {
                organization,
                account,
                folder: LOGS,
                region: record.moment.region,
            };
            objects.entry((delivered, place)).or_default().push(number);
        }
    }
    let twice = object_delivered_twice(&objects);
    let mut seen = HashSet::new();
    let mut logs = Vec::new();
    for ((delivered, place), mut numbers) in objects {
        let copies =
            if Some((delivered, &place)) == twice.as_ref().map(|(time, place)| (*time, place)) {
                2
            } else {
                1
            };
        for _ in 0..copies {
            // Genuine objects are in no order.
            prng.shuffle(&mut numbers);
            let of_object: Vec<&Record> = numbers.iter().map(|&number| &records[number]).collect();
            for (number, record) in numbers.iter().zip(&of_object) {
                if seen.insert(*number) {
                    truth.event(record)
                } else {
                    truth.duplicate(record)
                }
            }
            logs.push(store_log(
                root,
                (delivered, &place),
                &of_object,
                &mut prng,
                truth,
            )?);
        }
    }
    Ok(logs)
}

/// The largest object of the shop on March 7th.
fn object_delivered_twice(
    objects: &BTreeMap<(Seconds, Place), Vec<usize>>,
) -> Option<(Seconds, Place)> {
    let day = moment((2025, 3, 7), (0, 0, 0))..moment((2025, 3, 8), (0, 0, 0));
    let of_day = objects.iter().filter(|((delivered, place), _)| {
        day.contains(delivered) && place.account == SHOP && place.region == US
    });
    of_day
        .max_by_key(|((delivered, _), numbers)| (numbers.len(), *delivered))
        .map(|(key, _)| key.clone())
}

fn store_log(
    root: &Path,
    (delivered, place): (Seconds, &Place),
    records: &[&Record],
    prng: &mut Prng,
    truth: &mut Truth,
) -> io::Result<DeliveredLog> {
    let mut body = Body::new();
    for record in records {
        body.push(record);
    }
    let key = place.key(delivered, &prng.text(KEY_ALPHABET, 16));
    let text = body.finish();
    store(root, &key, &text)?;
    let stored = Stored {
        objects: 1,
        records: records.len() as u64,
        inflated_bytes: text.len() as u64,
    };
    truth.stored(place.folder, &stored);
    let times = || records.iter().map(|record| record.moment.time);
    Ok(DeliveredLog {
        place: place.clone(),
        delivered,
        key,
        hash: hash(&text),
        newest_event_time: iso(times().max().expect("an object has a record")),
        oldest_event_time: iso(times().min().expect("an object has a record")),
    })
}

pub fn hash(text: &str) -> String {
    Sha256::digest(text.as_bytes())
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect()
}
