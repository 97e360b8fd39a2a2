//! A local repository when git dies, hangs or is missing: the executable is a script that counts its runs and stops at a
//! chosen one, before or after doing it.

use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;

use hodoscope_registry::forge::{Forge, ForgeOptions, Outcome};

use super::local::{Place, bare, open, place};
use super::promotion;

/// A git that runs this before the real one, and this after it.
fn script(place: &Place, before: &str, after: &str) -> ForgeOptions {
    let path = place.folder.path().join("git");
    let text =
        format!("#!/bin/sh\n{before}\n/usr/bin/env git \"$@\"\ncode=$?\n{after}\nexit $code\n");
    write(&path, &text);
    let mut options = ForgeOptions::default();
    options.git.git = path;
    options
}

fn write(path: &PathBuf, text: &str) {
    std::fs::write(path, text).unwrap();
    std::fs::set_permissions(path, PermissionsExt::from_mode(0o755)).unwrap();
}

fn forge(place: &Place, options: ForgeOptions) -> Forge {
    open(&bare(place.folder.path()), options)
}

/// Stops at the run with this number, before or after it was done.
fn stopping(place: &Place, stop: u32, done: bool) -> Forge {
    let count = place.folder.path().join("count");
    std::fs::write(&count, "0").unwrap();
    let count = count.display();
    let tick = format!("n=$(($(cat {count}) + 1)); echo $n > {count}");
    let die = format!("[ $n -lt {stop} ] || exit 137");
    let options = if done {
        script(place, &tick, &die)
    } else {
        script(place, &format!("{tick}; {die}"), "")
    };
    forge(place, options)
}

#[tokio::test]
async fn a_job_that_dies_at_any_run_of_git_is_finished_by_the_next() {
    for done in [false, true] {
        // The first promotion, then a superseding one.
        for scene in ["1.0.0", "1.1.0"] {
            let mut stop = 1;
            loop {
                let place = place().await;
                if scene == "1.1.0" {
                    place.opened("1.0.0").await;
                }
                let died = stopping(&place, stop, done)
                    .propose(&promotion(scene), &place.clock)
                    .await;
                let finished = died.is_ok();
                let outcome = place.propose(&promotion(scene)).await;
                let pull = outcome
                    .pull()
                    .unwrap_or_else(|| panic!("{scene} {stop}: {outcome}"));
                assert_eq!(pull.number, 1, "{scene} {stop}");
                assert_eq!(place.head(&pull.branch), pull.head);
                assert!(matches!(
                    place.propose(&promotion(scene)).await,
                    Outcome::Unchanged(_)
                ));
                assert!(
                    place.page(1).contains(&format!("pump@{scene} | drift")),
                    "{scene} {stop}"
                );
                if finished {
                    assert!(stop > 10, "{scene} {stop}");
                    break;
                }
                stop += 1;
            }
        }
    }
}

#[tokio::test]
async fn a_lock_that_a_killed_git_left_is_named_with_its_remedy() {
    let place = place().await;
    let pull = place.opened("1.0.0").await;
    let lock = bare(place.folder.path()).join("refs/hodoscope/pulls.lock");
    std::fs::write(&lock, "").unwrap();
    let close = || place.forge.close(pull.number, &place.clock);
    let error = close().await.unwrap_err();
    assert_eq!(error.kind(), "locked");
    let text = error.to_string();
    assert!(
        text.contains("channels.git/refs/hodoscope/pulls.lock is there")
            && text.contains("remove that file"),
        "{text}"
    );
    std::fs::remove_file(&lock).unwrap();
    close().await.unwrap();
}

#[tokio::test]
async fn nothing_of_the_users_configuration_or_hooks_is_run() {
    let place = place().await;
    let hooks = bare(place.folder.path()).join("hooks");
    std::fs::create_dir_all(&hooks).unwrap();
    for hook in [
        "reference-transaction",
        "pre-receive",
        "update",
        "post-update",
    ] {
        let path = hooks.join(hook);
        write(&path, "#!/bin/sh\nexit 1\n");
    }
    place.opened("1.0.0").await;
}

#[tokio::test]
async fn a_git_that_hangs_is_killed_and_one_that_is_missing_is_named() {
    let place = place().await;
    let script = place.folder.path().join("git");
    write(&script, "#!/bin/sh\nexec sleep 600\n");
    let mut options = ForgeOptions::default();
    options.git.git = script;
    options.git.call_timeout = std::time::Duration::from_millis(50);
    let forge = open(&bare(place.folder.path()), options.clone());
    let error = forge
        .propose(&promotion("1.0.0"), &place.clock)
        .await
        .unwrap_err();
    assert!(error.to_string().contains("did not end within"), "{error}");
    options.git.git = "no-such-git".into();
    let forge = open(&bare(place.folder.path()), options);
    let error = forge
        .propose(&promotion("1.0.0"), &place.clock)
        .await
        .unwrap_err();
    assert!(error.to_string().contains("install git"), "{error}");
}
