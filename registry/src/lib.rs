#![doc = include_str!("../README.md")]

pub mod capture;
pub mod channels;
pub mod forge;
mod key;
mod location;
pub mod objects;
mod store;
pub mod tracking;

pub use key::Key;
pub use location::{LocationError, S3Credentials, S3Options, StoreLocation, StoreOptions};
pub use store::{DOCUMENT_LIMIT_BYTES, Listed, Listing, Pushed, Store, StoreError, Yank};

#[doc(hidden)]
pub use location::Probe;
#[doc(hidden)]
pub use store::Step;
