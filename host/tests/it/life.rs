//! The host on real sockets: swaps under load, slow clients, and the end.

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use hodoscope::{http, tasks};
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::JoinHandle;

use crate::host::{TestHost, forest};

/// Serves the data port on a free port of the loopback.
async fn listen(
    host: &TestHost,
    read_timeout: Duration,
) -> (SocketAddr, watch::Sender<bool>, JoinHandle<()>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let (stop, stopped) = watch::channel(false);
    let served = tasks::start(http::serve(
        listener,
        host.data.clone(),
        read_timeout,
        stopped,
    ));
    (address, stop, served)
}

/// One request on a connection of its own; gives status and body.
fn score(address: SocketAddr) -> (u16, String) {
    let body = r#"{"rows":[[1,2]]}"#;
    let mut stream = TcpStream::connect(address).unwrap();
    write!(stream, "POST /v1/detectors/pump/score HTTP/1.1\r\nhost: x\r\nconnection: close\r\ncontent-length: {}\r\n\r\n{body}", body.len()).unwrap();
    let mut text = String::new();
    stream.read_to_string(&mut text).unwrap();
    let status = text.split(' ').nth(1).unwrap_or("0").parse().unwrap();
    (
        status,
        text.rsplit("\r\n\r\n")
            .next()
            .unwrap_or_default()
            .to_owned(),
    )
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn swaps_under_concurrent_requests_fail_none() {
    let host = TestHost::with_pump().await;
    let pins = [
        host.push("pump@1.0.0", &forest(2, 10.0, 8.0)).await,
        host.push("pump@1.1.0", &forest(2, 20.0, 8.0)).await,
    ];
    let (address, stop, served) = listen(&host, Duration::from_secs(10)).await;
    let (done, answered) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
    let callers: Vec<_> = (0..4)
        .map(|_| {
            let (done, answered) = (done.clone(), answered.clone());
            std::thread::spawn(move || {
                while done.load(Ordering::Relaxed) == 0 {
                    let (status, body) = score(address);
                    assert_eq!(status, 200, "{body}");
                    answered.fetch_add(1, Ordering::Relaxed);
                }
            })
        })
        .collect();
    for swap in 0..40 {
        host.promote("pump", &pins[swap % 2]);
        host.poll().await;
    }
    done.store(1, Ordering::Relaxed);
    for caller in callers {
        caller.join().unwrap();
    }
    assert!(answered.load(Ordering::Relaxed) > 0);
    stop.send_replace(true);
    served.await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_request_in_flight_is_answered_after_the_signal_and_no_new_one_is_taken() {
    let host = TestHost::with_pump().await;
    let (address, stop, served) = listen(&host, Duration::from_secs(10)).await;
    let mut stream = TcpStream::connect(address).unwrap();
    write!(
        stream,
        "POST /v1/detectors/pump/score HTTP/1.1\r\nhost: x\r\ncontent-length: 16\r\n\r\n"
    )
    .unwrap();
    // The head has arrived once the request counts as in flight.
    while !host
        .metrics()
        .await
        .contains("hodoscope_in_flight_requests 2")
    {
        tokio::task::yield_now().await;
    }
    host.app.drain();
    stop.send_replace(true);
    assert_eq!(host.get("/v2/health/ready").await.status, 503);
    assert_eq!(host.get("/v2/health/live").await.status, 200);
    stream.write_all(br#"{"rows":[[1,2]]}"#).unwrap();
    let mut text = String::new();
    stream.read_to_string(&mut text).unwrap();
    assert!(text.starts_with("HTTP/1.1 200"), "{text}");
    served.await.unwrap();
    assert!(TcpStream::connect(address).is_err());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_client_that_sends_its_head_slowly_is_let_go() {
    let host = TestHost::with_pump().await;
    let (address, stop, served) = listen(&host, Duration::from_millis(50)).await;
    let mut stream = TcpStream::connect(address).unwrap();
    write!(stream, "POST /v1/detectors/pump/score HTTP/1.1\r\nhost:").unwrap();
    let mut text = String::new();
    stream.read_to_string(&mut text).unwrap();
    assert!(
        text.is_empty() || text.starts_with("HTTP/1.1 408"),
        "{text}"
    );
    stop.send_replace(true);
    served.await.unwrap();
}
