//! What a request asks for, read from its method, path and query.

pub(crate) mod query;

pub(crate) use query::Query;

/// A request's target as authorisation and routing see it.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Target {
    pub verb: &'static str,
    /// False for `/healthz`, discovery and the like.
    pub is_resource: bool,
    pub path: String,
    pub group: String,
    pub version: String,
    pub namespace: String,
    pub resource: String,
    pub name: String,
    /// The one name that the field selector of a list or watch allows.
    pub selected_name: String,
    pub subresource: String,
}

impl Target {
    /// Reads method, decoded path and query.
    pub fn parse(method: &http::Method, path: &str, query: &Query) -> Self {
        let mut t = Target { verb: plain_verb(method), path: path.to_owned(), ..Target::default() };
        let segments: Vec<&str> = path.trim_matches('/').split('/').collect();
        let (group, version, mut rest) = match segments.as_slice() {
            ["api", v, rest @ ..] if !rest.is_empty() => ("", *v, rest),
            ["apis", g, v, rest @ ..] if !rest.is_empty() => (*g, *v, rest),
            _ => return t,
        };
        t.is_resource = true;
        t.group = group.to_owned();
        t.version = version.to_owned();
        let mut old_watch = false;
        if rest[0] == "watch" && rest.len() > 1 {
            old_watch = true;
            rest = &rest[1..];
        }
        if let ["namespaces", ns, more @ ..] = rest {
            t.namespace = (*ns).to_owned();
            if !matches!(more, [] | ["status" | "finalize"]) {
                rest = more;
            }
        }
        t.resource = rest[0].to_owned();
        t.name = rest.get(1).map(|s| (*s).to_owned()).unwrap_or_default();
        t.subresource = rest.get(2..).map(|s| s.join("/")).unwrap_or_default();
        t.verb = match *method {
            http::Method::GET | http::Method::HEAD if old_watch => "watch",
            http::Method::GET | http::Method::HEAD if t.name.is_empty() => {
                if query.flag("watch") {
                    "watch"
                } else {
                    "list"
                }
            }
            http::Method::GET | http::Method::HEAD => "get",
            http::Method::POST => "create",
            http::Method::PUT => "update",
            http::Method::PATCH => "patch",
            http::Method::DELETE if t.name.is_empty() => "deletecollection",
            http::Method::DELETE => "delete",
            _ => "",
        };
        if old_watch && t.verb != "watch" {
            // There is nothing to do with a watch but to watch.
            t.verb = "";
        }
        if matches!(t.verb, "list" | "watch") {
            t.selected_name = selected_name(query.text("fieldSelector")).to_owned();
        }
        t
    }
}

impl Target {
    /// Whether the path says that something is watched or connected to, and not what.
    pub fn is_unfinished(&self) -> bool {
        self.is_resource && self.name.is_empty() && matches!(self.resource.as_str(), "watch" | "proxy")
    }
}

/// The name that a field selector asks for, when it asks for one.
fn selected_name(selector: &str) -> &str {
    let mut terms = selector.split(',').filter_map(|term| term.split_once('='));
    let name = terms.find(|(field, _)| *field == "metadata.name").map(|(_, name)| name);
    name.map(|name| name.trim_start_matches('=')).unwrap_or_default()
}

fn plain_verb(method: &http::Method) -> &'static str {
    match *method {
        http::Method::GET => "get",
        http::Method::HEAD => "head",
        http::Method::POST => "post",
        http::Method::PUT => "put",
        http::Method::PATCH => "patch",
        http::Method::DELETE => "delete",
        http::Method::OPTIONS => "options",
        _ => "",
    }
}
