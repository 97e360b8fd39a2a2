//! A bare repository as a forge: the whole life of a proposal, what people do beside it with plain git, crashes after
//! every write, and racing jobs.

use std::path::{Path, PathBuf};
use std::process::Command;

use hodoscope_registry::forge::{
    Clock, Forge, ForgeError, ForgeOptions, Hold, LIFTED_LABEL, Limit, LocalGit, Outcome, Pull,
};

use super::{Hands, pin, production, promotion, promotion_of, pump, rollback};

pub(super) struct Place {
    pub(super) folder: tempfile::TempDir,
    pub(super) clock: Hands,
    pub(super) forge: Forge,
}

pub(super) fn bare(folder: &Path) -> PathBuf {
    folder.join("channels.git")
}

pub(super) fn open(path: &Path, options: ForgeOptions) -> Forge {
    Forge::open(&format!("git:{}", path.display()).parse().unwrap(), options).unwrap()
}

pub(super) async fn place() -> Place {
    let folder = tempfile::tempdir().unwrap();
    let clock = Hands::new();
    let path = bare(folder.path());
    let options = ForgeOptions::default();
    let made = LocalGit::init(&path, &options, &[production()], &clock).await;
    assert!(made.unwrap());
    let forge = open(&path, options);
    Place {
        folder,
        clock,
        forge,
    }
}

impl Place {
    pub(super) async fn propose(&self, proposal: &hodoscope_registry::forge::Proposal) -> Outcome {
        self.forge.propose(proposal, &self.clock).await.unwrap()
    }

    pub(super) async fn opened(&self, version: &str) -> Pull {
        match self.propose(&promotion(version)).await {
            Outcome::Opened(pull) => pull,
            other => panic!("{other}"),
        }
    }

    pub(super) async fn merge(&self, pull: &Pull) {
        self.forge.merge(pull.number, &self.clock).await.unwrap();
    }

    pub(super) async fn active(&self) -> Option<String> {
        let base = self
            .forge
            .channel(&production(), &self.clock)
            .await
            .unwrap();
        let wanted = base.document.detectors.get(&pump())?;
        Some(wanted.active.version.to_string())
    }

    /// Plain git, as a person has it.
    pub(super) fn git(&self, args: &[&str]) -> String {
        git(&bare(self.folder.path()), args)
    }

    /// A person's commit of `file` on `branch`, made in a clone.
    pub(super) fn push(&self, branch: &str, file: &str, text: &str) {
        let clone = tempfile::tempdir().unwrap();
        let work = clone.path().join("work");
        let from = bare(self.folder.path());
        let run = |args: &[&str]| git(&work, args);
        git(
            clone.path(),
            &["clone", "-q", "-b", branch, from.to_str().unwrap(), "work"],
        );
        let target = work.join(file);
        std::fs::create_dir_all(target.parent().unwrap()).unwrap();
        std::fs::write(target, text).unwrap();
        run(&["add", "-A"]);
        run(&["commit", "-q", "-m", "By hand"]);
        run(&["push", "-q", "origin", branch]);
    }

    pub(super) fn head(&self, branch: &str) -> String {
        self.git(&["rev-parse", branch])
    }

    pub(super) fn page(&self, number: u64) -> String {
        self.git(&["show", &format!("refs/hodoscope/pulls:pulls/{number}.md")])
    }
}

pub(super) fn git(folder: &Path, args: &[&str]) -> String {
    let output = Command::new("git")
        .current_dir(folder)
        .args(["-c", "user.name=Ann", "-c", "user.email=ann@localhost"])
        .args(args)
        .output()
        .unwrap();
    assert!(
        output.status.success(),
        "git {args:?}: {}",
        String::from_utf8_lossy(&output.stderr)
    );
    String::from_utf8(output.stdout).unwrap().trim().to_owned()
}

pub(super) const BRANCH: &str = "detector-bot/production/pump";
const FILE: &str = "registry/channels/production/pump.yaml";

#[tokio::test]
async fn a_proposal_is_opened_once_and_then_found() {
    let place = place().await;
    let pull = place.opened("1.0.0").await;
    assert_eq!(pull.branch, BRANCH);
    assert_eq!(pull.head, place.head(BRANCH));
    assert!(
        matches!(place.propose(&promotion("1.0.0")).await, Outcome::Unchanged(same) if same == pull)
    );
    assert_eq!(
        place.git(&["rev-list", "--count", &format!("main..{BRANCH}")]),
        "1"
    );
    assert_eq!(place.git(&["diff", "--name-only", "main", BRANCH]), FILE);
    let page = place.page(pull.number);
    assert!(
        page.contains("open · `detector-bot/production/pump` → `main`"),
        "{page}"
    );
    assert!(page.contains("| pump@1.0.0 | drift |"), "{page}");
}

#[tokio::test]
async fn merging_deploys_and_the_next_run_has_nothing_to_do() {
    let place = place().await;
    let pull = place.opened("1.0.0").await;
    assert_eq!(place.active().await, None);
    place.merge(&pull).await;
    assert_eq!(place.active().await.as_deref(), Some("1.0.0"));
    assert_eq!(
        place.propose(&promotion("1.0.0")).await,
        Outcome::NothingToDo
    );
    let again = place
        .forge
        .merge(pull.number, &place.clock)
        .await
        .unwrap_err();
    assert_eq!(again.kind(), "not_open");
    assert!(
        again
            .to_string()
            .contains("`hodoscope forge show <detector>`"),
        "{again}"
    );
    assert_eq!(place.git(&["branch", "--list", BRANCH]), "");
}

#[tokio::test]
async fn a_newer_candidate_takes_over_the_same_pull_request() {
    let place = place().await;
    let first = place.opened("1.0.0").await;
    let Outcome::Updated(second) = place.propose(&promotion("1.1.0")).await else {
        panic!("not updated")
    };
    assert_eq!(second.number, first.number);
    assert_ne!(second.head, first.head);
    assert_eq!(
        place.git(&["rev-list", "--count", &format!("main..{BRANCH}")]),
        "1"
    );
    let page = place.page(first.number);
    assert!(page.contains("Previous candidates"), "{page}");
    assert!(page.contains(&pin("1.0.0").digest.to_string()), "{page}");
}

#[tokio::test]
async fn other_evidence_for_the_same_candidate_edits_the_text_only() {
    let place = place().await;
    let first = place.opened("1.0.0").await;
    let mut proposal = promotion("1.0.0");
    proposal.body = "a second window agrees".into();
    proposal.draft = true;
    proposal.labels = vec!["needs-human".into()];
    let Outcome::Updated(second) = place.propose(&proposal).await else {
        panic!("not updated")
    };
    assert_eq!(second.head, first.head);
    let page = place.page(first.number);
    assert!(
        page.contains("draft ·") && page.contains("labels: needs-human"),
        "{page}"
    );
    assert!(page.contains("a second window agrees"), "{page}");
}

#[tokio::test]
async fn a_closed_candidate_is_not_proposed_again_but_another_one_is() {
    let place = place().await;
    let pull = place.opened("1.0.0").await;
    place.forge.close(pull.number, &place.clock).await.unwrap();
    place.clock.hours(25);
    assert!(
        matches!(place.propose(&promotion("1.0.0")).await, Outcome::Rejected(same) if same.number == pull.number)
    );
    let next = place.opened("1.1.0").await;
    assert_eq!(next.number, 2);
    // Taking over the open one by the rejected candidate is no way round.
    assert_eq!(place.propose(&promotion("1.0.0")).await.kind(), "rejected");
    // A person may change her mind.
    let mut by_hand = promotion("1.0.0");
    by_hand.by_hand = true;
    assert_eq!(place.propose(&by_hand).await.kind(), "updated");
    assert_eq!(place.propose(&promotion("1.0.0")).await.kind(), "unchanged");
}

#[tokio::test]
async fn a_base_that_moved_is_built_upon_and_never_overwritten() {
    let place = place().await;
    let pull = place.opened("1.0.0").await;
    place.push("main", "README.md", "unrelated\n");
    assert_eq!(place.propose(&promotion("1.0.0")).await.kind(), "unchanged");
    assert_eq!(place.head(BRANCH), pull.head);
    let text = format!(
        "detectors:\n  pump:\n    active: {{version: 0.9.0, digest: \"{}\"}}\n",
        pin("0.9.0").digest
    );
    place.push("main", FILE, &text);
    assert_eq!(place.propose(&promotion("1.0.0")).await.kind(), "updated");
    place.merge(&pull).await;
    let base = place
        .forge
        .channel(&production(), &place.clock)
        .await
        .unwrap();
    let wanted = &base.document.detectors[&pump()];
    assert_eq!(wanted.active, pin("1.0.0"));
    assert_eq!(wanted.previous, Some(pin("0.9.0")));
}

#[tokio::test]
async fn two_detectors_have_two_pull_requests_that_do_not_touch_each_other() {
    let place = place().await;
    let first = place.opened("1.0.0").await;
    let other = place.propose(&promotion_of("valve", "1.0.0")).await;
    assert_eq!(other.pull().unwrap().number, 2);
    place.merge(&first).await;
    place.merge(other.pull().unwrap()).await;
    let base = place
        .forge
        .channel(&production(), &place.clock)
        .await
        .unwrap();
    assert_eq!(base.document.detectors.len(), 2);
}

#[tokio::test]
async fn the_job_keeps_to_its_limits_and_a_person_passes_them() {
    let place = place().await;
    let pull = place.opened("1.0.0").await;
    place.merge(&pull).await;
    let limited = |outcome: &Outcome, wanted: Limit| matches!(outcome, Outcome::Limited { reason, .. } if *reason == wanted);
    assert!(limited(
        &place.propose(&promotion("1.1.0")).await,
        Limit::Promotions
    ));
    place.propose(&promotion_of("valve", "1.0.0")).await;
    assert!(limited(
        &place.propose(&promotion_of("fan", "1.0.0")).await,
        Limit::PullsPerHour
    ));
    place.clock.hours(1);
    assert_eq!(
        place.propose(&promotion_of("fan", "1.0.0")).await.kind(),
        "opened"
    );
    let mut by_hand = promotion("1.1.0");
    by_hand.by_hand = true;
    let pull = place.propose(&by_hand).await.pull().unwrap().clone();
    place.merge(&pull).await;
    assert_eq!(place.active().await.as_deref(), Some("1.1.0"));
}

#[tokio::test]
async fn after_a_rollback_nothing_is_promoted_until_it_cooled_down_or_a_person_lifts_it() {
    for lift in [true, false] {
        let place = place().await;
        let pull = place.opened("1.0.0").await;
        place.merge(&pull).await;
        place.clock.hours(25);
        let pull = place.opened("1.1.0").await;
        place.merge(&pull).await;
        // No limit holds a rollback up.
        let back = place.propose(&rollback("1.0.0")).await;
        assert_eq!(back.kind(), "opened");
        let back = back.pull().unwrap().clone();
        assert!(place.page(back.number).contains("rollback"));
        assert!(matches!(
            place.propose(&promotion("1.2.0")).await,
            Outcome::Held {
                reason: Hold::Rollback,
                ..
            }
        ));
        place.merge(&back).await;
        assert_eq!(place.active().await.as_deref(), Some("1.0.0"));
        place.clock.hours(70);
        assert!(matches!(
            place.propose(&promotion("1.2.0")).await,
            Outcome::Limited { reason: Limit::CoolDown, until } if until > place.clock.now()
        ));
        if lift {
            place
                .forge
                .label(back.number, LIFTED_LABEL, true, &place.clock)
                .await
                .unwrap();
        } else {
            place.clock.hours(2);
        }
        place.opened("1.2.0").await;
    }
}

#[tokio::test]
async fn a_rollback_replaces_an_open_promotion() {
    let place = place().await;
    for version in ["1.0.0", "1.1.0"] {
        let pull = place.opened(version).await;
        place.merge(&pull).await;
        place.clock.hours(25);
    }
    let open = place.opened("1.2.0").await;
    let back = place.propose(&rollback("1.0.0")).await;
    assert_eq!(
        (back.kind(), back.pull().unwrap().number),
        ("updated", open.number)
    );
    place.merge(back.pull().unwrap()).await;
    assert_eq!(place.active().await.as_deref(), Some("1.0.0"));
}

#[tokio::test]
async fn a_candidate_that_reached_the_base_by_another_way_closes_its_pull_request() {
    let place = place().await;
    let pull = place.opened("1.0.0").await;
    let text = place.git(&["show", &format!("{BRANCH}:{FILE}")]) + "\n";
    place.push("main", FILE, &text);
    assert_eq!(
        place.propose(&promotion("1.0.0")).await,
        Outcome::NothingToDo
    );
    assert!(place.page(pull.number).contains("closed ·"));
    assert_eq!(place.git(&["branch", "--list", BRANCH]), "");
    // The bot's own closing rejects nothing.
    place.git(&["update-ref", "refs/heads/main", "main~1"]);
    place.clock.hours(25);
    assert_eq!(place.opened("1.0.0").await.number, 2);
}

#[tokio::test]
async fn a_change_that_cannot_be_made_or_touches_others_is_refused() {
    let place = place().await;
    let error = place
        .forge
        .propose(&rollback("1.0.0"), &place.clock)
        .await
        .unwrap_err();
    assert_eq!(error.kind(), "document");
    let mut wide = promotion("1.0.0");
    wide.change = Box::new(|document| {
        document.promote(&pump(), pin("1.0.0"));
        document.promote(&"valve".parse().unwrap(), pin("1.0.0"));
        Ok(())
    });
    let error = place.forge.propose(&wide, &place.clock).await.unwrap_err();
    assert_eq!(error.kind(), "touches_others");
    place.push("main", FILE, "detectors: [\n");
    let error = place
        .forge
        .propose(&promotion("1.0.0"), &place.clock)
        .await
        .unwrap_err();
    assert!(matches!(error, ForgeError::Channel { .. }), "{error}");
    assert!(error.to_string().contains(FILE), "{error}");
}

#[tokio::test]
async fn a_pull_request_that_conflicts_is_not_merged() {
    let place = place().await;
    let pull = place.opened("1.0.0").await;
    place.push("main", FILE, "detectors: {}\n");
    let error = place
        .forge
        .merge(pull.number, &place.clock)
        .await
        .unwrap_err();
    assert_eq!(error.kind(), "conflict");
    assert_eq!(place.propose(&promotion("1.0.0")).await.kind(), "updated");
    place.merge(&pull).await;
}
