use super::Sender;
use super::message::{Composed, compose, digest};
use crate::notify::email::Email;
use crate::{ActionError, Attempt, Performed};
use serde_json::json;
use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::time::SystemTime;

const NAME_LIMIT: usize = 100;

/// A folder that mail is written into, one `.eml` file each.
///
/// The file is named for the attempt's key, so an action that is done again finds its mail there and leaves it as it
/// is, even if it would be worded differently now: a mail, once sent, cannot change. A file is complete as soon as it
/// can be seen under its name, and stays after a loss of power.
#[derive(Debug)]
pub struct Outbox {
    folder: PathBuf,
    sender: Sender,
}

impl Outbox {
    pub(super) fn new(folder: PathBuf, sender: Sender) -> Self {
        Self { folder, sender }
    }

    /// Where the mail of a key lies, once it is sent.
    #[must_use]
    pub fn path(&self, key: &str) -> PathBuf {
        self.folder.join(file_name(key))
    }

    pub(super) async fn send(
        &self,
        email: &Email,
        attempt: &Attempt,
    ) -> Result<Performed, ActionError> {
        self.sender.check_recipients(email)?;
        let mail = compose(email, &self.sender, &attempt.key, SystemTime::now())?;
        let Composed { id, bytes } = mail;
        let path = self.path(&attempt.key);
        let place = path.clone();
        let written = tokio::task::spawn_blocking(move || write_once(&place, &bytes))
            .await
            .map_err(|error| ActionError::transient(format!("outbox: {error}")))?;
        let new = written.map_err(|error| {
            ActionError::transient(format!(
                "mail cannot be written to `{}`: {error}",
                path.display()
            ))
        })?;
        let already = if new { "" } else { ", where it was already" };
        Ok(Performed {
            summary: format!(
                "mail to {} written to {}{already}",
                email.to.join(", "),
                path.display()
            ),
            output: json!({
                "to": email.to,
                "cc": email.cc,
                "refused": [],
                "message_id": id,
                "path": path.to_string_lossy(),
            }),
        })
    }
}

/// The key where it can be a file's name; else what of it can, and its digest.
fn file_name(key: &str) -> String {
    let fits = |letter: char| letter.is_ascii_alphanumeric() || "-_.".contains(letter);
    if !key.is_empty() && key.len() <= NAME_LIMIT && key.chars().all(fits) && !key.starts_with('.')
    {
        return format!("{key}.eml");
    }
    let slug: String = key
        .chars()
        .map(|letter| if fits(letter) { letter } else { '-' })
        .take(NAME_LIMIT)
        .collect();
    let slug = match slug.trim_start_matches('.') {
        "" => "mail",
        slug => slug,
    };
    format!("{slug}.{}.eml", &digest(key)[..16])
}

/// Writes a file whole and for good; false if there is one already.
fn write_once(path: &Path, bytes: &[u8]) -> io::Result<bool> {
    let folder = path.parent().unwrap_or(Path::new("."));
    create_folder(folder)?;
    if path.try_exists()? {
        // Who wrote it may have died before it was sure to stay.
        sync(folder)?;
        return Ok(false);
    }
    let mut nonce = [0; 8];
    getrandom::fill(&mut nonce).map_err(|error| io::Error::other(error.to_string()))?;
    let draft = folder.join(format!(".{:016x}.part", u64::from_ne_bytes(nonce)));
    let written = (|| {
        let mut file = own_file().open(&draft)?;
        file.write_all(bytes)?;
        file.sync_all()
    })();
    // A link, unlike a rename, does not replace what another worker has put there meanwhile.
    let linked = written.and_then(|()| match fs::hard_link(&draft, path) {
        Ok(()) => Ok(true),
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(false),
        // File systems without links, such as FAT.
        Err(error)
            if matches!(
                error.kind(),
                io::ErrorKind::Unsupported | io::ErrorKind::PermissionDenied
            ) =>
        {
            fs::rename(&draft, path).map(|()| true)
        }
        Err(error) => Err(error),
    });
    // The draft is of no use any more; that it cannot be removed is no reason to fail.
    let _ = fs::remove_file(&draft);
    let new = linked?;
    sync(folder)?;
    Ok(new)
}

/// Makes the folder where there is none, for its owner only: findings are nobody else's business.
fn create_folder(folder: &Path) -> io::Result<()> {
    let mut builder = fs::DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    {
        use std::os::unix::fs::DirBuilderExt;
        builder.mode(0o700);
    }
    builder.create(folder)
}

/// How a new file is opened that only its owner may read.
fn own_file() -> fs::OpenOptions {
    let mut options = File::options();
    options.write(true).create_new(true);
    #[cfg(unix)]
    {
        use std::os::unix::fs::OpenOptionsExt;
        options.mode(0o600);
    }
    options
}

/// Makes the folder's list of files stay after a loss of power, where folders can be opened.
fn sync(folder: &Path) -> io::Result<()> {
    if cfg!(unix) {
        File::open(folder)?.sync_all()?;
    }
    Ok(())
}

#[cfg(test)]
mod tests;
