//! Transformers: what a kustomization does to the resources it has accumulated, one file each.

mod annotations;
mod hash_suffix;
mod iam_policy;
mod images;
mod json_patch;
mod labels;
mod namespace;
mod patch;
mod prefix_suffix;
mod replicas;
mod strategic_merge;
mod value_add;

pub(crate) use annotations::AnnotationsTransformer;
pub(crate) use hash_suffix::HashTransformer;
pub(crate) use iam_policy::{IamPolicyArgs, generate as generate_iam_policy};
pub(crate) use images::ImageTransformer;
pub(crate) use json_patch::JsonPatchTransformer;
pub(crate) use labels::LabelTransformer;
pub(crate) use namespace::{NamespaceTransformer, SubjectMode};
pub(crate) use patch::{PatchTransformer, describe as describe_patch};
pub(crate) use prefix_suffix::{AffixTransformer, Side};
pub(crate) use replicas::ReplicaTransformer;
pub(crate) use strategic_merge::StrategicMergeTransformer;
pub(crate) use value_add::{ValueAddArgs, ValueAddTransformer};

use crate::error::Error;
use crate::fieldspec::FieldError;
use crate::resources::Resources;
use crate::schema::Schemas;
use thiserror::Error;

/// Something that changes resources.
pub(crate) trait Transform {
    /// Changes the resources; those it empties are dropped afterwards.
    fn transform(&self, resources: &mut Resources, schemas: &Schemas) -> Result<(), Error>;
}

/// Why a transformer fails.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub enum TransformError {
    /// A field cannot be reached or written.
    #[error(transparent)]
    Field(#[from] FieldError),
    /// The namespace cannot be written to a field.
    #[error("namespace transformation failed: {0}")]
    NamespaceField(FieldError),
    /// A namespace field spec that leads to a list or mapping.
    #[error("namespace field specs must target scalar nodes: {0}")]
    NamespaceFieldKind(FieldError),
    /// Two resources have the same id in the new namespace.
    #[error("namespace transformation produces ID conflict: [{0}]")]
    NamespaceConflict(String),
    /// An unknown mode for the subjects of role bindings.
    #[error(
        "invalid value {0:?} for setRoleBindingSubjects: must be one of \"defaultOnly\", \"none\" or \
         \"allServiceAccounts\""
    )]
    SubjectMode(String),
    /// The subjects of a role binding are not what they have to be.
    #[error("setting namespace on (cluster)role binding subjects: {0}")]
    Subjects(String),
    /// No resource has the name of an entry of `replicas`.
    #[error("resource with name {name} does not match a config with the following GVK [{kinds}]")]
    NoReplicas {
        /// The name.
        name: String,
        /// The kinds that have replicas.
        kinds: String,
    },
    /// The name of an image, used as an expression, is none.
    #[error("invalid image name {name:?}: {problem}")]
    ImageName {
        /// The name.
        name: String,
        /// Why it is no expression.
        problem: String,
    },
    /// A patch with neither text nor file.
    #[error("must specify one of patch and path in\n{0}")]
    NoPatch(String),
    /// A patch with text and file.
    #[error("patch and path can't be set at the same time\n{0}")]
    PatchAndPath(String),
    /// A patch file cannot be loaded.
    #[error("failed to get the patch file from path({path}): {problem}")]
    PatchFile {
        /// The file.
        path: String,
        /// Why.
        problem: String,
    },
    /// A patch that is neither of the two kinds.
    #[error("unable to parse SM or JSON patch from {0}")]
    UnknownPatch(String),
    /// A JSON patch without target.
    #[error("must specify a target for JSON patch {0}")]
    NoTarget(String),
    /// Several strategic merge patches for one target.
    #[error(
        "Multiple Strategic-Merge Patches in one `patches` entry is not allowed to set `patches.target` field: {0}"
    )]
    SeveralPatches(String),
    /// A strategic merge patch that is for none, or for several.
    #[error("{count} matches for Id {id}; failed to find unique target for patch {id}")]
    NotUnique {
        /// `no` or `multiple`.
        count: &'static str,
        /// The id the patch is for.
        id: String,
    },
    /// A patch of `patchesJson6902` without a name in its target.
    #[error("must specify the target name")]
    NoTargetName,
    /// A patch of `patchesJson6902` with neither text nor file.
    #[error("empty file path and empty jsonOp")]
    NoJsonPatch,
    /// A patch of `patchesJson6902` with text and file.
    #[error("must specify a file path or jsonOp, not both")]
    JsonPatchAndPath,
    /// A patch file with nothing in it.
    #[error("patch file '{0}' empty seems to be empty")]
    EmptyPatchFile(String),
    /// A patch without operations.
    #[error("patch appears to be empty; {0}")]
    EmptyPatch(String),
    /// A strategic merge transformer with nothing to do.
    #[error("empty file path and empty patch content")]
    NoStrategicMerge,
    /// A patch turns a resource into something else than an object.
    #[error("json: cannot unmarshal {0} into Go value of type map[string]interface {{}}")]
    NotAnObject(&'static str),
    /// The value of a field is not what it has to be.
    #[error("{0}")]
    Value(String),
}
