//! The five controllers as tasks of this process, each with the flags it would have on its own.

use std::ffi::OsString;
use std::hash::{BuildHasher, RandomState};
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::ops::Range;
use std::path::Path;

use anyhow::Context;
use clap::Parser;
use fluxide_runtime::{Profile, options};
use kube::Client;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

/// Controllers that run; each ends with its name and what became of it.
pub type Controllers = JoinSet<(&'static str, anyhow::Result<()>)>;

/// The flag of the address that webhooks call.
const WEBHOOKS: &str = "--receiverAddr";

/// Starts every controller. They write below `home`, watch `namespace` or all, and end when `shutdown` is cancelled.
/// Returns the address that webhooks call.
pub fn start(
    tasks: &mut Controllers,
    home: &Path,
    namespace: Option<&str>,
    client: &Client,
    shutdown: &CancellationToken,
) -> anyhow::Result<String> {
    let [source, kustomize, helm, notification, image] = flags(home)?;
    let webhooks =
        notification.iter().filter_map(|flag| flag.to_str()?.strip_prefix(WEBHOOKS)?.strip_prefix('='));
    let webhooks =
        webhooks.map(|address| format!("http://{address}")).next().context("no address for webhooks")?;

    macro_rules! controller {
        ($module:ident, $own:expr) => {{
            let mut options: $module::Options = read(&$module::PROFILE, $own)?;
            if let Some(namespace) = namespace {
                options.common.runtime_namespace = namespace.to_owned();
                options.common.watch_all_namespaces = false;
            }
            let (client, shutdown) = (client.clone(), shutdown.clone());
            tasks.spawn(async move {
                let ended = $module::run(options, client, shutdown).await;
                ($module::PROFILE.name, ended.map_err(anyhow::Error::from))
            });
        }};
    }
    use fluxide_helm_controller as helm_controller;
    use fluxide_image_automation_controller as image_automation_controller;
    use fluxide_kustomize_controller as kustomize_controller;
    use fluxide_notification_controller as notification_controller;
    use fluxide_source_controller as source_controller;
    controller!(source_controller, source);
    controller!(kustomize_controller, kustomize);
    controller!(helm_controller, helm);
    controller!(notification_controller, notification);
    controller!(image_automation_controller, image);
    Ok(webhooks)
}

/// What each controller must be told when all five run on one machine, in the order of [`NAMES`]: where artifacts are kept and
/// served, and which ports to leave alone.
pub fn flags(home: &Path) -> anyhow::Result<[Vec<OsString>; 5]> {
    let artifacts = home.join("artifacts");
    std::fs::create_dir_all(&artifacts)?;
    let serving = free_address().context("no free port for artifacts")?;
    let source = vec![
        flag("--storage-path", artifacts),
        flag("--storage-addr", serving.to_string()),
        flag("--storage-adv-addr", serving.to_string()),
    ];
    let listening = free_address().context("no free port for events")?;
    let notification = vec![
        flag("--events-addr", listening.to_string()),
        flag(WEBHOOKS, free_address().context("no free port for webhooks")?.to_string()),
    ];
    let events = || flag("--events-addr", format!("http://{listening}/"));
    Ok([[source, vec![events()]].concat(), vec![events()], vec![events()], notification, vec![events()]])
}

/// The controllers, in the order they are started.
pub const NAMES: [&str; 5] = [
    "source-controller",
    "kustomize-controller",
    "helm-controller",
    "notification-controller",
    "image-automation-controller",
];

fn flag(name: &str, value: impl Into<OsString>) -> OsString {
    let mut flag = OsString::from(name);
    flag.push("=");
    flag.push(value.into());
    flag
}

/// Reads the flags as the binary does. Metrics and probes are off: several controllers share the machine's ports.
fn read<T: Parser>(profile: &Profile, own: impl IntoIterator<Item = OsString>) -> anyhow::Result<T> {
    let common = ["--metrics-addr=0", "--health-addr=0"].map(OsString::from);
    let arguments = [OsString::from(profile.name)].into_iter().chain(common).chain(own);
    options::parse_from(profile, arguments).with_context(|| format!("the flags of {}", profile.name))
}

/// An address on loopback that was free a moment ago.
fn free_address() -> std::io::Result<SocketAddr> {
    let random = || PORTS.start + (RandomState::new().hash_one(()) % PORTS.len() as u64) as u16;
    let listener = (0..100).find_map(|_| TcpListener::bind((Ipv4Addr::LOCALHOST, random())).ok());
    listener.map_or_else(|| TcpListener::bind((Ipv4Addr::LOCALHOST, 0)), Ok)?.local_addr()
}

/// Ports below those that systems give to outgoing connections, of which one could take a port before its server does.
const PORTS: Range<u16> = 20_000..30_000;
