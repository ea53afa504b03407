//! `fluxide kustomize build`: what `kustomize build` prints, or what Flux would apply, without a cluster.

mod output;
mod remote;

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::{Args, Subcommand, ValueEnum};
use fluxide_kustomize::{
    DiskFs, FileSystem, FsError, LoadError, LoadRestrictor, RepositoryAddress, ResourceOrder, Resources,
    build,
};
use fluxide_kustomize_api::KustomizationSpec;
use fluxide_kustomize_controller::artifact_fs::{ArtifactFs, clean};
use fluxide_kustomize_controller::generate;

use crate::deferred::Deferred;
use crate::parse_bool;

use output::write;
use remote::Network;

/// Set to `on`, it puts the label of `--enable-managedby-label` on everything.
const MANAGED_BY_LABEL_VARIABLE: &str = "KUSTOMIZE_ENABLE_MANAGEDBY_LABEL";

const MANAGED_BY_LABEL_DEPRECATED: &str = "Flag --enable-managedby-label has been deprecated, The flag \
    `enable-managedby-label` has been deprecated. Use the `managedByLabel` option in the `buildMetadata` field instead.";

/// What to do with a kustomization.
#[derive(Debug, Args)]
pub struct Options {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Print the objects that a kustomization.yaml describes.
    ///
    /// DIR is a directory that holds a kustomization.yaml, or the address of a Git repository with a path in it, such as
    /// https://github.com/org/repo//deploy?ref=v1.0; the current directory if there is none.
    Build(Deferred<BuildOptions>),
}

/// What to build, how, and where to.
#[derive(Debug, Args)]
pub struct BuildOptions {
    /// Where the kustomization is [default: .]
    #[arg(value_name = "DIR")]
    directories: Vec<String>,
    /// LoadRestrictionsRootOnly: a kustomization loads files from its own directory only;
    /// LoadRestrictionsNone: from anywhere.
    #[arg(long, value_name = "RESTRICTION", default_value = "LoadRestrictionsRootOnly")]
    load_restrictor: String,
    /// Write to this file, or one file for each object into this directory.
    #[arg(short, long, value_name = "PATH")]
    output: Option<String>,
    /// Build as `kustomize build` does, or as Flux's kustomize-controller does.
    #[arg(long, value_enum, default_value_t = Mode::Kustomize)]
    mode: Mode,
    /// With --mode flux: the root of the source, outside which nothing is read [default: .]
    #[arg(long, value_name = "ROOT")]
    root: Option<PathBuf>,
    /// Refuse bases and files that would have to be fetched.
    #[arg(long)]
    no_remote_bases: bool,
    /// Order of the objects: legacy or none. Use the field sortOptions instead.
    #[arg(long, value_name = "ORDER", hide = true)]
    reorder: Option<String>,
    /// Label everything. Use buildMetadata: [managedByLabel] instead.
    #[arg(long, hide = true, num_args = 0..=1, require_equals = true, default_missing_value = "true", value_parser = parse_bool)]
    enable_managedby_label: Option<bool>,
    #[command(flatten)]
    programs: ProgramFlags,
}

/// Flags of kustomize about programs it would run. They are accepted, so that scripts keep working; nothing is ever run.
#[derive(Debug, Args)]
#[command(next_help_heading = "Accepted for kustomize's sake: no plugin, function or chart is ever run")]
struct ProgramFlags {
    #[arg(long, num_args = 0..=1, require_equals = true, default_missing_value = "true", value_parser = parse_bool)]
    as_current_user: Option<bool>,
    #[arg(long, num_args = 0..=1, require_equals = true, default_missing_value = "true", value_parser = parse_bool)]
    enable_alpha_plugins: Option<bool>,
    #[arg(long, num_args = 0..=1, require_equals = true, default_missing_value = "true", value_parser = parse_bool)]
    enable_exec: Option<bool>,
    #[arg(long, num_args = 0..=1, require_equals = true, default_missing_value = "true", value_parser = parse_bool)]
    enable_helm: Option<bool>,
    #[arg(long, num_args = 0..=1, require_equals = true, default_missing_value = "true", value_parser = parse_bool)]
    helm_debug: Option<bool>,
    #[arg(long, num_args = 0..=1, require_equals = true, default_missing_value = "true", value_parser = parse_bool)]
    network: Option<bool>,
    #[arg(long, num_args = 0..=1, require_equals = true, default_missing_value = "true", value_parser = parse_bool)]
    stack_trace: Option<bool>,
    #[arg(short, long, value_name = "NAME=VALUE")]
    env: Vec<String>,
    #[arg(long, value_name = "VERSION")]
    helm_api_versions: Vec<String>,
    #[arg(long, value_name = "PATH")]
    helm_command: Option<String>,
    #[arg(long, value_name = "VERSION")]
    helm_kube_version: Option<String>,
    #[arg(long, value_name = "MOUNT")]
    mount: Vec<String>,
    #[arg(long, value_name = "NAME")]
    network_name: Option<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Mode {
    /// Byte for byte what kustomize prints.
    Kustomize,
    /// What Flux applies: a kustomization.yaml is generated where there is none, nothing is sorted, and files are read
    /// from everywhere in the source.
    Flux,
}

/// Why there is no output. The words are kustomize's wherever it has some.
#[derive(Debug, thiserror::Error)]
enum Error {
    #[error("specify one path to kustomization.yaml")]
    SeveralDirectories,
    #[error("illegal flag value --{flag} {value}; legal values: [{legal}]")]
    FlagValue { flag: &'static str, value: String, legal: &'static str },
    #[error("must build at directory: directory path cannot be empty")]
    EmptyDirectory,
    #[error("--root is for --mode flux: kustomize confines files with --load-restrictor")]
    RootWithoutFlux,
    #[error("--mode flux builds a directory of a source, not the address '{0}': clone it and give its path")]
    AddressInFluxMode(String),
    #[error("cannot use --root {root}: {source}")]
    Root { root: String, source: FsError },
    #[error("'{directory}' is not in or below the root '{root}': give a --root that holds it")]
    OutsideRoot { directory: String, root: String },
    #[error(transparent)]
    Load(#[from] LoadError),
    #[error(transparent)]
    Generate(#[from] generate::Error),
    #[error("kustomize build failed: {0}")]
    FluxBuild(fluxide_kustomize::Error),
    #[error("{0}")]
    Build(#[from] fluxide_kustomize::Error),
    #[error(transparent)]
    Output(#[from] output::Error),
}

/// Runs the command. Its errors are printed here, as kustomize prints them.
pub fn run(options: Options) -> ExitCode {
    let Command::Build(options) = options.command;
    match run_build(&options.into_inner()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("Error: {error}");
            if let Error::Build(cause) | Error::FluxBuild(cause) = &error
                && cause.wants_program()
            {
                eprintln!("fluxide runs no plugins, functions or helm: replace them by what they generate");
            }
            ExitCode::FAILURE
        }
    }
}

/// What kustomize says of a command line that cannot be understood; it exits with 1, where clap has 2.
///
/// `last` is the last argument: a flag given by its letter is named by its letter.
pub fn usage_error(error: &clap::Error, last: &str) -> String {
    use clap::error::{ContextKind, ErrorKind};
    let context = |kind| error.get(kind).map(ToString::to_string).unwrap_or_default();
    let argument = context(ContextKind::InvalidArg);
    let flag = argument.split([' ', '=', '[']).next().unwrap_or_default();
    let value = context(ContextKind::InvalidValue);
    let letter = |flag: &str| flag.strip_prefix('-').filter(|rest| !rest.starts_with('-')).map(str::to_owned);
    match error.kind() {
        ErrorKind::UnknownArgument => match letter(flag) {
            Some(letter) => format!("Error: unknown shorthand flag: '{letter}' in {flag}"),
            None => format!("Error: unknown flag: {flag}"),
        },
        ErrorKind::InvalidValue if value.is_empty() => match letter(last) {
            Some(letter) => format!("Error: flag needs an argument: '{letter}' in {last}"),
            None => format!("Error: flag needs an argument: {flag}"),
        },
        ErrorKind::ValueValidation => {
            let problem = std::error::Error::source(error).map(ToString::to_string).unwrap_or_default();
            format!("Error: invalid argument {value:?} for {flag:?} flag: {problem}")
        }
        _ => {
            let text = error.render().to_string();
            format!("Error: {}", text.strip_prefix("error: ").unwrap_or(&text).trim_end())
        }
    }
}

fn run_build(options: &BuildOptions) -> Result<(), Error> {
    let directory = match options.directories.as_slice() {
        [] => ".",
        [directory] => directory.as_str(),
        _ => return Err(Error::SeveralDirectories),
    };
    let restrictor = load_restrictor(&options.load_restrictor)?;
    let order = options.reorder.as_deref().map(reorder).transpose()?;
    let network = Network::default();
    let warn = |warning: &str| eprintln!("{warning}");
    let mut engine = match options.mode {
        Mode::Kustomize => fluxide_kustomize::Options::kustomize().with_load_restrictor(restrictor),
        Mode::Flux => fluxide_kustomize::Options::flux(),
    };
    engine = engine.with_warnings(&warn);
    if !options.no_remote_bases {
        engine = engine.with_remote(&network);
    }
    engine.order = order;
    if options.enable_managedby_label.is_some() {
        eprintln!("{MANAGED_BY_LABEL_DEPRECATED}");
    }
    engine.managed_by_label = options.enable_managedby_label.unwrap_or(false)
        || std::env::var(MANAGED_BY_LABEL_VARIABLE).is_ok_and(|value| value == "on");
    let resources = match options.mode {
        Mode::Kustomize if options.root.is_some() => return Err(Error::RootWithoutFlux),
        Mode::Kustomize => build_plainly(directory, &engine)?,
        Mode::Flux => {
            let root = options.root.as_deref().unwrap_or(Path::new("."));
            build_as_flux(directory, root, &engine)?
        }
    };
    Ok(write(resources, options.output.as_deref().map(Path::new))?)
}

fn load_restrictor(value: &str) -> Result<LoadRestrictor, Error> {
    match value {
        "LoadRestrictionsRootOnly" | "" => Ok(LoadRestrictor::RootOnly),
        "LoadRestrictionsNone" => Ok(LoadRestrictor::None),
        _ => Err(Error::FlagValue {
            flag: "load-restrictor",
            value: value.to_owned(),
            legal: "LoadRestrictionsRootOnly LoadRestrictionsNone",
        }),
    }
}

fn reorder(value: &str) -> Result<ResourceOrder, Error> {
    eprintln!(
        "Flag --reorder has been deprecated, use the new 'sortOptions' field in kustomization.yaml instead."
    );
    match value {
        "legacy" => Ok(ResourceOrder::Legacy),
        "none" => Ok(ResourceOrder::Accumulation),
        _ => Err(Error::FlagValue { flag: "reorder", value: value.to_owned(), legal: "legacy none" }),
    }
}

fn build_plainly(directory: &str, engine: &fluxide_kustomize::Options<'_>) -> Result<Resources, Error> {
    let fs = DiskFs::new("/").map_err(fluxide_kustomize::Error::from)?;
    if RepositoryAddress::parse(directory).is_some() {
        return Ok(build(&fs, directory, engine)?);
    }
    if directory.is_empty() {
        return Err(Error::EmptyDirectory);
    }
    // The engine knows absolute paths only; what is wrong with the one given is said in the user's words.
    match fs.resolve(&absolute(directory)) {
        Ok(resolved) if resolved.is_dir => Ok(build(&fs, &resolved.path, engine)?),
        Ok(_) => Err(LoadError::FileIsNotDirectory(directory.to_owned()).into()),
        Err(FsError::Resolve { missing, reason, .. }) => {
            let path = directory.to_owned();
            Err(LoadError::NotADirectory(FsError::Resolve { path, missing, reason }).into())
        }
        Err(error) => Err(LoadError::NotADirectory(error).into()),
    }
}

fn build_as_flux(
    directory: &str,
    root: &Path,
    engine: &fluxide_kustomize::Options<'_>,
) -> Result<Resources, Error> {
    if RepositoryAddress::parse(directory).is_some() && !Path::new(directory).exists() {
        return Err(Error::AddressInFluxMode(directory.to_owned()));
    }
    let source_root = |source| Error::Root { root: root.display().to_string(), source };
    let whole = DiskFs::new("/").map_err(source_root)?;
    let real_root = whole.resolve(&absolute(&root.to_string_lossy())).map_err(source_root)?.path;
    let found = match whole.resolve(&absolute(directory)) {
        Ok(found) if found.is_dir => found.path,
        Ok(_) => return Err(LoadError::FileIsNotDirectory(directory.to_owned()).into()),
        Err(error) => return Err(LoadError::NotADirectory(error).into()),
    };
    let below = match found.strip_prefix(&real_root) {
        Some(below) if below.is_empty() || below.starts_with('/') || real_root == "/" => clean(below),
        _ => return Err(Error::OutsideRoot { directory: directory.to_owned(), root: real_root }),
    };
    let mut files = ArtifactFs::new(Path::new(&real_root)).map_err(source_root)?;
    generate::generate(&mut files, &below, &plain_spec())?;
    build(&files, &below, engine).map_err(Error::FluxBuild)
}

/// A Kustomization that adds nothing of its own.
fn plain_spec() -> KustomizationSpec {
    let spec = serde_json::json!({
        "interval": "10m", "prune": false, "sourceRef": {"kind": "GitRepository", "name": "flux-system"},
    });
    match serde_json::from_value(spec) {
        Ok(spec) => spec,
        Err(error) => unreachable!("the required fields are there: {error}"),
    }
}

fn absolute(path: &str) -> String {
    std::path::absolute(path).map_or_else(|_| path.to_owned(), |path| path.to_string_lossy().into_owned())
}
