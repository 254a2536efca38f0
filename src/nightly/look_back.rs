//! Which key dates a run lists: from the last complete listing on, and some days back.
//!
//! Keys end in random text, so no key tells what came after it; dates do, within the days that files
//! may be late. What lies in those days is told from what was converted by the receipts. An object
//! that was refused, since its content changed, is looked for until somebody decides.

use std::collections::{BTreeMap, HashMap};

use jiff::ToSpan;
use jiff::civil::Date;
use serde::{Deserialize, Serialize};

use crate::archive::{ListingError, ObjectKey, Objects};
use crate::lake::receipt::EventFilter;
use crate::lake::seen::Known;
use crate::lake::{LakeError, LakeState, PlannedObject, Store};

/// Where it is remembered.
const LISTED: &str = "_dynatrail/nightly/listed.json";

/// Refused objects that are remembered, those of the oldest keys. Later ones are found again, since
/// what is listed begins with the oldest.
const MAX_REFUSED: usize = 10_000;

/// What is listed, as the person named it: each has a look-back of its own.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Scope {
    pub sources: Vec<String>,
    /// Empty for all.
    pub accounts: Vec<String>,
    pub regions: Vec<String>,
}

/// What is remembered of the scopes.
#[derive(Debug, Default, Serialize, Deserialize)]
struct Listed {
    scopes: Vec<ListedScope>,
}

#[derive(Debug, Serialize, Deserialize)]
struct ListedScope {
    #[serde(flatten)]
    scope: Scope,
    #[serde(flatten)]
    look_back: LookBack,
}

/// What is remembered of a scope from run to run.
#[derive(Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct LookBack {
    /// Every key of an earlier date was listed once, but for what came late and what nobody asked
    /// for; none before the first complete listing.
    through: Option<Date>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    refused: Vec<Refused>,
}

/// An object whose content changed since it was converted, as it was last listed.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Refused {
    #[serde(flatten)]
    object: PlannedObject,
    /// Whether this run has listed it.
    #[serde(skip)]
    is_listed: bool,
}

impl Refused {
    /// The oldest keys first; those without a date are listed whatever the dates.
    fn order(&self) -> (bool, Option<Date>, &str) {
        let date = date(&self.object.uri);
        (date.is_none(), date, &self.object.uri)
    }
}

fn date(uri: &str) -> Option<Date> {
    ObjectKey::parse(uri)?.date
}

fn read(store: &Store) -> Result<BTreeMap<Scope, LookBack>, LakeError> {
    let Some(bytes) = store.read(LISTED)? else {
        return Ok(BTreeMap::new());
    };
    let listed: Listed = serde_json::from_slice(&bytes).map_err(|source| LakeError::Malformed {
        path: LISTED.to_owned(),
        source,
    })?;
    let scopes = listed.scopes.into_iter();
    Ok(scopes
        .map(|listed| (listed.scope, listed.look_back))
        .collect())
}

impl LookBack {
    pub fn read(store: &Store, scope: &Scope) -> Result<Self, LakeError> {
        Ok(read(store)?.remove(scope).unwrap_or_default())
    }

    pub fn write(self, store: &Store, scope: Scope) -> Result<(), LakeError> {
        let mut scopes = read(store)?;
        scopes.insert(scope, self);
        let listed = Listed {
            scopes: scopes
                .into_iter()
                .map(|(scope, look_back)| ListedScope { scope, look_back })
                .collect(),
        };
        let text = serde_json::to_vec_pretty(&listed).expect("plain data becomes JSON");
        Ok(store.put(LISTED, &text)?)
    }

    /// The first key date to list; none where all must be, as at the first run.
    ///
    /// That is `late_days` before the last complete listing, or the date of an older object that
    /// could not be read, or was refused.
    pub fn first_key_date(&self, lake: &LakeState, late_days: u32) -> Option<Date> {
        let back = i32::try_from(late_days).unwrap_or(i32::MAX).days();
        // A distance beyond the calendar asks for everything.
        let from = self.through?.checked_sub(back).ok()?;
        let refused = self.refused.iter().map(|refused| &*refused.object.uri);
        let open = lake.seen.failed().chain(refused).filter_map(date);
        Some(open.min().map_or(from, |oldest| oldest.min(from)))
    }

    /// Takes on what the refused objects are now. Fails if the listing cannot be read.
    pub fn look_at(&mut self, listed: &Objects) -> Result<(), ListingError> {
        if self.refused.is_empty() {
            return Ok(());
        }
        for refused in &mut self.refused {
            refused.is_listed = false;
        }
        let by_name = self.refused.iter().enumerate();
        let by_name: HashMap<String, usize> = by_name
            .map(|(at, refused)| (refused.object.uri.clone(), at))
            .collect();
        for listed in listed {
            let listed = listed?;
            if let Some(at) = by_name.get(&*listed.uri) {
                let refused = &mut self.refused[*at];
                refused.is_listed = true;
                refused.object.size_bytes = listed.size;
                refused.object.etag = listed.etag.map(Into::into);
            }
        }
        Ok(())
    }

    /// Adds what a run has refused, and forgets what was redone or is as it was converted.
    pub fn refuse(&mut self, objects: Vec<PlannedObject>, lake: &LakeState) {
        let new = objects.into_iter().map(|object| Refused {
            object,
            is_listed: true,
        });
        let known = std::mem::take(&mut self.refused).into_iter();
        let by_name: BTreeMap<String, Refused> = known
            .chain(new)
            .map(|refused| (refused.object.uri.clone(), refused))
            .collect();
        self.refused = by_name.into_values().collect();
        self.refused.retain(|refused| {
            let known = lake.seen.judge(&refused.object, &EventFilter::default());
            matches!(known, Known::Changed { .. })
        });
        self.refused.sort_by(|a, b| a.order().cmp(&b.order()));
        self.refused.truncate(MAX_REFUSED);
    }

    /// The refused objects that were not listed.
    pub fn missing(&self) -> impl Iterator<Item = &str> {
        let missing = self.refused.iter().filter(|refused| !refused.is_listed);
        missing.map(|refused| refused.object.uri.as_str())
    }

    pub fn forget_missing(&mut self) {
        self.refused.retain(|refused| refused.is_listed);
    }

    /// Remembers that every key from a date on, or every key, to before `through` was listed, and what
    /// was new of them read or recorded as failed.
    pub fn list(&mut self, first: Option<Date>, through: Date) {
        let leaves_a_gap = match (self.through, first) {
            (Some(known), Some(first)) => first > known,
            _ => false,
        };
        if !leaves_a_gap {
            self.through = self.through.max(Some(through));
        }
    }
}

#[cfg(test)]
mod tests {
    use jiff::civil::date;

    use super::*;

    #[test]
    fn a_listing_counts_where_it_leaves_no_gap() {
        let mut look_back = LookBack::default();
        look_back.list(Some(date(2025, 1, 1)), date(2025, 3, 10));
        assert_eq!(look_back.through, Some(date(2025, 3, 10)));
        look_back.list(Some(date(2025, 3, 11)), date(2025, 3, 20));
        assert_eq!(look_back.through, Some(date(2025, 3, 10)), "a day between");
        look_back.list(Some(date(2025, 3, 10)), date(2025, 3, 20));
        assert_eq!(look_back.through, Some(date(2025, 3, 20)));
        look_back.list(None, date(2025, 3, 15));
        assert_eq!(look_back.through, Some(date(2025, 3, 20)), "never back");
    }
}
