//! Tokens of GitHub Apps: the app proves who it is, and gets a token for one of its installations.

use fluxide_auth::{Token, jwt};
use fluxide_runtime::Key;
use fluxide_runtime::secrets::{GithubApp, GithubInstallation};
use jiff::{SignedDuration, Timestamp};
use reqwest::{Method, StatusCode};
use serde::Deserialize;
use serde_json::json;
use url::Url;

use super::with_segments;
use crate::notifier::http::{self, Http, Request};
use crate::notifier::settings::Settings;
use crate::notifier::{Connections, Error};

/// A token of the installation that the Secret names, and if wanted the login under which it writes.
pub(super) async fn token(
    connections: &Connections,
    http: &Http,
    settings: &Settings,
    app: &GithubApp,
    api: &Url,
    with_login: bool,
) -> Result<(String, String), Error> {
    let base = match app.base_url.as_deref().filter(|base| !base.is_empty()) {
        Some(base) => Url::parse(&format!("{}/", base.trim_end_matches('/')))
            .map_err(|_| Error::Settings("the key 'githubAppBaseURL' of the secret is no URL".to_owned()))?,
        None => api.clone(),
    };
    let (kind, installation) = match &app.installation {
        GithubInstallation::Id(id) => ("id", id),
        GithubInstallation::Owner(owner) => ("owner", owner),
    };
    let provider = Key::new(settings.namespace.clone(), settings.name.clone());
    let mut parts: [&[u8]; 6] = [
        b"github app",
        base.as_str().as_bytes(),
        app.app_id.as_bytes(),
        kind.as_bytes(),
        installation.as_bytes(),
        app.private_key.expose(),
    ];
    let token = connections.tokens.get(&provider, &parts, exchange(http, app, &base)).await?;
    if !with_login {
        return Ok((token.secret, String::new()));
    }
    // The login is as public as can be, but it is known for as long as the token that goes with it.
    parts[0] = b"login of a github app";
    let expires = token.expires;
    let login = connections.tokens.get(&provider, &parts, async {
        Ok::<_, Error>(Token { secret: login(http, app, &base).await?, expires })
    });
    Ok((token.secret, login.await?.secret))
}

async fn exchange(http: &Http, app: &GithubApp, base: &Url) -> Result<Token, Error> {
    #[derive(Deserialize)]
    struct Granted {
        token: String,
        expires_at: Timestamp,
    }
    let claim = claim(app)?;
    let request = |method: Method, path: &[&str]| request(base, &claim, method, path);
    let id = match &app.installation {
        GithubInstallation::Id(id) => id.clone(),
        GithubInstallation::Owner(owner) => {
            let organization = request(Method::GET, &["orgs", owner, "installation"])?;
            let user = request(Method::GET, &["users", owner, "installation"])?;
            installation_of(http, &organization, &user).await.map_err(failed)?
        }
    };
    let grant = request(Method::POST, &["app", "installations", &id, "access_tokens"])?;
    let granted: Granted = http.accepted(&grant).await.and_then(|answer| answer.json()).map_err(failed)?;
    Ok(Token { secret: granted.token, expires: granted.expires_at.into() })
}

async fn login(http: &Http, app: &GithubApp, base: &Url) -> Result<String, Error> {
    #[derive(Deserialize)]
    struct App {
        slug: String,
    }
    let about = request(base, &claim(app)?, Method::GET, &["app"])?;
    let about: App = http.accepted(&about).await.and_then(|answer| answer.json()).map_err(failed)?;
    Ok(format!("{}[bot]", about.slug))
}

/// The claim to be the app, good for two minutes.
fn claim(app: &GithubApp) -> Result<String, Error> {
    let now = Timestamp::now();
    let claims = json!({
        "iat": (now - SignedDuration::from_secs(30)).as_second(),
        "exp": (now + SignedDuration::from_secs(120)).as_second(),
        "iss": app.app_id,
    });
    jwt::sign(app.private_key.expose(), json!({}), &claims).map_err(|reason| {
        Error::Settings(format!("cannot use the key 'githubAppPrivateKey' of the secret: {reason}"))
    })
}

fn request(base: &Url, claim: &str, method: Method, path: &[&str]) -> Result<Request, Error> {
    Request::new(method, with_segments(base, path.iter().copied()))
        .header("Accept", "application/vnd.github.v3+json")
        .and_then(|request| request.authorization("Bearer", claim))
        .map_err(failed)
}

fn failed(error: http::Error) -> Error {
    Error::request("failed to get a token of the GitHub App", error)
}

async fn installation_of(http: &Http, organization: &Request, user: &Request) -> Result<String, http::Error> {
    #[derive(Deserialize)]
    struct Installation {
        id: u64,
    }
    let mut answer = http.send(organization).await?;
    if answer.status == StatusCode::NOT_FOUND {
        answer = http.send(user).await?;
    }
    let installation: Installation = answer.success()?.json()?;
    Ok(installation.id.to_string())
}
