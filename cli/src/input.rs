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

/// Resolves arguments to files: `-` stays, a folder stands for the payload files below it, in order.
///
/// What cannot be looked into is told and left out.
pub(crate) fn files(
    arguments: &[PathBuf],
    extensions: &[&str],
    mut complain: impl FnMut(String),
) -> Vec<PathBuf> {
    let mut files = Vec::new();
    for argument in arguments {
        if argument.as_os_str() != "-" && argument.is_dir() {
            let before = files.len();
            let mut heard = false;
            collect(argument, extensions, &mut files, &mut |message| {
                heard = true;
                complain(message);
            });
            if files.len() == before && !heard {
                let wanted: Vec<String> = extensions
                    .iter()
                    .map(|extension| format!("`.{extension}`"))
                    .collect();
                complain(format!(
                    "`{}` holds no {} file",
                    argument.display(),
                    wanted.join(" or ")
                ));
            }
        } else {
            files.push(argument.clone());
        }
    }
    files
}

/// Extensions of payload files.
pub(crate) const PAYLOADS: &[&str] = &["json", "jsonl", "ndjson"];

/// Adds the files below a folder in order of their paths; links are followed to files, never to folders.
fn collect(
    folder: &Path,
    extensions: &[&str],
    into: &mut Vec<PathBuf>,
    complain: &mut impl FnMut(String),
) {
    let entries = std::fs::read_dir(folder).and_then(Iterator::collect::<Result<Vec<_>, _>>);
    let mut entries = match entries {
        Ok(entries) => entries,
        Err(error) => {
            complain(format!(
                "cannot read the folder `{}`: {error}",
                folder.display()
            ));
            return;
        }
    };
    entries.sort_by_key(std::fs::DirEntry::path);
    for entry in entries {
        let path = entry.path();
        if entry.file_name().to_string_lossy().starts_with('.') {
            continue;
        }
        if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            collect(&path, extensions, into, complain);
        } else if path.is_file()
            && path
                .extension()
                .is_some_and(|extension| extensions.iter().any(|wanted| extension == *wanted))
        {
            into.push(path);
        }
    }
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_stands_for_its_files_and_loops_are_not_walked() {
        let folder = tempfile::tempdir().unwrap();
        let below = folder.path().join("a/b");
        std::fs::create_dir_all(&below).unwrap();
        for name in ["2.json", "1.jsonl", "notes.txt", ".hidden.json"] {
            std::fs::write(below.join(name), "{}").unwrap();
        }
        #[cfg(unix)]
        std::os::unix::fs::symlink(folder.path(), below.join("up")).unwrap();
        let found = files(&[folder.path().to_owned()], PAYLOADS, |message| {
            panic!("{message}")
        });
        assert_eq!(found, [below.join("1.jsonl"), below.join("2.json")]);
    }

    #[test]
    fn a_folder_without_payloads_is_told() {
        let folder = tempfile::tempdir().unwrap();
        let mut said = Vec::new();
        let found = files(&[folder.path().to_owned()], PAYLOADS, |message| {
            said.push(message)
        });
        assert!(found.is_empty());
        assert!(
            said[0].ends_with("holds no `.json` or `.jsonl` or `.ndjson` file"),
            "{said:?}"
        );
    }
}
