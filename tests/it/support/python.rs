//! The Python package for agents, installed into an environment of its own.

use std::{
    path::{Path, PathBuf},
    process::{Command, Stdio},
    sync::OnceLock,
};

/// Tells whether it shall be tested.
pub fn wanted() -> bool {
    let wanted = std::env::var("LINK_PYTHON_CLIENT").is_ok_and(|value| value == "1");
    if !wanted {
        println!("skipped: set LINK_PYTHON_CLIENT=1 to test with the Python package");
    }
    wanted
}

/// Makes the environment once for all tests of this process, from the package as it is now, and returns its Python.
pub fn python() -> PathBuf {
    static PYTHON: OnceLock<PathBuf> = OnceLock::new();
    let make = || {
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/python/install.sh");
        let venv = std::env::temp_dir().join("link-python-client");
        let made = Command::new(script).env("VENV", &venv).stdout(Stdio::null()).status().expect("there is a shell");
        assert!(made.success(), "the package is installed");
        venv.join("bin/python")
    };
    PYTHON.get_or_init(make).clone()
}

/// A program of the package's, killed when this is dropped.
pub struct Program(std::process::Child);

impl Program {
    pub fn start(arguments: &[&str], settings: &[(&str, &str)]) -> Self {
        let mut command = Command::new(python());
        command.args(arguments).envs(settings.iter().copied()).current_dir(std::env::temp_dir());
        Self(command.stdin(Stdio::null()).spawn().expect("Python runs"))
    }

    pub fn kill(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }

    /// Waits until it has ended by itself, and returns its code.
    pub async fn ended(&mut self) -> Option<i32> {
        for _ in 0..1_200 {
            if let Some(status) = self.0.try_wait().expect("it is our child") {
                return status.code();
            }
            tokio::time::sleep(std::time::Duration::from_millis(25)).await;
        }
        panic!("it still runs after 30 seconds");
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        self.kill();
    }
}
