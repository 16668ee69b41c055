//! Reads a secret from where the configuration says it is. Never prints one.

use std::path::Path;

use gateway_policy::upstream::SecretPlace;

use super::source::environment;
use crate::secret::Secret;

/// The secret at `place`, without surrounding white space.
///
/// # Errors
/// When there is none; the text says where it was looked for.
pub(super) fn read_secret(place: &SecretPlace, base: &Path) -> Result<Secret, String> {
    let (text, name) = match place {
        SecretPlace::Env(name) => {
            let shown = format!("the environment variable `{name}`");
            let text = environment(name).ok_or_else(|| format!("{shown} is not set"))?;
            (text, shown)
        }
        SecretPlace::File(path) => {
            let path = base.join(path);
            let text = std::fs::read_to_string(&path)
                .map_err(|error| format!("cannot read {}: {error}", path.display()))?;
            (text, path.display().to_string())
        }
    };
    match text.trim() {
        "" => Err(format!("{name} is empty")),
        text => Ok(Secret::new(text)),
    }
}
