//! What computed a result: the provenance that journals keep.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// Which engine computed a result, on which device, in which precision and with which models and settings.
///
/// Results of different engines must not be mixed in one corpus: [`differences`](Self::differences) tells whether they would
/// be.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct EngineInfo {
    /// The engine's name: `holistic`.
    pub name: String,
    /// `cpu`, or `cuda:0` followed by the GPU's name.
    pub device: String,
    /// The floating-point format it computes in: `fp16`.
    pub precision: String,
    /// The hash of each model file by its path in the models folder: `md5:` or `sha256:`, whichever it was published with,
    /// followed by lower-case hexadecimal digits.
    pub models: BTreeMap<String, String>,
    /// Settings that change the keypoints and differ from their defaults, by name.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub settings: BTreeMap<String, String>,
    /// Keypoints per person. 0 in journals of earlier versions, which did not record it.
    #[serde(default)]
    pub points: usize,
}

impl EngineInfo {
    /// The device of an engine that uses no GPU.
    pub const CPU: &str = "cpu";

    /// An engine without model files, with its default settings.
    pub fn new(
        name: impl Into<String>,
        device: impl Into<String>,
        precision: impl Into<String>,
        points: usize,
    ) -> Self {
        let (name, device, precision) = (name.into(), device.into(), precision.into());
        Self { name, device, precision, points, ..Self::default() }
    }

    /// The same engine with the hashes of its model files.
    #[must_use]
    pub fn with_models(mut self, models: BTreeMap<String, String>) -> Self {
        self.models = models;
        self
    }

    /// The same engine with a setting that differs from its default.
    #[must_use]
    pub fn with_setting(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.settings.insert(name.into(), value.into());
        self
    }

    /// The reason why results of this engine and of `earlier` must not be mixed: another engine, other models or other
    /// settings. `None` if they may be mixed. Device and precision are ignored: they move keypoints by less than a pixel.
    pub fn differences(&self, earlier: &Self) -> Option<String> {
        if self.name != earlier.name {
            return Some(format!("the engine was {} and is {} now", earlier.name, self.name));
        }
        // Which models are used follows from the settings, which are compared below.
        let mut models = self.models.iter();
        let is_other = |(name, hash): &(&String, &String)| {
            earlier.models.get(*name).is_some_and(|earlier| earlier != *hash)
        };
        if let Some((name, _)) = models.find(is_other) {
            return Some(format!("the model {name} was another one"));
        }
        // Journals of earlier versions have neither settings nor the number of points.
        if earlier.points > 0 {
            let mut names = self.settings.keys().chain(earlier.settings.keys());
            let changed = names.find(|name| self.settings.get(*name) != earlier.settings.get(*name))?;
            let value =
                |info: &Self| info.settings.get(changed).map_or("its default", String::as_str).to_owned();
            return Some(format!("{changed} was {} and is {} now", value(earlier), value(self)));
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn engines_may_be_mixed_if_they_give_the_same_keypoints() {
        let models = |hash: &str| BTreeMap::from([("net".to_owned(), hash.to_owned())]);
        let engine = EngineInfo::new("native", "cuda:0 A", "fp16", 137).with_models(models("1"));
        let elsewhere = EngineInfo::new("native", EngineInfo::CPU, "fp32", 137).with_models(models("1"));
        assert_eq!(engine.differences(&elsewhere), None);
        let other = EngineInfo::new("holistic", EngineInfo::CPU, "fp32", 576);
        assert_eq!(engine.differences(&other).unwrap(), "the engine was holistic and is native now");
        let retrained = engine.clone().with_models(models("2"));
        assert_eq!(engine.differences(&retrained).unwrap(), "the model net was another one");
        let larger = engine.clone().with_setting("net_resolution", "-1x736");
        assert_eq!(engine.differences(&larger).unwrap(), "net_resolution was -1x736 and is its default now");
        // An earlier version did not record settings, so they cannot be compared.
        let unrecorded = EngineInfo { points: 0, ..elsewhere };
        assert_eq!(larger.differences(&unrecorded), None);
    }
}
