//! Remote clusters that are entered with an identity: `spec.kubeConfig.configMapRef`.

use super::{Error, Remote, Remotes};
use crate::{client, key::Key};
use fluxide_auth::{
    CacheEvents,
    cluster::{Identity, Location, Settings},
};
use http::{HeaderValue, Request, header::AUTHORIZATION};
use k8s_openapi::api::core::v1::ConfigMap;
use kube::{Api, Client, Config, client::Body};
use rustls::pki_types::{CertificateDer, pem::PemObject};
use std::{sync::Arc, time::Duration};
use tower::{BoxError, service_fn};

const TIMEOUT: Duration = Duration::from_secs(30);

/// The client of the cluster a ConfigMap describes.
pub(super) async fn client(
    remotes: &Remotes,
    own: &Client,
    namespace: &str,
    name: &str,
    events: &dyn CacheEvents,
) -> Result<Remote, Error> {
    let key = Key::new(namespace, name);
    let read = |reason: String| Error::ReadConfigMap { config_map: key.clone(), reason };
    let api = Api::<ConfigMap>::namespaced(own.clone(), namespace);
    let config_map = match api.get_opt(name).await {
        Ok(Some(config_map)) => config_map,
        Ok(None) => return Err(read(format!("configmaps \"{name}\" not found"))),
        Err(error) => return Err(read(client::message(&error))),
    };
    let settings = Settings::of_data(&config_map.data.unwrap_or_default())?;
    let default = &remotes.policy.default_kubeconfig_service_account;
    let account = settings.service_account.clone().or_else(|| (!default.is_empty()).then(|| default.clone()));
    if account.is_some() && !remotes.policy.object_level_workload_identity {
        return Err(Error::FeatureGateDisabled);
    }
    let identity = Identity { client: own.clone(), namespace: namespace.to_owned(), account };
    let (location, access) = remotes.clusters.enter(settings, identity, events).await?;
    let wrong = |reason: String| Error::ConfigMap { config_map: key.clone(), reason };
    let inner = client::from_config(config(&location).map_err(wrong)?, &remotes.controller)?;
    let access = Arc::new(access);
    let of_request = access.clone();
    let service = service_fn(move |mut request: Request<Body>| {
        let (client, access) = (inner.clone(), of_request.clone());
        async move {
            let token = access.token().await?;
            let mut header = HeaderValue::try_from(format!("Bearer {}", token.secret))?;
            header.set_sensitive(true);
            request.headers_mut().insert(AUTHORIZATION, header);
            Ok::<_, BoxError>(client.send(request).await?)
        }
    });
    Ok(Remote { client: Client::new(service, namespace), access: Some(access) })
}

fn config(location: &Location) -> Result<Config, String> {
    let uri = location.address.parse::<http::Uri>();
    let mut config = Config::new(uri.map_err(|error| format!("key 'address': {error}"))?);
    if let Some(ca) = &location.ca {
        let authorities: Result<Vec<Vec<u8>>, _> = CertificateDer::pem_slice_iter(ca.as_bytes())
            .map(|certificate| certificate.map(|certificate| certificate.to_vec()))
            .collect();
        let authorities = authorities.ok().filter(|authorities| !authorities.is_empty());
        let invalid = "key 'ca.crt': failed to parse CA certificate";
        config.root_cert = Some(authorities.ok_or(invalid)?);
    }
    config.connect_timeout = Some(TIMEOUT);
    config.read_timeout = Some(TIMEOUT);
    config.reset_reader_on_write = true;
    config.write_timeout = Some(TIMEOUT);
    Ok(config)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wrong_authority_is_refused() {
        let location = |ca: &str| Location { address: "https://a:443".to_owned(), ca: Some(ca.to_owned()) };
        let error = config(&location("x")).unwrap_err();
        assert_eq!(error, "key 'ca.crt': failed to parse CA certificate");
        let pem = "-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----\n";
        assert_eq!(config(&location(&pem.repeat(2))).unwrap().root_cert.unwrap().len(), 2);
    }
}
