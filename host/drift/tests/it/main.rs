//! What windows make of a reference, at the boundary that the job uses: profiles and parts in, a report out.
#![cfg(test)]

mod draws;
mod merging;
mod shown;
mod verdicts;
