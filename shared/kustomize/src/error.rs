//! What can go wrong in a build.

use crate::config::ConfigError;
use crate::fs::FsError;
use crate::generate::GeneratorError;
use crate::jsonpatch::JsonPatchError;
use crate::kustomization::KustomizationError;
use crate::kustomization::decode::DecodeError;
use crate::loader::LoadError;
use crate::merge::MergeError;
use crate::node::NodeError;
use crate::plugin::PluginError;
use crate::reader::ReadError;
use crate::remote::RemoteError;
use crate::replacement::ReplacementError;
use crate::schema::SchemaError;
use crate::selector::SelectorError;
use crate::sort::SortError;
use crate::transform::TransformError;
use crate::vars::VarError;
use thiserror::Error;

/// Why a build failed. The texts are kustomize's wherever it has one.
#[derive(Clone, Debug, Error)]
#[non_exhaustive]
pub enum Error {
    /// Something failed while something else was being done.
    #[error("{context}: {source}")]
    Context {
        /// What was being done.
        context: String,
        /// What failed.
        source: Box<Error>,
    },
    /// A file or directory cannot be used.
    #[error(transparent)]
    Load(#[from] LoadError),
    /// Something remote cannot be fetched.
    #[error(transparent)]
    Remote(#[from] RemoteError),
    /// A kustomization file is invalid.
    #[error(transparent)]
    Kustomization(#[from] KustomizationError),
    /// A file does not hold resources.
    #[error(transparent)]
    Read(#[from] ReadError),
    /// A YAML file that is not YAML.
    #[error("{source} in File: {path}")]
    Malformed {
        /// The file.
        path: String,
        /// What is wrong in it.
        source: ReadError,
    },
    /// `path` of `resources` is neither a file with resources nor a directory with a kustomization.
    #[error("accumulation err='{file}': {directory}")]
    Accumulation {
        /// Why it is not a file of resources.
        file: Box<Error>,
        /// Why it is not a kustomization.
        directory: Box<Error>,
    },
    /// A base that is a component, or a component that is none.
    #[error("{0}")]
    WrongKind(String),
    /// A component cannot be accumulated.
    #[error("{what} {}", crate::yaml::quote(&.source.to_string()))]
    Component {
        /// What was being done.
        what: &'static str,
        /// What failed.
        source: Box<Error>,
    },
    /// Two resources with the same id.
    #[error("may not add resource with an already registered id: {id}")]
    DuplicateId {
        /// The id.
        id: String,
    },
    /// A generated resource does not fit what exists.
    #[error("id {id} {problem}")]
    Absorb {
        /// The id, as Go prints its struct.
        id: String,
        /// Why it does not fit.
        problem: String,
    },
    /// A generated resource fits several that exist.
    #[error("found multiple objects {candidates} that could accept merge of {id}")]
    AmbiguousMerge {
        /// The ids of the objects.
        candidates: String,
        /// The id of the generated resource.
        id: String,
    },
    /// Input annotations that claim previous ids and do not fit together.
    #[error(
        "number of previous names, number of previous namespaces, number of previous kinds not equal: remove the \
         internal.config.kubernetes.io/previous* annotations of {id}"
    )]
    PreviousIds {
        /// The resource.
        id: String,
    },
    /// A generator fails.
    #[error(transparent)]
    Generator(#[from] GeneratorError),
    /// Field specs contradict each other.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// A file of `configurations`, or a plugin's configuration, has a wrong field.
    #[error("error unmarshaling JSON: while decoding JSON: {0}")]
    Decode(#[from] DecodeError),
    /// A file of `configurations`, `crds` or `replacements`, or a plugin's configuration, is not YAML.
    #[error("error converting YAML to JSON: {0}")]
    Yaml(String),
    /// A schema cannot be used.
    #[error(transparent)]
    Schema(#[from] SchemaError),
    /// A selector cannot be used.
    #[error(transparent)]
    Selector(#[from] SelectorError),
    /// A strategic merge patch cannot be merged.
    #[error(transparent)]
    Merge(#[from] MergeError),
    /// A JSON patch cannot be applied.
    #[error(transparent)]
    JsonPatch(#[from] JsonPatchError),
    /// A field is not what it has to be.
    #[error(transparent)]
    Node(#[from] NodeError),
    /// A transformer fails.
    #[error(transparent)]
    Transform(Box<TransformError>),
    /// A replacement fails.
    #[error(transparent)]
    Replacement(#[from] ReplacementError),
    /// A plugin cannot be used.
    #[error(transparent)]
    Plugin(#[from] PluginError),
    /// A variable cannot be resolved.
    #[error(transparent)]
    Var(#[from] VarError),
    /// `sortOptions` make no sense.
    #[error(transparent)]
    Sort(#[from] SortError),
    /// A resource cannot be printed.
    #[error("{id}: {message}")]
    Output {
        /// The resource.
        id: String,
        /// Why, and what to do.
        message: String,
    },
    /// The build would become larger than allowed.
    #[error("{what} exceeds the limit of {limit}")]
    Limit {
        /// What is too large.
        what: &'static str,
        /// The limit.
        limit: u64,
    },
}

impl Error {
    /// The error with what was being done in front.
    pub(crate) fn context(self, context: impl Into<String>) -> Error {
        Error::Context { context: context.into(), source: Box::new(self) }
    }

    /// Whether the cause is a file that is not YAML.
    pub fn is_malformed_yaml(&self) -> bool {
        match self {
            Error::Context { source, .. } => source.is_malformed_yaml(),
            Error::Malformed { .. } => true,
            Error::Read(err) => err.is_malformed(),
            _ => false,
        }
    }

    /// Whether the kustomization asks for a plugin, a function or a Helm chart: what only another program could do.
    pub fn wants_program(&self) -> bool {
        match self {
            Error::Context { source, .. } | Error::Component { source, .. } => source.wants_program(),
            Error::Accumulation { file, directory } => file.wants_program() || directory.wants_program(),
            Error::Plugin(cause) => matches!(cause, PluginError::Helm | PluginError::External(_)),
            _ => false,
        }
    }

    /// Whether the cause is a remote server that refused, so that trying anything else with the address is pointless.
    pub(crate) fn is_http_status(&self) -> bool {
        match self {
            Error::Context { source, .. } => source.is_http_status(),
            Error::Remote(RemoteError::Status { .. }) => true,
            _ => false,
        }
    }

    pub(crate) fn is_timeout(&self) -> bool {
        match self {
            Error::Context { source, .. } => source.is_timeout(),
            Error::Remote(RemoteError::Timeout(..)) => true,
            _ => false,
        }
    }
}

impl From<TransformError> for Error {
    fn from(err: TransformError) -> Error {
        Error::Transform(Box::new(err))
    }
}

impl From<FsError> for Error {
    fn from(err: FsError) -> Error {
        Error::Load(LoadError::Fs(err))
    }
}
