//! Puts the listed digests in the order of the walk, and says what their names alone tell.

use std::collections::BTreeMap;

use jiff::{SignedDuration, Timestamp};

use super::name::{DigestName, SIDECAR_ENDING, later};
use super::result::{Chain, ChainKind, EarlyEnd};
use super::verify::{Listed, Verifier};

/// How long a digest may be awaited: it is written each hour, within the next.
pub(super) const AWAITED: SignedDuration = SignedDuration::from_hours(3);

/// The digests in the order of the walk: chain by chain, the newest first.
pub(super) struct Plan {
    pub(super) chains: Vec<Chain>,
    pub(super) entries: Vec<Entry>,
    pub(super) strays: Vec<String>,
}

#[derive(Clone, Copy)]
pub(super) struct Entry {
    /// Where the chain stands among `chains`, and the object among those listed.
    pub(super) chain: usize,
    pub(super) object: usize,
    pub(super) end: Timestamp,
    /// Whether it is too new to be asked for, and only has the signature of the one before.
    pub(super) is_witness: bool,
}

impl Plan {
    pub(super) fn of(verifier: &Verifier, listed: Listed<'_>) -> Plan {
        let mut chains: BTreeMap<Chain, Vec<(Timestamp, usize)>> = BTreeMap::new();
        let mut witnesses: BTreeMap<Chain, (Timestamp, usize)> = BTreeMap::new();
        let mut strays = Vec::new();
        for (index, object) in listed.digests.iter().enumerate() {
            let Some(name) = DigestName::parse(&object.uri) else {
                if !object.uri.ends_with(SIDECAR_ENDING) {
                    strays.push(object.uri.to_string());
                }
                continue;
            };
            if verifier.wants(name.end) {
                let ends = chains.entry(name.chain).or_default();
                ends.push((name.end, index));
            } else if verifier.is_too_new(name.end) && !verifier.archive.is_remote(&object.uri) {
                // What lies in S3 brings its own signature.
                let found = (name.end, index);
                let next = witnesses.entry(name.chain).or_insert(found);
                *next = found.min(*next);
            }
        }
        let mut entries = Vec::new();
        for (number, (chain, ends)) in chains.iter_mut().enumerate() {
            let entry = |is_witness, (end, object)| Entry {
                chain: number,
                object,
                end,
                is_witness,
            };
            let witness = witnesses.get(chain).copied();
            entries.extend(witness.map(|found| entry(true, found)));
            ends.sort_unstable();
            entries.extend(ends.iter().rev().map(|&found| entry(false, found)));
        }
        Plan {
            chains: chains.into_keys().collect(),
            entries,
            strays,
        }
    }

    /// The digests that are asked for, with their chains.
    fn asked(&self) -> impl Iterator<Item = (&Entry, &Chain)> {
        let asked = self.entries.iter().filter(|entry| !entry.is_witness);
        asked.map(|entry| (entry, &self.chains[entry.chain]))
    }

    /// The first and the last end of a regular digest in each region.
    pub(super) fn spans(&self) -> BTreeMap<String, (Timestamp, Timestamp)> {
        let mut spans: BTreeMap<String, (Timestamp, Timestamp)> = BTreeMap::new();
        for (entry, chain) in self.asked() {
            if chain.kind == ChainKind::Standard {
                let span = spans
                    .entry(chain.region.clone())
                    .or_insert((entry.end, entry.end));
                *span = (span.0.min(entry.end), span.1.max(entry.end));
            }
        }
        spans
    }

    /// Standard chains that end before others of the same trail do.
    pub(super) fn early_ends(&self) -> Vec<EarlyEnd> {
        let mut ends: BTreeMap<usize, Timestamp> = BTreeMap::new();
        let mut trail_ends: BTreeMap<[&str; 3], Timestamp> = BTreeMap::new();
        for (entry, chain) in self.asked() {
            if chain.kind == ChainKind::Standard {
                ends.entry(entry.chain).or_insert(entry.end);
                let trail_end = trail_ends.entry(trail_of(chain)).or_insert(entry.end);
                *trail_end = (*trail_end).max(entry.end);
            }
        }
        let mut early = Vec::new();
        for (index, end) in ends {
            let chain = &self.chains[index];
            let trail_end = trail_ends[&trail_of(chain)];
            if later(end, AWAITED) < trail_end {
                early.push(EarlyEnd {
                    chain: chain.clone(),
                    end,
                    trail_end,
                });
            }
        }
        early
    }

    /// The end of the newest regular digest of each account and region.
    pub(super) fn newest_ends(&self) -> BTreeMap<(&str, &str), Timestamp> {
        let mut newest: BTreeMap<(&str, &str), Timestamp> = BTreeMap::new();
        for (entry, chain) in self.asked() {
            if chain.kind == ChainKind::Backfill {
                continue;
            }
            let end = newest
                .entry((&chain.account, &chain.region))
                .or_insert(entry.end);
            *end = (*end).max(entry.end);
        }
        newest
    }
}

/// What names the trail of a chain: a trail of an organization has chains in all of its accounts.
fn trail_of(chain: &Chain) -> [&str; 3] {
    let owner = chain.organization.as_ref().unwrap_or(&chain.account);
    [owner, &chain.trail, &chain.home_region]
}
