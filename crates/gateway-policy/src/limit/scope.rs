//! Whose usage is limited.

/// Whose money, requests and tokens are counted.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Scope {
    /// One gateway key, by its id.
    Key(String),
    /// One team, by its name.
    Team(String),
    /// Everything that clients say is for one repository, by its recorded name.
    Repo(String),
    /// Everything that goes through the gateway and its replicas.
    Gateway,
}

impl Scope {
    /// `key:…`, `team:…`, `repo:…` or `gateway`: how a scope is stored and shown.
    pub fn as_text(&self) -> String {
        match self {
            Self::Key(id) => format!("key:{id}"),
            Self::Team(name) => format!("team:{name}"),
            Self::Repo(name) => format!("repo:{name}"),
            Self::Gateway => "gateway".to_owned(),
        }
    }

    /// Reads [`Scope::as_text`] back.
    pub fn parse(text: &str) -> Option<Self> {
        match text.split_once(':') {
            Some(("key", id)) if !id.is_empty() => Some(Self::Key(id.to_owned())),
            Some(("team", name)) if !name.is_empty() => Some(Self::Team(name.to_owned())),
            Some(("repo", name)) if !name.is_empty() => Some(Self::Repo(name.to_owned())),
            None if text == "gateway" => Some(Self::Gateway),
            Some(_) | None => None,
        }
    }
}
