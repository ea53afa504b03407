//! Kubeconfigs from Secrets: only what is in the text itself is used, and nothing that could start
//! a program or read a file of this process.

use super::{Error, RemotePolicy};
use crate::secrets::Secret;
use kube::{
    Config,
    config::{KubeConfigOptions, Kubeconfig},
};
use std::time::Duration;

const TIMEOUT: Duration = Duration::from_secs(30);

/// The kubeconfig in a Secret: under the key given, or else `value` or `value.yaml`.
pub(super) fn find<'a>(secret: &'a Secret, key: Option<&str>) -> Result<&'a [u8], Error> {
    let missing = |key: &str| Error::NoKubeconfig { secret: secret.key().clone(), key: key.to_owned() };
    match key.filter(|key| !key.is_empty()) {
        Some(key) => secret.value(key).ok_or_else(|| missing(key)),
        None => secret.value("value").or_else(|| secret.value("value.yaml")).ok_or_else(|| missing("value")),
    }
}

/// The client settings of a kubeconfig's current context. Errors do not repeat its text.
pub(super) async fn config(text: &[u8], policy: &RemotePolicy) -> Result<Config, String> {
    let text = std::str::from_utf8(text).map_err(|_| "the kubeconfig is not valid UTF-8".to_owned())?;
    let kubeconfig = Kubeconfig::from_yaml(text)
        .map_err(|_| "the kubeconfig is not valid YAML of a kubeconfig".to_owned())?;
    let kubeconfig = sanitize(kubeconfig, policy)?;
    let options = KubeConfigOptions::default();
    let config = Config::from_custom_kubeconfig(kubeconfig, &options).await;
    let mut config = config.map_err(|error| format!("the kubeconfig cannot be used: {error}"))?;
    config.connect_timeout = Some(TIMEOUT);
    config.read_timeout = Some(TIMEOUT);
    config.reset_reader_on_write = true;
    config.write_timeout = Some(TIMEOUT);
    Ok(config)
}

/// Keeps the current context with its cluster and user, without references to files, plugins and
/// impersonation.
fn sanitize(mut kubeconfig: Kubeconfig, policy: &RemotePolicy) -> Result<Kubeconfig, String> {
    let current = kubeconfig
        .current_context
        .clone()
        .filter(|name| !name.is_empty())
        .ok_or("the kubeconfig has no current-context")?;
    let context = kubeconfig
        .contexts
        .iter()
        .find(|context| context.name == current)
        .and_then(|named| named.context.clone())
        .ok_or_else(|| format!("the kubeconfig has no context {current:?}"))?;
    kubeconfig.contexts.retain(|named| named.name == current);
    kubeconfig.clusters.retain(|named| named.name == context.cluster);
    kubeconfig.auth_infos.retain(|named| context.user.as_ref() == Some(&named.name));
    kubeconfig.preferences = None;
    kubeconfig.extensions = None;

    let cluster = kubeconfig
        .clusters
        .first_mut()
        .and_then(|named| named.cluster.as_mut())
        .ok_or_else(|| format!("the kubeconfig has no cluster {:?}", context.cluster))?;
    cluster.certificate_authority = None;
    if !policy.allow_insecure_tls {
        cluster.insecure_skip_tls_verify = None;
    }
    cluster.extensions = None;

    if let Some(user) = kubeconfig.auth_infos.first_mut().and_then(|named| named.auth_info.as_mut()) {
        user.token_file = None;
        user.client_certificate = None;
        user.client_key = None;
        user.impersonate = None;
        user.impersonate_uid = None;
        user.impersonate_groups = None;
        user.impersonate_user_extra = None;
        user.auth_provider = None;
        user.extensions = None;
        if !policy.allow_exec {
            user.exec = None;
        }
    }
    Ok(kubeconfig)
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOSTILE: &str = r#"
apiVersion: v1
kind: Config
current-context: a
contexts:
- {name: a, context: {cluster: c, user: u, namespace: n}}
- {name: b, context: {cluster: other, user: other}}
clusters:
- name: c
  cluster:
    server: https://remote.example:6443/path
    tls-server-name: api.example
    insecure-skip-tls-verify: true
    certificate-authority: /etc/passwd
    proxy-url: http://proxy.example:3128
- {name: other, cluster: {server: https://other}}
users:
- name: u
  user:
    token: secret-token
    tokenFile: /var/run/secrets/kubernetes.io/serviceaccount/token
    client-certificate: /etc/passwd
    client-key: /etc/passwd
    as: system:admin
    exec: {apiVersion: client.authentication.k8s.io/v1, command: sh}
    auth-provider: {name: gcp, config: {cmd-path: sh}}
- {name: other, user: {}}
"#;

    fn sanitized(policy: &RemotePolicy) -> Kubeconfig {
        sanitize(Kubeconfig::from_yaml(HOSTILE).unwrap(), policy).unwrap()
    }

    #[test]
    fn files_programs_and_other_contexts_are_dropped() {
        let kubeconfig = sanitized(&RemotePolicy::default());
        let cluster = kubeconfig.clusters[0].cluster.as_ref().unwrap();
        assert_eq!(kubeconfig.clusters.len(), 1);
        assert_eq!(cluster.server.as_deref(), Some("https://remote.example:6443/path"));
        assert_eq!(cluster.tls_server_name.as_deref(), Some("api.example"));
        assert_eq!(cluster.proxy_url.as_deref(), Some("http://proxy.example:3128"));
        assert!(cluster.certificate_authority.is_none());
        assert!(cluster.insecure_skip_tls_verify.is_none());
        let user = kubeconfig.auth_infos[0].auth_info.as_ref().unwrap();
        assert_eq!(kubeconfig.auth_infos.len(), 1);
        assert!(user.token.is_some());
        assert!(user.token_file.is_none() && user.exec.is_none() && user.auth_provider.is_none());
        assert!(user.client_certificate.is_none() && user.client_key.is_none());
        assert!(user.impersonate.is_none());
    }

    #[test]
    fn flags_allow_programs_and_insecure_tls() {
        let kubeconfig = sanitized(&RemotePolicy {
            allow_exec: true,
            allow_insecure_tls: true,
            ..RemotePolicy::default()
        });
        let cluster = kubeconfig.clusters[0].cluster.as_ref().unwrap();
        assert_eq!(cluster.insecure_skip_tls_verify, Some(true));
        assert!(kubeconfig.auth_infos[0].auth_info.as_ref().unwrap().exec.is_some());
    }

    #[tokio::test]
    async fn errors_do_not_repeat_the_text() {
        let policy = RemotePolicy::default();
        let error = config(b"token: hunter2: x", &policy).await.unwrap_err();
        assert!(!error.contains("hunter2"), "{error}");
        let error = config(b"apiVersion: v1", &policy).await.unwrap_err();
        assert_eq!(error, "the kubeconfig has no current-context");
    }

    #[test]
    fn the_key_given_wins_over_value_over_value_yaml() {
        let secret = |keys: &[&str]| {
            let data = keys.iter().map(|key| {
                let value = k8s_openapi::ByteString(key.as_bytes().to_vec());
                ((*key).to_owned(), value)
            });
            let secret =
                k8s_openapi::api::core::v1::Secret { data: Some(data.collect()), ..Default::default() };
            Secret::new(crate::key::Key::new("ns", "n"), secret)
        };
        let all = secret(&["k", "value", "value.yaml"]);
        assert_eq!(find(&all, Some("k")).unwrap(), b"k");
        assert_eq!(find(&all, None).unwrap(), b"value");
        assert_eq!(find(&secret(&["value.yaml"]), None).unwrap(), b"value.yaml");
        assert_eq!(
            find(&secret(&[]), None).unwrap_err().to_string(),
            "KubeConfig secret 'ns/n' does not contain a 'value' key with a kubeconfig"
        );
        assert_eq!(
            find(&all, Some("x")).unwrap_err().to_string(),
            "KubeConfig secret 'ns/n' does not contain a 'x' key with a kubeconfig"
        );
    }
}
