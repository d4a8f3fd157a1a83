//! What functions print: line by line onto the terminal, as `[send#0] line`, and with the time before it, as CloudWatch
//! has it, into `log/<function>.log`.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};

use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;
use tokio::io::{AsyncBufRead, AsyncBufReadExt, AsyncRead, AsyncReadExt, BufReader};
use tokio::process::Child;
use tokio::task::JoinSet;

/// Longest line that is kept, in bytes; the rest of it is left out.
const MAX_LINE: u64 = 8 * 1024;
/// Lines that may wait for a terminal which does not take them; more are dropped from the terminal, not from the file.
const TERMINAL_BACKLOG: usize = 4096;
/// A log file of at least this size is put aside as `.old` at the next start, in bytes.
const MAX_FILE: u64 = 16 * 1024 * 1024;

/// Where the lines go.
pub(super) struct Log {
    folder: PathBuf,
    terminal: SyncSender<String>,
}

impl Log {
    /// Opens the folder, and a thread of its own for the terminal: a stopped terminal must not stop functions.
    pub(super) fn open(folder: PathBuf) -> io::Result<Self> {
        fs::create_dir_all(&folder)?;
        let (terminal, lines) = sync_channel(TERMINAL_BACKLOG);
        std::thread::Builder::new().name("log".to_owned()).spawn(move || print_lines(&lines))?;
        Ok(Self { folder, terminal })
    }

    fn file(&self, function: &str) -> io::Result<File> {
        let path = self.folder.join(format!("{function}.log"));
        OpenOptions::new().create(true).append(true).open(path)
    }

    /// Puts a log file aside that has grown too large.
    pub(super) fn rotate(&self, function: &str) -> io::Result<()> {
        let path = self.folder.join(format!("{function}.log"));
        match fs::metadata(&path) {
            Ok(found) if found.len() >= MAX_FILE => fs::rename(&path, path.with_extension("log.old")),
            _ => Ok(()),
        }
    }
}

fn print_lines(lines: &Receiver<String>) {
    let mut out = io::stderr();
    for line in lines {
        if out.write_all(line.as_bytes()).is_err() {
            return; // The terminal is gone; the file still has everything.
        }
    }
}

/// Copies both output streams of a process until they end, in tasks of `output`.
pub(super) fn follow(child: &mut Child, output: &mut JoinSet<()>, log: &Arc<Log>, function: &str, number: u32) {
    if let Some(stdout) = child.stdout.take() {
        output.spawn(copy(stdout, Arc::clone(log), function.to_owned(), number));
    }
    if let Some(stderr) = child.stderr.take() {
        output.spawn(copy(stderr, Arc::clone(log), function.to_owned(), number));
    }
}

async fn copy(stream: impl AsyncRead + Unpin, log: Arc<Log>, function: String, number: u32) {
    let mut file = match log.file(&function) {
        Ok(file) => Some(file),
        Err(error) => {
            tracing::warn!(%function, "no log file: {error}");
            None
        }
    };
    let mut reader = BufReader::new(stream);
    while let Ok(Some(line)) = read_line(&mut reader).await {
        let line = format!("[{function}#{number}] {line}\n");
        if let Some(open) = &mut file
            && let Err(error) = open.write_all(format!("{} {line}", now()).as_bytes())
        {
            tracing::warn!(%function, "log file lost: {error}");
            file = None;
        }
        // A full backlog means that nobody reads the terminal.
        drop(log.terminal.try_send(line));
    }
}

fn now() -> String {
    OffsetDateTime::now_utc().format(&Rfc3339).unwrap_or_default()
}

/// The next line without its end, at most [`MAX_LINE`] bytes of it; `None` at the end of the stream.
async fn read_line(reader: &mut (impl AsyncBufRead + Unpin)) -> io::Result<Option<String>> {
    let mut line = Vec::new();
    if reader.take(MAX_LINE).read_until(b'\n', &mut line).await? == 0 {
        return Ok(None);
    }
    let cut = !line.ends_with(b"\n") && skip_line(reader).await?;
    let text = String::from_utf8_lossy(&line);
    let text = text.trim_end_matches(['\r', '\n']);
    let mark = if cut { " …" } else { "" };
    Ok(Some(format!("{text}{mark}")))
}

/// Reads up to the end of the line; whether anything but the end was there.
async fn skip_line(reader: &mut (impl AsyncBufRead + Unpin)) -> io::Result<bool> {
    let mut skipped = false;
    loop {
        let mut rest = Vec::new();
        let count = reader.take(MAX_LINE).read_until(b'\n', &mut rest).await?;
        skipped |= rest.iter().any(|byte| !matches!(byte, b'\r' | b'\n'));
        if count == 0 || rest.ends_with(b"\n") {
            return Ok(skipped);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn lines(input: &[u8]) -> Vec<String> {
        let mut reader = BufReader::new(input);
        let mut lines = Vec::new();
        while let Some(line) = read_line(&mut reader).await.unwrap() {
            lines.push(line);
        }
        lines
    }

    #[tokio::test]
    async fn lines_lose_their_ends_and_nothing_else() {
        assert_eq!(lines(b"one\r\n\ntwo").await, ["one", "", "two"]);
    }

    #[tokio::test]
    async fn long_lines_are_cut_and_the_next_one_is_whole() {
        let limit = usize::try_from(MAX_LINE).unwrap();
        let exact = "x".repeat(limit);
        let input = format!("{exact}\n{exact}y{exact}\nnext\n");
        assert_eq!(lines(input.as_bytes()).await, [exact.clone(), format!("{exact} …"), "next".to_owned()]);
    }

    #[tokio::test]
    async fn bytes_that_are_not_utf8_are_shown_as_such() {
        assert_eq!(lines(b"a\xffb\n").await, ["a\u{fffd}b"]);
    }
}
