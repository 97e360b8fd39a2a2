//! Anomalies that are made: held-out rows with something wrong put into them, five kinds. Candidate and champion each
//! alert on the same share of the untouched rows; the candidate must find about as many of the touched ones.

use hodoscope_engine::Detector;
use hodoscope_release::evidence::{Class, Gate, Limit};

use super::random::Random;
use super::{Inputs, chance, cut, percent, share_above};
use crate::evidence::Frame;
use crate::evidence::statistics::{quantile, sorted};

/// Where the random choices start; the same for both, and at every run.
const SEED: u64 = 0x0070_6f69_736f_6e73;
/// Spikes: one value moved by so many spreads.
const SPIKE: (f64, f64) = (5.0, 10.0);
/// Shifts: half of the values moved by so many spreads.
const SHIFT: f64 = 3.0;

/// The kinds, by their fixed words.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Injection {
    Spike,
    Shift,
    Swap,
    Missing,
    OutOfSupport,
}

impl Injection {
    pub(super) const ALL: [Self; 5] = [
        Self::Spike,
        Self::Shift,
        Self::Swap,
        Self::Missing,
        Self::OutOfSupport,
    ];

    const fn name(self) -> &'static str {
        match self {
            Self::Spike => "injected.spike",
            Self::Shift => "injected.shift",
            Self::Swap => "injected.swap",
            Self::Missing => "injected.missing",
            Self::OutOfSupport => "injected.out_of_support",
        }
    }
}

/// What is known of one feature.
#[derive(Debug, Clone, Copy)]
struct Extent {
    low: f64,
    high: f64,
    /// The interquartile range as a standard deviation (over 1.349), or the range's twelfth where that is 0.
    spread: f64,
}

impl Extent {
    fn of(values: impl Iterator<Item = f64>) -> Self {
        let present: Vec<f64> = values.filter(|value| value.is_finite()).collect();
        let rising = sorted(&present);
        let at = |share| quantile(&rising, share).unwrap_or_default();
        let (low, high) = (at(0.0), at(1.0));
        let spread = [(at(0.75) - at(0.25)) / 1.349, (high - low) / 12.0, 1.0];
        Self {
            low,
            high,
            spread: spread.into_iter().find(|s| *s > 0.0).unwrap_or(1.0),
        }
    }
}

pub(super) fn measure(inputs: &Inputs<'_>) -> anyhow::Result<Vec<Gate>> {
    let rows = inputs.held_out;
    let clean = rows.score(inputs.candidate)?;
    let share = inputs.compared_at();
    let cut_candidate = cut(&clean, share);
    let cut_champion = match inputs.champion {
        Some(champion) => cut(&rows.score(champion)?, share),
        None => 0.0,
    };
    let untouched = chance::rows(rows);
    let sister_cuts: Vec<f64> = inputs
        .sisters
        .iter()
        .map(|sister| cut(&chance::scores(sister, &untouched), share))
        .collect();
    let mut sister_sums = vec![0.0; sister_cuts.len()];
    let mut gates = Vec::new();
    let (mut found, mut found_by_champion, mut kinds) = (0.0, 0.0, 0.0);
    for kind in Injection::ALL {
        if kind == Injection::Swap && rows.width() < 2 {
            let reason = "there is only one feature";
            gates.push(Gate::not_applicable(kind.name(), Class::Similarity, reason));
            continue;
        }
        let made = inject(rows, kind, inputs.policy.injected_rows);
        let recall = |detector: &Detector, cut: f64| -> anyhow::Result<Option<f64>> {
            match made.score(detector) {
                Ok(scores) => Ok(Some(share_above(&scores, cut))),
                // Refusing a row is a way of not scoring it wrongly.
                Err(error) if refused(&error) => Ok(None),
                Err(error) => Err(error),
            }
        };
        let own = recall(inputs.candidate, cut_candidate)?;
        let of_champion = match inputs.champion {
            Some(champion) => recall(champion, cut_champion)?,
            None => None,
        };
        let of_sisters: Vec<f64> = inputs
            .sisters
            .iter()
            .zip(&sister_cuts)
            .map(|(sister, cut)| share_above(&chance::scores(sister, &made), *cut))
            .collect();
        let width = chance::width(&of_sisters);
        gates.push(gate(inputs, kind, (own, of_champion), width));
        for (sum, recall) in sister_sums.iter_mut().zip(&of_sisters) {
            *sum += recall;
        }
        if let (Some(own), Some(of_champion)) = (own, of_champion) {
            found += own;
            found_by_champion += of_champion;
            kinds += 1.0;
        }
    }
    let overall = overall(inputs, (found, found_by_champion), kinds, &sister_sums);
    gates.insert(0, overall);
    Ok(gates)
}

/// Recall over all kinds; the sums are over that many kinds.
fn overall(
    inputs: &Inputs<'_>,
    (found, found_by_champion): (f64, f64),
    kinds: f64,
    sister_sums: &[f64],
) -> Gate {
    const NAME: &str = "injected";
    if kinds == 0.0 {
        return Gate::not_applicable(NAME, Class::Integrity, "there is no champion");
    }
    let widened = inputs.policy.injected_collapse + chance::width(sister_sums) / kinds;
    Gate::measured(
        NAME,
        Class::Integrity,
        (found_by_champion - found) / kinds,
        Limit::at_most(widened, 0.0),
        inputs.policy,
        format!(
            "finds {} of all injected anomalies, the champion {}",
            percent(found / kinds),
            percent(found_by_champion / kinds)
        ),
    )
}

fn gate(
    inputs: &Inputs<'_>,
    kind: Injection,
    (own, of_champion): (Option<f64>, Option<f64>),
    width: f64,
) -> Gate {
    let class = Class::Similarity;
    match (own, of_champion) {
        (Some(own), Some(of_champion)) => Gate::measured(
            kind.name(),
            class,
            of_champion - own,
            Limit::at_most(inputs.policy.injected_loss + width, 0.0),
            inputs.policy,
            format!(
                "finds {}, the champion {}",
                percent(own),
                percent(of_champion)
            ),
        ),
        (Some(own), None) => {
            let reason = format!(
                "finds {}; there is no champion to compare with",
                percent(own)
            );
            Gate::not_applicable(kind.name(), class, reason)
        }
        (None, Some(of_champion)) => {
            let reason = format!("refuses them, the champion finds {}", percent(of_champion));
            Gate::verdict(kind.name(), class, false, reason)
        }
        (None, None) => Gate::not_applicable(kind.name(), class, "refuses such rows"),
    }
}

fn refused(error: &anyhow::Error) -> bool {
    matches!(
        error.downcast_ref::<hodoscope_engine::Fault>(),
        Some(hodoscope_engine::Fault::Refused(_))
    )
}

/// So many rows of one kind, made from `rows`.
pub(super) fn inject(rows: &Frame, kind: Injection, count: usize) -> Frame {
    let width = rows.width();
    let extents: Vec<Extent> = (0..width)
        .map(|feature| Extent::of(rows.column(feature)))
        .collect();
    let mut random = Random::new(SEED ^ kind as u64);
    let mut made = Frame::new(rows.names().to_vec(), Vec::new());
    for _ in 0..count {
        let mut row = rows.row(random.below(rows.rows())).to_vec();
        touch(&mut row, kind, &extents, &mut random);
        made.push(&row);
    }
    made
}

fn touch(row: &mut [f64], kind: Injection, extents: &[Extent], random: &mut Random) {
    let width = row.len();
    let half = width.div_ceil(2);
    let mut change = |features: Vec<usize>, random: &mut Random, to: Change| {
        for feature in features {
            if let (Some(value), Some(extent)) = (row.get_mut(feature), extents.get(feature)) {
                *value = to(*value, *extent, random);
            }
        }
    };
    match kind {
        Injection::Spike => {
            let features = random.some(1, width);
            change(features, random, |value, extent, random| {
                let base = if value.is_finite() { value } else { extent.low };
                base + random.sign() * random.within(SPIKE.0, SPIKE.1) * extent.spread
            });
        }
        Injection::Shift => {
            let features = random.some(half, width);
            change(features, random, |value, extent, random| {
                value + random.sign() * SHIFT * extent.spread
            });
        }
        Injection::Missing => {
            let features = random.some(half, width);
            change(features, random, |_, _, _| f64::NAN);
        }
        Injection::OutOfSupport => {
            change((0..width).collect(), random, |_, extent, random| {
                let beyond =
                    random.within(0.1, 1.0) * (extent.high - extent.low).max(extent.spread);
                if random.sign() > 0.0 {
                    extent.high + beyond
                } else {
                    extent.low - beyond
                }
            });
        }
        Injection::Swap => {
            if let [one, other] = random.some(2, width).as_slice() {
                row.swap(*one, *other);
            }
        }
    }
}

/// How one value is changed.
type Change = fn(f64, Extent, &mut Random) -> f64;

#[cfg(test)]
mod tests {
    use super::*;

    fn rows() -> Frame {
        let mut random = Random::new(1);
        let names = ["a", "b", "c"].map(str::to_owned).to_vec();
        let values = (0..900).map(|_| random.within(0.0, 1.0)).collect();
        Frame::new(names, values)
    }

    #[test]
    fn injections_are_the_same_at_every_run_and_of_their_kind() {
        for kind in Injection::ALL {
            let (one, other) = (inject(&rows(), kind, 50), inject(&rows(), kind, 50));
            assert_eq!(one.rows(), 50);
            let bits = |frame: &Frame| -> Vec<u64> {
                frame.values().iter().map(|value| value.to_bits()).collect()
            };
            assert_eq!(bits(&one), bits(&other));
        }
        let missing = inject(&rows(), Injection::Missing, 50);
        let gone = missing.values().iter().filter(|v| v.is_nan()).count();
        assert_eq!(gone, 100);
        let outside = inject(&rows(), Injection::OutOfSupport, 50);
        assert!(outside.values().iter().all(|v| !(0.0..=1.0).contains(v)));
        let spiked = inject(&rows(), Injection::Spike, 50);
        let far = spiked.values().iter().filter(|v| !(0.0..=1.0).contains(*v));
        assert_eq!(far.count(), 50);
    }
}
