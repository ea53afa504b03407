//! Post-rendering: another program's, or Flux's own, changes to the rendered manifests before they are stored.

use std::collections::BTreeMap;

use fluxide_goyaml::{Node, kio};
use thiserror::Error;

use crate::file::base_name;
use crate::manifest::{ManifestError, sort_manifests, split_manifests};

/// The annotation that tells, while manifests are with the post-renderer, which template they came from.
const FILE_NAME: &str = "postrenderer.helm.sh/postrender-filename";

/// Changes rendered manifests.
pub trait PostRenderer {
    /// Takes a stream of YAML documents and gives another one.
    fn run(&mut self, manifests: &str) -> Result<String, String>;
}

/// Which manifests go through the post-renderer together.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum PostRenderStrategy {
    /// Hooks and other manifests in one stream. The default of Helm 4.
    #[default]
    Combined,
    /// Hooks in one stream, other manifests in another, so that both may have the same object.
    Separate,
    /// Hooks stay as they are, as in Helm 3.
    NoHooks,
}

/// Why post-rendering failed. The texts are Helm's.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub enum PostRenderError {
    /// A document is no YAML mapping.
    #[error("error merging {group}: {problem}")]
    Merge {
        /// `hooks` or `manifests`.
        group: &'static str,
        /// What is wrong, with the template's name.
        problem: String,
    },
    /// The post-renderer failed.
    #[error("error while running post render on {group}: {problem}")]
    Run {
        /// `files`, `hooks` or `manifests`.
        group: &'static str,
        /// What it said.
        problem: String,
    },
    /// What the post-renderer gave is no YAML.
    #[error("error while parsing post rendered output{group}: {problem}")]
    Parse {
        /// Empty, ` for hooks` or ` for manifests`.
        group: &'static str,
        /// What is wrong.
        problem: String,
    },
    /// The manifests cannot be told apart.
    #[error(transparent)]
    Manifest(#[from] ManifestError),
}

type Files = BTreeMap<String, String>;

/// Sends the rendered files through the post-renderer and gives the files that come out of it.
pub(crate) fn post_render(
    files: Files,
    strategy: PostRenderStrategy,
    renderer: &mut dyn PostRenderer,
) -> Result<Files, PostRenderError> {
    if strategy == PostRenderStrategy::Combined {
        let merged =
            annotate(&files).map_err(|problem| PostRenderError::Merge { group: "manifests", problem })?;
        let output =
            renderer.run(&merged).map_err(|problem| PostRenderError::Run { group: "files", problem })?;
        return split(&output, "").map_err(|problem| PostRenderError::Parse { group: "", problem });
    }
    let (hooks, manifests) = sort_manifests(files)?;
    let mut hook_files = Files::new();
    for hook in hooks {
        append(&mut hook_files, hook.path, hook.manifest);
    }
    let mut manifest_files = Files::new();
    for manifest in manifests {
        append(&mut manifest_files, manifest.path, manifest.content);
    }
    let mut result = Files::new();
    for (group, files) in [("hooks", hook_files), ("manifests", manifest_files)] {
        if files.is_empty() {
            continue;
        }
        let files = if group == "hooks" && strategy == PostRenderStrategy::NoHooks {
            files
        } else {
            let merged = annotate(&files).map_err(|problem| PostRenderError::Merge { group, problem })?;
            let output = renderer.run(&merged).map_err(|problem| PostRenderError::Run { group, problem })?;
            let parsed = if group == "hooks" { " for hooks" } else { " for manifests" };
            split(&output, group).map_err(|problem| PostRenderError::Parse { group: parsed, problem })?
        };
        for (path, text) in files {
            append(&mut result, path, text);
        }
    }
    Ok(result)
}

fn append(files: &mut Files, path: String, text: String) {
    match files.get_mut(&path) {
        Some(existing) => {
            existing.push_str("\n---\n");
            existing.push_str(&text);
        }
        None => {
            files.insert(path, text);
        }
    }
}

/// All documents as one stream, each with the name of its file.
fn annotate(files: &Files) -> Result<String, String> {
    let mut documents = Vec::new();
    for (path, text) in files {
        if base_name(path).starts_with('_') || text.trim().is_empty() {
            continue;
        }
        for document in split_manifests(text) {
            let nodes =
                kio::parse_all(document.as_bytes()).map_err(|error| format!("parsing {path}: {error}"))?;
            for mut node in nodes {
                kio::set_annotation(node.root_mut(), FILE_NAME, path)
                    .map_err(|error| format!("annotating {path}: {error}"))?;
                documents.push(node);
            }
        }
    }
    kio::string_all(&documents).map_err(|error| format!("writing merged docs: {error}"))
}

/// The files that a stream is made of, by the names that [`annotate`] gave.
fn split(stream: &str, group: &str) -> Result<Files, String> {
    let documents =
        kio::parse_all(stream.as_bytes()).map_err(|error| format!("error parsing YAML: {error}"))?;
    let mut by_file: BTreeMap<String, Vec<Node>> = BTreeMap::new();
    for (at, mut document) in documents.into_iter().enumerate() {
        let root = document.root_mut();
        let mut path = kio::annotation(root, FILE_NAME).to_owned();
        if path.is_empty() {
            let dash = if group.is_empty() { "" } else { "-" };
            path = format!("generated-by-postrender-{group}{dash}{at}.yaml");
        }
        kio::clear_annotation(root, FILE_NAME)
            .map_err(|error| format!("clearing filename annotation: {error}"))?;
        by_file.entry(path).or_default().push(document);
    }
    let write = |(path, documents): (String, Vec<Node>)| {
        let text = kio::string_all(&documents).map_err(|error| format!("re-writing {path}: {error}"))?;
        Ok((path, text))
    };
    by_file.into_iter().map(write).collect()
}
