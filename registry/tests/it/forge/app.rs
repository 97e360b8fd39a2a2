//! GitHub asked as an App, with a token for each kind of call, and the workflow that a right of its own starts.

use std::collections::BTreeMap;

use hodoscope_registry::forge::{Forge, GitHubCredentials};
use serde_json::json;

use super::fake::Fault;
use super::github::{Place, options, place, place_with};
use super::promotion;

#[tokio::test]
async fn a_workflow_is_started_on_the_base() {
    let place = place();
    let inputs = BTreeMap::from([("detector".to_owned(), "pump".to_owned())]);
    place
        .forge
        .dispatch("train-model.yml", &inputs, &*place.clock)
        .await
        .unwrap();
    place.people(|core| {
        let (workflow, body) = &core.dispatched[0];
        assert_eq!(workflow, "train-model.yml");
        assert_eq!(
            *body,
            json!({"ref": "main", "inputs": {"detector": "pump"}})
        );
    });
    let error = place
        .forge
        .dispatch("other.yml", &inputs, &*place.clock)
        .await
        .unwrap_err();
    assert!(
        error
            .to_string()
            .contains("put `.github/workflows/other.yml` on `main`"),
        "{error}"
    );
}

#[tokio::test]
async fn a_start_whose_answer_was_lost_is_looked_for_and_not_repeated() {
    let inputs = |channel: &str| {
        let request = "pump-20261124T000000Z";
        let inputs = [
            ("detector", "pump"),
            ("channel", channel),
            ("request", request),
        ];
        BTreeMap::from(inputs.map(|(name, value)| (name.to_owned(), value.to_owned())))
    };
    let start = async |place: &Place, channel: &str| {
        let inputs = inputs(channel);
        let forge = &place.forge;
        forge
            .dispatch("train-model.yml", &inputs, &*place.clock)
            .await
    };
    let started = |place: &Place| place.people(|core| core.dispatched.len());
    let first = place();
    first.fault("dispatches", 1, Fault::After(502, json!({})));
    start(&first, "production").await.unwrap();
    assert_eq!(started(&first), 1);
    // As the job asks again that died meanwhile.
    start(&first, "production").await.unwrap();
    assert_eq!(started(&first), 1);
    start(&first, "staging").await.unwrap();
    assert_eq!(started(&first), 2);
    first.people(|core| core.concluded = Some("failure"));
    start(&first, "production").await.unwrap();
    assert_eq!(started(&first), 3);

    // Nothing was started: that is an error, and the next job may.
    let second = place();
    second.fault("dispatches", 1, Fault::Cut);
    let error = start(&second, "production").await.unwrap_err();
    assert_eq!((error.kind(), started(&second)), ("unavailable", 0));
    start(&second, "production").await.unwrap();
    assert_eq!(started(&second), 1);
}

fn app() -> (GitHubCredentials, Vec<u8>) {
    use aws_lc_rs::encoding::{AsDer, Pkcs8V1Der};
    use aws_lc_rs::signature::KeyPair;
    let key = aws_lc_rs::rsa::KeyPair::generate(aws_lc_rs::rsa::KeySize::Rsa2048).unwrap();
    let der: Pkcs8V1Der<'_> = key.as_der().unwrap();
    let label = "PRIVATE KEY";
    let credentials = GitHubCredentials::App {
        app_id: "4711".into(),
        installation_id: 99,
        private_key: format!(
            "-----BEGIN {label}-----\n{}\n-----END {label}-----\n",
            base64(der.as_ref())
        ),
    };
    (credentials, key.public_key().as_ref().to_vec())
}

fn base64(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut text = String::new();
    for chunk in bytes.chunks(3) {
        let word = chunk
            .iter()
            .fold(0_u32, |word, byte| word << 8 | u32::from(*byte))
            << (8 * (3 - chunk.len()));
        for place in 0..4 {
            let digit = (word >> (18 - 6 * place)) & 63;
            text.push(if place <= chunk.len() {
                char::from(DIGITS[digit as usize])
            } else {
                '='
            });
        }
        if text.len() % 65 == 64 {
            text.push('\n');
        }
    }
    text
}

fn app_place() -> Place {
    let (credentials, key) = app();
    let place = place_with(|options| options.github.credentials = credentials);
    let mut world = place.fake.world();
    world.core.app_key = Some(key);
    world.tokens = Some(Default::default());
    drop(world);
    place
}

#[tokio::test]
async fn an_app_works_with_one_short_lived_token_of_least_rights() {
    let place = app_place();
    place.opened("1.0.0").await;
    place.propose(&promotion("1.1.0")).await;
    assert_eq!(place.seen("access_tokens"), 1);
    let asked = place
        .fake
        .world()
        .seen
        .iter()
        .find(|seen| seen.what.contains("access_tokens"))
        .unwrap()
        .body
        .clone();
    assert_eq!(
        asked,
        json!({"repositories": ["channels"], "permissions": {"contents": "write", "pull_requests": "write"}})
    );
    place
        .forge
        .dispatch("train-model.yml", &BTreeMap::new(), &*place.clock)
        .await
        .unwrap();
    assert_eq!(
        place.seen("access_tokens"),
        2,
        "starting a workflow has a token of its own"
    );
    let seen = place.fake.world().seen.clone();
    let asked = seen
        .iter()
        .rev()
        .find(|seen| seen.what.contains("access_tokens"));
    assert_eq!(
        asked.unwrap().body["permissions"],
        json!({"actions": "write", "contents": "read"})
    );
    place.clock.hours(1);
    place.propose(&promotion("1.2.0")).await;
    assert_eq!(
        place.seen("access_tokens"),
        3,
        "a token that ended is replaced"
    );
    // One that was revoked is replaced once, in the middle of the work.
    place.fake.world().tokens = Some(Default::default());
    assert_eq!(place.propose(&promotion("1.3.0")).await.kind(), "updated");
    assert_eq!(place.seen("access_tokens"), 4);
    place.is_sound();
}

#[tokio::test]
async fn an_app_that_is_not_accepted_or_lacks_a_right_is_told_so() {
    let place = app_place();
    place.people(|core| {
        core.granted.remove("pull_requests");
    });
    let error = place.try_propose(&promotion("1.0.0")).await.unwrap_err();
    assert_eq!(error.kind(), "credentials");
    assert!(
        error
            .to_string()
            .contains("have contents: write and pull_requests: write"),
        "{error}"
    );
    place.people(|core| core.app_key = Some(app().1));
    let error = place.try_propose(&promotion("1.0.0")).await.unwrap_err();
    assert!(
        error.to_string().contains("could not be decoded"),
        "{error}"
    );
    let mut options = options(&place.fake, "");
    options.github.credentials = GitHubCredentials::App {
        app_id: "1".into(),
        installation_id: 1,
        private_key: "nonsense".into(),
    };
    let error = Forge::open(&"github:acme/channels".parse().unwrap(), options).unwrap_err();
    assert!(error.to_string().contains("RSA key in PEM"), "{error}");
}
