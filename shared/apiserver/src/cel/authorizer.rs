//! `authorizer`: what an expression may ask about the permissions of a user.

use std::any::Any;
use std::fmt;
use std::sync::{Arc, LazyLock};

use cel::common::types::{STRING_TYPE, Type};
use cel::common::value::{CowVal, StaticVal, Val};
use cel::{DeclarationError, Env, ExecutionError};

use super::library::{Answer, Arguments, error, string_at, text, truth};
use super::special::named;

/// The type of `authorizer`.
pub(crate) const AUTHORIZER: &str = "kubernetes.authorization.Authorizer";
pub(super) const PATH: &str = "kubernetes.authorization.PathCheck";
pub(super) const GROUP: &str = "kubernetes.authorization.GroupCheck";
pub(crate) const RESOURCE: &str = "kubernetes.authorization.ResourceCheck";
pub(super) const DECISION: &str = "kubernetes.authorization.Decision";

/// What a check is about.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Check {
    /// The service account asked about, as namespace and name; the user of the request when there is none.
    pub account: Option<(String, String)>,
    /// The path, for what is no resource.
    pub path: String,
    /// The API group.
    pub group: String,
    /// The resource.
    pub resource: String,
    /// The subresource.
    pub subresource: String,
    /// The namespace.
    pub namespace: String,
    /// The name.
    pub name: String,
    /// The verb.
    pub verb: String,
}

/// Decides whether something is allowed, and why.
pub(crate) type Decide = Arc<dyn Fn(&Check) -> (bool, String) + Send + Sync>;

/// A value on the way from `authorizer` to a decision.
#[derive(Clone)]
pub(crate) struct Authority {
    stage: Stage,
    check: Check,
    decide: Decide,
    decision: Option<(bool, String)>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stage {
    Authorizer,
    Path,
    Group,
    Resource,
    Decision,
}

impl Authority {
    /// `authorizer` itself.
    pub fn new(decide: Decide) -> Self {
        Authority { stage: Stage::Authorizer, check: Check::default(), decide, decision: None }
    }

    /// `authorizer.requestResource`: a check of the resource that a request is about.
    pub fn of_resource(decide: Decide, check: Check) -> Self {
        Authority { stage: Stage::Resource, check, decide, decision: None }
    }
}

impl fmt::Debug for Authority {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Authority").field("stage", &self.stage).field("check", &self.check).finish()
    }
}

static TYPES: LazyLock<[Type; 5]> =
    LazyLock::new(|| [AUTHORIZER, PATH, GROUP, RESOURCE, DECISION].map(named));

impl StaticVal for Authority {}

impl Val for Authority {
    fn get_type(&self) -> &Type {
        &TYPES[self.stage as usize]
    }

    fn cel_type() -> &'static Type {
        &TYPES[0]
    }

    fn equals(&self, other: &dyn Val) -> bool {
        other
            .downcast_ref::<Authority>()
            .is_some_and(|other| (self.stage, &self.check) == (other.stage, &other.check))
    }

    fn clone_as_boxed<'v>(&self) -> Box<dyn Val + 'v>
    where
        Self: 'v,
    {
        Box::new(self.clone())
    }

    fn as_any(&self) -> Option<&dyn Any> {
        Some(self)
    }
}

/// Adds the functions.
pub(super) fn extend(env: &mut Env) -> Result<(), DeclarationError> {
    let one = || vec![STRING_TYPE];
    env.add_member_overload("path", "authorizer_path", named(AUTHORIZER), one(), |a| {
        next(&a, Stage::Path, |check, value| check.path = value)
    })?;
    env.add_member_overload("group", "authorizer_group", named(AUTHORIZER), one(), |a| {
        next(&a, Stage::Group, |check, value| check.group = value)
    })?;
    env.add_member_overload(
        "serviceAccount",
        "authorizer_service_account",
        named(AUTHORIZER),
        vec![STRING_TYPE, STRING_TYPE],
        |a| {
            let name = string_at(&a, 2)?;
            next(&a, Stage::Authorizer, |check, namespace| check.account = Some((namespace, name)))
        },
    )?;
    env.add_member_overload("resource", "authorizer_resource", named(GROUP), one(), |a| {
        next(&a, Stage::Resource, |check, value| check.resource = value)
    })?;
    env.add_member_overload("subresource", "authorizer_subresource", named(RESOURCE), one(), |a| {
        next(&a, Stage::Resource, |check, value| check.subresource = value)
    })?;
    env.add_member_overload("namespace", "authorizer_namespace", named(RESOURCE), one(), |a| {
        next(&a, Stage::Resource, |check, value| check.namespace = value)
    })?;
    env.add_member_overload("name", "authorizer_name", named(RESOURCE), one(), |a| {
        next(&a, Stage::Resource, |check, value| check.name = value)
    })?;
    env.add_member_overload("check", "authorizer_path_check", named(PATH), one(), decide)?;
    env.add_member_overload("check", "authorizer_resource_check", named(RESOURCE), one(), decide)?;
    env.add_member_overload("allowed", "authorizer_allowed", named(DECISION), vec![], |a| {
        truth(decision_at(&a)?.0)
    })?;
    env.add_member_overload("reason", "authorizer_reason", named(DECISION), vec![], |a| {
        text(decision_at(&a)?.1)
    })?;
    env.add_member_overload("errored", "authorizer_errored", named(DECISION), vec![], |a| {
        decision_at(&a)?;
        truth(false)
    })?;
    env.add_member_overload("error", "authorizer_error", named(DECISION), vec![], |a| {
        decision_at(&a)?;
        text(String::new())
    })?;
    Ok(())
}

fn authority_at(arguments: &Arguments<'_, '_>) -> Result<Authority, ExecutionError> {
    let found = arguments.first().and_then(|a| a.as_ref().downcast_ref::<Authority>());
    found.cloned().ok_or_else(|| error("no such overload"))
}

fn next<'b, 'v>(
    arguments: &Arguments<'b, 'v>,
    stage: Stage,
    change: impl FnOnce(&mut Check, String),
) -> Answer<'b, 'v> {
    let mut authority = authority_at(arguments)?;
    change(&mut authority.check, string_at(arguments, 1)?);
    Ok(CowVal::owned(Authority { stage, ..authority }))
}

fn decide<'b, 'v>(arguments: Arguments<'b, 'v>) -> Answer<'b, 'v> {
    let mut authority = authority_at(&arguments)?;
    authority.check.verb = string_at(&arguments, 1)?;
    authority.decision = Some((authority.decide)(&authority.check));
    Ok(CowVal::owned(Authority { stage: Stage::Decision, ..authority }))
}

fn decision_at(arguments: &Arguments<'_, '_>) -> Result<(bool, String), ExecutionError> {
    authority_at(arguments)?.decision.ok_or_else(|| error("no such overload"))
}
