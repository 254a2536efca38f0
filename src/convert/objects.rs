//! Makes the rows of `receipts`: what became of a unit's objects, with what their keys tell.

use super::ConvertError;
use crate::archive::ObjectKey;
use crate::event::schema::ReceiptRow;
use crate::event::time;
use crate::lake::{ObjectReceipt, Part, Store, objects};

/// Writes what became of a unit's objects; all keys of a unit have the same date.
pub fn write_objects(
    store: &Store,
    unit: &str,
    objects: &[ObjectReceipt],
) -> Result<Part, ConvertError> {
    let keys = objects
        .iter()
        .map(|object| ObjectKey::parse(&object.object.uri));
    let keys: Vec<Option<ObjectKey<'_>>> = keys.collect();
    let rows = objects.iter().zip(&keys).map(|(object, key)| ReceiptRow {
        unit,
        source: &object.object.uri,
        account_id: key.as_ref().map(|key| key.account),
        region: key.as_ref().and_then(|key| key.region),
        delivered_at_ms: key
            .as_ref()
            .and_then(|key| key.stamp)
            .map(|stamp| stamp.as_millisecond()),
        size_bytes: object.object.size_bytes as i64,
        status: object.status.as_str(),
        problem: object.problem.as_deref(),
        inflated_bytes: object.inflated_bytes as i64,
        records_seen: object.counts.seen as i64,
        records_kept: object.counts.kept as i64,
        records_not_selected: object.counts.not_selected as i64,
        records_duplicate: object.counts.duplicate as i64,
        records_quarantined: object.counts.quarantined as i64,
        sha256: object.sha256.as_deref(),
    });
    let date = keys.first().and_then(|key| key.as_ref()?.date);
    let dt = date.map_or_else(|| time::day_text(None), |date| date.to_string());
    Ok(objects::write_objects(
        store,
        unit,
        &dt,
        &rows.collect::<Vec<_>>(),
    )?)
}
