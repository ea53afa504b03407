//! The formats of files, and how to tell them apart.

/// How a file is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Format {
    /// YAML, one or more documents.
    Yaml,
    /// JSON with an object at the root.
    Json,
    /// `KEY=value` lines.
    Dotenv,
    /// Sections of `key = value` lines.
    Ini,
    /// Any bytes; encrypted they are JSON.
    Binary,
}

impl Format {
    /// The format that a file or Secret key with this name has.
    pub fn of_name(name: &str) -> Self {
        let has = |suffix: &str| name.ends_with(suffix);
        if has(".yaml") || has(".yml") {
            Self::Yaml
        } else if has(".json") || has(".dockerconfigjson") {
            Self::Json
        } else if has(".env") {
            Self::Dotenv
        } else if has(".ini") {
            Self::Ini
        } else {
            Self::Binary
        }
    }

    /// The format of an encrypted text, by the mark that SOPS leaves in each; `None` when there is no such mark.
    pub fn of_encrypted(bytes: &[u8]) -> Option<Self> {
        [Self::Yaml, Self::Dotenv, Self::Ini, Self::Json].into_iter().find(|format| format.marks(bytes))
    }

    /// Whether a text carries the mark of having been encrypted in this format.
    pub fn marks(self, bytes: &[u8]) -> bool {
        let mark: &[u8] = match self {
            Self::Yaml => b"mac: ENC[",
            Self::Json | Self::Binary => b"\"mac\": \"ENC[",
            Self::Dotenv => b"sops_mac=ENC[",
            Self::Ini => b"[sops]",
        };
        bytes.windows(mark.len()).any(|window| window == mark)
    }
}
