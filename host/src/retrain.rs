//! From a champion and captured rows to a candidate: the champion's features and options, newer rows. What the trees see
//! is guarded against poison (copies and the champion's highest scores are left out); what the threshold, the profile and
//! the gates see is not, because the share of alerts is a promise about traffic as it comes.

mod halves;
mod inherit;
mod rows;

use std::path::PathBuf;

use hodoscope_engine::Detector;
use hodoscope_isolation_forest::{
    Divided, EmitError, Forest, TrainError, TrainOptions, Trained, emit, fit_rows, train_divided,
};
use hodoscope_release::Digest;
use hodoscope_release::evidence::{Data, Provenance};
use hodoscope_release::window::WindowName;
use serde_json::json;

use crate::evidence::Frame;

pub use halves::Halves;
pub use inherit::target_rate;

/// The column of captured rows with what became known of them later.
pub const LABEL_COLUMN: &str = "hodoscope.label";
/// Forests that are grown beside the candidate.
const SISTERS: u64 = 6;
/// The key of a component's metadata with the release whose options it took over.
const ORIGIN_KEY: &str = "retrained-from";

/// How rows are guarded.
#[derive(Debug, Clone, PartialEq)]
pub struct RetrainPolicy {
    /// The share of rows with the champion's highest scores that the trees are not shown. Anomalies among the rows make
    /// their like look normal (arXiv:2511.21378).
    pub drop_highest: f64,
    /// Of several equal rows the trees are shown one, unless more than this share of the rows would go: then the features
    /// have few values by nature, and equal rows are no copies. 0 keeps all, 1 always drops.
    pub drop_copies_up_to: f64,
    /// More rows than this are thinned out by a hash of their values.
    pub most_rows: usize,
    /// Fewer rows than this are refused.
    pub least_rows: usize,
}

impl Default for RetrainPolicy {
    fn default() -> Self {
        Self {
            drop_highest: 0.01,
            drop_copies_up_to: 0.2,
            most_rows: 400_000,
            least_rows: 500,
        }
    }
}

/// What to learn from.
#[derive(Debug, Clone)]
pub struct Source {
    /// Tables with the champion's features by their names, oldest first.
    pub files: Vec<PathBuf>,
    /// The windows that they hold, for the evidence.
    pub windows: Vec<WindowName>,
}

/// A candidate.
#[derive(Debug)]
pub struct Retrained {
    /// The component.
    pub component: Vec<u8>,
    /// Its digest.
    pub digest: Digest,
    /// The score at and above which a row is an anomaly.
    pub threshold: Option<f64>,
    /// The share of held-out rows that alerts.
    pub alert_rate: Option<f64>,
    /// What it was made from.
    pub data: Data,
    /// How it was made.
    pub provenance: Provenance,
    /// Rows that no tree saw, as they came.
    pub held_out: Frame,
    /// Rows that neither the trees nor the threshold saw; empty if there were too few.
    pub unseen: Frame,
    /// What is known of the held-out rows: 0 normal, NaN unknown; none if the files have no labels.
    pub labels: Option<Vec<f64>>,
    /// How forests of the older and of the newer half get on with each other's rows; none if there are too few.
    pub halves: Option<Halves>,
    /// Forests of the same options, other seeds and rows drawn from the same: how far they differ is what chance alone
    /// makes of a figure.
    pub sisters: Vec<Forest>,
}

/// Why there is no candidate.
#[derive(Debug, thiserror::Error)]
pub enum RetrainError {
    /// Not a forest of our trainer.
    #[error(
        "{0} carries no record of our trainer, so that nobody knows how it was made; train it where it was built, then `hodoscope push`"
    )]
    NotOurs(Digest),
    /// An option that this version cannot read.
    #[error(
        "the option `{name}` of the champion's training reads {found}; it was trained by another version"
    )]
    Option {
        /// The option.
        name: &'static str,
        /// What it holds.
        found: String,
    },
    /// Nothing to learn from.
    #[error("there are {found} rows to retrain on; at least {least} are needed")]
    FewRows {
        /// How many there are.
        found: usize,
        /// How many are needed.
        least: usize,
    },
    /// A file cannot be read, or the champion cannot score what is in it.
    #[error("failed to read the rows to retrain on")]
    Rows(#[source] anyhow::Error),
    /// The champion did not score the rows.
    #[error("the champion failed to score the rows to retrain on")]
    Champion(#[source] anyhow::Error),
    /// The forest could not be grown.
    #[error(transparent)]
    Train(#[from] TrainError),
    /// The component could not be written.
    #[error(transparent)]
    Emit(#[from] EmitError),
}

/// Retrains. The same rows (in whatever order and files), champion and policy give the same bytes. Call it within the
/// rayon pool whose threads it may use.
pub fn retrain(
    champion: &Detector,
    source: &Source,
    policy: &RetrainPolicy,
) -> Result<Retrained, RetrainError> {
    let inherited = inherit::options(champion)?;
    let features: Vec<String> = champion
        .description()
        .features
        .iter()
        .map(|feature| feature.name.clone())
        .collect();
    let gathered = rows::gather(source, &features, policy)?;
    let found = gathered.frame.rows();
    if found < policy.least_rows.max(4) {
        let least = policy.least_rows.max(4);
        return Err(RetrainError::FewRows { found, least });
    }
    let pool = inherited.trees * inherited.sample_size.unwrap_or(256);
    let divided = rows::divide(&gathered, champion, policy, pool)?;
    let digest = divided.digest;
    let mut trained = train_divided(
        Divided {
            features: &features,
            trees: divided.trees.values(),
            held_out: divided.held_out.values(),
            rows: gathered.data.rows,
            digest: Some(digest),
        },
        &inherited,
    )?;
    inherit::describe(&mut trained.forest, champion);
    let provenance = provenance(&mut trained, champion, policy, inherited.seed);
    let component = emit(&trained.forest, &trained.sections)?;
    let mut data = gathered.data;
    account(&mut data, &divided);
    let halves = halves::measure(&divided.trees, &divided.held_out, &divided.ages, &inherited)?;
    let sisters = sisters(&divided.trees, &inherited)?;
    Ok(Retrained {
        digest: Digest::of(&component),
        component,
        threshold: trained.report.threshold,
        alert_rate: trained.report.alert_rate,
        data,
        provenance,
        held_out: divided.held_out,
        unseen: divided.unseen,
        labels: divided.labels,
        halves,
        sisters,
    })
}

/// Says in the component how its rows were guarded, and for the evidence how it was made.
fn provenance(
    trained: &mut Trained,
    champion: &Detector,
    policy: &RetrainPolicy,
    seed: u64,
) -> Provenance {
    let mut provenance = Provenance {
        trainer: String::new(),
        options: std::collections::BTreeMap::new(),
        seed: Some(seed),
        data_digest: None,
        parent: Some(champion.digest()),
    };
    if let Some(training) = &mut trained.sections.training {
        let options = &mut training.options;
        options.insert("drop-highest".to_owned(), json!(policy.drop_highest));
        options.insert(
            "drop-copies-up-to".to_owned(),
            json!(policy.drop_copies_up_to),
        );
        provenance.trainer.clone_from(&training.trainer);
        provenance.options.clone_from(options);
        provenance.data_digest = training.data_digest;
    }
    provenance
}

/// Which rows became what.
fn account(data: &mut Data, parts: &rows::Parts) {
    data.rows_used = parts.trees.rows() as u64;
    data.rows_held_out = (parts.held_out.rows() + parts.unseen.rows()) as u64;
    data.excluded.extend(parts.excluded.iter().cloned());
    data.digest = Some(parts.digest);
    data.notes.extend(parts.notes.iter().cloned());
    data.notes.push(
        "the tenant or source of a row is not captured, so none can be held below a share of the rows"
            .to_owned(),
    );
}

/// Each sees rows drawn with replacement from the trees' (a bootstrap, Efron 1979), so that the choice of rows counts as
/// chance, too.
fn sisters(trees: &Frame, options: &TrainOptions) -> Result<Vec<Forest>, TrainError> {
    (1..=SISTERS)
        .map(|sister| {
            let drawn = rows::drawn(trees.rows(), sister);
            let options = TrainOptions {
                seed: options.seed.wrapping_add(sister),
                ..options.clone()
            };
            fit_rows(&trees.pick(&drawn).narrow(), trees.names(), &options)
        })
        .collect()
}
