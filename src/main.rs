//! The `link` binary.

#[tokio::main]
async fn main() -> std::process::ExitCode {
    link::cli::run().await
}
