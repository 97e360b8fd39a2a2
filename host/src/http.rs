//! The two listeners: what they answer, on one page each (`router`), and how every answer is finished ([`Front`]).
//! Handlers extract, call a room, and map; they know nothing of wasmtime, of the store's kinds, or of each other.

mod admin;
mod answer;
mod body;
mod call;
mod friendly;
mod front;
mod listen;
mod oip;
mod openapi;
mod param;
mod problem;
mod repository;
mod router;
mod rows;
mod upload;

pub use front::{Front, RequestIds};
pub use listen::serve;
pub use problem::{Code, Problem};
pub use router::{admin, data};
