//! Waiting for a deployment: every host behind a name must run what the channel's folder pins. It succeeds only when that
//! is so, fails at once when a host will never get there, and says at the end who is missing and why.

use std::collections::BTreeMap;
use std::fmt;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail};
use hodoscope_registry::channels;
use hodoscope_release::{Canary, ChannelDocument, DetectorChannel};
use serde::Serialize;

use super::{Args, ask};
use crate::commands::Context;
use crate::roster::{DetectorView, RosterView};
use crate::tasks;

/// The pause between two rounds.
const PAUSE: Duration = Duration::from_secs(1);
/// How long a name may take to be resolved.
const RESOLVE: Duration = Duration::from_secs(5);

/// What one host lacks.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Lack {
    /// It may still come.
    Yet(String),
    /// It refused a release for good.
    Refused(String),
}

/// What is printed with `--output json`.
#[derive(Debug, Serialize)]
struct Answer {
    live: bool,
    channel_dir: std::path::PathBuf,
    /// The admin address of each host that was asked last, and what it lacks.
    hosts: BTreeMap<String, Option<String>>,
    seconds: f64,
}

/// Runs `hodoscope status --wait`.
pub(super) fn run(args: &Args, patience: Duration, context: &Context) -> anyhow::Result<ExitCode> {
    let own = || context.config.channel_dir.clone();
    let folder = args.channel_dir.clone().unwrap_or_else(own);
    let wanted = channels::read_folder(&folder)?;
    let started = Instant::now();
    let round = context.block_on(async {
        loop {
            let round = round(args, context, &wanted).await;
            let refused = round
                .values()
                .any(|lack| matches!(lack, Some(Lack::Refused(_))));
            let late = started.elapsed() + PAUSE >= patience;
            if is_live(args, &round) || refused || late {
                return round;
            }
            tokio::time::sleep(PAUSE).await;
        }
    })?;
    let told =
        |(host, lack): (&String, &Option<Lack>)| (host.clone(), lack.as_ref().map(Lack::to_string));
    let answer = Answer {
        live: is_live(args, &round),
        channel_dir: folder,
        hosts: round.iter().map(told).collect(),
        seconds: started.elapsed().as_secs_f64(),
    };
    context.answer(&answer, &answer)?;
    Ok(match answer.live {
        true => ExitCode::SUCCESS,
        false => ExitCode::FAILURE,
    })
}

fn is_live(args: &Args, round: &BTreeMap<String, Option<Lack>>) -> bool {
    round.len() >= args.min_hosts.get() && round.values().all(Option::is_none)
}

/// Asks every host once, all at the same time.
async fn round(
    args: &Args,
    context: &Context,
    wanted: &ChannelDocument,
) -> BTreeMap<String, Option<Lack>> {
    let urls = match &args.hosts {
        Some(name) => match resolve(name).await {
            Ok(urls) => urls,
            Err(error) => {
                let lack = Lack::Yet(format!("{error:#}"));
                return BTreeMap::from([(name.clone(), Some(lack))]);
            }
        },
        None => {
            let own = || format!("http://{}", context.config.http.admin_address);
            vec![args.url.clone().unwrap_or_else(own)]
        }
    };
    let asked: Vec<_> = urls
        .into_iter()
        .map(|url| {
            let asking = url.trim_end_matches('/').to_owned();
            (url, tasks::start(tasks::blocking(move || ask(&asking))))
        })
        .collect();
    let mut lacks = BTreeMap::new();
    for (url, answer) in asked {
        let lack = match answer.await {
            Ok(Some(Ok(roster))) => lacking(wanted, &roster),
            Ok(Some(Err(error))) => Some(Lack::Yet(format!("{error:#}"))),
            Ok(None) | Err(_) => Some(Lack::Yet(
                "asking it failed; the log has the cause".to_owned(),
            )),
        };
        lacks.insert(url, lack);
    }
    lacks
}

async fn resolve(name: &str) -> anyhow::Result<Vec<String>> {
    let found = tokio::time::timeout(RESOLVE, tokio::net::lookup_host(name)).await;
    let found = found.context("the name server did not answer in time")?;
    let found = found.with_context(|| format!("`{name}` is no name of a host with a port"))?;
    let urls: Vec<String> = found.map(|address| format!("http://{address}")).collect();
    if urls.is_empty() {
        bail!("`{name}` has no address; are there any hosts?");
    }
    Ok(urls)
}

/// What a host lacks of a channel's document; nothing if it runs all of it. A refusal is told before what may still come.
fn lacking(wanted: &ChannelDocument, roster: &RosterView) -> Option<Lack> {
    let lacks = wanted.detectors.iter().filter_map(|(name, wanted)| {
        let found = roster.detectors.iter().find(|found| found.name == *name);
        Some(match lacking_detector(wanted, found)? {
            Lack::Yet(text) => Lack::Yet(format!("{name}: {text}")),
            Lack::Refused(text) => Lack::Refused(format!("{name}: {text}")),
        })
    });
    lacks.max_by_key(|lack| matches!(lack, Lack::Refused(_)))
}

fn lacking_detector(wanted: &DetectorChannel, found: Option<&DetectorView>) -> Option<Lack> {
    let running = found.and_then(|found| found.running.as_ref());
    if wanted.retired {
        return running.map(|running| {
            Lack::Yet(format!(
                "still serves {}, which is retired",
                running.version
            ))
        });
    }
    let canary = wanted.canary.as_ref().map(Canary::pin);
    let others = [wanted.shadow.as_ref(), canary.as_ref()];
    for pin in [Some(&wanted.active)].into_iter().chain(others).flatten() {
        let known = found.and_then(|found| {
            found
                .releases
                .iter()
                .find(|release| release.digest == pin.digest)
        });
        let Some(release) = known else {
            return Some(Lack::Yet(format!("does not know {} yet", pin.version)));
        };
        let reason = release.reason.as_deref().unwrap_or_default();
        if release.refused {
            return Some(Lack::Refused(format!("refused {}: {reason}", pin.version)));
        }
        if release.state != "READY" {
            return Some(Lack::Yet(format!(
                "{} is {} {reason}",
                pin.version, release.state
            )));
        }
    }
    let version = running.map_or_else(
        || "nothing".to_owned(),
        |running| running.version.to_string(),
    );
    let answers = running.is_some_and(|running| running.digest == wanted.active.digest);
    (!answers).then(|| {
        Lack::Yet(format!(
            "answers with {version}, not with {}",
            wanted.active.version
        ))
    })
}

impl fmt::Display for Lack {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Yet(text) => write!(f, "not yet: {}", text.trim_end()),
            Self::Refused(text) => f.write_str(text),
        }
    }
}

impl fmt::Display for Answer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (hosts, folder) = (self.hosts.len(), self.channel_dir.display());
        match self.live {
            true => write!(f, "live: all hosts ({hosts}) run what {folder} pins")?,
            false => write!(f, "not live: not every host runs what {folder} pins")?,
        }
        for (host, lack) in &self.hosts {
            write!(f, "\n  {host}  {}", lack.as_deref().unwrap_or("runs it"))?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    const ONE: &str = "sha256:1111111111111111111111111111111111111111111111111111111111111111";
    const TWO: &str = "sha256:2222222222222222222222222222222222222222222222222222222222222222";

    fn wanted(retired: bool) -> ChannelDocument {
        let pin = json!({"version": "1.1.0", "digest": TWO});
        let json = json!({"detectors": {"pump": {"active": pin, "retired": retired}}});
        serde_json::from_value(json).unwrap()
    }

    fn roster(digest: &str, state: &str, refused: bool, running: &str) -> RosterView {
        let release = json!({"role": "active", "version": "1.1.0", "digest": digest, "state": state,
            "reason": "the gate refuses it", "refused": refused});
        let runs = json!({"version": "1.0.0", "digest": running, "standing": "kept", "trusted": true,
            "unproven": false, "breaker_open": false});
        let detector = json!({"name": "pump", "state": "READY", "wanted": null, "running": runs, "differs": true,
            "reason": null, "releases": [release], "shadow": null});
        let roster = json!({"channel": "local", "document": {"state": "valid"}, "generation": 1, "ready": true,
            "detectors": [detector]});
        serde_json::from_value(roster).unwrap()
    }

    #[test]
    fn a_host_is_live_only_when_it_answers_with_the_pinned_digest() {
        let cases = [
            (roster(TWO, "READY", false, TWO), None),
            (roster(TWO, "READY", false, ONE), Some("answers with 1.0.0")),
            (roster(TWO, "LOADING", false, ONE), Some("is LOADING")),
            (
                roster(ONE, "READY", false, ONE),
                Some("does not know 1.1.0"),
            ),
        ];
        for (roster, expected) in cases {
            match (lacking(&wanted(false), &roster), expected) {
                (lack, None) => assert_eq!(lack, None),
                (Some(Lack::Yet(text)), Some(words)) => assert!(text.contains(words), "{text}"),
                (lack, _) => panic!("{lack:?}, expected {expected:?}"),
            }
        }
    }

    #[test]
    fn a_refused_release_ends_the_waiting() {
        let lack = lacking(&wanted(false), &roster(TWO, "UNAVAILABLE", true, ONE));
        assert!(matches!(lack, Some(Lack::Refused(text)) if text.contains("the gate refuses it")));
    }

    #[test]
    fn a_retired_detector_must_be_gone() {
        assert!(lacking(&wanted(true), &roster(TWO, "READY", false, TWO)).is_some());
        let mut gone = roster(TWO, "READY", false, TWO);
        gone.detectors.clear();
        assert_eq!(lacking(&wanted(true), &gone), None);
    }
}
