//! The SDK's client, made from our options and its usual chain of environment, profile and roles; and the one listing
//! loop that the store and the training input share.

use aws_config::retry::RetryConfig;
use aws_config::timeout::TimeoutConfig;
use aws_config::{BehaviorVersion, Region, SdkConfig};
use aws_sdk_s3::Client;
use aws_sdk_s3::config::{
    Builder, Credentials, RequestChecksumCalculation, ResponseChecksumValidation,
};

use super::fault::Place;
use super::patience::Patience;
use crate::StoreError;
use crate::location::{S3Credentials, S3Options};

/// What servers that are not AWS take for a region.
const LOCAL_REGION: &str = "us-east-1";

/// One object of a listing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Found {
    pub(crate) key: String,
    pub(crate) size_bytes: u64,
}

pub(crate) async fn client(options: &S3Options, store: &str) -> Result<Client, StoreError> {
    let shared = shared(options).await;
    let endpoint = options.endpoint.as_deref().or(shared.endpoint_url());
    let mut builder = Builder::from(&shared)
        .force_path_style(options.path_style)
        .request_checksum_calculation(RequestChecksumCalculation::WhenRequired)
        .response_checksum_validation(ResponseChecksumValidation::WhenRequired);
    if shared.region().is_none() {
        if endpoint.is_none() {
            return Err(StoreError::Region {
                store: store.to_owned(),
            });
        }
        builder = builder.region(Region::from_static(LOCAL_REGION));
    }
    if let Some(endpoint) = &options.endpoint {
        builder = builder.endpoint_url(endpoint);
    }
    Ok(Client::from_conf(builder.build()))
}

async fn shared(options: &S3Options) -> SdkConfig {
    let timeouts = TimeoutConfig::builder()
        .connect_timeout(options.connect_timeout)
        .operation_attempt_timeout(options.attempt_timeout)
        .build();
    // Attempts are counted by `Patience`.
    let mut loader = aws_config::defaults(BehaviorVersion::latest())
        .retry_config(RetryConfig::disabled())
        .timeout_config(timeouts);
    if let Some(region) = &options.region {
        loader = loader.region(Region::new(region.clone()));
    }
    if let S3Credentials::Fixed { id, secret } = &options.credentials {
        loader = loader.credentials_provider(Credentials::new(id, secret, None, None, "fixed"));
    }
    loader.load().await
}

/// All objects whose key starts with `prefix`, in the server's order, which is that of the bytes.
pub(crate) async fn list(
    client: &Client,
    patience: &Patience,
    place: &Place,
    bucket: &str,
    prefix: &str,
    page_limit: usize,
) -> Result<Vec<Found>, StoreError> {
    let mut found = Vec::new();
    let mut token: Option<String> = None;
    for _ in 0..page_limit {
        let request = client
            .list_objects_v2()
            .bucket(bucket)
            .prefix(prefix)
            .set_continuation_token(token);
        let page = patience
            .attempt(place, |_| async {
                request
                    .clone()
                    .send()
                    .await
                    .map_err(|error| place.explain(&error))
            })
            .await?;
        for object in page.contents() {
            if let Some(key) = object.key() {
                let size_bytes = object
                    .size()
                    .and_then(|size| u64::try_from(size).ok())
                    .unwrap_or(0);
                found.push(Found {
                    key: key.to_owned(),
                    size_bytes,
                });
            }
        }
        token = page.next_continuation_token().map(str::to_owned);
        if token.is_none() || page.is_truncated() != Some(true) {
            return Ok(found);
        }
    }
    Err(StoreError::Refused {
        store: place.store.clone(),
        key: place.key.clone(),
        cause: format!("the listing has more than {page_limit} pages; use a narrower prefix"),
    })
}
