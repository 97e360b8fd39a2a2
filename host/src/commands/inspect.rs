//! `hodoscope inspect`: what a component is. First what can be seen without running it, then what the gate says of it;
//! a component that the gate refuses is shown all the same, with the reason.

use std::fmt::{self, Write as _};
use std::process::ExitCode;

use hodoscope_engine::{Description, Inspection, Limits, Outcome, Refusal, Report};
use hodoscope_registry::Yank;
use hodoscope_release::IndexEntry;
use hodoscope_release::sections::Training;
use serde::Serialize;

use super::Context;
use super::reference::Reference;
use crate::{gate, pins, releases};

/// The most features that are printed for people, unless all are asked for.
const SHOWN_FEATURES: usize = 12;

/// What to look at.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// A component's file, or a release of the store: pump@1.4.0
    pub subject: Reference,
    /// Print all features, however many there are
    #[arg(long)]
    pub all: bool,
    /// Print one of the release's documents as it is, for instance report (a page) or evidence (JSON)
    #[arg(long, value_name = "NAME")]
    pub document: Option<String>,
}

/// Everything that is known of a component. What the gate refused has no description and report.
#[derive(Serialize)]
struct Answer {
    subject: String,
    inspection: Inspection,
    limits: ShownLimits,
    golden_rows: usize,
    calibration: Option<ShownCalibration>,
    training: Option<Training>,
    description: Option<Description>,
    report: Option<Report>,
    refusal: Option<Refusal>,
    entry: Option<IndexEntry>,
    yanked: Option<Yank>,
    pinned_by: Vec<pins::PinnedBy>,
    #[serde(skip)]
    all: bool,
}

#[derive(Serialize)]
struct ShownLimits {
    component_bytes: u64,
    memory_bytes: u64,
    functions: u32,
    function_bytes: u64,
}

#[derive(Serialize)]
struct ShownCalibration {
    rows: u64,
    alert_rate: f64,
}

/// Prints a document's bytes.
fn document(subject: &Reference, name: &str, context: &Context) -> anyhow::Result<ExitCode> {
    let Reference::Release(release) = subject else {
        anyhow::bail!(
            "{subject} is a file; documents lie beside releases of the store, for instance pump@1.4.0"
        );
    };
    let bytes = context.block_on(async {
        let store = releases::open_store(&context.config).await?;
        let entry = store.index(release).await?;
        let Some(digest) = entry.documents.get(name) else {
            let known: Vec<&str> = entry.documents.keys().map(String::as_str).collect();
            anyhow::bail!(
                "{release} has no document `{name}`; it has: {}",
                known.join(", ")
            );
        };
        anyhow::Ok(store.document(digest).await?)
    })??;
    std::io::Write::write_all(&mut std::io::stdout().lock(), &bytes)?;
    Ok(ExitCode::SUCCESS)
}

/// Runs the command: exit code 0 if a push would take the component, 1 if the gate refuses it.
pub fn run(args: Args, context: &Context) -> anyhow::Result<ExitCode> {
    if let Some(name) = &args.document {
        return document(&args.subject, name, context);
    }
    let config = &context.config;
    let limit_bytes = config.engine.component_limit_bytes as u64;
    let (component, entry, yanked) = match &args.subject {
        Reference::File(file) => (releases::read_component(file, limit_bytes)?, None, None),
        Reference::Release(release) => {
            let stored = context.block_on(async {
                let store = releases::open_store(config).await?;
                releases::fetch(&store, release, limit_bytes).await
            })??;
            (stored.component, Some(stored.entry), stored.yanked)
        }
    };
    let engine = gate::engine(config)?;
    let inspection = match engine.inspect(&component) {
        Ok(inspection) => inspection,
        Err(refusal) => {
            let text = format!("{}: {}", args.subject, gate::verdict(&Err(refusal.clone())));
            context.answer(&refusal, text)?;
            return Ok(ExitCode::FAILURE);
        }
    };
    let (description, report, refusal) = match engine.load(&component) {
        Ok(detector) => {
            let (description, report) = (detector.description().clone(), detector.report().clone());
            (Some(description), Some(report), None)
        }
        Err(refusal) => (None, refusal.report.as_deref().cloned(), Some(refusal)),
    };
    let pinned = entry
        .as_ref()
        .map(|entry| pins::read(config).of(&entry.release()));
    let answer = Answer {
        subject: args.subject.to_string(),
        limits: ShownLimits::from(&engine.config().limits),
        golden_rows: inspection
            .sections
            .golden
            .as_ref()
            .map_or(0, |golden| golden.rows.len()),
        calibration: inspection
            .sections
            .calibration
            .as_ref()
            .map(|table| ShownCalibration {
                rows: table.rows,
                alert_rate: table.alert_rate,
            }),
        training: inspection.sections.training.clone(),
        pinned_by: pinned.unwrap_or_default(),
        inspection,
        description,
        report,
        refusal,
        entry,
        yanked,
        all: args.all,
    };
    context.answer(&answer, &answer)?;
    Ok(match answer.refusal {
        None => ExitCode::SUCCESS,
        Some(_) => ExitCode::FAILURE,
    })
}

impl From<&Limits> for ShownLimits {
    fn from(limits: &Limits) -> Self {
        Self {
            component_bytes: limits.component_bytes,
            memory_bytes: limits.memory_bytes,
            functions: limits.functions,
            function_bytes: limits.function_bytes,
        }
    }
}

impl fmt::Display for Answer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Inspection {
            digest, contract, ..
        } = &self.inspection;
        writeln!(f, "{}", self.subject)?;
        writeln!(f, "  digest      {digest}")?;
        writeln!(
            f,
            "  contract    {contract}{}",
            if self.inspection.explains {
                ", explains"
            } else {
                ""
            }
        )?;
        writeln!(f, "  code        {}", self.trust())?;
        writeln!(f, "  size        {}", self.size())?;
        if !self.inspection.imports.is_empty() {
            writeln!(f, "  imports     {}", self.inspection.imports.join(", "))?;
        }
        if let Some(description) = &self.description {
            self.write_description(f, description)?;
        }
        writeln!(f, "  golden rows {}", self.golden())?;
        if let Some(table) = &self.calibration {
            let rate = table.alert_rate * 100.0;
            writeln!(
                f,
                "  calibration {} rows, {rate:.3} % at or above the threshold",
                table.rows
            )?;
        }
        if let Some(training) = &self.training {
            write_training(f, training)?;
        }
        if let Some(yank) = &self.yanked {
            writeln!(f, "  yanked      {}", yank.reason)?;
        }
        for (name, digest) in self.entry.iter().flat_map(|entry| &entry.documents) {
            writeln!(f, "  document    {name} {digest}")?;
        }
        if !self.pinned_by.is_empty() {
            let pins: Vec<_> = self.pinned_by.iter().map(ToString::to_string).collect();
            writeln!(f, "  pinned by   {}", pins.join(", "))?;
        }
        self.write_verdict(f)
    }
}

impl Answer {
    fn trust(&self) -> &'static str {
        match self.inspection.trusted {
            true => "trusted: byte for byte a kernel of this host; instances are reused",
            false => "not a kernel of this host; a fresh instance for each call",
        }
    }

    fn size(&self) -> String {
        let Inspection {
            size_bytes,
            memory_bytes,
            functions,
            largest_function_bytes,
            ..
        } = &self.inspection;
        format!(
            "{} of {}; memory {} of {}; {functions} of {} functions, the largest {} of {}",
            size(*size_bytes),
            size(self.limits.component_bytes),
            size(*memory_bytes),
            size(self.limits.memory_bytes),
            self.limits.functions,
            size(*largest_function_bytes),
            size(self.limits.function_bytes),
        )
    }

    fn golden(&self) -> String {
        match self.golden_rows {
            0 => "none: served as `unproven`".to_owned(),
            rows => format!("{rows}, scored again at every load"),
        }
    }

    fn write_description(
        &self,
        f: &mut fmt::Formatter<'_>,
        description: &Description,
    ) -> fmt::Result {
        let shown = if self.all { usize::MAX } else { SHOWN_FEATURES };
        let names = description
            .features
            .iter()
            .map(|feature| match &feature.unit {
                Some(unit) => format!("{} [{unit}]", feature.name),
                None => feature.name.clone(),
            });
        let mut text = names.take(shown).collect::<Vec<_>>().join(", ");
        let more = description.features.len().saturating_sub(shown);
        if more > 0 {
            write!(text, ", and {more} more (--all)")?;
        }
        writeln!(f, "  features    {}: {text}", description.features.len())?;
        match description.threshold {
            Some(threshold) => writeln!(f, "  threshold   {threshold}")?,
            None => writeln!(f, "  threshold   none: scores only")?,
        }
        for (key, value) in &description.metadata {
            writeln!(f, "  metadata    {key} = {value}")?;
        }
        Ok(())
    }

    fn write_verdict(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (&self.refusal, &self.report) {
            (Some(refusal), _) => write!(f, "{}", gate::verdict(&Err(refusal.clone()))),
            (None, Some(report)) => {
                let passed = report
                    .checks
                    .iter()
                    .filter(|check| check.outcome == Outcome::Passed)
                    .count();
                let cost = (
                    report.cost.call_seconds * 1e6,
                    report.cost.row_seconds * 1e9,
                );
                writeln!(
                    f,
                    "  cost        {:.1} µs a call, {:.0} ns a further row",
                    cost.0, cost.1
                )?;
                write!(
                    f,
                    "  gate        accepted, {passed} checks passed (`hodoscope test` prints them)"
                )
            }
            (None, None) => Ok(()),
        }
    }
}

fn write_training(f: &mut fmt::Formatter<'_>, training: &Training) -> fmt::Result {
    writeln!(
        f,
        "  training    {}, {} rows",
        training.trainer, training.rows
    )?;
    if let Some(digest) = &training.data_digest {
        writeln!(f, "    data      {digest}")?;
    }
    if !training.options.is_empty() {
        let options = training
            .options
            .iter()
            .map(|(name, value)| format!("{name}={value}"));
        writeln!(f, "    options   {}", options.collect::<Vec<_>>().join(" "))?;
    }
    if !training.metrics.is_empty() {
        let metrics = training
            .metrics
            .iter()
            .map(|(name, value)| format!("{name}={value:.4}"));
        writeln!(f, "    metrics   {}", metrics.collect::<Vec<_>>().join(" "))?;
    }
    Ok(())
}

/// A number of bytes, as people write it.
fn size(bytes: u64) -> String {
    match bytes {
        0..10_240 => format!("{bytes} B"),
        10_240..10_485_760 => format!("{} KiB", bytes >> 10),
        _ => format!("{} MiB", bytes >> 20),
    }
}
