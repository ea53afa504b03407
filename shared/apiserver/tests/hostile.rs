//! Requests that are broken or mean: each is refused in words, and the server goes on serving.

use std::time::Duration;

use fluxide_apiserver::{Fault, FaultRule, RunningServer, Server};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

async fn server() -> RunningServer {
    Server::builder().tls(false).authentication(false).simulate_workloads(false).start().await.unwrap()
}

async fn connect(server: &RunningServer) -> TcpStream {
    TcpStream::connect(("127.0.0.1", server.port())).await.unwrap()
}

/// Sends bytes as they are and reads until the connection closes or nothing comes for a while.
async fn raw(server: &RunningServer, bytes: &[u8]) -> String {
    let mut stream = connect(server).await;
    let _ = stream.write_all(bytes).await;
    let mut out = Vec::new();
    let mut buffer = [0; 64 * 1024];
    while let Ok(Ok(n)) = tokio::time::timeout(Duration::from_secs(10), stream.read(&mut buffer)).await {
        if n == 0 {
            break;
        }
        out.extend_from_slice(&buffer[..n]);
    }
    String::from_utf8_lossy(&out).into_owned()
}

async fn post(server: &RunningServer, path: &str, content_type: &str, body: &[u8]) -> String {
    let head = format!(
        "POST {path} HTTP/1.1\r\nhost: x\r\nconnection: close\r\ncontent-type: {content_type}\r\ncontent-length: {}\r\n\r\n",
        body.len()
    );
    raw(server, &[head.as_bytes(), body].concat()).await
}

async fn patch(server: &RunningServer, path: &str, content_type: &str, body: &[u8]) -> String {
    let head = format!(
        "PATCH {path} HTTP/1.1\r\nhost: x\r\nconnection: close\r\ncontent-type: {content_type}\r\ncontent-length: {}\r\n\r\n",
        body.len()
    );
    raw(server, &[head.as_bytes(), body].concat()).await
}

async fn serves(server: &RunningServer) {
    let answer = raw(server, b"GET /livez HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n").await;
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
}

const CONFIG_MAPS: &str = "/api/v1/namespaces/default/configmaps";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn bodies_that_are_no_objects_are_refused() {
    let server = server().await;
    let deep_json = [b"{\"a\":".repeat(100_000), b"1".to_vec(), b"}".repeat(100_000)].concat();
    let deep_list = [b"[".repeat(200_000), b"]".repeat(200_000)].concat();
    let deep_yaml = b"- ".repeat(100_000);
    let deep_flow = b"{a: ".repeat(100_000);
    let mut aliases = b"a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n".to_vec();
    for i in 1..30 {
        let line = format!("a{i}: &a{i} [{}]\n", vec![format!("*a{}", i - 1); 10].join(", "));
        aliases.extend_from_slice(line.as_bytes());
    }
    let nested_protobuf = {
        // An envelope around a ConfigMap whose bytes are an envelope again, and so on.
        let mut body = Vec::new();
        for _ in 0..2000 {
            let mut next = vec![0x6b, 0x38, 0x73, 0x00, 0x12];
            let mut length = body.len();
            while length >= 0x80 {
                next.push((length & 0x7f) as u8 | 0x80);
                length >>= 7;
            }
            next.push(length as u8);
            next.extend_from_slice(&body);
            body = next;
        }
        body
    };
    let long_number = [
        b"{\"kind\":\"ConfigMap\",\"apiVersion\":\"v1\",\"metadata\":{\"generation\":",
        &b"9".repeat(100_000)[..],
        b"}}",
    ]
    .concat();
    let cases: [(&str, &[u8]); 12] = [
        ("application/json", &deep_json),
        ("application/json", &deep_list),
        ("application/json", b"\xff\xfe\x00"),
        (
            "application/json",
            b"{\"kind\": \"ConfigMap\", \"apiVersion\": \"v1\", \"metadata\": {\"name\": \"\xc3\x28\"}}",
        ),
        ("application/json", b"{\"kind\": \"ConfigMap\", \"apiVersion\": \"v1\", \"metadata\": 5}"),
        ("application/json", b""),
        ("application/json", &long_number),
        ("application/yaml", &deep_yaml),
        ("application/yaml", &deep_flow),
        ("application/yaml", &aliases),
        ("application/vnd.kubernetes.protobuf", &nested_protobuf),
        (
            "application/vnd.kubernetes.protobuf",
            b"\x6b\x38\x73\x00\x0a\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01",
        ),
    ];
    for (i, (content_type, body)) in cases.into_iter().enumerate() {
        let answer = post(&server, CONFIG_MAPS, content_type, body).await;
        assert!(answer.starts_with("HTTP/1.1 4"), "case {i}: {}", &answer[..answer.len().min(600)]);
        serves(&server).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn large_bodies_are_refused() {
    let server = server().await;
    let body = vec![b' '; 4 * 1024 * 1024];
    let answer = post(&server, CONFIG_MAPS, "application/json", &body).await;
    assert!(answer.is_empty() || answer.contains("RequestEntityTooLarge"), "{answer}");
    serves(&server).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn mean_patches_are_refused() {
    let server = server().await;
    let object = br#"{"kind":"ConfigMap","apiVersion":"v1","metadata":{"name":"c"},"data":{"a":"b"}}"#;
    assert!(post(&server, CONFIG_MAPS, "application/json", object).await.starts_with("HTTP/1.1 201"));
    let path = format!("{CONFIG_MAPS}/c");
    let deep = [b"{\"data\":{\"a\":".repeat(50_000), b"1".to_vec()].concat();
    let copies: String = (0..20)
        .map(|i| format!("{{\"op\":\"copy\",\"from\":\"/data\",\"path\":\"/data/k{i}\"}}"))
        .collect::<Vec<_>>()
        .join(",");
    let bomb = format!("[{copies}]");
    let operations = vec![r#"{"op":"test","path":"/data/a","value":"b"}"#; 20_000].join(",");
    let many = format!("[{operations}]");
    for (i, (content_type, body)) in [
        ("application/merge-patch+json", deep.as_slice()),
        ("application/strategic-merge-patch+json", deep.as_slice()),
        ("application/json-patch+json", bomb.as_bytes()),
        ("application/json-patch+json", many.as_bytes()),
        (
            "application/json-patch+json",
            br#"[{"op":"replace","path":"/data/99999999999999999999","value":1}]"#,
        ),
        ("application/json-patch+json", br#"{"op":"add"}"#),
        ("application/merge-patch+json", b"[]"),
        ("application/apply-patch+yaml", b"\t: : :"),
    ]
    .into_iter()
    .enumerate()
    {
        let answer = patch(&server, &format!("{path}?fieldManager=m"), content_type, body).await;
        assert!(answer.starts_with("HTTP/1.1 4"), "case {i}: {}", &answer[..answer.len().min(600)]);
        serves(&server).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn odd_requests_are_answered() {
    let server = server().await;
    for (line, wanted) in [
        ("GET /api/v1/pods?labelSelector=%28%28%28%28 HTTP/1.1", "400"),
        ("GET /api/v1/pods?fieldSelector=%5C HTTP/1.1", "400"),
        ("GET /api/v1/pods?limit=99999999999999999999 HTTP/1.1", "400"),
        ("GET /api/v1/pods?continue=%00%ff HTTP/1.1", "400"),
        ("GET /api/v1/namespaces/%2e%2e/pods/%2e%2e%2f%2e%2e HTTP/1.1", "404"),
        ("GET //api//v1//pods HTTP/1.1", "404"),
        ("GET /%ff%fe HTTP/1.1", "404"),
        ("DELETE /api/v1/namespaces/default HTTP/1.1", "403"),
        ("TRACE /api/v1/pods HTTP/1.1", "405"),
        ("NONSENSE", "400"),
    ] {
        let answer = raw(&server, format!("{line}\r\nhost: x\r\nconnection: close\r\n\r\n").as_bytes()).await;
        assert!(answer.starts_with(&format!("HTTP/1.1 {wanted}")), "{line}: {answer}");
    }
    serves(&server).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn slow_and_half_closed_clients_block_nobody() {
    let server = server().await;
    let mut held = Vec::new();
    for i in 0..200 {
        let mut stream = connect(&server).await;
        let part: &[u8] = match i % 4 {
            0 => b"",
            1 => b"GET /livez HTT",
            2 => b"POST /api/v1/namespaces/default/configmaps HTTP/1.1\r\nhost: x\r\ncontent-length: 1000\r\n\r\n{",
            _ => b"GET /api/v1/configmaps?watch=true HTTP/1.1\r\nhost: x\r\n\r\n",
        };
        stream.write_all(part).await.unwrap();
        if i % 3 == 0 {
            stream.shutdown().await.unwrap();
        }
        held.push(stream);
    }
    // Changes that the watches above never read.
    for i in 0..300 {
        let object = format!(
            "{{\"kind\":\"ConfigMap\",\"apiVersion\":\"v1\",\"metadata\":{{\"name\":\"c{i}\"}},\"data\":{{\"a\":\"{}\"}}}}",
            "x".repeat(20_000)
        );
        let answer = tokio::time::timeout(
            Duration::from_secs(10),
            post(&server, CONFIG_MAPS, "application/json", object.as_bytes()),
        );
        assert!(answer.await.unwrap().starts_with("HTTP/1.1 201"));
    }
    serves(&server).await;
    drop(held);
    serves(&server).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn injected_faults_hit_the_requests_they_are_for() {
    let server = server().await;
    let rule = FaultRule { verb: "list".into(), resource: "pods".into(), ..FaultRule::default() };
    let pods = b"GET /api/v1/pods HTTP/1.1\r\nhost: x\r\nuser-agent: probe/1\r\nconnection: close\r\n\r\n";
    server.faults().inject(rule.clone(), Fault::Status(503), 1);
    server.faults().inject(rule.clone(), Fault::Reset, 1);
    server.faults().inject(rule, Fault::Delay(Duration::from_millis(200)), 1);
    assert!(raw(&server, pods).await.starts_with("HTTP/1.1 503"));
    assert_eq!(raw(&server, pods).await, "");
    let started = std::time::Instant::now();
    assert!(raw(&server, pods).await.starts_with("HTTP/1.1 200"));
    assert!(started.elapsed() >= Duration::from_millis(200));
    assert_eq!(server.request_log().total(|k| k.user_agent == "probe" && k.verb == "list"), 3);
    server.request_log().reset();
    assert_eq!(server.request_log().total(|_| true), 0);

    server.forget_history();
    let old =
        b"GET /api/v1/pods?watch=true&resourceVersion=5 HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n";
    assert!(raw(&server, old).await.contains("too old resource version"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn rules_and_patterns_that_explode_are_refused() {
    let server = server().await;
    let definition = |name: &str, field: serde_json::Value| {
        let schema = serde_json::json!({
            "type": "object", "properties": {"spec": {"type": "object", "properties": {"l": field}}},
        });
        serde_json::json!({
            "apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition",
            "metadata": {"name": format!("{name}s.bombs.example.com")},
            "spec": {
                "group": "bombs.example.com", "scope": "Namespaced",
                "names": {"plural": format!("{name}s"), "kind": format!("K{name}")},
                "versions": [{"name": "v1", "served": true, "storage": true, "schema": {"openAPIV3Schema": schema}}],
            },
        })
    };
    let numbers = |rule: &str| {
        serde_json::json!({
            "type": "array", "items": {"type": "integer"}, "x-kubernetes-validations": [{"rule": rule}],
        })
    };
    let deep = format!("{}true{}", "(".repeat(5_000), ")".repeat(5_000));
    let definitions = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions";
    for (name, field, why) in [
        ("deep", numbers(&deep), "compilation failed"),
        (
            "four",
            numbers("self.all(a, self.all(b, self.all(c, self.all(d, a == b && c == d))))"),
            "estimated rule cost exceeds budget by factor of more than 100x",
        ),
        (
            "wide",
            numbers("self.all(a, self.all(b, self.exists(c, a + b == c)))"),
            "estimated rule cost exceeds budget by factor of more than 100x",
        ),
        (
            "pattern",
            serde_json::json!({"type": "string", "pattern": "((a{1000}){1000}){1000}"}),
            "must be a valid regular expression",
        ),
    ] {
        let body = definition(name, field).to_string();
        let began = std::time::Instant::now();
        let answer = post(&server, definitions, "application/json", body.as_bytes()).await;
        assert!(answer.starts_with("HTTP/1.1 422"), "{name}: {}", &answer[..answer.len().min(600)]);
        assert!(answer.contains(why), "{name}: {}", &answer[..answer.len().min(2000)]);
        assert!(began.elapsed() < std::time::Duration::from_secs(10), "{name} took {:?}", began.elapsed());
        serves(&server).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn policies_that_explode_deny_and_block_nobody() {
    let server = server().await;
    let group = "/apis/admissionregistration.k8s.io/v1";
    let rules = serde_json::json!([{
        "apiGroups": [""], "apiVersions": ["v1"], "operations": ["CREATE"], "resources": ["configmaps"],
    }]);
    let doubled = |i: usize| {
        let before = i.checked_sub(1).map_or("object.data.s".to_owned(), |b| format!("variables.v{b}"));
        serde_json::json!({"name": format!("v{i}"), "expression": format!("{before} + {before}")})
    };
    let variables: Vec<_> = (0..25).map(doubled).collect();
    let loops = "object.data.all(a, object.data.all(b, object.data.all(c, a + b + c != '')))";
    for (name, variables, expression) in [
        ("doubling", variables, "variables.v24 != ''"),
        ("looping", Vec::new(), loops),
        ("matching", Vec::new(), "object.data.all(k, object.data[k].matches('((x+x+)+y){1,200}'))"),
    ] {
        let policy = serde_json::json!({
            "apiVersion": "admissionregistration.k8s.io/v1", "kind": "ValidatingAdmissionPolicy",
            "metadata": {"name": name},
            "spec": {
                "matchConstraints": {"resourceRules": rules, "objectSelector": {"matchLabels": {"policy": name}}},
                "variables": variables, "validations": [{"expression": expression}],
            },
        });
        let binding = serde_json::json!({
            "apiVersion": "admissionregistration.k8s.io/v1", "kind": "ValidatingAdmissionPolicyBinding",
            "metadata": {"name": name}, "spec": {"policyName": name, "validationActions": ["Deny"]},
        });
        for (plural, body) in
            [("validatingadmissionpolicies", policy), ("validatingadmissionpolicybindings", binding)]
        {
            let answer =
                post(&server, &format!("{group}/{plural}"), "application/json", body.to_string().as_bytes())
                    .await;
            assert!(answer.starts_with("HTTP/1.1 201"), "{name}: {answer}");
        }
        let mut data: serde_json::Map<String, serde_json::Value> =
            (0..400).map(|i| (format!("k{i}"), "x".repeat(500).into())).collect();
        data.insert("s".into(), "aaaaaaaaaaaaaaaa".into());
        let object = serde_json::json!({
            "apiVersion": "v1", "kind": "ConfigMap", "data": data,
            "metadata": {"name": name, "labels": {"policy": name}},
        });
        let began = std::time::Instant::now();
        let answer = post(&server, CONFIG_MAPS, "application/json", object.to_string().as_bytes()).await;
        assert!(answer.starts_with("HTTP/1.1 422"), "{name}: {}", &answer[..answer.len().min(1000)]);
        assert!(began.elapsed() < Duration::from_secs(10), "{name} took {:?}", began.elapsed());
        serves(&server).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn large_heads_and_many_watches_are_survived() {
    let server = server().await;
    let selector = (0..3000).map(|i| format!("k{i}%20in%20(a,b)")).collect::<Vec<_>>().join(",");
    let line = format!("GET /api/v1/configmaps?labelSelector={selector} HTTP/1.1\r\nhost: x\r\n");
    let answer = raw(&server, format!("{line}connection: close\r\n\r\n").as_bytes()).await;
    assert!(answer.starts_with("HTTP/1.1 200") || answer.starts_with("HTTP/1.1 4"), "{answer}");
    let headers = (0..5000).map(|i| format!("x-{i}: {i}\r\n")).collect::<String>();
    let answer = raw(&server, format!("GET /livez HTTP/1.1\r\nhost: x\r\n{headers}\r\n").as_bytes()).await;
    assert!(!answer.starts_with("HTTP/1.1 5"), "{answer}");
    let mut watches = Vec::new();
    for _ in 0..300 {
        let mut stream = connect(&server).await;
        let watch = b"GET /api/v1/configmaps?watch=true&timeoutSeconds=1 HTTP/1.1\r\nhost: x\r\n\r\n";
        stream.write_all(watch).await.unwrap();
        watches.push(stream);
    }
    serves(&server).await;
    for mut stream in watches {
        let mut text = Vec::new();
        let mut buffer = [0; 4096];
        while !text.ends_with(b"0\r\n\r\n") {
            let read = tokio::time::timeout(Duration::from_secs(10), stream.read(&mut buffer)).await;
            let count = read.expect("the watch ends in time").unwrap();
            assert!(count > 0, "the connection stays: {}", String::from_utf8_lossy(&text));
            text.extend_from_slice(&buffer[..count]);
        }
    }
}
