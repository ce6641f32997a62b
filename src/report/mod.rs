//! Pages for the browser: a whole corpus at a glance, and one video played with its poses over it.
//!
//! [`Collector`] reads `.pose` files and journals into a [`Report`], which [`Report::to_html`] turns into a page;
//! [`View`] produces the page that plays a video. A page is one self-contained file: style, script and data are in
//! it, and a content security policy keeps it from fetching anything. File names, headers and journals are foreign
//! text and are always escaped.

mod encoding;
mod explanations;
mod html;
mod model;
mod runs;
mod thumbnails;
mod view;

pub use explanations::Explanation;
pub use html::PageError;
pub use model::{Collector, Component, Failure, Options, Progress, Report, ReportError, Row, Totals};
pub use runs::RunInfo;
pub use thumbnails::{ThumbnailError, ThumbnailRequest, Thumbnails};
pub use view::{View, ViewError};
