//! What GitHub answers beside "done": lost answers, rate limits, each refusal by its name, and a job that dies after any
//! write.

use std::collections::BTreeMap;
use std::time::Duration;

use hodoscope_registry::forge::{Clock as _, Proposal};
use serde_json::json;

use super::fake::Fault;
use super::github::{BRANCH, FILE, Place, place, place_with};
use super::{promotion, rollback};

#[tokio::test]
async fn writes_are_a_second_apart_and_carry_no_author() {
    let place = place();
    let before = place.clock.now();
    place.opened("1.0.0").await;
    let writes = place
        .fake
        .world()
        .seen
        .iter()
        .filter(|seen| seen.writes)
        .count();
    let spent = place.clock.now().duration_since(before);
    assert_eq!(writes, 5, "tree, commit, ref, pull request, labels");
    assert!(spent.as_secs() >= 4, "{spent}");
}

#[tokio::test]
async fn an_answer_that_was_lost_is_settled_by_reading() {
    for (what, fault) in [
        ("git/trees", Fault::Cut),
        ("git/trees", Fault::CutAfter),
        (
            "git/commits",
            Fault::After(502, json!({"message": "Server Error"})),
        ),
        ("HodoscopeMove", Fault::Cut),
        ("HodoscopeMove", Fault::CutAfter),
        (
            "HodoscopeMove",
            Fault::After(502, json!({"message": "Server Error"})),
        ),
        ("POST /repos/acme/channels/pulls", Fault::Cut),
        ("POST /repos/acme/channels/pulls", Fault::CutAfter),
        (
            "POST /repos/acme/channels/pulls",
            Fault::After(502, json!({})),
        ),
        (
            "POST /repos/acme/channels/pulls",
            Fault::Answer(500, vec![], json!({})),
        ),
        ("labels", Fault::CutAfter),
        ("HodoscopeState", Fault::Answer(502, vec![], json!({}))),
        ("HodoscopeState", Fault::Stale),
        ("HodoscopeFolder", Fault::Cut),
    ] {
        let place = place();
        place.fault(what, 1, fault.clone());
        let outcome = place.propose(&promotion("1.0.0")).await;
        assert_eq!(outcome.kind(), "opened", "{what} {fault:?}");
        assert_eq!(place.propose(&promotion("1.0.0")).await.kind(), "unchanged");
        place.people(|core| {
            assert_eq!(core.pulls.len(), 1, "{what} {fault:?}");
            assert_eq!(core.pulls[0].labels, ["drift"], "{what} {fault:?}");
        });
        place.is_sound();
    }
}

#[tokio::test]
async fn no_write_is_repeated_before_the_state_was_read() {
    let place = place();
    place.fault("/pulls", 1, Fault::CutAfter);
    place.opened("1.0.0").await;
    let world = place.fake.world();
    let names: Vec<&str> = world.seen.iter().map(|seen| seen.what.as_str()).collect();
    let at = names
        .iter()
        .position(|name| name.ends_with("/pulls"))
        .unwrap();
    assert_eq!(names[at + 1], "HodoscopeState");
    assert_eq!(
        names.iter().filter(|name| name.ends_with("/pulls")).count(),
        1
    );
}

#[tokio::test]
async fn an_answer_that_never_comes_is_given_up() {
    let place = place_with(|options| options.github.call_timeout = Duration::from_millis(300));
    place.fault("POST /repos/acme/channels/pulls", 1, Fault::HangAfter);
    assert_eq!(place.propose(&promotion("1.0.0")).await.kind(), "opened");
    assert_eq!(place.seen("POST /repos/acme/channels/pulls"), 1);
}

#[tokio::test]
async fn limits_are_waited_for_as_github_asks() {
    let reset = |place: &Place, seconds: i64| {
        let now = place.clock.now().as_second();
        vec![
            ("x-ratelimit-remaining", "0".to_owned()),
            ("x-ratelimit-reset", (now + seconds).to_string()),
        ]
    };
    let secondary = json!({"message": "You have exceeded a secondary rate limit. Please wait."});
    let limited = json!({"data": null, "errors": [{"type": "RATE_LIMITED", "message": "API rate limit exceeded"}]});
    for (what, status, kind, body, waits) in [
        ("/pulls", 403, "none", secondary.clone(), 60),
        ("/pulls", 429, "none", json!({}), 60),
        ("/pulls", 403, "retry", json!({"message": "slow down"}), 7),
        ("/pulls", 429, "retry", json!({}), 7),
        (
            "/pulls",
            403,
            "reset",
            json!({"message": "API rate limit exceeded"}),
            300,
        ),
        ("HodoscopeState", 403, "reset", json!({}), 300),
        ("HodoscopeState", 200, "reset", limited, 300),
        ("HodoscopeMove", 403, "none", secondary, 60),
    ] {
        let place = place();
        let headers = match kind {
            "retry" => vec![("retry-after", "7".to_owned())],
            "reset" => reset(&place, 300),
            _ => vec![],
        };
        place.fault(what, 1, Fault::Answer(status, headers, body));
        let before = place.clock.now();
        assert_eq!(place.propose(&promotion("1.0.0")).await.kind(), "opened");
        let spent = place.clock.now().duration_since(before).as_secs();
        assert!(
            (waits..waits + 30).contains(&spent),
            "{what} {status} {kind}: {spent} s"
        );
    }
}

#[tokio::test]
async fn a_limit_that_does_not_end_is_an_error_after_five_tries_that_grow() {
    let place = place();
    let body = json!({"message": "You have exceeded a secondary rate limit"});
    place.fault("/pulls", 99, Fault::Answer(403, vec![], body));
    let error = place.try_propose(&promotion("1.0.0")).await.unwrap_err();
    assert_eq!(error.kind(), "rate_limited");
    assert_eq!(place.seen("/pulls"), 5);
    let long: Vec<u64> = place
        .clock
        .slept()
        .into_iter()
        .map(|span| span.as_secs())
        .filter(|s| *s >= 60)
        .collect();
    assert_eq!(long, [60, 120, 240, 480]);
    // Run again when it is over, it goes on where it stopped.
    place.fake.world().rule = None;
    assert_eq!(place.propose(&promotion("1.0.0")).await.kind(), "opened");
    // And one that would take too long is not waited for.
    let hours = vec![("retry-after", "7200".to_owned())];
    place.fault("HodoscopeState", 1, Fault::Answer(429, hours, json!({})));
    let error = place.try_propose(&promotion("1.0.0")).await.unwrap_err();
    let text = error.to_string();
    assert!(text.contains("rate limit is reached until"), "{text}");
    assert!(text.ends_with("run again then"), "{text}");
}

#[tokio::test]
async fn every_refusal_has_its_name_and_its_fix() {
    let answer = |status, message: &str| Fault::Answer(status, vec![], json!({"message": message}));
    let forbidden = json!({"data": null, "errors": [{"type": "FORBIDDEN", "message": "no"}]});
    for (what, fault, kind, words) in [
        (
            "/pulls",
            answer(403, "Resource not accessible by integration"),
            "forbidden",
            "pull_requests: write",
        ),
        (
            "git/trees",
            answer(403, "Resource not accessible by personal access token"),
            "forbidden",
            "contents: write",
        ),
        (
            "HodoscopeMove",
            Fault::Answer(200, vec![], forbidden),
            "forbidden",
            "contents: write",
        ),
        (
            "HodoscopeState",
            answer(401, "Bad credentials"),
            "credentials",
            "renew the token",
        ),
        (
            "git/commits",
            answer(401, "Bad credentials"),
            "credentials",
            "renew the token",
        ),
        (
            "/pulls",
            answer(405, "Method not allowed"),
            "refused",
            "405",
        ),
        (
            "git/trees",
            answer(409, "Git Repository is empty."),
            "refused",
            "Git Repository is empty",
        ),
        (
            "/pulls",
            answer(422, "Validation Failed"),
            "refused",
            "Validation Failed",
        ),
        ("/pulls", answer(404, "Not Found"), "refused", "404"),
        (
            "HodoscopeState",
            answer(502, "Server Error"),
            "unavailable",
            "502",
        ),
        (
            "git/trees",
            answer(503, "Service Unavailable"),
            "unavailable",
            "503",
        ),
        ("git/trees", answer(418, "tea"), "refused", "418"),
        (
            "HodoscopeState",
            Fault::Answer(200, vec![], json!({"data": {}})),
            "no_repository",
            "install the App",
        ),
        (
            "HodoscopeState",
            Fault::Answer(200, vec![], json!("x")),
            "answer",
            "unexpected",
        ),
    ] {
        let place = place();
        place.fault(what, 99, fault);
        let error = place.try_propose(&promotion("1.0.0")).await.unwrap_err();
        assert_eq!(error.kind(), kind, "{what}: {error}");
        assert!(error.to_string().contains(words), "{what}: {error}");
        place.fake.world().rule = None;
        assert_eq!(
            place.propose(&promotion("1.0.0")).await.kind(),
            "opened",
            "{what}"
        );
        place.is_sound();
    }
}

#[tokio::test]
async fn a_repository_that_moved_is_named_and_nothing_is_written() {
    let place = place();
    place.people(|core| core.name = "acme/wishes".into());
    let error = place.try_propose(&promotion("1.0.0")).await.unwrap_err();
    assert_eq!(error.kind(), "moved");
    assert!(error.to_string().contains("acme/wishes"), "{error}");
    let error = place
        .forge
        .dispatch("train-model.yml", &BTreeMap::new(), &*place.clock)
        .await
        .unwrap_err();
    assert!(
        error
            .to_string()
            .contains("https://api.github.com/repositories/1"),
        "{error}"
    );
    // It moves between reading and writing: the write's 301 is not followed.
    place.people(|core| core.name = "acme/channels".into());
    place.rule(|seen, core| {
        if seen.what == "HodoscopeFolder" {
            core.name = "acme/wishes".into();
        }
        None
    });
    let error = place.try_propose(&promotion("1.0.0")).await.unwrap_err();
    assert_eq!(error.kind(), "moved");
}

#[tokio::test]
async fn a_branch_that_may_not_be_moved_is_told_from_a_lost_race() {
    let place = place();
    place.people(|core| core.protected = true);
    let error = place.try_propose(&promotion("1.0.0")).await.unwrap_err();
    assert_eq!(error.kind(), "refused");
    assert!(
        error
            .to_string()
            .contains("let the bot push to `detector-bot/**`"),
        "{error}"
    );
}

#[tokio::test]
async fn a_wrong_base_or_a_broken_file_is_named() {
    let place = place_with(|options| options.base = "trunk".into());
    let error = place.try_propose(&promotion("1.0.0")).await.unwrap_err();
    assert!(error.to_string().contains("no branch `trunk`"), "{error}");
    let place = self::place();
    place.people(|core| core.push("main", FILE, "detectors: [\n"));
    let error = place.try_propose(&promotion("1.0.0")).await.unwrap_err();
    assert!(error.to_string().contains(FILE), "{error}");
}

#[tokio::test]
async fn a_job_that_dies_after_any_write_is_finished_by_the_next() {
    // The first promotion, two superseding ones, of which one needs a person, and tidying up, each stopped after its first,
    // second, … write.
    for scene in ["first", "next", "risky", "tidy", "rollback"] {
        for stop in 1.. {
            let place = place();
            let wish = || match scene {
                "rollback" => rollback("1.0.0"),
                "next" => promotion("1.1.0"),
                "risky" => Proposal {
                    draft: true,
                    labels: vec!["needs-human".into()],
                    ..promotion("1.1.0")
                },
                _ => promotion("1.0.0"),
            };
            if scene == "rollback" {
                for version in ["1.0.0", "1.1.0"] {
                    let pull = place.opened(version).await;
                    place.people(|core| core.merge(pull.number));
                    place.clock.hours(25);
                }
            } else if scene != "first" {
                place.opened("1.0.0").await;
            }
            if scene == "tidy" {
                place.people(|core| {
                    let text = core.files(&core.head(BRANCH).unwrap())[FILE].clone();
                    core.push("main", FILE, &text);
                });
            }
            let (died, told) = tokio::sync::oneshot::channel();
            let mut died = Some(died);
            let mut writes = 0;
            place.rule(move |seen, _| {
                if seen.writes {
                    writes += 1;
                    if writes == stop {
                        let _ = died.take().map(|died| died.send(()));
                        return Some(Fault::HangAfter);
                    }
                }
                None
            });
            let wished = wish();
            let finished = tokio::select! {
                outcome = place.forge.propose(&wished, &*place.clock) => Some(outcome.unwrap()),
                _ = told => None,
            };
            place.fake.world().rule = None;
            if scene == "risky" {
                place.people(|core| {
                    let pull = &core.pulls[0];
                    let guarded =
                        pull.draft && pull.labels.iter().any(|label| label == "needs-human");
                    let moved = core.files(&pull.head)[FILE].contains("1.1.0");
                    assert!(guarded || !moved, "{stop}: it could be merged");
                });
            }
            let outcome = place.propose(&wish()).await;
            let wanted: &[&str] = match (scene, &finished) {
                ("tidy", _) => &["nothing_to_do"],
                (_, Some(_)) => &["unchanged"],
                _ => &["opened", "updated", "unchanged"],
            };
            assert!(
                wanted.contains(&outcome.kind()),
                "{scene} {stop}: {outcome}"
            );
            assert_eq!(
                place.propose(&wish()).await.kind(),
                if scene == "tidy" {
                    "nothing_to_do"
                } else {
                    "unchanged"
                }
            );
            place.is_sound();
            place.people(|core| {
                let open = core.open_pulls().count();
                assert_eq!(open, usize::from(scene != "tidy"), "{scene} {stop}");
                assert_eq!(
                    core.head(BRANCH).is_some(),
                    scene != "tidy",
                    "{scene} {stop}"
                );
            });
            if finished.is_some() {
                assert!(stop > 3, "{scene}");
                break;
            }
        }
    }
}
