//! Racing jobs. Before the fake GitHub they take turns as a seed wants it, request by request, with faults and with people
//! between them: the same seed is the same schedule. In a local repository real processes race.

use std::sync::Arc;

use hodoscope_registry::forge::{Forge, Outcome, Proposal};
use serde_json::json;
use tokio::task::JoinSet;

use super::fake::{Core, Fake, Fault, Random, Seen};
use super::github::{BRANCH, FILE, open, options};
use super::local::{bare, open as open_local, place};
use super::{Hands, promotion};

const SCHEDULES: u64 = 200;
const LOCAL_SCHEDULES: u64 = 12;

/// What one schedule is made of.
#[derive(Debug)]
struct Schedule {
    jobs: u64,
    candidates: u64,
    faults: bool,
    people: bool,
}

impl Schedule {
    fn of(seed: u64) -> Self {
        let mut random = Random(seed);
        Self {
            jobs: 2 + random.below(7),
            candidates: 1 + random.below(3),
            faults: random.below(2) == 0,
            people: random.below(2) == 0,
        }
    }
}

fn fault(random: &mut Random, seen: &Seen) -> Option<Fault> {
    let error = || json!({"message": "Server Error"});
    Some(match random.below(8) {
        0 => Fault::Cut,
        1 => Fault::CutAfter,
        2 => Fault::After(502, error()),
        3 => Fault::Answer(500, vec![], error()),
        4 => Fault::Answer(
            403,
            vec![],
            json!({"message": "You have exceeded a secondary rate limit"}),
        ),
        5 => Fault::Answer(429, vec![("retry-after", "1".to_owned())], error()),
        _ if seen.what == "HodoscopeState" => Fault::Stale,
        _ => return None,
    })
}

/// A person does something between two requests; returns whether it ended a pull request.
fn person(random: &mut Random, core: &mut Core) -> bool {
    let open = core.open_pulls().next().map(|pull| pull.number);
    match (random.below(6), open) {
        (0, _) => core.push(BRANCH, "NOTES.md", "a word of mine\n"),
        (1, Some(number)) => {
            core.close(number);
            return true;
        }
        (2, Some(number)) => core.pull(number).unwrap().labels.push("hold".into()),
        (3, Some(number)) => {
            core.merge(number);
            return true;
        }
        (4, _) => core.push("main", "README.md", &random.next().to_string()),
        (5, _) => {
            let digest = super::pin("0.5.0").digest;
            let text = format!(
                "detectors:\n  pump:\n    active: {{version: 0.5.0, digest: \"{digest}\"}}\n"
            );
            core.push("main", FILE, &text);
        }
        _ => {}
    }
    false
}

/// Runs one schedule; returns how many jobs ended in which way.
async fn run(seed: u64) -> Vec<&'static str> {
    let schedule = Schedule::of(seed);
    let clock = Arc::new(Hands::new());
    let fake = Arc::new(Fake::new(&clock));
    let mut random = Random(seed ^ 0xf0f0);
    let names: Vec<String> = (0..schedule.jobs).map(|job| format!("job-{job}")).collect();
    fake.race(names.clone(), seed);
    let ended = Arc::new(std::sync::atomic::AtomicU64::new(0));
    let (faults, people, count) = (schedule.faults, schedule.people, ended.clone());
    fake.world().rule = Some(Box::new(move |seen, core| {
        if core.open_pulls().count() > 1 {
            core.wrong.push("two open pull requests".into());
        }
        if people && random.below(16) == 0 && person(&mut random, core) {
            count.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        }
        (faults && random.below(8) == 0)
            .then(|| fault(&mut random, seen))
            .flatten()
    }));
    let mut versions = Random(seed ^ 0x0f0f);
    let mut jobs = JoinSet::new();
    for name in names {
        let version = format!("1.{}.0", versions.below(schedule.candidates));
        let forge = open(options(&fake, &name));
        let (fake, clock) = (fake.clone(), clock.clone());
        jobs.spawn(async move {
            let outcome = forge.propose(&promotion(&version), &*clock).await;
            fake.done(&name);
            outcome.map_or_else(|error| error.kind(), |outcome| outcome.kind())
        });
    }
    let mut kinds = jobs.join_all().await;
    kinds.sort_unstable();
    check(
        seed,
        &schedule,
        &fake,
        ended.load(std::sync::atomic::Ordering::Relaxed),
    );
    converges(seed, &fake, &clock).await;
    kinds
}

fn check(seed: u64, schedule: &Schedule, fake: &Fake, ended: u64) {
    let mut world = fake.world();
    world.rule = None;
    let core = &world.core;
    assert_eq!(core.wrong, Vec::<String>::new(), "seed {seed} {schedule:?}");
    let ever = core.pulls.len() as u64;
    assert!(
        ever <= 1 + ended,
        "seed {seed} {schedule:?}: {ever} pull requests, {ended} ended by people"
    );
    assert!(core.open_pulls().count() <= 1, "seed {seed} {schedule:?}");
}

/// After everything, one quiet job settles it, and a second one finds it settled.
async fn converges(seed: u64, fake: &Fake, clock: &Hands) {
    clock.hours(100);
    let forge = open(options(fake, "last"));
    let wish = || Proposal {
        by_hand: true,
        ..promotion("1.9.0")
    };
    let outcome = forge.propose(&wish(), clock).await.unwrap();
    if matches!(outcome, Outcome::Held { .. }) {
        return;
    }
    assert!(
        matches!(outcome, Outcome::Opened(_) | Outcome::Updated(_)),
        "seed {seed}: {outcome}"
    );
    let again = forge.propose(&wish(), clock).await.unwrap();
    assert_eq!(again.kind(), "unchanged", "seed {seed}");
    let world = fake.world();
    let pull = world.core.open_pulls().next().unwrap();
    let digest = super::pin("1.9.0").digest.to_string();
    assert!(
        pull.body.contains(&digest),
        "seed {seed}: the text is not of the candidate"
    );
    assert!(
        world.core.files(&pull.head)[FILE].contains(&digest),
        "seed {seed}: nor is the commit"
    );
    assert_eq!(world.core.wrong, Vec::<String>::new(), "seed {seed}");
}

#[tokio::test]
async fn at_most_one_pull_request_in_200_random_schedules_of_racing_jobs() {
    let mut all = std::collections::BTreeMap::<&str, u32>::new();
    for seed in 0..SCHEDULES {
        // A test that fails, or hangs, has said which seed it was.
        println!("seed {seed}: {:?}", Schedule::of(seed));
        for kind in run(seed).await {
            *all.entry(kind).or_default() += 1;
        }
    }
    println!("{SCHEDULES} schedules: {all:?}");
    for kind in [
        "opened",
        "updated",
        "unchanged",
        "held",
        "lost_race",
        "nothing_to_do",
    ] {
        assert!(all.contains_key(kind), "no job ended as {kind}: {all:?}");
    }
    let known = [
        "opened",
        "updated",
        "unchanged",
        "held",
        "lost_race",
        "nothing_to_do",
        "rejected",
        "limited",
        "unavailable",
        "rate_limited",
        "unsettled",
    ];
    assert!(all.keys().all(|kind| known.contains(kind)), "{all:?}");
}

#[tokio::test]
async fn the_same_seed_is_the_same_schedule() {
    for seed in [3, 11, 42] {
        assert_eq!(run(seed).await, run(seed).await, "seed {seed}");
    }
}

#[tokio::test]
async fn racing_jobs_in_a_local_repository_make_one_pull_request_too() {
    for seed in 0..LOCAL_SCHEDULES {
        let schedule = Schedule::of(seed);
        let place = place().await;
        let path = bare(place.folder.path());
        let clock = Arc::new(Hands::new());
        let mut jobs = JoinSet::new();
        for job in 0..schedule.jobs {
            let forge: Forge = open_local(&path, Default::default());
            let clock = clock.clone();
            let version = format!("1.{}.0", job % schedule.candidates);
            jobs.spawn(async move {
                forge
                    .propose(&promotion(&version), &*clock)
                    .await
                    .unwrap()
                    .kind()
            });
        }
        if schedule.people {
            place.push("main", "README.md", "meanwhile\n");
        }
        let kinds = jobs.join_all().await;
        assert!(kinds.contains(&"opened"), "seed {seed}: {kinds:?}");
        // The whole history is there to be looked at: never more than one, and never another number.
        for commit in place.git(&["rev-list", "refs/hodoscope/pulls"]).lines() {
            let files = place.git(&["ls-tree", "--name-only", commit, "pulls/"]);
            assert_eq!(files, "pulls/1.json\npulls/1.md", "seed {seed}");
        }
        let last = place
            .forge
            .propose(&promotion("1.9.0"), &*clock)
            .await
            .unwrap();
        assert_eq!(last.kind(), "updated", "seed {seed}: {last}");
        assert_eq!(
            place.git(&["rev-list", "--count", &format!("main..{BRANCH}")]),
            "1"
        );
    }
}
