//! The steps, one call or a few each: objects and pull requests by REST, refs and the draft state by GraphQL.

use serde::Deserialize;
use serde_json::{Value, json};

use super::patience::Fault;
use super::{GitHub, escaped, queries};
use crate::forge::plan::Run;
use crate::forge::state::{NewCommit, Setback, Snapshot, Step};
use crate::forge::{BRANCH_PREFIX, Clock, ForgeError};

/// A ref's value that says: it does not exist.
const ZERO: &str = "0000000000000000000000000000000000000000";
/// The colour of labels that the bot has to make.
const LABEL_COLOUR: &str = "c5def5";

#[derive(Deserialize)]
struct Sha {
    sha: String,
}

#[derive(Deserialize)]
struct Number {
    number: u64,
}

impl GitHub {
    pub(in crate::forge) async fn apply(
        &self,
        branch: &str,
        steps: &[Step],
        snapshot: &Snapshot,
        run: &mut Run,
        clock: &dyn Clock,
    ) -> Result<(), Setback> {
        for step in steps {
            self.take(branch, step, snapshot, run, clock).await?;
        }
        Ok(())
    }

    async fn take(
        &self,
        branch: &str,
        step: &Step,
        snapshot: &Snapshot,
        run: &mut Run,
        clock: &dyn Clock,
    ) -> Result<(), Setback> {
        match step {
            Step::Move { expected, commit } => {
                let after = self.commit(commit, &snapshot.base_tree, clock).await?;
                let before = expected.as_deref().unwrap_or(ZERO);
                self.move_ref(snapshot, branch, before, &after, clock).await
            }
            Step::Delete { expected } => {
                self.move_ref(snapshot, branch, expected, ZERO, clock).await
            }
            Step::Open {
                title,
                body,
                draft,
                labels,
            } => {
                let wanted = json!({
                    "title": title, "head": branch, "base": self.options.base, "body": body, "draft": draft,
                });
                let number = self.open_pull(wanted, run, clock).await?;
                if !labels.is_empty() {
                    self.add_labels(number, labels, run, clock).await?;
                }
                Ok(())
            }
            Step::Edit {
                number,
                title,
                body,
            } => {
                let body = json!({"title": title, "body": body});
                self.edit(*number, &body, clock).await
            }
            Step::Close { number, body } => {
                let mut change = json!({"state": "closed"});
                if let (Some(body), Some(change)) = (body, change.as_object_mut()) {
                    change.insert("body".to_owned(), json!(body));
                }
                self.edit(*number, &change, clock).await
            }
            Step::Comment { number, text } => {
                const ACTION: &str = "commenting";
                let path = self.path(&format!("issues/{number}/comments"));
                let body = json!({"body": text});
                let said = self.write("POST", &path, Some(&body), ACTION, clock).await;
                said.map(drop).map_err(|fault| self.setback(ACTION, fault))
            }
            Step::Draft { node, draft, .. } => self.draft(node, *draft, run, clock).await,
            Step::Label {
                number,
                add,
                remove,
            } => {
                for label in remove {
                    self.remove_label(*number, label, run, clock).await?;
                }
                if add.is_empty() {
                    return Ok(());
                }
                self.add_labels(*number, add, run, clock).await
            }
            Step::Uncomment { comment, .. } => {
                const ACTION: &str = "taking back a comment";
                let path = self.path(&format!("issues/comments/{comment}"));
                match self.write("DELETE", &path, None, ACTION, clock).await {
                    // Another job took it back already.
                    Err(Fault::Status { status: 404, .. }) => Ok(()),
                    said => self.best_effort(ACTION, said.map(drop), run),
                }
            }
        }
    }

    /// Makes the objects; nothing points to them yet. Without author and committer, GitHub fills them in and signs.
    async fn commit(
        &self,
        commit: &NewCommit,
        base_tree: &str,
        clock: &dyn Clock,
    ) -> Result<String, Setback> {
        const ACTION: &str = "writing the commit";
        let entry =
            json!({"path": commit.path, "mode": "100644", "type": "blob", "content": commit.text});
        let body = json!({"base_tree": base_tree, "tree": [entry]});
        let tree: Sha = self.made("git/trees", &body, ACTION, clock).await?;
        let message = commit.mark.message(&commit.subject, &tree.sha);
        let body = json!({"message": message, "tree": tree.sha, "parents": [commit.parent]});
        let made: Sha = self.made("git/commits", &body, ACTION, clock).await?;
        Ok(made.sha)
    }

    async fn made(
        &self,
        path: &str,
        body: &Value,
        action: &'static str,
        clock: &dyn Clock,
    ) -> Result<Sha, Setback> {
        let path = self.path(path);
        let answer = self
            .write("POST", &path, Some(body), action, clock)
            .await
            .map_err(|fault| self.setback(action, fault))?;
        answer.json(&self.forge, action).map_err(Setback::Unclear)
    }

    async fn move_ref(
        &self,
        snapshot: &Snapshot,
        branch: &str,
        before: &str,
        after: &str,
        clock: &dyn Clock,
    ) -> Result<(), Setback> {
        const ACTION: &str = "moving the branch";
        let variables = json!({
            "repository": snapshot.repository, "name": format!("refs/heads/{branch}"), "before": before, "after": after,
        });
        let moved: Result<Value, Fault> = self
            .patience
            .graphql(ACTION, false, queries::MOVE, variables, clock)
            .await;
        match moved {
            Ok(_) => Ok(()),
            // GitHub's words for a lost race are not documented; the next reading tells it from a rule that forbids it.
            Err(Fault::Status { message, .. }) => Err(Setback::Stuck(ForgeError::Refused {
                forge: self.forge.clone(),
                action: ACTION,
                cause: format!(
                    "{message}; if nobody else moves `{branch}`, a rule of the repository forbids it: let the bot push to \
                     `{BRANCH_PREFIX}**`"
                ),
            })),
            Err(fault) => Err(self.setback(ACTION, fault)),
        }
    }

    async fn open_pull(
        &self,
        mut wanted: Value,
        run: &mut Run,
        clock: &dyn Clock,
    ) -> Result<u64, Setback> {
        const ACTION: &str = "opening the pull request";
        let path = self.path("pulls");
        loop {
            let opened = self
                .write("POST", &path, Some(&wanted), ACTION, clock)
                .await;
            let message = match opened {
                Ok(answer) => {
                    let pull: Number =
                        answer.json(&self.forge, ACTION).map_err(Setback::Unclear)?;
                    return Ok(pull.number);
                }
                Err(Fault::Status {
                    status: 422,
                    message,
                }) => message,
                Err(fault) => return Err(self.setback(ACTION, fault)),
            };
            let said = message.to_ascii_lowercase();
            // Not every plan has drafts; then the label has to do.
            if said.contains("draft") && wanted.get("draft") == Some(&Value::Bool(true)) {
                if let Some(draft) = wanted.get_mut("draft") {
                    *draft = Value::Bool(false);
                }
                run.plain = true;
                continue;
            }
            // Another job opened it, or the base has it by now.
            if said.contains("already exists") || said.contains("no commits between") {
                return Err(Setback::Lost);
            }
            return Err(Setback::Unclear(self.refused(ACTION, 422, &message)));
        }
    }

    async fn edit(&self, number: u64, change: &Value, clock: &dyn Clock) -> Result<(), Setback> {
        const ACTION: &str = "editing the pull request";
        let path = self.path(&format!("pulls/{number}"));
        let edited = self
            .write("PATCH", &path, Some(change), ACTION, clock)
            .await;
        edited
            .map(drop)
            .map_err(|fault| self.setback(ACTION, fault))
    }

    async fn draft(
        &self,
        node: &str,
        draft: bool,
        run: &mut Run,
        clock: &dyn Clock,
    ) -> Result<(), Setback> {
        const ACTION: &str = "changing the draft state";
        let query = if draft {
            queries::TO_DRAFT
        } else {
            queries::TO_READY
        };
        let changed: Result<Value, Fault> = self
            .patience
            .graphql(ACTION, false, query, json!({"pull": node}), clock)
            .await;
        self.best_effort(ACTION, changed.map(drop), run)
    }

    /// GitHub makes a label that is missing, or says that it is; then it is made first.
    async fn add_labels(
        &self,
        number: u64,
        labels: &[String],
        run: &mut Run,
        clock: &dyn Clock,
    ) -> Result<(), Setback> {
        const ACTION: &str = "giving labels";
        let path = self.path(&format!("issues/{number}/labels"));
        let body = json!({"labels": labels});
        let mut given = self.write("POST", &path, Some(&body), ACTION, clock).await;
        if let Err(Fault::Status { .. }) = given {
            for label in labels {
                let body = json!({"name": label, "color": LABEL_COLOUR});
                let path = self.path("labels");
                let made = self.write("POST", &path, Some(&body), ACTION, clock).await;
                if let Err(fault @ Fault::Setback(_)) = made {
                    return self.best_effort(ACTION, Err(fault), run);
                }
            }
            given = self.write("POST", &path, Some(&body), ACTION, clock).await;
        }
        self.best_effort(ACTION, given.map(drop), run)
    }

    async fn remove_label(
        &self,
        number: u64,
        label: &str,
        run: &mut Run,
        clock: &dyn Clock,
    ) -> Result<(), Setback> {
        const ACTION: &str = "taking a label";
        let path = self.path(&format!("issues/{number}/labels/{}", escaped(label)));
        match self.write("DELETE", &path, None, ACTION, clock).await {
            // It is gone already.
            Err(Fault::Status { status: 404, .. }) => Ok(()),
            said => self.best_effort(ACTION, said.map(drop), run),
        }
    }

    /// A pull request without its labels is better than none: a refusal is told, and not tried again in this run.
    fn best_effort(
        &self,
        action: &'static str,
        said: Result<(), Fault>,
        run: &mut Run,
    ) -> Result<(), Setback> {
        let error = match said {
            Ok(()) => return Ok(()),
            Err(Fault::Setback(Setback::Fatal(error @ ForgeError::Forbidden { .. }))) => error,
            Err(Fault::Status { status, message }) => self.refused(action, status, &message),
            Err(Fault::Setback(setback)) => return Err(setback),
        };
        run.plain = true;
        tracing::warn!(forge = %self.forge, %error, "going on without");
        Ok(())
    }
}
