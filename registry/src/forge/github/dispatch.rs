//! Starting a workflow. GitHub takes the start of a run without telling which run that is, so a start whose answer was lost
//! is looked for among the runs: their names hold the request by which they were started.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::Deserialize;
use serde_json::json;

use super::credentials::Rights;
use super::patience::Fault;
use super::{GitHub, escaped};
use crate::forge::state::Setback;
use crate::forge::{Clock, ForgeError};

const ACTION: &str = "starting the workflow";
/// The inputs whose values stand in the run's name; without the first one no run is looked for.
const NAMED: [&str; 2] = ["request", "channel"];
/// Looks for a run after its start got no answer: it is in the list some seconds later.
const LOOKS: u32 = 4;
/// The pause before the first look; it doubles.
const LOOK_PAUSE: Duration = Duration::from_secs(2);

#[derive(Deserialize)]
struct Runs {
    workflow_runs: Vec<Started>,
}

#[derive(Deserialize)]
struct Started {
    display_title: String,
    conclusion: Option<String>,
}

impl GitHub {
    /// Starts a run, unless one of the same request is there that has not failed.
    pub(in crate::forge) async fn dispatch(
        &self,
        workflow: &str,
        inputs: &BTreeMap<String, String>,
        clock: &dyn Clock,
    ) -> Result<(), ForgeError> {
        if self.is_started(workflow, inputs, clock).await? {
            return Ok(());
        }
        let path = self.workflow(workflow, "dispatches");
        let body = json!({"ref": self.options.base, "inputs": inputs});
        let started = self
            .patience
            .rest("POST", &path, Some(&body), ACTION, Rights::Dispatch, clock)
            .await;
        let lost = match started {
            Ok(_) => return Ok(()),
            Err(Fault::Setback(Setback::Unclear(error))) => error,
            Err(fault) => return Err(self.not_started(fault, workflow, inputs)),
        };
        let mut pause = LOOK_PAUSE;
        for _ in 0..LOOKS {
            clock.sleep(pause).await;
            pause *= 2;
            if self.is_started(workflow, inputs, clock).await? {
                return Ok(());
            }
        }
        Err(lost)
    }

    /// Whether a run of this request is waiting, under way or well ended.
    async fn is_started(
        &self,
        workflow: &str,
        inputs: &BTreeMap<String, String>,
        clock: &dyn Clock,
    ) -> Result<bool, ForgeError> {
        if !inputs.contains_key(NAMED[0]) {
            return Ok(false);
        }
        let path = self.workflow(workflow, "runs?event=workflow_dispatch&per_page=100");
        let answer = self
            .patience
            .rest("GET", &path, None, ACTION, Rights::Dispatch, clock)
            .await
            .map_err(|fault| self.not_started(fault, workflow, inputs))?;
        let found: Runs = answer.json(&self.forge, ACTION)?;
        Ok(found.workflow_runs.iter().any(|run| run.is_for(inputs)))
    }

    fn workflow(&self, workflow: &str, rest: &str) -> String {
        self.path(&format!("actions/workflows/{}/{rest}", escaped(workflow)))
    }

    fn not_started(
        &self,
        fault: Fault,
        workflow: &str,
        inputs: &BTreeMap<String, String>,
    ) -> ForgeError {
        match fault {
            Fault::Status { status, message } => {
                let fix = self.dispatch_fix(status, workflow, inputs);
                self.refused(ACTION, status, &format!("{message}; {fix}"))
            }
            fault => self.fatal(ACTION, fault),
        }
    }

    /// What is to be done where GitHub does not start the workflow. It answers 404 also to who may not see the workflow.
    fn dispatch_fix(
        &self,
        status: u16,
        workflow: &str,
        inputs: &BTreeMap<String, String>,
    ) -> String {
        let file = format!(".github/workflows/{workflow}");
        let base = &self.options.base;
        if status == 404 {
            return format!(
                "put `{file}` on `{base}`, or correct `forge_workflow`; or give the App or token the right `{}`",
                Rights::Dispatch.words()
            );
        }
        let inputs: Vec<&str> = inputs.keys().map(String::as_str).collect();
        format!(
            "`{file}` on `{base}` must have `on: workflow_dispatch` with the inputs {}",
            inputs.join(", ")
        )
    }
}

impl Started {
    /// Whether its name holds, as words, what these inputs say; one that failed may be started again.
    fn is_for(&self, inputs: &BTreeMap<String, String>) -> bool {
        let failed = matches!(
            self.conclusion.as_deref(),
            Some("failure" | "cancelled" | "timed_out" | "startup_failure")
        );
        let named = |value: &String| {
            self.display_title
                .split_whitespace()
                .any(|word| word == value)
        };
        !failed && NAMED.iter().filter_map(|name| inputs.get(*name)).all(named)
    }
}
