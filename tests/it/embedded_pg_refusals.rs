//! The database that comes with Link, where it cannot start: it says why and what to do, and touches nothing.

use std::{fs, os::unix::fs::PermissionsExt};

use link::persistence::embedded::{Error, Server, Settings};

use crate::support::data_dir::{Root, runs_as_root};

#[tokio::test]
async fn without_binaries_the_message_says_what_to_install() {
    let root = Root::new();
    let settings = Settings { bin_dir: Some("/nonexistent/bin".into()), ..root.settings() };

    let refusal = Server::start(settings).await.expect_err("there is no Postgres").to_string();

    for step in ["LINK_PG_BIN=/nonexistent/bin", "apt-get install postgresql", "DATABASE_URL"] {
        assert!(refusal.contains(step), "{refusal}");
    }
}

#[tokio::test]
async fn a_cluster_of_another_major_version_is_named_with_both_versions() {
    let root = Root::new();
    fs::create_dir_all(root.data()).expect("a temporary directory");
    fs::write(root.data().join("PG_VERSION"), "9\n").expect("it is ours");

    let refusal = Server::start(root.settings()).await.expect_err("nothing installed reads that");

    assert!(matches!(refusal, Error::Version { made_by: 9, .. }), "{refusal}");
    assert!(refusal.to_string().contains("install `postgresql-9`"), "{refusal}");
}

#[tokio::test]
async fn files_that_are_no_cluster_are_never_touched() {
    let root = Root::new();
    fs::create_dir_all(root.data()).expect("a temporary directory");
    fs::write(root.data().join("diary.txt"), "precious").expect("it is ours");

    let refusal = Server::start(root.settings()).await.expect_err("that is not a cluster");

    assert!(matches!(refusal, Error::NotACluster { .. }), "{refusal}");
    assert_eq!(fs::read_to_string(root.data().join("diary.txt")).expect("still there"), "precious");
}

#[tokio::test]
async fn a_directory_that_the_database_cannot_enter_is_named_with_the_remedy() {
    if !runs_as_root() {
        return; // Only root gives the database to another user.
    }
    let closed = Root::new();
    fs::create_dir(&closed.0).expect("a temporary directory");
    fs::set_permissions(&closed.0, fs::Permissions::from_mode(0o700)).expect("it is ours");
    let settings = Settings { root: closed.0.join("link"), ..closed.settings() };

    let refusal = Server::start(settings).await.expect_err("another user cannot get there").to_string();

    let remedy = format!("chmod o+x {}", closed.0.display());
    assert!(refusal.contains(&remedy) && refusal.contains("mode 700"), "{refusal}");
    assert!(!closed.0.join("link").exists(), "a refusal leaves nothing behind");
}

#[tokio::test]
async fn a_server_that_does_not_start_shows_the_end_of_its_log() {
    let root = Root::new();
    Server::start(root.settings()).await.expect("a cold start").stop().await.expect("a clean stop");
    fs::write(root.data().join("postgresql.auto.conf"), "no_such_setting = 1\n").expect("it is ours");

    let refusal = Server::start(root.settings()).await.expect_err("the configuration is broken").to_string();

    assert!(refusal.contains("no_such_setting") && refusal.contains("server.log"), "{refusal}");
}
