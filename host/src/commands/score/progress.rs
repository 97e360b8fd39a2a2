//! A bar on a terminal, silence elsewhere.

use std::io::IsTerminal as _;

use indicatif::{ProgressBar, ProgressStyle};

use crate::rows::Table;

/// How far a reading is, in rows or, where their number is not known, in bytes.
pub(crate) struct Progress {
    bar: ProgressBar,
    by_rows: bool,
}

impl Progress {
    /// A bar for a table on standard error; hidden unless that is a terminal.
    pub(crate) fn of(table: &Table) -> Self {
        let (length, by_rows) = match (table.rows(), table.bytes()) {
            (Some(rows), _) => (Some(rows), true),
            (None, Some(bytes)) => (Some(bytes), false),
            (None, None) => (None, true),
        };
        let template = match (length, by_rows) {
            (None, _) => "{spinner} {human_pos} rows  {per_sec}",
            (_, true) => "{bar:40} {human_pos}/{human_len} rows  {per_sec}  {eta}",
            (_, false) => "{bar:40} {bytes}/{total_bytes}  {bytes_per_sec}  {eta}",
        };
        let bar = if std::io::stderr().is_terminal() {
            ProgressBar::no_length()
        } else {
            ProgressBar::hidden()
        };
        if let Some(length) = length {
            bar.set_length(length);
        }
        if let Ok(style) = ProgressStyle::with_template(template) {
            bar.set_style(style);
        }
        Self { bar, by_rows }
    }

    /// `rows` more rows are done; `bytes` of the file have been read in all.
    pub(crate) fn tick(&self, rows: usize, bytes: u64) {
        if self.by_rows {
            self.bar.inc(rows as u64);
        } else {
            self.bar.set_position(bytes);
        }
    }

    /// Takes the bar away.
    pub(crate) fn finish(&self) {
        self.bar.finish_and_clear();
    }
}
