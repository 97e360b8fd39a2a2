//! A histogram of latencies in constant memory: 64 buckets per doubling, so a quantile is at most 1.6 % too high and
//! never too low. Histograms add up.

use std::time::Duration;

/// Buckets per doubling.
const STEPS: u64 = 64;
const STEPS_LOG2: u32 = STEPS.ilog2();
/// Enough for 2^40 microseconds, twelve days.
const BUCKETS: usize = 36 * STEPS as usize;

/// Counts of latencies, in microseconds.
#[derive(Debug, Clone)]
pub(super) struct Latency {
    counts: Vec<u64>,
    pub(super) total: u64,
    max_us: u64,
}

impl Default for Latency {
    fn default() -> Self {
        Self {
            counts: vec![0; BUCKETS],
            total: 0,
            max_us: 0,
        }
    }
}

impl Latency {
    /// Counts one latency.
    pub(super) fn record(&mut self, latency: Duration) {
        let micros = u64::try_from(latency.as_micros()).unwrap_or(u64::MAX);
        if let Some(count) = self.counts.get_mut(bucket(micros)) {
            *count += 1;
        }
        self.total += 1;
        self.max_us = self.max_us.max(micros);
    }

    /// Adds the counts of another histogram.
    pub(super) fn add(&mut self, other: &Self) {
        for (count, more) in self.counts.iter_mut().zip(&other.counts) {
            *count += more;
        }
        self.total += other.total;
        self.max_us = self.max_us.max(other.max_us);
    }

    /// The latency in milliseconds that a share `quantile` of the calls did not exceed; `None` without calls.
    pub(super) fn quantile_ms(&self, quantile: f64) -> Option<f64> {
        let rank = ((self.total as f64 * quantile).ceil() as u64).max(1);
        let mut seen = 0;
        for (index, count) in self.counts.iter().enumerate() {
            seen += count;
            if seen >= rank && *count > 0 {
                return Some(upper(index).min(self.max_us) as f64 / 1e3);
            }
        }
        None
    }

    /// The longest latency in milliseconds.
    pub(super) fn max_ms(&self) -> Option<f64> {
        (self.total > 0).then_some(self.max_us as f64 / 1e3)
    }
}

fn bucket(micros: u64) -> usize {
    let doubling = micros.max(1).ilog2();
    let index = if doubling < STEPS_LOG2 {
        micros
    } else {
        let shift = doubling - STEPS_LOG2;
        (u64::from(shift) + 1) * STEPS + ((micros >> shift) - STEPS)
    };
    usize::try_from(index)
        .unwrap_or(usize::MAX)
        .min(BUCKETS - 1)
}

/// The largest value that falls into a bucket.
fn upper(index: usize) -> u64 {
    let index = index as u64;
    match (index / STEPS).checked_sub(1) {
        None => index,
        Some(shift) => ((index % STEPS + STEPS + 1) << shift) - 1,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_value_lies_in_its_bucket_within_one_part_in_64() {
        for value in (0..3_000_000_u64).step_by(7) {
            let high = upper(bucket(value));
            assert!(high >= value, "{value} above {high}");
            assert!(
                high - value <= value / STEPS + 1,
                "{value} far below {high}"
            );
        }
    }

    #[test]
    fn quantiles_of_a_hundred_calls() {
        let mut latency = Latency::default();
        for ms in 1..=100 {
            latency.record(Duration::from_millis(ms));
        }
        let near = |found: Option<f64>, wanted: f64| {
            let found = found.unwrap();
            assert!(
                (wanted..wanted * 1.017).contains(&found),
                "{found} for {wanted}"
            );
        };
        near(latency.quantile_ms(0.5), 50.0);
        near(latency.quantile_ms(0.99), 99.0);
        assert_eq!(latency.quantile_ms(1.0), Some(100.0));
        assert_eq!(latency.max_ms(), Some(100.0));
        assert_eq!(Latency::default().quantile_ms(0.5), None);
    }

    #[test]
    fn histograms_add_up() {
        let (mut one, mut two) = (Latency::default(), Latency::default());
        one.record(Duration::from_micros(10));
        two.record(Duration::from_secs(3));
        one.add(&two);
        assert_eq!((one.total, one.max_ms()), (2, Some(3000.0)));
    }
}
