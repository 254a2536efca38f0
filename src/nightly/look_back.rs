//! Which key dates a run lists: from the last complete listing on, and some days back.
//!
//! Keys end in random text, so no key tells what came after it; dates do, within the days that files
//! may be late. What lies in those days is told from what was converted by the receipts.

use std::collections::BTreeMap;

use jiff::ToSpan;
use jiff::civil::Date;
use serde::{Deserialize, Serialize};

use crate::archive::ObjectKey;
use crate::lake::{LakeError, LakeState, Store};

/// Where it is remembered.
const LISTED: &str = "_dynatrail/nightly/listed.json";

/// What is listed, as the person named it: each has a look-back of its own.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Scope {
    pub sources: Vec<String>,
    /// Empty for all.
    pub accounts: Vec<String>,
    pub regions: Vec<String>,
}

/// The dates up to which archives were listed completely.
#[derive(Debug, Default, Serialize, Deserialize)]
struct Listed {
    scopes: Vec<ListedScope>,
}

#[derive(Debug, Serialize, Deserialize)]
struct ListedScope {
    #[serde(flatten)]
    scope: Scope,
    /// Every key of an earlier date was listed once, but for what came late.
    through: Date,
}

fn read(store: &Store) -> Result<BTreeMap<Scope, Date>, LakeError> {
    let Some(bytes) = store.read(LISTED)? else {
        return Ok(BTreeMap::new());
    };
    let listed: Listed = serde_json::from_slice(&bytes).map_err(|source| LakeError::Malformed {
        path: LISTED.to_owned(),
        source,
    })?;
    let scopes = listed.scopes.into_iter();
    Ok(scopes
        .map(|listed| (listed.scope, listed.through))
        .collect())
}

/// The first key date to list; none where all must be, as at the first run.
///
/// That is `late_days` before the last complete listing, or the date of an older object that could
/// not be read then.
pub fn first_key_date(
    store: &Store,
    lake: &LakeState,
    scope: &Scope,
    late_days: u32,
) -> Result<Option<Date>, LakeError> {
    let Some(through) = read(store)?.remove(scope) else {
        return Ok(None);
    };
    let back = i32::try_from(late_days).unwrap_or(i32::MAX).days();
    // A distance beyond the calendar asks for everything.
    let Ok(from) = through.checked_sub(back) else {
        return Ok(None);
    };
    let failed = lake
        .seen
        .failed()
        .filter_map(|uri| ObjectKey::parse(uri)?.date);
    Ok(Some(failed.min().map_or(from, |oldest| oldest.min(from))))
}

/// Remembers that every key of a date before `through` was listed, and what was new of them read or
/// recorded as failed.
pub fn remember(store: &Store, scope: &Scope, through: Date) -> Result<(), LakeError> {
    let mut scopes = read(store)?;
    if scopes.get(scope).is_some_and(|known| *known >= through) {
        return Ok(());
    }
    scopes.insert(scope.clone(), through);
    let listed = Listed {
        scopes: scopes
            .into_iter()
            .map(|(scope, through)| ListedScope { scope, through })
            .collect(),
    };
    let text = serde_json::to_vec_pretty(&listed).expect("plain data becomes JSON");
    Ok(store.put(LISTED, &text)?)
}
