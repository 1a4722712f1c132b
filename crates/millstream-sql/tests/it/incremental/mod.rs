//! Incremental maintenance against the oracle "compute everything anew", over random changes of the inputs.

mod append;
mod decisions;
mod evolution;
mod history;
mod keyed;
mod world;
