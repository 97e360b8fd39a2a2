//! `hodoscope drift`: what the scheduled job runs. It judges the last complete windows of each detector against what the
//! release that answers carries; on request it retrains, lets the candidate through the gates, and proposes it. The exit
//! code says whether the run did its work, not what it found.

mod answer;
mod record;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::SystemTime;

use anyhow::{Context as _, bail};
use hodoscope_registry::forge::{Forge, Kind, MachineClock, Proposal};
use hodoscope_release::evidence::Decision;
use hodoscope_release::window::WindowName;
use hodoscope_release::{DetectorChannel, DetectorName, Pin};
use jiff::Timestamp;

use super::Context;
use crate::channel_change::{self, Proposed};
use crate::forge;
use crate::job::{Candidate, Job, Look, Made};
use crate::proposal::{self, Wish};
use answer::{Answer, Detected};

/// The file name of the newest report of a detector.
const LAST: &str = "last";

/// The arguments of `hodoscope drift`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The detector
    #[arg(long, value_name = "NAME", required_unless_present = "all")]
    detector: Option<DetectorName>,
    /// Every detector of the channel
    #[arg(long, conflicts_with = "detector")]
    all: bool,
    /// Judge and report; keep no verdict, retrain and propose nothing
    #[arg(long, conflicts_with_all = ["retrain", "propose", "dispatch"])]
    dry_run: bool,
    /// Where a release no longer fits, make a candidate from the drifted windows and push it if the gates hold
    #[arg(long)]
    retrain: bool,
    /// Open or update the one pull request for the candidate
    #[arg(long, requires = "retrain")]
    propose: bool,
    /// Where a release no longer fits, start the forge's training workflow in place of retraining here
    #[arg(long, conflicts_with_all = ["retrain", "propose"])]
    dispatch: bool,
    /// Write the page with all plots to this file, too
    #[arg(long, value_name = "FILE", conflicts_with = "all")]
    html: Option<PathBuf>,
    /// Judge the windows up to this one, named by its start in UTC, for instance 20261124T000000Z
    #[arg(long, value_name = "WINDOW")]
    window: Option<WindowName>,
}

/// Runs the command.
pub fn run(args: Args, context: &Context) -> anyhow::Result<ExitCode> {
    let forge = forge::open(&context.config)?;
    if args.propose || args.dispatch {
        forge::required(&context.config, "proposing and dispatching")?;
    }
    let job = Job::open(context, Timestamp::now())?;
    let wanted = wanted(&args, forge.as_ref(), context)?;
    let pool = rayon::ThreadPoolBuilder::new().build();
    let pool = pool.context("failed to start the threads")?;
    let mut answers = Vec::new();
    for (detector, wanted) in wanted {
        let one = One {
            args: &args,
            job: &job,
            forge: forge.as_ref(),
            detector: &detector,
            wanted: &wanted,
        };
        let begun = SystemTime::now();
        let mut found = pool.install(|| one.run());
        if let (Ok(found), false) = (&mut found, args.dry_run) {
            found.warnings = record::record(context, &detector, found, begun);
        }
        if let Err(error) = &found {
            tracing::error!(detector.name = %detector, "the drift run of {detector} failed: {error:#}");
        }
        answers.push(Answer::new(&detector, found));
    }
    let whole = answers.iter().all(Answer::is_done);
    let text: Vec<String> = answers.iter().map(Answer::to_string).collect();
    context.answer(&answers, text.join("\n\n"))?;
    Ok(super::exit(whole))
}

/// What the channel wants of the detectors that are asked for.
fn wanted(
    args: &Args,
    forge: Option<&Forge>,
    context: &Context,
) -> anyhow::Result<BTreeMap<DetectorName, DetectorChannel>> {
    let config = &context.config;
    let document = channel_change::document(context, forge)?;
    let mut detectors = document.detectors;
    detectors.retain(|_, wanted| !wanted.retired);
    let Some(name) = &args.detector else {
        return Ok(detectors);
    };
    let Some(wanted) = detectors.remove(name) else {
        let known: Vec<String> = detectors.keys().map(ToString::to_string).collect();
        bail!(
            "channel {} wants no detector `{name}`; it wants: {}",
            config.channel,
            known.join(", ")
        );
    };
    Ok(BTreeMap::from([(name.clone(), wanted)]))
}

/// The run for one detector.
struct One<'a> {
    args: &'a Args,
    job: &'a Job<'a>,
    forge: Option<&'a Forge>,
    detector: &'a DetectorName,
    wanted: &'a DetectorChannel,
}

impl One<'_> {
    fn run(&self) -> anyhow::Result<Detected> {
        let look = self
            .job
            .look(self.detector, self.wanted, self.args.window.as_ref())?;
        let verdict = look.report.verdict.kind();
        tracing::info!(detector.name = %self.detector, verdict, window = %look.window, "judged {}", self.detector);
        let mut found = Detected::new(&look);
        if !self.args.dry_run {
            found.files = self.keep(&look)?;
            self.job.record(&look)?;
        }
        if look.wants_candidate() {
            if self.args.dispatch {
                found.dispatched = Some(self.dispatch(&look)?);
            } else if self.args.retrain {
                self.candidate(&look, &mut found)?;
            }
        }
        if let Some(file) = &self.args.html {
            let page = match &found.evidence {
                Some(evidence) => self.job.page(&look, evidence),
                None => hodoscope_drift::page(&look.report, &[]),
            };
            write(file, page.as_bytes())?;
        }
        Ok(found)
    }

    fn candidate(&self, look: &Look, found: &mut Detected) -> anyhow::Result<()> {
        match self.job.make(look)? {
            Made::None(reason) => found.no_candidate = Some(reason),
            Made::Refused(evidence) => {
                let file = self.job.folder(self.detector).join("refused.json");
                write(&file, &serde_json::to_vec_pretty(&evidence)?)?;
                tracing::warn!(detector.name = %self.detector, decision = ?evidence.decision, "the gates refuse the candidate of {}", self.detector);
                found.files.push(file);
                found.evidence = Some(*evidence);
            }
            Made::Candidate(candidate) => {
                found.candidate = Some(candidate.entry.clone());
                found.fresh = candidate.fresh;
                if self.args.propose {
                    found.proposal = Some(self.propose(&candidate)?);
                }
                found.evidence = Some(candidate.evidence);
            }
        }
        Ok(())
    }

    fn propose(&self, candidate: &Candidate) -> anyhow::Result<Proposed> {
        let context = self.job.context;
        let forge = self.forge.context("no forge is set")?;
        let channel = &context.config.channel;
        let entry = &candidate.entry;
        if let Decision::Refuse { reasons } = &candidate.evidence.decision {
            bail!("the gates refused it: {}", reasons.join("; "));
        }
        let told = proposal::told(
            context,
            &Wish {
                entry,
                before: Some(self.wanted),
                evidence: Some(&candidate.evidence),
                why: None,
                trial: None,
            },
        )?;
        let pin = Pin::from(entry);
        let proposal = Proposal {
            channel: channel.clone(),
            detector: self.detector.clone(),
            kind: Kind::Promotion,
            candidate: entry.digest,
            title: proposal::title("Promote", self.detector, &pin, channel),
            body: told.body,
            labels: told.labels,
            draft: told.draft,
            by_hand: false,
            change: {
                let detector = self.detector.clone();
                Box::new(move |document| {
                    document.promote(&detector, pin.clone());
                    Ok(())
                })
            },
        };
        let change = channel_change::propose(&context.config, forge, &proposal);
        let change = context.block_on(change)??;
        change.proposal.context("the forge gave no answer")
    }

    fn dispatch(&self, look: &Look) -> anyhow::Result<String> {
        let context = self.job.context;
        let forge = self.forge.context("no forge is set")?;
        let workflow = &context.config.forge.workflow;
        let reason = look.report.reasons.first().cloned().unwrap_or_default();
        let inputs = BTreeMap::from([
            ("detector".to_owned(), self.detector.to_string()),
            ("channel".to_owned(), context.config.channel.to_string()),
            ("window".to_owned(), look.window.to_string()),
            ("reason".to_owned(), reason),
            (
                "request".to_owned(),
                format!("{}-{}", self.detector, look.window),
            ),
        ]);
        context
            .block_on(forge.dispatch(workflow, &inputs, &MachineClock))?
            .with_context(|| format!("failed to start the workflow {workflow}"))?;
        tracing::info!(detector.name = %self.detector, workflow, "started {workflow} for {}", self.detector);
        Ok(workflow.clone())
    }

    /// Keeps the report and its page on this machine, the newest under a fixed name.
    fn keep(&self, look: &Look) -> anyhow::Result<Vec<PathBuf>> {
        let folder = self.job.folder(self.detector);
        let json = serde_json::to_vec_pretty(&look.report)?;
        let page = hodoscope_drift::page(&look.report, &[]);
        let mut kept = Vec::new();
        for name in [look.window.as_str(), LAST] {
            for (end, bytes) in [("json", json.as_slice()), ("html", page.as_bytes())] {
                let file = folder.join(format!("{name}.{end}"));
                write(&file, bytes)?;
                if name == LAST {
                    kept.push(file);
                }
            }
        }
        Ok(kept)
    }
}

fn write(file: &Path, bytes: &[u8]) -> anyhow::Result<()> {
    if let Some(folder) = file.parent() {
        std::fs::create_dir_all(folder)
            .with_context(|| format!("failed to make the folder {}", folder.display()))?;
    }
    super::train::write(file, bytes)
}
