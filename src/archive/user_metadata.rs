//! Asks S3 for the user metadata of an object: where CloudTrail puts the signature of a digest.

use std::collections::BTreeMap;

use super::s3::fetch_error;
use super::{Archive, FetchError, S3_SCHEME};

impl Archive {
    /// The user metadata of an object in S3 by name, in lower case and without `x-amz-meta-`; a file has none.
    pub async fn user_metadata(&self, uri: &str) -> Result<BTreeMap<String, String>, FetchError> {
        let Some(rest) = uri.strip_prefix(S3_SCHEME) else {
            return Ok(BTreeMap::new());
        };
        let (bucket, key) = rest.split_once('/').unwrap_or((rest, ""));
        let bucket = self.bucket(bucket).await;
        let answer = bucket
            .client
            .head_object()
            .bucket(&bucket.name)
            .key(key)
            .set_request_payer(bucket.payer.clone())
            .send()
            .await
            .map_err(|error| fetch_error(uri, error))?;
        let metadata = answer.metadata.unwrap_or_default().into_iter();
        Ok(metadata
            .map(|(name, value)| (name.to_ascii_lowercase(), value))
            .collect())
    }
}
