//! A store in a bucket. Every write carries its checksum and, those of verdicts apart, `If-None-Match: *`; every read has
//! a cap. The attempts at an operation are counted here and not in the SDK, so that one rule covers refused, broken-off
//! and damaged answers, and one deadline covers them all.

use std::fmt;
use std::sync::Arc;

use aws_sdk_s3::Client;
use aws_sdk_s3::operation::put_object::builders::PutObjectFluentBuilder;
use aws_sdk_s3::primitives::ByteStream;
use aws_sdk_s3::types::ChecksumMode;
use bytes::{Bytes, BytesMut};
use hodoscope_release::Digest;

use super::{Creation, StoreError};
use crate::key::Key;
use crate::location::S3Options;

pub(crate) mod connect;
pub(crate) mod fault;
pub(crate) mod patience;

use fault::{Action, Place};
use patience::Patience;

/// Pages of a listing that are read before it is given up: 1,000 keys each.
const PAGE_LIMIT: usize = 10_000;

/// A bucket and what stands before every key.
#[derive(Debug, Clone)]
pub struct S3Store {
    client: Client,
    name: Arc<str>,
    bucket: Arc<str>,
    prefix: Arc<str>,
    patience: Patience,
}

impl S3Store {
    pub(super) async fn open(
        bucket: &str,
        prefix: &str,
        options: &S3Options,
    ) -> Result<Self, StoreError> {
        let prefix = if prefix.is_empty() {
            String::new()
        } else {
            format!("{prefix}/")
        };
        let name = format!("s3://{bucket}/{prefix}");
        let name: Arc<str> = name.trim_end_matches('/').into();
        Ok(Self {
            client: connect::client(options, &name).await?,
            patience: Patience::from(options),
            bucket: bucket.into(),
            prefix: prefix.into(),
            name,
        })
    }

    pub(super) async fn create(&self, key: &Key, bytes: Bytes) -> Result<Creation, StoreError> {
        let place = self.place(key.as_str(), Action::Write);
        self.patience
            .attempt(&place, |earlier| {
                self.create_once(&place, bytes.clone(), earlier)
            })
            .await
    }

    async fn create_once(
        &self,
        place: &Place,
        bytes: Bytes,
        earlier: u32,
    ) -> Result<Creation, StoreError> {
        let put = self.put(place, bytes).if_none_match("*");
        match put.send().await {
            Ok(_) => Ok(Creation::Created),
            Err(error) if fault::status(&error) == Some(412) && earlier == 0 => {
                Ok(Creation::Exists)
            }
            Err(error) if fault::status(&error) == Some(412) => Ok(Creation::Unsure),
            Err(error) => Err(place.explain(&error)),
        }
    }

    /// A write of these bytes with their checksum, without a condition yet.
    fn put(&self, place: &Place, bytes: Bytes) -> PutObjectFluentBuilder {
        self.client
            .put_object()
            .bucket(&*self.bucket)
            .key(format!("{}{}", self.prefix, place.key))
            .checksum_sha256(base64(Digest::of(&bytes).as_bytes()))
            .content_length(i64::try_from(bytes.len()).unwrap_or(i64::MAX))
            .body(ByteStream::from(bytes))
    }

    /// Writes a key that may be there already.
    pub(crate) async fn replace(&self, key: &Key, bytes: Bytes) -> Result<(), StoreError> {
        let place = self.place(key.as_str(), Action::Write);
        let once = async |bytes| match self.put(&place, bytes).send().await {
            Ok(_) => Ok(()),
            Err(error) => Err(place.explain(&error)),
        };
        self.patience.attempt(&place, |_| once(bytes.clone())).await
    }

    pub(super) async fn read(
        &self,
        key: &Key,
        limit_bytes: u64,
        digest: Option<Digest>,
    ) -> Result<Bytes, StoreError> {
        let place = self.place(key.as_str(), Action::Read);
        self.patience
            .attempt(&place, |_| self.read_once(&place, key, limit_bytes, digest))
            .await
    }

    async fn read_once(
        &self,
        place: &Place,
        key: &Key,
        limit_bytes: u64,
        digest: Option<Digest>,
    ) -> Result<Bytes, StoreError> {
        let mut get = self
            .client
            .get_object()
            .bucket(&*self.bucket)
            .key(format!("{}{key}", self.prefix));
        if digest.is_none() {
            // Nothing in the name tells what the bytes must be, so the server's checksum is asked for.
            get = get.checksum_mode(ChecksumMode::Enabled);
        }
        let answer = get.send().await.map_err(|error| place.explain(&error))?;
        let announced = answer
            .content_length()
            .and_then(|length| u64::try_from(length).ok());
        let bytes = self
            .collect(place, answer.body, announced, limit_bytes)
            .await?;
        match digest {
            Some(expected) => super::check(&self.name, key, bytes, expected),
            None => Ok(bytes),
        }
    }

    /// So many bytes from `start` on; fewer are an error.
    pub(crate) async fn range(
        &self,
        key: &Key,
        start: u64,
        length: usize,
    ) -> Result<Bytes, StoreError> {
        let place = self.place(key.as_str(), Action::Read);
        let length = length as u64;
        let range = format!("bytes={start}-{}", (start + length).saturating_sub(1));
        let once = async || {
            let get = self
                .client
                .get_object()
                .bucket(&*self.bucket)
                .key(format!("{}{key}", self.prefix))
                .range(&range);
            let answer = get.send().await.map_err(|error| place.explain(&error))?;
            let bytes = self
                .collect(&place, answer.body, Some(length), length)
                .await?;
            Ok(bytes)
        };
        self.patience.attempt(&place, |_| once()).await
    }

    async fn collect(
        &self,
        place: &Place,
        mut body: ByteStream,
        announced: Option<u64>,
        limit_bytes: u64,
    ) -> Result<Bytes, StoreError> {
        let too_large = |size_bytes| StoreError::TooLarge {
            store: self.name.to_string(),
            key: place.key.clone(),
            size_bytes,
            limit_bytes,
        };
        if let Some(size_bytes) = announced.filter(|size| *size > limit_bytes) {
            return Err(too_large(size_bytes));
        }
        let mut bytes = BytesMut::with_capacity(
            announced
                .and_then(|size| usize::try_from(size).ok())
                .unwrap_or(0),
        );
        while let Some(chunk) = self
            .patience
            .chunk(place, &mut body, bytes.len() as u64)
            .await?
        {
            bytes.extend_from_slice(&chunk);
            if bytes.len() as u64 > limit_bytes {
                return Err(too_large(bytes.len() as u64));
            }
        }
        match announced {
            Some(size) if size != bytes.len() as u64 => {
                Err(place.incomplete(bytes.len() as u64, format!("{size} were announced")))
            }
            _ => Ok(bytes.freeze()),
        }
    }

    pub(super) async fn list(&self, prefix: &str) -> Result<Vec<String>, StoreError> {
        let found = self.list_sized(prefix).await?;
        Ok(found.into_iter().map(|(key, _)| key).collect())
    }

    /// Every key that starts so, with its length.
    pub(crate) async fn list_sized(&self, prefix: &str) -> Result<Vec<(String, u64)>, StoreError> {
        let full = format!("{}{prefix}", self.prefix);
        let place = self.place(prefix, Action::List);
        let found = connect::list(
            &self.client,
            &self.patience,
            &place,
            &self.bucket,
            &full,
            PAGE_LIMIT,
        )
        .await?;
        let own = |object: connect::Found| {
            let key = object.key.strip_prefix(&*self.prefix)?.to_owned();
            Some((key, object.size_bytes))
        };
        Ok(found.into_iter().filter_map(own).collect())
    }

    fn place(&self, key: &str, action: Action) -> Place {
        Place {
            store: self.name.to_string(),
            key: key.to_owned(),
            action,
        }
    }
}

impl fmt::Display for S3Store {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.name)
    }
}

/// RFC 4648, as the checksum headers want it.
fn base64(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut text = String::with_capacity(bytes.len().div_ceil(3) * 4);
    for chunk in bytes.chunks(3) {
        let three = [0, 1, 2].map(|index| chunk.get(index).copied().map_or(0, u32::from));
        let bits = three.iter().fold(0, |bits, byte| bits << 8 | byte);
        for digit in 0..4 {
            let value = (bits >> (18 - 6 * digit)) & 63;
            let shown = DIGITS.get(value as usize).filter(|_| digit <= chunk.len());
            text.push(shown.map_or('=', |digit| char::from(*digit)));
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::base64;

    /// The test vectors of RFC 4648, section 10.
    #[test]
    fn writes_base64_with_padding() {
        let expected = [
            "", "Zg==", "Zm8=", "Zm9v", "Zm9vYg==", "Zm9vYmE=", "Zm9vYmFy",
        ];
        for (length, text) in expected.into_iter().enumerate() {
            assert_eq!(base64(&b"foobar"[..length]), text);
        }
    }
}
