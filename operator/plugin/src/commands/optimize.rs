//! `optimize`: what should be changed, why, and the change itself.

use crds::{
    EffectiveSettings, OptimizationMode, Recommendation, SessionPool, applied,
    optimize::{Advice, Reason},
};
use jiff::Timestamp;
use operator::advice::{Situation, recommend};
use serde::Serialize;
use serde_json::{Map, Value, json};

use crate::{
    args::{Change, Printed},
    connect::Cluster,
    failure::Failure,
    fleet::Fleet,
    numbers::Source,
    output::{lines, print, put, table},
    pools,
    reach::Reach,
    write,
};

/// As REST has it, and where it comes from.
#[derive(Debug, Serialize)]
struct Shown {
    current: Map<String, Value>,
    recommended: Map<String, Value>,
    reasons: Vec<Reason>,
    source: Source,
    #[serde(skip_serializing_if = "Option::is_none")]
    note: Option<String>,
}

/// Shows the advice.
pub async fn show(cluster: &Cluster, name: &str, printed: Printed) -> Result<(), Failure> {
    let pool = pools::get(cluster, name).await?;
    let shown = learn(cluster, &pool, name).await?;
    print(printed.output, &shown, |shown| text(shown, name))
}

/// Writes it into the specification. Whose sessions are shared stays as people declared it.
pub async fn apply(cluster: &Cluster, name: &str, how: Change, printed: Printed) -> Result<(), Failure> {
    let pool = pools::get(cluster, name).await?;
    if pool.spec.optimization.mode == OptimizationMode::Auto {
        return Err(Failure::Usage(format!(
            "{name} has optimization.mode Auto: the operator applies advice by itself, and what is put into the specification \
             ends it; set optimization.mode to Recommend first"
        )));
    }
    let shown = learn(cluster, &pool, name).await?;
    let changes: Map<String, Value> =
        shown.changes().into_iter().filter(|(field, _)| field != "isolation").collect();
    print(printed.output, &shown, |shown| text(shown, name))?;
    if changes.is_empty() {
        return put(&format!("sessionpool/{name} unchanged\n"));
    }
    write::spec(cluster, name, how, |_, spec| {
        applied::merge(spec, changes.clone());
        Ok(())
    })
    .await?;
    let fields: Vec<&str> = changes.keys().map(String::as_str).collect();
    put(&format!("sessionpool/{name}: {} set{}\n", fields.join(", "), write::remark(how)))
}

async fn learn(cluster: &Cluster, pool: &SessionPool, name: &str) -> Result<Shown, Failure> {
    let asked = Fleet::read::<Advice>(cluster, &Reach::default(), name, "/pool/optimize").await;
    let (answers, note) = match asked {
        Ok(found) => found,
        Err(Failure::Forbidden(text)) => (Vec::new(), Some(text)),
        Err(failure) => return Err(failure),
    };
    let advice: Vec<Advice> = answers.into_iter().filter_map(|(_, answer)| answer.ok()).collect();
    let status = pool.status.clone().unwrap_or_default();
    let effective = status.effective.clone().unwrap_or_default();
    let current = parameters(&effective, pool);
    // What the proxies measured is newer than what the operator made of it.
    let situation = Situation {
        mode: OptimizationMode::Recommend,
        asked: &effective,
        in_force: &effective,
        before: None,
    };
    let live = recommend(situation, advice.iter(), Timestamp::now());
    let (found, reasons, source) = match (live, status.recommendation) {
        (Some(live), _) => (live, reasons(&advice), Source::Proxies),
        (None, Some(stored)) => {
            let reason =
                Reason { code: stored.reason.clone(), parameter: None, message: stored.message.clone() };
            (stored, vec![reason], Source::Status)
        }
        (None, None) => {
            let note =
                note.unwrap_or_else(|| "the proxies run other parameters just now: try again".to_owned());
            return Err(if note.contains("you need the verb") {
                Failure::Forbidden(format!(
                    "there is no advice in the status (optimization.mode is Off), and {note}"
                ))
            } else {
                Failure::Other(format!("there is no advice yet: {note}"))
            });
        }
    };
    let recommended = advised(&current, &found);
    Ok(Shown { current, recommended, reasons, source, note })
}

/// Each reason once.
fn reasons(advice: &[Advice]) -> Vec<Reason> {
    let mut reasons: Vec<Reason> = Vec::new();
    for reason in advice.iter().flat_map(|advice| &advice.reasons) {
        if !reasons.iter().any(|known| known.code == reason.code) {
            reasons.push(reason.clone());
        }
    }
    reasons
}

fn parameters(effective: &EffectiveSettings, pool: &SessionPool) -> Map<String, Value> {
    let mut parameters = match serde_json::to_value(effective) {
        Ok(Value::Object(parameters)) => parameters,
        _ => Map::new(),
    };
    parameters.insert("poolMaxRequests".to_owned(), json!(pool.spec.pool_max_requests));
    parameters.insert("isolation".to_owned(), json!(pool.spec.isolation));
    parameters
}

fn advised(current: &Map<String, Value>, advice: &Recommendation) -> Map<String, Value> {
    let mut recommended = current.clone();
    let mut set = |name: &str, value: Value| {
        if !value.is_null() {
            recommended.insert(name.to_owned(), value);
        }
    };
    set("poolStrategy", json!(advice.pool_strategy));
    set("poolMinSize", json!(advice.pool_min_size));
    set("poolMaxSize", json!(advice.pool_max_size));
    set("poolEnabled", json!(advice.pool_enabled));
    set("isolation", json!(advice.isolation));
    set("poolRecycleSeconds", json!(advice.pool_recycle_seconds));
    set("poolMaxRequests", json!(advice.pool_max_requests));
    recommended
}

impl Shown {
    fn changes(&self) -> Map<String, Value> {
        let differs = |(name, value): &(&String, &Value)| self.current.get(*name) != Some(*value);
        self.recommended.iter().filter(differs).map(|(name, value)| (name.clone(), value.clone())).collect()
    }
}

fn text(shown: &Shown, name: &str) -> String {
    let changes = shown.changes();
    let plain = |value: &Value| value.as_str().map_or_else(|| value.to_string(), ToOwned::to_owned);
    let mut said = Vec::new();
    if changes.is_empty() {
        said.push("nothing should be changed".to_owned());
    } else {
        let rows: Vec<Vec<String>> = changes
            .iter()
            .map(|(field, value)| {
                let now = shown.current.get(field).map(plain).unwrap_or_default();
                vec![field.clone(), now, plain(value)]
            })
            .collect();
        said.push(table("", &["PARAMETER", "NOW", "BETTER"], &rows).trim_end().to_owned());
    }
    said.extend(shown.reasons.iter().map(|reason| format!("- {}: {}", reason.code, reason.message)));
    if shown.source == Source::Status {
        let note = shown.note.as_deref().map(|note| format!(": {note}")).unwrap_or_default();
        said.push(format!("this is the operator's last advice{note}"));
    }
    if changes.contains_key("isolation") {
        let text =
            "isolation is yours to declare: `kubectl sessionpool config set` changes it, --apply does not";
        said.push(text.to_owned());
    }
    if changes.keys().any(|field| field != "isolation") {
        said.push(format!("`kubectl sessionpool optimize {name} --apply` writes it into the specification"));
    }
    lines(said)
}
