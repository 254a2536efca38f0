//! Asks CloudTrail for the public keys of a region.

use aws_sdk_cloudtrail::Client;
use aws_sdk_cloudtrail::config::{Builder, Region};
use aws_sdk_cloudtrail::error::{ProvideErrorMetadata, SdkError};
use aws_sdk_cloudtrail::primitives::DateTime;
use jiff::Timestamp;

use super::load::chain_of;
use crate::archive::{S3Options, aws_config};

/// Pages of keys that are asked for: CloudTrail answers with one.
const MAX_PAGES: usize = 100;

/// A public key as CloudTrail answers with it.
pub(super) struct ListedKey {
    pub(super) fingerprint: String,
    pub(super) der: Vec<u8>,
    pub(super) validity: Option<(Timestamp, Timestamp)>,
}

/// Why CloudTrail's keys are not to be had.
#[derive(Debug, thiserror::Error)]
#[error(
    "cannot list CloudTrail's public keys of {region}: {answer}; save them and give --public-keys"
)]
pub(super) struct OnlineError {
    region: String,
    answer: String,
}

/// Lists the keys of a region that sign at some time of the span.
///
/// Credentials come as they do for S3; the address is CloudTrail's own, or that of
/// AWS_ENDPOINT_URL_CLOUDTRAIL.
pub(super) async fn list_public_keys(
    options: &S3Options,
    region: &str,
    (from, to): (Timestamp, Timestamp),
) -> Result<Vec<ListedKey>, OnlineError> {
    let options = S3Options {
        // Of an S3 server, not of CloudTrail.
        endpoint_url: None,
        ..options.clone()
    };
    let config = aws_config(&options).await;
    let client = Client::from_conf(
        Builder::from(&config)
            .region(Region::new(region.to_owned()))
            .build(),
    );
    let mut keys = Vec::new();
    let mut token = None;
    for _ in 0..MAX_PAGES {
        let answer = client
            .list_public_keys()
            .start_time(DateTime::from_secs(from.as_second()))
            .end_time(DateTime::from_secs(to.as_second()))
            .set_next_token(token)
            .send()
            .await
            .map_err(|error| OnlineError {
                region: region.to_owned(),
                answer: told(&error),
            })?;
        for key in answer.public_key_list() {
            let (Some(fingerprint), Some(value)) = (key.fingerprint(), key.value()) else {
                continue;
            };
            keys.push(ListedKey {
                fingerprint: fingerprint.to_owned(),
                der: value.as_ref().to_vec(),
                validity: instant(key.validity_start_time()).zip(instant(key.validity_end_time())),
            });
        }
        token = answer.next_token().map(str::to_owned);
        if token.is_none() {
            break;
        }
    }
    Ok(keys)
}

/// What CloudTrail answered, or why there is no answer.
fn told<E, R>(error: &SdkError<E, R>) -> String
where
    E: std::error::Error + ProvideErrorMetadata + 'static,
    R: std::fmt::Debug,
{
    match (error.code(), error.message()) {
        (Some(code), Some(message)) => format!("{code}: {message}"),
        (Some(code), None) => code.to_owned(),
        _ => chain_of(error),
    }
}

fn instant(time: Option<&DateTime>) -> Option<Timestamp> {
    Timestamp::from_second(time?.secs()).ok()
}
