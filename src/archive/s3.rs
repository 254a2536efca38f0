//! The client of one bucket: configuration, region, and the fetch of an object.

use std::collections::hash_map::RandomState;
use std::error::Error;
use std::hash::{BuildHasher, Hasher};
use std::time::Duration;

use aws_config::environment::EnvironmentVariableRegionProvider;
use aws_config::meta::region::RegionProviderChain;
use aws_config::profile::{ProfileFileCredentialsProvider, ProfileFileRegionProvider};
use aws_config::provider_config::ProviderConfig;
use aws_config::retry::RetryConfig;
use aws_config::timeout::TimeoutConfig;
use aws_config::{BehaviorVersion, SdkConfig};
use aws_sdk_s3::Client;
use aws_sdk_s3::config::HttpClient;
use aws_sdk_s3::config::http::HttpResponse;
use aws_sdk_s3::config::retry::{RetryPartition, TokenBucket};
use aws_sdk_s3::config::{Config, Region};
use aws_sdk_s3::error::{ProvideErrorMetadata, SdkError};
use aws_sdk_s3::operation::get_object::GetObjectOutput;
use aws_sdk_s3::types::RequestPayer;
use aws_smithy_http_client::tls;
use aws_smithy_http_client::tls::rustls_provider::CryptoMode;
use bytes::Bytes;

use super::{BoxError, FetchError, ListError, Refusal, WithMetadata, check_size};

/// How often the SDK sends a request before its error counts.
const ATTEMPTS: u32 = 8;
/// How often an object is asked for whose body breaks off, which the SDK does not retry.
const BODY_ATTEMPTS: u32 = 6;
/// The SDK waits a random part of this, doubled with each attempt.
const FIRST_BACKOFF: Duration = Duration::from_millis(100);
const MAX_BACKOFF: Duration = Duration::from_secs(20);
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
/// Until the first byte of an answer; a body that stalls later is ended by the SDK's own watch.
const READ_TIMEOUT: Duration = Duration::from_secs(60);
/// The bucket's region is asked for before the listing, which has the full number of attempts.
const REGION_ATTEMPTS: u32 = 3;
/// Where a client without a region begins; every region answers with the right one.
const DEFAULT_REGION: &str = "us-east-1";
const REGION_HEADER: &str = "x-amz-bucket-region";

/// How to reach S3; what is None comes from the environment and the profile, as for every AWS tool.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct S3Options {
    pub profile: Option<String>,
    pub region: Option<String>,
    /// Another server than AWS; AWS_ENDPOINT_URL_S3 and AWS_ENDPOINT_URL do the same.
    pub endpoint_url: Option<String>,
    /// Agrees to pay for requests to a bucket whose owner does not.
    pub requester_pays: bool,
    /// The bucket in the path, not in the host name. None: if there is an endpoint URL.
    pub force_path_style: Option<bool>,
    /// Sends no credentials, for public buckets.
    pub no_sign_request: bool,
}

/// Loads credentials, region and endpoint by the SDK's default chain, with an HTTP client that has TLS.
pub async fn aws_config(options: &S3Options) -> SdkConfig {
    let http_client = aws_smithy_http_client::Builder::new()
        .tls_provider(tls::Provider::Rustls(CryptoMode::Ring))
        .build_https();
    let retry = RetryConfig::standard()
        .with_max_attempts(ATTEMPTS)
        .with_initial_backoff(FIRST_BACKOFF)
        .with_max_backoff(MAX_BACKOFF);
    let timeout = TimeoutConfig::builder()
        .connect_timeout(CONNECT_TIMEOUT)
        .read_timeout(READ_TIMEOUT)
        .build();
    let mut loader = aws_config::defaults(BehaviorVersion::latest())
        .http_client(http_client.clone())
        .retry_config(retry)
        .timeout_config(timeout);
    if let Some(profile) = &options.profile {
        loader = loader
            .profile_name(profile)
            .credentials_provider(profile_credentials(profile, http_client).await);
    }
    if let Some(region) = &options.region {
        loader = loader.region(Region::new(region.clone()));
    }
    if let Some(endpoint_url) = &options.endpoint_url {
        loader = loader.endpoint_url(endpoint_url);
    }
    if options.no_sign_request {
        loader = loader.no_credentials();
    }
    loader.load().await
}

fn client_builder(options: &S3Options, config: &SdkConfig) -> aws_sdk_s3::config::Builder {
    let has_endpoint = config.endpoint_url().is_some()
        || std::env::var_os("AWS_ENDPOINT_URL_S3").is_some_and(|url| !url.is_empty());
    let mut builder = aws_sdk_s3::config::Builder::from(config)
        .force_path_style(options.force_path_style.unwrap_or(has_endpoint))
        // The SDK's own allowance of retries runs dry when a server is slow for long; a long listing
        // must wait then, not fail. Attempts and back-off still bound each request.
        .retry_partition(
            RetryPartition::custom("archive")
                .token_bucket(TokenBucket::unlimited())
                .build(),
        );
    if config.region().is_none() {
        builder = builder.region(Region::new(DEFAULT_REGION));
    }
    builder
}

/// Asks for the region of a bucket, whatever region is configured; None where nobody says.
pub async fn bucket_region(
    bucket: &str,
    options: &S3Options,
    config: &SdkConfig,
) -> Option<String> {
    let client = Client::from_conf(client_builder(options, config).build());
    region_of(&client, bucket).await
}

/// One object to be fetched: as it was listed, or as it is.
#[derive(Clone, Copy, Debug)]
pub(super) struct Wanted<'a> {
    pub(super) uri: &'a str,
    pub(super) key: &'a str,
    /// What the listing gave; None takes the object whatever its size.
    pub(super) size: Option<u64>,
    pub(super) etag: Option<&'a str>,
    /// The most bytes that it may have.
    pub(super) limit: u64,
}

/// The credentials of a profile that is asked for by name, and of no other place.
///
/// The SDK's own chain would let keys in the environment go before it, and where there is no such
/// profile go on to the machine's role. The aws CLI does neither.
async fn profile_credentials(
    profile: &str,
    http_client: impl HttpClient + 'static,
) -> ProfileFileCredentialsProvider {
    // The region of the STS that a profile with a role asks.
    let of_profile = ProfileFileRegionProvider::builder()
        .profile_name(profile)
        .build();
    let region = RegionProviderChain::first_try(EnvironmentVariableRegionProvider::new())
        .or_else(of_profile);
    let config = ProviderConfig::without_region()
        .with_region(region.region().await)
        .with_http_client(http_client);
    ProfileFileCredentialsProvider::builder()
        .profile_name(profile)
        .configure(&config)
        .build()
}

/// One bucket with the client for its region.
#[derive(Debug)]
pub(super) struct Bucket {
    pub(super) name: String,
    pub(super) client: Client,
    pub(super) payer: Option<RequestPayer>,
}

impl Bucket {
    /// Makes the client, and asks the bucket for its region, which may differ from the configured one.
    pub(super) async fn open(name: &str, options: &S3Options, config: &SdkConfig) -> Bucket {
        let mut builder = client_builder(options, config);
        let mut client = Client::from_conf(builder.clone().build());
        if let Some(region) = region_of(&client, name).await
            && client.config().region().map(Region::as_ref) != Some(region.as_str())
        {
            tracing::info!(bucket = name, region, "the bucket is in another region");
            builder = builder.region(Region::new(region));
            client = Client::from_conf(builder.build());
        }
        Bucket {
            name: name.to_owned(),
            client,
            payer: options.requester_pays.then_some(RequestPayer::Requester),
        }
    }

    /// Fetches all bytes of an object, or says why not; a body that breaks off is read again.
    pub(super) async fn fetch(&self, wanted: Wanted<'_>) -> Result<WithMetadata, FetchError> {
        let mut attempt = 1;
        loop {
            match self.fetch_once(wanted).await {
                Err(FetchError::Short { source, .. }) if attempt < BODY_ATTEMPTS => {
                    tracing::debug!(uri = wanted.uri, attempt, ?source, "came short");
                    tokio::time::sleep(backoff(attempt)).await;
                    attempt += 1;
                }
                result => return result,
            }
        }
    }

    async fn fetch_once(&self, wanted: Wanted<'_>) -> Result<WithMetadata, FetchError> {
        let mut answer = self
            .client
            .get_object()
            .bucket(&self.name)
            .key(wanted.key)
            .set_if_match(wanted.etag.map(str::to_owned))
            .set_request_payer(self.payer.clone())
            .send()
            .await
            .map_err(|error| fetch_error(wanted.uri, error))?;
        // Not every server honours If-Match.
        let other_etag = match (wanted.etag, answer.e_tag()) {
            (Some(listed), Some(now)) => listed != now,
            _ => false,
        };
        let length = answer
            .content_length()
            .and_then(|length| u64::try_from(length).ok());
        let other_size = wanted.size.is_some() && length.is_some() && wanted.size != length;
        if other_etag || other_size {
            return Err(FetchError::Changed {
                uri: wanted.uri.to_owned(),
            });
        }
        let size = wanted.size.or(length).unwrap_or(0);
        check_size(wanted.uri, size, wanted.limit)?;
        let metadata = answer.metadata.take().unwrap_or_default();
        Ok(WithMetadata {
            bytes: read_body(wanted.uri, size, answer).await?,
            metadata: metadata.into_iter().collect(),
        })
    }
}

async fn read_body(uri: &str, size: u64, mut answer: GetObjectOutput) -> Result<Bytes, FetchError> {
    let mut body =
        Vec::with_capacity(usize::try_from(size).expect("the size is below MAX_OBJECT_BYTES"));
    let broken = loop {
        match answer.body.next().await {
            Some(Ok(chunk)) => body.extend_from_slice(&chunk),
            Some(Err(error)) => break Some(error.into()),
            None => break None,
        }
        if body.len() as u64 > size {
            return Err(FetchError::Changed {
                uri: uri.to_owned(),
            });
        }
    };
    if broken.is_none() && body.len() as u64 == size {
        return Ok(body.into());
    }
    Err(FetchError::Short {
        uri: uri.to_owned(),
        expected: size,
        received: body.len() as u64,
        source: broken,
    })
}

/// S3 names the region in a header even where it refuses the request.
async fn region_of(client: &Client, bucket: &str) -> Option<String> {
    let retry = RetryConfig::standard()
        .with_max_attempts(REGION_ATTEMPTS)
        .with_initial_backoff(FIRST_BACKOFF);
    let answer = client
        .head_bucket()
        .bucket(bucket)
        .customize()
        .config_override(Config::builder().retry_config(retry))
        .send()
        .await;
    match answer {
        Ok(answer) => answer.bucket_region().map(str::to_owned),
        Err(error) => {
            let region = error
                .raw_response()
                .and_then(|response| response.headers().get(REGION_HEADER))
                .map(str::to_owned);
            if region.is_none() {
                tracing::debug!(bucket, error = ?error, "the bucket's region is not known");
            }
            region
        }
    }
}

/// A random part of a doubling wait, so that many readers do not come back at once.
fn backoff(attempt: u32) -> Duration {
    let whole = FIRST_BACKOFF
        .saturating_mul(1 << attempt.min(10))
        .min(MAX_BACKOFF);
    let random = RandomState::new().build_hasher().finish() as u32;
    whole.mul_f64(f64::from(random) / f64::from(u32::MAX))
}

pub(super) fn fetch_error<E>(uri: &str, error: SdkError<E, HttpResponse>) -> FetchError
where
    E: Error + ProvideErrorMetadata + Send + Sync + 'static,
{
    let uri = uri.to_owned();
    let refusal = match refusal(error) {
        Ok(refusal) => refusal,
        Err(source) => return FetchError::Other { uri, source },
    };
    match (refusal.code.as_str(), refusal.status) {
        ("NoSuchBucket", _) => FetchError::Other {
            uri,
            source: refusal.into(),
        },
        ("InvalidObjectState", _) => FetchError::Frozen { uri },
        (_, 404) => FetchError::Gone { uri },
        (_, 412) => FetchError::Changed { uri },
        (_, 401 | 403) => FetchError::Denied {
            uri,
            source: refusal.into(),
        },
        _ => FetchError::Other {
            uri,
            source: refusal.into(),
        },
    }
}

pub(super) fn list_error<E>(error: SdkError<E, HttpResponse>) -> ListError
where
    E: Error + ProvideErrorMetadata + Send + Sync + 'static,
{
    match refusal(error) {
        Ok(refusal) if matches!(refusal.status, 401 | 403) => ListError::Denied(refusal.into()),
        Ok(refusal) if refusal.status == 404 => ListError::NotFound(refusal.into()),
        Ok(refusal) => ListError::Other(refusal.into()),
        Err(error) => ListError::Other(error),
    }
}

/// Takes the answer of the service out of an SDK error; any other error comes back as it is.
fn refusal<E>(error: SdkError<E, HttpResponse>) -> Result<Refusal, BoxError>
where
    E: Error + ProvideErrorMetadata + Send + Sync + 'static,
{
    let SdkError::ServiceError(answer) = &error else {
        return Err(error.into());
    };
    let metadata = answer.err().meta();
    Ok(Refusal {
        code: metadata.code().unwrap_or("no error code").to_owned(),
        message: metadata.message().unwrap_or("no message").to_owned(),
        status: answer.raw().status().as_u16(),
        source: error.into(),
    })
}
