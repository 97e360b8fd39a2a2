//! A process that is killed at a chosen step, by what its log tells. The log goes through a pipe of the kernel that is
//! full but for one line, so the process cannot go beyond the line after the one that was seen, however slow the test is.

use std::io::{PipeReader, Read as _, Write as _};
use std::process::{Child, Command, Stdio};

use rustix::fs::{OFlags, fcntl_setfl};
use rustix::io::ioctl_fionread;

use crate::binary::Folder;

/// Writes that a pipe in packet mode holds: one for each of its pages.
const ROOM: usize = 16;
/// The longest line: what a pipe takes in one piece.
const LINE_LIMIT_BYTES: usize = 4096;

/// A running command, and its log.
pub(crate) struct Steps {
    child: Child,
    log: PipeReader,
    /// Bytes that wait in the pipe.
    held: u64,
    begun: bool,
}

/// What is left of a command.
pub(crate) struct Remains {
    /// Its answer, if it came to that.
    pub(crate) answer: String,
    /// The last line of its log: the step at which it died.
    pub(crate) step: String,
}

impl Steps {
    pub(crate) fn start(mut command: Command) -> Self {
        let (log, mut end) = std::io::pipe().unwrap();
        fcntl_setfl(&end, OFlags::DIRECT).unwrap();
        for _ in 1..ROOM {
            end.write_all(b".").unwrap();
        }
        let child = command
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(end)
            .spawn()
            .unwrap();
        Self {
            child,
            log,
            held: ROOM as u64 - 1,
            begun: false,
        }
    }

    /// Lets it go on to the next line of its log; false if it ended before.
    pub(crate) fn next(&mut self) -> bool {
        if self.begun {
            let mut packet = [0; LINE_LIMIT_BYTES];
            self.held -= self.log.read(&mut packet).unwrap() as u64;
        }
        self.begun = true;
        loop {
            let ended = self.child.try_wait().unwrap().is_some();
            let held = ioctl_fionread(&self.log).unwrap();
            if held > self.held {
                self.held = held;
                return true;
            }
            if ended {
                return false;
            }
            std::thread::yield_now();
        }
    }

    /// Kills it with SIGKILL.
    pub(crate) fn kill(mut self) -> Remains {
        self.child.kill().unwrap();
        let output = self.child.wait_with_output().unwrap();
        let mut log = Vec::new();
        self.log.read_to_end(&mut log).unwrap();
        let log = String::from_utf8_lossy(&log);
        Remains {
            answer: String::from_utf8(output.stdout).unwrap(),
            step: log.lines().next_back().unwrap_or_default().to_owned(),
        }
    }
}

/// Kills a command after the first line of its log, after the second, and so on up to its end, each time in a copy of this
/// folder; `judge` says whether all is well there. Returns how many lines there are.
pub(crate) fn kill_after_each(
    folder: &Folder,
    line: &str,
    judge: impl FnMut(&Folder, &Remains),
) -> usize {
    kill_after_every(1, folder, line, judge)
}

/// The same after every `stride`th line only, where each run takes long.
pub(crate) fn kill_after_every(
    stride: usize,
    folder: &Folder,
    line: &str,
    mut judge: impl FnMut(&Folder, &Remains),
) -> usize {
    for lines in (1..).step_by(stride) {
        let folder = folder.copy();
        let mut steps = Steps::start(folder.command(line));
        let told = (0..lines).take_while(|_| steps.next()).count();
        judge(&folder, &steps.kill());
        if told < lines {
            return told;
        }
    }
    unreachable!("a log has an end")
}
