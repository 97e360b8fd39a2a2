//! The composition of Hodoscope: settings, commands, and the server that they start. `main` only calls [`commands::Cli`].

pub mod app;
pub mod capture;
pub mod channel_change;
pub mod columns;
pub mod commands;
pub mod config;
pub mod evidence;
pub mod follow;
pub mod forge;
pub mod gate;
pub mod gates;
pub mod http;
pub mod job;
pub mod offline;
pub mod pins;
pub mod proposal;
pub mod releases;
pub mod retrain;
pub mod roster;
pub mod rows;
pub mod shadow;
pub mod source;
pub mod tasks;
pub mod telemetry;
pub mod tracking;
