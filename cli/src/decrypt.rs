//! `fluxide decrypt`: opens a SOPS file as kustomize-controller would, with keys from this machine or
//! from a Secret of the cluster.

use std::io::{self, Read as _, Write as _};
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context, bail};
use clap::ValueEnum;
use fluxide_auth::Environment;
use fluxide_kms::{Services, Settings};
use fluxide_kustomize_controller::decrypt::{self, Keys};
use fluxide_sops::{Encrypted, Format, KeyService, Keyring, MasterKey};

use crate::connection::ConnectionOptions;

/// Larger files are refused, as in the controller.
const MOST_BYTES: u64 = 5 << 20;

/// What to decrypt, and with which keys.
///
/// Without any of the key flags the keys are those that sops itself would use: SOPS_AGE_KEY, SOPS_AGE_KEY_FILE,
/// SOPS_AGE_SSH_PRIVATE_KEY_FILE or ~/.config/sops/age/keys.txt, and the identity of this machine at AWS, Google Cloud, Azure
/// or Vault. With --secret they are those of a Kustomization that names this Secret in spec.decryption.secretRef.
#[derive(Debug, clap::Args)]
pub struct Options {
    /// The encrypted file; - for standard input.
    file: String,
    /// A file with age identities.
    #[arg(long, value_name = "FILE")]
    age_key_file: Vec<PathBuf>,
    /// An SSH private key that the file was encrypted for.
    #[arg(long, value_name = "FILE")]
    ssh_key_file: Vec<PathBuf>,
    /// A file with armored OpenPGP secret keys.
    #[arg(long, value_name = "FILE")]
    pgp_key_file: Vec<PathBuf>,
    /// The decryption Secret to take the keys from.
    #[arg(long, value_name = "NAME")]
    secret: Option<String>,
    /// The format of the file, if its name does not tell.
    #[arg(long, value_name = "FORMAT")]
    input_type: Option<FormatName>,
    /// The format to print [default: that of the file].
    #[arg(long, value_name = "FORMAT")]
    output_type: Option<FormatName>,
    /// Print even when the file was changed after it was encrypted.
    #[arg(long)]
    ignore_mac: bool,
    /// Print nothing but which key opens the file.
    #[arg(long)]
    check: bool,
    #[command(flatten)]
    connection: ConnectionOptions,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum FormatName {
    Yaml,
    Json,
    Dotenv,
    Ini,
    Binary,
}

impl From<FormatName> for Format {
    fn from(name: FormatName) -> Self {
        match name {
            FormatName::Yaml => Self::Yaml,
            FormatName::Json => Self::Json,
            FormatName::Dotenv => Self::Dotenv,
            FormatName::Ini => Self::Ini,
            FormatName::Binary => Self::Binary,
        }
    }
}

/// Decrypts and prints.
pub async fn run(options: Options) -> anyhow::Result<ExitCode> {
    fluxide_runtime::tls::install_provider();
    let bytes = read(&options.file)?;
    let input = options.input_type.map_or_else(|| Format::of_name(&options.file), Format::from);
    let output = options.output_type.map_or(input, Format::from);
    let encrypted =
        Encrypted::load(&bytes, input).with_context(|| format!("{} is not a SOPS file", options.file))?;
    let keys = keys(&options).await?;
    let (ignore_mac, check) = (options.ignore_mac, options.check);
    // Services are asked from a thread that may block.
    let plain = tokio::task::spawn_blocking(move || -> anyhow::Result<Vec<u8>> {
        let mut keys = Noting { keys, used: Vec::new() };
        let data_key = encrypted.data_key(&mut keys)?;
        let decrypted = encrypted.decrypt(&data_key)?;
        if !ignore_mac {
            decrypted.verify_mac().context(
                "the file was changed without sops after it was encrypted (--ignore-mac prints it nevertheless)",
            )?;
        }
        if check {
            return Ok(format!("✔ opened with {}\n", keys.used.join(", ")).into_bytes());
        }
        Ok(decrypted.document.emit(output)?)
    });
    let plain = plain.await?.with_context(|| format!("{} cannot be decrypted", options.file))?;
    let mut stdout = io::stdout().lock();
    match stdout.write_all(&plain).and_then(|()| stdout.flush()) {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => Err(error.into()),
        _ => Ok(ExitCode::SUCCESS),
    }
}

fn read(file: &str) -> anyhow::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    let most = MOST_BYTES + 1;
    let read = match file {
        "-" => io::stdin().take(most).read_to_end(&mut bytes),
        file => std::fs::File::open(file).and_then(|file| file.take(most).read_to_end(&mut bytes)),
    };
    read.with_context(|| format!("{file} cannot be read"))?;
    if bytes.len() as u64 > MOST_BYTES {
        bail!("{file} is larger than {MOST_BYTES} bytes");
    }
    Ok(bytes)
}

async fn keys(options: &Options) -> anyhow::Result<Keys> {
    if let Some(secret) = &options.secret {
        let client = options.connection.client().await?;
        let found = decrypt::load_keys(&client, &options.connection.namespace, secret, false).await?;
        let settings = Settings { credentials: found.credentials, ..own_settings() };
        return Ok(Keys::new(found.keyring, Services::new(tokio::runtime::Handle::current(), settings)));
    }
    let mut keyring = Keyring::default();
    let text = |path: &PathBuf| {
        std::fs::read_to_string(path)
            .with_context(|| format!("the key file {} cannot be read", path.display()))
    };
    for path in &options.age_key_file {
        keyring.add_age(&text(path)?).with_context(|| path.display().to_string())?;
    }
    for path in &options.ssh_key_file {
        keyring.add_ssh(&text(path)?).with_context(|| path.display().to_string())?;
    }
    for path in &options.pgp_key_file {
        keyring.add_pgp(&text(path)?).with_context(|| path.display().to_string())?;
    }
    if options.age_key_file.is_empty() && options.ssh_key_file.is_empty() && options.pgp_key_file.is_empty() {
        add_own(&mut keyring, &Environment::process())?;
    }
    Ok(Keys::new(keyring, Services::new(tokio::runtime::Handle::current(), own_settings())))
}

/// Whoever decrypts a file of theirs may ask anybody.
fn own_settings() -> Settings {
    Settings { trusts_addresses: true, ..Settings::default() }
}

/// Adds the keys that sops itself would use on this machine.
fn add_own(keyring: &mut Keyring, environment: &Environment) -> anyhow::Result<()> {
    if let Some(text) = environment.get("SOPS_AGE_KEY") {
        keyring.add_age(&text).context("SOPS_AGE_KEY")?;
    }
    if let Some(text) = environment.file("SOPS_AGE_KEY_FILE")? {
        keyring.add_age(&text).context("SOPS_AGE_KEY_FILE")?;
    }
    if let Some(text) = environment.file("SOPS_AGE_SSH_PRIVATE_KEY_FILE")? {
        keyring.add_ssh(&text).context("SOPS_AGE_SSH_PRIVATE_KEY_FILE")?;
    }
    let config = environment.get("XDG_CONFIG_HOME").map(PathBuf::from);
    let config = config.or_else(|| Some(PathBuf::from(environment.get("HOME")?).join(".config")));
    if let Some(path) = config.map(|config| config.join("sops/age/keys.txt"))
        && let Ok(text) = std::fs::read_to_string(&path)
    {
        keyring.add_age(&text).with_context(|| path.display().to_string())?;
    }
    Ok(())
}

/// Notes which keys opened something.
struct Noting {
    keys: Keys,
    used: Vec<String>,
}

impl KeyService for Noting {
    fn decrypt(&mut self, key: &MasterKey) -> Result<Vec<u8>, String> {
        let opened = self.keys.decrypt(key)?;
        self.used.push(key.name());
        Ok(opened)
    }
}
