//! A listener: accepts connections, gives each request to the front, and on a signal lets what is in flight end.

use std::convert::Infallible;
use std::time::Duration;

use axum::extract::Request;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::server::graceful::GracefulShutdown;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tracing::{debug, warn};

use super::front::Front;
use crate::tasks;

/// How long accepting rests after the system refused a connection, for instance for want of file descriptors.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// Serves until `stop`, then until every request in flight is answered.
pub async fn serve(
    listener: TcpListener,
    front: Front,
    read_timeout: Duration,
    mut stop: watch::Receiver<bool>,
) {
    let mut server = http1::Builder::new();
    server
        .timer(TokioTimer::new())
        .header_read_timeout(read_timeout)
        .keep_alive(true);
    let graceful = GracefulShutdown::new();
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            () = tasks::stopped(&mut stop) => break,
        };
        match accepted {
            Ok((stream, _)) => connect(&server, &graceful, front.clone(), stream),
            Err(error) => {
                warn!(%error, "failed to accept a connection");
                tokio::time::sleep(ACCEPT_PAUSE).await;
            }
        }
    }
    drop(listener);
    graceful.shutdown().await;
}

fn connect(server: &http1::Builder, graceful: &GracefulShutdown, front: Front, stream: TcpStream) {
    // Small answers leave at once; nothing is gained by waiting for more.
    let _ = stream.set_nodelay(true);
    let service = service_fn(move |request: Request<hyper::body::Incoming>| {
        let front = front.clone();
        async move { Ok::<_, Infallible>(front.call(request).await) }
    });
    let connection = server.serve_connection(TokioIo::new(stream), service);
    let connection = graceful.watch(connection);
    tasks::start(async move {
        if let Err(error) = connection.await {
            debug!(%error, "a connection ended");
        }
    });
}
