//! Finding a request among captured files: by name the files that may hold it, newest first; of each its end, by whose
//! statistics most are passed over; then the column of ids; and the whole file only if the id is in it.

use bytes::Bytes;
use hodoscope_registry::capture::{CaptureKey, CaptureKind, CaptureStore, Captured};
use hodoscope_release::DetectorName;

use crate::capture::table;
use crate::rows::{Pieces, holds_text, text_range};

/// A file's last bytes, which hold its footer unless it has thousands of columns.
const END_BYTES: u64 = 64 << 10;
/// The longest file that is taken into memory: several times what a host writes.
const FILE_LIMIT_BYTES: u64 = 256 << 20;

/// Where to look.
#[derive(Debug)]
pub(super) struct Place<'a> {
    pub(super) detector: Option<&'a DetectorName>,
    pub(super) days: Option<Vec<String>>,
    pub(super) request: &'a str,
}

/// A file that holds the request.
#[derive(Debug)]
pub(super) struct Found {
    pub(super) key: CaptureKey,
    pub(super) bytes: Bytes,
}

/// The start of a host that gave this id, which is in the names of the files that it wrote; `None` for a caller's own id.
pub(super) fn boot(request: &str) -> Option<&str> {
    let (boot, count) = request.split_once('-')?;
    let hex = |text: &str| !text.is_empty() && text.bytes().all(|b| b.is_ascii_hexdigit());
    (boot.len() == 16 && hex(boot) && hex(count)).then_some(boot)
}

/// The newest file with the request.
pub(super) async fn rows(store: &CaptureStore, place: &Place<'_>) -> anyhow::Result<Option<Found>> {
    for file in candidates(store, place).await? {
        match holds(store, &file, place.request).await {
            Ok(false) => {}
            Ok(true) => {
                let bytes = store.get(&file.key, FILE_LIMIT_BYTES).await?;
                let key = file.key;
                return Ok(Some(Found { key, bytes }));
            }
            // Retention deleted it meanwhile.
            Err(error) if is_missing(&error) => {}
            Err(error) => return Err(error.context(format!("failed to look into {}", file.key))),
        }
    }
    Ok(None)
}

/// The files that may hold the request, newest first.
async fn candidates(store: &CaptureStore, place: &Place<'_>) -> anyhow::Result<Vec<Captured>> {
    let mut prefixes = Vec::new();
    match (place.detector, &place.days) {
        (Some(detector), Some(days)) => {
            let of_day = |day: &String| CaptureKey::rows_of(detector, Some(day));
            prefixes.extend(days.iter().map(of_day));
        }
        (Some(detector), None) => prefixes.push(CaptureKey::rows_of(detector, None)),
        (None, _) => prefixes.push(CaptureKey::all_rows().to_owned()),
    }
    let mut files = Vec::new();
    for prefix in prefixes {
        files.extend(store.list(&prefix).await?);
    }
    files.retain(|file| is_of_days(&file.key, place.days.as_deref()));
    if let Some(boot) = boot(place.request) {
        let named = format!("-{boot}-");
        files.retain(|file| file.key.as_str().contains(&named));
    }
    files.sort_by_key(|file| match file.key.kind() {
        CaptureKind::Rows { hour, .. } => std::cmp::Reverse(hour.start_seconds()),
        _ => std::cmp::Reverse(0),
    });
    Ok(files)
}

fn is_of_days(key: &CaptureKey, days: Option<&[String]>) -> bool {
    match (key.kind(), days) {
        (CaptureKind::Rows { hour, .. }, Some(days)) => days.contains(&hour.day()),
        (CaptureKind::Rows { .. }, None) => true,
        _ => false,
    }
}

async fn holds(store: &CaptureStore, file: &Captured, request: &str) -> anyhow::Result<bool> {
    let length = file.size_bytes.min(END_BYTES);
    let start = file.size_bytes - length;
    let end = store
        .range(&file.key, start, usize::try_from(length)?)
        .await?;
    let mut pieces = Pieces::ending_in(file.size_bytes, end);
    let Some(range) = text_range(&pieces, table::REQUEST, request)? else {
        return Ok(false);
    };
    if range.start < start {
        let length = usize::try_from(range.end - range.start)?;
        let column = store.range(&file.key, range.start, length).await?;
        pieces.add(range.start, column);
    }
    Ok(holds_text(&pieces, table::REQUEST, request)?)
}

fn is_missing(error: &anyhow::Error) -> bool {
    let error = error.downcast_ref::<hodoscope_registry::StoreError>();
    error.is_some_and(hodoscope_registry::StoreError::is_missing)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_of_ours_names_the_start_of_the_host_that_gave_it() {
        assert_eq!(boot("0123456789abcdef-1f"), Some("0123456789abcdef"));
        for own in [
            "",
            "order-17",
            "0123456789abcdef-",
            "0123456789abcdef-x",
            "0123456789abcde-1",
        ] {
            assert_eq!(boot(own), None, "{own}");
        }
    }
}
