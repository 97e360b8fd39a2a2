//! GitHub as a forge: the life of a proposal, what people do to it, credentials. `verify/forge/run` records all that is said here and holds it against GitHub's own descriptions.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use hodoscope_registry::forge::{
    Forge, ForgeError, ForgeOptions, GitHubCredentials, Hold, LIFTED_LABEL, Limit, Outcome,
    Proposal, Pull,
};
use serde_json::json;

use super::fake::{Core, Fake, Fault, Seen};
use super::{Hands, pin, production, promotion, promotion_of, pump, rollback};

pub(super) const BRANCH: &str = "detector-bot/production/pump";
pub(super) const FILE: &str = "registry/channels/production/pump.yaml";

pub(super) struct Place {
    pub(super) clock: Arc<Hands>,
    pub(super) fake: Fake,
    pub(super) forge: Forge,
}

pub(super) fn options(fake: &Fake, token: &str) -> ForgeOptions {
    let mut options = ForgeOptions::default();
    options.github.url = fake.url();
    options.github.credentials = GitHubCredentials::Token(token.to_owned());
    options.github.call_timeout = Duration::from_secs(60);
    options
}

pub(super) fn open(options: ForgeOptions) -> Forge {
    Forge::open(&"github:acme/channels".parse().unwrap(), options).unwrap()
}

pub(super) fn place() -> Place {
    place_with(|_| {})
}

pub(super) fn place_with(set: impl FnOnce(&mut ForgeOptions)) -> Place {
    let clock = Arc::new(Hands::new());
    let fake = Fake::new(&clock);
    let mut options = options(&fake, "ghp_test");
    set(&mut options);
    let forge = open(options);
    Place { clock, fake, forge }
}

impl Place {
    pub(super) async fn try_propose(&self, proposal: &Proposal) -> Result<Outcome, ForgeError> {
        self.forge.propose(proposal, &*self.clock).await
    }

    pub(super) async fn propose(&self, proposal: &Proposal) -> Outcome {
        self.try_propose(proposal).await.unwrap()
    }

    pub(super) async fn opened(&self, version: &str) -> Pull {
        match self.propose(&promotion(version)).await {
            Outcome::Opened(pull) => pull,
            other => panic!("{other}"),
        }
    }

    /// As people do on GitHub's pages.
    pub(super) fn people<T>(&self, change: impl FnOnce(&mut Core) -> T) -> T {
        change(&mut self.fake.world().core)
    }

    pub(super) fn rule(
        &self,
        rule: impl FnMut(&Seen, &mut Core) -> Option<Fault> + Send + 'static,
    ) {
        self.fake.world().rule = Some(Box::new(rule));
    }

    /// The first request whose method and words fit meets this fault, and those after it for `times` in all.
    pub(super) fn fault(&self, what: &'static str, times: usize, fault: Fault) {
        let mut left = times;
        self.rule(move |seen, _| {
            let fits = format!("{} {}", seen.method, seen.what).contains(what);
            if !fits || left == 0 {
                return None;
            }
            left -= 1;
            Some(fault.clone())
        });
    }

    pub(super) fn seen(&self, what: &str) -> usize {
        let world = self.fake.world();
        let line = |seen: &Seen| format!("{} {}", seen.method, seen.what);
        world
            .seen
            .iter()
            .filter(|seen| line(seen).contains(what))
            .count()
    }

    pub(super) fn is_sound(&self) {
        let world = self.fake.world();
        assert_eq!(world.core.wrong, Vec::<String>::new());
        assert!(world.core.open_pulls().count() <= 1);
    }
}

#[tokio::test]
async fn a_promotion_is_opened_found_superseded_and_merged() {
    let place = place();
    let pull = place.opened("1.0.0").await;
    assert_eq!((pull.number, &*pull.branch), (1, BRANCH));
    assert_eq!(pull.url, "https://github.com/acme/channels/pull/1");
    assert_eq!(place.propose(&promotion("1.0.0")).await.kind(), "unchanged");
    place.people(|core| {
        let head = core.head(BRANCH).unwrap();
        assert_eq!(core.commits[&head].parents, [core.head("main").unwrap()]);
        assert_eq!(core.files(&head).len(), 2);
        assert!(core.files(&head)[FILE].contains("1.0.0"));
        assert_eq!(core.pulls[0].labels, ["drift"]);
    });
    let mut next = promotion("1.1.0");
    next.draft = true;
    next.labels = vec!["needs human".into()];
    assert_eq!(place.propose(&next).await.kind(), "updated");
    place.people(|core| {
        let pull = &core.pulls[0];
        assert!(pull.draft && pull.title.contains("1.1.0"));
        assert_eq!(pull.labels, ["needs human"]);
        assert!(pull.body.contains(&pin("1.0.0").digest.to_string()));
        // A person says it is ready, and the bot does not contradict.
        core.pulls[0].draft = false;
    });
    assert_eq!(place.propose(&next).await.kind(), "unchanged");
    place.people(|core| core.pulls[0].draft = true);
    assert_eq!(place.propose(&promotion("1.2.0")).await.kind(), "updated");
    place.people(|core| core.merge(1));
    assert_eq!(
        place.propose(&promotion("1.2.0")).await,
        Outcome::NothingToDo
    );
    let base = place
        .forge
        .channel(&production(), &*place.clock)
        .await
        .unwrap();
    assert_eq!(base.document.detectors[&pump()].active, pin("1.2.0"));
    place.people(|core| assert_eq!(core.head(BRANCH), None));
    place.is_sound();
}

#[tokio::test]
async fn people_hold_close_push_and_lift() {
    let place = place();
    let pull = place.opened("1.0.0").await;
    place.people(|core| core.pull(1).unwrap().labels.push("hold".into()));
    for _ in 0..2 {
        let outcome = place.propose(&promotion("1.1.0")).await;
        assert!(
            matches!(
                outcome,
                Outcome::Held {
                    reason: Hold::Label,
                    ..
                }
            ),
            "{outcome}"
        );
    }
    place.people(|core| {
        assert_eq!(core.pulls[0].comments.len(), 1);
        core.pull(1).unwrap().labels.retain(|label| label != "hold");
        core.push(BRANCH, "NOTES.md", "wait\n");
    });
    let outcome = place.propose(&promotion("1.1.0")).await;
    assert!(
        matches!(
            outcome,
            Outcome::Held {
                reason: Hold::Commits,
                ..
            }
        ),
        "{outcome}"
    );
    place.people(|core| core.close(1));
    place.clock.hours(25);
    // The person's commit stays in her closed pull request; the branch is made anew.
    let next = place.opened("1.1.0").await.number;
    assert_ne!(next, pull.number);
    place.people(|core| core.close(next));
    assert_eq!(place.propose(&promotion("1.1.0")).await.kind(), "rejected");
    place.is_sound();
}

#[tokio::test]
async fn a_rollback_passes_the_limits_and_starts_the_cool_down() {
    let place = place();
    for version in ["1.0.0", "1.1.0"] {
        let pull = place.opened(version).await;
        place.people(|core| core.merge(pull.number));
        place.clock.hours(25);
    }
    let pull = place.opened("1.2.0").await;
    let back = place.propose(&rollback("1.0.0")).await;
    assert_eq!(
        (back.kind(), back.pull().unwrap().number),
        ("updated", pull.number)
    );
    place.people(|core| {
        assert_eq!(
            core.pull(pull.number).unwrap().labels,
            ["drift", "rollback"]
        );
        core.merge(pull.number);
    });
    let limited = place.propose(&promotion("1.3.0")).await;
    assert!(
        matches!(
            limited,
            Outcome::Limited {
                reason: Limit::CoolDown,
                ..
            }
        ),
        "{limited}"
    );
    place.people(|core| {
        core.pull(pull.number)
            .unwrap()
            .labels
            .push(LIFTED_LABEL.into())
    });
    place.clock.hours(25);
    place.opened("1.3.0").await;
    place.is_sound();
}

#[tokio::test]
async fn two_pull_requests_an_hour_for_all_detectors_together() {
    let place = place();
    for detector in ["pump", "valve"] {
        assert_eq!(
            place.propose(&promotion_of(detector, "1.0.0")).await.kind(),
            "opened"
        );
    }
    let limited = place.propose(&promotion_of("fan", "1.0.0")).await;
    assert!(
        matches!(
            limited,
            Outcome::Limited {
                reason: Limit::PullsPerHour,
                ..
            }
        ),
        "{limited}"
    );
    let mut by_hand = promotion_of("fan", "1.0.0");
    by_hand.by_hand = true;
    assert_eq!(place.propose(&by_hand).await.kind(), "opened");
}

#[tokio::test]
async fn a_candidate_that_reached_the_base_otherwise_closes_its_pull_request() {
    let place = place();
    place.opened("1.0.0").await;
    place.people(|core| {
        let text = core.files(&core.head(BRANCH).unwrap())[FILE].clone();
        core.push("main", FILE, &text);
    });
    assert_eq!(
        place.propose(&promotion("1.0.0")).await,
        Outcome::NothingToDo
    );
    place.people(|core| {
        assert_eq!(core.open_pulls().count(), 0);
        assert!(
            core.pulls[0].comments[0]
                .1
                .contains("base branch has it already")
        );
        assert_eq!(core.head(BRANCH), None);
    });
    place.is_sound();
}

#[tokio::test]
async fn a_duplicate_for_another_base_is_closed_as_superseded() {
    let place = place();
    place.opened("1.0.0").await;
    place.people(|core| {
        let main = core.head("main").unwrap();
        core.refs.insert("refs/heads/old".into(), main);
        let body = core.pulls[0].body.clone();
        core.open("Stray", &body, BRANCH, "old", false).unwrap();
    });
    place.propose(&promotion("1.0.0")).await;
    place.people(|core| {
        let open: Vec<u64> = core.open_pulls().map(|pull| pull.number).collect();
        assert_eq!(open, [1]);
        assert!(core.pulls[1].comments[0].1.contains("superseded by #1"));
    });
}

#[tokio::test]
async fn a_fork_with_a_branch_of_the_same_name_counts_for_nothing() {
    let place = place();
    let pull = place.opened("1.0.0").await;
    place.people(|core| {
        let mut forged = core.pulls[0].clone();
        forged.number = core.number();
        forged.cross = true;
        forged.state = super::fake::State::Closed;
        core.pulls.push(forged);
        core.close(pull.number);
        core.pulls.remove(0);
        core.set(&format!("refs/heads/{BRANCH}"), None);
    });
    assert_eq!(place.propose(&promotion("1.0.0")).await.kind(), "opened");
}

/// Anybody may fork a public repository, and open and close as many pull requests of our branch's name as a page holds.
#[tokio::test]
async fn pull_requests_of_forks_hide_none_of_ours() {
    let place = place();
    let forks = |state: super::fake::State| {
        place.people(|core| {
            for _ in 0..40 {
                let mut forged = core.pulls[0].clone();
                (forged.number, forged.cross, forged.state) = (core.number(), true, state);
                core.pulls.push(forged);
            }
        });
    };
    let pull = place.opened("1.0.0").await;
    forks(super::fake::State::Open);
    assert_eq!(place.propose(&promotion("1.0.0")).await.kind(), "unchanged");
    assert_eq!(place.propose(&promotion("1.1.0")).await.kind(), "updated");
    assert_eq!(place.seen("HodoscopePulls"), 0);
    place.people(|core| core.close(pull.number));
    forks(super::fake::State::Closed);
    place.clock.hours(25);
    assert_eq!(place.propose(&promotion("1.1.0")).await.kind(), "rejected");
    assert_eq!(place.seen("HodoscopePulls"), 1);
}

#[tokio::test]
async fn labels_and_drafts_that_cannot_be_had_stop_nothing() {
    let place = place();
    place.people(|core| {
        core.strict_labels = true;
        core.no_drafts = true;
    });
    let mut proposal = promotion("1.0.0");
    proposal.draft = true;
    assert_eq!(place.propose(&proposal).await.kind(), "opened");
    place.people(|core| assert_eq!(core.pulls[0].labels, ["drift"]));
    let forbidden = json!({"message": "Resource not accessible by integration"});
    place.fault("labels", 9, Fault::Answer(403, vec![], forbidden));
    assert_eq!(
        place.propose(&promotion_of("valve", "1.0.0")).await.kind(),
        "opened"
    );
}

#[tokio::test]
async fn a_label_is_the_same_in_any_case() {
    let place = place();
    place.people(|core| core.labels.insert("Needs-Human".into()));
    let mut risky = promotion("1.0.0");
    risky.labels = vec!["needs-human".into(), "NEEDS-human".into(), "Hold".into()];
    assert_eq!(place.propose(&risky).await.kind(), "opened");
    assert_eq!(place.propose(&risky).await.kind(), "unchanged");
    place.people(|core| assert_eq!(core.pulls[0].labels, ["Needs-Human"]));
    // Taken away again by the candidate that does not want it.
    assert_eq!(place.propose(&promotion("1.1.0")).await.kind(), "updated");
    place.people(|core| {
        assert_eq!(core.pulls[0].labels, ["drift"]);
        core.pulls[0].labels.push("Hold".into());
    });
    assert_eq!(place.propose(&promotion("1.2.0")).await.kind(), "held");
    place.is_sound();
}

#[tokio::test]
async fn people_merge_and_label_on_githubs_pages() {
    let place = place();
    place.opened("1.0.0").await;
    let error = place.forge.merge(1, &*place.clock).await.unwrap_err();
    assert_eq!(error.kind(), "unsupported");
}

#[tokio::test]
async fn an_enterprise_server_is_reached_at_its_own_paths() {
    let place = place_with(|options| options.github.url.push_str("/api/v3"));
    place.opened("1.0.0").await;
    let mut next = promotion("1.1.0");
    next.draft = true;
    assert_eq!(place.propose(&next).await.kind(), "updated");
    place
        .forge
        .dispatch("train-model.yml", &BTreeMap::new(), &*place.clock)
        .await
        .unwrap();
    place.is_sound();
}
