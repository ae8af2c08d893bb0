//! A project: a name, a key, open or archived. Numbering and gates are the workspace's (see `workspace`), because
//! they are decided where all projects meet.

use serde::{Deserialize, Serialize};

use super::{
    event::ProjectEvent,
    ids::{ProjectId, Subject},
    rejection::Rejection,
    text::{Prose, Title},
};

/// The state of a project.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Project {
    exists: bool,
    archived: bool,
}

/// What can be asked of a project.
#[derive(Clone, Debug)]
pub enum ProjectCommand {
    /// Make it.
    Create {
        /// Its name.
        name: Title,
        /// The `KEY` of `KEY-12`; derived from the name when absent.
        key: Option<String>,
        /// What it is for.
        description: Prose,
    },
    /// Change name or description.
    Update {
        /// The new name.
        name: Option<Title>,
        /// The new description.
        description: Option<Prose>,
    },
    /// Close it for new tasks.
    Archive,
}

impl Project {
    /// Decides a command.
    pub fn decide(&self, id: ProjectId, command: ProjectCommand) -> Result<Vec<ProjectEvent>, Rejection> {
        match (self.exists, command) {
            (true, ProjectCommand::Create { .. }) => Err(Rejection::Exists(Subject::Project(id))),
            (false, ProjectCommand::Create { name, key, description }) => {
                let key = match key {
                    Some(key) => checked_key(key)?,
                    // The workspace makes a made key unique; the tilde tells it that it may.
                    None => format!("~{}", key_of(&name)),
                };
                Ok(vec![ProjectEvent::Created { name, key, description }])
            }
            (false, _) => Err(Rejection::NotFound("project")),
            (true, ProjectCommand::Update { name: None, description: None }) => Ok(vec![]),
            (true, ProjectCommand::Update { name, description }) => {
                Ok(vec![ProjectEvent::Updated { name, description }])
            }
            (true, ProjectCommand::Archive) if self.archived => Ok(vec![]),
            (true, ProjectCommand::Archive) => Ok(vec![ProjectEvent::Archived {}]),
        }
    }

    /// Changes the state.
    pub fn apply(&mut self, event: &ProjectEvent) {
        match event {
            ProjectEvent::Created { .. } => self.exists = true,
            ProjectEvent::Updated { .. } => {}
            ProjectEvent::Archived {} => self.archived = true,
        }
    }
}

/// The longest project key.
pub const KEY_LENGTH_MAX: usize = 10;

fn checked_key(key: String) -> Result<String, Rejection> {
    let well_formed = (2..=KEY_LENGTH_MAX).contains(&key.len())
        && key.starts_with(|c: char| c.is_ascii_uppercase())
        && key.chars().all(|c| c.is_ascii_uppercase() || c.is_ascii_digit());
    if well_formed {
        return Ok(key);
    }
    Err(Rejection::Invalid {
        path: "key",
        message: format!("2 to {KEY_LENGTH_MAX} capital letters and digits, a letter first"),
    })
}

/// Makes a key from a name: initials of several words, else the first letters of the only one.
fn key_of(name: &str) -> String {
    let words: Vec<String> = name
        .split(|c: char| !c.is_ascii_alphanumeric())
        .map(|word| word.trim_start_matches(|c: char| c.is_ascii_digit()).to_ascii_uppercase())
        .filter(|word| !word.is_empty())
        .collect();
    let key: String = match words.as_slice() {
        [] => String::new(),
        [only] => only.chars().take(4).collect(),
        several => several.iter().filter_map(|word| word.chars().next()).take(5).collect(),
    };
    if key.len() < 2 { format!("{key}PR") } else { key }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_key_is_made_from_the_name() {
        assert_eq!(key_of("Link"), "LINK");
        assert_eq!(key_of("link the backend"), "LTB");
        assert_eq!(key_of("π"), "PR");
    }

    proptest! {
        #[test]
        fn a_made_key_is_always_well_formed(name in ".{0,40}") {
            prop_assert!(checked_key(key_of(&name)).is_ok());
        }
    }
}
