//! One feature set for every selection of crates.
//!
//! Cargo unifies the features of a dependency over the crates that are being built. Building one crate, the
//! binary or all tests would each give DataFusion's dependencies other features, and compile them again. Each
//! crate with heavy dependencies depends on this one, whose manifest names the features of the union.
//!
//! May touch: nothing. Must not: hold code.
