//! CSV (also gzip and standard input) and NDJSON: the input is cut at line ends into pieces that are parsed in
//! parallel. A line end inside a quoted CSV field is no line end.

use std::collections::BTreeSet;
use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use parquet::basic::Type as Physical;
use parquet::data_type::ByteArray;
use parquet::schema::types::TypePtr;
use rayon::prelude::*;

use super::cells::{Cells, Values};
use super::{Block, Piece, RowsError, Selection, json};

/// Text of a block; it grows only for a line that does not fit.
const BLOCK_BYTES: usize = 8 << 20;
/// A line longer than this is no row.
const LINE_LIMIT_BYTES: usize = 64 << 20;
/// Text parsed by one task.
const PIECE_BYTES: usize = 1 << 20;
/// So many first rows of NDJSON tell which columns there are.
const NAMED_BY_ROWS: usize = 1000;

#[derive(Debug, Clone, Copy, PartialEq)]
enum Format {
    /// With this separator.
    Csv(u8),
    Json,
}

/// An opened text table.
pub(super) struct Source {
    input: Input,
    format: Format,
    columns: Vec<String>,
}

/// The bytes, and how many of the file's own were consumed.
struct Input {
    bytes: Box<dyn Read + Send>,
    /// Read, but not yet given out; starts at a line.
    pending: Vec<u8>,
    ended: bool,
    consumed: Arc<AtomicU64>,
    length: Option<u64>,
}

/// Reads the selected columns block by block.
pub(super) struct Reader {
    input: Input,
    columns: Columns,
    rows: u64,
}

struct Columns {
    format: Format,
    features: Vec<String>,
    keep: Vec<String>,
    /// For CSV: where each feature, then each kept column stands.
    positions: Vec<usize>,
    width: usize,
}

struct Counted<R> {
    inner: R,
    consumed: Arc<AtomicU64>,
}

/// A row that cannot be read: its place in the piece, and why.
#[derive(Debug)]
pub(super) struct Bad {
    pub(super) row: usize,
    pub(super) reason: String,
}

impl<R: Read> Read for Counted<R> {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        let read = self.inner.read(buffer)?;
        self.consumed.fetch_add(read as u64, Ordering::Relaxed);
        Ok(read)
    }
}

impl std::fmt::Debug for Source {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Source")
            .field("columns", &self.columns)
            .finish_non_exhaustive()
    }
}

impl std::fmt::Debug for Reader {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Reader")
            .field("rows", &self.rows)
            .finish_non_exhaustive()
    }
}

impl Source {
    /// Opens `path`; `name` is its lowercase spelling.
    pub(super) fn open(path: &Path, name: &str) -> Result<Self, RowsError> {
        let plain = name.strip_suffix(".gz").unwrap_or(name);
        let format = match plain {
            "-" => Format::Csv(b','),
            _ if plain.ends_with(".csv") || plain.ends_with(".tsv") => Format::Csv(b','),
            _ if plain.ends_with(".ndjson") || plain.ends_with(".jsonl") => Format::Json,
            _ => {
                return Err(RowsError::UnknownFormat {
                    path: path.to_path_buf(),
                });
            }
        };
        let consumed = Arc::new(AtomicU64::new(0));
        let (raw, length): (Box<dyn Read + Send>, _) = if name == "-" {
            (Box::new(std::io::stdin()), None)
        } else {
            let read = |source| RowsError::Read {
                path: path.to_path_buf(),
                source,
            };
            let file = File::open(path).map_err(read)?;
            let length = file.metadata().map_err(read)?.len();
            (Box::new(file), Some(length))
        };
        let counted = Counted {
            inner: raw,
            consumed: Arc::clone(&consumed),
        };
        let bytes: Box<dyn Read + Send> = if plain == name {
            Box::new(counted)
        } else {
            Box::new(flate2::read::MultiGzDecoder::new(std::io::BufReader::new(
                counted,
            )))
        };
        let mut input = Input {
            bytes,
            pending: Vec::new(),
            ended: false,
            consumed,
            length,
        };
        let (format, columns) = match format {
            Format::Csv(_) => input.csv_header(path)?,
            Format::Json => (format, input.json_names(path)?),
        };
        Ok(Self {
            input,
            format,
            columns,
        })
    }

    pub(super) fn columns(&self) -> &[String] {
        &self.columns
    }

    pub(super) fn bytes(&self) -> Option<u64> {
        self.input.length
    }

    pub(super) fn select(self, selection: &Selection) -> Reader {
        let place = |name: &String| {
            self.columns
                .iter()
                .position(|c| c == name)
                .unwrap_or(usize::MAX)
        };
        let positions = selection
            .features
            .iter()
            .chain(&selection.keep)
            .map(place)
            .collect();
        Reader {
            columns: Columns {
                format: self.format,
                features: selection.features.clone(),
                keep: selection.keep.clone(),
                positions,
                width: self.columns.len(),
            },
            input: self.input,
            rows: 0,
        }
    }
}

impl Input {
    /// Fills `pending` up to `target` bytes, or less at the end of the input.
    fn fill(&mut self, path: &Path, target: usize) -> Result<(), RowsError> {
        let missing = target.saturating_sub(self.pending.len());
        if missing == 0 || self.ended {
            return Ok(());
        }
        let read = (&mut self.bytes)
            .take(missing as u64)
            .read_to_end(&mut self.pending)
            .map_err(|source| RowsError::Read {
                path: path.to_path_buf(),
                source,
            })?;
        self.ended = read < missing;
        Ok(())
    }

    /// Takes whole lines of about a block; empty at the end of the input.
    fn lines(&mut self, path: &Path, format: Format) -> Result<Vec<u8>, RowsError> {
        let mut target = BLOCK_BYTES;
        loop {
            self.fill(path, target)?;
            if self.ended {
                return Ok(std::mem::take(&mut self.pending));
            }
            if let Some(end) = line_ends(&self.pending, format).last() {
                let rest = self.pending.split_off(end);
                return Ok(std::mem::replace(&mut self.pending, rest));
            }
            if target >= LINE_LIMIT_BYTES {
                let reason =
                    format!("no line end within {LINE_LIMIT_BYTES} bytes; is a quote left open?");
                return Err(RowsError::BadRow {
                    path: path.to_path_buf(),
                    row: 1,
                    reason,
                });
            }
            target *= 2;
        }
    }

    /// Reads the header and leaves `pending` behind it.
    fn csv_header(&mut self, path: &Path) -> Result<(Format, Vec<String>), RowsError> {
        self.fill(path, BLOCK_BYTES)?;
        if self.pending.starts_with(b"\xef\xbb\xbf") {
            self.pending.drain(..3);
        }
        let end = line_ends(&self.pending, Format::Csv(b','))
            .next()
            .unwrap_or(self.pending.len());
        let header: Vec<u8> = self.pending.drain(..end).collect();
        let separator = separator(&header);
        let mut reader = csv::ReaderBuilder::new()
            .has_headers(false)
            .delimiter(separator)
            .from_reader(header.as_slice());
        let mut record = csv::StringRecord::new();
        match reader.read_record(&mut record) {
            Ok(true) => {
                let names = record.iter().map(|name| name.trim().to_owned()).collect();
                Ok((Format::Csv(separator), names))
            }
            Ok(false) => Err(RowsError::Empty {
                path: path.to_path_buf(),
            }),
            Err(error) => Err(RowsError::BadRow {
                path: path.to_path_buf(),
                row: 0,
                reason: error.to_string(),
            }),
        }
    }

    /// The names that the first rows carry; nothing is consumed.
    fn json_names(&mut self, path: &Path) -> Result<Vec<String>, RowsError> {
        self.fill(path, BLOCK_BYTES)?;
        let mut names = Vec::new();
        let mut seen = BTreeSet::new();
        for (row, line) in json::lines(&self.pending).take(NAMED_BY_ROWS).enumerate() {
            let Ok(keys) = json::keys(line) else {
                // The last line may be cut by the buffer; a line that is truly broken is reported when it is read.
                if row > 0 || !self.ended {
                    continue;
                }
                let reason = "not a JSON object on one line".to_owned();
                return Err(RowsError::BadRow {
                    path: path.to_path_buf(),
                    row: 1,
                    reason,
                });
            };
            names.extend(keys.into_iter().filter(|key| seen.insert(key.clone())));
        }
        match names.is_empty() {
            true => Err(RowsError::Empty {
                path: path.to_path_buf(),
            }),
            false => Ok(names),
        }
    }
}

impl Reader {
    pub(super) fn next_block(&mut self, path: &Path) -> Result<Option<Block>, RowsError> {
        loop {
            let text = self.input.lines(path, self.columns.format)?;
            if text.is_empty() {
                return Ok(None);
            }
            let parsed: Vec<Result<Piece, Bad>> = pieces(&text, self.columns.format)
                .into_par_iter()
                .map(|piece| self.columns.parse(piece))
                .collect();
            let mut block = Block::default();
            for piece in parsed {
                let piece = piece.map_err(|bad| RowsError::BadRow {
                    path: PathBuf::from(path),
                    row: self.rows + bad.row as u64 + 1,
                    reason: bad.reason,
                })?;
                self.rows += piece.rows as u64;
                block.pieces.push(piece);
            }
            if block.rows() > 0 {
                return Ok(Some(block));
            }
        }
    }

    pub(super) fn bytes_read(&self) -> u64 {
        self.input.consumed.load(Ordering::Relaxed)
    }

    pub(super) fn kept_types(&self) -> Vec<TypePtr> {
        let text = |name: &String| super::column_type(name, Physical::BYTE_ARRAY, true).ok();
        self.columns.keep.iter().filter_map(text).collect()
    }
}

impl Columns {
    fn parse(&self, text: &[u8]) -> Result<Piece, Bad> {
        match self.format {
            Format::Csv(separator) => self.parse_csv(text, separator),
            Format::Json => json::parse(text, &self.features, &self.keep),
        }
    }

    fn parse_csv(&self, text: &[u8], separator: u8) -> Result<Piece, Bad> {
        let mut reader = csv::ReaderBuilder::new()
            .has_headers(false)
            .delimiter(separator)
            .flexible(true)
            .from_reader(text);
        let mut record = csv::ByteRecord::new();
        let mut features = vec![Vec::new(); self.features.len()];
        let mut kept = vec![Gaps::default(); self.keep.len()];
        let (number_places, kept_places) = self.positions.split_at(self.features.len());
        let mut rows = 0;
        while reader.read_byte_record(&mut record).map_err(|error| Bad {
            row: rows,
            reason: error.to_string(),
        })? {
            if record.len() != self.width {
                let reason = format!("{} fields, but the header has {}", record.len(), self.width);
                return Err(Bad { row: rows, reason });
            }
            for ((column, place), name) in
                features.iter_mut().zip(number_places).zip(&self.features)
            {
                let field = record.get(*place).unwrap_or_default();
                column.push(number(field).ok_or_else(|| Bad {
                    row: rows,
                    reason: no_number(name, field),
                })?);
            }
            for (column, place) in kept.iter_mut().zip(kept_places) {
                column.push(Some(record.get(*place).unwrap_or_default()));
            }
            rows += 1;
        }
        Ok(Piece {
            rows,
            features,
            kept: kept.into_iter().map(Gaps::finish).collect(),
        })
    }
}

/// A text column that is being collected.
#[derive(Debug, Clone, Default)]
pub(super) struct Gaps {
    values: Vec<ByteArray>,
    levels: Vec<i16>,
}

impl Gaps {
    pub(super) fn push(&mut self, value: Option<&[u8]>) {
        self.levels.push(i16::from(value.is_some()));
        self.values
            .extend(value.map(|bytes| ByteArray::from(bytes.to_vec())));
    }

    pub(super) fn finish(self) -> Cells {
        Cells {
            values: Values::Bytes(self.values),
            levels: Some(self.levels),
        }
    }
}

/// A number as people write it in CSV, by the trainer's rules: empty and the usual words mean missing. `None`:
/// something else.
pub(super) fn number(field: &[u8]) -> Option<f64> {
    const MISSING: [&str; 5] = ["", "null", "na", "n/a", "none"];
    let text = std::str::from_utf8(field.trim_ascii()).ok()?;
    if let Ok(value) = text.parse() {
        return Some(value);
    }
    let is = |word: &str| text.eq_ignore_ascii_case(word);
    match text {
        _ if MISSING.into_iter().any(is) => Some(f64::NAN),
        _ if is("true") => Some(1.0),
        _ if is("false") => Some(0.0),
        _ => None,
    }
}

/// The separator that the header uses most outside quotes; a comma when it uses none.
fn separator(header: &[u8]) -> u8 {
    let mut quoted = false;
    let mut counts = [(b',', 0), (b';', 0), (b'\t', 0), (b'|', 0)];
    for byte in header {
        quoted ^= *byte == b'"';
        if let Some((_, count)) = counts
            .iter_mut()
            .find(|(separator, _)| separator == byte && !quoted)
        {
            *count += 1;
        }
    }
    let most = counts.iter().map(|(_, count)| *count).max();
    counts
        .into_iter()
        .find(|(_, count)| Some(*count) == most)
        .map_or(b',', |(separator, _)| separator)
}

fn no_number(name: &str, field: &[u8]) -> String {
    let shown: String = String::from_utf8_lossy(field).chars().take(40).collect();
    format!("`{shown}` in column `{name}` is no number; leave it empty if it is missing")
}

/// The positions behind each line end.
fn line_ends(text: &[u8], format: Format) -> impl Iterator<Item = usize> {
    let mut quoted = false;
    text.iter()
        .enumerate()
        .filter_map(move |(at, byte)| match byte {
            b'"' if format != Format::Json => {
                quoted = !quoted;
                None
            }
            b'\n' if !quoted => Some(at + 1),
            _ => None,
        })
}

/// Cuts whole lines into pieces of about [`PIECE_BYTES`].
fn pieces(text: &[u8], format: Format) -> Vec<&[u8]> {
    let mut found = Vec::new();
    let mut start = 0;
    for end in line_ends(text, format)
        .filter(|end| *end < text.len())
        .chain([text.len()])
    {
        if end - start >= PIECE_BYTES || end == text.len() {
            found.extend(text.get(start..end));
            start = end;
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_end_inside_quotes_ends_no_line() {
        let text = b"a,\"x\ny\"\nb,1\n";
        assert_eq!(
            line_ends(text, Format::Csv(b',')).collect::<Vec<_>>(),
            vec![8, 12]
        );
    }

    #[test]
    fn pieces_join_to_the_whole_text() {
        let text = "1,2\n".repeat(1_000_000).into_bytes();
        let cut = pieces(&text, Format::Csv(b','));
        assert!(cut.len() > 2);
        assert_eq!(cut.concat(), text);
        assert!(cut.iter().all(|piece| piece.ends_with(b"\n")));
    }

    #[test]
    fn empty_and_the_usual_words_are_missing_and_text_is_no_number() {
        for text in ["", " ", "NA", "nan", "NaN", "null"] {
            assert!(number(text.as_bytes()).unwrap().is_nan(), "{text}");
        }
        assert_eq!(number(b" 1.5e3 "), Some(1500.0));
        assert_eq!(number(b"running"), None);
    }

    #[test]
    fn the_header_tells_the_separator() {
        assert_eq!(separator(b"a;\"b,c,d\";e\n"), b';');
        assert_eq!(separator(b"a\tb"), b'\t');
        assert_eq!(separator(b"a"), b',');
    }
}
