//! `sessions`: every session of a pool.

use crds::wire::SessionInfo;
use serde::Serialize;

use crate::{
    args::Printed,
    connect::Cluster,
    failure::Failure,
    fleet::Fleet,
    output::{print, span, table},
    pools,
    reach::Reach,
};

/// A session, and whose it is.
#[derive(Serialize)]
struct Session {
    #[serde(flatten)]
    info: SessionInfo,
    replica: String,
}

/// As REST has it.
#[derive(Serialize)]
struct Sessions {
    server_id: String,
    sessions: Vec<Session>,
}

/// Lists them.
pub async fn run(cluster: &Cluster, name: &str, printed: Printed) -> Result<(), Failure> {
    let pool = pools::get(cluster, name).await?;
    let (answers, note) =
        Fleet::read::<Vec<SessionInfo>>(cluster, &Reach::default(), name, "/pool/sessions").await?;
    let answered = answers.iter().filter(|(_, answer)| answer.is_ok()).count();
    let note = note.unwrap_or_default();
    if answered == 0 {
        // The status has sums only.
        let text = format!("only proxies know their sessions, and none could be asked: {note}");
        return Err(if note.contains("you need the verb") {
            Failure::Forbidden(text)
        } else {
            Failure::Other(text)
        });
    }
    if answered < answers.len() {
        anstream::eprintln!("{answered} of {} proxies answered: {note}", answers.len());
    }
    let mut sessions = Vec::new();
    for (replica, infos) in answers {
        let of_replica = infos.unwrap_or_default().into_iter();
        sessions.extend(of_replica.map(|info| Session { info, replica: replica.clone() }));
    }
    let sessions = Sessions { server_id: pools::server_id(&pool), sessions };
    print(printed.output, &sessions, |all| {
        if all.sessions.is_empty() {
            return "no session is open\n".to_owned();
        }
        let head = ["PROXY", "ID", "STATE", "SCOPE", "KEY", "AGE", "IDLE", "REQUESTS", "PINNED", "ENDPOINT"];
        table("", &head, &all.sessions.iter().map(row).collect::<Vec<_>>())
    })
}

fn row(session: &Session) -> Vec<String> {
    let info = &session.info;
    vec![
        session.replica.clone(),
        info.id.to_string(),
        info.state.clone(),
        info.scope.clone(),
        info.key.clone(),
        span(info.age_seconds),
        span(info.idle_seconds),
        info.requests.to_string(),
        info.pinned.clone().unwrap_or_else(|| "-".to_owned()),
        info.endpoint.clone(),
    ]
}
