//! Every route, on one page for each port. The data port scores and changes nothing. The admin port tells what happens
//! without a token, and takes releases and changes with one.

use std::sync::Arc;

use axum::Router;
use axum::routing::{get, post, put};

use super::{admin as operate, friendly, oip, openapi, param, repository, upload};
use crate::app::App;

/// The data port.
pub fn data(app: Arc<App>) -> Router {
    let router = Router::new()
        // Named features in, scores out.
        .route("/v1/detectors", get(friendly::list))
        .route("/v1/detectors/{name}", get(friendly::describe))
        .route("/v1/detectors/{name}/score", post(friendly::score))
        .route(
            "/v1/detectors/{name}/versions/{version}",
            get(friendly::describe_version),
        )
        .route(
            "/v1/detectors/{name}/versions/{version}/score",
            post(friendly::score_version),
        )
        // The Open Inference Protocol, for clients that exist.
        .route("/v2", get(oip::server))
        .route("/v2/health/live", get(oip::live))
        .route("/v2/health/ready", get(oip::ready))
        .route("/v2/models/{name}", get(oip::model))
        .route("/v2/models/{name}/ready", get(oip::model_ready))
        .route("/v2/models/{name}/infer", post(oip::infer))
        .route(
            "/v2/models/{name}/versions/{version}",
            get(oip::model_version),
        )
        .route(
            "/v2/models/{name}/versions/{version}/ready",
            get(oip::model_version_ready),
        )
        .route(
            "/v2/models/{name}/versions/{version}/infer",
            post(oip::infer_version),
        )
        .route("/v2/repository/index", post(repository::index))
        // What this port answers.
        .route("/openapi.json", get(openapi::data));
    finish(router, app)
}

/// The admin port.
pub fn admin(app: Arc<App>) -> Router {
    let router = Router::new()
        // For people and their tools; no token.
        .route("/metrics", get(operate::metrics))
        .route("/roster", get(operate::roster))
        .route("/v2", get(oip::server))
        .route("/v2/health/live", get(oip::live))
        .route("/v2/health/ready", get(oip::ready))
        .route("/v2/repository/index", post(repository::index))
        // With the token.
        .route(
            "/v1/detectors/{name}/versions/{version}",
            put(upload::upload),
        )
        .route("/v2/repository/models/{name}/load", post(repository::load))
        .route(
            "/v2/repository/models/{name}/unload",
            post(repository::unload),
        )
        // What this port answers.
        .route("/openapi.json", get(openapi::admin));
    finish(router, app)
}

fn finish(router: Router<Arc<App>>, app: Arc<App>) -> Router {
    router
        .fallback(param::no_route)
        .method_not_allowed_fallback(param::no_method)
        .with_state(app)
}
