//! How to build: the two modes, what may be loaded, and the limits on hostile input.

use crate::remote::RemoteLoader;

/// Whose conventions a build follows.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Mode {
    /// As the `kustomize build` command does: legacy order unless `sortOptions` says otherwise; `openapi.path`
    /// replaces the built-in schema.
    #[default]
    Kustomize,
    /// As Flux's kustomize-controller does: order of accumulation unless `sortOptions` says otherwise; `openapi.path`
    /// adds to the built-in schema.
    Flux,
}

/// Which files a kustomization may load.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum LoadRestrictor {
    /// Only files in or below the directory of the kustomization that names them.
    #[default]
    RootOnly,
    /// Any file of the file system.
    None,
}

/// The order of the result when the kustomization has no `sortOptions`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ResourceOrder {
    /// As accumulated.
    Accumulation,
    /// Namespaces and definitions first, webhooks last, the rest by kind and name.
    Legacy,
}

/// Bounds on what a build may read and produce. Exceeding one is an error, never a truncation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// The largest single file.
    pub file_bytes: u64,
    /// All files together.
    pub total_bytes: u64,
    /// How deep kustomizations may refer to each other.
    pub depth: usize,
    /// How many resources may exist at a time.
    pub resources: usize,
}

impl Default for Limits {
    fn default() -> Limits {
        Limits { file_bytes: 32 << 20, total_bytes: 256 << 20, depth: 64, resources: 100_000 }
    }
}

/// Everything a build can be told. Start from [`Options::kustomize`] or [`Options::flux`].
#[derive(Clone, Copy, Default)]
pub struct Options<'a> {
    /// Whose conventions apply.
    pub mode: Mode,
    /// Which files may be loaded.
    pub load_restrictor: LoadRestrictor,
    /// Another order than the mode's.
    pub order: Option<ResourceOrder>,
    /// Put the label `app.kubernetes.io/managed-by` on everything, as `buildMetadata: [managedByLabel]` does.
    pub managed_by_label: bool,
    /// What fetches remote bases and files; without one they are refused.
    pub remote: Option<&'a dyn RemoteLoader>,
    /// What is told of deprecated fields as soon as they are met, whether or not the build succeeds.
    pub warn: Option<&'a dyn Fn(&str)>,
    /// Bounds on what is read.
    pub limits: Limits,
}

impl<'a> Options<'a> {
    /// What `kustomize build` does without flags, except that remote bases need [`Options::with_remote`].
    pub fn kustomize() -> Options<'a> {
        Options::default()
    }

    /// What Flux does: any file of the (confined) file system may be loaded.
    pub fn flux() -> Options<'a> {
        Options { mode: Mode::Flux, load_restrictor: LoadRestrictor::None, ..Options::default() }
    }

    /// The same options with remote bases fetched by `loader`.
    pub fn with_remote(mut self, loader: &'a dyn RemoteLoader) -> Options<'a> {
        self.remote = Some(loader);
        self
    }

    /// The order of the result when the kustomization has no `sortOptions`.
    pub fn default_order(&self) -> ResourceOrder {
        self.order.unwrap_or(match self.mode {
            Mode::Kustomize => ResourceOrder::Legacy,
            Mode::Flux => ResourceOrder::Accumulation,
        })
    }

    /// The same options with warnings told to `warn`.
    pub fn with_warnings(mut self, warn: &'a dyn Fn(&str)) -> Options<'a> {
        self.warn = Some(warn);
        self
    }

    /// The same options with another load restriction.
    pub fn with_load_restrictor(mut self, restrictor: LoadRestrictor) -> Options<'a> {
        self.load_restrictor = restrictor;
        self
    }
}
