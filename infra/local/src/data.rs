//! The data directory: one service at a time, its token and its roots.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, Read, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ring::rand::{SecureRandom, SystemRandom};

/// Bytes of randomness in a token.
const TOKEN_BYTES: usize = 32;

/// Why the data directory cannot be used.
#[derive(Debug, thiserror::Error)]
pub(crate) enum DataError {
    /// Another service works on it.
    #[error("{} is in use by a running service (process {holder}): stop that one, or set HALFPENNY_DATA and HALFPENNY_PORT", path.display())]
    InUse {
        /// The directory.
        path: PathBuf,
        /// Its process id, as it wrote it.
        holder: String,
    },
    /// A file cannot be read or written.
    #[error("{}: {source}", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// The operating system's reason.
        source: io::Error,
    },
    /// The operating system gives no random numbers.
    #[error("no randomness from the operating system")]
    NoRandomness,
}

/// The directory, locked as long as this value lives; the operating system unlocks it however the process ends.
#[derive(Debug)]
pub(crate) struct DataDir {
    path: PathBuf,
    _lock: File,
}

impl DataDir {
    /// Creates the directory if need be, and locks it.
    ///
    /// # Errors
    /// Another service has it, or it cannot be written.
    pub(crate) fn open(path: &Path) -> Result<Self, DataError> {
        fs::create_dir_all(path).map_err(file_error(path))?;
        let path = fs::canonicalize(path).map_err(file_error(path))?;
        let lock = lock(&path)?;
        Ok(Self { path, _lock: lock })
    }

    /// The directory, absolute.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// The operator's token: the given one, else the one that is kept here, else a new one.
    ///
    /// # Errors
    /// The file cannot be read or written.
    pub(crate) fn token(&self, given: Option<String>) -> Result<String, DataError> {
        if let Some(given) = given {
            return Ok(given);
        }
        let path = self.path.join("token");
        match fs::read_to_string(&path) {
            Ok(kept) if !kept.trim().is_empty() => Ok(kept.trim().to_owned()),
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(file_error(&path)(error)),
            _ => {
                let new = new_token()?;
                self.write_private("token", &format!("{new}\n"))?;
                Ok(new)
            }
        }
    }

    /// Writes the roots that the functions trust beside the public ones; `None` when there are none.
    ///
    /// # Errors
    /// A file cannot be read or written.
    pub(crate) fn roots(&self, sandbox: Option<&str>, further: Option<&Path>) -> Result<Option<PathBuf>, DataError> {
        let path = self.path.join("ca.pem");
        let mut pem = sandbox.unwrap_or_default().to_owned();
        // A shell that has sourced our env file names our own output.
        let own = |further: &&Path| fs::canonicalize(further).is_ok_and(|further| further == path);
        if let Some(further) = further.filter(|further| !own(further)) {
            pem.push('\n');
            pem.push_str(&fs::read_to_string(further).map_err(file_error(further))?);
        }
        self.write_private("ca.pem", &pem)?;
        Ok((!pem.is_empty()).then_some(path))
    }

    /// Writes a file that nobody else may read, whole or not at all.
    ///
    /// # Errors
    /// The file cannot be written.
    pub(crate) fn write_private(&self, name: &str, content: &str) -> Result<PathBuf, DataError> {
        let path = self.path.join(name);
        let new = self.path.join(format!("{name}.new"));
        let write = || {
            let mut file = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&new)?;
            file.write_all(content.as_bytes())?;
            fs::rename(&new, &path)
        };
        write().map_err(file_error(&path))?;
        Ok(path)
    }
}

fn lock(folder: &Path) -> Result<File, DataError> {
    let path = folder.join("lock");
    let error = file_error(&path);
    let open = OpenOptions::new().read(true).write(true).create(true).truncate(false).open(&path);
    let mut file = open.map_err(&error)?;
    match file.try_lock() {
        Ok(()) => {}
        Err(TryLockError::WouldBlock) => {
            let mut holder = String::new();
            file.read_to_string(&mut holder).map_err(&error)?;
            return Err(DataError::InUse { path: folder.to_owned(), holder: holder.trim().to_owned() });
        }
        Err(TryLockError::Error(source)) => return Err(error(source)),
    }
    file.set_len(0).map_err(&error)?;
    writeln!(file, "{}", std::process::id()).map_err(&error)?;
    Ok(file)
}

fn file_error(path: &Path) -> impl Fn(io::Error) -> DataError + use<> {
    let path = path.to_owned();
    move |source| DataError::File { path: path.clone(), source }
}

fn new_token() -> Result<String, DataError> {
    let mut bytes = [0; TOKEN_BYTES];
    SystemRandom::new().fill(&mut bytes).map_err(|_| DataError::NoRandomness)?;
    Ok(format!("hp_{}", URL_SAFE_NO_PAD.encode(bytes)))
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    struct Folder(PathBuf);

    impl Folder {
        fn new() -> Self {
            Self(std::env::temp_dir().join(format!("halfpenny-{}", uuid::Uuid::new_v4())))
        }
    }

    impl Drop for Folder {
        fn drop(&mut self) {
            fs::remove_dir_all(&self.0).unwrap();
        }
    }

    #[test]
    fn a_second_service_is_told_about_the_first() {
        let folder = Folder::new();
        let first = DataDir::open(&folder.0).unwrap();
        let second = DataDir::open(&folder.0).unwrap_err().to_string();
        assert!(second.contains(&format!("(process {})", std::process::id())), "{second}");
        drop(first);
        DataDir::open(&folder.0).unwrap();
    }

    #[test]
    fn a_token_is_made_up_once_and_readable_to_its_owner_alone() {
        let folder = Folder::new();
        let data = DataDir::open(&folder.0).unwrap();
        let token = data.token(None).unwrap();
        assert_eq!(URL_SAFE_NO_PAD.decode(token.strip_prefix("hp_").unwrap()).unwrap().len(), TOKEN_BYTES);
        assert_eq!(data.token(None).unwrap(), token);
        assert_eq!(data.token(Some("given".to_owned())).unwrap(), "given");
        assert_eq!(data.token(None).unwrap(), token);
        let mode = fs::metadata(folder.0.join("token")).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
    }

    #[test]
    fn the_roots_are_the_sandboxs_and_the_developers_but_never_their_own_copy() {
        let folder = Folder::new();
        let data = DataDir::open(&folder.0).unwrap();
        assert_eq!(data.roots(None, None).unwrap(), None);
        let own = data.path().join("ca.pem");
        let further = data.path().join("further.pem");
        fs::write(&further, "B\n").unwrap();
        assert_eq!(data.roots(Some("A\n"), Some(&further)).unwrap(), Some(own.clone()));
        assert_eq!(fs::read_to_string(&own).unwrap(), "A\n\nB\n");
        data.roots(Some("A\n"), Some(&own)).unwrap();
        assert_eq!(fs::read_to_string(&own).unwrap(), "A\n");
    }
}
