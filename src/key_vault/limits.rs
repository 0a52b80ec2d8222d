//! Every limit of this module, with its reason. `docs/reliability.md` shows them to users.

use std::time::Duration;

use azure_core::{http::ExponentialRetryOptions, time};

// Reading a vault.

/// Time for one read of a vault, retries included; the token's time comes on top only for
/// developer tools, see [`TOOL_LIMIT`].
pub const CALL_LIMIT: Duration = Duration::from_secs(5);

/// A read that is let through with less time than this does not begin. When all that wait on a
/// silent vault run out of time together, each would otherwise send a request in vain.
pub(super) const LEAST_TIME: Duration = Duration::from_millis(100);

/// The wait for a vault that throttles and does not say for how long.
pub(super) const UNTOLD_PAUSE: Duration = Duration::from_secs(1);

/// How the SDK tries a read again. It stops early enough for [`CALL_LIMIT`].
pub(super) const READ_RETRIES: ExponentialRetryOptions = ExponentialRetryOptions {
    initial_delay: time::Duration::milliseconds(100),
    max_retries: 2,
    max_total_elapsed: time::Duration::seconds(4),
    max_delay: time::Duration::seconds(1),
};

/// A vault that asks for a longer wait than the SDK's own is not tried again within one read.
pub(super) const RETRY_WAIT_LIMIT: Duration = Duration::from_secs(1);

/// Most versions looked at when one is searched. A vault keeps every version for ever, and
/// each page of 25 is one request within [`CALL_LIMIT`].
pub(super) const VERSIONS_LIMIT: usize = 2_500;

/// Most pages looked at, empty ones included: those are no versions.
pub(super) const PAGES_LIMIT: usize = 150;

/// Largest answer of a vault, in bytes: a secret has at most 25 KB, a page 25 items.
pub(super) const VAULT_ANSWER_LIMIT: usize = 512 * 1024;

/// Most vaults that are open at the same time: each has a client and its state.
pub(super) const VAULTS_LIMIT: usize = 64;

// Listing what a vault has.

/// Most pages of one kind that are listed, empty ones included: 10,000 objects, in pages of 25.
pub const LISTED_PAGES_LIMIT: usize = 400;

/// Most objects that are listed of all vaults together, which bounds the memory.
pub const OBJECTS_LIMIT: usize = 30_000;

/// Time to list everything. At the inventory's own pace, all pages of three kinds take 2 minutes.
pub const LISTING_LIMIT: Duration = Duration::from_secs(5 * 60);

/// How often a page is asked for again that did not come, with a second in between. A vault that
/// says when to come back is asked then, and that is not counted.
pub(super) const PAGE_RETRIES: u32 = 3;

// Sparing a vault.

/// Reads of one vault that are under way at the same time.
pub(super) const READS_AT_ONCE: usize = 16;

/// Probes of one vault that are under way at the same time. They have permits of their own, so
/// that an app with many references does not hold up who wants a secret's metadata.
pub(super) const PROBES_AT_ONCE: usize = 8;

/// Most signed requests of this instance in any [`BUDGET_WINDOW`]: a tenth of what a vault
/// serves to everybody together.
pub(super) const REQUESTS_LIMIT: usize = 400;

/// Probes of config-check leave the rest to the reads of secrets.
pub(super) const PROBES_LIMIT: usize = REQUESTS_LIMIT / 2;

/// The inventory leaves the rest to both: nobody waits for its next page.
pub(super) const INVENTORY_LIMIT: usize = REQUESTS_LIMIT / 4;

/// The time in which Key Vault counts requests.
pub(super) const BUDGET_WINDOW: Duration = Duration::from_secs(10);

/// The longest pause that a vault can ask for: a mistaken `Retry-After` must not close it for
/// a day.
pub(super) const PAUSE_LIMIT: Duration = Duration::from_secs(60);

/// The longest own pause of a vault that throttles and does not say for how long: what Key
/// Vault's documentation advises.
pub(super) const OWN_PAUSE_LIMIT: Duration = Duration::from_secs(16);

/// For how long the failure of a vault's very first request counts for those behind it.
pub(super) const FIRST_FAILURE_PAUSE: Duration = Duration::from_secs(1);

/// The longest time between two new tokens for a vault that goes on to refuse them.
pub(super) const REFUSED_TOKEN_PAUSE_LIMIT: Duration = Duration::from_secs(30);

// The cache.

/// A failure is cached for this long.
pub(super) const FAILURE_PAUSE: Duration = Duration::from_secs(1);

/// One secret is read by force once in this time.
pub(super) const FORCED_PAUSE: Duration = Duration::from_secs(5);

/// Reads, and callers that wait for one, in a task of their own: who hangs up leaves it behind.
/// Who comes on top waits until one has ended, which takes as long as one read.
pub(super) const READERS_LIMIT: usize = 2_000;

// The network.

/// Time for one look-up. Shorter than [`CONNECT_LIMIT`], so that a silent name server is not
/// taken for a silent vault.
pub(super) const LOOK_UP_LIMIT: Duration = Duration::from_millis(1_500);

/// For how long the addresses of a vault's name, and a probe of the path to it, stand for what is
/// told about the path.
pub(super) const PATH_LIFE: Duration = Duration::from_secs(10);

/// A read that takes longer than this has the vault's name looked up beside it, so that a vault that
/// does not answer has the path told in good time.
pub(super) const LOOK_AFTER: Duration = Duration::from_millis(500);

/// For how long the latest answer of a vault tells how requests arrive, and that it is reached.
pub(super) const ANSWER_LIFE: Duration = Duration::from_secs(60);

/// Time to open a connection.
pub(super) const CONNECT_LIMIT: Duration = Duration::from_secs(2);

/// Time for one attempt, connection included. Shorter than [`CALL_LIMIT`], so that a silent
/// vault is told from a slow one.
pub(super) const ATTEMPT_LIMIT: Duration = Duration::from_secs(4);

// Signing in.

/// Time for a token where an endpoint gives it.
pub(super) const TOKEN_LIMIT: Duration = Duration::from_secs(3);

/// Time for a token where a developer tool has to start first.
pub const TOOL_LIMIT: Duration = Duration::from_secs(10);

/// How the identity library tries again, within [`TOKEN_LIMIT`].
pub(super) const TOKEN_RETRIES: ExponentialRetryOptions = ExponentialRetryOptions {
    initial_delay: time::Duration::milliseconds(100),
    max_retries: 1,
    max_total_elapsed: time::Duration::seconds(2),
    max_delay: time::Duration::milliseconds(500),
};

/// Largest answer of an endpoint that gives tokens, in bytes. A token has a few thousand.
pub(super) const TOKEN_ANSWER_LIMIT: usize = 64 * 1024;

/// A token is renewed when it has less than this left: the SDK does not ask before.
pub(super) const RENEW_BEFORE: Duration = Duration::from_secs(5 * 60);

/// A token with less than this left is not given any more: a read has to end with it.
pub(super) const TOKEN_LIFE_NEEDED: Duration = Duration::from_secs(30);

/// A token that says it has expired when it comes is given for a while all the same: the
/// machine's date may be wrong, and the identity endpoint must not be asked for every request.
pub(super) const TOKEN_LIFE_ASSUMED: Duration = Duration::from_secs(60);

/// A failure to sign in is cached for this long.
pub(super) const SIGN_IN_PAUSE: Duration = Duration::from_secs(2);
