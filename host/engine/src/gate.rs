//! Owns the gate: the only way in which bytes become a detector. It looks (`inspect`), compiles, asks the component what it
//! is, scores the golden rows, and tries what a hostile caller would send. The first answer that breaks the contract
//! refuses the component, with a report of every check up to there.

mod cost;
mod describe;
mod explanations;
mod golden;
mod hostile;
mod probes;
mod purity;

use std::sync::Arc;
use std::time::Instant;

use crate::detector::Admitted;
use crate::engine::Core;
use crate::guest::{Blueprint, ExportIndexes, Guest};
use crate::guest_log::GuestLog;
use crate::refusal::{Refusal, RefusalKind, quote};
use crate::{Cost, Detector, Fault, Inspection, Outcome, Report, inspect};

/// Checks that are made at each load; the others hold for as long as the bytes and this build do.
const EVERY_LOAD: [&str; 3] = ["static", "description", "golden_rows"];

/// What the checks of the gate work on.
struct Subject<'a> {
    blueprint: &'a Blueprint,
    inspection: &'a Inspection,
    columns: u32,
    reuse: bool,
    /// When the whole gate must be done.
    until: Instant,
}

impl Subject<'_> {
    /// Until when a call that begins now may run.
    fn deadline(&self) -> Instant {
        let now = Instant::now();
        let call = now.checked_add(self.blueprint.limits.gate_call);
        call.unwrap_or(now).min(self.until)
    }
}

/// Takes `bytes` through the gate.
pub(crate) fn load(core: &Arc<Core>, bytes: &[u8], start: Instant) -> Result<Detector, Refusal> {
    let inspection = inspect::inspect(bytes, &core.config.limits, &core.config.trusted_kernels)?;
    let found = core.compiled.find(bytes, &inspection)?;
    let blueprint = blueprint(core, &found.component, &inspection)?;
    let mut report = Report {
        digest: inspection.digest,
        contract: inspection.contract.clone(),
        trusted: inspection.trusted,
        unproven: inspection.unproven,
        explains: inspection.explains,
        checks: Vec::new(),
        cost: Cost::default(),
        compiled_from: Some(found.from),
        load_seconds: 0.0,
    };
    report.record("static", Outcome::Passed, static_detail(&inspection));
    let reuse = inspection.trusted || core.config.reuse.contains(&inspection.digest);
    let until = Instant::now() + blueprint.limits.gate_total;
    let mut guest = instantiate(&blueprint, until)?;
    let description = describe::describe(&mut guest, until, &mut report)?;
    let subject = Subject {
        blueprint: &blueprint,
        inspection: &inspection,
        columns: u32::try_from(description.features.len()).unwrap_or(u32::MAX),
        reuse,
        until,
    };
    golden::check(&subject, &mut guest, &mut report)?;
    match found.report {
        Some(earlier) => carry_over(&mut report, earlier),
        None => {
            examine(&subject, &mut guest, &mut report)?;
            core.compiled.keep_report(&report);
        }
    }
    report.load_seconds = start.elapsed().as_secs_f64();
    let admitted = Admitted {
        inspection,
        description,
        report,
        blueprint,
        reuse,
        first: Some(guest),
    };
    Ok(Detector::new(Arc::clone(core), admitted))
}

/// The checks that are made once per component and build.
fn examine(subject: &Subject<'_>, guest: &mut Guest, report: &mut Report) -> Result<(), Refusal> {
    hostile::check_shapes(subject, guest, report)?;
    let tried = hostile::check_values(subject, guest, report)?;
    purity::check(subject, guest, &tried, report)?;
    explanations::check(subject, guest, &tried.accepted, report)?;
    hostile::check_large(subject, guest, &tried.accepted, report)?;
    report.cost = cost::measure(subject, guest, &tried.accepted);
    Ok(())
}

/// Takes over the checks of an earlier load of the same bytes by the same build.
fn carry_over(report: &mut Report, earlier: Report) {
    report.cost = earlier.cost;
    let once = earlier.checks.into_iter();
    report
        .checks
        .extend(once.filter(|check| !EVERY_LOAD.contains(&check.name.as_str())));
}

fn static_detail(inspection: &Inspection) -> String {
    format!(
        "{}, {} bytes, {} functions, imports {:?}",
        inspection.contract, inspection.size_bytes, inspection.functions, inspection.imports
    )
}

fn blueprint(
    core: &Core,
    component: &wasmtime::component::Component,
    inspection: &Inspection,
) -> Result<Blueprint, Refusal> {
    let missing = |name: &str| mismatch(&format!("no function `{name}`"));
    let index = |interface: &str, name: &str| {
        let instance = component.get_export_index(None, interface)?;
        component.get_export_index(Some(&instance), name)
    };
    let scoring = &inspection.scoring_export;
    let explaining = inspection.explaining_export.as_deref();
    let exports = ExportIndexes {
        describe: index(scoring, "describe").ok_or_else(|| missing("describe"))?,
        score: index(scoring, "score").ok_or_else(|| missing("score"))?,
        explain: explaining
            .map(|name| index(name, "explain").ok_or_else(|| missing("explain")))
            .transpose()?,
    };
    let prepared = core.linker.instantiate_pre(component);
    Ok(Blueprint {
        engine: core.wasmtime.clone(),
        component: prepared.map_err(|error| mismatch(&format!("{error:#}")))?,
        exports,
        limits: core.config.limits.clone(),
        log: Arc::new(GuestLog::new(inspection.digest, core.config.log.clone())),
        live: Arc::default(),
    })
}

/// Makes the first instance, and compares its functions with the contract's types once more, by wasmtime itself.
fn instantiate(blueprint: &Blueprint, until: Instant) -> Result<Guest, Refusal> {
    let deadline = (Instant::now() + blueprint.limits.gate_call).min(until);
    let guest = blueprint.instantiate(deadline).map_err(|fault| {
        let Found { text, slow } = faulted("no instance could be made", &fault);
        Refusal::new(
            RefusalKind::Instantiate,
            text,
            "components whose start functions end, within the limits",
            "do the work in `score`, and less of it at the start",
        )
        .slow(slow)
    })?;
    guest
        .check()
        .map_err(|error| mismatch(&format!("{error:#}")))?;
    Ok(guest)
}

fn mismatch(text: &str) -> Refusal {
    Refusal::new(
        RefusalKind::Contract,
        quote(text),
        "`hodoscope:detector@0.1.0`",
        "build against `wit/0.1.0`, unchanged",
    )
}

/// What a failed check supports and advises, for the refusal.
struct Rule {
    kind: RefusalKind,
    check: &'static str,
    supported: &'static str,
    fix: &'static str,
}

impl Rule {
    /// The refusal for this rule, with the report so far.
    fn broken(&self, report: &mut Report, found: impl Into<Found>) -> Refusal {
        let Found { text, slow } = found.into();
        report.record(self.check, Outcome::Failed, text.clone());
        let mut refusal = Refusal::new(self.kind, text, self.supported, self.fix).slow(slow);
        refusal.report = Some(Box::new(report.clone()));
        refusal
    }

    fn passed(&self, report: &mut Report, detail: String) {
        report.record(self.check, Outcome::Passed, detail);
    }

    fn skipped(&self, report: &mut Report, detail: &str) {
        report.record(self.check, Outcome::Skipped, detail);
    }
}

/// What a check found, and whether it is only that an answer took too long.
struct Found {
    text: String,
    slow: bool,
}

impl From<String> for Found {
    fn from(text: String) -> Self {
        Self { text, slow: false }
    }
}

/// How a fault reads in a refusal.
fn faulted(what: &str, fault: &Fault) -> Found {
    let slow = matches!(fault, Fault::Deadline | Fault::Expired);
    let blame = if slow {
        "; the machine may have been too busy"
    } else {
        ""
    };
    let text = format!("{what}: {} ({fault}{blame})", fault.kind());
    Found { text, slow }
}
