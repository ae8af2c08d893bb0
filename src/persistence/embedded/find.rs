//! Where Postgres is installed. Refuses versions that cannot read the cluster.

use super::{account::Account, command, error::Error};
use std::{
    env, fs,
    path::{Path, PathBuf},
    process::Stdio,
    time::Duration,
};

const ANSWER_WITHIN: Duration = Duration::from_secs(10);
/// Directories with one installation per version, as `parent/prefix<version>/bin`.
const VERSIONED: [(&str, &str); 5] = [
    ("/usr/lib/postgresql", ""),
    ("/usr", "pgsql-"),
    ("/opt/homebrew/opt", "postgresql@"),
    ("/usr/local/opt", "postgresql@"),
    ("/home/linuxbrew/.linuxbrew/opt", "postgresql@"),
];
const SEARCHED: &str = "pg_config --bindir, /usr/lib/postgresql/*/bin, Homebrew, PATH";

/// One installation.
#[derive(Debug, Clone)]
pub(super) struct Binaries {
    dir: PathBuf,
    /// As it says itself, such as `15.18`.
    pub(super) version: String,
    pub(super) major: u32,
}

impl Binaries {
    pub(super) fn postgres(&self) -> PathBuf {
        self.dir.join("postgres")
    }

    pub(super) fn initdb(&self) -> PathBuf {
        self.dir.join("initdb")
    }

    fn at(dir: &Path, account: Account) -> Result<Self, Error> {
        let binary = dir.join("postgres");
        let broken = |cause: String| Error::Broken { binary: binary.clone(), cause };
        account.check_reach(dir)?;
        let mut ask = command::command(&binary, account);
        ask.arg("--version").stdout(Stdio::piped()).stderr(Stdio::null());
        let answer = command::run(&mut ask, ANSWER_WITHIN).map_err(|error| broken(error.to_string()))?;
        let text = String::from_utf8_lossy(&answer.stdout);
        let (version, major) = parse_version(&text)
            .ok_or_else(|| broken(format!("`--version` says {:?} and exits with {}", text.trim(), answer.status)))?;
        Ok(Self { dir: dir.to_owned(), version, major })
    }
}

/// Returns the first installation that can run a cluster of the given major version, or any if there is no cluster.
pub(super) fn binaries(
    given: Option<&Path>,
    account: Account,
    cluster: &Path,
    made_by: Option<u32>,
) -> Result<Binaries, Error> {
    match given {
        Some(dir) => {
            let searched = format!("LINK_PG_BIN={}", dir.display());
            choose([dir.to_owned()], &searched, account, cluster, made_by)
        }
        None => choose(installed(), SEARCHED, account, cluster, made_by),
    }
}

fn choose(
    dirs: impl IntoIterator<Item = PathBuf>,
    searched: &str,
    account: Account,
    cluster: &Path,
    made_by: Option<u32>,
) -> Result<Binaries, Error> {
    let mut unfit = Vec::new();
    let mut broken = None;
    for dir in dirs {
        // PATH often holds links into the installation; initdb looks for its files beside the real one.
        let Ok(dir) = dir.canonicalize() else { continue };
        if !dir.join("postgres").is_file() || !dir.join("initdb").is_file() {
            continue;
        }
        match Binaries::at(&dir, account) {
            Ok(binaries) if made_by.is_none_or(|major| major == binaries.major) => return Ok(binaries),
            Ok(binaries) => unfit.push(format!("{} ({})", binaries.version, dir.display())),
            Err(error) => broken = broken.or(Some(error)),
        }
    }
    match (made_by, broken) {
        (Some(made_by), _) if !unfit.is_empty() => {
            unfit.dedup();
            Err(Error::Version { cluster: cluster.to_owned(), made_by, installed: unfit.join(", ") })
        }
        (_, Some(error)) => Err(error),
        _ => Err(Error::NotInstalled { searched: searched.to_owned() }),
    }
}

/// Every place worth a look, best first; lazily, because asking pg_config takes time.
fn installed() -> impl Iterator<Item = PathBuf> {
    let path = env::var_os("PATH").unwrap_or_default();
    std::iter::once_with(from_pg_config)
        .flatten()
        .chain(VERSIONED.into_iter().flat_map(|(parent, prefix)| newest_first(Path::new(parent), prefix)))
        .chain(["/opt/homebrew/bin", "/usr/local/pgsql/bin"].map(PathBuf::from))
        .chain(env::split_paths(&path).collect::<Vec<_>>())
}

fn from_pg_config() -> Option<PathBuf> {
    let mut ask = command::command(Path::new("pg_config"), Account::Own { uid: 0 });
    ask.arg("--bindir").stdout(Stdio::piped()).stderr(Stdio::null());
    let answer = command::run(&mut ask, ANSWER_WITHIN).ok()?;
    let dir = String::from_utf8(answer.stdout).ok()?;
    answer.status.success().then(|| PathBuf::from(dir.trim()))
}

fn newest_first(parent: &Path, prefix: &str) -> Vec<PathBuf> {
    let mut found: Vec<(u32, PathBuf)> = fs::read_dir(parent)
        .into_iter()
        .flatten()
        .flatten()
        .filter_map(|entry| {
            let version = entry.file_name().to_str()?.strip_prefix(prefix)?.parse().ok()?;
            Some((version, entry.path().join("bin")))
        })
        .collect();
    found.sort_by_key(|(version, _)| std::cmp::Reverse(*version));
    found.into_iter().map(|(_, dir)| dir).collect()
}

/// Reads `postgres (PostgreSQL) 15.18 (Debian 15.18-0+deb12u1)`.
fn parse_version(text: &str) -> Option<(String, u32)> {
    let version = text.split_once("(PostgreSQL) ")?.1.split_whitespace().next()?;
    // `18beta1` is major 18.
    let digits = version.split(|character: char| !character.is_ascii_digit()).next()?;
    Some((version.to_owned(), digits.parse().ok()?))
}

#[cfg(test)]
mod tests {
    use super::{Account, Path, choose, newest_first, parse_version};
    use std::fs;

    const ACCOUNT: Account = Account::Own { uid: 0 };

    #[test]
    fn the_version_of_a_release_a_package_and_a_beta_is_read() {
        assert_eq!(parse_version("postgres (PostgreSQL) 18.4\n"), Some(("18.4".into(), 18)));
        assert_eq!(parse_version("postgres (PostgreSQL) 15.18 (Debian 15.18-0+deb12u1)"), Some(("15.18".into(), 15)));
        assert_eq!(parse_version("postgres (PostgreSQL) 18beta1"), Some(("18beta1".into(), 18)));
        assert_eq!(parse_version("bash 5"), None);
    }

    #[test]
    fn a_machine_without_postgres_is_told_what_to_install() {
        let nowhere = ["/nonexistent".into()];
        let message =
            choose(nowhere, super::SEARCHED, ACCOUNT, Path::new("/d"), None).map_err(|error| error.to_string());
        let message = message.expect_err("nothing is installed there");
        for step in ["apt-get install postgresql", "LINK_PG_BIN", "DATABASE_URL"] {
            assert!(message.contains(step), "{message}");
        }
    }

    #[test]
    fn version_nine_is_older_than_ten() {
        let parent = std::env::temp_dir().join(format!("link-find-{}", std::process::id()));
        for version in ["pg9", "pg10", "pg18", "other"] {
            fs::create_dir_all(parent.join(version)).expect("a temporary directory");
        }
        let found = newest_first(&parent, "pg");
        fs::remove_dir_all(&parent).expect("it was just made");
        assert_eq!(found, ["pg18/bin", "pg10/bin", "pg9/bin"].map(|name| parent.join(name)));
    }
}
