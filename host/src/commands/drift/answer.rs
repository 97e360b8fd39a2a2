//! What a drift run tells: for programs all of it, for people the report and what was done about it.

use std::fmt;
use std::path::PathBuf;

use hodoscope_drift::DriftReport;
use hodoscope_release::evidence::{Decision, Evidence};
use hodoscope_release::window::WindowName;
use hodoscope_release::{DetectorName, IndexEntry};
use serde::Serialize;

use crate::channel_change::Proposed;
use crate::job::Look;

/// One detector's run.
#[derive(Debug, Serialize)]
pub(super) struct Answer {
    detector: DetectorName,
    /// Why the run failed.
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<String>,
    #[serde(flatten)]
    found: Option<Detected>,
}

/// What was found and done.
#[derive(Debug, Serialize)]
pub(super) struct Detected {
    /// The last complete window.
    pub(super) window: WindowName,
    /// The report.
    pub(super) report: DriftReport,
    /// Files on this machine: the report and its page.
    pub(super) files: Vec<PathBuf>,
    /// Why there is no candidate, although one was wanted.
    pub(super) no_candidate: Option<String>,
    /// The candidate in the store.
    pub(super) candidate: Option<IndexEntry>,
    /// Whether this run put it there.
    #[serde(skip)]
    pub(super) fresh: bool,
    /// What was measured of it, also if it was refused.
    pub(super) evidence: Option<Evidence>,
    /// What the forge answered.
    pub(super) proposal: Option<Proposed>,
    /// The workflow that was started.
    pub(super) dispatched: Option<String>,
    /// What went wrong beside it, for instance while MLflow was told.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(super) warnings: Vec<String>,
}

impl Answer {
    pub(super) fn new(detector: &DetectorName, found: anyhow::Result<Detected>) -> Self {
        let (found, error) = match found {
            Ok(found) => (Some(found), None),
            Err(error) => (None, Some(format!("{error:#}"))),
        };
        Self {
            detector: detector.clone(),
            error,
            found,
        }
    }

    pub(super) const fn is_done(&self) -> bool {
        self.error.is_none()
    }
}

impl Detected {
    pub(super) fn new(look: &Look) -> Self {
        Self {
            window: look.window.clone(),
            report: look.report.clone(),
            files: Vec::new(),
            no_candidate: None,
            candidate: None,
            fresh: false,
            evidence: None,
            proposal: None,
            dispatched: None,
            warnings: Vec::new(),
        }
    }

    /// What this run did about what it found, and what a person does now; `None` if it only looked.
    fn next(&self) -> Option<String> {
        if let Some(workflow) = &self.dispatched {
            return Some(format!(
                "This run started the workflow {workflow}, which retrains and proposes; the forge shows how far it is."
            ));
        }
        if let Some(reason) = &self.no_candidate {
            return Some(format!("This run made no candidate: {reason}."));
        }
        let evidence = self.evidence.as_ref()?;
        let Some(candidate) = &self.candidate else {
            return Some(
                "This run retrained, and the gates refuse the candidate for the reasons below; nothing is proposed."
                    .to_owned(),
            );
        };
        let release = candidate.release();
        let Some(proposal) = &self.proposal else {
            return Some(format!(
                "This run retrained and pushed {release}. Propose it: hodoscope promote {release}"
            ));
        };
        let draft = matches!(evidence.decision, Decision::Propose { draft: true, .. });
        Some(match &proposal.pull {
            Some(pull) if proposal.stands && draft => format!(
                "This run retrained. A person must look at pull request {}, which proposes {release}, before it is merged.",
                pull.number
            ),
            Some(pull) if proposal.stands => format!(
                "This run retrained. Merge pull request {}, which proposes {release}; merging is the deployment.",
                pull.number
            ),
            _ => format!("This run retrained as {release}: {}.", proposal.told),
        })
    }
}

impl fmt::Display for Answer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (&self.found, &self.error) {
            (Some(found), _) => found.fmt(f),
            (None, error) => write!(
                f,
                "{}: failed: {}",
                self.detector,
                error.as_deref().unwrap_or("unknown")
            ),
        }
    }
}

impl fmt::Display for Detected {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let report = match self.next() {
            Some(next) => hodoscope_drift::text_after(&self.report, &next),
            None => hodoscope_drift::text(&self.report),
        };
        f.write_str(report.trim_end())?;
        if let (
            Some(Evidence {
                decision: Decision::Refuse { reasons },
                ..
            }),
            None,
        ) = (&self.evidence, &self.candidate)
        {
            write!(f, "\n\nthe gates refuse the candidate:")?;
            for reason in reasons {
                write!(f, "\n  {reason}")?;
            }
        }
        if let Some(candidate) = &self.candidate {
            let release = candidate.release();
            write!(f, "\n\ncandidate {release} ({})", candidate.digest)?;
            if let Some(Evidence {
                decision:
                    Decision::Propose {
                        draft: true,
                        reasons,
                        ..
                    },
                ..
            }) = &self.evidence
            {
                write!(f, "\n  a person must look:")?;
                for reason in reasons {
                    write!(f, "\n    {reason}")?;
                }
            }
            if let Some(proposal) = &self.proposal {
                write!(f, "\n  {}", proposal.told)?;
            }
        }
        for file in &self.files {
            write!(f, "\n  {}", file.display())?;
        }
        let mut warnings = self.warnings.iter();
        warnings.try_for_each(|warning| write!(f, "\n  note: {warning}"))
    }
}
