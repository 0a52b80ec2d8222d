//! What the real service says when its network rules or a policy refuse, in the wordings of
//! different years. Not every recording shows the lines about the caller and the vault; here they
//! are in each text of the network rules. Each id is a canary, so that every answer is searched
//! for it (`leaks.rs`). The address is one that only documentation has.
//!
//! Sources: public labs and issues with whole answers of the service, and Microsoft's pages on
//! troubleshooting Azure DevOps.

/// The client's address in the texts.
pub(crate) const ADDRESS: &str = "203.0.113.57";

/// One refusal and what must become of it.
pub(crate) struct Recorded {
    /// The whole body.
    pub(crate) body: &'static str,
    /// The same from a service that sends no `innererror`.
    pub(crate) without_inner: &'static str,
    /// The code of our own answer.
    pub(crate) code: &'static str,
}

macro_rules! caller {
    () => {
        "appid=canary-id;oid=canary-id;iss=https://sts.windows.net/canary-id/;xms_mirid=/subscriptions/canary-id/resourcegroups/canary-id/providers/Microsoft.Web/sites/canary-id;xms_az_rid=/subscriptions/canary-id/resourcegroups/canary-id/providers/Microsoft.Web/sites/canary-id"
    };
}

/// The lines of a text, with the line breaks of the service between them.
macro_rules! recorded {
    ($code:literal, $inner:literal, $first:expr $(, $line:expr)*) => {
        Recorded {
            body: concat!(
                r#"{"error":{"code":"Forbidden","message":""#, $first, $(r"\r\n", $line,)*
                r#"","innererror":{"code":""#, $inner, r#""}}}"#
            ),
            without_inner: concat!(
                r#"{"error":{"code":"Forbidden","message":""#, $first, $(r"\r\n", $line,)*
                r#""}}"#
            ),
            code: $code,
        }
    };
}

macro_rules! by_network {
    ($inner:literal, $first:literal $(, $line:literal)*) => {
        recorded!(
            $inner,
            $inner,
            $first,
            $($line,)*
            concat!("Caller: ", caller!()),
            "Vault: canary-id;location=westeurope"
        )
    };
}

/// Every refusal.
pub(crate) const REFUSALS: [Recorded; 6] = [
    by_network!(
        "ForbiddenByFirewall",
        "Client address is not authorized and caller is not a trusted service.",
        "Client address: 203.0.113.57"
    ),
    by_network!(
        "ForbiddenByFirewall",
        "Client address is not authorized and caller is not a trusted service.",
        "Client address: 203.0.113.57 from unknown subnet"
    ),
    by_network!(
        "ForbiddenByFirewall",
        "Request was not allowed by NSP rules and the client address is not authorized and caller was ignored because bypass is set to None",
        "Client address: 203.0.113.57"
    ),
    by_network!(
        "ForbiddenByConnection",
        "Connection is not an approved private link and caller was ignored because bypass is not set to 'AzureServices' and PublicNetworkAccess is set to 'Disabled'."
    ),
    by_network!(
        "ForbiddenByConnection",
        "Public network access is disabled and request is not from a trusted service nor via an approved private link."
    ),
    recorded!(
        "AccessToKeyVaultDenied",
        "ForbiddenByPolicy",
        concat!(
            "The policy requires the caller '",
            caller!(),
            "' to use on-behalf-of (OBO) flow. For more information on OBO, please see https://go.microsoft.com/fwlink/?linkid=2152310"
        )
    ),
];
