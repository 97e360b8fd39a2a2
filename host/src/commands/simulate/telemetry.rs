//! A fleet of pumps as a seeded generator: eight correlated sensors that follow load and the hour of the day, labelled
//! faults of five kinds, and wear that sets in at a row. The same seed gives the same rows. Wear is no fault: its rows
//! stay labelled normal, and a detector that was trained before it raises false alarms.

use std::f64::consts::TAU;

/// What the sensors measure, in the order of [`Row::values`].
pub(crate) const SENSORS: [&str; 8] = [
    "ambient_c",
    "rpm",
    "flow_m3_h",
    "discharge_bar",
    "motor_a",
    "bearing_c",
    "vibration_mm_s",
    "oil_bar",
];

/// Rows of one sensor reading follow each other machine by machine.
const MACHINES: usize = 16;
/// Readings of one machine in a day: one every five minutes.
const READINGS_PER_DAY: u64 = 288;
/// The share of faulty rows.
const FAULT_RATE: f64 = 0.01;
/// Sensors resolve a thousandth; it also keeps files short.
const RESOLUTION: f64 = 1000.0;

/// What is wrong in a faulty row.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, serde::Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Fault {
    /// Vapour in the pump: it shakes and delivers less.
    Cavitation,
    /// A burst pipe: much flow, little pressure.
    Leak,
    /// A dry bearing.
    Overheating,
    /// A blocked impeller: much current, few revolutions.
    Overload,
    /// A transmitter whose two sensors read zero.
    DeadTransmitter,
}

const FAULTS: [Fault; 5] = [
    Fault::Cavitation,
    Fault::Leak,
    Fault::Overheating,
    Fault::Overload,
    Fault::DeadTransmitter,
];

/// One reading of one machine.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Row {
    /// One value per sensor.
    pub(crate) values: Vec<f64>,
    /// What is wrong, if anything is.
    pub(crate) fault: Option<Fault>,
}

/// When wear sets in, and how fast.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Wear {
    /// The first row with some wear.
    pub(crate) from_row: u64,
    /// So many rows later it is at its full extent.
    pub(crate) ramp_rows: u64,
}

/// The endless stream of rows.
#[derive(Debug, Clone)]
pub(crate) struct Telemetry {
    random: Random,
    wear: Option<Wear>,
    row: u64,
    /// How far each machine's load is from what the hour asks for, in percent.
    wander: [f64; MACHINES],
}

impl Telemetry {
    /// Starts a stream.
    pub(crate) fn new(seed: u64, wear: Option<Wear>) -> Self {
        Self {
            random: Random::new(seed),
            wear,
            row: 0,
            wander: [0.0; MACHINES],
        }
    }

    fn reading(&mut self, extent: f64) -> Row {
        let random = &mut self.random;
        let machine = self.row % MACHINES as u64;
        let reading = self.row / MACHINES as u64;
        let hour = (reading % READINGS_PER_DAY) as f64 / READINGS_PER_DAY as f64;
        let shift = machine as f64 / MACHINES as f64 * 0.15;
        let daily = ((hour + shift) * TAU).sin();

        let mut load = 58.0 + 24.0 * daily;
        if let Some(wander) = usize::try_from(machine)
            .ok()
            .and_then(|m| self.wander.get_mut(m))
        {
            *wander = 0.9 * *wander + random.normal() * 1.8;
            load += *wander;
        }
        let load = load.clamp(10.0, 100.0);
        let ambient = 18.0 + 6.0 * ((hour - 0.25) * TAU).sin() + random.normal() * 0.5;
        let rpm = 900.0 + 20.0 * load + random.normal() * 8.0;
        let speed = rpm / 2900.0;
        let flow = 160.0 * speed * (1.0 + random.normal() * 0.012);
        let discharge = 1.5 + 4.2 * speed * speed + random.normal() * 0.04;
        let motor = (11.0 + 0.42 * load + random.normal() * 0.5) * (1.0 + 0.14 * extent);
        let bearing = ambient + 20.0 + 0.26 * load + random.normal() * 0.7 + 11.0 * extent;
        let shake = 1.0 + 0.9 * speed * speed + random.normal().abs() * 0.1;
        let vibration = shake * (1.0 + 0.55 * extent);
        let oil = 3.6 - 0.012 * bearing + random.normal() * 0.03;
        let mut values = vec![
            ambient, rpm, flow, discharge, motor, bearing, vibration, oil,
        ];

        let fault = (random.uniform() < FAULT_RATE)
            .then(|| random.pick(&FAULTS))
            .flatten();
        if let Some(fault) = fault {
            fault.strike(&mut values, random);
        }
        for value in &mut values {
            *value = (*value * RESOLUTION).round() / RESOLUTION;
        }
        Row { values, fault }
    }
}

impl Iterator for Telemetry {
    type Item = Row;

    fn next(&mut self) -> Option<Row> {
        let extent = self.wear.map_or(0.0, |wear| wear.extent(self.row));
        let row = self.reading(extent);
        self.row += 1;
        Some(row)
    }
}

impl Wear {
    /// How far wear has gone at a row, 0 to 1.
    pub(crate) fn extent(&self, row: u64) -> f64 {
        match row.checked_sub(self.from_row) {
            None => 0.0,
            Some(since) if since >= self.ramp_rows => 1.0,
            Some(since) => since as f64 / self.ramp_rows as f64,
        }
    }
}

impl Fault {
    fn strike(self, values: &mut [f64], random: &mut Random) {
        let severity = 1.0 + 0.5 * random.uniform();
        let [
            _ambient,
            rpm,
            flow,
            discharge,
            motor,
            bearing,
            vibration,
            oil,
        ] = values
        else {
            return;
        };
        match self {
            Self::Cavitation => {
                *vibration *= 1.0 + 1.6 * severity;
                *flow *= 1.0 - 0.25 * severity;
                *discharge *= 1.0 - 0.2 * severity;
            }
            Self::Leak => {
                *discharge *= 1.0 - 0.6 * severity;
                *flow *= 1.0 + 0.7 * severity;
                *motor *= 1.0 + 0.35 * severity;
            }
            Self::Overheating => {
                *bearing += 38.0 * severity;
                *oil -= 0.7 * severity;
                *vibration *= 1.4;
            }
            Self::Overload => {
                *motor *= 1.0 + 0.7 * severity;
                *rpm *= 1.0 - 0.2 * severity;
                *bearing += 10.0 * severity;
            }
            Self::DeadTransmitter => {
                let (one, other) = match random.below(3) {
                    0 => (bearing, vibration),
                    1 => (rpm, flow),
                    _ => (discharge, oil),
                };
                (*one, *other) = (0.0, 0.0);
            }
        }
    }
}

/// xoshiro256++ (Blackman and Vigna, prng.di.unimi.it), seeded by splitmix64 as its authors say. Small, ours, and so
/// the same rows come out of every version of this program.
#[derive(Debug, Clone)]
pub(crate) struct Random([u64; 4]);

impl Random {
    /// A generator whose whole state follows from `seed`.
    pub(crate) fn new(seed: u64) -> Self {
        let mut state = seed;
        Self(std::array::from_fn(|_| {
            state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
            let mut z = state;
            z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
            z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
            z ^ (z >> 31)
        }))
    }

    fn next(&mut self) -> u64 {
        let [a, b, c, d] = &mut self.0;
        let result = a.wrapping_add(*d).rotate_left(23).wrapping_add(*a);
        let t = *b << 17;
        *c ^= *a;
        *d ^= *b;
        *b ^= *c;
        *a ^= *d;
        *c ^= t;
        *d = d.rotate_left(45);
        result
    }

    /// Uniform in 0..1, with 53 bits.
    pub(crate) fn uniform(&mut self) -> f64 {
        (self.next() >> 11) as f64 / (1_u64 << 53) as f64
    }

    /// Standard normal, by Box and Muller's cosine.
    pub(crate) fn normal(&mut self) -> f64 {
        let radius = (-2.0 * (1.0 - self.uniform()).ln()).sqrt();
        radius * (self.uniform() * TAU).cos()
    }

    /// A place below `bound`; 0 for a bound of 0.
    pub(crate) fn below(&mut self, bound: usize) -> usize {
        ((self.uniform() * bound as f64) as usize).min(bound.saturating_sub(1))
    }

    fn pick<T: Copy>(&mut self, choices: &[T]) -> Option<T> {
        self.pick_ref(choices).copied()
    }

    /// One of `choices`.
    pub(crate) fn pick_ref<'a, T>(&mut self, choices: &'a [T]) -> Option<&'a T> {
        choices.get(self.below(choices.len()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mean(rows: &[Row], sensor: usize) -> f64 {
        let normal: Vec<f64> = rows
            .iter()
            .filter(|r| r.fault.is_none())
            .map(|r| r.values[sensor])
            .collect();
        normal.iter().sum::<f64>() / normal.len() as f64
    }

    #[test]
    fn the_same_seed_gives_the_same_rows_and_another_seed_others() {
        let rows = |seed| Telemetry::new(seed, None).take(500).collect::<Vec<_>>();
        assert_eq!(rows(7), rows(7));
        assert_ne!(rows(7), rows(8));
    }

    #[test]
    fn about_one_row_in_a_hundred_is_faulty_and_every_kind_occurs() {
        let rows: Vec<Row> = Telemetry::new(1, None).take(50_000).collect();
        let faults: Vec<Fault> = rows.iter().filter_map(|row| row.fault).collect();
        assert!((400..600).contains(&faults.len()), "{}", faults.len());
        for fault in FAULTS {
            assert!(
                faults.iter().filter(|found| **found == fault).count() > 50,
                "{fault:?}"
            );
        }
    }

    #[test]
    fn wear_moves_the_bearing_but_not_the_ambient_and_labels_nothing() {
        let wear = Wear {
            from_row: 20_000,
            ramp_rows: 1_000,
        };
        let rows: Vec<Row> = Telemetry::new(1, Some(wear)).take(60_000).collect();
        let (before, after) = (&rows[..20_000], &rows[21_000..]);
        let bearing = SENSORS
            .iter()
            .position(|name| *name == "bearing_c")
            .unwrap();
        assert!(mean(after, bearing) - mean(before, bearing) > 8.0);
        assert!((mean(after, 0) - mean(before, 0)).abs() < 0.5);
        let faults =
            after.iter().filter(|row| row.fault.is_some()).count() as f64 / after.len() as f64;
        assert!((0.008..0.012).contains(&faults), "{faults}");
    }

    #[test]
    fn wear_grows_from_nothing_to_everything() {
        let wear = Wear {
            from_row: 10,
            ramp_rows: 4,
        };
        assert_eq!(
            [9, 10, 12, 14, 99].map(|row| wear.extent(row)),
            [0.0, 0.0, 0.5, 1.0, 1.0]
        );
        let sudden = Wear {
            from_row: 0,
            ramp_rows: 0,
        };
        assert_eq!(sudden.extent(0), 1.0);
    }

    #[test]
    fn matches_the_reference_code_of_xoshiro256plusplus() {
        // State 1, 2, 3, 4: first outputs of the authors' C code, as in rand_xoshiro's tests.
        let mut random = Random([1, 2, 3, 4]);
        let first: Vec<u64> = (0..4).map(|_| random.next()).collect();
        assert_eq!(
            first,
            vec![
                41_943_041,
                58_720_359,
                3_588_806_011_781_223,
                3_591_011_842_654_386
            ]
        );
    }
}
