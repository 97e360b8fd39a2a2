//! Training input in S3: objects are brought to temporary files, read like any other, and removed with the value that
//! names them. Bounded by the space of the temporary folder; an object may have at most [`OBJECT_LIMIT_BYTES`].

use std::collections::BTreeMap;

use anyhow::Context as _;
use hodoscope_isolation_forest::InputFile;
use hodoscope_registry::objects::{ObjectLocation, Objects};
use tempfile::{TempDir, TempPath};

use super::super::Context;

/// The largest object that is fetched.
const OBJECT_LIMIT_BYTES: u64 = 64 << 30;
/// How names of objects start.
const SCHEME: &str = "s3://";

/// What was fetched, by the name a person gave.
#[derive(Default)]
pub(super) struct Fetched {
    files: BTreeMap<String, Vec<InputFile>>,
    /// Removed before the folder, in the order of the fields.
    _paths: Vec<TempPath>,
    _folder: Option<TempDir>,
}

impl Fetched {
    /// The files behind a name in S3; `None` for any other name.
    pub(super) fn get(&self, input: &str) -> Option<&[InputFile]> {
        self.files.get(input).map(Vec::as_slice)
    }
}

/// Fetches every input that starts with `s3://`.
pub(super) fn fetch(inputs: &[String], context: &Context) -> anyhow::Result<Fetched> {
    let mut fetched = Fetched::default();
    let remote: Vec<&String> = inputs
        .iter()
        .filter(|input| input.starts_with(SCHEME))
        .collect();
    if remote.is_empty() {
        return Ok(fetched);
    }
    let folder = tempfile::Builder::new()
        .prefix("hodoscope-train-")
        .tempdir();
    let folder = folder.context("failed to make a temporary folder")?;
    let options = crate::app::store_options(&context.config.store);
    for input in remote {
        let location: ObjectLocation = input.parse()?;
        let files = context.block_on(async {
            let objects = Objects::open(&location, &options.s3).await?;
            let mut files = Vec::new();
            for object in objects.list().await? {
                let path = objects
                    .download(&object, folder.path(), OBJECT_LIMIT_BYTES)
                    .await?;
                files.push((object.key, path));
            }
            anyhow::Ok(files)
        })??;
        let bucket = input
            .trim_start_matches(SCHEME)
            .split('/')
            .next()
            .unwrap_or_default();
        let named = fetched.files.entry(input.clone()).or_default();
        for (key, path) in files {
            named.push(InputFile {
                path: path.to_path_buf(),
                name: format!("{SCHEME}{bucket}/{key}"),
            });
            fetched._paths.push(path);
        }
    }
    fetched._folder = Some(folder);
    Ok(fetched)
}
