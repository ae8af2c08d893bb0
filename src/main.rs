//! The `link` binary.

use link::{config::Config, node::Node, telemetry};

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let config = Config::load()?;
    telemetry::logs(&config.log, false);
    let node = Node::start(config).await?;
    tokio::select! {
        _ = tokio::signal::ctrl_c() => {}
        () = node.replaced() => {}
    }
    node.stop().await;
    Ok(())
}
