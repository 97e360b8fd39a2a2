//! The words of a pull request: a title and a body on which a person can decide in a minute, made from evidence. Names of
//! features and reasons are other people's text: they are shown as they are and can neither format, link nor mention.

mod body;
mod prose;

use std::fmt::Write as _;

use anyhow::Context as _;
use hodoscope_drift::DriftReport;
use hodoscope_release::evidence::{self, Decision, Evidence, LABEL_FIRST, LABEL_NEEDS_HUMAN};
use hodoscope_release::{ChannelName, DetectorChannel, DetectorName, IndexEntry, Pin};

use crate::commands::Context;
use crate::releases;
use body::body;
use prose::prose;

/// The name of the document with the [`DriftReport`] as JSON.
pub const REPORT: &str = "drift";
/// The name of the document with the same as a page.
pub const PAGE: &str = "report";
/// How many features are plotted.
const PLOTS: usize = 3;

/// What the body tells beside the evidence.
#[derive(Debug, Clone, Copy)]
pub struct Words<'a> {
    /// The environment whose file changes.
    pub channel: &'a ChannelName,
    /// What it wants of the detector now.
    pub before: Option<&'a DetectorChannel>,
    /// Text plots of the most drifted features; empty for none.
    pub plots: &'a str,
    /// Where the page with all plots lies, and how it is read.
    pub report: Option<&'a str>,
    /// Why, in a person's words.
    pub why: Option<&'a str>,
}

/// What a pull request about a release wants.
#[derive(Debug, Clone, Copy)]
pub struct Wish<'a> {
    /// The release.
    pub entry: &'a IndexEntry,
    /// What the channel wants of the detector now.
    pub before: Option<&'a DetectorChannel>,
    /// What was measured just now; else the evidence in the store counts.
    pub evidence: Option<&'a Evidence>,
    /// Why, in a person's words.
    pub why: Option<&'a str>,
    /// For which part of the calls, if not for all.
    pub trial: Option<&'a Trial>,
}

/// A release beside the one that answers.
#[derive(Debug, Clone)]
pub struct Trial {
    /// What becomes of it, for instance "as a canary for 10 % of the calls".
    pub what: String,
    /// The command that ends it.
    pub undo: String,
}

/// What a pull request says of a release.
#[derive(Debug)]
pub struct Told {
    /// The text.
    pub body: String,
    /// The labels.
    pub labels: Vec<String>,
    /// Whether a person must look at it before it may be merged.
    pub draft: bool,
}

/// The text of a promotion: the evidence that lies beside the release in the store, or was measured just now. Evidence that
/// was measured against another release than the one that answers now is shown as such, and a person must look.
pub fn told(context: &Context, wish: &Wish<'_>) -> anyhow::Result<Told> {
    let (entry, before) = (wish.entry, wish.before);
    let documents = context.block_on(async {
        let store = releases::open_store(&context.config).await?;
        let mut found = Vec::new();
        for name in [evidence::DOCUMENT, REPORT, PAGE] {
            let bytes = match entry.documents.get(name) {
                Some(digest) => Some(store.document(digest).await?),
                None => None,
            };
            found.push(bytes);
        }
        anyhow::Ok(found)
    })??;
    let mut documents = documents.into_iter();
    let mut next = || documents.next().flatten();
    let (evidence, report, page) = (next(), next(), next());
    let plots = report.and_then(|report| serde_json::from_slice::<DriftReport>(&report).ok());
    let plots = plots
        .map(|report| hodoscope_drift::plots(&report, PLOTS))
        .unwrap_or_default();
    let detector = &entry.detector;
    let place = page.map(|_| place(context, detector, entry));
    let words = Words {
        channel: &context.config.channel,
        before,
        plots: &plots,
        report: place.as_deref(),
        why: wish.why,
    };
    let undo = match wish.trial {
        Some(trial) => trial.undo.clone(),
        None => way_back(detector, words.channel, before.is_some()),
    };
    let evidence = match (wish.evidence, evidence) {
        (Some(evidence), _) => evidence.clone(),
        (None, Some(stored)) => serde_json::from_slice(&stored).with_context(|| {
            format!(
                "the evidence of {detector} {} does not parse",
                entry.version
            )
        })?,
        (None, None) => return Ok(unmeasured(wish, &words, &undo)),
    };
    let mut told = Told {
        body: body(&evidence, &words, wish.trial, &undo),
        labels: Vec::new(),
        draft: false,
    };
    if let Decision::Propose { draft, labels, .. } = &evidence.decision {
        (told.labels, told.draft) = (labels.clone(), *draft);
    }
    let measured = evidence.champion.as_ref().map(|champion| champion.digest);
    let answers = before.map(|before| before.active.digest);
    if measured != answers && answers != Some(entry.digest) {
        told.body = format!(
            "**The evidence was measured against another release than the one that answers now.**\n\n{}",
            told.body
        );
        told.need_a_person();
    }
    Ok(told)
}

/// The title: within GitHub's 256 characters, since names are short.
pub fn title(verb: &str, detector: &DetectorName, pin: &Pin, channel: &ChannelName) -> String {
    format!("{verb} {detector} {} in {channel}", pin.version)
}

/// The body of a rollback's or a retirement's pull request.
pub fn plain(detector: &DetectorName, words: &Words<'_>, what: &str, undo: &str) -> String {
    let mut text = format!("{what}\n");
    if let Some(why) = words.why {
        let _ = write!(text, "\nWhy: {}\n", prose(why));
    }
    let _ = write!(
        text,
        "\nMerging this is the deployment. To take it back afterwards:\n\n```\n{undo}\n```\n"
    );
    if let Some(before) = words.before {
        let _ = write!(
            text,
            "\nUntil then `{}` answers for `{detector}`.\n",
            before.active.version
        );
    }
    text
}

/// Where the page of a release's drift lies, and how it is read.
pub fn place(context: &Context, detector: &DetectorName, entry: &IndexEntry) -> String {
    let digest = entry
        .documents
        .get(PAGE)
        .map(|digest| digest.hex())
        .unwrap_or_default();
    format!(
        "`{}/docs/sha256/{digest}`, or `hodoscope inspect {detector}@{} --document {PAGE} > report.html`",
        context.config.store.location, entry.version
    )
}

/// The command that takes a merged change back: to the release before, or out of service if there was none.
pub fn way_back(detector: &DetectorName, channel: &ChannelName, had_one: bool) -> String {
    let verb = if had_one { "rollback" } else { "retire" };
    format!("hodoscope {verb} {detector} --channel {channel}")
}

/// The text about a release without evidence.
fn unmeasured(wish: &Wish<'_>, words: &Words<'_>, undo: &str) -> Told {
    let entry = wish.entry;
    let (detector, version) = (&entry.detector, &entry.version);
    let part = wish.trial.map(|trial| format!(" {}", trial.what));
    let what = format!(
        "**{detector} {version}** (`{}`, {} KiB){} in **{}**, asked for by hand.\n\n**No evidence lies beside this release**: \
         nobody measured it{}.",
        entry.digest,
        entry.size_bytes.div_ceil(1024),
        part.unwrap_or_default(),
        words.channel,
        match words.before {
            Some(_) => " against the one that answers now",
            None => ", and it carries no golden rows to measure it on",
        }
    );
    let mut told = Told {
        body: plain(detector, words, &what, undo),
        labels: Vec::new(),
        draft: false,
    };
    if words.before.is_none() {
        told.labels.push(LABEL_FIRST.to_owned());
    }
    told.need_a_person();
    told
}

impl Told {
    fn need_a_person(&mut self) {
        self.draft = true;
        if !self.labels.iter().any(|label| label == LABEL_NEEDS_HUMAN) {
            self.labels.push(LABEL_NEEDS_HUMAN.to_owned());
        }
    }
}
