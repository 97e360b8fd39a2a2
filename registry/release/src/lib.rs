#![doc = include_str!("../README.md")]

mod channel;
mod digest;
pub mod evidence;
mod index;
mod name;
pub mod sections;
mod text;
pub mod window;

pub use channel::{Canary, ChannelDocument, ChannelError, DetectorChannel, Pin};
pub use digest::{Digest, DigestError};
pub use index::{INDEX_SCHEMA, IndexEntry};
pub use name::{ChannelName, DetectorName, NameError, ReleaseName};
pub use semver::Version;
