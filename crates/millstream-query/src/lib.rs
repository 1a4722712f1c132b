//! Where plans are executed: one trait for all rooms that have rows computed, and the runtime of this process.
//!
//! A room makes a plan in the session of a [`QueryRuntime`], says with [`Execution`] how it wants the rows, and gets a stream
//! of them. Nothing else starts a plan, so that another runtime, such as a cluster, takes the place of [`LocalRuntime`]
//! without a change anywhere else. docs/decisions/0021 says what such a runtime has to keep.
//!
//! What plans use is charged to the account of the work that they are executed for.
//!
//! May touch: DataFusion. Must not: know SQL text, tables of the lake, contracts or runs.

mod account;
mod frugal;
mod in_order;
mod local;
pub mod node;
mod runtime;
mod sorted;

pub use account::AccountedPool;
pub use local::LocalRuntime;
pub use runtime::{Execution, Order, QueryRuntime, scan};
