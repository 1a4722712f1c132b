//! Continuous tables: what their SQL may be, and that events give what a query over all of them gives.

mod queries;
mod refused;
mod same_rows;
mod windows;
mod world;
