//! From a look that wants a candidate to a release in the store with its evidence. The version follows the last one; the
//! same bytes are never pushed under a second version, and never measured a second time.

use anyhow::Context as _;
use bytes::Bytes;
use hodoscope_drift::{Cell, DriftReport, Section, page_after};
use hodoscope_engine::Detector;
use hodoscope_registry::{Listed, Pushed, StoreError};
use hodoscope_release::evidence::{
    self, Class, Decision, Drift, DriftedFeature, Evidence, Gate, GatePolicy, Kind, Outcome,
    Subject, decide,
};
use hodoscope_release::window::ShadowCounts;
use hodoscope_release::{Digest, IndexEntry, ReleaseName, Version};

use super::{Job, Look, rows};
use crate::evidence::{Named, compare};
use crate::gate;
use crate::gates::{self, Inputs, run_gates};
use crate::proposal::{PAGE, REPORT};
use crate::retrain::{RetrainError, RetrainPolicy, Retrained, Source, retrain};

/// How often another job's version may be in the way.
const ATTEMPTS: usize = 8;
/// Features of the drift that stand in the evidence.
const SHOWN_FEATURES: usize = 20;

/// A candidate in the store.
#[derive(Debug)]
pub struct Candidate {
    /// Its entry.
    pub entry: IndexEntry,
    /// What was measured of it.
    pub evidence: Evidence,
    /// Whether this run put it there.
    pub fresh: bool,
}

/// What became of the wish for a candidate.
#[derive(Debug)]
pub enum Made {
    /// It is in the store.
    Candidate(Box<Candidate>),
    /// The gates refuse it; it is not stored.
    Refused(Box<Evidence>),
    /// There is none, and this says why.
    None(String),
}

impl Job<'_> {
    /// Retrains on the rows of the drifted windows, lets the candidate through the gates, and pushes it.
    pub fn make(&self, look: &Look) -> anyhow::Result<Made> {
        let detector = &look.champion.entry.detector;
        let drifted = look.drifted();
        let fetched = self
            .context
            .block_on(rows::fetch(self, detector, &drifted))??;
        if fetched.files.is_empty() {
            return Ok(Made::None(format!(
                "no rows of the drifted windows lie in {}; is `capture_fraction` 0, or did they expire?",
                self.capture
            )));
        }
        let source = Source {
            files: fetched.files.clone(),
            windows: drifted.iter().map(|window| window.window.clone()).collect(),
        };
        let retrained = match retrain(&look.champion.detector, &source, &RetrainPolicy::default()) {
            Err(error @ RetrainError::FewRows { .. }) => return Ok(Made::None(error.to_string())),
            retrained => retrained?,
        };
        drop(fetched);
        if retrained.digest == look.champion.entry.digest {
            return Ok(Made::None(
                "the same rows gave the release that answers".to_owned(),
            ));
        }
        let listed = self
            .context
            .block_on(self.store.list(Some(detector)))??
            .releases;
        match self.known(look, &listed, retrained.digest)? {
            Some(made) => Ok(made),
            None => self.measure(look, &listed, &retrained),
        }
    }

    /// A candidate that an earlier run, or another job, has put into the store. What a shadow of it has counted since then
    /// is measured anew.
    fn known(
        &self,
        look: &Look,
        listed: &[Listed],
        digest: Digest,
    ) -> anyhow::Result<Option<Made>> {
        let Some(known) = listed.iter().find(|known| known.entry.digest == digest) else {
            return Ok(None);
        };
        let release = known.entry.release();
        if let Some(yank) = &known.yanked {
            return Ok(Some(Made::None(format!(
                "the same rows gave {release}, which was yanked ({})",
                yank.reason
            ))));
        }
        let Some(document) = known.entry.documents.get(evidence::DOCUMENT) else {
            return Ok(Some(Made::None(format!(
                "the same rows gave {release}, which was pushed by hand without evidence; promote it by hand"
            ))));
        };
        let bytes = self.context.block_on(self.store.document(document))??;
        let mut evidence: Evidence = serde_json::from_slice(&bytes)
            .with_context(|| format!("the evidence of {release} does not parse"))?;
        if let Some(counts) = shadow(look, digest) {
            replace(&mut evidence.gates, gates::shadow(counts, &evidence.policy));
            let first = evidence.champion.is_none();
            evidence.decision = decide(&evidence.gates, first).for_a_person(first);
        }
        Ok(Some(Made::Candidate(Box::new(Candidate {
            entry: known.entry.clone(),
            evidence,
            fresh: false,
        }))))
    }

    fn measure(
        &self,
        look: &Look,
        listed: &[Listed],
        retrained: &Retrained,
    ) -> anyhow::Result<Made> {
        let candidate = self
            .engine
            .load(&retrained.component)
            .context("the candidate was refused by the gate")?;
        let champion = &look.champion;
        let anchor = self.anchor(look, listed);
        let policy = GatePolicy::default();
        let limits = gate::engine_config(&self.context.config)?.limits;
        let expectations = self.context.config.expectations(&champion.entry.detector);
        let labels = retrained.labels.as_deref();
        let mut gates = run_gates(&Inputs {
            candidate: &candidate,
            champion: Some(&champion.detector),
            anchor: Some(
                anchor
                    .as_ref()
                    .ok()
                    .and_then(Option::as_ref)
                    .unwrap_or(&champion.detector),
            ),
            held_out: &retrained.held_out,
            labels,
            unseen: Some(&retrained.unseen),
            expectations: Some(&expectations),
            halves: retrained.halves,
            sisters: &retrained.sisters,
            shadow: shadow(look, candidate.digest()),
            limits: &limits,
            policy: &policy,
        });
        if let Err(error) = &anchor {
            // A host that got stricter refuses old releases: a person looks, and the job goes on.
            let reason = format!(
                "the anchor cannot be loaded: {error:#}; yank it, or push under a new major version"
            );
            replace(
                &mut gates,
                Gate::verdict("anchor", Class::Similarity, false, reason),
            );
        }
        let (before, after) = (champion.entry.release().to_string(), "candidate".to_owned());
        let named = |name, detector| Named { name, detector };
        let comparison = compare(
            named(&before, &champion.detector),
            named(&after, &candidate),
            &retrained.held_out,
            labels,
        )?;
        let version = next_version(listed, &champion.entry.version);
        let report = serde_json::to_vec_pretty(&look.report)?;
        let evidence = Evidence {
            schema: evidence::SCHEMA,
            candidate: Subject {
                detector: champion.entry.detector.clone(),
                version,
                digest: candidate.digest(),
                size_bytes: retrained.component.len() as u64,
            },
            champion: Some(Subject::from(&champion.entry)),
            kind: Kind::Refresh,
            comparison: Some(comparison),
            decision: decide(&gates, false),
            gates,
            drift: Some(brief(&look.report, Digest::of(&report))),
            data: retrained.data.clone(),
            provenance: Some(retrained.provenance.clone()),
            policy,
        };
        if evidence.decision.refuses() {
            return Ok(Made::Refused(Box::new(evidence)));
        }
        self.push(look, evidence, &retrained.component, report)
    }

    /// Pushes under the next free version. Another job may take it first: with the same bytes its release is taken.
    fn push(
        &self,
        look: &Look,
        mut evidence: Evidence,
        component: &[u8],
        report: Vec<u8>,
    ) -> anyhow::Result<Made> {
        for _ in 0..ATTEMPTS {
            let subject = &evidence.candidate;
            let release = ReleaseName {
                detector: subject.detector.clone(),
                version: subject.version.clone(),
            };
            if let Some(comparison) = &mut evidence.comparison {
                comparison.candidate.release = release.to_string();
            }
            let documents = vec![
                (
                    evidence::DOCUMENT.to_owned(),
                    Bytes::from(serde_json::to_vec_pretty(&evidence)?),
                ),
                (REPORT.to_owned(), Bytes::from(report.clone())),
                (PAGE.to_owned(), Bytes::from(self.page(look, &evidence))),
            ];
            let component = Bytes::copy_from_slice(component);
            let pushed = self.context.block_on(async {
                let pushed = self.store.push(&release, component, documents).await;
                match pushed {
                    Ok(pushed) => Ok((pushed, self.store.index(&release).await?)),
                    Err(error) => Err(error),
                }
            })?;
            match pushed {
                Ok((pushed, entry)) => {
                    tracing::info!(%release, release.digest = %entry.digest, "pushed {release}");
                    return Ok(Made::Candidate(Box::new(Candidate {
                        entry,
                        evidence,
                        fresh: pushed == Pushed::Created,
                    })));
                }
                Err(StoreError::Taken { .. } | StoreError::DocumentTaken { .. }) => {}
                Err(error) => return Err(error.into()),
            }
            let detector = &release.detector;
            let listed = self
                .context
                .block_on(self.store.list(Some(detector)))??
                .releases;
            if let Some(made) = self.known(look, &listed, evidence.candidate.digest)? {
                return Ok(made);
            }
            evidence.candidate.version = next_version(&listed, &look.champion.entry.version);
        }
        anyhow::bail!(
            "other jobs took {ATTEMPTS} versions of {} in a row; run again",
            evidence.candidate.detector
        )
    }

    /// The release from which distances are measured: the first one of the champion's major version that was not yanked. A
    /// new major version says that the world is a new one.
    fn anchor(&self, look: &Look, listed: &[Listed]) -> anyhow::Result<Option<Detector>> {
        let champion = &look.champion.entry;
        let first = listed
            .iter()
            .filter(|known| {
                known.yanked.is_none() && known.entry.version.major == champion.version.major
            })
            .map(|known| &known.entry)
            .min_by(|one, other| one.version.cmp(&other.version));
        match first {
            Some(first) if first.digest != champion.digest => {
                Ok(Some(self.champion(&first.release())?.detector))
            }
            _ => Ok(None),
        }
    }

    /// The drift's page with the gates of the candidate.
    pub fn page(&self, look: &Look, evidence: &Evidence) -> String {
        let next =
            "A candidate is trained for it. Read its gates below, and decide on its pull request.";
        page_after(&look.report, next, &[gates_section(evidence)])
    }
}

/// What the last windows counted of a shadow of these bytes.
fn shadow(look: &Look, digest: Digest) -> Option<&ShadowCounts> {
    let digest = digest.to_string();
    let shadows = look.windows.iter().rev().filter_map(|w| w.shadow.as_ref());
    shadows.into_iter().find(|shadow| shadow.digest == digest)
}

/// Puts a gate in the place of the one with its name.
fn replace(gates: &mut [Gate], gate: Gate) {
    if let Some(place) = gates.iter_mut().find(|other| other.name == gate.name) {
        *place = gate;
    }
}

/// One minor version above all that are known; gaps are not filled.
fn next_version(listed: &[Listed], champion: &Version) -> Version {
    let same_major = listed
        .iter()
        .map(|known| &known.entry.version)
        .filter(|version| version.major == champion.major);
    let last = same_major.max().unwrap_or(champion).max(champion);
    Version::new(last.major, last.minor + 1, 0)
}

fn brief(report: &DriftReport, digest: Digest) -> Drift {
    Drift {
        verdict: report.verdict.kind().to_owned(),
        report: Some(digest),
        reasons: report.reasons.clone(),
        features: report
            .features
            .iter()
            .filter(|feature| feature.comparison.drifted)
            .take(SHOWN_FEATURES)
            .map(|feature| DriftedFeature {
                name: feature.name.clone(),
                effect: feature.comparison.effects.wasserstein,
                p_adjusted: feature.comparison.p_adjusted,
            })
            .collect(),
    }
}

fn gates_section(evidence: &Evidence) -> Section {
    let candidate = &evidence.candidate;
    let note = match &evidence.decision {
        Decision::Refuse { reasons } => format!("Refused: {}", reasons.join("; ")),
        Decision::Propose {
            draft: true,
            reasons,
            ..
        } => {
            format!("A person must look: {}", reasons.join("; "))
        }
        Decision::Propose { .. } => "Every gate holds.".to_owned(),
    };
    let row = |gate: &Gate| {
        let outcome = match gate.outcome {
            Outcome::Pass if gate.near_limit => Cell::Pass("pass, near its limit".to_owned()),
            Outcome::Pass => Cell::Pass("pass".to_owned()),
            Outcome::Fail => Cell::Fail("fail".to_owned()),
            Outcome::NotApplicable => Cell::Neutral("n/a".to_owned()),
        };
        let figure = |value: Option<String>| match value {
            Some(value) => Cell::Figure(value),
            None => Cell::Neutral("–".to_owned()),
        };
        vec![
            Cell::Code(gate.name.clone()),
            outcome,
            figure(gate.measured.map(|measured| format!("{measured:.4}"))),
            figure(gate.limit.map(|limit| limit.to_string())),
            Cell::Text(gate.reason.clone()),
        ]
    };
    let columns = ["Gate", "Outcome", "Measured", "Limit", "Why"];
    Section {
        title: format!("Candidate {} {}", candidate.detector, candidate.version),
        note,
        columns: columns.map(str::to_owned).to_vec(),
        rows: evidence.gates.iter().map(row).collect(),
    }
}
