//! Options for reaching S3, as the aws CLI takes them, and places that are folders or buckets.

use anyhow::Context;
use tokio::runtime::Handle;

use crate::archive::S3Options;
use crate::lake::Store;

/// How S3 is reached. Everything else comes from the environment as the aws CLI reads it:
/// AWS_PROFILE, AWS_REGION, AWS_ACCESS_KEY_ID, AWS_ENDPOINT_URL, SSO, web identity, IMDS.
#[derive(clap::Args, Clone, Debug)]
#[command(next_help_heading = "S3")]
pub struct S3Args {
    /// Profile of ~/.aws/config and ~/.aws/credentials.
    #[arg(long, value_name = "NAME")]
    pub profile: Option<String>,

    /// Region to sign for, where it is not found by itself.
    #[arg(long, value_name = "REGION")]
    pub aws_region: Option<String>,

    /// Another S3 server; its buckets are addressed by path.
    #[arg(long, value_name = "URL")]
    pub endpoint_url: Option<String>,

    /// Agrees to pay for requests to a requester-pays bucket.
    #[arg(long)]
    pub requester_pays: bool,

    /// Sends requests without credentials, for public buckets.
    #[arg(long)]
    pub no_sign_request: bool,
}

impl S3Args {
    pub fn options(&self) -> S3Options {
        S3Options {
            profile: self.profile.clone(),
            region: self.aws_region.clone(),
            endpoint_url: self.endpoint_url.clone(),
            requester_pays: self.requester_pays,
            force_path_style: None,
            no_sign_request: self.no_sign_request,
        }
    }

    /// Names the profile beside a failure: the SDK does not say which one it could not use.
    pub fn name_profile<T>(&self, outcome: anyhow::Result<T>) -> anyhow::Result<T> {
        match &self.profile {
            Some(profile) => outcome.with_context(|| format!("with profile {profile:?}")),
            None => outcome,
        }
    }

    /// Opens a lake's place: a folder, or `s3://bucket/prefix`.
    pub fn open_store(&self, place: &str, runtime: &Handle) -> anyhow::Result<Store> {
        let Some(rest) = place.strip_prefix("s3://") else {
            return Ok(Store::local(place));
        };
        let (bucket, prefix) = rest.split_once('/').unwrap_or((rest, ""));
        let options = self.options();
        let client = runtime
            .block_on(async {
                let config = crate::archive::aws_config(&options).await;
                let region = crate::archive::bucket_region(bucket, &options, &config).await;
                crate::lake::s3::client(bucket, &config, region)
            })
            .with_context(|| format!("cannot reach {place}"))?;
        Ok(Store::s3(bucket, client, prefix, runtime.clone()))
    }
}

/// A runtime that waits; it computes nothing.
pub fn runtime() -> anyhow::Result<tokio::runtime::Runtime> {
    tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .context("cannot start the runtime that waits for the network")
}
