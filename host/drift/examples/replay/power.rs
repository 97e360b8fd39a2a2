//! Known changes of the traffic: what is found of them, and what is missed.

use std::error::Error;

use hodoscope_drift::{MergedWindow, Policy, Verdict, judge};

use crate::rows::{Known, Random, Rows, Traffic};
use crate::{Scenario, Set};

const SIZES: [usize; 3] = [500, 5_000, 100_000];
/// Stories of three windows: one as before, two changed.
const STORIES: usize = 20;

/// What was found, in shares; of all sets together.
#[derive(Default)]
struct Found {
    stories: usize,
    scores: usize,
    alerts: usize,
    retrains: usize,
    quality: usize,
    touched: (usize, usize),
    untouched: (usize, usize),
}

impl Found {
    fn story(
        &mut self,
        known: &Known,
        windows: &[MergedWindow],
        scenario: &Scenario,
    ) -> Result<(), Box<dyn Error>> {
        let report = judge(&known.reference(), windows, &Policy::default(), 1)?;
        self.stories += 1;
        self.scores += usize::from(report.score.as_ref().is_some_and(|score| score.drifted));
        self.alerts += usize::from(report.alert_rate.is_some_and(|rate| !rate.within));
        self.retrains += usize::from(report.verdict == Verdict::Drifted);
        self.quality += usize::from(report.verdict == Verdict::DataQuality);
        for feature in &report.features {
            let at: usize = feature.name.trim_start_matches('f').parse()?;
            let side = match scenario.touched.contains(&at) {
                true => &mut self.touched,
                false => &mut self.untouched,
            };
            side.0 += usize::from(feature.comparison.drifted);
            side.1 += 1;
        }
        Ok(())
    }

    fn add(&mut self, other: &Self) {
        self.stories += other.stories;
        self.scores += other.scores;
        self.alerts += other.alerts;
        self.retrains += other.retrains;
        self.quality += other.quality;
        for (mine, theirs) in [
            (&mut self.touched, other.touched),
            (&mut self.untouched, other.untouched),
        ] {
            mine.0 += theirs.0;
            mine.1 += theirs.1;
        }
    }
}

fn scenario(
    set: &Set,
    known: &Known,
    before: &Traffic<'_>,
    scenario: &Scenario,
    size: usize,
) -> Result<Found, Box<dyn Error>> {
    let rows = Rows::read(&set.folder.join(&scenario.file), set.width)?;
    let traffic = Traffic::new(known, &rows, (0..rows.len()).collect());
    let mut random = Random(size as u64);
    let mut found = Found::default();
    for _ in 0..STORIES {
        let windows = [
            before.window(&mut random, size, 1)?,
            traffic.window(&mut random, size, 1)?,
            traffic.window(&mut random, size, 1)?,
        ];
        found.story(known, &windows, scenario)?;
    }
    Ok(found)
}

fn percent((count, of): (usize, usize)) -> String {
    match of {
        0 => "–".to_owned(),
        of => format!("{:.0} %", 100.0 * count as f64 / of as f64),
    }
}

/// Every change at every size, all sets together, and then the sets apart for the middle size.
pub(crate) fn table(sets: &[Set]) -> Result<(), Box<dyn Error>> {
    let Some(first) = sets.first() else {
        return Ok(());
    };
    let mut totals: Vec<Vec<Found>> = SIZES
        .iter()
        .map(|_| first.scenarios.iter().map(|_| Found::default()).collect())
        .collect();
    let mut apart: Vec<Vec<String>> = first.scenarios.iter().map(|_| Vec::new()).collect();
    for set in sets {
        let rows = Rows::read(&set.folder.join("reference.f32"), set.width)?;
        let known = Known::of(&rows, &(0..rows.len()).collect::<Vec<_>>())?;
        let none = Rows::read(&set.folder.join("0.f32"), set.width)?;
        let before = Traffic::new(&known, &none, (0..none.len()).collect());
        for (at, change) in set.scenarios.iter().enumerate() {
            for (size, totals) in SIZES.into_iter().zip(&mut totals) {
                let found = scenario(set, &known, &before, change, size)?;
                totals[at].add(&found);
                if size == 5_000 {
                    apart[at].push(match found.quality {
                        0 => percent((found.retrains, found.stories)),
                        _ => format!("alert {}", percent((found.quality, found.stories))),
                    });
                }
            }
        }
    }
    for (size, totals) in SIZES.into_iter().zip(&totals) {
        println!(
            "\nPower, n = {size}, {} sets, {STORIES} stories each: one window as before, then two changed\n",
            sets.len()
        );
        println!(
            "| change (a third of the features) | score | alert rate | retrain | quality alert | changed features found | others flagged |"
        );
        println!("|---|---|---|---|---|---|---|");
        for (change, found) in first.scenarios.iter().zip(totals) {
            let share = |count| percent((count, found.stories));
            println!(
                "| {} | {} | {} | {} | {} | {} | {} |",
                change.name,
                share(found.scores),
                share(found.alerts),
                share(found.retrains),
                share(found.quality),
                percent(found.touched),
                percent(found.untouched)
            );
        }
    }
    println!("\nRetrains at n = 5,000, set by set\n");
    let names: Vec<&str> = sets.iter().map(|set| set.name.as_str()).collect();
    println!(
        "| change | {} |\n|---|{}",
        names.join(" | "),
        "---|".repeat(names.len())
    );
    for (change, cells) in first.scenarios.iter().zip(&apart) {
        println!("| {} | {} |", change.name, cells.join(" | "));
    }
    Ok(())
}
