//! `hodoscope replay`: the captured rows of one request, scored again by the same bytes. Only files that may hold the
//! request are looked at, and of those only their end and the column of ids, until one holds it.

mod find;
mod found;

use std::process::ExitCode;

use anyhow::bail;
use hodoscope_registry::capture::CaptureStore;
use hodoscope_release::DetectorName;
use hodoscope_release::window::WindowName;

use super::Context;
use crate::app::store_options;
use crate::capture::{choice, wall_clock_ms};
use crate::config::CaptureSettings;
use find::Place;
use found::Replayed;

/// Rows of a request that are looked at to say which of them would be kept.
const ROWS_LOOKED_AT: u64 = 10_000;

/// The arguments of `hodoscope replay`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The request's id: `x-request-id` of the answer
    request_id: String,
    /// The detector that was asked; else every detector's files are looked at
    #[arg(long, value_name = "NAME")]
    detector: Option<DetectorName>,
    /// The day in UTC, as 2026-11-24 [default: every day for an id that a host gave, else today and yesterday]
    #[arg(long, value_name = "DAY", value_parser = day)]
    day: Option<String>,
}

/// Finds the rows, scores them again, and compares.
pub fn run(args: Args, context: &Context) -> anyhow::Result<ExitCode> {
    let Some(replayed) = context.block_on(replay(&args, context))?? else {
        bail!(not_found(&args, &context.config.capture));
    };
    context.answer(&replayed, &replayed)?;
    match replayed.equal {
        true => Ok(ExitCode::SUCCESS),
        false => Ok(ExitCode::FAILURE),
    }
}

async fn replay(args: &Args, context: &Context) -> anyhow::Result<Option<Replayed>> {
    let settings = &context.config.capture;
    let options = store_options(&context.config.store);
    let store = CaptureStore::open(&settings.location, &options).await?;
    let place = Place {
        detector: args.detector.as_ref(),
        days: days(args, wall_clock_ms() / 1000),
        request: &args.request_id,
    };
    match find::rows(&store, &place).await? {
        Some(found) => Ok(Some(found::replay(found, &args.request_id, context).await?)),
        None => Ok(None),
    }
}

/// The days whose files are looked at; `None`: all that are kept.
fn days(args: &Args, now_seconds: u64) -> Option<Vec<String>> {
    if let Some(day) = &args.day {
        return Some(vec![day.clone()]);
    }
    if find::boot(&args.request_id).is_some() {
        return None;
    }
    let day = |seconds| WindowName::holding(seconds, DAY_SECONDS).day();
    Some(vec![
        day(now_seconds),
        day(now_seconds.saturating_sub(DAY_SECONDS)),
    ])
}

const DAY_SECONDS: u64 = 24 * 3600;

/// Why there is nothing: the sampling is a function of the id, so whether it was chosen at all is known.
fn not_found(args: &Args, settings: &CaptureSettings) -> String {
    let id = &args.request_id;
    let choice = choice(settings, id);
    let first = (0..ROWS_LOOKED_AT).find(|row| choice.takes(*row));
    let fraction = settings.fraction;
    let sampled = match first {
        Some(0) => "its first row is among the sampled ones, so it was not answered with scores, or its part is still open \
                    (capture_part_seconds), or the row was dropped (hodoscope_capture_dropped_rows_total says how many \
                    were, and why), or its file has expired"
            .to_owned(),
        Some(row) => format!(
            "it was not sampled unless it had more than {row} rows: with capture_fraction = {fraction} and this capture_key \
             row {row} is the first that would be kept"
        ),
        None => format!(
            "it was not sampled: with capture_fraction = {fraction} and this capture_key none of its rows would be kept"
        ),
    };
    let days = match (&args.day, find::boot(id)) {
        (Some(day), _) => format!(" of {day}"),
        (None, Some(_)) => String::new(),
        (None, None) => {
            " of today and yesterday (give --day for another one, since this id was the caller's own)".to_owned()
        }
    };
    format!(
        "no captured row{days} in {} has the id `{id}`: {sampled}",
        settings.location
    )
}

fn day(text: &str) -> Result<String, String> {
    let name: Result<WindowName, _> = format!("{}T000000Z", text.replace('-', "")).parse();
    match name {
        Ok(name) if name.day() == text => Ok(text.to_owned()),
        _ => Err("write a day as 2026-11-24".to_owned()),
    }
}
