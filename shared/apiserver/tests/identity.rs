//! Who the server takes a request to be from: certificates, tokens, nobody.

mod support;

use fluxide_apiserver::Server;
use serde_json::json;
use support::{Tls, get, send};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn client_certificates_name_user_and_group() {
    let server = Server::builder().simulate_workloads(false).start().await.unwrap();
    let (certificate, key) = server.client_certificate("jane", "system:masters").unwrap();
    let client = Tls::new(&server, Some((&certificate, &key)));
    let body = json!({"apiVersion": "authentication.k8s.io/v1", "kind": "SelfSubjectReview"});
    let (status, review) =
        send(&client, "POST", "/apis/authentication.k8s.io/v1/selfsubjectreviews", &[], &body).await;
    assert_eq!(status, 201, "{review}");
    assert_eq!(review["status"]["userInfo"]["username"], "jane");
    let groups = &review["status"]["userInfo"]["groups"];
    assert_eq!(*groups, json!(["system:masters", "system:authenticated"]));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn strangers_are_anonymous_and_wrong_tokens_nobody() {
    let server = Server::builder().simulate_workloads(false).start().await.unwrap();
    let client = Tls::new(&server, None);
    let (status, body) = get(&client, "/api/v1/secrets", &[]).await;
    assert_eq!(status, 403);
    assert!(body["message"].as_str().unwrap().contains("User \"system:anonymous\" cannot list"), "{body}");
    let (status, _) = get(&client, "/api/v1/secrets", &[("authorization", "Bearer nonsense")]).await;
    assert_eq!(status, 401);
    let token = format!("Bearer {}", server.token());
    let (status, _) = get(&client, "/api/v1/secrets", &[("authorization", &token)]).await;
    assert_eq!(status, 200);
    assert_eq!(get(&client, "/version", &[]).await.0, 200);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn tokens_end_with_their_time_their_account_and_their_signature() {
    let server = Server::builder().simulate_workloads(false).start().await.unwrap();
    let client = Tls::new(&server, None);
    let admin = format!("Bearer {}", server.token());
    let admin = [("authorization", admin.as_str())];
    let request = json!({"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": {}});
    let path = "/api/v1/namespaces/default/serviceaccounts/default/token";
    let (status, answer) = send(&client, "POST", path, &admin, &request).await;
    assert_eq!(status, 201, "{answer}");
    let token = answer["status"]["token"].as_str().unwrap().to_owned();
    let bearer = format!("Bearer {token}");
    let as_account = [("authorization", bearer.as_str())];
    assert_eq!(get(&client, "/api", &as_account).await.0, 200);

    let (signed, signature) = token.rsplit_once('.').unwrap();
    let flipped: String = signature.chars().rev().collect();
    let forged = format!("Bearer {signed}.{flipped}");
    assert_eq!(get(&client, "/api", &[("authorization", &forged)]).await.0, 401);

    server.clock().advance(3601);
    assert_eq!(get(&client, "/api", &as_account).await.0, 401);
    server.clock().advance(-3601);
    assert_eq!(get(&client, "/api", &as_account).await.0, 200);

    let account = "/api/v1/namespaces/default/serviceaccounts/default";
    assert_eq!(send(&client, "DELETE", account, &admin, &json!({})).await.0, 200);
    assert_eq!(get(&client, "/api", &as_account).await.0, 401);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn impersonation_needs_rights_of_either_kind() {
    let server = Server::builder().simulate_workloads(false).start().await.unwrap();
    let client = Tls::new(&server, None);
    let admin = format!("Bearer {}", server.token());
    let as_user =
        |user: &'static str| [("authorization", admin.clone()), ("impersonate-user", user.to_owned())];
    let role = |name: &str, rules| json!({"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRole", "metadata": {"name": name}, "rules": rules});
    let binding = |role: &str, user: &str| {
        json!({
            "apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRoleBinding", "metadata": {"name": role},
            "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": role},
            "subjects": [{"kind": "User", "name": user, "apiGroup": "rbac.authorization.k8s.io"}],
        })
    };
    let roles = "/apis/rbac.authorization.k8s.io/v1/clusterroles";
    let bindings = "/apis/rbac.authorization.k8s.io/v1/clusterrolebindings";
    let header = [("authorization", admin.as_str())];
    let old = json!([{"apiGroups": [""], "resources": ["users"], "verbs": ["impersonate"], "resourceNames": ["jane"]}]);
    let new = json!([
        {"apiGroups": ["authentication.k8s.io"], "resources": ["users"], "verbs": ["impersonate:user-info"]},
        {"apiGroups": [""], "resources": ["configmaps"], "verbs": ["impersonate-on:user-info:list"]},
    ]);
    for (name, user, rules) in [("old", "carl", old), ("new", "dora", new)] {
        assert_eq!(send(&client, "POST", roles, &header, &role(name, rules)).await.0, 201);
        assert_eq!(send(&client, "POST", bindings, &header, &binding(name, user)).await.0, 201);
    }
    // The certificate of carl or dora, who then act as jane.
    for (user, path, wanted) in [
        ("carl", "/api/v1/namespaces/default/configmaps", "User \"jane\" cannot list"),
        ("dora", "/api/v1/namespaces/default/configmaps", "User \"jane\" cannot list"),
        ("dora", "/api/v1/namespaces/default/secrets", "User \"dora\" cannot impersonate-on:user-info:list"),
        (
            "emil",
            "/api/v1/namespaces/default/configmaps",
            "User \"emil\" cannot impersonate-on:user-info:list",
        ),
    ] {
        let (certificate, key) = server.client_certificate(user, "").unwrap();
        let own = Tls::new(&server, Some((&certificate, &key)));
        let (status, body) = get(&own, path, &[("impersonate-user", "jane")]).await;
        assert_eq!(status, 403);
        let message = body["message"].as_str().unwrap();
        assert!(message.contains(wanted), "{user} {path}: {message}");
    }
    let [a, b] = as_user("jane");
    let headers = [(a.0, a.1.as_str()), (b.0, b.1.as_str())];
    assert_eq!(get(&client, "/api/v1/secrets", &headers).await.0, 403);
}
