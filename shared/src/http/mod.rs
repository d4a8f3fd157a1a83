//! HTTP as API Gateway brings it: the only place that names a `StatusCode`.
//!
//! - [`routes`] is the one table of native routes: the functions dispatch on it, `/openapi.json` ([`openapi`]) and
//!   `/docs` ([`docs`]) are rendered from it.
//! - [`doors`] is the table of the front doors' routes, [`door`] their error envelopes; [`engine`] and [`lenient`] read
//!   what two functions get through such a door.
//! - [`serve()`] turns one request into one answer and never fails: a returned `Err` would be an opaque 502.
//! - [`call`] is what a handler gets, [`reply`] what it gives back, [`problem`] the whole error-to-HTTP mapping.
//! - [`principal`] reads who calls from the authorizer's context; [`body`] holds the limits of a request.
//!
//! **One document from separate binaries.** The functions are leaves: none can see another's handlers, and a merged
//! file made by a build step could be stale. So a route is described where it is defined, as a constant of
//! [`routes`]; a shape where it is defined, by a derive in `model`. A function mounts handlers on those constants
//! (a route that nobody mounts, or that template.yaml sends to another function, fails the black-box suite), and
//! `config` renders the constants and shapes as OpenAPI 3.1. Nothing is written twice and nothing is generated to disk.

pub mod batch;
pub mod body;
pub mod call;
pub mod docs;
pub mod door;
pub mod doors;
pub mod engine;
pub mod lenient;
pub mod openapi;
pub mod principal;
pub mod problem;
pub mod qlik;
pub mod reply;
pub mod routes;
pub mod serve;

pub use call::Call;
pub use door::Door;
pub use reply::Reply;
pub use routes::Route;
pub use serve::{Mount, mount, open, serve};
