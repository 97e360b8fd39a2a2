//! Pull requests as files: `pulls/<number>.json` for the machine and `pulls/<number>.md` for people, in a tree of the ref
//! `refs/hodoscope/pulls`, one commit for each change, so that the whole history can be read by `git log`.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::forge::state::{PullState, Step};
use crate::forge::text::Mark;

/// The ref under which they lie.
pub(super) const REF: &str = "refs/hodoscope/pulls";
/// The folder in its tree.
pub(super) const FOLDER: &str = "pulls";

/// All of them, by number.
pub(super) type Records = BTreeMap<u64, Record>;

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Status {
    Open,
    Closed,
    Merged,
}

/// One pull request.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct Record {
    pub(super) number: u64,
    pub(super) status: Status,
    pub(super) title: String,
    pub(super) body: String,
    pub(super) branch: String,
    pub(super) base: String,
    /// The last commit that was seen on the branch.
    pub(super) head: String,
    pub(super) draft: bool,
    pub(super) labels: Vec<String>,
    pub(super) created_at: Timestamp,
    pub(super) updated_at: Timestamp,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) closed_at: Option<Timestamp>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) merged_at: Option<Timestamp>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(super) comments: Vec<Comment>,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct Comment {
    number: u64,
    at: Timestamp,
    text: String,
}

impl Record {
    pub(super) fn close(&mut self, status: Status, at: Timestamp) {
        self.status = status;
        self.closed_at = Some(at);
        self.updated_at = at;
        if status == Status::Merged {
            self.merged_at = Some(at);
        }
    }

    pub(super) fn state(&self, url: String, mark: Option<Mark>) -> PullState {
        PullState {
            number: self.number,
            url,
            node: self.number.to_string(),
            open: self.status == Status::Open,
            created_at: self.created_at,
            merged_at: self.merged_at,
            title: self.title.clone(),
            body: self.body.clone(),
            draft: self.draft,
            labels: self.labels.clone(),
            base: self.base.clone(),
            head: self.head.clone(),
            mark,
            comments: self
                .comments
                .iter()
                .map(|comment| (comment.number, comment.text.clone()))
                .collect(),
        }
    }

    /// What people read.
    fn page(&self) -> String {
        let status = match self.status {
            Status::Open if self.draft => "draft",
            Status::Open => "open",
            Status::Closed => "closed",
            Status::Merged => "merged",
        };
        let labels = if self.labels.is_empty() {
            String::new()
        } else {
            format!(" · labels: {}", self.labels.join(", "))
        };
        let mut page = format!(
            "# {} (#{})\n\n{status} · `{}` → `{}` · {}{labels}\n\n{}",
            self.title, self.number, self.branch, self.base, self.head, self.body
        );
        for comment in &self.comments {
            page.push_str(&format!("\n---\n{}\n\n{}\n", comment.at, comment.text));
        }
        page
    }

    /// Its two files.
    pub(super) fn files(&self) -> Result<[(String, String); 2], serde_json::Error> {
        let json = serde_json::to_string_pretty(self)? + "\n";
        let path = format!("{FOLDER}/{}", self.number);
        Ok([
            (format!("{path}.json"), json),
            (format!("{path}.md"), self.page()),
        ])
    }
}

/// Where a new pull request begins.
pub(super) struct Opening<'a> {
    pub(super) branch: &'a str,
    pub(super) base: &'a str,
    pub(super) head: &'a str,
    pub(super) now: Timestamp,
}

/// Takes a step that concerns pull requests; the branch's own are the caller's.
pub(super) fn take(records: &mut Records, step: &Step, opening: &Opening<'_>) {
    let now = opening.now;
    match step {
        Step::Open {
            title,
            body,
            draft,
            labels,
        } => {
            let number = records.keys().next_back().map_or(1, |last| last + 1);
            let record = Record {
                number,
                status: Status::Open,
                title: title.clone(),
                body: body.clone(),
                branch: opening.branch.to_owned(),
                base: opening.base.to_owned(),
                head: opening.head.to_owned(),
                draft: *draft,
                labels: labels.clone(),
                created_at: now,
                updated_at: now,
                closed_at: None,
                merged_at: None,
                comments: Vec::new(),
            };
            records.insert(number, record);
        }
        Step::Edit {
            number,
            title,
            body,
        } => change(records, *number, now, |record| {
            record.title.clone_from(title);
            record.body.clone_from(body);
        }),
        Step::Draft { number, draft, .. } => {
            change(records, *number, now, |record| record.draft = *draft);
        }
        Step::Label {
            number,
            add,
            remove,
        } => change(records, *number, now, |record| {
            record.labels.retain(|label| !remove.contains(label));
            record.labels.extend(add.iter().cloned());
            record.labels.sort();
            record.labels.dedup();
        }),
        Step::Comment { number, text } => change(records, *number, now, |record| {
            let number = record.comments.last().map_or(1, |last| last.number + 1);
            record.comments.push(Comment {
                number,
                at: now,
                text: text.clone(),
            });
        }),
        Step::Uncomment { number, comment } => change(records, *number, now, |record| {
            record.comments.retain(|one| one.number != *comment);
        }),
        Step::Close { number, body } => change(records, *number, now, |record| {
            if let Some(body) = body {
                record.body.clone_from(body);
            }
            record.close(Status::Closed, now);
        }),
        Step::Move { .. } | Step::Delete { .. } => {}
    }
}

fn change(records: &mut Records, number: u64, now: Timestamp, change: impl FnOnce(&mut Record)) {
    if let Some(record) = records.get_mut(&number) {
        change(record);
        record.updated_at = now;
    }
}
