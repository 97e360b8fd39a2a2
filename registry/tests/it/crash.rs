//! Pushes that die: killed with SIGKILL at each step of each write, and on a full disk. What was acknowledged is there
//! afterwards, and nothing half-written is ever seen.

use std::fs;
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicI64, Ordering};

use bytes::Bytes;
use hodoscope_registry::{Probe, Pushed, Step, Store, StoreLocation, StoreOptions};
use hodoscope_release::{Digest, ReleaseName};

use crate::contract::{LIMIT, folder, release};

/// Three writes (component, document, index entry) of seven steps each.
const STEPS: i64 = 21;
const STORE: &str = "HODOSCOPE_TEST_CRASH_STORE";
const STEP: &str = "HODOSCOPE_TEST_CRASH_STEP";

/// How many steps are left to live.
static LEFT: AtomicI64 = AtomicI64::new(i64::MAX);

fn die_at_the_last_step(_: Step) -> std::io::Result<()> {
    if LEFT.fetch_sub(1, Ordering::SeqCst) == 1 {
        let own = rustix::process::getpid();
        rustix::process::kill_process(own, rustix::process::Signal::KILL).unwrap();
    }
    Ok(())
}

async fn probed(path: &Path, probe: fn(Step) -> std::io::Result<()>) -> Store {
    let options = StoreOptions {
        probe: Probe(Some(probe)),
        ..StoreOptions::default()
    };
    Store::open(&StoreLocation::Folder(path.to_owned()), &options)
        .await
        .unwrap()
}

fn component(name: &ReleaseName) -> Bytes {
    Bytes::from(format!("component of {name} {}", "x".repeat(20_000)))
}

fn documents() -> Vec<(String, Bytes)> {
    vec![("evidence".to_owned(), Bytes::from_static(b"evidence"))]
}

/// Not a test of its own: the body of the process that [`killed_child`] starts. Says `ACK <release>` for each push.
#[tokio::test]
async fn child() {
    #[expect(
        clippy::disallowed_methods,
        reason = "how the parent test speaks to its child"
    )]
    let (store, step) = (std::env::var(STORE), std::env::var(STEP));
    let (Ok(store), Ok(step)) = (store, step) else {
        return;
    };
    let store = probed(Path::new(&store), die_at_the_last_step).await;
    for patch in 0.. {
        if patch == 1 {
            LEFT.store(step.parse().unwrap(), Ordering::SeqCst);
        }
        let name = release(&format!("pump@1.0.{patch}"));
        store
            .push(&name, component(&name), documents())
            .await
            .unwrap();
        println!("\nACK {name}");
    }
}

fn start(store: &Path, step: i64) -> Child {
    Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "crash::child", "--nocapture"])
        .env(STORE, store)
        .env(STEP, step.to_string())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap()
}

fn acknowledged(child: &mut Child) -> impl Iterator<Item = ReleaseName> + use<> {
    let lines = BufReader::new(child.stdout.take().unwrap())
        .lines()
        .map_while(Result::ok);
    lines.filter_map(|line| Some(release(line.strip_prefix("ACK ")?)))
}

/// Every file that has a name is whole, and every release that can be seen is complete.
async fn is_sound(path: &Path) {
    for family in ["blobs/sha256", "docs/sha256"] {
        for file in fs::read_dir(path.join(family))
            .into_iter()
            .flatten()
            .flatten()
        {
            let bytes = fs::read(file.path()).unwrap();
            assert_eq!(file.file_name().to_str().unwrap(), Digest::of(&bytes).hex());
        }
    }
    let store = folder(path).await;
    let listing = store.list(None).await.unwrap();
    assert!(listing.broken.is_empty(), "{:?}", listing.broken);
    for listed in listing.releases {
        let name = listed.entry.release();
        assert_eq!(
            store.blob(&listed.entry.digest, LIMIT).await.unwrap(),
            component(&name)
        );
        assert_eq!(
            store
                .document(&listed.entry.documents["evidence"])
                .await
                .unwrap(),
            "evidence"
        );
    }
}

#[tokio::test]
async fn a_push_killed_at_any_step_is_absent_or_whole() {
    let mut whole = 0;
    for step in 1..=STEPS {
        let home = tempfile::tempdir().unwrap();
        let mut child = start(home.path(), step);
        let acknowledged: Vec<_> = acknowledged(&mut child).collect();
        assert!(!child.wait().unwrap().success());
        is_sound(home.path()).await;
        let store = folder(home.path()).await;
        for name in &acknowledged {
            assert!(
                store.index(name).await.is_ok(),
                "step {step}: {name} was acknowledged and is gone"
            );
        }
        // Run again, it converges.
        let name = release("pump@1.0.1");
        let before = store.index(&name).await.is_ok();
        let pushed = store
            .push(&name, component(&name), documents())
            .await
            .unwrap();
        assert_eq!(pushed == Pushed::Unchanged, before, "step {step}");
        whole += usize::from(before);
        is_sound(home.path()).await;
    }
    assert!(
        (1..STEPS as usize).contains(&whole),
        "the steps miss one side of the commit: {whole} of {STEPS}"
    );
}

#[tokio::test]
async fn a_process_killed_while_it_pushes_loses_nothing_that_it_acknowledged() {
    for kill_after in [1, 5, 20] {
        let home = tempfile::tempdir().unwrap();
        let mut child = start(home.path(), i64::MAX);
        let mut pushes = acknowledged(&mut child);
        let mut seen: Vec<_> = pushes.by_ref().take(kill_after).collect();
        child.kill().unwrap();
        seen.extend(pushes);
        child.wait().unwrap();
        is_sound(home.path()).await;
        let store = folder(home.path()).await;
        for name in seen {
            assert_eq!(
                store.index(&name).await.unwrap().digest,
                Digest::of(&component(&name))
            );
        }
    }
}

fn full_at_half(step: Step) -> std::io::Result<()> {
    // ENOSPC
    if step == Step::HalfWritten {
        Err(std::io::Error::from_raw_os_error(28))
    } else {
        Ok(())
    }
}

fn over_quota_at_sync(step: Step) -> std::io::Result<()> {
    // EDQUOT, which some file systems report only here
    if step == Step::Written {
        Err(std::io::Error::from_raw_os_error(122))
    } else {
        Ok(())
    }
}

#[tokio::test]
async fn a_full_disk_is_told_with_the_folder_and_the_fix() {
    for probe in [full_at_half, over_quota_at_sync] as [fn(Step) -> std::io::Result<()>; 2] {
        let home = tempfile::tempdir().unwrap();
        let name = release("pump@1.0.0");
        let store = probed(home.path(), probe).await;
        let error = store
            .push(&name, component(&name), documents())
            .await
            .unwrap_err();
        assert_eq!(error.kind(), "full");
        let text = error.to_string();
        assert!(
            text.contains(home.path().to_str().unwrap()) && text.contains("Free space there"),
            "{text}"
        );
        assert_eq!(
            fs::read_dir(home.path().join("tmp")).unwrap().count(),
            0,
            "the space is given back"
        );
        is_sound(home.path()).await;
        let pushed = folder(home.path())
            .await
            .push(&name, component(&name), documents())
            .await;
        assert_eq!(pushed.unwrap(), Pushed::Created);
    }
}

/// The kernel's own refusal: no file may grow beyond 8 blocks of 512 bytes.
#[tokio::test]
async fn a_limit_of_the_system_stops_a_push_and_leaves_nothing() {
    let home = tempfile::tempdir().unwrap();
    let child = Command::new("sh")
        .args([
            "-c",
            "trap '' XFSZ; ulimit -f 8; exec \"$0\" --exact crash::child --nocapture",
        ])
        .arg(std::env::current_exe().unwrap())
        .env(STORE, home.path())
        .env(STEP, i64::MAX.to_string())
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&child.stderr).into_owned()
        + &String::from_utf8_lossy(&child.stdout);
    assert!(
        !child.status.success() && !said.contains("ACK pump"),
        "{said}"
    );
    assert!(said.contains("Full {"), "{said}");
    is_sound(home.path()).await;
    assert!(
        folder(home.path())
            .await
            .list(None)
            .await
            .unwrap()
            .releases
            .is_empty()
    );
}

#[tokio::test]
async fn a_flipped_byte_in_the_folder_is_found_and_a_lost_file_is_pushed_again() {
    use std::os::unix::fs::PermissionsExt;

    let home = tempfile::tempdir().unwrap();
    let (store, name) = (folder(home.path()).await, release("pump@1.0.0"));
    store
        .push(&name, component(&name), documents())
        .await
        .unwrap();
    let digest = Digest::of(&component(&name));
    let file = home.path().join("blobs/sha256").join(digest.hex());
    let mut bytes = fs::read(&file).unwrap();
    bytes[100] ^= 4;
    fs::set_permissions(&file, fs::Permissions::from_mode(0o644)).unwrap();
    fs::write(&file, &bytes).unwrap();
    let error = store.blob(&digest, LIMIT).await.unwrap_err();
    assert!(
        error.to_string().contains(&Digest::of(&bytes).to_string()),
        "{error}"
    );
    assert_eq!(
        store
            .push(&name, component(&name), documents())
            .await
            .unwrap_err()
            .kind(),
        "damaged"
    );
    fs::remove_file(&file).unwrap();
    assert_eq!(
        store
            .push(&name, component(&name), documents())
            .await
            .unwrap(),
        Pushed::Unchanged
    );
    assert_eq!(store.blob(&digest, LIMIT).await.unwrap(), component(&name));
}
