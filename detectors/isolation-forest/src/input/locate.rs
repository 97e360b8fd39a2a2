//! From what a person names (a file, a folder, a pattern) to the files to read, in an order that is always the same.

use std::path::{Path, PathBuf};

use super::{InputError, InputFile};

/// The files behind a name: a file is itself, a folder its tables (not those below it), a pattern whatever matches.
/// Sorted by path, so that the order of rows does not depend on the file system.
pub fn locate(name: &str) -> Result<Vec<InputFile>, InputError> {
    let path = Path::new(name);
    let paths = if path.is_dir() {
        folder(path, name)?
    } else if !path.exists() && name.contains(['*', '?', '[']) {
        let matches = glob::glob(name)
            .map_err(|error| InputError::Pattern(name.to_owned(), error.to_string()))?;
        matches
            .filter_map(Result::ok)
            .filter(|path| path.is_file())
            .collect()
    } else {
        return Ok(vec![InputFile {
            path: path.to_path_buf(),
            name: name.to_owned(),
        }]);
    };
    let mut paths: Vec<PathBuf> = paths;
    paths.sort();
    if paths.is_empty() {
        return Err(InputError::Nothing(name.to_owned()));
    }
    let named = paths.into_iter().map(|path| InputFile {
        name: path.display().to_string(),
        path,
    });
    Ok(named.collect())
}

fn folder(path: &Path, name: &str) -> Result<Vec<PathBuf>, InputError> {
    let io = |source| InputError::Io {
        file: name.to_owned(),
        source,
    };
    let mut found = Vec::new();
    for entry in std::fs::read_dir(path).map_err(io)? {
        let path = entry.map_err(io)?.path();
        if path.is_file() && is_table(&path) {
            found.push(path);
        }
    }
    Ok(found)
}

fn is_table(path: &Path) -> bool {
    let name = path
        .file_name()
        .and_then(|name| name.to_str())
        .unwrap_or_default();
    let name = name.to_ascii_lowercase();
    !name.starts_with(['.', '_'])
        && [".csv", ".csv.gz", ".parquet"]
            .iter()
            .any(|end| name.ends_with(end))
}
