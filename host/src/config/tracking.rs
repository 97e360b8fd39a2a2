//! Where trainings and releases are recorded beside the store.

use std::time::Duration;

use hodoscope_registry::tracking::Tracking;

use super::Secret;
use super::reader::Reader;

/// How MLflow is reached.
#[derive(Debug, Clone)]
pub struct TrackingSettings {
    /// The server's address, which may hold a user and a password; without one nothing is recorded.
    pub uri: Option<Secret>,
    /// A bearer token for it.
    pub token: Option<Secret>,
    /// The experiment; `None`: one for each detector.
    pub experiment: Option<String>,
    /// The longest time that tracking may add to a command.
    pub deadline: Duration,
}

impl TrackingSettings {
    pub(super) fn read(read: &mut Reader<'_>) -> Self {
        Self {
            uri: read.address(
                "mlflow_tracking_uri",
                Tracking::check,
                "MLflow's address; also MLFLOW_TRACKING_URI; empty for none",
            ),
            token: read.secret(
                "mlflow_token",
                "its bearer token; also MLFLOW_TRACKING_TOKEN",
            ),
            experiment: read.maybe(
                "mlflow_experiment",
                "the experiment; default hodoscope/<detector>; also MLFLOW_EXPERIMENT_NAME",
            ),
            deadline: read.seconds(
                "mlflow_deadline_seconds",
                10,
                "the most that tracking adds to a command",
            ),
        }
    }
}
