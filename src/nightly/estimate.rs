//! What a run would read and what the requests for it would cost, without reading anything.

use jiff::civil::Date;
use serde::Serialize;

use crate::archive::{Listing, ListingError};
use crate::lake::LakeState;
use crate::lake::receipt::{EventFilter, PlannedObject};
use crate::lake::seen::Known;

/// Prices of S3 Standard in us-east-1, US dollars for a thousand requests (AWS price list, 2025).
/// Within the bucket's region the bytes themselves cost nothing.
const USD_PER_1000_GETS: f64 = 0.0004;
const USD_PER_1000_LISTS: f64 = 0.005;

/// Keys that one request lists.
const KEYS_A_LIST: u64 = 1000;

/// What a run would do.
#[derive(Debug, Default, PartialEq, Serialize)]
pub struct Estimate {
    pub objects_listed: u64,
    pub already_done: u64,
    /// Converted before with another size or ETag.
    pub changed: u64,
    /// To be fetched and converted.
    pub new_objects: u64,
    pub new_bytes: u64,
    /// Of these, in plans that an earlier run has left.
    pub objects_left_by_earlier_runs: u64,
    /// Requests of archives in S3: these were made to estimate, the GETs would be.
    pub list_requests: u64,
    pub get_requests: u64,
    /// Of these requests, by the prices of S3 Standard in us-east-1; without KMS, retries and what
    /// is written.
    pub request_cost_usd: f64,
    /// The oldest and newest new object's date, by its key.
    pub first_key_date: Option<String>,
    pub last_key_date: Option<String>,
    /// What could not be listed.
    pub failures: Vec<String>,
}

impl Estimate {
    /// Of what is listed; `left` objects stand in plans of earlier runs. Fails if the listing cannot be
    /// read.
    pub fn of(
        listing: &Listing,
        lake: Option<&LakeState>,
        filter: &EventFilter,
        left: u64,
    ) -> Result<Self, ListingError> {
        let mut estimate = Self {
            objects_listed: listing.listed,
            objects_left_by_earlier_runs: left,
            failures: listing.failures.iter().map(|f| f.place.clone()).collect(),
            ..Self::default()
        };
        let mut is_remote = false;
        let mut dates: Option<(Date, Date)> = None;
        for object in &listing.objects {
            let object = object?;
            is_remote |= object.etag.is_some();
            let planned = PlannedObject {
                uri: object.uri.into(),
                size_bytes: object.size,
                etag: object.etag.map(Into::into),
                replaces: 0,
            };
            match lake.map_or(Known::New, |lake| lake.seen.judge(&planned, filter)) {
                Known::Done => estimate.already_done += 1,
                Known::Changed { .. } => estimate.changed += 1,
                Known::New => {
                    estimate.new_objects += 1;
                    estimate.new_bytes += object.size;
                    estimate.get_requests += u64::from(planned.etag.is_some());
                    // They come by date.
                    if let Some(date) = object.date {
                        dates = Some((dates.map_or(date, |(first, _)| first), date));
                    }
                }
            }
        }
        if is_remote {
            estimate.list_requests = listing.listed.div_ceil(KEYS_A_LIST);
        }
        estimate.request_cost_usd = (estimate.get_requests as f64 * USD_PER_1000_GETS
            + estimate.list_requests as f64 * USD_PER_1000_LISTS)
            / 1000.0;
        estimate.first_key_date = dates.map(|(first, _)| first.to_string());
        estimate.last_key_date = dates.map(|(_, last)| last.to_string());
        Ok(estimate)
    }
}
