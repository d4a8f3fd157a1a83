//! Child processes that cannot outlive the tests: each has a shell beside it that ends it when our pipe closes,
//! which it does even when the tests are killed.

use std::ffi::OsStr;
use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};
use tokio::process::{Child, ChildStdin, Command};

/// Starts "$@", writes its number to the file $GUARD, and ends it when standard input ends.
const SHELL: &str = r#"exec 3<&0
"$@" </dev/null & child=$!
echo $child >"$GUARD.new" && mv "$GUARD.new" "$GUARD"
{ read -r _ <&3; kill -TERM $child 2>/dev/null; } & watcher=$!
wait $child; code=$?
kill $watcher 2>/dev/null
exit $code"#;

/// A running child.
#[derive(Debug)]
pub struct Guarded {
    /// The shell.
    pub shell: Child,
    /// Closing it ends the child.
    lifeline: Option<ChildStdin>,
    pid: u32,
}

/// Prepares a guarded command; standard output and error are the caller's to set.
pub fn command(program: impl AsRef<OsStr>) -> Command {
    let mut command = Command::new("/bin/sh");
    command.args(["-c", SHELL, "guard"]).arg(program).stdin(Stdio::piped());
    command
}

impl Guarded {
    /// Starts it. `note` is a file that will hold the child's process number.
    pub async fn start(mut command: Command, note: &Path) -> Self {
        drop(std::fs::remove_file(note));
        let mut shell = command.env("GUARD", note).spawn().unwrap();
        let lifeline = shell.stdin.take();
        let pid = crate::until("the child's process number", async || {
            std::fs::read_to_string(note).ok()?.trim().parse().ok()
        })
        .await;
        Self { shell, lifeline, pid }
    }

    /// The child's process number.
    #[must_use]
    pub fn pid(&self) -> u32 {
        self.pid
    }

    /// kill -9, and waits for the end.
    pub async fn kill(&mut self) {
        kill(self.pid, Signal::KILL);
        self.shell.wait().await.unwrap();
    }

    /// SIGTERM, and its exit code.
    pub async fn stop(&mut self) -> Option<i32> {
        drop(self.lifeline.take());
        let ended = tokio::time::timeout(Duration::from_secs(30), self.shell.wait()).await;
        ended.expect("it stops within 30 s of SIGTERM").unwrap().code()
    }
}

/// Signals a process of ours; one that is gone already is no error.
pub fn kill(pid: u32, signal: Signal) {
    let pid = Pid::from_raw(pid.try_into().unwrap()).unwrap();
    match kill_process(pid, signal) {
        Ok(()) | Err(rustix::io::Errno::SRCH) => {}
        Err(error) => panic!("cannot signal {pid:?}: {error}"),
    }
}
