//! The list of running function processes in `pids`, so that a start after kill -9 ends what the killed host left.
//!
//! An idle function ends by itself when the host dies, but a busy one lives until its handler returns, and could still
//! be sending mail while the new host starts it a second time.

use std::collections::BTreeMap;
use std::fs;
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};
use tokio::time::{Instant, sleep};

/// How long a killed process may take to vanish.
const GONE_WITHIN: Duration = Duration::from_secs(5);
/// Pause between two looks at a killed process.
const LOOK_EVERY: Duration = Duration::from_millis(10);

/// A process as it is known again: the number alone may belong to another one by now.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Entry {
    pid: u32,
    /// Clock ticks from boot to the start of the process (proc(5), stat field 22).
    started: u64,
    binary: PathBuf,
}

impl Entry {
    fn line(&self) -> String {
        format!("{} {} {}\n", self.pid, self.started, self.binary.display())
    }

    fn parse(line: &str) -> Option<Self> {
        let mut fields = line.splitn(3, ' ');
        Some(Self {
            pid: fields.next()?.parse().ok()?,
            started: fields.next()?.parse().ok()?,
            binary: fields.next()?.into(),
        })
    }

    /// Whether this very process still runs our binary.
    fn runs(&self) -> bool {
        let same_binary = fs::read_link(format!("/proc/{}/exe", self.pid)).is_ok_and(|exe| {
            // Linux marks a binary that was rebuilt since.
            let exe = exe.to_string_lossy();
            Path::new(exe.trim_end_matches(" (deleted)")) == self.binary
        });
        same_binary && started(self.pid) == Some(self.started)
    }
}

/// The start time of a living process; `None` if there is none, or only its remains, or no /proc.
fn started(pid: u32) -> Option<u64> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // The second field is the command in brackets and may contain anything, brackets too.
    let mut fields = stat.rsplit_once(')')?.1.split_ascii_whitespace();
    match fields.next()? {
        "Z" | "X" => None,
        _ => fields.nth(18)?.parse().ok(),
    }
}

/// The list, in memory and on disk.
pub(super) struct Pids {
    path: PathBuf,
    running: Mutex<BTreeMap<u32, Entry>>,
}

impl Pids {
    /// Ends every process of an earlier host that still runs, and starts an empty list.
    ///
    /// # Errors
    /// The file cannot be read or written, or a process does not end.
    pub(super) async fn take_over(path: PathBuf) -> io::Result<Self> {
        let old = match fs::read_to_string(&path) {
            Ok(old) => old,
            Err(error) if error.kind() == ErrorKind::NotFound => String::new(),
            Err(error) => return Err(error),
        };
        for entry in old.lines().filter_map(Entry::parse) {
            end(&entry).await?;
        }
        let pids = Self { path, running: Mutex::default() };
        pids.write(&BTreeMap::new())?;
        Ok(pids)
    }

    /// Enters a process that was just started.
    pub(super) fn add(&self, pid: u32, binary: &Path) {
        let Some(started) = started(pid) else {
            return; // It has ended already, or the system has no /proc.
        };
        let binary = fs::canonicalize(binary).unwrap_or_else(|_| binary.to_owned());
        let entry = Entry { pid, started, binary };
        self.change(|running| running.insert(pid, entry));
    }

    /// Strikes out a process that has ended.
    pub(super) fn remove(&self, pid: u32) {
        self.change(|running| running.remove(&pid));
    }

    fn change(&self, change: impl FnOnce(&mut BTreeMap<u32, Entry>) -> Option<Entry>) {
        let mut running = self.running.lock().unwrap_or_else(PoisonError::into_inner);
        change(&mut running);
        if let Err(error) = self.write(&running) {
            tracing::warn!("cannot write {}: {error}", self.path.display());
        }
    }

    fn write(&self, running: &BTreeMap<u32, Entry>) -> io::Result<()> {
        let new = self.path.with_extension("new");
        fs::write(&new, running.values().map(Entry::line).collect::<String>())?;
        fs::rename(new, &self.path)
    }
}

/// Kills a process that is surely ours, and waits until it is gone.
async fn end(entry: &Entry) -> io::Result<()> {
    let Some(pid) = i32::try_from(entry.pid).ok().and_then(Pid::from_raw) else {
        return Ok(());
    };
    if !entry.runs() {
        return Ok(());
    }
    tracing::info!(pid = entry.pid, "ending {}, left by a killed service", entry.binary.display());
    match kill_process(pid, Signal::KILL) {
        Ok(()) | Err(rustix::io::Errno::SRCH) => {}
        Err(error) => return Err(error.into()),
    }
    let deadline = Instant::now() + GONE_WITHIN;
    while entry.runs() {
        if Instant::now() > deadline {
            let text = format!("process {} of an earlier run does not end", entry.pid);
            return Err(io::Error::new(ErrorKind::TimedOut, text));
        }
        sleep(LOOK_EVERY).await;
    }
    Ok(())
}
