//! Payloads from files, folders or standard input.

use std::io::Read;
use std::path::{Path, PathBuf};

use anyhow::{Context, bail};

/// The largest payload that is read: well above the 256 KiB of an event bus and the 6 MB of a function call.
const LIMIT: u64 = 64 * 1024 * 1024;

/// One payload and where it came from.
#[derive(Debug)]
pub(crate) struct Payload {
    /// Path for people, or `standard input`.
    pub(crate) name: String,
    pub(crate) bytes: Vec<u8>,
}

/// Resolves arguments to files: `-` stays, a folder stands for the `.json` files below it, in order.
pub(crate) fn files(arguments: &[PathBuf]) -> anyhow::Result<Vec<PathBuf>> {
    let mut files = Vec::new();
    for argument in arguments {
        if argument.as_os_str() != "-" && argument.is_dir() {
            let before = files.len();
            collect(argument, &["json", "jsonl", "ndjson"], &mut files)?;
            if files.len() == before {
                bail!("`{}` holds no `.json` file", argument.display());
            }
        } else {
            files.push(argument.clone());
        }
    }
    Ok(files)
}

/// Adds the files below a folder whose extension is one of these, in order of their paths.
pub(crate) fn collect(
    folder: &Path,
    extensions: &[&str],
    into: &mut Vec<PathBuf>,
) -> anyhow::Result<()> {
    let mut entries = std::fs::read_dir(folder)
        .and_then(Iterator::collect::<Result<Vec<_>, _>>)
        .with_context(|| format!("cannot read the folder `{}`", folder.display()))?;
    entries.sort_by_key(std::fs::DirEntry::path);
    for entry in entries {
        let path = entry.path();
        let hidden = entry.file_name().to_string_lossy().starts_with('.');
        if hidden {
            continue;
        }
        if path.is_dir() {
            collect(&path, extensions, into)?;
        } else if path
            .extension()
            .is_some_and(|extension| extensions.iter().any(|wanted| extension == *wanted))
        {
            into.push(path);
        }
    }
    Ok(())
}

/// Reads one payload.
pub(crate) fn read(path: &Path) -> anyhow::Result<Payload> {
    let mut bytes = Vec::new();
    let name = if path.as_os_str() == "-" {
        std::io::stdin()
            .lock()
            .take(LIMIT + 1)
            .read_to_end(&mut bytes)
            .context("cannot read standard input")?;
        "standard input".to_owned()
    } else {
        std::fs::File::open(path)
            .and_then(|file| file.take(LIMIT + 1).read_to_end(&mut bytes))
            .with_context(|| format!("cannot read `{}`", path.display()))?;
        path.display().to_string()
    };
    if bytes.len() as u64 > LIMIT {
        bail!("`{name}` is larger than {} MiB", LIMIT / 1024 / 1024);
    }
    Ok(Payload { name, bytes })
}
