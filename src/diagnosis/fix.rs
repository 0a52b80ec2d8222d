//! What to do: a sentence and the commands that do it.

use std::fmt;

use serde::{Serialize, Serializer};

/// What to do: a sentence and, at its end, the commands that do it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fix {
    /// Ends where the first command follows.
    pub sentence: String,
    /// To be pasted as they are, one after the other.
    pub commands: Vec<String>,
}

impl Fix {
    /// A sentence and the command that it ends with.
    #[must_use]
    pub fn with(sentence: impl Into<String>, command: impl Into<String>) -> Self {
        Self::with_all(sentence, [command.into()])
    }

    /// A sentence and the commands that it ends with, in their order.
    #[must_use]
    pub fn with_all(
        sentence: impl Into<String>,
        commands: impl IntoIterator<Item = String>,
    ) -> Self {
        Self {
            sentence: sentence.into(),
            commands: commands.into_iter().collect(),
        }
    }

    /// A sentence alone.
    #[must_use]
    pub fn without_command(sentence: impl Into<String>) -> Self {
        Self::with_all(sentence, [])
    }
}

impl fmt::Display for Fix {
    /// One command stands behind its sentence; several stand on lines of their own.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.sentence)?;
        let separator = if self.commands.len() > 1 { '\n' } else { ' ' };
        self.commands
            .iter()
            .try_for_each(|command| write!(f, "{separator}{command}"))
    }
}

impl Serialize for Fix {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}
