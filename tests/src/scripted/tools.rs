//! What the scripted server's methods and tools do.

use std::time::Duration;

use serde_json::{Value, json};
use tokio::sync::mpsc::Sender;

use super::TOOLS;
use super::state::State;

/// Answers one request; messages before the answer go out first.
pub(super) async fn run(state: &State, message: &Value, session: Option<&str>, out: &Sender<String>) {
    let (id, params) = (&message["id"], &message["params"]);
    let known = |method: &str| state.behaviour().unknown_methods.iter().all(|unknown| unknown != method);
    let answer = match message["method"].as_str().unwrap_or_default() {
        method if !known(method) => unknown_method(id, method),
        "ping" | "logging/setLevel" | "resources/subscribe" | "resources/unsubscribe" => result(id, "{}"),
        "tools/list" => result(id, state.behaviour().tools.as_deref().unwrap_or(TOOLS)),
        "resources/read" => {
            let contents = json!({"uri": params["uri"], "text": session.unwrap_or("none")});
            result(id, &json!({"contents": [contents]}).to_string())
        }
        "tools/call" => match call(state, params, session, out).await {
            Some(Ok(text)) => result(id, &json!({"content": [{"type": "text", "text": text}]}).to_string()),
            Some(Err(error)) => format!(r#"{{"jsonrpc":"2.0","id":{id},"error":{error}}}"#),
            None => return,
        },
        other => unknown_method(id, other),
    };
    // The reader may have gone.
    let _ = out.send(answer).await;
}

/// A tool's text or JSON-RPC error; none when the stream is to end without an answer.
async fn call(
    state: &State,
    params: &Value,
    session: Option<&str>,
    out: &Sender<String>,
) -> Option<Result<String, Value>> {
    let arguments = &params["arguments"];
    let message = || arguments["message"].as_str().unwrap_or_default().to_owned();
    let session = session.unwrap_or("none").to_owned();
    let _running = state.begin(&session);
    Some(Ok(match params["name"].as_str().unwrap_or_default() {
        "echo" | "lookup" | "put" | "transfer" => message(),
        "whoami" => session,
        "hold" => {
            state.pass(arguments["gate"].as_str().unwrap_or_default()).await;
            message()
        }
        "sleep" => {
            tokio::time::sleep(Duration::from_millis(arguments["ms"].as_u64().unwrap_or_default())).await;
            message()
        }
        "steps" => {
            let token = &params["_meta"]["progressToken"];
            for (done, gate) in arguments["gates"].as_array().into_iter().flatten().enumerate() {
                let progress = json!({"jsonrpc": "2.0", "method": "notifications/progress", "params": {
                    "progressToken": token, "progress": done, "message": message()
                }});
                let _ = out.send(progress.to_string()).await;
                state.pass(gate.as_str().unwrap_or_default()).await;
            }
            message()
        }
        "remember" => {
            state.memory().insert(session, message());
            "remembered".to_owned()
        }
        "recall" => state.memory().get(&session).cloned().unwrap_or_default(),
        "large" => {
            "x".repeat(usize::try_from(arguments["bytes"].as_u64().unwrap_or_default()).unwrap_or_default())
        }
        "ask" => {
            let (number, answered) = state.question(&session);
            let question = json!({"jsonrpc": "2.0", "id": number, "method": "sampling/createMessage", "params": {
                "messages": [], "maxTokens": 1, "for": message()
            }});
            let _ = out.send(question.to_string()).await;
            answered.await.unwrap_or_default().to_string()
        }
        "silent" => return None,
        "fail" => {
            return Some(Err(
                json!({"code": -32042, "message": "it \"failed\"", "data": {"deep": [1, {"a": null}]}, "odd": 1}),
            ));
        }
        other => return Some(Err(json!({"code": -32602, "message": format!("Unknown tool: {other}")}))),
    }))
}

fn unknown_method(id: &Value, method: &str) -> String {
    format!(
        r#"{{"jsonrpc":"2.0","id":{id},"error":{{"code":-32601,"message":"Method not found: {method}"}}}}"#
    )
}

fn result(id: &Value, result: &str) -> String {
    format!(r#"{{"jsonrpc":"2.0","id":{id},"result":{result}}}"#)
}
