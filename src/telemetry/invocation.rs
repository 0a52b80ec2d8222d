//! What a line needs to name its invocation. It travels with the task that works for a request,
//! so that nothing has to be made, entered and left for requests that write no line.

use std::{
    fmt,
    sync::{Arc, Mutex, PoisonError},
};

use axum::http::{HeaderMap, HeaderName, HeaderValue};
use tracing::Instrument;

use super::{spans, trace_parent::TraceParent};

/// The header in which the Functions host names the invocation.
pub const INVOCATION_ID: HeaderName = HeaderName::from_static("x-azure-functions-invocationid");

/// Lines kept for one invocation; more are dropped, since the host's answer must stay small.
const LINES_KEPT: usize = 100;

/// One run of one function.
#[derive(Debug, Clone)]
pub struct Invocation {
    /// The function's name, as it may be written.
    pub function: Arc<str>,
    /// The host's id of the run.
    pub id: Option<InvocationId>,
    /// The trace that the request belongs to.
    pub parent: Option<TraceParent>,
    /// Keeps the lines of the run, for the answer to an envelope.
    pub lines: Option<InvocationLines>,
}

tokio::task_local! {
    static CURRENT: Invocation;
}

impl Invocation {
    /// Makes every line that `work` writes name this invocation.
    pub(crate) fn name<F: Future>(self, work: F) -> impl Future<Output = F::Output> {
        CURRENT.scope(self, work)
    }

    /// Like [`Invocation::name`], for work that does not wait.
    pub(crate) fn name_in<T>(self, work: impl FnOnce() -> T) -> T {
        CURRENT.sync_scope(self, work)
    }
}

/// As it stands in a line.
impl fmt::Display for Invocation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "invocation{{function={:?}", self.function)?;
        if let Some(id) = self.id.as_ref().and_then(InvocationId::as_str) {
            write!(f, " id=\"{id}\"")?;
        }
        if let Some(parent) = &self.parent {
            write!(f, " trace=\"{}\"", parent.trace_id())?;
        }
        f.write_str("}")
    }
}

/// What `see` makes of the invocation that this task works for, if it works for one.
pub(super) fn with_current<T>(see: impl FnOnce(&Invocation) -> T) -> Option<T> {
    CURRENT.try_with(see).ok()
}

/// Makes a task that a request starts a part of its trace and its lines.
pub(crate) fn inherit<F: Future>(work: F) -> impl Future<Output = F::Output> {
    let current = with_current(Clone::clone);
    // A span of its own: the request's would last as long as the task.
    let span = spans::background();
    async move {
        match current {
            Some(invocation) => invocation.name(work).await,
            None => work.await,
        }
    }
    .instrument(span)
}

/// What a vault is told as `traceparent`.
pub(crate) fn outgoing() -> Option<TraceParent> {
    spans::current().or_else(|| with_current(|invocation| invocation.parent)?)
}

/// The host's id of a request. It is never free text: it can be logged whoever wrote it.
#[derive(Clone)]
pub struct InvocationId(HeaderValue);

impl InvocationId {
    /// Bytes; the host's are GUIDs of 36.
    const LONGEST: usize = 64;

    /// What the headers of a request say. It is read when a line needs it, which few do.
    #[must_use]
    pub fn of(headers: &HeaderMap) -> Option<Self> {
        headers.get(INVOCATION_ID).cloned().map(Self)
    }

    /// Letters, digits and hyphens; nothing if that is not what was sent. A client can send an id
    /// too, and the host then appends its own: the part after the last comma is the host's.
    #[must_use]
    pub fn as_str(&self) -> Option<&str> {
        let id = self.0.to_str().ok()?.rsplit(',').next()?.trim();
        let is_id = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-';
        let is_short = (1..=Self::LONGEST).contains(&id.len());
        (is_short && id.bytes().all(is_id)).then_some(id)
    }
}

impl fmt::Debug for InvocationId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str().unwrap_or_default())
    }
}

/// The lines that one invocation wrote.
#[derive(Debug, Clone, Default)]
pub struct InvocationLines(Arc<Mutex<Vec<String>>>);

impl InvocationLines {
    /// The lines so far, oldest first.
    #[must_use]
    pub fn take(&self) -> Vec<String> {
        std::mem::take(&mut *self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }

    pub(super) fn push(&self, line: String) {
        let mut lines = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if lines.len() < LINES_KEPT {
            lines.push(line);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TRACE: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-00";

    fn id(value: &'static str) -> Option<InvocationId> {
        let mut headers = HeaderMap::new();
        headers.insert(INVOCATION_ID, value.parse().expect("a value"));
        InvocationId::of(&headers)
    }

    #[test]
    fn the_hosts_id_is_the_last_one_and_never_free_text() {
        let text = |value| id(value)?.as_str().map(str::to_owned);
        assert_eq!(text("spoofed, 5f6e-7d2a").as_deref(), Some("5f6e-7d2a"));
        assert_eq!(text("5f6e").as_deref(), Some("5f6e"));
        let longest = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";
        assert_eq!(text(longest).as_deref(), Some(longest));
        let longer = "x0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";
        for none in ["", "a b", "a,", longer] {
            assert_eq!(text(none), None, "{none}");
        }
    }

    #[test]
    fn a_line_names_what_is_known() {
        let mut invocation = Invocation {
            function: "config-check".into(),
            id: None,
            parent: None,
            lines: None,
        };
        let written = invocation.to_string();
        assert_eq!(written, r#"invocation{function="config-check"}"#);
        invocation.id = id("5f6e");
        invocation.parent = TraceParent::parse(TRACE.as_bytes());
        assert_eq!(
            invocation.to_string(),
            r#"invocation{function="config-check" id="5f6e" trace="4bf92f3577b34da6a3ce929d0e0e4736"}"#
        );
    }

    #[test]
    fn an_invocation_keeps_a_bounded_number_of_lines() {
        let lines = InvocationLines::default();
        (0..LINES_KEPT + 5).for_each(|n| lines.push(n.to_string()));
        assert_eq!(lines.take().len(), LINES_KEPT);
    }

    #[tokio::test]
    async fn a_task_beside_a_request_keeps_its_trace_if_it_inherits() {
        let invocation = Invocation {
            function: "config-check".into(),
            id: None,
            parent: TraceParent::parse(TRACE.as_bytes()),
            lines: None,
        };
        let seen = invocation.clone().name(async {
            let beside = tokio::spawn(inherit(async { outgoing() }));
            let forgotten = tokio::spawn(async { outgoing() });
            let (beside, forgotten) = (beside.await, forgotten.await);
            (beside.expect("ended"), forgotten.expect("ended"))
        });
        assert_eq!(seen.await, (invocation.parent, None));
        assert_eq!(outgoing(), None);
    }
}
