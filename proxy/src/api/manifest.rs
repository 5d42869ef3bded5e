//! Changing the manifest file: single values of it, atomically, and only if nobody else has changed it meanwhile.

use std::{
    fs, io,
    io::Write as _,
    os::unix::fs::{MetadataExt, chown},
    path::{Path, PathBuf},
    str::FromStr,
};

use crds::rest::Change;
use serde_json::Value;
use yaml_edit::{Document, path::YamlPath};

/// Why the file is as it was.
#[derive(Debug, thiserror::Error)]
pub enum Unwritten {
    /// It can't be read.
    #[error("{path} can't be read: {source}")]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// It can't be written.
    #[error("{path} can't be written: {source}; the proxy needs to write it and its folder")]
    Write {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// Somebody else changed it.
    #[error("{path} was changed by somebody else meanwhile: try again")]
    Changed {
        /// The file.
        path: PathBuf,
    },
    /// It is no YAML that can be changed.
    #[error("{path} can't be changed: {message}")]
    Form {
        /// The file.
        path: PathBuf,
        /// Why.
        message: String,
    },
}

/// A file and what is to be in it.
#[derive(Debug)]
pub struct Edit {
    /// The file itself: a link to it stays a link.
    path: PathBuf,
    before: String,
    text: String,
}

impl Edit {
    /// The file as it is.
    ///
    /// # Errors
    /// If it can't be read.
    pub fn open(path: &Path) -> Result<Self, Unwritten> {
        let unread = |source| Unwritten::Read { path: path.to_owned(), source };
        let path = fs::canonicalize(path).map_err(unread)?;
        let before = fs::read_to_string(&path).map_err(unread)?;
        Ok(Self { text: before.clone(), before, path })
    }

    /// Its text.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// The same with a change in its specification. Comments and order stay, but for files of a form that can't be changed
    /// in place: those are written anew.
    ///
    /// # Errors
    /// If it is no YAML.
    pub fn with(self, change: &Change) -> Result<Self, Unwritten> {
        let wrong = |message: String| Unwritten::Form { path: self.path.clone(), message };
        let mut wanted = value(&self.text).map_err(wrong)?;
        change.put_into(&mut wanted["spec"]);
        let in_place =
            in_place(&self.text, change).filter(|text| value(text).is_ok_and(|value| value == wanted));
        let text = match in_place {
            Some(text) => text,
            None => {
                tracing::warn!(path = %self.path.display(), "the file is written anew, without its comments");
                serde_yaml::to_string(&wanted).map_err(|error| wrong(error.to_string()))?
            }
        };
        Ok(Self { text, ..self })
    }

    /// Writes it. Whoever reads the file sees the old text or the new, never a part; owner and mode stay.
    ///
    /// # Errors
    /// If it can't be written, or was changed since it was read.
    pub fn write(self) -> Result<(), Unwritten> {
        let unwritten = |source| Unwritten::Write { path: self.path.clone(), source };
        let folder = self.path.parent().unwrap_or(Path::new("/"));
        let kept = fs::metadata(&self.path).map_err(unwritten)?;
        let mut file = tempfile::NamedTempFile::new_in(folder).map_err(unwritten)?;
        file.write_all(self.text.as_bytes()).map_err(unwritten)?;
        // Who runs as root may be writing the file of somebody else; everybody else owns what they can replace.
        let _kept = chown(file.path(), Some(kept.uid()), Some(kept.gid()));
        file.as_file().set_permissions(kept.permissions()).map_err(unwritten)?;
        file.as_file().sync_all().map_err(unwritten)?;
        if fs::read_to_string(&self.path).ok().as_ref() != Some(&self.before) {
            return Err(Unwritten::Changed { path: self.path });
        }
        file.persist(&self.path).map_err(|error| unwritten(error.error))?;
        fs::File::open(folder).and_then(|folder| folder.sync_all()).map_err(unwritten)
    }
}

/// The text with single values changed; nothing if it has a form in which that can't be done.
fn in_place(text: &str, change: &Change) -> Option<String> {
    let document = Document::from_str(text).ok()?;
    for (field, value) in change.fields() {
        let path = format!("spec.{}", field.path().join("."));
        match value {
            Value::Bool(flag) => document.try_set_path(&path, *flag).ok()?,
            Value::Number(number) => document.try_set_path(&path, number.as_i64()?).ok()?,
            Value::String(text) => document.try_set_path(&path, text.as_str()).ok()?,
            _ => return None,
        }
    }
    Some(document.to_string())
}

fn value(text: &str) -> Result<Value, String> {
    let yaml: serde_yaml::Value = serde_yaml::from_str(text).map_err(|error| error.to_string())?;
    serde_json::to_value(yaml).map_err(|error| error.to_string())
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use crds::rest::Field;

    use super::*;

    const TEXT: &str = "# The pool of the shop.\napiVersion: mcpgateway.io/v1alpha1\nkind: SessionPool\nmetadata:\n  name: shop\nspec:\n  poolEnabled: true   # since March\n  poolMaxSize: 5\n\n  # one server\n  upstream:\n    url: http://127.0.0.1:3001/mcp # local\n";

    fn change() -> Change {
        let mut change = Change::drain(Some(7));
        change.set(Field::PoolMaxSize, 12);
        change.set(Field::PoolEnabled, false);
        change.set(Field::PoolStrategy, "LeastConnections");
        change.set(Field::ResetToken, "2026-01-01T00:00:00Z");
        change
    }

    fn file(text: &str) -> (tempfile::TempDir, PathBuf) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("pool.yaml");
        fs::write(&path, text).unwrap();
        (folder, path)
    }

    #[test]
    fn comments_and_order_stay() {
        let (_folder, path) = file(TEXT);
        let edit = Edit::open(&path).unwrap().with(&change()).unwrap();
        for kept in ["# The pool of the shop.\n", "# since March", "  # one server\n", "# local\n"] {
            assert!(edit.text().contains(kept), "{kept:?} is gone:\n{}", edit.text());
        }
        assert!(edit.text().find("poolMaxSize: 12").unwrap() < edit.text().find("upstream").unwrap());
        let spec = &value(edit.text()).unwrap()["spec"];
        assert_eq!(spec["resetToken"], "2026-01-01T00:00:00Z");
        assert_eq!((&spec["drain"]["timeoutSeconds"], &spec["desiredState"]), (&7.into(), &"Drained".into()));
    }

    #[test]
    fn every_form_is_changed() {
        let json = value(TEXT).unwrap().to_string();
        let flow = "{apiVersion: a, kind: b, spec: {poolMaxSize: 5, upstream: {url: c}}}";
        let null = "spec:\n  poolMaxSize:\n  drain:\n  upstream: {url: c}\n";
        let end = "spec:\n  upstream: {url: c}\n  poolMaxSize: 5";
        for text in [TEXT, &json, flow, null, end, "---\nspec:\n    poolMaxSize: 5\n...\n"] {
            let (_folder, path) = file(text);
            let mut wanted = value(text).unwrap();
            change().put_into(&mut wanted["spec"]);
            let edit = Edit::open(&path).unwrap().with(&change()).unwrap();
            assert_eq!(value(edit.text()).unwrap(), wanted, "{}", edit.text());
        }
    }

    #[test]
    fn a_file_is_replaced_as_a_whole() {
        let (folder, path) = file(TEXT);
        fs::set_permissions(&path, fs::Permissions::from_mode(0o640)).unwrap();
        let link = folder.path().join("link.yaml");
        std::os::unix::fs::symlink("pool.yaml", &link).unwrap();
        Edit::open(&link).unwrap().with(&change()).unwrap().write().unwrap();
        assert!(fs::symlink_metadata(&link).unwrap().is_symlink());
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o640);
        assert!(fs::read_to_string(&path).unwrap().contains("poolMaxSize: 12"));
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 2, "nothing is left behind");
    }

    #[test]
    fn what_somebody_else_wrote_is_kept() {
        let (_folder, path) = file(TEXT);
        let edit = Edit::open(&path).unwrap().with(&change()).unwrap();
        let theirs = TEXT.replace("poolMaxSize: 5", "poolMaxSize: 6");
        fs::write(&path, &theirs).unwrap();
        assert!(matches!(edit.write(), Err(Unwritten::Changed { .. })));
        assert_eq!(fs::read_to_string(&path).unwrap(), theirs);
    }
}
