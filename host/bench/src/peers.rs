//! The Python peers behind one process and one line protocol (`peers/scorers.py`), pinned to the measuring core.

use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Child, ChildStdin, ChildStdout, Stdio};

use anyhow::{Context, bail};
use serde_json::{Value, json};

use crate::measure::pinned;

/// A running `scorers.py`.
pub(crate) struct Scorers {
    process: Child,
    questions: ChildStdin,
    answers: BufReader<ChildStdout>,
}

impl Scorers {
    /// Starts the process on `cores`.
    pub(crate) fn start(python: &Path, folder: &Path, cores: &str) -> anyhow::Result<Self> {
        let mut process = pinned(cores, python)
            .arg("host/bench/peers/scorers.py")
            .arg(folder)
            .env("OMP_NUM_THREADS", "1")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .context("start host/bench/peers/scorers.py")?;
        let questions = process.stdin.take().context("no standard input")?;
        let answers = BufReader::new(process.stdout.take().context("no standard output")?);
        Ok(Self {
            process,
            questions,
            answers,
        })
    }

    /// Asks for `verb` with its arguments and answers the field `wanted`.
    pub(crate) fn ask(
        &mut self,
        verb: &str,
        mut arguments: Value,
        wanted: &str,
    ) -> anyhow::Result<f64> {
        if let Some(fields) = arguments.as_object_mut() {
            fields.insert("verb".into(), json!(verb));
        }
        writeln!(self.questions, "{arguments}").context("ask the peers")?;
        self.questions.flush()?;
        let mut line = String::new();
        self.answers.read_line(&mut line)?;
        let answer: Value =
            serde_json::from_str(&line).with_context(|| format!("peers answered '{line}'"))?;
        match answer.get(wanted).and_then(Value::as_f64) {
            Some(figure) => Ok(figure),
            None => bail!("peers on {arguments}: {answer}"),
        }
    }

    /// Seconds that `peer` needs to score the first `rows` rows of `set` (0: all), once.
    pub(crate) fn score(
        &mut self,
        peer: &str,
        set: &str,
        rows: usize,
        repeat: usize,
    ) -> anyhow::Result<f64> {
        self.ask(
            "score",
            json!({"peer": peer, "set": set, "rows": rows, "repeat": repeat}),
            "seconds",
        )
    }
}

impl Drop for Scorers {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}
