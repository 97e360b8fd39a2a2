//! What the bot writes so that it can read it again: no database, all state is derived from the forge. A commit carries
//! trailers, among them the id of its own tree, so that any change of its content by a person shows; a pull request
//! carries a hidden marker with the key of what it proposes and the digest of the text that was written.

use hodoscope_release::{ChannelName, DetectorName, Digest};
use serde::{Deserialize, Serialize};

use super::proposal::{Kind, Proposal};

/// The most characters of a pull request's body; GitHub takes 65,536.
pub const BODY_LIMIT: usize = 60_000;
/// The most characters of a title; GitHub takes 256.
const TITLE_LIMIT: usize = 250;
/// Earlier candidates that a pull request remembers.
const PREVIOUS_LIMIT: usize = 20;

const MARKER: &str = "<!-- hodoscope:proposal ";
const MARKER_END: &str = " -->";
const MARKER_SCHEMA: u32 = 1;

/// The trailers of the bot's commit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Mark {
    /// What is proposed; see [`key`].
    pub(crate) key: String,
    pub(crate) kind: Kind,
    pub(crate) candidate: Digest,
    /// The digest of the detector's file on the base, on which the commit was built.
    pub(crate) before: Option<Digest>,
    /// The digest of the detector's file in the commit.
    pub(crate) after: Digest,
}

/// The hidden part of a pull request's body.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Marker {
    schema: u32,
    pub(crate) key: String,
    pub(crate) kind: Kind,
    pub(crate) channel: ChannelName,
    pub(crate) detector: DetectorName,
    pub(crate) candidate: Digest,
    /// The digest of title, body, labels and draft as they were asked for; people may edit what is shown.
    pub(crate) text: Digest,
    /// The labels that the bot gave.
    pub(crate) labels: Vec<String>,
    /// Why the bot itself closed it; such a closing is no rejection.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) closed: Option<String>,
    /// What the same pull request proposed before.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) previous: Vec<Previous>,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Previous {
    key: String,
    candidate: Digest,
    title: String,
}

/// One key for one wish: the same repository, channel, detector, kind, release now and release wanted.
pub(crate) fn key(repository: &str, proposal: &Proposal, active: Option<Digest>) -> String {
    let active = active.map_or_else(|| "none".to_owned(), |digest| digest.to_string());
    let parts = [
        repository,
        proposal.channel.as_str(),
        proposal.detector.as_str(),
        proposal.kind.kind(),
        &active,
        &proposal.candidate.to_string(),
    ];
    Digest::of(parts.join("\n").as_bytes()).hex()
}

impl Mark {
    /// The whole message of the commit whose tree is `tree`.
    pub(crate) fn message(&self, subject: &str, tree: &str) -> String {
        let before = self
            .before
            .map_or_else(|| "none".to_owned(), |digest| digest.to_string());
        format!(
            "{subject}\n\nHodoscope-Key: {}\nHodoscope-Kind: {}\nHodoscope-Candidate: {}\nHodoscope-Before: {before}\n\
             Hodoscope-After: {}\nHodoscope-Tree: {tree}\n",
            self.key,
            self.kind.kind(),
            self.candidate,
            self.after
        )
    }

    /// Reads the trailers back; `None` unless all are there and the commit's tree is the one they were written for.
    pub(crate) fn read(message: &str, tree: &str) -> Option<Self> {
        let trailer = |name: &str| {
            message
                .lines()
                .rev()
                .find_map(|line| line.strip_prefix("Hodoscope-")?.strip_prefix(name))
                .and_then(|rest| rest.strip_prefix(':'))
                .map(str::trim)
        };
        if trailer("Tree")? != tree {
            return None;
        }
        Some(Self {
            key: trailer("Key")?.to_owned(),
            kind: kind_of(trailer("Kind")?)?,
            candidate: trailer("Candidate")?.parse().ok()?,
            before: match trailer("Before")? {
                "none" => None,
                digest => Some(digest.parse().ok()?),
            },
            after: trailer("After")?.parse().ok()?,
        })
    }
}

fn kind_of(word: &str) -> Option<Kind> {
    [
        Kind::Promotion,
        Kind::Rollback,
        Kind::Retirement,
        Kind::Trial,
    ]
    .into_iter()
    .find(|kind| kind.kind() == word)
}

impl Marker {
    /// The marker of `proposal`; what `old` proposed is remembered if it was something else.
    pub(crate) fn new(
        proposal: &Proposal,
        key: &str,
        labels: &[String],
        old: Option<&(Marker, String)>,
    ) -> Self {
        let mut previous = Vec::new();
        if let Some((old, title)) = old {
            if old.key != key {
                previous.push(Previous {
                    key: old.key.clone(),
                    candidate: old.candidate,
                    title: title.clone(),
                });
            }
            previous.extend(old.previous.iter().filter(|one| one.key != key).cloned());
            previous.truncate(PREVIOUS_LIMIT);
        }
        Self {
            schema: MARKER_SCHEMA,
            key: key.to_owned(),
            kind: proposal.kind,
            channel: proposal.channel.clone(),
            detector: proposal.detector.clone(),
            candidate: proposal.candidate,
            text: asked(proposal, labels),
            labels: labels.to_vec(),
            closed: None,
            previous,
        }
    }

    /// Finds the marker in a body; the last one, for the bot writes it at the end.
    pub(crate) fn read(body: &str) -> Option<Self> {
        let (_, rest) = body.rsplit_once(MARKER)?;
        let (json, _) = rest.split_once(MARKER_END)?;
        let marker: Self = serde_json::from_str(json).ok()?;
        (marker.schema == MARKER_SCHEMA).then_some(marker)
    }

    fn line(&self) -> String {
        // Neither the end of a comment nor another tag may stand within.
        let json = serde_json::to_string(self)
            .unwrap_or_default()
            .replace('<', "\\u003c")
            .replace('>', "\\u003e");
        format!("{MARKER}{json}{MARKER_END}")
    }
}

fn asked(proposal: &Proposal, labels: &[String]) -> Digest {
    let draft = if proposal.draft { "draft" } else { "ready" };
    let parts = [
        &proposal.title,
        &proposal.body,
        &labels.join(","),
        &draft.to_owned(),
    ];
    Digest::of(parts.map(String::as_str).join("\0").as_bytes())
}

/// The title, cut, on one line.
pub(crate) fn title(text: &str) -> String {
    let line = text.split_whitespace().collect::<Vec<_>>().join(" ");
    if line.chars().count() <= TITLE_LIMIT {
        return line;
    }
    let cut: String = line.chars().take(TITLE_LIMIT - 1).collect();
    format!("{cut}…")
}

/// The whole body: the text, cut if need be, earlier candidates, how people steer the bot, and the marker.
pub(crate) fn body(text: &str, marker: &Marker) -> String {
    let mut tail = String::new();
    if !marker.previous.is_empty() {
        tail.push_str(
            "\n\n<details><summary>Previous candidates of this pull request</summary>\n\n",
        );
        for one in &marker.previous {
            let shown = one.title.replace(['<', '>', '`', '[', ']', '|', '@'], " ");
            tail.push_str(&format!("- `{}` {shown}\n", one.candidate));
        }
        tail.push_str("\n</details>");
    }
    tail.push_str(
        "\n\n---\nMerging is the deployment. Closing rejects this candidate; the next one is proposed anew. The label `hold`, or a \
         commit of yours on this branch, stops the bot.\n\n",
    );
    tail.push_str(&marker.line());
    tail.push('\n');
    let text = text.replace(MARKER, "<!-- ");
    let room = BODY_LIMIT.saturating_sub(tail.chars().count());
    if text.chars().count() <= room {
        return format!("{text}{tail}");
    }
    let note = "\n\n… cut here; the whole is in the evidence document.";
    let kept: String = text
        .chars()
        .take(room.saturating_sub(note.chars().count()))
        .collect();
    // A code block that was cut open would swallow the rest.
    let fence = if kept.matches("\n```").count() % 2 == 1 {
        "\n```"
    } else {
        ""
    };
    let kept = kept.trim_end_matches('`');
    let kept: String = kept
        .chars()
        .take(room.saturating_sub(note.chars().count() + fence.len()))
        .collect();
    format!("{kept}{fence}{note}{tail}")
}

/// The body of a pull request that the bot closes itself, so that nobody takes it for a rejection.
pub(crate) fn closed(text: &str, reason: &str) -> Option<String> {
    let mut marker = Marker::read(text)?;
    let (before, rest) = text.rsplit_once(MARKER)?;
    let (_, after) = rest.split_once(MARKER_END)?;
    marker.closed = Some(reason.to_owned());
    Some(format!("{before}{}{after}", marker.line()))
}

/// The comment by which the bot says, once, that it stops.
pub(crate) fn held(reason: &str, sentence: &str) -> String {
    format!("{sentence}\n\n{}", held_mark(reason))
}

/// What such a comment can be known by.
pub(crate) fn held_mark(reason: &str) -> String {
    format!("<!-- hodoscope:held {reason} -->")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn proposal(body: String) -> Proposal {
        Proposal {
            channel: "production".parse().unwrap(),
            detector: "pump".parse().unwrap(),
            kind: Kind::Promotion,
            candidate: Digest::of(b"b"),
            change: Box::new(|_| Ok(())),
            title: "Promote <!-- pump --> to 1.1.0".into(),
            body,
            labels: vec!["a-->b".into()],
            draft: false,
            by_hand: false,
        }
    }

    #[test]
    fn a_marker_comes_back_from_a_body_of_any_length() {
        for length in [0, 10, 59_000, 60_000, 70_000] {
            let proposal = proposal("é`".repeat(length / 2));
            let marker = Marker::new(&proposal, "k", &proposal.labels, None);
            let text = body(&proposal.body, &marker);
            assert!(text.chars().count() <= BODY_LIMIT, "{length}");
            assert_eq!(Marker::read(&text), Some(marker), "{length}");
            assert_eq!(text.contains("cut here"), length > 59_000, "{length}");
        }
    }

    #[test]
    fn a_marker_in_the_evidence_is_not_taken_for_the_bots() {
        let honest = Marker::new(&proposal(String::new()), "k", &[], None);
        let text = body(
            &Marker {
                key: "forged".into(),
                ..honest.clone()
            }
            .line(),
            &honest,
        );
        assert_eq!(Marker::read(&text).unwrap().key, "k");
        assert_eq!(text.matches(MARKER).count(), 1);
    }

    #[test]
    fn earlier_candidates_are_remembered_once_each_and_not_without_end() {
        let mut old: Option<(Marker, String)> = None;
        for n in 0..30 {
            let next = Marker::new(
                &proposal(String::new()),
                &format!("k{}", n % 25),
                &[],
                old.as_ref(),
            );
            old = Some((next, format!("title {n}")));
        }
        let (marker, _) = old.unwrap();
        assert_eq!(marker.previous.len(), PREVIOUS_LIMIT);
        assert!(marker.previous.iter().all(|one| one.key != marker.key));
        assert_eq!(marker.previous[0].key, "k3");
    }

    #[test]
    fn a_closing_by_the_bot_is_told_from_a_rejection() {
        let marker = Marker::new(&proposal(String::new()), "k", &[], None);
        let text = closed(&body("text", &marker), "merged elsewhere").unwrap();
        assert_eq!(
            Marker::read(&text).unwrap().closed.as_deref(),
            Some("merged elsewhere")
        );
        assert_eq!(closed("a person's text", "x"), None);
    }

    #[test]
    fn a_commit_whose_tree_was_changed_is_not_the_bots() {
        let mark = Mark {
            key: "k".into(),
            kind: Kind::Rollback,
            candidate: Digest::of(b"c"),
            before: None,
            after: Digest::of(b"a"),
        };
        let message = mark.message("Roll back pump", "1234");
        assert_eq!(Mark::read(&message, "1234"), Some(mark));
        assert_eq!(Mark::read(&message, "1235"), None);
        assert_eq!(Mark::read("Fix a typo", "1234"), None);
    }

    #[test]
    fn titles_are_one_line_and_short() {
        assert_eq!(title(" a\n b "), "a b");
        assert_eq!(title(&"x".repeat(300)).chars().count(), TITLE_LIMIT);
    }
}
