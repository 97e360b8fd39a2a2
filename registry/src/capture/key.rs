//! The keys of captured traffic: what a host wrote when, so that a reader picks days and windows by name, and retention
//! judges by the name alone. Everything in a key is checked or made plain, so no key can leave its folder.

use std::fmt;

use hodoscope_release::DetectorName;
use hodoscope_release::window::{WindowName, WindowPart};

use crate::key::Key;

const ROWS: &str = "capture/v1/";
const PARTS: &str = "profiles/v1/";
const VERDICTS: &str = "verdicts/v1/";
const HOUR_SECONDS: u64 = 3600;
/// The longest name of a host in a key, as of a label in DNS.
const HOST_LIMIT: usize = 63;

/// A key of captured traffic.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct CaptureKey {
    key: Key,
    kind: CaptureKind,
}

/// What lies under a key.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum CaptureKind {
    /// Sampled rows as Parquet, written in this hour.
    Rows {
        /// The detector.
        detector: DetectorName,
        /// The hour in which the file was written.
        hour: WindowName,
    },
    /// A [`WindowPart`] as JSON.
    Part {
        /// The detector.
        detector: DetectorName,
        /// The window.
        window: WindowName,
    },
    /// The last verdict of a detector as JSON: the one kind that is overwritten.
    Verdict {
        /// The detector.
        detector: DetectorName,
    },
}

/// Which host, which start of it and which file of that start: no two files share all three.
#[derive(Debug, Clone, Copy)]
pub struct Writer<'a> {
    /// The host's name; in a key other letters than `a-z0-9.` become `-`.
    pub host: &'a str,
    /// A random name of this start of the host.
    pub boot: &'a str,
    /// Rises by one with each file.
    pub sequence: u64,
}

impl CaptureKey {
    /// A file of rows, written at this moment in seconds since 1970.
    pub fn rows(detector: &DetectorName, moment_seconds: u64, writer: Writer<'_>) -> Self {
        let hour = WindowName::holding(moment_seconds, HOUR_SECONDS);
        let of_day = hour.start_seconds() / HOUR_SECONDS % 24;
        let folder = Self::rows_of(detector, Some(&hour.day()));
        Self {
            key: Key::captured(format!("{folder}hour={of_day:02}/{writer}.parquet")),
            kind: CaptureKind::Rows {
                detector: detector.clone(),
                hour,
            },
        }
    }

    /// A part of a window.
    pub fn part(part: &WindowPart) -> Self {
        let writer = Writer {
            host: &part.host,
            boot: &part.boot,
            sequence: part.sequence,
        };
        let folder = Self::parts_of(&part.detector, Some(&part.window));
        Self {
            key: Key::captured(format!("{folder}{writer}.json")),
            kind: CaptureKind::Part {
                detector: part.detector.clone(),
                window: part.window.clone(),
            },
        }
    }

    /// The last verdict of a detector.
    pub fn verdict(detector: &DetectorName) -> Self {
        Self {
            key: Key::captured(format!("{VERDICTS}{detector}.json")),
            kind: CaptureKind::Verdict {
                detector: detector.clone(),
            },
        }
    }

    /// What all files of a detector's rows start with; with a day such as `2026-11-24`, those of that day.
    pub fn rows_of(detector: &DetectorName, day: Option<&str>) -> String {
        match day {
            Some(day) => format!("{ROWS}detector={detector}/dt={day}/"),
            None => format!("{ROWS}detector={detector}/"),
        }
    }

    /// What all files of rows start with.
    pub const fn all_rows() -> &'static str {
        ROWS
    }

    /// What all parts of a detector start with; with a window, those of that window.
    pub fn parts_of(detector: &DetectorName, window: Option<&WindowName>) -> String {
        match window {
            Some(window) => format!("{PARTS}detector={detector}/window={window}/"),
            None => format!("{PARTS}detector={detector}/"),
        }
    }

    /// What the keys that retention may delete start with.
    pub(super) const KEPT_FOR_A_WHILE: [&'static str; 2] = [ROWS, PARTS];

    /// Reads a key of a listing; `None` for one that this version did not write.
    pub fn read(text: &str) -> Option<Self> {
        let kind = CaptureKind::read(text)?;
        let key = Key::captured(text.to_owned());
        Some(Self { key, kind })
    }

    /// What lies under it.
    pub fn kind(&self) -> &CaptureKind {
        &self.kind
    }

    /// The text.
    pub fn as_str(&self) -> &str {
        self.key.as_str()
    }

    pub(super) fn key(&self) -> &Key {
        &self.key
    }

    /// Since when, in seconds since 1970, there is something in it; `None` if it is never old.
    pub(super) fn start_seconds(&self) -> Option<u64> {
        match &self.kind {
            CaptureKind::Rows { hour, .. } => Some(hour.start_seconds()),
            CaptureKind::Part { window, .. } => Some(window.start_seconds()),
            CaptureKind::Verdict { .. } => None,
        }
    }

    pub(super) const fn is_rows(&self) -> bool {
        matches!(self.kind, CaptureKind::Rows { .. })
    }
}

impl CaptureKind {
    fn read(text: &str) -> Option<Self> {
        let detector = |part: &str| part.strip_prefix("detector=")?.parse().ok();
        let named = |file: &str, end: &str| {
            let name = file.strip_suffix(end)?;
            let plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
            let fits = name
                .bytes()
                .all(|byte| plain(byte) || b"-.".contains(&byte));
            (fits && !name.is_empty()).then_some(())
        };
        if let Some(rest) = text.strip_prefix(ROWS) {
            let [name, day, hour, file] = split(rest)?;
            named(file, ".parquet")?;
            let (day, hour) = (day.strip_prefix("dt=")?, hour.strip_prefix("hour=")?);
            let hour: WindowName = format!("{}T{hour}0000Z", day.replace('-', ""))
                .parse()
                .ok()?;
            return (hour.day() == day).then_some(Self::Rows {
                detector: detector(name)?,
                hour,
            });
        }
        if let Some(rest) = text.strip_prefix(PARTS) {
            let [name, window, file] = split(rest)?;
            named(file, ".json")?;
            return Some(Self::Part {
                detector: detector(name)?,
                window: window.strip_prefix("window=")?.parse().ok()?,
            });
        }
        let name = text.strip_prefix(VERDICTS)?.strip_suffix(".json")?;
        Some(Self::Verdict {
            detector: name.parse().ok()?,
        })
    }
}

/// The parts between slashes, if there are exactly so many.
fn split<const N: usize>(text: &str) -> Option<[&str; N]> {
    text.split('/').collect::<Vec<_>>().try_into().ok()
}

impl fmt::Display for CaptureKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.key.fmt(f)
    }
}

/// Names sort as the files were written.
impl fmt::Display for Writer<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let plain = |c: char| match c.to_ascii_lowercase() {
            c if c.is_ascii_lowercase() || c.is_ascii_digit() || c == '.' => c,
            _ => '-',
        };
        let cut = |text: &str| -> String { text.chars().take(HOST_LIMIT).map(plain).collect() };
        let (host, boot) = (cut(self.host), cut(self.boot));
        write!(f, "{host}-{boot}-{:08}", self.sequence)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const WRITER: Writer<'static> = Writer {
        host: "Web_1.example/../x",
        boot: "0badcafe",
        sequence: 7,
    };

    fn pump() -> DetectorName {
        "pump".parse().unwrap()
    }

    #[test]
    fn keys_read_back_as_they_were_written() {
        let rows = CaptureKey::rows(&pump(), 1_795_564_799, WRITER);
        assert_eq!(
            rows.as_str(),
            "capture/v1/detector=pump/dt=2026-11-24/hour=23/web-1.example-..-x-0badcafe-00000007.parquet"
        );
        assert_eq!(CaptureKey::read(rows.as_str()), Some(rows.clone()));
        assert_eq!(rows.start_seconds(), Some(1_795_564_799 / 3600 * 3600));
        let verdict = CaptureKey::verdict(&pump());
        assert_eq!(verdict.as_str(), "verdicts/v1/pump.json");
        assert_eq!(CaptureKey::read(verdict.as_str()), Some(verdict));
        let part = "profiles/v1/detector=pump/window=20261124T000000Z/a-b-00000001.json";
        let read = CaptureKey::read(part).unwrap();
        assert_eq!(read.as_str(), part);
        assert!(
            matches!(read.kind(), CaptureKind::Part { window, .. } if window.day() == "2026-11-24")
        );
    }

    #[test]
    fn what_this_version_did_not_write_is_no_key() {
        for text in [
            "",
            "index/pump/1.0.0.json",
            "capture/v1/detector=pump/dt=2026-11-24/hour=23/notes.txt",
            "capture/v1/detector=pump/dt=2026-11-24/hour=24/a-b-1.parquet",
            "capture/v1/detector=pump/dt=2026-13-24/hour=01/a-b-1.parquet",
            "capture/v1/detector=pump/dt=20261124/hour=01/a-b-1.parquet",
            "capture/v1/detector=Pump/dt=2026-11-24/hour=01/a-b-1.parquet",
            "capture/v1/detector=pump/dt=2026-11-24/hour=01/more/a-b-1.parquet",
            "capture/v2/detector=pump/dt=2026-11-24/hour=01/a-b-1.parquet",
            "profiles/v1/detector=pump/window=20261124/a-b-1.json",
            "profiles/v1/detector=pump/window=20261124T000000Z/.json",
            "verdicts/v1/../pump.json",
        ] {
            assert_eq!(CaptureKey::read(text), None, "{text}");
        }
    }
}
