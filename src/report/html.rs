//! Pages put together: template, style, scripts and data in one file.

use std::collections::BTreeMap;

use minijinja::value::Serde;
use minijinja::{Environment, Value, context};
use serde::Serialize;
use sha2::{Digest as _, Sha256};

use super::encoding::{base64, short};
use super::model::{Report, ReportError};
use super::runs::RunInfo;

/// Size in bytes up to which rows keep their sketches. The worst files come first, so the best ones go without.
const WITH_SKETCHES: usize = 20 << 20;
/// Size in bytes up to which rows keep their timelines.
const WITH_TIMELINES: usize = 25 << 20;

/// Models or settings of an engine that are shown.
const MAX_PAIRS: usize = 100;

const SHARED_STYLE: &str = include_str!("assets/shared.css");
const SHARED_SCRIPT: &str = include_str!("assets/shared.js");
const CHART_STYLE: &str = include_str!("assets/uPlot.min.css");
const CHART_SCRIPT: &str = include_str!("assets/uPlot.iife.min.js");
const CHART_LICENSE: &str = include_str!("assets/uPlot.LICENSE");

/// A page that cannot be rendered: a fault of this program, as its templates and their data are its own.
#[derive(Debug, thiserror::Error)]
#[error("cannot make the page")]
pub struct PageError(#[source] Box<dyn std::error::Error + Send + Sync>);

impl PageError {
    fn new(source: impl std::error::Error + Send + Sync + 'static) -> Self {
        Self(Box::new(source))
    }
}

/// The parts of a page.
pub(super) struct Page<'a> {
    pub(super) template: &'static str,
    pub(super) style: &'static str,
    pub(super) script: &'static str,
    /// The data as JSON that [`json`] made.
    pub(super) data: &'a str,
    /// What the template shows.
    pub(super) context: Value,
    /// Sources of video, for the content security policy.
    pub(super) media: &'static str,
}

impl Page<'_> {
    pub(super) fn to_html(&self) -> Result<String, PageError> {
        self.render().map_err(PageError::new)
    }

    fn render(&self) -> Result<String, minijinja::Error> {
        let style = format!("{CHART_STYLE}\n{SHARED_STYLE}\n{}", self.style);
        // The licence goes where its program goes.
        let script = format!(
            "/*\n{}\n*/\n{CHART_SCRIPT}\n{SHARED_SCRIPT}\n{}",
            CHART_LICENSE.replace("*/", ""),
            self.script
        );
        // Nothing is fetched, and no script runs but this one.
        let policy = format!(
            "default-src 'none'; script-src '{}'; style-src '{}'; img-src data:; media-src {}; base-uri 'none'; \
             form-action 'none'",
            hash(&script),
            hash(&style),
            self.media
        );
        let mut environment = Environment::new();
        // The ending of the name switches escaping on.
        environment.add_template("base.html", include_str!("assets/base.html"))?;
        environment.add_template("page.html", self.template)?;
        environment.get_template("page.html")?.render(context! {
            policy,
            style => Value::from_safe_string(style),
            script => Value::from_safe_string(script),
            data => Value::from_safe_string(self.data.to_owned()),
            version => env!("CARGO_PKG_VERSION"),
            ..self.context.clone()
        })
    }
}

/// The source expression of a content security policy that allows this text.
fn hash(text: &str) -> String {
    format!("sha256-{}", base64(&Sha256::digest(text)))
}

/// JSON that can be put inside a `<script>`: no text in it ends the element or begins a comment.
pub(super) fn json<T: Serialize + ?Sized>(value: &T) -> Result<String, PageError> {
    let text = serde_json::to_string(value).map_err(PageError::new)?;
    // Outside of strings, JSON has none of these.
    Ok(text.replace('<', "\\u003c").replace('>', "\\u003e").replace('&', "\\u0026"))
}

/// What computed the files, as the template shows it: journals are foreign text.
#[derive(Serialize)]
struct PageRun {
    engine: String,
    device: String,
    precision: String,
    settings: Vec<(String, String)>,
    models: Vec<(String, String)>,
    points: usize,
    colors: String,
    version: String,
    videos: usize,
    first: u64,
    last: u64,
}

impl PageRun {
    fn new(run: &RunInfo) -> Self {
        let pairs = |map: &BTreeMap<String, String>| {
            map.iter().take(MAX_PAIRS).map(|(name, value)| (short(name), short(value))).collect()
        };
        Self {
            engine: short(&run.engine.name),
            device: short(&run.engine.device),
            precision: short(&run.engine.precision),
            settings: pairs(&run.engine.settings),
            models: pairs(&run.engine.models),
            points: run.engine.points,
            colors: short(&run.colors),
            version: short(&run.version),
            videos: run.videos,
            first: run.first,
            last: run.last,
        }
    }
}

impl Report {
    /// The page, at most about 30 MB long at 10,000 files. If there are more files, the best have no contact sheet
    /// and no timeline.
    ///
    /// # Errors
    /// The template cannot be rendered.
    pub fn to_html(&self) -> Result<String, ReportError> {
        let json_of_skeletons = json(&self.skeletons)?;
        let progress = json(&self.progress)?;
        let mut data = format!("{{\"skeletons\":{json_of_skeletons},\"progress\":{progress},\"rows\":[");
        for (index, row) in self.rows.iter().enumerate() {
            if index > 0 {
                data.push_str(",\n");
            }
            let row = row.for_page(data.len() < WITH_TIMELINES, data.len() < WITH_SKETCHES);
            data.push_str(&json(&row)?);
        }
        data.push_str("]}");
        let runs: Vec<PageRun> = self.runs.iter().map(PageRun::new).collect();
        let page = Page {
            template: include_str!("assets/report.html"),
            style: include_str!("assets/report.css"),
            script: include_str!("assets/report.js"),
            data: &data,
            context: context! {
                title => self.title.as_str(),
                made => self.made,
                runs => Value::from(Serde(&runs)),
                totals => Value::from(Serde(&self.totals)),
                progress => Value::from(Serde(&self.progress)),
                failures => Value::from(Serde(&self.failures)),
                explanations => Value::from(Serde(&self.explanations)),
            },
            media: "'none'",
        };
        Ok(page.to_html()?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn data_cannot_leave_its_element() {
        let hostile = "</script><!--<script>&amp;";
        let text = json(hostile).unwrap();
        assert!(!text.contains(['<', '>', '&']), "{text}");
        assert_eq!(serde_json::from_str::<String>(&text).unwrap(), hostile);
    }
}
