//! The recorded scenario of GitRepositories, played again: the same objects, writes, events and archives.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde_json::{Value, json};

use crate::git::sshd::{Sshd, keygen};
use crate::git::{self, GitServer, Repositories, ServerState};
use crate::output;
use crate::world::{DEADLINE, World, entries};

/// The commits of the branch `main` of the application, before and after the step with a new one.
const SECOND: &str = "6d783d4fccb523e38afa21dee75e1d36de6c00c9";
const THIRD: &str = "977631f742abda45cd69acb756be7ccaa7714d8c";

/// When the recorded controller was restarted, after the last step.
const RESTART: &str = "2026-11-21T12:11";

/// Commit, tag and key of the recorded signed repository. Nobody has that key any more; the test has a repository like it.
const SIGNED: [&str; 3] = [
    "46663544c3bb29d284664e23c0cd34dd15495d0d",
    "5aa6d41bc1c56017b8f4fb7beea9a3cb22c4109e",
    "4C86E6EE7FF58517",
];

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_scenario_gives_what_was_recorded() {
    output::collect_log();
    let servers = Servers::start().await;
    let world = World::start("git", &[]).await;
    let play = Play::new(&servers, &world);
    play.secrets().await;

    play.apply("sources.yaml").await;
    play.apply("commit.yaml").await;
    play.compare("01-ready", &[]).await;
    play.compare_archives().await;

    play.apply("failing.yaml").await;
    play.compare("02-failing", &[]).await;

    servers.set_main(THIRD);
    for name in ["branch", "ignore", "semver", "sparse"] {
        play.request(name, "2026-11-21T12:04:52.260057432Z").await;
    }
    for name in ["commit", "tag"] {
        play.request(name, "2026-11-21T12:05:11.370554932Z").await;
    }
    // Ours follows what it includes at once, not at its next interval.
    play.compare("03-new-commit", &["include"]).await;
    let revision = format!("main@sha1:{THIRD}");
    play.until("include", |o| o["status"]["includedArtifacts"][0]["revision"] == *revision).await;

    play.edit("bad-branch", "kubectl-patch", json!({"spec": {"ref": {"branch": "main"}}})).await;
    play.edit("refname", "kubectl-patch", json!({"spec": {"ref": {"name": "refs/heads/gone"}}})).await;
    play.edit("ssh", "flux", json!({"spec": {"suspend": true}})).await;
    let following = &["include", "include-not-ready"];
    play.compare("04-changed", following).await;
    play.until("include-not-ready", |o| o["status"]["includedArtifacts"][0]["revision"] == *revision).await;

    play.edit("refname", "kubectl-patch", json!({"spec": {"ref": {"name": "refs/heads/dev"}}})).await;
    play.edit("ssh", "flux", json!({"spec": {"suspend": null}})).await;
    for name in ["default-branch", "sparse"] {
        world.repositories("git").delete(name, &Default::default()).await.unwrap();
    }
    play.compare("05-recovered", following).await;
    let end = tokio::time::Instant::now() + DEADLINE;
    while world.storage.path().join("gitrepository/git/sparse").exists() {
        assert!(tokio::time::Instant::now() < end, "the files of what is deleted stay");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }

    play.compare_writes();
    play.compare_events().await;
    play.compare_posts();
    output::compare_log(&play);
    output::compare_metrics(&play, &world).await;
}

/// Git over HTTP and SSH with the recorded repositories.
pub struct Servers {
    pub http: GitServer,
    pub ssh: Option<Sshd>,
    repositories: Repositories,
}

impl Servers {
    pub async fn start() -> Self {
        let repositories = Repositories::new();
        let root = repositories.root.path().to_owned();
        let bundles = corpus("bundles");
        for (name, bundle) in [
            ("public/app.git", "public-app.bundle"),
            ("private/app.git", "public-app.bundle"),
            ("public/lib.git", "public-lib.bundle"),
            ("public/signed.git", "signed.bundle"),
        ] {
            let bundle = bundles.join(bundle);
            git::run(&root, &["clone", "-q", "--mirror", bundle.to_str().unwrap(), name]);
        }
        let http = GitServer::start(ServerState {
            root: root.clone(),
            authorization: Some(git::basic("flux", "flux-test-password")),
            protected: "/private/".to_owned(),
            full_names: true,
            ..ServerState::default()
        })
        .await;
        let command = format!("ForceCommand git-upload-pack {}/private/app.git", root.display());
        let ssh = Sshd::start(&command);
        let servers = Servers { http, ssh, repositories };
        servers.set_main(SECOND);
        servers
    }

    /// Moves `main` of the application.
    pub fn set_main(&self, commit: &str) {
        for name in ["public/app.git", "private/app.git"] {
            let path = self.repositories.root.path().join(name);
            git::run(&path, &["update-ref", "refs/heads/main", commit]);
        }
    }
}

/// A file of the recording.
pub fn corpus(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/corpus/git").join(path)
}

/// One run of the scenario.
pub struct Play<'a> {
    servers: &'a Servers,
    world: &'a World,
    replacements: Vec<(String, String)>,
}

impl<'a> Play<'a> {
    pub fn new(servers: &'a Servers, world: &'a World) -> Self {
        let signed = servers.repositories.root.path().join("public/signed.git");
        let key = std::fs::read_to_string(corpus("bundles/signer.id")).unwrap();
        let http = servers.http.url.trim_start_matches("http://").to_owned();
        let ssh = servers.ssh.as_ref().map_or(0, |ssh| ssh.port);
        let user = std::env::var("USER").unwrap_or_else(|_| "root".to_owned());
        let replacements = vec![
            ("127.0.0.1:9781".to_owned(), http),
            ("root@127.0.0.1:9787".to_owned(), format!("{user}@127.0.0.1:{ssh}")),
            ("127.0.0.1:9790".to_owned(), world.storage_address.clone()),
            (SIGNED[0].to_owned(), git::run(&signed, &["rev-parse", "main"])),
            (SIGNED[1].to_owned(), git::run(&signed, &["rev-parse", "v1.0.0"])),
            (SIGNED[2].to_owned(), key.trim().to_owned()),
            // The name server of that machine, and a path no message of ours has.
            (" on 10.255.255.53:53".to_owned(), String::new()),
            ("\"COMMIT\"".to_owned(), "\"846e03c9c3225aff99f108b2e7b176166abe643f\"".to_owned()),
            ("commit: COMMIT".to_owned(), "commit: 846e03c9c3225aff99f108b2e7b176166abe643f".to_owned()),
        ];
        Play { servers, world, replacements }
    }

    /// A file of the recording, with the addresses of this run.
    pub fn text(&self, path: &str) -> String {
        without_temporary_paths(&self.replaced(&std::fs::read_to_string(corpus(path)).unwrap()))
    }

    /// Whether there is an SSH server to play with.
    pub fn has_ssh(&self) -> bool {
        self.servers.ssh.is_some()
    }

    /// A text of the recording, with the addresses of this run.
    pub fn replaced(&self, text: &str) -> String {
        let replace = |text: String, (from, to): &(String, String)| text.replace(from, to);
        self.replacements.iter().fold(text.to_owned(), replace)
    }

    pub fn documents(&self, path: &str) -> Vec<Value> {
        let text = self.text(path);
        let documents = serde_yaml::Deserializer::from_str(&text);
        documents
            .map(|document| <Value as serde::Deserialize>::deserialize(document).unwrap())
            .filter(|document| !document.is_null())
            .filter(|document| self.servers.ssh.is_some() || !needs_ssh(document))
            .collect()
    }

    fn lines(&self, path: &str) -> Vec<Value> {
        self.text(path).lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }

    pub async fn secrets(&self) {
        let signer = std::fs::read_to_string(corpus("bundles/signer.asc")).unwrap();
        self.world.secret("git", "pgp-keys", &[("author.asc", &signer)]).await;
        for (name, password) in [("git-auth", "flux-test-password"), ("git-wrong", "wrong-test-password")] {
            self.world.secret("git", name, &[("username", "flux"), ("password", password)]).await;
        }
        let Some(ssh) = &self.servers.ssh else {
            return;
        };
        let identity = ssh.read("client");
        keygen(&ssh.path("other"), "ed25519", "");
        let other = format!("[127.0.0.1]:{} {}", ssh.port, ssh.read("other.pub"));
        for (name, hosts) in [("ssh-key", ssh.known_hosts("ed25519")), ("ssh-wrong-host", other)] {
            self.world.secret("git", name, &[("identity", &identity), ("known_hosts", &hosts)]).await;
        }
    }

    /// Applies the objects of a file. What is included comes with an artifact before what includes it, as in the recording;
    /// only `bad-branch` never has one.
    async fn apply(&self, file: &str) {
        for document in self.documents(file) {
            for include in document["spec"]["include"].as_array().into_iter().flatten() {
                let name = include["repository"]["name"].as_str().unwrap();
                if self.world.repositories("git").get_opt(name).await.unwrap().is_some()
                    && name != "bad-branch"
                {
                    self.until(name, |object| object["status"]["artifact"].is_object()).await;
                }
            }
            self.world.apply(document).await;
        }
    }

    async fn edit(&self, name: &str, manager: &str, patch: Value) {
        if self.servers.ssh.is_some() || name != "ssh" {
            self.world.edit("git", name, manager, patch).await;
        }
    }

    async fn request(&self, name: &str, at: &str) {
        let patch = json!({"metadata": {"annotations": {"reconcile.fluxcd.io/requestedAt": at}}});
        self.edit(name, "flux-client-side-apply", patch).await;
    }

    async fn until(&self, name: &str, condition: impl Fn(&Value) -> bool) {
        let end = tokio::time::Instant::now() + DEADLINE;
        loop {
            let object = self.world.repositories("git").get(name).await.unwrap();
            let object = serde_json::to_value(object).unwrap();
            if condition(&object) {
                return;
            }
            assert!(tokio::time::Instant::now() < end, "{object:#}");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    /// Waits until all objects are as they were in a step. Those that fail are seen in the middle of a retry too.
    async fn compare(&self, step: &str, but: &[&str]) {
        let mut open: BTreeMap<String, Value> = BTreeMap::new();
        for file in steps_until(step) {
            for object in self.documents(&format!("objects/{file}.yaml")) {
                open.insert(name_of(&object), comparable(&object));
            }
        }
        for gone in gone_in(&self.text(&format!("objects/{step}.yaml"))) {
            open.remove(&gone);
        }
        open.retain(|name, _| !but.contains(&name.as_str()));
        let total = open.len();
        let end = tokio::time::Instant::now() + DEADLINE;
        let mut last = BTreeMap::new();
        while !open.is_empty() && tokio::time::Instant::now() < end {
            let list = self.world.repositories("git").list(&Default::default()).await.unwrap();
            for object in list {
                let object = comparable(&serde_json::to_value(object).unwrap());
                let name = name_of(&object);
                if open.get(&name) == Some(&object) {
                    open.remove(&name);
                }
                last.insert(name, object);
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        for (name, expected) in &open {
            let found = last.get(name).cloned().unwrap_or_default();
            println!("{step} {name}:\nrecorded {expected:#}\nhere {found:#}");
        }
        let names: Vec<&String> = open.keys().collect();
        assert!(open.is_empty(), "{step}: {} of {total} differ: {names:?}", open.len());
    }

    async fn compare_archives(&self) {
        let recorded: BTreeMap<String, Vec<(String, String, String, u64)>> =
            serde_json::from_str(&self.text("artifacts/entries.json")).unwrap();
        let mut compared = 0;
        for (path, expected) in recorded {
            let path = path.trim_start_matches("source-controller/");
            // Its content is another one.
            if path.contains("/signed/") || (path.contains("/ssh/") && self.servers.ssh.is_none()) {
                continue;
            }
            assert_eq!(entries(&self.world.storage.path().join(path)), expected, "{path}");
            compared += 1;
        }
        assert!(compared >= 8, "{compared}");
    }

    /// The states an object was seen in are those that were written.
    fn compare_writes(&self) {
        let mut recorded: BTreeMap<String, Vec<Value>> = BTreeMap::new();
        for write in self.lines("api-writes.jsonl") {
            let uri = write["uri"].as_str().unwrap();
            let conditions = &write["body"]["status"]["conditions"];
            let name = uri.split("/gitrepositories/").nth(1).unwrap().split(['/', '?']).next().unwrap();
            if write["code"] == 200 && conditions.is_array() {
                recorded.entry(name.to_owned()).or_default().push(untimed(conditions));
            }
        }
        if self.servers.ssh.is_none() {
            recorded.retain(|name, _| !name.contains("ssh"));
        }
        let mut seen: BTreeMap<String, Vec<Value>> = BTreeMap::new();
        for object in self.world.history.lock().unwrap().iter() {
            let states = seen.entry(name_of(object)).or_default();
            let conditions = untimed(&object["status"]["conditions"]);
            if conditions.is_array() && states.last() != Some(&conditions) {
                states.push(conditions);
            }
        }
        let mut writes = 0;
        for (name, recorded) in recorded {
            let seen = &seen[&name];
            for (index, expected) in recorded.iter().enumerate() {
                let found = seen.get(index).cloned().unwrap_or_default();
                assert!(*expected == found, "{name}, write {index}:\n{expected:#}\nhere\n{found:#}");
                writes += 1;
            }
        }
        println!("{writes} status writes are as recorded");
    }

    async fn compare_events(&self) {
        let identity = |event: &Value, name: &Value, annotations: Vec<String>| {
            let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
            let parts = [&event["type"], &event["reason"], name, &event["message"]];
            (parts.map(text), annotations)
        };
        let mut expected = BTreeSet::new();
        for event in self.lines("events.jsonl") {
            // What came after the restart is another test.
            if event["first"].as_str().unwrap() < RESTART {
                let annotations = serde_json::from_value(event["annotations"].clone()).unwrap();
                expected.insert(identity(&event, &event["name"], annotations));
            }
        }
        let mut found = BTreeSet::new();
        for event in self.world.events("git").await {
            assert_eq!(event["source"]["component"], "source-controller");
            assert_eq!(event["reportingComponent"], "source-controller");
            let annotations = event["metadata"]["annotations"].as_object().cloned().unwrap_or_default();
            let annotations = annotations.into_iter().map(|(key, _)| key).collect();
            found.insert(identity(&event, &event["involvedObject"]["name"], annotations));
        }
        let ours = |name: &str| ["include", "include-not-ready", "bad-signature"].contains(&name);
        let missing: Vec<_> = expected.difference(&found).filter(|(e, _)| !is_accepted(e)).collect();
        let more: Vec<_> =
            found.difference(&expected).filter(|(e, _)| !ours(&e[2]) && !is_accepted(e)).collect();
        assert!(missing.is_empty() && more.is_empty(), "missing: {missing:#?}\nmore: {more:#?}");
    }

    fn compare_posts(&self) {
        let mut found: BTreeMap<[String; 3], String> = BTreeMap::new();
        for post in self.world.posts.lock().unwrap().iter() {
            found.entry(post_identity(post)).or_insert_with(|| blanked(post));
        }
        let mut compared = 0;
        for line in self.text("event-posts.jsonl").lines() {
            let line: Value = serde_json::from_str(line).unwrap();
            let Some(recorded) = line["raw"].as_str() else {
                continue;
            };
            let identity = post_identity(recorded);
            let at =
                serde_json::from_str::<Value>(recorded).unwrap()["timestamp"].as_str().unwrap().to_owned();
            if at.as_str() >= RESTART || !recorded.contains("\"GitRepository\"") {
                continue;
            }
            if self.servers.ssh.is_none() && identity[0].contains("ssh") {
                continue;
            }
            let Some(ours) = found.get(&identity) else {
                panic!("not posted: {identity:?}");
            };
            assert_eq!(*ours, blanked(recorded));
            compared += 1;
        }
        println!("{compared} posts are as recorded");
        assert!(compared >= 30, "{compared}");
    }
}

/// What differs on purpose: nothing is fetched for a commit or a range that is stored already, so nothing is compared
/// either.
fn is_accepted(event: &[String; 4]) -> bool {
    let [_, reason, name, _] = event;
    matches!(reason.as_str(), "ArtifactUpToDate" | "GitOperationSucceeded")
        && ["commit", "semver"].contains(&name.as_str())
}

fn steps_until(step: &str) -> Vec<&'static str> {
    let steps = ["01-ready", "02-failing", "03-new-commit", "04-changed", "05-recovered"];
    let last = steps.iter().position(|s| *s == step).unwrap();
    steps[..=last].to_vec()
}

/// The names in the comment about what is no more.
fn gone_in(text: &str) -> Vec<String> {
    let line = text.lines().find_map(|line| line.strip_prefix("# gone: ")).unwrap_or_default();
    line.split(", ").filter_map(|item| item.rsplit_once('/')).map(|(_, name)| name.to_owned()).collect()
}

fn needs_ssh(object: &Value) -> bool {
    object["spec"]["url"].as_str().is_some_and(|url| url.starts_with("ssh://"))
}

pub fn name_of(object: &Value) -> String {
    object["metadata"]["name"].as_str().unwrap().to_owned()
}

/// An object without what is another one each time.
pub fn comparable(object: &Value) -> Value {
    let mut object = object.clone();
    let metadata = &object["metadata"];
    let managed: Vec<Value> = metadata["managedFields"]
        .as_array()
        .into_iter()
        .flatten()
        .filter(|entry| entry["manager"] == "source-controller")
        .map(|entry| {
            let mut entry = entry.clone();
            entry.as_object_mut().unwrap().remove("time");
            entry
        })
        .collect();
    object["metadata"] = json!({
        "name": metadata["name"],
        "generation": metadata["generation"],
        "finalizers": metadata["finalizers"],
        "labels": metadata["labels"],
        "requestedAt": metadata["annotations"]["reconcile.fluxcd.io/requestedAt"],
        "managedFields": managed,
    });
    let status = &mut object["status"];
    let blank = |artifact: &mut Value| {
        for key in ["digest", "lastUpdateTime", "size"] {
            if artifact[key].is_null() {
                panic!("{key} is missing in {artifact:#}");
            }
            artifact[key] = json!("");
        }
    };
    if status["artifact"].is_object() {
        blank(&mut status["artifact"]);
    }
    status["includedArtifacts"].as_array_mut().into_iter().flatten().for_each(blank);
    status["conditions"] = untimed(&status["conditions"]);
    object
}

/// Conditions without their times.
pub fn untimed(conditions: &Value) -> Value {
    let mut conditions = conditions.clone();
    for condition in conditions.as_array_mut().into_iter().flatten() {
        condition.as_object_mut().unwrap().remove("lastTransitionTime");
    }
    conditions
}

/// `lstat TMPDIR/name-123/x` is `lstat x` here: a path that differs each time makes a new event each time.
fn without_temporary_paths(text: &str) -> String {
    let mut parts = text.split("TMPDIR/");
    let mut result = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        result.push_str(part.split_once('/').map_or("", |(_, rest)| rest));
    }
    result
}

fn post_identity(raw: &str) -> [String; 3] {
    let post: Value = serde_json::from_str(raw).unwrap();
    let parts = [&post["involvedObject"]["name"], &post["reason"], &post["message"]];
    parts.map(|part| part.as_str().unwrap().to_owned())
}

/// The bytes of a post without values that differ each time.
fn blanked(raw: &str) -> String {
    let mut text = raw.to_owned();
    for key in ["uid", "resourceVersion", "timestamp", "source.toolkit.fluxcd.io/digest", "reportingInstance"]
    {
        let begin = format!("\"{key}\":\"");
        if let Some(start) = text.find(&begin).map(|at| at + begin.len())
            && let Some(length) = text[start..].find('"')
        {
            text.replace_range(start..start + length, "");
        }
    }
    text
}
