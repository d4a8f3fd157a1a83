//! The nested build: `cargo run` builds the service itself, and the service builds the functions.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::ExitStatus;

use tokio::process::Command;

/// Why there are no functions to run.
#[derive(Debug, thiserror::Error)]
pub(crate) enum BuildError {
    /// Cargo itself does not run.
    #[error("cannot run {}: {source} (HALFPENNY_BUILD=off uses what is built already)", cargo.display())]
    Start {
        /// The program.
        cargo: PathBuf,
        /// The operating system's reason.
        source: std::io::Error,
    },
    /// The compiler has said why.
    #[error("the functions do not build ({0})")]
    Failed(ExitStatus),
    /// The build is off, or made something else.
    #[error("{} is not there: build it with `cargo build --workspace --bins`", .0.display())]
    Missing(PathBuf),
}

/// Builds every binary of the workspace in the profile of this one. Cargo's own progress is what the user sees.
///
/// # Errors
/// Cargo cannot be run, or fails.
pub(crate) async fn build(cargo: &Path, root: &Path) -> Result<(), BuildError> {
    let mut command = Command::new(cargo);
    // The whole workspace: another selection of packages means other features, and everything is compiled again.
    command.args(["build", "--workspace", "--bins"]).current_dir(root).kill_on_drop(true);
    if !cfg!(debug_assertions) {
        command.arg("--release");
    }
    for (name, _) in std::env::vars_os().filter(|(name, _)| comes_from_cargo_run(name)) {
        command.env_remove(name);
    }
    let start = |source| BuildError::Start { cargo: cargo.to_owned(), source };
    match command.status().await.map_err(start)? {
        status if status.success() => Ok(()),
        status => Err(BuildError::Failed(status)),
    }
}

/// What `cargo run` sets for its program. Build scripts (ring's) watch these variables: passed on, they would make
/// every build in here and the next one in a shell compile them, and all that depends on them, again.
fn comes_from_cargo_run(name: &OsStr) -> bool {
    let name = name.to_string_lossy();
    name.starts_with("CARGO_PKG_")
        || ["CARGO_MANIFEST_DIR", "CARGO_MANIFEST_PATH", "CARGO_BIN_NAME", "CARGO_CRATE_NAME", "LD_LIBRARY_PATH"]
            .contains(&name.as_ref())
}

/// Where the binary of a function lies: beside this one, whatever the target directory and profile.
///
/// # Errors
/// It does not.
pub(crate) fn binary(folder: &Path, name: &str) -> Result<PathBuf, BuildError> {
    let path = folder.join(name);
    match path.is_file() {
        true => Ok(path),
        false => Err(BuildError::Missing(path)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_cargo_run_sets_is_taken_away() {
        for name in ["CARGO_PKG_NAME", "CARGO_PKG_VERSION_MAJOR", "CARGO_MANIFEST_DIR", "LD_LIBRARY_PATH"] {
            assert!(comes_from_cargo_run(OsStr::new(name)), "{name}");
        }
        for name in
            ["CARGO_TARGET_DIR", "CARGO_HOME", "CARGO_BUILD_JOBS", "CARGO_PROFILE_DEV_DEBUG", "PATH", "RUSTFLAGS"]
        {
            assert!(!comes_from_cargo_run(OsStr::new(name)), "{name}");
        }
    }
}
