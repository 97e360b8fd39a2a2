//! `2^x` as one fixed sequence of f64 operations, so that the kernel and the reference agree on every bit on every
//! machine; no libm promises that.

/// Exponents below this give `2^LOWEST`: a score stays above 0.
pub(crate) const LOWEST: f64 = -1000.0;

/// The Taylor coefficients of `2^f = e^(f ln 2)`, that is `ln(2)^k / k!` from `k = 0`. On `|f| <= 1/2` the first one
/// left out (k = 12) is below 7e-15 of the result.
pub(crate) const COEFFICIENTS: [f64; 12] = [
    1.0,
    std::f64::consts::LN_2,
    0.240_226_506_959_100_7,
    0.055_504_108_664_821_58,
    0.009_618_129_107_628_477,
    0.001_333_355_814_642_844_3,
    0.000_154_035_303_933_816_1,
    1.525_273_380_405_984_1e-5,
    1.321_548_679_014_431e-6,
    1.017_808_600_923_97e-7,
    7.054_911_620_801_123e-9,
    4.445_538_271_870_811_6e-10,
];

/// `2^x` for `x <= 0`, with a relative error below 1e-12; below [`LOWEST`] it stays at `2^LOWEST`.
///
/// `x = n + f` with `n` the nearest whole number (ties to even); Horner on `f`, each product and sum rounded on its
/// own; times `2^n`, which is exact.
pub(crate) fn exp2(x: f64) -> f64 {
    let x = x.max(LOWEST);
    let whole = x.round_ties_even();
    let part = x - whole;
    let polynomial = COEFFICIENTS
        .iter()
        .rev()
        .fold(0.0, |sum, coefficient| sum * part + coefficient);
    let power = f64::from_bits(((whole as i64 + 1023) as u64) << 52);
    polynomial * power
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn agrees_with_libm_over_the_whole_range() {
        let mut worst = 0.0f64;
        for step in 0..=1_000_000u32 {
            let x = -f64::from(step) / 1000.0;
            worst = worst.max((exp2(x) / x.exp2() - 1.0).abs());
        }
        for step in 0..=1_000_000u32 {
            let x = -f64::from(step) / 999_983.0;
            worst = worst.max((exp2(x) / x.exp2() - 1.0).abs());
        }
        assert!(worst < 1e-12, "{worst:e}");
    }

    #[test]
    fn stays_within_zero_and_one() {
        assert_eq!(exp2(0.0), 1.0);
        assert_eq!(exp2(-0.0), 1.0);
        assert_eq!(exp2(-1.0), 0.5);
        assert!(exp2(-f64::MIN_POSITIVE) <= 1.0);
        assert!(exp2(-1e-16) <= 1.0);
        assert!(exp2(f64::NEG_INFINITY) > 0.0);
    }
}
