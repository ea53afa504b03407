//! The state of the parts of a control plane, which all are parts of this server.

use std::sync::Arc;

use serde_json::{Value, json};

use super::Context;
use super::answer::Answer;
use super::read::{Selection, list_answer, one};
use crate::api_error::{ApiError, ApiResult};
use crate::store::Stored;

const COMPONENTS: [&str; 3] = ["controller-manager", "scheduler", "etcd-0"];

/// Answers the state of all parts, or of one.
pub(crate) fn serve(ctx: &mut Context) -> ApiResult<Answer> {
    ctx.warn(vec!["v1 ComponentStatus is deprecated in v1.19+".to_owned()]);
    let name = ctx.target.name.as_str();
    if !name.is_empty() {
        if !COMPONENTS.contains(&name) {
            return Err(ApiError::not_found("", "componentstatus", name));
        }
        return one(ctx, 200, &component(name));
    }
    let selection = Selection::parse(ctx)?;
    let all = COMPONENTS.iter().map(|name| component(name)).filter(|v| selection.matches(v));
    let objects: Vec<Arc<Stored>> = all.map(|v| Arc::new(Stored::new(v, 0))).collect();
    list_answer(ctx, &objects, json!({}))
}

fn component(name: &str) -> Value {
    json!({
        "kind": "ComponentStatus", "apiVersion": "v1", "metadata": {"name": name},
        "conditions": [{"type": "Healthy", "status": "True", "message": "ok"}],
    })
}
