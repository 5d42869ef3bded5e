//! REST of a proxy without Kubernetes: a write changes the file, and by that the running pool.

use std::os::unix::fs::PermissionsExt;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};
use tests::Proxy;
use tests::mcp_client::Session;
use tests::proxy::{Setup, manifest};
use tests::rest::{Caller, DOCUMENTED, documented};
use tests::schemathesis;
use tests::scripted::Scripted;

const TOKEN: &str = "d41d8cd98f00b204e9800998ecf8427e";
const CONFIG: &str = "/api/servers/default.test/pool/config";

/// A file as people write them.
const TEXT: &str = "# The pool of the shop.
apiVersion: mcpgateway.io/v1alpha1
kind: SessionPool
metadata:
  name: test
spec:
  poolEnabled: true
  poolMinSize: 1
  poolMaxSize: 4   # one for each of us
  isolation: Shared
  # The server.
  upstream:
    url: URL
";

/// A scripted server, and a ready proxy with REST in front of it.
struct Stage {
    server: Scripted,
    proxy: Proxy,
    caller: Caller,
}

impl Stage {
    async fn start() -> Result<Self> {
        let server = Scripted::start().await?;
        Self::of(&TEXT.replace("URL", &server.url()), server).await
    }

    async fn of(text: &str, server: Scripted) -> Result<Self> {
        let setup = Setup::new(text)?.arguments(&["--api-token-file={folder}/token"]);
        std::fs::write(setup.config().with_file_name("token"), format!("{TOKEN}\n"))?;
        let proxy = setup.start().await?;
        proxy.wait_until_ready().await?;
        let caller = Caller::new(proxy.admin, Some(TOKEN));
        Ok(Self { server, proxy, caller })
    }

    fn file(&self) -> Result<String> {
        Ok(std::fs::read_to_string(self.proxy.config())?)
    }

    /// The specification in the file.
    fn spec(&self) -> Result<Value> {
        let value: Value = serde_yaml::from_str(&self.file()?)?;
        Ok(value["spec"].clone())
    }
}

#[tokio::test]
async fn without_the_flag_the_port_is_read_only() -> Result<()> {
    let server = Scripted::start().await?;
    let proxy = Proxy::ready(&server.url(), &json!({})).await?;
    let (status, text) = proxy.admin("/api/servers").await?;
    ensure!(status == 404 && text.contains("--api-token-file"), "{status} {text}");
    let put = tests::mcp_client::Endpoint::new(proxy.admin).send("PUT", CONFIG, &[], "{}").await?;
    ensure!(put.status == 405, "{}", put.status);
    Ok(())
}

#[tokio::test]
async fn it_does_not_start_without_a_token() -> Result<()> {
    let setup = Setup::new(&manifest("http://127.0.0.1:9/mcp", &json!({})).to_string())?
        .arguments(&["--api-token-file={folder}/token"]);
    let exit = setup.run().await?;
    ensure!(exit.code == Some(1) && exit.log.contains("token can't be read"), "{exit:?}");
    std::fs::write(setup.config().with_file_name("token"), " \n")?;
    let exit = setup.run().await?;
    ensure!(exit.code == Some(1) && exit.log.contains("openssl rand -hex 32"), "{exit:?}");
    Ok(())
}

#[tokio::test]
async fn nobody_is_answered_without_the_token() -> Result<()> {
    let stage = Stage::start().await?;
    for token in [None, Some("wrong"), Some("d41d8cd98f00b204e9800998ecf8427")] {
        let caller = Caller::new(stage.proxy.admin, token);
        let answer = caller.get("/api/servers").await?;
        ensure!(answer.challenge.as_deref() == Some("Bearer"), "{answer:?}");
        answer.problem(401)?;
        caller.put(CONFIG, &json!({"pool_max_size": 9})).await?.problem(401)?;
    }
    ensure!(stage.file()? == TEXT.replace("URL", &stage.server.url()));
    // A changed token counts at once.
    std::fs::write(stage.proxy.folder().join("token"), "another")?;
    stage.caller.get("/api/servers").await?.problem(401)?;
    Caller::new(stage.proxy.admin, Some("another")).get("/api/servers").await?.good()?;
    // What the port served before needs none.
    ensure!(stage.proxy.admin("/pool/stats").await?.0 == 200);
    Ok(())
}

#[tokio::test]
async fn a_write_changes_the_file_and_the_running_pool() -> Result<()> {
    let stage = Stage::start().await?;
    let path = stage.proxy.config();
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o640))?;
    let before = stage.proxy.stats().await?;
    let put =
        stage.caller.put(CONFIG, &json!({"pool_max_size": 6, "pool_strategy": "least_connections"})).await?;
    let config = put.good()?;
    ensure!(config["pool_max_size"] == 6 && config["pool_min_size"] == 1, "{config:#}");
    let now = stage.proxy.stats().await?;
    ensure!(
        now.max_size == 6 && now.strategy == "least_connections",
        "not in force when it was answered: {now:?}"
    );
    ensure!(now.total_destroys == before.total_destroys, "it cost a session");
    let text = stage.file()?;
    let whole = "# The pool of the shop.\n";
    ensure!(
        text.starts_with(whole)
            && text.contains("# one for each of us")
            && text.contains("  # The server.\n"),
        "{text}"
    );
    ensure!(std::fs::metadata(&path)?.permissions().mode() & 0o777 == 0o640);
    // A second body keeps what the first said.
    stage.caller.put(CONFIG, &json!({"pool_timeout": 7})).await?.good()?;
    let spec = stage.spec()?;
    ensure!(
        spec["poolMaxSize"] == 6 && spec["poolTimeout"] == 7 && spec["poolStrategy"] == "LeastConnections"
    );
    ensure!(stage.caller.get(CONFIG).await?.good()?["pool_timeout"] == 7);
    // The file's own changes are told as well.
    stage.proxy.write_config(&stage.file()?.replace("poolTimeout: 7", "poolTimeout: 8"))?;
    tests::eventually(Duration::from_secs(10), "the file to be taken over", async || {
        ensure!(stage.caller.get(CONFIG).await?.good()?["pool_timeout"] == 8);
        Ok(())
    })
    .await
}

#[tokio::test]
async fn what_check_refuses_is_refused() -> Result<()> {
    let stage = Stage::start().await?;
    let before = stage.file()?;
    for (body, status, said) in [
        (r#"{"pool_min_sise": 3}"#, 400, "did you mean pool_min_size?"),
        (r#"{"pool_min_size": 5}"#, 422, "greater than pool_max_size 4"),
        (r#"{"pool_timeout": 0}"#, 422, "from 1 to 3600"),
        ("", 400, "empty"),
    ] {
        let answer = stage.caller.send("PUT", CONFIG, &[("content-type", "application/json")], body).await?;
        let detail = answer.problem(status)?;
        ensure!(detail.contains(said), "{body}: {detail}");
    }
    let answer =
        stage.caller.send("PUT", CONFIG, &[("if-match", "\"old\"")], r#"{"pool_timeout": 3}"#).await?;
    answer.problem(412)?;
    stage.caller.get("/api/servers/default.other/pool/stats").await?.problem(404)?;
    ensure!(stage.file()? == before);
    // What only the rules of the definition refuse is told in their words.
    let sticky = before.replace("poolMinSize: 1", "poolStrategy: Sticky\n  sticky: {maxAgeSeconds: 60}");
    stage.proxy.write_config(&sticky)?;
    tests::eventually(Duration::from_secs(10), "the file to be taken over", async || {
        ensure!(stage.proxy.stats().await?.strategy == "sticky");
        Ok(())
    })
    .await?;
    let detail = stage.caller.put(CONFIG, &json!({"pool_strategy": "weighted"})).await?.problem(422)?;
    ensure!(detail.contains("set poolStrategy to Sticky or remove sticky"), "{detail}");
    ensure!(stage.file()? == sticky);
    // A file that is not good is left alone.
    stage.proxy.write_config(&sticky.replace("poolMaxSize: 4", "poolMaxSize: 0"))?;
    let detail = stage.caller.put(CONFIG, &json!({"pool_timeout": 3})).await?.problem(409)?;
    ensure!(detail.contains("the file is not good as it is") && detail.contains("poolMaxSize"), "{detail}");
    Ok(())
}

#[tokio::test]
async fn a_file_that_cannot_be_written_is_a_conflict() -> Result<()> {
    let stage = Stage::start().await?;
    // As in a mounted ConfigMap: the text is there, and its folder takes no other.
    let missing = stage.proxy.folder().join("gone.yaml");
    std::fs::rename(stage.proxy.config(), &missing)?;
    let detail = stage.caller.put(CONFIG, &json!({"pool_max_size": 6})).await?.problem(409)?;
    ensure!(detail.contains("can't be read"), "{detail}");
    std::os::unix::fs::symlink("/proc/self/environ", stage.proxy.config())?;
    stage.caller.put(CONFIG, &json!({"pool_max_size": 6})).await?.problem(409)?;
    std::fs::remove_file(stage.proxy.config())?;
    std::fs::rename(missing, stage.proxy.config())?;
    stage.caller.put(CONFIG, &json!({"pool_max_size": 6})).await?.good()?;
    Ok(())
}

/// A drain is in force when it is answered: what comes after is refused, what runs may finish.
#[tokio::test]
async fn a_pool_is_drained_resumed_and_reset_under_traffic() -> Result<()> {
    let stage = Stage::start().await?;
    let (client, admin) = (Session::open(stage.proxy.mcp).await?, &stage.caller);
    client.tool("echo", &json!({"message": "before"})).await?;
    let sleep = json!({"ms": 1500});
    let running = client.tool("sleep", &sleep);
    let draining = async {
        stage.proxy.stats_when("the call to run", |stats| stats.active_leases == 1).await?;
        let start = Instant::now();
        let answer =
            admin.send("POST", "/api/servers/default.test/pool/drain", &[], r#"{"timeout": 30}"#).await?;
        ensure!(answer.status == 202, "{answer:?}");
        let refused =
            client.request("tools/call", &json!({"name": "echo", "arguments": {"message": "x"}})).await?;
        ensure!(refused.0 == 503, "a drained pool took a call: {refused:?}");
        ensure!(start.elapsed() < Duration::from_millis(1300), "the drain waited for the call");
        Ok(())
    };
    let (ran, drained) = tokio::join!(running, draining);
    drained?;
    ran.context("the drain cut a running call")?;
    stage.proxy.stats_when("the drain to end", |stats| stats.status == "drained").await?;
    let spec = stage.spec()?;
    ensure!(spec["desiredState"] == "Drained" && spec["drain"]["timeoutSeconds"] == 30, "{spec:#}");
    admin.post("/api/servers/default.test/pool/reset").await?.problem(409)?;

    ensure!(admin.post("/api/servers/default.test/pool/resume").await?.status == 202);
    client.tool("echo", &json!({"message": "after"})).await?;
    let before = stage.proxy.stats().await?;
    let answer = admin.post("/api/servers/default.test/pool/reset").await?;
    ensure!(answer.status == 202, "{answer:?}");
    let token = answer.body["reset_token"].as_str().context("no token")?.to_owned();
    let after = stage.proxy.stats_when("the reset", |stats| {
        stats.outdated_sessions == 0 && stats.total_destroys > before.total_destroys
    });
    ensure!(after.await?.reset_token == Some(token.clone()));
    ensure!(stage.spec()?["resetToken"] == token.as_str());
    client.tool("echo", &json!({"message": "on a new session"})).await?;
    Ok(())
}

#[tokio::test]
async fn everything_about_the_pool_is_told() -> Result<()> {
    let stage = Stage::start().await?;
    let client = Session::open(stage.proxy.mcp).await?;
    client.tool("echo", &json!({"message": "x"})).await?;
    let get =
        async |below: &str| stage.caller.get(&format!("/api/servers/default.test{below}")).await?.good();
    let server = stage.caller.get("/api/servers").await?.good()?["servers"][0].clone();
    ensure!(server["server_id"] == "default.test" && server["phase"] == "active", "{server:#}");
    ensure!(
        server["total_acquisitions"] == 1 && server["session_age_seconds"]["p50"].is_number(),
        "{server:#}"
    );
    let detail = get("").await?;
    ensure!(detail["permissions"] == json!({"update": true, "operate": true}), "{detail:#}");
    ensure!(detail["replicas_list"][0]["answered"] == true, "{detail:#}");
    let stats = get("/pool/stats").await?;
    ensure!(stats["total_acquisitions"] == 1 && stats["pool_id"] == "pool-test", "{stats:#}");
    let sessions = get("/pool/sessions").await?;
    ensure!(
        sessions["sessions"][0]["requests"] == 1 && sessions["server_id"] == "default.test",
        "{sessions:#}"
    );
    ensure!(get("/pool/history").await?["samples"].is_array());
    ensure!(get("/pool/optimize").await?["current"]["pool_max_size"] == 4);
    Ok(())
}

/// What is recommended after real traffic becomes the file's own.
#[tokio::test]
async fn advice_is_applied() -> Result<()> {
    let server = Scripted::start().await?;
    let text =
        TEXT.replace("URL", &server.url()).replace("poolMaxSize: 4", "poolMaxSize: 1\n  poolTimeout: 1");
    let stage = Stage::of(&text, server).await?;
    let clients = futures::future::try_join_all((0..8).map(|_| Session::open(stage.proxy.mcp))).await?;
    let call = async |client: &Session| {
        for _ in 0..10 {
            let sleep = json!({"name": "sleep", "arguments": {"ms": 300}});
            client.request("tools/call", &sleep).await?;
        }
        anyhow::Ok(())
    };
    futures::future::try_join_all(clients.iter().map(call)).await?;
    let advice = stage.caller.get("/api/servers/default.test/pool/optimize").await?.good()?;
    let wanted = advice["recommended"]["pool_max_size"].as_u64().context("no size")?;
    ensure!(wanted > 1, "{advice:#}");
    let config = stage.caller.post("/api/servers/default.test/pool/optimize/apply").await?.good()?;
    ensure!(config["pool_max_size"] == wanted, "{config:#}");
    ensure!(stage.spec()?["poolMaxSize"] == wanted && stage.proxy.stats().await?.max_size == wanted);
    Ok(())
}

#[tokio::test]
async fn the_documented_commands_work() -> Result<()> {
    let server = Scripted::start().await?;
    let stage = Stage::of(&TEXT.replace("URL", &server.url()), server).await?;
    for (command, wanted) in DOCUMENTED {
        let (status, body) = documented(command, stage.proxy.admin, "default.test", TOKEN).await?;
        ensure!(status == wanted, "{status} {body:#}\n{command}");
    }
    let spec = stage.spec()?;
    ensure!(
        spec["poolEnabled"] == false && spec["poolMinSize"] == 3 && spec["desiredState"] == "Drained",
        "{spec:#}"
    );
    Ok(())
}

#[tokio::test]
async fn answers_are_what_the_document_says() -> Result<()> {
    let stage = Stage::start().await?;
    schemathesis::try_document(stage.proxy.admin, "default.test", TOKEN).await?;
    // Whatever was sent, the file is one that the proxy takes.
    stage.caller.put(CONFIG, &json!({"pool_min_size": 1, "pool_max_size": 2})).await?.good()?;
    Ok(())
}
