//! CSV, plain or gzip: cut into blocks at line ends, blocks parsed in parallel, chunks given out in the order of the file.
//! Commas, semicolons and tabs separate cells; the header line is required. Bounded by a handful of blocks of 1 MiB.

use std::io::Read;

use rayon::prelude::*;

use super::schema::{Column, Header, Plan, Slot};
use super::{Chunk, InputError, demote};

/// How many bytes are parsed at a time by one thread.
const BLOCK_BYTES: usize = 1 << 20;
/// The longest line that is believed to be one.
const LINE_BYTES: usize = 64 << 20;

/// An open CSV of which the header has been read.
pub(super) struct CsvStream {
    name: String,
    input: Box<dyn Read + Send>,
    delimiter: u8,
    header: Vec<String>,
    /// Bytes read and not yet given to a block.
    carry: Vec<u8>,
    ended: bool,
    /// The line number of the first byte of `carry`, from 1.
    line: u64,
}

struct Block {
    first_line: u64,
    bytes: Vec<u8>,
}

impl CsvStream {
    /// Reads the header.
    pub(super) fn open(name: &str, mut input: Box<dyn Read + Send>) -> Result<Self, InputError> {
        let mut start = vec![0u8; 2];
        let got = fill(&mut input, &mut start).map_err(|source| io(name, source))?;
        start.truncate(got);
        let joined = std::io::Cursor::new(start.clone()).chain(input);
        let input: Box<dyn Read + Send> = if start == [0x1f, 0x8b] {
            Box::new(flate2::read::MultiGzDecoder::new(joined))
        } else {
            Box::new(joined)
        };
        let mut stream = Self {
            name: name.to_owned(),
            input,
            delimiter: b',',
            header: Vec::new(),
            carry: Vec::new(),
            ended: false,
            line: 1,
        };
        stream.read_header()?;
        Ok(stream)
    }

    /// The columns; that a column holds text shows only at its first cell.
    pub(super) fn header(&self) -> Header {
        let column = |name: &String| Column {
            name: name.clone(),
            not_numeric: None,
        };
        self.header.iter().map(column).collect()
    }

    /// Gives out all rows.
    pub(super) fn read(
        mut self,
        plan: &Plan,
        give: &mut impl FnMut(&Chunk) -> Result<(), InputError>,
    ) -> Result<(), InputError> {
        let parser = Parser {
            file: self.name.clone(),
            delimiter: self.delimiter,
            plan,
        };
        let first_data_line = self.line;
        loop {
            let mut blocks = Vec::new();
            while blocks.len() < 2 * rayon::current_num_threads() {
                let Some(block) = self.next_block()? else {
                    break;
                };
                blocks.push(block);
            }
            if blocks.is_empty() {
                return Ok(());
            }
            let chunks: Vec<Result<Chunk, InputError>> = blocks
                .par_iter()
                .map(|block| parser.parse(block, first_data_line))
                .collect();
            for chunk in chunks {
                let chunk = chunk?;
                if chunk.rows > 0 {
                    give(&chunk)?;
                }
            }
        }
    }

    fn read_header(&mut self) -> Result<(), InputError> {
        self.refill(BLOCK_BYTES)?;
        if self.carry.starts_with(&[0xef, 0xbb, 0xbf]) {
            self.carry.drain(..3);
        }
        let end = loop {
            match line_end(&self.carry) {
                Some(end) => break end,
                None if self.ended => break self.carry.len(),
                None => self.refill(BLOCK_BYTES)?,
            }
        };
        let line: Vec<u8> = self.carry.drain(..end).collect();
        self.line += count_lines(&line);
        let Ok(text) = std::str::from_utf8(&line) else {
            return Err(self.format("the header is not UTF-8 text"));
        };
        if text.trim().is_empty() {
            return Err(self.format("it is empty"));
        }
        if text.contains('\0') {
            return Err(self.format("it holds zero bytes"));
        }
        self.delimiter = delimiter(text);
        let mut reader = csv_reader(self.delimiter, line.as_slice());
        let mut record = csv::StringRecord::new();
        let read = reader.read_record(&mut record);
        read.map_err(|error| self.format(&error.to_string()))?;
        self.header = record.iter().map(|cell| cell.trim().to_owned()).collect();
        if self
            .header
            .iter()
            .all(|cell| number(cell.as_bytes()).is_some())
        {
            return Err(InputError::Header(self.name.clone()));
        }
        Ok(())
    }

    fn format(&self, found: &str) -> InputError {
        InputError::Format {
            file: self.name.clone(),
            found: found.to_owned(),
        }
    }

    /// Reads up to `more` bytes.
    fn refill(&mut self, more: usize) -> Result<(), InputError> {
        let before = self.carry.len();
        self.carry.resize(before + more, 0);
        let Some(room) = self.carry.get_mut(before..) else {
            return Ok(());
        };
        let got = fill(&mut self.input, room).map_err(|source| io(&self.name, source))?;
        self.carry.truncate(before + got);
        self.ended = got < more;
        Ok(())
    }

    /// The next whole lines.
    fn next_block(&mut self) -> Result<Option<Block>, InputError> {
        let end = loop {
            if !self.ended && self.carry.len() < BLOCK_BYTES {
                self.refill(BLOCK_BYTES)?;
            }
            match last_line_end(&self.carry) {
                _ if self.ended => break self.carry.len(),
                Some(end) => break end,
                None if self.carry.len() > LINE_BYTES => {
                    return Err(self.format(&format!("line {} has no end", self.line)));
                }
                None => self.refill(BLOCK_BYTES)?,
            }
        };
        if end == 0 {
            return Ok(None);
        }
        let rest = self.carry.split_off(end);
        let bytes = std::mem::replace(&mut self.carry, rest);
        let first_line = self.line;
        self.line += count_lines(&bytes);
        Ok(Some(Block { first_line, bytes }))
    }
}

struct Parser<'a> {
    file: String,
    delimiter: u8,
    plan: &'a Plan,
}

impl Parser<'_> {
    fn parse(&self, block: &Block, first_data_line: u64) -> Result<Chunk, InputError> {
        let mut chunk = Chunk {
            columns: vec![Vec::new(); self.plan.width],
            ..Chunk::default()
        };
        if block.bytes.contains(&b'"') {
            let mut reader = csv_reader(self.delimiter, block.bytes.as_slice());
            let mut record = csv::ByteRecord::new();
            loop {
                let more = reader.read_byte_record(&mut record);
                let more = more.map_err(|error| InputError::Format {
                    file: self.file.clone(),
                    found: error.to_string(),
                })?;
                if !more {
                    return Ok(chunk);
                }
                let line = block.first_line + record.position().map_or(1, csv::Position::line) - 1;
                self.push(&mut chunk, record.iter(), line, line == first_data_line)?;
            }
        }
        for (index, line) in block.bytes.split(|byte| *byte == b'\n').enumerate() {
            let line = line.strip_suffix(b"\r").unwrap_or(line);
            if line.is_empty() {
                continue;
            }
            let number = block.first_line + index as u64;
            let cells = line.split(|byte| *byte == self.delimiter);
            self.push(&mut chunk, cells, number, number == first_data_line)?;
        }
        Ok(chunk)
    }

    fn push<'c>(
        &self,
        chunk: &mut Chunk,
        cells: impl Iterator<Item = &'c [u8]>,
        line: u64,
        first: bool,
    ) -> Result<(), InputError> {
        let mut count = 0;
        for cell in cells {
            let slot = self.plan.slots.get(count).copied().unwrap_or(Slot::Skip);
            match slot {
                Slot::Skip => {}
                Slot::Feature(feature) => {
                    let value = number(cell).ok_or_else(|| self.cell(cell, count, line, first))?;
                    if let Some(column) = chunk.columns.get_mut(feature) {
                        column.push(demote(value));
                    }
                }
                Slot::Label => chunk.labels.push(self.label(cell, count, line)?),
            }
            count += 1;
        }
        if count != self.plan.slots.len() {
            return Err(InputError::Width {
                file: self.file.clone(),
                line,
                found: count,
                expected: self.plan.slots.len(),
            });
        }
        chunk.rows += 1;
        Ok(())
    }

    fn label(&self, cell: &[u8], column: usize, line: u64) -> Result<f32, InputError> {
        match number(cell) {
            Some(value) if value == 0.0 || value == 1.0 || value.is_nan() => Ok(value as f32),
            _ => Err(InputError::Label {
                file: format!("{}, line {line}", self.file),
                column: self.plan.name(column).to_owned(),
                found: format!("\"{}\"", shown(cell)),
            }),
        }
    }

    fn cell(&self, cell: &[u8], column: usize, line: u64, first: bool) -> InputError {
        let column = self.plan.name(column).to_owned();
        let (file, found) = (self.file.clone(), shown(cell));
        if first {
            let found = format!("text (\"{found}\")");
            return InputError::NotNumeric {
                file,
                column,
                found,
            };
        }
        InputError::Cell {
            file,
            line,
            column,
            found,
        }
    }
}

/// A cell's value; NaN for the usual spellings of "missing", `None` if it is no number.
pub(super) fn number(cell: &[u8]) -> Option<f64> {
    let cell = cell.trim_ascii();
    if let Ok(value) = fast_float2::parse::<f64, _>(cell) {
        return Some(value);
    }
    const MISSING: [&str; 5] = ["", "null", "na", "n/a", "none"];
    let is = |word: &str| cell.eq_ignore_ascii_case(word.as_bytes());
    if MISSING.iter().any(|word| is(word)) {
        Some(f64::NAN)
    } else if is("true") {
        Some(1.0)
    } else if is("false") {
        Some(0.0)
    } else {
        None
    }
}

fn csv_reader(delimiter: u8, bytes: &[u8]) -> csv::Reader<&[u8]> {
    csv::ReaderBuilder::new()
        .has_headers(false)
        .flexible(true)
        .delimiter(delimiter)
        .from_reader(bytes)
}

/// The separator that the header uses most outside quotes; a comma when it uses none.
fn delimiter(header: &str) -> u8 {
    let mut quoted = false;
    let bare: Vec<u8> = header
        .bytes()
        .filter(|byte| {
            quoted ^= *byte == b'"';
            !quoted
        })
        .collect();
    let count = |separator: &u8| bare.iter().filter(|byte| *byte == separator).count();
    // Of equals the last is taken: a comma.
    [b'\t', b';', b',']
        .into_iter()
        .max_by_key(count)
        .unwrap_or(b',')
}

/// Just after the first line end that is not within quotes.
fn line_end(bytes: &[u8]) -> Option<usize> {
    let mut quoted = false;
    let end = bytes.iter().position(|byte| {
        quoted ^= *byte == b'"';
        *byte == b'\n' && !quoted
    });
    end.map(|at| at + 1)
}

/// Just after the last line end that is not within quotes.
fn last_line_end(bytes: &[u8]) -> Option<usize> {
    if !bytes.contains(&b'"') {
        return bytes
            .iter()
            .rposition(|byte| *byte == b'\n')
            .map(|at| at + 1);
    }
    let mut quoted = false;
    let mut last = None;
    for (at, byte) in bytes.iter().enumerate() {
        quoted ^= *byte == b'"';
        if *byte == b'\n' && !quoted {
            last = Some(at + 1);
        }
    }
    last
}

fn count_lines(bytes: &[u8]) -> u64 {
    bytes.iter().filter(|byte| **byte == b'\n').count() as u64
}

fn shown(cell: &[u8]) -> String {
    const SHOWN: usize = 40;
    let text = String::from_utf8_lossy(cell);
    let mut shown: String = text.chars().take(SHOWN).collect();
    if shown.len() < text.len() {
        shown.push('…');
    }
    shown
}

/// Reads until the buffer is full or the input ends; gives how much it got.
fn fill(input: &mut impl Read, buffer: &mut [u8]) -> std::io::Result<usize> {
    let mut got = 0;
    while let Some(room) = buffer.get_mut(got..).filter(|room| !room.is_empty()) {
        match input.read(room) {
            Ok(0) => break,
            Ok(count) => got += count,
            Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(got)
}

fn io(file: &str, source: std::io::Error) -> InputError {
    InputError::Io {
        file: file.to_owned(),
        source,
    }
}
