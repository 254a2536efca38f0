//! A client for a lake in S3, with the credentials that the archive is read with.

use std::sync::Arc;

use aws_config::SdkConfig;
use aws_sdk_s3::config::{ProvideCredentials, SharedCredentialsProvider};
use futures::future::BoxFuture;
use object_store::aws::{AmazonS3, AmazonS3Builder, AwsCredential};
use object_store::{ClientOptions, CredentialProvider};

/// The region signed for where neither profile nor environment names one.
const DEFAULT_REGION: &str = "us-east-1";

/// Hands the credentials of the AWS chain (profile, SSO, environment, web identity, IMDS) to the
/// lake's store, each time anew: the chain caches and renews them.
#[derive(Debug)]
struct ChainCredentials(SharedCredentialsProvider);

impl CredentialProvider for ChainCredentials {
    type Credential = AwsCredential;

    // What `async fn` in the trait, which is made with async-trait, expands to.
    fn get_credential<'own, 'future>(
        &'own self,
    ) -> BoxFuture<'future, object_store::Result<Arc<AwsCredential>>>
    where
        'own: 'future,
        Self: 'future,
    {
        Box::pin(async {
            let credentials = self.0.provide_credentials().await;
            let credentials = credentials.map_err(|source| object_store::Error::Generic {
                store: "S3",
                source: Box::new(source),
            })?;
            Ok(Arc::new(AwsCredential {
                key_id: credentials.access_key_id().to_owned(),
                secret_key: credentials.secret_access_key().to_owned(),
                token: credentials.session_token().map(str::to_owned),
            }))
        })
    }
}

/// A client for one bucket. `region` is the bucket's where it is known.
pub fn client(
    bucket: &str,
    config: &SdkConfig,
    region: Option<String>,
) -> object_store::Result<AmazonS3> {
    let configured = config.region().map(ToString::to_string);
    let mut builder = AmazonS3Builder::new().with_bucket_name(bucket).with_region(
        region
            .or(configured)
            .unwrap_or_else(|| DEFAULT_REGION.to_owned()),
    );
    builder = match config.credentials_provider() {
        Some(provider) => builder.with_credentials(Arc::new(ChainCredentials(provider))),
        None => builder.with_skip_signature(true),
    };
    if let Some(endpoint) = config.endpoint_url() {
        builder = builder
            .with_endpoint(endpoint)
            .with_virtual_hosted_style_request(false)
            .with_client_options(ClientOptions::new().with_allow_http(true));
    }
    builder.build()
}
