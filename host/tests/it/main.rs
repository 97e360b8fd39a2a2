//! The host as its callers meet it: routes, formats, reloads and its end, on the real engine with small forests. No test
//! sleeps: the follower is polled by hand with the clock as an argument, and requests go to the router without a socket.

#![expect(
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a test that cannot go on has failed"
)]

mod binary;
mod capture;
mod clouds;
mod drift;
mod formats;
mod gating;
mod honest;
mod host;
mod killed;
mod life;
mod offline;
mod oip;
mod poison;
mod releases;
mod reload;
mod replay;
mod repository;
mod retraining;
mod routes;
mod steps;
mod surface;
mod swap;
mod tracking;
mod traffic;
mod upload;
