//! What goes wrong on the command line, and how it is told.

use serde_json::{Value, json};

use crate::api::problem::{self, Problem};

use super::output::{Format, note, plain};

/// Why a command did not do what was wanted.
#[derive(Debug, thiserror::Error)]
pub(super) enum Error {
    /// The command itself is wrong.
    #[error("{0}")]
    Usage(String),
    /// The server said no.
    #[error("{}", .0.detail)]
    Problem(Box<Problem>),
    /// There is no server, or something else answers there.
    #[error("no answer from {server}: {cause}")]
    Unreachable {
        /// Where it should be.
        server: String,
        /// What happened instead.
        cause: String,
    },
    /// Nobody reads what is printed any more.
    #[error("nobody reads the output")]
    Closed,
    /// Something on this machine.
    #[error("{0:#}")]
    Local(#[from] anyhow::Error),
}

impl Error {
    /// Returns 2 for a wrong command, 0 when the reader had enough, and 1 for the rest.
    pub fn exit_code(&self) -> u8 {
        match self {
            Self::Usage(_) => 2,
            Self::Closed => 0,
            Self::Problem(_) | Self::Unreachable { .. } | Self::Local(_) => 1,
        }
    }

    /// Tells the error on stderr: what, why, what next, and what to quote in a report. Whoever wants JSON gets the
    /// problem as the server sent it, or one of the same form.
    pub fn print(&self, format: Format) {
        if matches!(self, Self::Closed) {
            return;
        }
        match format {
            Format::Json => note(&format!("{:#}", self.document())),
            Format::Table => note(self.text().trim_end()),
        }
    }

    fn text(&self) -> String {
        match self {
            Self::Problem(problem) => told(problem),
            _ => {
                let next = self.next_actions().into_iter().map(|action| format!("\n  next: {action}"));
                format!("error: {self}{}", next.collect::<String>())
            }
        }
    }

    fn document(&self) -> Value {
        let (code, title) = match self {
            Self::Problem(problem) => return json!(problem),
            Self::Usage(_) => ("usage", "The command is wrong"),
            Self::Unreachable { .. } => ("unreachable", "No server answers"),
            Self::Closed | Self::Local(_) => ("local", "This machine cannot do it"),
        };
        let retryable = matches!(self, Self::Unreachable { .. });
        json!({
            "code": code, "title": title, "detail": self.to_string(), "retryable": retryable,
            "next_actions": self.next_actions(),
        })
    }

    fn next_actions(&self) -> Vec<&'static str> {
        match self {
            Self::Unreachable { .. } => vec!["start one with `link serve`, or name another one with --server URL"],
            Self::Usage(_) => vec!["see --help"],
            Self::Problem(_) | Self::Closed | Self::Local(_) => vec![],
        }
    }
}

fn told(problem: &Problem) -> String {
    let mut lines = vec![format!("error: {}", problem.title), format!("  {}", plain(&json!(problem.detail)))];
    let one = problem.errors.len() == 1;
    // A single wrong field is in the detail already.
    lines.extend(problem.errors.iter().filter(|_| !one).map(|error| format!("  {}: {}", error.path, error.message)));
    lines.extend(problem.next_actions.iter().map(|action| format!("  next: {action}")));
    let trace = match problem.trace_id.as_str() {
        "" => String::new(),
        trace => format!(", trace {trace}"),
    };
    if problem.code == problem::UNAUTHENTICATED.name {
        lines.push("  here: `link login --email … --password-stdin`".into());
    }
    lines.push(format!("  code {}{trace}", problem.code));
    lines.join("\n") + "\n"
}

impl From<Problem> for Error {
    fn from(problem: Problem) -> Self {
        Self::Problem(Box::new(problem))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_problem_is_told_with_its_next_step_and_its_trace() {
        let mut problem = Problem::not_found("task");
        problem.trace_id = "abc".into();
        let expected = "error: It does not exist\n  no such task\n  next: Check the id, and that you are a member of \
                        its workspace\n  code not_found, trace abc\n";
        assert_eq!(told(&problem), expected);
    }
}
