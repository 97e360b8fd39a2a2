//! The alias `champion` follows what the channel pins, whoever merged it, and costs a warning at most.

use hodoscope_registry::tracking::{Alias, Record, Version, track};
use hodoscope_release::Digest;

use super::{LONG, SHORT, destination, mlflow, pushing, states, training};
use crate::contract::release;
use crate::wire::Fault::{Answer, Cut, Hang};

/// A run of the drift job, while the channel pins this.
fn judging(pinned: &str, component: &[u8], later: i64) -> Record {
    Record {
        run_name: "drift pump".to_owned(),
        digest: None,
        active: Some(Version {
            release: release(pinned),
            digest: Digest::of(component),
            alias: Some(Alias::Champion),
        }),
        ended_ms: 1_795_564_100_000 + later,
        ..training()
    }
}

/// The merge of a pull request tells MLflow nothing; the next run of the job does.
#[tokio::test]
async fn the_champion_follows_what_the_channel_pins() {
    let (wire, mlflow) = mlflow::server();
    let home = tempfile::tempdir().unwrap();
    let there = destination(&wire, home.path(), LONG);
    let tracked = async |record: &Record| {
        let told = track(&there, record).await;
        assert_eq!(told.warnings, [] as [&str; 0]);
        let mlflow = mlflow.lock().unwrap();
        let champion = mlflow.aliases.get("pump@champion").cloned();
        (champion.unwrap_or_default(), mlflow.moves)
    };
    tracked(&training()).await;
    assert_eq!(tracked(&pushing()).await, (String::new(), 1));
    let first = |later| judging("pump@1.0.0", b"component", later);
    assert_eq!(tracked(&first(0)).await, ("1".to_owned(), 2));
    assert_eq!(
        tracked(&first(1)).await,
        ("1".to_owned(), 2),
        "it points there"
    );
    // Pushed while nobody told MLflow: it is registered once, with the job's run, for there is none of its training.
    let second = |later| judging("pump@1.1.0", b"next", later);
    assert_eq!(tracked(&second(2)).await, ("2".to_owned(), 3));
    assert_eq!(tracked(&second(3)).await, ("2".to_owned(), 3));
    // Rolled back by a pull request, too.
    assert_eq!(tracked(&first(4)).await, ("1".to_owned(), 4));

    // A record that is late moves nothing: the channel pins another release by now.
    wire.fault("POST", "runs/create", Answer(500, "InternalError"));
    assert_eq!(track(&there, &second(5)).await.warnings.len(), 1);
    let told = track(&there, &first(6)).await;
    assert_eq!((told.delivered, told.warnings.len()), (1, 0), "{told:?}");
    let mlflow = mlflow.lock().unwrap();
    assert_eq!(
        (mlflow.aliases["pump@champion"].as_str(), mlflow.moves),
        ("1", 4)
    );
    let versions = mlflow.models["pump"].iter();
    let sources: Vec<_> = versions.map(|tags| tags["source"].as_str()).collect();
    assert_eq!(
        sources,
        [
            "mlflow-artifacts:/1/0/artifacts",
            "mlflow-artifacts:/1/3/artifacts"
        ]
    );
}

#[tokio::test]
async fn a_champion_that_cannot_be_moved_costs_a_warning() {
    for (method, fault) in [
        ("GET", Hang),
        ("GET", Answer(403, "PERMISSION_DENIED")),
        ("POST", Cut),
    ] {
        let what = format!("{fault:?}");
        let (wire, mlflow) = mlflow::server();
        let home = tempfile::tempdir().unwrap();
        let deadline = if matches!(fault, Hang) { SHORT } else { LONG };
        wire.fault(method, "registered-models/alias", fault);
        let there = destination(&wire, home.path(), deadline);
        let told = track(&there, &judging("pump@1.0.0", b"component", 0)).await;
        assert_eq!(told.warnings.len(), 1, "{what}: {told:?}");
        assert_eq!(states(home.path()), ["pending"], "{what}");
        // The next run of the job makes up for it, and the run of this one is delivered once.
        let there = destination(&wire, home.path(), LONG);
        let told = track(&there, &judging("pump@1.0.0", b"component", 1)).await;
        assert_eq!(
            (told.delivered, told.warnings.len()),
            (1, 0),
            "{what}: {told:?}"
        );
        let mlflow = mlflow.lock().unwrap();
        assert_eq!(mlflow.runs.len(), 2, "{what}");
        assert_eq!(mlflow.aliases["pump@champion"], "1", "{what}");
    }
}
