//! Proxies are killed and started again while clients work: nobody finds what it did not leave, and whose state is gone is
//! told so before it could take the loss for an answer.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use anyhow::{Context as _, Result, bail, ensure};
use futures::future::try_join_all;
use parking_lot::Mutex;
use serde_json::{Value, json};
use tests::mcp_client::{Session, tool_call};
use tests::upstream::Upstream;

use crate::fleet::Fleet;

const CLIENTS: usize = 12;
const KILLS: usize = 6;

/// Where clients are served now, and whether they are to end.
struct Board {
    open: Mutex<Vec<Option<SocketAddr>>>,
    over: AtomicBool,
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_lost_in_silence() -> Result<()> {
    let server = Upstream::rmcp().await?;
    let spec = json!({"isolation": "Session", "poolMinSize": 0, "poolMaxSize": 40});
    let mut fleet = Fleet::start(3, &server.url(), &spec).await?;
    let board = Arc::new(Board {
        open: Mutex::new(fleet.proxies.iter().map(|proxy| Some(proxy.mcp)).collect()),
        over: AtomicBool::new(false),
    });
    let mut clients = Vec::new();
    for number in 0..CLIENTS {
        let session = fleet.client(number % 3, "a").await?.at(0).clone();
        clients.push(tokio::spawn(work(number, session, Arc::clone(&board))));
    }
    for kill in 0..KILLS {
        let at = kill % 3;
        board.open.lock()[at] = None;
        fleet.kill(at).await?;
        let back = fleet.proxy(fleet.peers[at], &fleet.peers, "session.key").await?;
        board.open.lock()[at] = Some(back.mcp);
        fleet.proxies[at] = back;
    }
    board.over.store(true, Ordering::Relaxed);
    let done = try_join_all(clients).await?.into_iter().collect::<Result<Vec<_>>>()?;
    let (told, right) = done.iter().fold((0, 0), |(told, right), done| (told + done.0, right + done.1));
    assert!(told >= CLIENTS && right > CLIENTS * KILLS, "{told} losses told, {right} right answers");
    Ok(())
}

/// What became of a call.
enum Outcome {
    Text(String),
    StateLost,
    /// Nobody knows whether it ran.
    Unknown,
}

/// Remembers and recalls by turns; gives how often a loss was told, and how often an answer was right.
async fn work(number: usize, session: Session, board: Arc<Board>) -> Result<(usize, usize)> {
    let (mut told, mut right, mut step) = (0, 0, 0);
    while !board.over.load(Ordering::Relaxed) {
        step += 1;
        let message = format!("{number}:{step}");
        let mut left = match call(&session, &board, step, "remember", &message).await? {
            Outcome::Text(_) => Some(message),
            Outcome::StateLost => {
                told += 1;
                None
            }
            Outcome::Unknown => None,
        };
        for _ in 0..3 {
            step += 1;
            match call(&session, &board, step, "recall", "").await? {
                Outcome::Text(found) => {
                    if let Some(left) = &left {
                        ensure!(found == *left, "client {number} left {left} and finds {found:?}, untold");
                        right += 1;
                    }
                    let own = found.is_empty() || found.starts_with(&format!("{number}:"));
                    ensure!(own, "client {number} finds {found:?}");
                }
                Outcome::StateLost => {
                    told += 1;
                    left = None;
                }
                // It may have been told with the answer that is lost.
                Outcome::Unknown => left = None,
            }
        }
    }
    Ok((told, right))
}

/// Calls a tool at any proxy that is there.
async fn call(session: &Session, board: &Board, step: usize, tool: &str, message: &str) -> Result<Outcome> {
    let open: Vec<SocketAddr> = board.open.lock().iter().flatten().copied().collect();
    let address = open[step % open.len()];
    let body = tool_call(&step.to_string(), tool, &json!({"message": message}));
    let answer = async {
        let reply = session.moved_to(address).post(&body).await?;
        let status = reply.status;
        anyhow::Ok((status, reply.answer().await?))
    };
    // The proxy that was asked may be the one that is killed.
    let Ok((status, text)) = answer.await else { return Ok(Outcome::Unknown) };
    let answer: Value = serde_json::from_str(&text).with_context(|| format!("{status} {text}"))?;
    ensure!(answer["id"] == step, "{status} {text}");
    if let Some(text) = answer["result"]["content"][0]["text"].as_str() {
        return Ok(Outcome::Text(text.to_owned()));
    }
    match answer["error"]["data"]["reason"].as_str() {
        Some("session_state_lost") => Ok(Outcome::StateLost),
        Some("answer_lost") => Ok(Outcome::Unknown),
        _ => bail!("{tool}: {status} {text}"),
    }
}
