//! What the providers of Git hosting services have in common: addresses, revisions, who they are.

pub mod change_request;
pub mod commit_status;
mod github_app;

use std::collections::BTreeMap;

use fluxide_notification_api::ProviderType;
use url::Url;

/// Metadata key of the commit an event is about.
pub const COMMIT: &str = "commit";
/// Metadata key of the change request an event is about.
pub const CHANGE_REQUEST: &str = "change_request";

/// Whether providers of this type set the status of a commit.
pub fn is_commit_status(provider_type: &ProviderType) -> bool {
    matches!(
        provider_type,
        ProviderType::Github
            | ProviderType::Gitlab
            | ProviderType::Gitea
            | ProviderType::Bitbucket
            | ProviderType::BitbucketServer
            | ProviderType::AzureDevOps
    )
}

/// Whether providers of this type comment on a change request.
pub fn is_change_request(provider_type: &ProviderType) -> bool {
    matches!(
        provider_type,
        ProviderType::GithubPullRequestComment
            | ProviderType::GitlabMergeRequestComment
            | ProviderType::GiteaPullRequestComment
    )
}

/// Where a repository is hosted, and its id there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Repository {
    /// Scheme, host and port.
    pub host: Url,
    /// The path of the repository, without `.git`.
    pub id: String,
}

impl Repository {
    /// Takes an address apart as people write it: `https://`, `ssh://` or `git@host:path`.
    pub fn parse(address: &str) -> Result<Self, String> {
        let failed = |reason: &str| format!("failed parsing URL {address:?}: {reason}");
        let scp = address.split_once(':').filter(|(host, path)| {
            !address.contains("://") && !host.contains('/') && !path.is_empty() && !host.is_empty()
        });
        let text = match scp {
            Some((host, path)) => format!("ssh://{host}/{}", path.trim_start_matches('/')),
            None => address.to_owned(),
        };
        let text = match text.strip_prefix("ssh://") {
            Some(rest) => format!("https://{rest}"),
            None => text,
        };
        let mut url = Url::parse(&text).map_err(|error| failed(&error.to_string()))?;
        if !matches!(url.scheme(), "http" | "https") || !url.has_host() {
            return Err(failed("the scheme must be https, http or ssh, followed by a host"));
        }
        let path = decoded(url.path());
        let path = path.trim_start_matches('/').trim_end_matches('/');
        let id = path.strip_suffix(".git").unwrap_or(path).to_owned();
        let no_host = |()| failed("it has no host");
        url.set_username("").map_err(no_host)?;
        url.set_password(None).map_err(no_host)?;
        url.set_path("");
        url.set_query(None);
        url.set_fragment(None);
        Ok(Self { host: url, id })
    }

    /// Owner and name of the repository.
    pub fn owner_and_name(&self) -> Option<(&str, &str)> {
        let (owner, name) = self.id.split_once('/')?;
        (!owner.is_empty() && !name.is_empty() && !name.contains('/')).then_some((owner, name))
    }

    /// A URL on the host, of path segments that are encoded as needed.
    pub fn url<'a>(&self, segments: impl IntoIterator<Item = &'a str>) -> Url {
        with_segments(&self.host, segments)
    }
}

/// A path without percent-encoding; as it is if that would not be text.
pub fn decoded(path: &str) -> String {
    let mut bytes = Vec::with_capacity(path.len());
    let mut rest = path.as_bytes();
    while let [first, after @ ..] = rest {
        let hex = |byte: &u8| char::from(*byte).to_digit(16).and_then(|digit| u8::try_from(digit).ok());
        let pair = match (first, after) {
            (b'%', [high, low, ..]) => hex(high).zip(hex(low)),
            _ => None,
        };
        match pair {
            Some((high, low)) => {
                bytes.push(high << 4 | low);
                rest = &after[2..];
            }
            None => {
                bytes.push(*first);
                rest = after;
            }
        }
    }
    String::from_utf8(bytes).unwrap_or_else(|_| path.to_owned())
}

/// A URL with path segments added, encoded as needed.
pub fn with_segments<'a>(base: &Url, segments: impl IntoIterator<Item = &'a str>) -> Url {
    let mut url = base.clone();
    if let Ok(mut path) = url.path_segments_mut() {
        path.pop_if_empty().extend(segments);
    }
    url
}

/// The commit that the metadata of an event names: 40 characters, which the service knows or not.
pub fn commit(metadata: &BTreeMap<String, String>) -> Result<String, String> {
    let revision = [COMMIT, "originRevision", "revision"].iter().find_map(|key| metadata.get(*key));
    let revision = revision.ok_or("missing revision metadata")?;
    let hash = match revision.rsplit_once(':') {
        Some((_, hash)) => hash,
        None => revision.rsplit('/').next().unwrap_or(revision),
    };
    if hash.len() == 40 {
        return Ok(hash.to_owned());
    }
    Err(format!("failed to extract commit hash from '{revision}' revision"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn repositories_are_written_in_many_ways() {
        let parse = |address: &str| {
            let repository = Repository::parse(address).unwrap();
            (repository.host.as_str().to_owned(), repository.id)
        };
        let pair = |host: &str, id: &str| (host.to_owned(), id.to_owned());
        assert_eq!(parse("https://github.com/org/repo.git"), pair("https://github.com/", "org/repo"));
        assert_eq!(parse("ssh://git@host:2222/a/b.git"), pair("https://host:2222/", "a/b"));
        assert_eq!(parse("git@github.com:org/repo.git"), pair("https://github.com/", "org/repo"));
        assert_eq!(parse("http://u:p@host:1/x/y/?q"), pair("http://host:1/", "x/y"));
        assert!(Repository::parse("ftp://host/x").is_err());
        assert!(Repository::parse("nonsense").is_err());
        assert_eq!(Repository::parse("https://h/a/b/c").unwrap().owner_and_name(), None);
    }

    #[test]
    fn revisions_end_in_a_commit() {
        let hash = "0123456789abcdef0123456789abcdef01234567";
        let commit = |pairs: &[(&str, &str)]| {
            commit(&pairs.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect())
        };
        for revision in
            [format!("main@sha1:{hash}"), format!("feature/a/b@sha1:{hash}"), format!("main/{hash}")]
        {
            assert_eq!(commit(&[("revision", &revision)]).unwrap(), hash);
        }
        let other = hash.replace('0', "f");
        assert_eq!(commit(&[("revision", hash), ("originRevision", &other)]).unwrap(), other);
        assert_eq!(commit(&[("commit", hash), ("originRevision", &other)]).unwrap(), hash);
        assert_eq!(commit(&[]).unwrap_err(), "missing revision metadata");
        assert_eq!(
            commit(&[("revision", "1.2.3")]).unwrap_err(),
            "failed to extract commit hash from '1.2.3' revision"
        );
    }
}
