//! What to do next, decided by a pure function of what was read: either it is settled, or these steps bring it nearer.
//! The caller takes the steps, reads again and asks again; so a step that was lost, made twice or made by another job is
//! the same as any other state.

use std::collections::BTreeSet;
use std::path::Path;

use hodoscope_release::{DetectorChannel, Digest};
use jiff::Timestamp;

use super::location::{ForgeOptions, Limits};
use super::proposal::{Hold, Kind, Limit, Outcome, Proposal};
use super::state::{NewCommit, PullState, Snapshot, Step, has_label};
use super::text::{self, Mark, Marker};
use super::{ForgeError, HOLD_LABEL, LIFTED_LABEL, ROLLBACK_LABEL, clock};
use crate::channels::{self, own_file};

/// What is next.
#[derive(Debug)]
pub(crate) enum Plan {
    Settled(Outcome),
    Write(Vec<Step>),
}

/// What this run knows beside the forge's state.
#[derive(Debug, Default)]
pub(crate) struct Run {
    /// The branch's end at the first reading; `None` before it.
    pub(crate) first_head: Option<Option<String>>,
    /// The files that this run wrote into a commit.
    pub(crate) wrote: BTreeSet<Digest>,
    /// Whether this run opened a pull request.
    pub(crate) opened: bool,
    /// Whether this run changed one.
    pub(crate) updated: bool,
    /// Whether labels and the draft state cannot be set; then it goes on without.
    pub(crate) plain: bool,
}

/// Where and under which rules.
pub(crate) struct Terms<'a> {
    pub(crate) repository: &'a str,
    pub(crate) branch: &'a str,
    pub(crate) options: &'a ForgeOptions,
    pub(crate) forge: &'a str,
    pub(crate) now: Timestamp,
}

/// The detector's file on both sides.
struct Wish {
    key: String,
    path: String,
    before: Option<Digest>,
    after: Digest,
    text: String,
}

/// The next thing to do for `proposal`.
pub(crate) fn plan(
    snapshot: &Snapshot,
    proposal: &Proposal,
    terms: &Terms<'_>,
    run: &Run,
) -> Result<Plan, ForgeError> {
    let base = terms.options.base.as_str();
    let open = snapshot
        .pulls
        .iter()
        .filter(|pull| pull.open && pull.base == base)
        .min_by_key(|pull| pull.number);
    let Some(wish) = wish(snapshot, proposal, terms)? else {
        return Ok(tidy(snapshot, proposal, open));
    };
    if let Some(plan) = held(snapshot, proposal, terms, run, open) {
        return Ok(plan);
    }
    let ours = snapshot
        .branch
        .as_ref()
        .and_then(|branch| branch.mark.as_ref());
    let same = ours.is_some_and(|mark| mark.key == wish.key);
    if lost(snapshot, &wish, run) {
        return Ok(Plan::Settled(Outcome::LostRace));
    }
    if !proposal.by_hand
        && let Some(pull) = rejection(snapshot, &wish.key, open, same, run)
    {
        let rejected = Outcome::Rejected(pull.about(terms.branch));
        return Ok(match open.filter(|_| run.opened && same) {
            // Another job's was closed while this one was opened.
            Some(mine) => Plan::Write(close(mine, &format!("rejected as #{}", pull.number))),
            None => Plan::Settled(rejected),
        });
    }
    let free = proposal.by_hand || proposal.kind == Kind::Rollback || (open.is_some() && same);
    if !free && let Some(limited) = limit(snapshot, proposal, terms, open.is_some()) {
        return Ok(Plan::Settled(limited));
    }
    let steps = steps(snapshot, proposal, run, open, &wish);
    Ok(match open {
        Some(pull) if steps.is_empty() => {
            Plan::Settled(Outcome::Unchanged(pull.about(terms.branch)))
        }
        _ => Plan::Write(steps),
    })
}

/// `None` if the base has it already.
fn wish(
    snapshot: &Snapshot,
    proposal: &Proposal,
    terms: &Terms<'_>,
) -> Result<Option<Wish>, ForgeError> {
    let detector = &proposal.detector;
    let document = &snapshot.base.document;
    let mut next = document.clone();
    (proposal.change)(&mut next)?;
    next.validate()?;
    let other = next
        .detectors
        .iter()
        .find(|(name, wanted)| *name != detector && document.detectors.get(*name) != Some(*wanted))
        .map(|(name, _)| name)
        .or_else(|| {
            document
                .detectors
                .keys()
                .find(|name| *name != detector && !next.detectors.contains_key(*name))
        });
    if let Some(other) = other {
        return Err(ForgeError::TouchesOthers {
            detector: detector.to_string(),
            other: other.to_string(),
        });
    }
    let (before, after) = (
        document.detectors.get(detector),
        next.detectors.get(detector),
    );
    if before == after {
        return Ok(None);
    }
    let folder = format!("{}/{}", terms.options.path, proposal.channel);
    let path = format!("{folder}/{detector}.yaml");
    let channel = |cause| ForgeError::Channel {
        forge: terms.forge.to_owned(),
        cause,
    };
    own_file(detector, Path::new(&path), &snapshot.places).map_err(channel)?;
    let text = channels::render(detector, after).map_err(channel)?;
    let active = |wanted: Option<&DetectorChannel>| wanted.map(|wanted| wanted.active.digest);
    Ok(Some(Wish {
        key: text::key(terms.repository, proposal, active(before)),
        before: snapshot
            .base
            .files
            .get(&path)
            .map(|text| Digest::of(text.as_bytes())),
        after: Digest::of(text.as_bytes()),
        path,
        text,
    }))
}

/// The base has it: what the bot made to propose it goes.
fn tidy(snapshot: &Snapshot, proposal: &Proposal, open: Option<&PullState>) -> Plan {
    let about = |mark: &Mark| mark.candidate == proposal.candidate && mark.kind == proposal.kind;
    let branch = snapshot
        .branch
        .as_ref()
        .filter(|branch| branch.mark.as_ref().is_some_and(about));
    let mut steps = Vec::new();
    if let (Some(branch), true) = (branch, open.is_none_or(|pull| !pull.has_label(HOLD_LABEL))) {
        if let Some(pull) = open {
            steps.extend(close(pull, "the base branch has it already"));
        }
        steps.push(Step::Delete {
            expected: branch.head.clone(),
        });
    }
    if steps.is_empty() {
        return Plan::Settled(Outcome::NothingToDo);
    }
    Plan::Write(steps)
}

/// Closes for the bot's own reason; the comment comes last, for without it nothing is wrong.
fn close(pull: &PullState, reason: &str) -> Vec<Step> {
    let number = pull.number;
    vec![
        Step::Close {
            number,
            body: text::closed(&pull.body, reason),
        },
        Step::Comment {
            number,
            text: format!("Closed by the bot: {reason}."),
        },
    ]
}

/// Whether people have taken over; the bot says so once.
fn held(
    snapshot: &Snapshot,
    proposal: &Proposal,
    terms: &Terms<'_>,
    run: &Run,
    open: Option<&PullState>,
) -> Option<Plan> {
    let foreign = snapshot
        .branch
        .as_ref()
        .filter(|branch| branch.mark.is_none());
    let Some(pull) = open else {
        // Commits that a closed pull request keeps are not lost when the branch is made anew.
        let kept = |head: &str| snapshot.pulls.iter().any(|pull| pull.head == head);
        return foreign.filter(|branch| !kept(&branch.head)).map(|_| {
            Plan::Settled(Outcome::Held {
                pull: None,
                reason: Hold::Commits,
            })
        });
    };
    let replaces = proposal.kind == Kind::Rollback || proposal.by_hand;
    let (reason, sentence) = if pull.has_label(HOLD_LABEL) {
        (
            Hold::Label,
            "This pull request has the label `hold`, so the bot leaves it as it is. Remove the label to let it go on.",
        )
    } else if foreign.is_some() {
        (
            Hold::Commits,
            "This branch has commits that the bot did not make, so it leaves them alone. Merge or close this pull request; the next candidate gets a new one.",
        )
    } else if Marker::read(&pull.body).is_some_and(|marker| marker.kind == Kind::Rollback)
        && !replaces
    {
        (Hold::Rollback, "")
    } else {
        return None;
    };
    let mark = text::held_mark(reason.kind());
    let said: Vec<u64> = pull
        .comments
        .iter()
        .filter(|(_, body)| body.contains(&mark))
        .map(|(id, _)| *id)
        .collect();
    let steps: Vec<Step> = match said.split_first() {
        None if !sentence.is_empty() => vec![Step::Comment {
            number: pull.number,
            text: text::held(reason.kind(), sentence),
        }],
        Some((_, twice)) if !run.plain => twice
            .iter()
            .map(|comment| Step::Uncomment {
                number: pull.number,
                comment: *comment,
            })
            .collect(),
        _ => Vec::new(),
    };
    Some(if steps.is_empty() {
        Plan::Settled(Outcome::Held {
            pull: Some(pull.about(terms.branch)),
            reason,
        })
    } else {
        Plan::Write(steps)
    })
}

/// Whether another job put something else there since this one began.
fn lost(snapshot: &Snapshot, wish: &Wish, run: &Run) -> bool {
    let (Some(first), Some(branch)) = (&run.first_head, &snapshot.branch) else {
        return false;
    };
    if first.as_ref() == Some(&branch.head) {
        return false;
    }
    branch.mark.as_ref().is_some_and(|mark| {
        mark.key != wish.key || (mark.after != wish.after && !run.wrote.contains(&mark.after))
    })
}

/// The pull request by which people said no to this key. What they saw is told by the commit that it ended in: its body
/// may have been edited while it was closed.
fn rejection<'a>(
    snapshot: &'a Snapshot,
    key: &str,
    open: Option<&PullState>,
    same: bool,
    run: &Run,
) -> Option<&'a PullState> {
    if open.is_some() && same && !run.opened {
        return None;
    }
    snapshot
        .pulls
        .iter()
        .filter(|pull| !pull.open && pull.merged_at.is_none())
        .filter(|pull| open.is_none_or(|open| pull.number < open.number || !same))
        .find(|pull| {
            let marker = Marker::read(&pull.body);
            if marker
                .as_ref()
                .is_some_and(|marker| marker.closed.is_some())
            {
                return false;
            }
            match &pull.mark {
                Some(mark) => mark.key == key,
                None => marker.is_some_and(|marker| marker.key == key),
            }
        })
}

fn limit(
    snapshot: &Snapshot,
    proposal: &Proposal,
    terms: &Terms<'_>,
    open: bool,
) -> Option<Outcome> {
    let Limits {
        pulls_per_hour,
        between_promotions,
        cool_down,
    } = terms.options.limits;
    let kind = |pull: &PullState| {
        Marker::read(&pull.body).map_or_else(
            || pull.has_label(ROLLBACK_LABEL).then_some(Kind::Rollback),
            |marker| Some(marker.kind),
        )
    };
    let latest = |found: &mut dyn Iterator<Item = Timestamp>, span, reason| {
        let until = clock::after(found.max()?, span);
        (until > terms.now).then_some(Outcome::Limited { until, reason })
    };
    if proposal.kind == Kind::Promotion {
        let mut rollbacks = snapshot
            .pulls
            .iter()
            .filter(|pull| kind(pull) == Some(Kind::Rollback) && !pull.has_label(LIFTED_LABEL))
            .filter_map(|pull| pull.merged_at);
        if let Some(limited) = latest(&mut rollbacks, cool_down, Limit::CoolDown) {
            return Some(limited);
        }
    }
    if open {
        return None;
    }
    if proposal.kind == Kind::Promotion {
        let mut promotions = snapshot
            .pulls
            .iter()
            .filter(|pull| kind(pull) == Some(Kind::Promotion))
            .map(|pull| pull.merged_at.unwrap_or(pull.created_at));
        if let Some(limited) = latest(&mut promotions, between_promotions, Limit::Promotions) {
            return Some(limited);
        }
    }
    let hour = std::time::Duration::from_secs(3600);
    let mut recent: Vec<Timestamp> = snapshot
        .recent
        .iter()
        .copied()
        .filter(|opened| clock::after(*opened, hour) > terms.now)
        .collect();
    recent.sort_unstable_by(|a, b| b.cmp(a));
    let Some(place) = pulls_per_hour.checked_sub(1) else {
        let until = clock::after(terms.now, hour);
        return Some(Outcome::Limited {
            until,
            reason: Limit::PullsPerHour,
        });
    };
    recent.get(place).map(|opened| Outcome::Limited {
        until: clock::after(*opened, hour),
        reason: Limit::PullsPerHour,
    })
}

fn steps(
    snapshot: &Snapshot,
    proposal: &Proposal,
    run: &Run,
    open: Option<&PullState>,
    wish: &Wish,
) -> Vec<Step> {
    let branch = snapshot.branch.as_ref();
    let there = branch
        .and_then(|branch| branch.mark.as_ref())
        .is_some_and(|mark| {
            mark.key == wish.key && mark.after == wish.after && mark.before == wish.before
        });
    let subject = text::title(&proposal.title);
    let moving = (!there).then(|| Step::Move {
        expected: branch.map(|branch| branch.head.clone()),
        commit: Box::new(NewCommit {
            parent: snapshot.base.commit.clone(),
            path: wish.path.clone(),
            text: wish.text.clone(),
            subject: subject.clone(),
            mark: Mark {
                key: wish.key.clone(),
                kind: proposal.kind,
                candidate: proposal.candidate,
                before: wish.before,
                after: wish.after,
            },
        }),
    });
    let mut steps = Vec::from_iter(moving);
    let labels = labels(proposal);
    let Some(pull) = open else {
        let marker = Marker::new(proposal, &wish.key, &labels, None);
        steps.push(Step::Open {
            title: subject,
            body: text::body(&proposal.body, &marker),
            draft: proposal.draft,
            labels,
        });
        return steps;
    };
    let (state, text) = edits(pull, proposal, run, &wish.key, labels, subject);
    // A job may die between two writes. What a person must look at is never the commit of a pull request that was ready for
    // the candidate before: it becomes a draft first.
    let at = if proposal.draft { 0 } else { steps.len() };
    steps.splice(at..at, state);
    steps.extend(text);
    let strays = snapshot.pulls.iter().filter(|other| {
        other.open && other.number != pull.number && Marker::read(&other.body).is_some()
    });
    for stray in strays {
        steps.extend(close(stray, &format!("superseded by #{}", pull.number)));
    }
    steps
}

/// What makes the pull request a draft or ready and labels it, and what changes its text. The marker in the text is what
/// tells that all is done, so the body is edited last.
fn edits(
    pull: &PullState,
    proposal: &Proposal,
    run: &Run,
    key: &str,
    labels: Vec<String>,
    title: String,
) -> (Vec<Step>, Option<Step>) {
    let mut state = Vec::new();
    let old = Marker::read(&pull.body).map(|marker| (marker, pull.title.clone()));
    let marker = Marker::new(proposal, key, &labels, old.as_ref());
    let edit = old
        .as_ref()
        .is_none_or(|(old, _)| old.key != marker.key || old.text != marker.text);
    let number = pull.number;
    if !run.plain {
        // A person who marked it as ready, or as a draft, is not overruled before the next candidate.
        if edit && pull.draft != proposal.draft {
            state.push(Step::Draft {
                number,
                node: pull.node.clone(),
                draft: proposal.draft,
            });
        }
        let given = old.iter().filter(|_| edit).flat_map(|(old, _)| &old.labels);
        let given: Vec<String> = given.cloned().collect();
        // In the spelling that the pull request has.
        let remove: Vec<String> = pull
            .labels
            .iter()
            .filter(|label| has_label(&given, label) && !has_label(&labels, label))
            .cloned()
            .collect();
        let add: Vec<String> = labels
            .into_iter()
            .filter(|label| !pull.has_label(label))
            .collect();
        if !add.is_empty() || !remove.is_empty() {
            state.push(Step::Label {
                number,
                add,
                remove,
            });
        }
    }
    let text = edit.then(|| Step::Edit {
        number,
        title,
        body: text::body(&proposal.body, &marker),
    });
    (state, text)
}

fn labels(proposal: &Proposal) -> Vec<String> {
    let mut labels = proposal.labels.clone();
    if proposal.kind == Kind::Rollback {
        labels.push(ROLLBACK_LABEL.to_owned());
    }
    labels.retain(|label| !label.eq_ignore_ascii_case(HOLD_LABEL) && !label.trim().is_empty());
    labels.sort_by_key(|label| label.to_ascii_lowercase());
    labels.dedup_by(|a, b| a.eq_ignore_ascii_case(b));
    labels
}
