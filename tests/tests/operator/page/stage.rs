//! A namespace with pools whose proxies really run, people with rights of their own, and a browser.

use std::{
    net::{Ipv4Addr, SocketAddr, TcpListener},
    sync::atomic::{AtomicU32, Ordering},
    time::Duration,
};

use anyhow::{Context as _, Result};
use crds::names;
use k8s_openapi::api::core::v1::Pod;
use kube::{
    ResourceExt,
    api::{ListParams, Patch, PatchParams},
};
use serde_json::{Value, json};
use tests::{
    Browser, Proxy, browser::Page, mcp_client::Session, proxy::Setup, rest::Caller, upstream::Upstream,
};
use tokio::task::JoinHandle;

use crate::bench::{Bench, account, shared, until};

/// How often a pod's configuration is brought up to date.
const SYNC: Duration = Duration::from_millis(200);

/// See the module's text.
pub struct Stage {
    pub bench: Bench,
    pub browser: Browser,
    /// The MCP server of all pools here.
    pub server: Upstream,
}

/// A proxy in the place of a pod, and what does a kubelet's part for it.
pub struct Serving {
    pub proxy: Proxy,
    sync: JoinHandle<()>,
}

impl Drop for Serving {
    fn drop(&mut self) {
        self.sync.abort();
    }
}

impl Stage {
    pub async fn start() -> Result<Self> {
        let bench = Bench::start(&[]).await?;
        Ok(Self { bench, browser: Browser::start().await?, server: Upstream::rmcp().await? })
    }

    /// Makes a pool of one proxy and runs that.
    pub async fn pool(&self, name: &str, spec: &Value) -> Result<Serving> {
        let mut whole = json!({
            "poolEnabled": true, "poolMinSize": 1, "poolMaxSize": 10, "isolation": "Shared",
            "upstream": {"url": self.server.url()}
        });
        if let (Some(whole), Some(spec)) = (whole.as_object_mut(), spec.as_object()) {
            whole.extend(spec.clone());
        }
        let pool = json!({
            "apiVersion": names::API_VERSION, "kind": names::KIND, "metadata": {"name": name}, "spec": whole
        });
        self.bench.apply(&pool.to_string()).await?;
        self.serve(name).await
    }

    /// Runs the one pod of a pool with the real proxy, as a kubelet would.
    async fn serve(&self, pool: &str) -> Result<Serving> {
        let selector = format!("{}={pool}", names::POOL_LABEL);
        let pod = until("the pool's pod", async || {
            let list = ListParams::default().labels(&selector);
            Ok(self.bench.api::<Pod>().list(&list).await?.items.pop())
        })
        .await?;
        let (address, config) = (address()?, self.bench.children(pool).await?.text()?.to_owned());
        let setup = Setup::new(&config)?.admin_at(SocketAddr::from((address, names::ADMIN_PORT)));
        let proxy = setup.start().await?;
        let file = proxy.config();
        let running = json!({
            "name": names::PROXY_CONTAINER, "image": "proxy", "imageID": "proxy", "ready": true, "started": true,
            "restartCount": 0, "state": {"running": {"startedAt": "2026-01-01T00:00:00Z"}}
        });
        let status = json!({"status": {
            "phase": "Running", "podIP": address, "podIPs": [{"ip": address}],
            "conditions": [{"type": "Ready", "status": "True"}], "containerStatuses": [running]
        }});
        let pods = self.bench.api::<Pod>();
        pods.patch_status(&pod.name_any(), &PatchParams::default(), &Patch::Merge(status)).await?;
        let maps = self.bench.api::<k8s_openapi::api::core::v1::ConfigMap>();
        let name = names::config_map(pool);
        let sync = tokio::spawn(async move {
            let mut last = config;
            loop {
                tokio::time::sleep(SYNC).await;
                let text = maps.get(&name).await.ok().and_then(|map| map.data?.remove(names::CONFIG_FILE));
                let Some(text) = text.filter(|text| *text != last) else { continue };
                let new = file.with_extension("new");
                // A test that ends removes the folder.
                if std::fs::write(&new, &text).and_then(|()| std::fs::rename(&new, &file)).is_ok() {
                    last = text;
                }
            }
        });
        Ok(Serving { proxy, sync })
    }

    /// The bearer token of somebody who has one of Kubernetes' own roles here, once what it holds is known.
    pub async fn token(&self, role: &str) -> Result<String> {
        let token = self.stranger(role).await?;
        let caller = Caller::new(self.bench.operator.api.parse()?, Some(&token));
        let wanted = match role {
            "view" => json!({"update": false, "operate": false}),
            "edit" => json!({"update": true, "operate": false}),
            _ => json!({"update": true, "operate": true}),
        };
        until(&format!("all of the role {role} to be known"), async || {
            let servers = caller.get("/api/servers").await?.good()?["servers"].clone();
            let Some(id) = servers[0]["server_id"].as_str() else { return Ok(None) };
            let pool = caller.get(&format!("/api/servers/{id}")).await?;
            Ok((pool.status == 200 && pool.body["permissions"] == wanted).then_some(()))
        })
        .await?;
        Ok(token)
    }

    /// The bearer token of somebody whose role here says nothing of pools.
    pub async fn stranger(&self, role: &str) -> Result<String> {
        let file = account(shared().await?, role, Some(&self.bench.namespace)).await?;
        let config: serde_yaml::Value = serde_yaml::from_str(&std::fs::read_to_string(file)?)?;
        Ok(config["users"][0]["user"]["token"].as_str().context("no token")?.to_owned())
    }

    /// The page's address, with what follows `#`.
    pub fn url(&self, hash: &str) -> String {
        format!("http://{}/ui/#{hash}", self.bench.operator.api)
    }

    /// What follows `#` on the page of a pool.
    pub fn hash(&self, pool: &str) -> String {
        format!("/pools/{}.{pool}", self.bench.namespace)
    }

    /// Opens an address as somebody who is signed in.
    pub async fn open(&self, hash: &str, token: &str) -> Result<Page> {
        self.open_with(hash, token, json!({})).await
    }

    /// The same in a browser with options of Playwright's.
    pub async fn open_with(&self, hash: &str, token: &str, options: Value) -> Result<Page> {
        let page = self.browser.page(options).await?;
        page.goto(&self.url(hash)).await?;
        sign_in(&page, token).await?;
        page.gone(".signin").await?;
        Ok(page)
    }

    /// Opens the page of a pool as somebody who is signed in, and waits until all of it is there.
    pub async fn open_pool(&self, pool: &str, token: &str) -> Result<Page> {
        let page = self.open(&self.hash(pool), token).await?;
        whole(&page, pool).await?;
        Ok(page)
    }
}

/// Waits until every part of a pool's page is there, but for the charts, which have nothing to show at first.
pub async fn whole(page: &Page, pool: &str) -> Result<()> {
    page.shows("h1", pool).await?;
    page.call(".reasons li >> nth=0", "waitFor", &[]).await?;
    until("the parameters", async || {
        let value = page.call("#set-pool_max_size", "inputValue", &[]).await?;
        Ok((value != "").then_some(()))
    })
    .await
}

/// Gives the token to the form that asks for it.
pub async fn sign_in(page: &Page, token: &str) -> Result<()> {
    page.fill("role=textbox[name='Bearer token']", token).await?;
    page.press("Enter").await
}

/// Calls a tool of the server again and again, each call `ms` long, until it is dropped.
pub async fn busy(proxy: &Proxy, ms: u64) -> Result<JoinHandle<()>> {
    let session = Session::open(proxy.mcp).await?;
    Ok(tokio::spawn(async move {
        while session.tool("sleep", &json!({"ms": ms, "message": "x"})).await.is_ok() {}
    }))
}

/// A loopback address whose admin port nobody uses.
fn address() -> Result<Ipv4Addr> {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    for _ in 0..1000 {
        let number = std::process::id().wrapping_mul(16).wrapping_add(NEXT.fetch_add(1, Ordering::Relaxed));
        let [.., high, low] = number.to_be_bytes();
        let address = Ipv4Addr::new(127, 81, high, low.max(1));
        if TcpListener::bind((address, names::ADMIN_PORT)).is_ok() {
            return Ok(address);
        }
    }
    anyhow::bail!("no loopback address is free")
}
