//! How secrets are described: by which operation, for how long an answer is kept, and whether the
//! end of one is announced.

use std::time::Duration;

use super::{names, reader::Reader};
use crate::{
    functions::MetadataOptions,
    key_vault::{CachePolicy, MetadataSource},
};

impl Reader<'_> {
    pub(super) fn metadata(&mut self) -> MetadataOptions {
        MetadataOptions {
            source: self.metadata_source(),
            cache: self.cache(),
        }
    }

    pub(super) fn expiry_warnings(&mut self) -> bool {
        self.switch(names::EXPIRY_WARNINGS, true)
    }

    fn metadata_source(&mut self) -> MetadataSource {
        let name = names::SECRET_METADATA_SOURCE;
        match self.text(name).map(|text| text.trim().to_ascii_lowercase()) {
            None => MetadataSource::Versions,
            Some(word) if word == "versions" => MetadataSource::Versions,
            Some(word) if word == "get" => MetadataSource::Get,
            Some(_) => {
                self.refuse(name, "an unknown value", "versions or get");
                MetadataSource::Versions
            }
        }
    }

    fn cache(&mut self) -> CachePolicy {
        let default = CachePolicy::default();
        let mut seconds = |name, from, default: Duration| {
            Duration::from_secs(self.number(name, from..=86_400, default.as_secs()))
        };
        let fresh_for = seconds(names::SECRET_CACHE_TTL_SECONDS, 1, default.fresh_for);
        let max_stale = seconds(names::SECRET_CACHE_MAX_STALE_SECONDS, 0, default.max_stale);
        let missing_for = seconds(
            names::SECRET_CACHE_NEGATIVE_TTL_SECONDS,
            0,
            default.missing_for,
        );
        CachePolicy {
            fresh_for,
            // A fresh answer, jitter included, is never too old.
            max_stale: max_stale.max(fresh_for.mul_f64(1.1)),
            missing_for,
            capacity: self.number(names::SECRET_CACHE_CAPACITY, 1..=100_000, default.capacity),
        }
    }
}
