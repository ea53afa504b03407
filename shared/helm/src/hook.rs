//! Hooks: manifests that are run at certain moments of a release's life.

use std::fmt;

use crate::time::Time;

/// When a hook runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum HookEvent {
    /// Before anything is installed.
    PreInstall,
    /// After everything is installed.
    PostInstall,
    /// Before a release is deleted.
    PreDelete,
    /// After a release is deleted.
    PostDelete,
    /// Before an upgrade.
    PreUpgrade,
    /// After an upgrade.
    PostUpgrade,
    /// Before a rollback.
    PreRollback,
    /// After a rollback.
    PostRollback,
    /// When the release is tested.
    Test,
}

impl HookEvent {
    const ALL: [(HookEvent, &'static str); 9] = [
        (HookEvent::PreInstall, "pre-install"),
        (HookEvent::PostInstall, "post-install"),
        (HookEvent::PreDelete, "pre-delete"),
        (HookEvent::PostDelete, "post-delete"),
        (HookEvent::PreUpgrade, "pre-upgrade"),
        (HookEvent::PostUpgrade, "post-upgrade"),
        (HookEvent::PreRollback, "pre-rollback"),
        (HookEvent::PostRollback, "post-rollback"),
        (HookEvent::Test, "test"),
    ];

    /// The event of this name; `test-success` is Helm 2's name of `test`.
    pub fn parse(name: &str) -> Option<HookEvent> {
        if name == "test-success" {
            return Some(HookEvent::Test);
        }
        HookEvent::ALL.iter().find(|(_, known)| *known == name).map(|(event, _)| *event)
    }

    /// The name in annotations and records.
    pub fn as_str(self) -> &'static str {
        HookEvent::ALL.iter().find(|(event, _)| *event == self).map_or("", |(_, name)| name)
    }
}

impl fmt::Display for HookEvent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A manifest that is run, not installed.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Hook {
    /// `metadata.name`.
    pub name: String,
    /// `kind`.
    pub kind: String,
    /// The template it came from.
    pub path: String,
    /// The text.
    pub manifest: String,
    /// When it runs.
    pub events: Vec<HookEvent>,
    /// How its last run went.
    pub last_run: HookExecution,
    /// Lower weights run first.
    pub weight: i64,
    /// When its objects are deleted: `hook-succeeded`, `hook-failed`, `before-hook-creation`.
    pub delete_policies: Vec<String>,
    /// When its logs are printed: `hook-succeeded`, `hook-failed`.
    pub output_log_policies: Vec<String>,
}

/// How the last run of a hook went.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct HookExecution {
    /// When it started.
    pub started_at: Option<Time>,
    /// When it ended.
    pub completed_at: Option<Time>,
    /// `Unknown`, `Running`, `Succeeded`, `Failed`, or empty when it never ran.
    pub phase: String,
}

/// The hooks of an event in the order in which they run: by weight, then by name.
pub fn hooks_of(hooks: &[Hook], event: HookEvent) -> Vec<&Hook> {
    let mut selected: Vec<&Hook> = hooks.iter().filter(|hook| hook.events.contains(&event)).collect();
    selected.sort_by(|left, right| left.weight.cmp(&right.weight).then_with(|| left.name.cmp(&right.name)));
    selected
}
