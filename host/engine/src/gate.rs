//! Owns the gate: the only way in which bytes become a detector.

mod describe;
mod golden;

use std::sync::Arc;
use std::time::Instant;

use crate::detector::Admitted;
use crate::engine::Core;
use crate::guest::{Blueprint, ExportIndexes, Guest};
use crate::guest_log::GuestLog;
use crate::refusal::{Refusal, RefusalKind, quote};
use crate::{Description, Detector, Fault, Inspection, Outcome, Report, inspect};

/// What the checks of the gate work on.
pub(crate) struct Subject<'a> {
    pub(crate) blueprint: &'a Blueprint,
    pub(crate) inspection: &'a Inspection,
    pub(crate) description: &'a Description,
    pub(crate) columns: u32,
}

impl Subject<'_> {
    /// Until when a call that the gate makes may run.
    pub(crate) fn deadline(&self) -> Instant {
        deadline(self.blueprint)
    }
}

fn deadline(blueprint: &Blueprint) -> Instant {
    let now = Instant::now();
    now.checked_add(blueprint.limits.gate_call).unwrap_or(now)
}

/// Takes `bytes` through the gate.
pub(crate) fn load(core: &Arc<Core>, bytes: &[u8], start: Instant) -> Result<Detector, Refusal> {
    let limits = &core.config.limits;
    let inspection = inspect::inspect(bytes, limits, &core.config.trusted_kernels)?;
    let (component, compiled_from) = core.compiled.component(bytes, &inspection)?;
    let blueprint = blueprint(core, &component, &inspection)?;
    let mut report = Report {
        digest: inspection.digest,
        contract: inspection.contract.clone(),
        trusted: inspection.trusted,
        unproven: inspection.unproven,
        explains: inspection.explains,
        checks: Vec::new(),
        cost: crate::Cost::default(),
        compiled_from: Some(compiled_from),
        load_seconds: 0.0,
    };
    report.record(
        "static",
        Outcome::Passed,
        "kind, sizes, imports, exports and types are within the contract",
    );
    let reuse = inspection.trusted || core.config.reuse.contains(&inspection.digest);
    let mut guest = instantiate(&blueprint)?;
    let description = describe::describe(&mut guest, deadline(&blueprint))?;
    let subject = Subject {
        blueprint: &blueprint,
        inspection: &inspection,
        description: &description,
        columns: u32::try_from(description.features.len()).unwrap_or(u32::MAX),
    };
    golden::check(&subject, &mut guest, &mut report)?;
    report.load_seconds = start.elapsed().as_secs_f64();
    Ok(Detector::new(
        Arc::clone(core),
        Admitted {
            inspection,
            description,
            report,
            blueprint,
            reuse,
            first: Some(guest),
        },
    ))
}

fn blueprint(
    core: &Core,
    component: &wasmtime::component::Component,
    inspection: &Inspection,
) -> Result<Blueprint, Refusal> {
    let refuse = |text: String| {
        Refusal::new(
            RefusalKind::Contract,
            quote(&text),
            "`hodoscope:detector@0.1.0`",
            "build against `wit/0.1.0`, unchanged",
        )
    };
    let missing = |name: &str| refuse(format!("no function `{name}`"));
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
        component: prepared.map_err(|error| refuse(format!("{error:#}")))?,
        exports,
        limits: core.config.limits.clone(),
        log: Arc::new(GuestLog::new(inspection.digest, core.config.log.clone())),
        live: Arc::default(),
    })
}

/// Makes the first instance, and compares its functions with the contract's types once more, by wasmtime itself.
fn instantiate(blueprint: &Blueprint) -> Result<Guest, Refusal> {
    let guest = blueprint
        .instantiate(deadline(blueprint))
        .map_err(|fault| {
            Refusal::new(
                RefusalKind::Instantiate,
                format!("no instance could be made: {fault}"),
                "components whose start functions end, within the limits",
                "do the work in `score`, and less of it at the start",
            )
        })?;
    guest.check().map_err(|error| {
        Refusal::new(
            RefusalKind::Contract,
            quote(&format!("{error:#}")),
            "`hodoscope:detector@0.1.0`",
            "build against `wit/0.1.0`, unchanged",
        )
    })?;
    Ok(guest)
}

/// The refusal for a check that failed, with the report so far.
pub(crate) fn failed(
    report: &mut Report,
    kind: RefusalKind,
    check: &str,
    found: String,
    supported: &str,
    fix: &str,
) -> Refusal {
    report.record(check, Outcome::Failed, found.clone());
    let mut refusal = Refusal::new(kind, found, supported, fix);
    refusal.report = Some(Box::new(report.clone()));
    refusal
}

/// How a fault reads in a refusal.
pub(crate) fn fault_text(what: &str, fault: &Fault) -> String {
    format!("{what}: {} ({fault})", fault.kind())
}
