//! Drain and advice.

use kube::KubeSchema;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Whether a pool takes work.
#[derive(Serialize, Deserialize, Clone, Copy, Debug, Default, PartialEq, Eq, JsonSchema)]
pub enum DesiredState {
    /// It does.
    #[default]
    Active,
    /// It finishes what runs and takes nothing new.
    Drained,
}

/// How a drain runs.
#[derive(Serialize, Deserialize, Clone, Debug, PartialEq, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Drain {
    /// Seconds that running requests have before the rest is closed. Default: 60. Example: 300.
    #[serde(default = "timeout")]
    #[schemars(range(min = 0, max = 86_400))]
    pub timeout_seconds: i32,
}

impl Default for Drain {
    fn default() -> Self {
        Self { timeout_seconds: timeout() }
    }
}

fn timeout() -> i32 {
    60
}

/// What becomes of advice on sizes and strategy.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq)]
#[x_kube(validation = Rule::new("!has(self.minSize) || !has(self.maxSize) || self.minSize <= self.maxSize").message("optimization.minSize must not be greater than optimization.maxSize").field_path(".minSize"))]
#[serde(rename_all = "camelCase")]
pub struct Optimization {
    /// Off gives none, Recommend shows it in status.recommendation, Auto applies sizes and strategy of it through
    /// status.effective. What is advised on anything else, and a strategy other than Sticky for a pool that is Sticky or
    /// None, is left to people. Default: "Off", which YAML needs in quotes. Example: Recommend.
    #[serde(default)]
    pub mode: OptimizationMode,
    /// The least poolMinSize that advice may come to. Default: 0. Example: 2.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0, max = 10_000))]
    pub min_size: Option<i32>,
    /// The greatest poolMaxSize that advice may come to. Default: with Auto four times poolMaxSize, else no limit.
    /// Example: 50.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 10_000))]
    pub max_size: Option<i32>,
}

/// See [`Optimization::mode`].
#[derive(Serialize, Deserialize, Clone, Copy, Debug, Default, PartialEq, Eq, JsonSchema)]
pub enum OptimizationMode {
    /// No advice.
    #[default]
    Off,
    /// Advice is shown.
    Recommend,
    /// Advice is applied.
    Auto,
}
