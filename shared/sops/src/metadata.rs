//! The `sops` section of a file: who can open it, what is encrypted, and the seal.

use fluxide_goyaml::Timestamp;
use regex::Regex;

use crate::document::{Entry, Value, get};
use crate::selection::Selection;

/// What the `sops` section says.
#[derive(Clone, Debug)]
pub struct Metadata {
    /// Groups of master keys; each group gives a share of the data key, or all of it when there is one group.
    pub groups: Vec<Vec<MasterKey>>,
    /// How many groups must give their share; 0 means all.
    pub shamir_threshold: usize,
    /// Which values are encrypted.
    pub selection: Selection,
    /// Whether the MAC covers encrypted values only.
    pub mac_only_encrypted: bool,
    /// The encrypted MAC; empty when there is none.
    pub mac: String,
    /// The time of the last change in RFC 3339, to which the MAC is bound.
    pub last_modified: String,
    /// The version of SOPS that wrote the file.
    pub version: String,
}

/// A master key with the data key (or a share of it) encrypted for it.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum MasterKey {
    /// An age recipient.
    Age {
        /// Whom it is for.
        recipient: String,
        /// An armored age file.
        encrypted: String,
    },
    /// An OpenPGP key.
    Pgp {
        /// Fingerprint.
        fingerprint: String,
        /// An armored message.
        encrypted: String,
    },
    /// A key of AWS KMS.
    AwsKms {
        /// Amazon resource name of the key.
        arn: String,
        /// A role to assume first.
        role: Option<String>,
        /// The encryption context.
        context: Vec<(String, String)>,
        /// The profile that was used to encrypt.
        profile: Option<String>,
        /// Base64.
        encrypted: String,
    },
    /// A key of Google Cloud KMS.
    GcpKms {
        /// `projects/../locations/../keyRings/../cryptoKeys/..`.
        resource_id: String,
        /// Base64.
        encrypted: String,
    },
    /// A key of Azure Key Vault.
    AzureKeyVault {
        /// Base URL of the vault.
        vault_url: String,
        /// Name of the key.
        name: String,
        /// Version of the key.
        version: String,
        /// Base64url without padding.
        encrypted: String,
    },
    /// A transit key of Vault or OpenBao.
    Vault {
        /// Base URL of the server.
        address: String,
        /// Where the transit engine is mounted.
        engine_path: String,
        /// Name of the key.
        key_name: String,
        /// `vault:vN:..`.
        encrypted: String,
    },
    /// A key of Huawei Cloud.
    HuaweiKms {
        /// `region:uuid`.
        key_id: String,
        /// Base64.
        encrypted: String,
    },
}

/// Why the metadata cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum MetadataError {
    /// The file was not encrypted, or lost its metadata.
    #[error("sops metadata not found")]
    NotFound,
    /// `sops` is something else.
    #[error("Found sops entry that is not a mapping")]
    NotMapping,
    /// Nobody can open the file.
    #[error("No keys found in file")]
    NoKeys,
    /// A time is not in RFC 3339.
    #[error("sops.{field}: {text:?} is not a time in RFC 3339")]
    Time {
        /// Where.
        field: &'static str,
        /// What is there.
        text: String,
    },
    /// More than one rule says what is encrypted.
    #[error(
        "Cannot use more than one of encrypted_suffix, unencrypted_suffix, encrypted_regex, unencrypted_regex, encrypted_comment_regex, or unencrypted_comment_regex in the same file"
    )]
    Selections,
    /// A field has the wrong type.
    #[error("sops.{field} must be {wanted}")]
    Type {
        /// Where.
        field: String,
        /// What it should be.
        wanted: &'static str,
    },
    /// Flattened keys do not make a tree.
    #[error("sops metadata key {key:?}: {problem}")]
    Flat {
        /// The key.
        key: String,
        /// What is wrong.
        problem: &'static str,
    },
}

impl Metadata {
    /// Reads the value of the key `sops`.
    pub(crate) fn read(value: &Value) -> Result<Self, MetadataError> {
        let Value::Map(entries) = value else { return Err(MetadataError::NotMapping) };
        let section = Section { entries };
        let mut groups = Vec::new();
        let own = section.keys()?;
        if !own.is_empty() {
            groups.push(own);
        } else if let Some(value) = section.get("key_groups") {
            for group in list(value, "key_groups")? {
                let Value::Map(entries) = group else {
                    return Err(MetadataError::Type {
                        field: "key_groups".to_owned(),
                        wanted: "a list of mappings",
                    });
                };
                groups.push(Section { entries }.keys()?);
            }
        }
        if groups.iter().all(Vec::is_empty) {
            return Err(MetadataError::NoKeys);
        }
        let last_modified = section.text("lastmodified")?.unwrap_or_default();
        time("lastmodified", &last_modified)?;
        Ok(Self {
            groups,
            shamir_threshold: section.number("shamir_threshold")?,
            selection: section.selection()?,
            mac_only_encrypted: section.flag("mac_only_encrypted")?,
            mac: section.text("mac")?.unwrap_or_default(),
            last_modified,
            version: section.text("version")?.unwrap_or_default(),
        })
    }
}

/// A mapping of the metadata; the types of its fields are weak, since flat formats know text only.
struct Section<'a> {
    entries: &'a [Entry],
}

impl<'a> Section<'a> {
    fn get(&self, field: &str) -> Option<&'a Value> {
        get(self.entries, field).filter(|value| **value != Value::Null)
    }

    fn text(&self, field: &str) -> Result<Option<String>, MetadataError> {
        let Some(value) = self.get(field) else { return Ok(None) };
        match value {
            Value::String(text) | Value::Time(text) => Ok(Some(text.clone())),
            Value::Int(_) | Value::Float(_) | Value::Bool(_) => {
                Ok(value.bytes().map(|bytes| String::from_utf8_lossy(&bytes).into_owned()))
            }
            _ => Err(MetadataError::Type { field: field.to_owned(), wanted: "text" }),
        }
    }

    fn required(&self, field: &str) -> Result<String, MetadataError> {
        Ok(self.text(field)?.unwrap_or_default())
    }

    fn number(&self, field: &str) -> Result<usize, MetadataError> {
        let wrong =
            || MetadataError::Type { field: field.to_owned(), wanted: "a number that is not negative" };
        match self.text(field)?.as_deref() {
            None | Some("") => Ok(0),
            Some(text) => text.parse().map_err(|_| wrong()),
        }
    }

    fn flag(&self, field: &str) -> Result<bool, MetadataError> {
        match self.text(field)?.as_deref() {
            None | Some("" | "false" | "False" | "0") => Ok(false),
            Some("true" | "True" | "1") => Ok(true),
            Some(_) => Err(MetadataError::Type { field: field.to_owned(), wanted: "true or false" }),
        }
    }

    fn selection(&self) -> Result<Selection, MetadataError> {
        let regex = |text: String| Regex::new(&text).ok();
        let mut found = Vec::new();
        let mut rule = |field: &str, make: &dyn Fn(String) -> Selection| -> Result<(), MetadataError> {
            if let Some(text) = self.text(field)?.filter(|text| !text.is_empty()) {
                found.push(make(text));
            }
            Ok(())
        };
        rule("unencrypted_suffix", &Selection::UnencryptedSuffix)?;
        rule("encrypted_suffix", &Selection::EncryptedSuffix)?;
        rule("unencrypted_regex", &|text| Selection::UnencryptedRegex(regex(text)))?;
        rule("encrypted_regex", &|text| Selection::EncryptedRegex(regex(text)))?;
        rule("unencrypted_comment_regex", &|text| Selection::UnencryptedCommentRegex(regex(text)))?;
        rule("encrypted_comment_regex", &|text| Selection::EncryptedCommentRegex(regex(text)))?;
        match found.len() {
            0 => Ok(Selection::default()),
            1 => Ok(found.remove(0)),
            _ => Err(MetadataError::Selections),
        }
    }

    /// The keys of all kinds, in the order in which SOPS holds them.
    fn keys(&self) -> Result<Vec<MasterKey>, MetadataError> {
        let mut keys = Vec::new();
        let mut kind = |field: &'static str,
                        read: &dyn Fn(&Section<'_>, String) -> Result<MasterKey, MetadataError>|
         -> Result<(), MetadataError> {
            let Some(value) = self.get(field) else { return Ok(()) };
            for item in list(value, field)? {
                let Value::Map(entries) = item else {
                    return Err(MetadataError::Type {
                        field: field.to_owned(),
                        wanted: "a list of mappings",
                    });
                };
                let section = Section { entries };
                if field != "age" {
                    time("created_at", &section.required("created_at")?)?;
                }
                keys.push(read(&section, section.required("enc")?)?);
            }
            Ok(())
        };
        kind("kms", &|key, encrypted| {
            let context = match key.get("context") {
                Some(Value::Map(entries)) => entries
                    .iter()
                    .filter_map(|entry| match entry {
                        Entry::Pair(name, Value::String(text)) => Some((name.clone(), text.clone())),
                        _ => None,
                    })
                    .collect(),
                _ => Vec::new(),
            };
            Ok(MasterKey::AwsKms {
                arn: key.required("arn")?,
                role: key.text("role")?.filter(|role| !role.is_empty()),
                context,
                profile: key.text("aws_profile")?.filter(|profile| !profile.is_empty()),
                encrypted,
            })
        })?;
        kind("gcp_kms", &|key, encrypted| {
            Ok(MasterKey::GcpKms { resource_id: key.required("resource_id")?, encrypted })
        })?;
        kind("hckms", &|key, encrypted| {
            Ok(MasterKey::HuaweiKms { key_id: key.required("key_id")?, encrypted })
        })?;
        kind("azure_kv", &|key, encrypted| {
            Ok(MasterKey::AzureKeyVault {
                vault_url: key.required("vault_url")?,
                name: key.required("name")?,
                version: key.required("version")?,
                encrypted,
            })
        })?;
        kind("hc_vault", &|key, encrypted| {
            Ok(MasterKey::Vault {
                address: key.required("vault_address")?,
                engine_path: key.required("engine_path")?,
                key_name: key.required("key_name")?,
                encrypted,
            })
        })?;
        kind("pgp", &|key, encrypted| Ok(MasterKey::Pgp { fingerprint: key.required("fp")?, encrypted }))?;
        kind("age", &|key, encrypted| {
            Ok(MasterKey::Age { recipient: key.required("recipient")?, encrypted })
        })?;
        Ok(keys)
    }
}

fn list<'a>(value: &'a Value, field: &str) -> Result<&'a [Value], MetadataError> {
    match value {
        Value::List(items) => Ok(items),
        Value::Null => Ok(&[]),
        _ => Err(MetadataError::Type { field: field.to_owned(), wanted: "a list" }),
    }
}

fn time(field: &'static str, text: &str) -> Result<(), MetadataError> {
    let is_time = text.len() >= "2006-01-02T15:04:05Z".len() && Timestamp::parse(text).is_some();
    if is_time { Ok(()) } else { Err(MetadataError::Time { field, text: text.to_owned() }) }
}

impl MasterKey {
    /// What people know the key by.
    pub fn name(&self) -> String {
        match self {
            Self::Age { recipient, .. } => recipient.clone(),
            Self::Pgp { fingerprint, .. } => fingerprint.clone(),
            Self::AwsKms { arn, .. } => arn.clone(),
            Self::GcpKms { resource_id, .. } => resource_id.clone(),
            Self::AzureKeyVault { vault_url, name, version, .. } => {
                format!("{}/keys/{name}/{version}", vault_url.trim_end_matches('/'))
            }
            Self::Vault { address, engine_path, key_name, .. } => {
                format!("{}/v1/{engine_path}/keys/{key_name}", address.trim_end_matches('/'))
            }
            Self::HuaweiKms { key_id, .. } => key_id.clone(),
        }
    }

    /// Which keys to try first: those that need no network.
    pub(crate) fn preference(&self) -> u8 {
        match self {
            Self::Age { .. } => 0,
            Self::Pgp { .. } => 1,
            _ => 2,
        }
    }
}
