//! The store and the channel folders as their users see them.
#![cfg(test)]

mod capture;
mod channels;
mod contract;
mod crash;
mod faults;
mod forge;
mod objects;
mod tracking;
mod wire;
