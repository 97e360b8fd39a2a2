//! Takes from every tap what was gathered, and closes parts when their time is over: at the end of an hour or a window in
//! UTC, after `part_seconds`, when much has come together, or when the release or its shadow goes. The clock is an
//! argument. One that jumps ends the open parts under the window they began in; a sequence is never used twice.

use std::collections::BTreeMap;
use std::sync::Arc;

use hodoscope_release::window::WindowName;

use super::open::{File, Open, Stamp};
use super::tap::{Gathered, Tap};
use super::{Capture, first_rows};
use crate::roster::{Shadowing, Snapshot};

/// The longest pause between two looks: what was copied waits no longer in memory that requests share.
const LONGEST_PAUSE_MS: u64 = 1000;
const HOUR_SECONDS: u64 = 3600;
/// An open part is closed early when its sampled rows hold so much; a reader takes a file into memory whole.
const FILE_BYTES: usize = 8 << 20;
/// All are, when together they hold so much.
const OPEN_BYTES: usize = 64 << 20;

/// What is open, and what the next part is called.
#[derive(Debug)]
pub(super) struct Collector {
    opens: Vec<Open>,
    stamp: Stamp,
    part_ms: u64,
    rows_per_window: u64,
}

/// What a look at the taps gave.
#[derive(Debug, Default)]
pub(super) struct Collected {
    pub(super) files: Vec<File>,
    /// Rows that were chosen but not copied, by detector: over the window's limit, and over the queue's.
    pub(super) dropped: BTreeMap<String, [u64; 2]>,
}

impl Collector {
    pub(super) fn new(stamp: Stamp, part_ms: u64, rows_per_window: u64) -> Self {
        Self {
            opens: Vec::new(),
            stamp,
            part_ms,
            rows_per_window,
        }
    }

    /// How long nothing has to be done.
    pub(super) fn pause_ms(&self, now_ms: u64) -> u64 {
        let rest = |length_ms: u64| length_ms - now_ms % length_ms.max(1);
        let part = self
            .opens
            .iter()
            .map(|open| (open.began_ms + self.part_ms).saturating_sub(now_ms));
        part.chain([
            rest(HOUR_SECONDS * 1000),
            rest(self.stamp.window_seconds * 1000),
            LONGEST_PAUSE_MS,
        ])
        .min()
        .unwrap_or(LONGEST_PAUSE_MS)
        .max(1)
    }

    /// Takes what was gathered and closes what is due; at the `last` time everything is.
    pub(super) fn collect(
        &mut self,
        capture: &Capture,
        roster: &Snapshot,
        now_ms: u64,
        last: bool,
    ) -> Collected {
        let mut collected = Collected::default();
        let window = WindowName::holding(now_ms / 1000, self.stamp.window_seconds);
        // Gone taps are drained below and get nothing more.
        let gone = self.meet(capture, now_ms, &window);
        let mut opens = std::mem::take(&mut self.opens);
        let total: usize = opens.iter().map(Open::size_bytes).sum();
        for open in &mut opens {
            let gathered = open.tap.drain();
            note(&mut collected, &open.tap, &gathered);
            open.add(gathered);
            let other_shadow = open.watch(shadow_of(roster, &open.tap));
            let is_gone = gone.iter().any(|tap| Arc::ptr_eq(tap, &open.tap));
            let due = last
                || is_gone
                || other_shadow
                || total > OPEN_BYTES
                || open.size_bytes() > FILE_BYTES
                || self.is_over(open, now_ms, &window);
            let new_window = open.window != window;
            if due {
                let files = open.close(&self.stamp, now_ms, window.clone());
                self.stamp.sequence += u64::from(!files.is_empty());
                collected.files.extend(files);
                open.watch(shadow_of(roster, &open.tap));
            }
            open.tap.allow(self.allowed(now_ms, &window), new_window);
        }
        opens.retain(|open| !gone.iter().any(|tap| Arc::ptr_eq(tap, &open.tap)));
        self.opens = opens;
        collected
    }

    /// Opens a part for each new tap; gives the taps whose release nobody serves any more.
    fn meet(&mut self, capture: &Capture, now_ms: u64, window: &WindowName) -> Vec<Arc<Tap>> {
        let mut taps = capture.taps();
        for tap in taps.iter() {
            if !self.opens.iter().any(|open| Arc::ptr_eq(&open.tap, tap)) {
                self.opens
                    .push(Open::new(tap.clone(), now_ms, window.clone()));
            }
        }
        let mut gone = Vec::new();
        // Held by this list and by the open part alone: nobody can add to it.
        taps.retain(|tap| {
            let held = Arc::strong_count(tap) > 2;
            if !held {
                gone.push(tap.clone());
            }
            held
        });
        gone
    }

    fn is_over(&self, open: &Open, now_ms: u64, window: &WindowName) -> bool {
        let hour = |moment_ms: u64| moment_ms / (HOUR_SECONDS * 1000);
        now_ms < open.began_ms
            || now_ms - open.began_ms >= self.part_ms
            || hour(now_ms) != hour(open.began_ms)
            || open.window != *window
    }

    /// How many rows of a release may be copied by now: a tenth of the window's at once, the rest as it passes, so that
    /// a busy release is not sampled in its first minutes alone.
    fn allowed(&self, now_ms: u64, window: &WindowName) -> u64 {
        let first = first_rows(self.rows_per_window);
        let passed = (now_ms / 1000).saturating_sub(window.start_seconds());
        let share = passed as f64 / self.stamp.window_seconds.max(1) as f64;
        first + ((self.rows_per_window - first) as f64 * share.min(1.0)) as u64
    }
}

fn note(collected: &mut Collected, tap: &Tap, gathered: &Gathered) {
    if gathered.over_limit + gathered.over_queue > 0 {
        let name = tap.release.detector.to_string();
        let [limit, queue] = collected.dropped.entry(name).or_default();
        *limit += gathered.over_limit;
        *queue += gathered.over_queue;
    }
}

/// The shadow that scores copies of this release's calls.
fn shadow_of<'a>(roster: &'a Snapshot, tap: &Tap) -> Option<&'a Shadowing> {
    let entry = roster.detectors.get(tap.release.detector.as_str())?;
    let running = entry.running.as_ref()?;
    let answers = running.digest() == tap.about.digest && running.release == tap.release;
    entry.shadow.as_ref().filter(|_| answers)
}

#[cfg(test)]
mod tests {
    use axum::http::HeaderValue;
    use hodoscope_engine::Batch;
    use hodoscope_registry::capture::{CaptureKey, CaptureKind};
    use hodoscope_release::Digest;
    use hodoscope_release::window::WindowPart;

    use super::super::tap::About;
    use super::*;
    use crate::roster::Roster;

    /// 2026-11-24T00:00:00Z.
    const TODAY_MS: u64 = 1_795_478_400_000;
    const HOUR_MS: u64 = 3_600_000;

    struct Bench {
        capture: Arc<Capture>,
        collector: Collector,
        tap: Option<Arc<Tap>>,
        roster: Roster,
        parts: Vec<WindowPart>,
        rows: Vec<CaptureKey>,
    }

    impl Bench {
        fn new(window_seconds: u64, rows_per_window: u64) -> Self {
            let capture = Capture::for_tests(1.0, rows_per_window);
            let about = About {
                digest: Digest::of(b""),
                threshold: Some(0.5),
                names: vec!["a".to_owned()],
                profile: None,
            };
            let release = "pump@1.0.0".parse().unwrap();
            let limit = first_rows(rows_per_window);
            let tap = Arc::new(Tap::new(release, about, limit, Arc::default()));
            capture.taps().push(tap.clone());
            let stamp = Stamp {
                host: "a".into(),
                boot: "b".into(),
                sequence: 0,
                window_seconds,
                fraction: 1.0,
            };
            Self {
                collector: Collector::new(stamp, 300_000, rows_per_window),
                capture,
                tap: Some(tap),
                roster: Roster::new("local".parse().unwrap()),
                parts: Vec::new(),
                rows: Vec::new(),
            }
        }

        fn call(&self, rows: u16) {
            let tap = self.tap.as_ref().unwrap();
            let request = HeaderValue::from_static("request");
            let batch = Batch::new(1, (0..rows).map(f64::from).collect());
            let taken = self.capture.take(tap, &request, &batch);
            let scores = vec![0.25; rows.into()];
            self.capture.record(tap, taken, &request, &scores, 0);
        }

        /// Looks at this moment; gives how many files there were.
        fn look(&mut self, now_ms: u64, last: bool) -> usize {
            let roster = self.roster.now();
            let collected = self.collector.collect(&self.capture, &roster, now_ms, last);
            for file in &collected.files {
                match file.key.kind() {
                    CaptureKind::Part { .. } => {
                        self.parts
                            .push(serde_json::from_slice(&file.bytes).unwrap());
                    }
                    _ => self.rows.push(file.key.clone()),
                }
            }
            collected.files.len()
        }
    }

    #[test]
    fn parts_end_with_their_time_their_hour_and_their_window_and_add_up() {
        let mut bench = Bench::new(86_400, 1_000_000);
        let start = TODAY_MS + 23 * HOUR_MS + HOUR_MS / 2;
        bench.look(start, false);
        let mut rows = 0;
        // Every second for an hour, over midnight.
        for second in 0..3600 {
            bench.call(3);
            rows += 3;
            bench.look(start + second * 1000, false);
        }
        bench.call(5);
        bench.look(start + 3600 * 1000, true);
        assert_eq!(
            bench.parts.iter().map(|part| part.rows).sum::<u64>(),
            rows + 5
        );
        let sampled: u64 = bench.parts.iter().map(|part| part.sampled_rows).sum();
        assert_eq!(sampled, rows + 5);
        let windows: Vec<_> = bench.parts.iter().map(|part| part.window.day()).collect();
        assert_eq!(windows.iter().filter(|day| *day == "2026-11-24").count(), 6);
        assert_eq!(windows.iter().filter(|day| *day == "2026-11-25").count(), 6);
        let sequences: Vec<_> = bench.parts.iter().map(|part| part.sequence).collect();
        assert_eq!(sequences, (0..12).collect::<Vec<_>>());
        assert!(bench.rows.iter().all(|key| {
            let text = key.as_str();
            text.contains("dt=2026-11-24/hour=23") || text.contains("dt=2026-11-25/hour=00")
        }));
    }

    #[test]
    fn a_clock_that_jumps_back_ends_the_part_and_repeats_no_sequence() {
        let mut bench = Bench::new(86_400, 1000);
        let midnight = TODAY_MS + 24 * HOUR_MS;
        bench.look(midnight + 1000, false);
        bench.call(1);
        bench.look(midnight + 2000, false);
        bench.call(2);
        assert_eq!(bench.look(midnight - 5000, false), 2, "rows and a part");
        bench.call(4);
        // A year ahead by mistake, and back.
        bench.look(midnight + 365 * 24 * HOUR_MS, false);
        bench.call(8);
        bench.look(midnight + 3000, false);
        bench.call(16);
        bench.look(midnight + 4000, true);
        let told: Vec<_> = bench
            .parts
            .iter()
            .map(|part| (part.window.day(), part.rows, part.sequence))
            .collect();
        let day = |day: &str| day.to_owned();
        assert_eq!(
            told,
            [
                (day("2026-11-25"), 3, 0),
                (day("2026-11-24"), 4, 1),
                (day("2027-11-25"), 8, 2),
                (day("2026-11-25"), 16, 3),
            ]
        );
    }

    #[test]
    fn a_busy_release_is_sampled_through_its_whole_window() {
        let mut bench = Bench::new(86_400, 1000);
        bench.look(TODAY_MS, false);
        let mut by_hour = Vec::new();
        for hour in 0..24 {
            for minute in 0..60 {
                bench.call(100);
                bench.look(TODAY_MS + hour * HOUR_MS + minute * 60_000, false);
            }
            let sampled: u64 = bench.parts.iter().map(|part| part.sampled_rows).sum();
            by_hour.push(sampled);
        }
        bench.look(TODAY_MS + 24 * HOUR_MS - 1, true);
        let sampled: u64 = bench.parts.iter().map(|part| part.sampled_rows).sum();
        let dropped: u64 = bench.parts.iter().map(|part| part.dropped_rows).sum();
        assert!((990..=1000).contains(&sampled), "{sampled}");
        assert_eq!(sampled + dropped, 24 * 60 * 100);
        assert!((100..200).contains(&by_hour[0]), "{by_hour:?}");
        assert!((500..600).contains(&by_hour[11]), "{by_hour:?}");
    }

    #[test]
    fn the_last_rows_of_a_release_that_is_unloaded_are_kept() {
        let mut bench = Bench::new(86_400, 1000);
        bench.look(TODAY_MS, false);
        bench.call(7);
        bench.tap = None;
        assert_eq!(bench.look(TODAY_MS + 1000, false), 2);
        assert_eq!(bench.parts[0].rows, 7);
        assert!(bench.collector.opens.is_empty() && bench.capture.taps().is_empty());
        assert_eq!(bench.look(TODAY_MS + 2000, true), 0);
    }

    #[test]
    fn nothing_happened_makes_no_file_and_the_next_look_is_soon() {
        let mut bench = Bench::new(600, 1000);
        assert_eq!(bench.look(TODAY_MS, false), 0);
        assert_eq!(bench.look(TODAY_MS + 24 * HOUR_MS, true), 0);
        assert_eq!(bench.collector.pause_ms(TODAY_MS + 599_990), 10);
        assert_eq!(bench.collector.pause_ms(TODAY_MS + 24 * HOUR_MS + 5), 1000);
    }
}
