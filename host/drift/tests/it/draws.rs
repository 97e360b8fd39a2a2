//! Profiles and windows of drawn rows, made as the trainer and the host make them.

use hodoscope_drift::{DriftReport, MergedWindow, Policy, Reference, judge, merge};
use hodoscope_release::sections::{Histogram, Profile};
use hodoscope_release::window::{Counts, WindowPart};
use hodoscope_release::{Digest, ReleaseName};

pub(crate) const FEATURES: usize = 6;
pub(crate) const TARGET: f64 = 0.01;

/// A row: features, then the score. The score is large where the row is far from the middle.
pub(crate) type Row = Vec<f64>;

/// SplitMix64 and Box and Muller's normals.
pub(crate) struct Random(pub(crate) u64);

impl Random {
    fn uniform(&mut self) -> f64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (((z ^ (z >> 31)) >> 11) + 1) as f64 / (1_u64 << 53) as f64
    }

    fn normal(&mut self) -> f64 {
        (-2.0 * self.uniform().ln()).sqrt() * (std::f64::consts::TAU * self.uniform()).cos()
    }

    /// Rows of positive, normal features around 10; `change` sees each row before it is scored.
    pub(crate) fn rows(&mut self, count: usize, change: impl Fn(usize, &mut Row)) -> Vec<Row> {
        (0..count)
            .map(|index| {
                let mut row: Row = (0..FEATURES).map(|_| 10.0 + self.normal()).collect();
                change(index, &mut row);
                let far: f64 = row
                    .iter()
                    .filter(|value| !value.is_nan())
                    .map(|value| (value - 10.0).powi(2))
                    .sum();
                row.push(far / (far + 8.0));
                row
            })
            .collect()
    }
}

/// Bins of about equal counts, as the trainer makes them.
pub(crate) fn histogram(mut values: Vec<f64>) -> Histogram {
    let all = values.len();
    values.retain(|value| !value.is_nan());
    values.sort_by(f64::total_cmp);
    let mut edges: Vec<f64> = (1..128)
        .filter_map(|bin| values.get(bin * values.len() / 128).copied())
        .filter(|edge| Some(edge) != values.first())
        .collect();
    edges.dedup();
    let range = values.first().copied().zip(values.last().copied());
    let mut counts = Counts::on(edges.len());
    for value in &values {
        counts.add(&edges, range, *value);
    }
    Histogram {
        edges,
        counts: counts.counts,
        sums: counts.sums,
        missing: (all - values.len()) as u64,
        range,
    }
}

/// A release's reference and its threshold.
pub(crate) struct Known {
    pub(crate) release: ReleaseName,
    pub(crate) digest: Digest,
    pub(crate) names: Vec<String>,
    pub(crate) profile: Profile,
    pub(crate) threshold: f64,
}

impl Known {
    pub(crate) fn of(rows: &[Row]) -> Self {
        let column = |at: usize| rows.iter().map(|row| row[at]).collect::<Vec<f64>>();
        let mut scores = column(FEATURES);
        let profile = Profile {
            schema: 1,
            rows: rows.len() as u64,
            features: (0..FEATURES).map(|at| histogram(column(at))).collect(),
            scores: histogram(scores.clone()),
        };
        scores.sort_by(f64::total_cmp);
        let cut = scores.len() - (scores.len() as f64 * TARGET) as usize;
        Self {
            release: "pump@1.0.0".parse().unwrap(),
            digest: Digest::of(b"pump"),
            names: (0..FEATURES).map(|at| format!("f{at}")).collect(),
            profile,
            threshold: scores[cut],
        }
    }

    pub(crate) fn reference(&self) -> Reference<'_> {
        Reference {
            release: &self.release,
            digest: self.digest,
            features: &self.names,
            profile: Some(&self.profile),
            alert_rate: Some(TARGET),
        }
    }

    /// What one host wrote of these rows on a day.
    pub(crate) fn part(&self, day: usize, host: &str, rows: &[Row]) -> WindowPart {
        let count = |histogram: &Histogram, at: usize| {
            let mut counts = Counts::on(histogram.edges.len());
            rows.iter()
                .for_each(|row| counts.add(&histogram.edges, histogram.range, row[at]));
            counts
        };
        let features = self.profile.features.iter().enumerate();
        WindowPart {
            schema: 1,
            detector: self.release.detector.clone(),
            version: self.release.version.clone(),
            digest: self.digest,
            window: format!("202611{day:02}T000000Z").parse().unwrap(),
            window_seconds: 86_400,
            host: host.to_owned(),
            boot: "a".to_owned(),
            sequence: 0,
            threshold: Some(self.threshold),
            rows: rows.len() as u64,
            alerts: rows
                .iter()
                .filter(|row| row[FEATURES] >= self.threshold)
                .count() as u64,
            scores: count(&self.profile.scores, FEATURES),
            sampled_rows: rows.len() as u64,
            sample_fraction: 1.0,
            dropped_rows: 0,
            features: features.map(|(at, h)| count(h, at)).collect(),
            shadow: None,
        }
    }

    pub(crate) fn window(&self, day: usize, rows: &[Row]) -> MergedWindow {
        merge(&[self.part(day, "h", rows)]).unwrap()
    }

    pub(crate) fn judge(&self, windows: &[Vec<Row>]) -> DriftReport {
        let windows: Vec<MergedWindow> = windows
            .iter()
            .enumerate()
            .map(|(day, rows)| self.window(day + 1, rows))
            .collect();
        judge(&self.reference(), &windows, &Policy::default(), 1).unwrap()
    }
}
