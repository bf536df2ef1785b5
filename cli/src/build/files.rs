//! An image and its manifest in their places, together.

use super::BuildError;
use crate::human;
use crate::regular_file::regular;
use std::fs::{File, Permissions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use tempfile::{Builder, NamedTempFile};

/// Writes an image and its manifest. Both are written beside their places first: as long as that can fail, what was there is
/// as it was.
pub fn write_both(image: &Path, bytes: &[u8], manifest: &Path, text: &[u8]) -> Result<(), BuildError> {
    let (image, manifest) = (Written::new(image, bytes)?, Written::new(manifest, text)?);
    put_both(image, manifest)
}

fn put_both(image: Written, manifest: Written) -> Result<(), BuildError> {
    image.put()?;
    let place = manifest.place.clone();
    manifest.put().inspect_err(|_| {
        // No image is beside the manifest of other tables. The error that there was is the one to tell.
        let _ = std::fs::remove_file(place);
    })
}

/// A file that is written, and not yet in its place.
struct Written {
    file: NamedTempFile,
    place: PathBuf,
}

impl Written {
    fn new(path: &Path, bytes: &[u8]) -> Result<Self, BuildError> {
        Self::beside(path, bytes).map_err(|cause| failed(path, cause))
    }

    fn beside(path: &Path, bytes: &[u8]) -> io::Result<Self> {
        let place = behind_links(path);
        let before = std::fs::metadata(&place).ok();
        if let Some(before) = &before {
            regular(before.file_type())?;
            // What may not be written is not replaced either, nor a program that runs.
            File::options().write(true).open(&place)?;
        }
        let directory = place.parent().filter(|directory| !directory.as_os_str().is_empty());
        let mut builder = Builder::new();
        if let Some(permissions) = permissions_of_new_files() {
            builder.permissions(permissions);
        }
        let file = builder.tempfile_in(directory.unwrap_or(Path::new(".")));
        // Its own text names a file that nobody knows.
        let mut file = file.map_err(|cause| {
            io::Error::new(cause.kind(), format!("its directory takes no other file: {}", cause.kind()))
        })?;
        if let Some(before) = before {
            file.as_file().set_permissions(before.permissions())?;
        }
        file.write_all(bytes)?;
        Ok(Self { file, place })
    }

    /// Puts the file in its place.
    fn put(self) -> Result<(), BuildError> {
        let Self { file, place } = self;
        file.persist(&place).map(drop).map_err(|error| failed(&place, error.error))
    }
}

/// The file that a name leads to: a link stays one, and its file has what is written, also if there is none yet.
pub fn behind_links(path: &Path) -> PathBuf {
    /// As many as systems follow.
    const MOST_LINKS: usize = 40;
    let mut place = path.to_owned();
    for _ in 0..MOST_LINKS {
        let Ok(target) = std::fs::read_link(&place) else { break };
        place = place.parent().unwrap_or(Path::new("")).join(target);
    }
    place
}

fn failed(path: &Path, cause: io::Error) -> BuildError {
    BuildError::Write { name: human::file(path), cause }
}

/// What files have that are no secrets, beside what the user's mask takes.
#[cfg(unix)]
fn permissions_of_new_files() -> Option<Permissions> {
    use std::os::unix::fs::PermissionsExt;
    Some(Permissions::from_mode(0o666))
}

/// What files have that are no secrets.
#[cfg(not(unix))]
fn permissions_of_new_files() -> Option<Permissions> {
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What was tested ended before the image was in its place.
    #[test]
    fn no_image_is_beside_the_manifest_of_other_tables() {
        let directory = tempfile::tempdir().unwrap();
        let [image, manifest] = ["image", "image.json"].map(|name| directory.path().join(name));
        write_both(&image, b"old", &manifest, b"{}").unwrap();
        let written = Written::new(&manifest, b"{ }").unwrap();
        // Whatever it is that keeps it from being put there.
        std::fs::remove_file(written.file.path()).unwrap();
        let error = put_both(Written::new(&image, b"new").unwrap(), written).unwrap_err();
        assert!(matches!(&error, BuildError::Write { name, .. } if name.ends_with("image.json")), "{error}");
        assert_eq!(std::fs::read(&image).unwrap(), b"new");
        assert!(!manifest.exists());
        assert_eq!(std::fs::read_dir(directory.path()).unwrap().count(), 1);
    }
}
