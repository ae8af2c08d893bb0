//! Colours, where someone looks at them.

use std::io::IsTerminal;

/// Whether colours are used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Paint {
    /// On a terminal.
    Colours,
    /// In files and pipes, and where `NO_COLOR` is set.
    Plain,
}

impl Paint {
    /// Looks where standard output goes.
    pub fn detect() -> Self {
        let unwanted = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
        if std::io::stdout().is_terminal() && !unwanted { Self::Colours } else { Self::Plain }
    }

    /// Wraps a text in an ANSI style, as in `1;32`.
    pub fn dyed(self, style: &str, text: &str) -> String {
        match self {
            Self::Colours => format!("\u{1b}[{style}m{text}\u{1b}[0m"),
            Self::Plain => text.to_owned(),
        }
    }

    /// Less important.
    pub fn dim(self, text: &str) -> String {
        self.dyed("2", text)
    }

    /// More important.
    pub fn bold(self, text: &str) -> String {
        self.dyed("1", text)
    }
}
