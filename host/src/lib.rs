//! The composition of Hodoscope: settings, commands, and the server that they start. `main` only calls [`commands::Cli`].

pub mod commands;
pub mod config;
pub mod gate;
pub mod rows;
