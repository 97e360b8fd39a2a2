//! The one loop: read, decide, take the steps, read again, until a reading says that it is settled. No write is ever
//! repeated blindly; after a step whose fate is unknown the state is read, and the decision is made anew.

use std::time::Duration;

use hodoscope_release::Digest;

use super::plan::{Plan, Run, Terms, plan};
use super::proposal::{Outcome, Proposal};
use super::state::{Setback, Snapshot, Step};
use super::{Clock, Forge, ForgeError};

/// Rounds of reading and writing; one suffices for a lone job, and each race that is lost costs one.
const ROUNDS: u32 = 16;
/// Steps of unknown fate, after which the last error is believed.
const UNCLEAR_LIMIT: u32 = 5;
/// The pause after the first such step; it doubles.
const FIRST_PAUSE: Duration = Duration::from_secs(1);

/// Brings the forge to propose `proposal`.
pub(super) async fn reconcile(
    forge: &Forge,
    proposal: &Proposal,
    clock: &dyn Clock,
) -> Result<Outcome, ForgeError> {
    let branch = super::branch(&proposal.channel, &proposal.detector);
    let name = forge.to_string();
    let mut run = Run::default();
    let mut last = String::from("nothing was tried");
    let mut unclear = 0;
    let mut stuck: Option<(Option<String>, ForgeError)> = None;
    for _ in 0..ROUNDS {
        let snapshot = forge.snapshot(&proposal.channel, &branch, clock).await?;
        let head = head(&snapshot);
        if let Some((before, error)) = stuck.take()
            && before == head
        {
            // Nobody was first: it is forbidden, or this reading is late.
            unclear += 1;
            if unclear >= UNCLEAR_LIMIT {
                return Err(error);
            }
            clock.sleep(pause(unclear)).await;
        }
        let terms = Terms {
            repository: &name,
            branch: &branch,
            options: forge.options(),
            forge: &name,
            now: clock.now(),
        };
        let next = plan(&snapshot, proposal, &terms, &run)?;
        run.first_head.get_or_insert_with(|| head.clone());
        let steps = match next {
            Plan::Settled(outcome) => return Ok(told(outcome, &run)),
            Plan::Write(steps) => steps,
        };
        // Noted before, for an answer may never come.
        run.wrote.extend(steps.iter().filter_map(written));
        let taken = forge
            .apply(&branch, &steps, &snapshot, &mut run, clock)
            .await;
        if matches!(taken, Ok(()) | Err(Setback::Unclear(_))) {
            note(&mut run, &steps);
        }
        match taken {
            Ok(()) => {}
            Err(Setback::Lost) => last = "another job was first".to_owned(),
            Err(Setback::Stuck(error)) => {
                last = error.to_string();
                stuck = Some((head, error));
            }
            Err(Setback::Fatal(error)) => return Err(error),
            Err(Setback::Unclear(error)) => {
                unclear += 1;
                tracing::warn!(forge = %name, %error, "a step's fate is unknown; reading the state");
                if unclear >= UNCLEAR_LIMIT {
                    return Err(error);
                }
                last = error.to_string();
                clock.sleep(pause(unclear)).await;
            }
        }
    }
    Err(ForgeError::Unsettled {
        forge: name,
        rounds: ROUNDS,
        last,
    })
}

fn head(snapshot: &Snapshot) -> Option<String> {
    snapshot.branch.as_ref().map(|branch| branch.head.clone())
}

fn pause(unclear: u32) -> Duration {
    FIRST_PAUSE * (1 << unclear.saturating_sub(1).min(6))
}

fn written(step: &Step) -> Option<Digest> {
    match step {
        Step::Move { commit, .. } => Some(commit.mark.after),
        _ => None,
    }
}

/// Notes what was done, or may have been.
fn note(run: &mut Run, steps: &[Step]) {
    for step in steps {
        match step {
            Step::Open { .. } => run.opened = true,
            Step::Move { .. } | Step::Edit { .. } | Step::Label { .. } | Step::Draft { .. } => {
                run.updated = true;
            }
            _ => {}
        }
    }
}

/// What was found settled, in the words of what this run did for it.
fn told(outcome: Outcome, run: &Run) -> Outcome {
    match outcome {
        Outcome::Unchanged(pull) if run.opened => Outcome::Opened(pull),
        Outcome::Unchanged(pull) if run.updated => Outcome::Updated(pull),
        other => other,
    }
}
