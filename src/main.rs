//! The command line names a command; how it ends is the exit code.

mod cli;

#[cfg(not(target_env = "musl"))]
use std::alloc::System;
use std::process::ExitCode;

use cli::{
    arguments::Arguments,
    banner,
    failure::{Failure, exit},
    run,
};
use zeroizing_alloc::ZeroAlloc;

/// Wipes all memory that is freed: a secret's value passes through buffers of TLS, HTTP and JSON
/// that nobody else wipes.
///
/// musl's own allocator takes one lock for every thread, which costs nine tenths of the
/// throughput.
#[cfg(target_env = "musl")]
#[global_allocator]
static ALLOCATOR: ZeroAlloc<mimalloc::MiMalloc> = ZeroAlloc(mimalloc::MiMalloc);
#[cfg(not(target_env = "musl"))]
#[global_allocator]
static ALLOCATOR: ZeroAlloc<System> = ZeroAlloc(System);

fn main() -> ExitCode {
    // Fails only if it was done before.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let ended = match Arguments::parse() {
        Ok(Arguments::Run { port }) => run::run(port),
        Ok(Arguments::Check(options)) => cli::check::run(&options),
        #[cfg(feature = "dev-vault")]
        Ok(Arguments::DevVault(options)) => cli::dev_vault::run(options),
        Ok(Arguments::Print(text)) => {
            banner::print(text);
            Ok(ExitCode::SUCCESS)
        }
        Err(error) => Err(Failure::new(exit::USAGE, error)),
    };
    ended.unwrap_or_else(Failure::report)
}
