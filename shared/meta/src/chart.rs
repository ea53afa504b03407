//! Where charts come from and what makes a new one.

use crate::string_enum;

string_enum! {
    /// Kinds of sources that hold charts.
    pub enum ChartSourceKind {
        /// A chart repository.
        HelmRepository = "HelmRepository",
        /// A Git repository.
        GitRepository = "GitRepository",
        /// A bucket.
        Bucket = "Bucket",
    }
}

string_enum! {
    /// What makes a new artifact of a chart.
    pub enum ReconcileStrategy {
        /// A new chart version.
        ChartVersion(default) = "ChartVersion",
        /// A new revision of the source.
        Revision = "Revision",
    }
}
