//! What people do beside the bot with plain git, and that it sees it for what it is.

use hodoscope_registry::forge::{Hold, Outcome};

use super::local::{BRANCH, bare, git, place};
use super::{production, promotion, pump};

#[tokio::test]
async fn deleting_the_branch_by_hand_is_a_rejection_too() {
    let place = place().await;
    let pull = place.opened("1.0.0").await;
    place.git(&["branch", "-D", BRANCH]);
    assert_eq!(place.propose(&promotion("1.0.0")).await.kind(), "rejected");
    assert!(
        place
            .forge
            .pull(&production(), &pump(), &place.clock)
            .await
            .unwrap()
            .is_none()
    );
    place.clock.hours(25);
    assert_eq!(place.opened("1.1.0").await.number, pull.number + 1);
    assert!(place.page(pull.number).contains("closed ·"));
}

#[tokio::test]
async fn a_plain_git_merge_is_seen_as_a_merge() {
    for fast_forward in ["--no-ff", "--ff-only"] {
        let place = place().await;
        let pull = place.opened("1.0.0").await;
        let clone = tempfile::tempdir().unwrap();
        let from = bare(place.folder.path());
        git(
            clone.path(),
            &["clone", "-q", from.to_str().unwrap(), "work"],
        );
        let work = clone.path().join("work");
        git(
            &work,
            &["merge", "-q", fast_forward, &format!("origin/{BRANCH}")],
        );
        git(&work, &["push", "-q", "origin", "main"]);
        assert_eq!(place.active().await.as_deref(), Some("1.0.0"));
        assert_eq!(
            place.propose(&promotion("1.0.0")).await,
            Outcome::NothingToDo
        );
        assert_eq!(place.git(&["branch", "--list", BRANCH]), "");
        assert!(
            place.page(pull.number).contains("merged ·"),
            "{fast_forward}"
        );
    }
}

#[tokio::test]
async fn a_hold_stops_the_bot_which_says_so_once() {
    let place = place().await;
    let pull = place.opened("1.0.0").await;
    place
        .forge
        .label(pull.number, "Hold", true, &place.clock)
        .await
        .unwrap();
    for _ in 0..3 {
        let outcome = place.propose(&promotion("1.1.0")).await;
        assert!(
            matches!(
                outcome,
                Outcome::Held {
                    pull: Some(_),
                    reason: Hold::Label
                }
            ),
            "{outcome}"
        );
    }
    assert_eq!(
        place
            .page(pull.number)
            .matches("has the label `hold`, so")
            .count(),
        1
    );
    assert_eq!(place.head(BRANCH), pull.head);
    place
        .forge
        .label(pull.number, "hold", false, &place.clock)
        .await
        .unwrap();
    assert_eq!(place.propose(&promotion("1.1.0")).await.kind(), "updated");
}

#[tokio::test]
async fn commits_of_people_are_never_overwritten() {
    let place = place().await;
    let pull = place.opened("1.0.0").await;
    place.push(BRANCH, "NOTES.md", "wait for Friday\n");
    let head = place.head(BRANCH);
    let mut wish = promotion("1.1.0");
    wish.by_hand = true;
    for proposal in [promotion("1.0.0"), promotion("1.1.0"), wish] {
        let outcome = place.propose(&proposal).await;
        assert!(
            matches!(
                outcome,
                Outcome::Held {
                    pull: Some(_),
                    reason: Hold::Commits
                }
            ),
            "{outcome}"
        );
    }
    assert_eq!(place.head(BRANCH), head);
    assert_eq!(
        place.page(pull.number).matches("leaves them alone").count(),
        1
    );
    // Closed, they stay in the closed pull request; merged, they are merged.
    place.forge.close(pull.number, &place.clock).await.unwrap();
    place.clock.hours(25);
    assert_eq!(place.opened("1.1.0").await.number, 2);
}

#[tokio::test]
async fn a_branch_of_people_without_a_pull_request_is_left_alone() {
    let place = place().await;
    place.push("main", "x", "1\n");
    place.git(&["branch", BRANCH, "main"]);
    let outcome = place.propose(&promotion("1.0.0")).await;
    assert!(
        matches!(
            outcome,
            Outcome::Held {
                pull: None,
                reason: Hold::Commits
            }
        ),
        "{outcome}"
    );
}

#[tokio::test]
async fn an_amended_commit_counts_as_a_persons() {
    let place = place().await;
    let pull = place.opened("1.0.0").await;
    let other = place.git(&["rev-parse", "main^{tree}"]);
    let message = place.git(&["log", "-1", "--format=%B", BRANCH]);
    let amended = place.git(&["commit-tree", &other, "-p", "main", "-m", &message]);
    place.git(&["update-ref", &format!("refs/heads/{BRANCH}"), &amended]);
    assert!(matches!(
        place.propose(&promotion("1.1.0")).await,
        Outcome::Held {
            reason: Hold::Commits,
            ..
        }
    ));
    assert_eq!(place.head(BRANCH), amended);
    assert_ne!(amended, pull.head);
}
