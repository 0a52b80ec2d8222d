//! What the `OTEL_*` variables ask for. The exporter reads them from the process's environment
//! by itself, so `local.settings.json` does not count here. They may be meant for the Functions
//! host, whose environment the handler gets: what cannot be used switches the export off and
//! stops nothing.

use axum::http::Uri;

use super::{names, reader::Reader};
use crate::{references::is_reference, telemetry::Export};

impl Reader<'_> {
    pub(super) fn export(&self) -> Export {
        let given = |name| self.environment.get_from_process(name).map(str::trim);
        let is = |name, word| given(name).is_some_and(|text| text.eq_ignore_ascii_case(word));
        if is(names::OTEL_SDK_DISABLED, "true") {
            return Export::default();
        }
        let endpoint = |own, exporter| {
            let names = [own, names::OTEL_EXPORTER_OTLP_ENDPOINT];
            let name = names.into_iter().find(|name| given(name).is_some());
            name.filter(|_| !is(exporter, "none"))
        };
        let traces = endpoint(
            names::OTEL_EXPORTER_OTLP_TRACES_ENDPOINT,
            names::OTEL_TRACES_EXPORTER,
        );
        let metrics = endpoint(
            names::OTEL_EXPORTER_OTLP_METRICS_ENDPOINT,
            names::OTEL_METRICS_EXPORTER,
        );
        if traces.is_none() && metrics.is_none() {
            return Export::default();
        }
        let is_address = |name: &&'static str| given(name).is_some_and(is_http);
        let wrong = [traces, metrics]
            .into_iter()
            .flatten()
            .find(|name| !is_address(name));
        let protocols = [
            names::OTEL_EXPORTER_OTLP_PROTOCOL,
            names::OTEL_EXPORTER_OTLP_TRACES_PROTOCOL,
            names::OTEL_EXPORTER_OTLP_METRICS_PROTOCOL,
        ];
        let foreign = protocols
            .into_iter()
            .find(|name| given(name).is_some() && !is(name, "http/protobuf"));
        // Its text would be sent in the place of a header or a name.
        let unresolved = names::ALL
            .iter()
            .copied()
            .find(|name| names::is_about_export(name) && given(name).is_some_and(is_reference));
        let unusable = unresolved.or(wrong).or(foreign);
        Export {
            traces: traces.is_some() && unusable.is_none(),
            metrics: metrics.is_some() && unusable.is_none(),
            service: self.text(names::WEBSITE_SITE_NAME).map(str::to_owned),
            unusable,
        }
    }
}

fn is_http(text: &str) -> bool {
    let Ok(uri) = text.parse::<Uri>() else {
        return false;
    };
    matches!(uri.scheme_str(), Some("http" | "https")) && uri.host().is_some()
}

#[cfg(test)]
mod tests {
    use super::super::{Environment, Settings, names};
    use crate::telemetry::Export;

    const REFERENCE: &str = "@Microsoft.KeyVault(VaultName=your-kv;SecretName=OtlpHeaders)";

    fn export(pairs: &[(&str, &str)]) -> Export {
        Settings::read(&Environment::of(pairs))
            .expect("valid")
            .export
    }

    #[test]
    fn nothing_is_exported_unless_an_endpoint_is_set() {
        let all = (names::OTEL_EXPORTER_OTLP_ENDPOINT, "http://127.0.0.1:4318");
        let own = (
            names::OTEL_EXPORTER_OTLP_TRACES_ENDPOINT,
            "https://x/v1/traces",
        );
        let headers = (names::OTEL_EXPORTER_OTLP_HEADERS, "api-key=canary");
        let protocol = (names::OTEL_EXPORTER_OTLP_PROTOCOL, "http/protobuf");
        for (pairs, traces, metrics) in [
            (&[headers][..], false, false),
            (&[all], true, true),
            (&[own], true, false),
            (&[all, (names::OTEL_TRACES_EXPORTER, "none")], false, true),
            (&[all, (names::OTEL_METRICS_EXPORTER, "none")], true, false),
            (&[all, (names::OTEL_SDK_DISABLED, "True")], false, false),
            (&[all, (names::OTEL_SDK_DISABLED, "no")], true, true),
            (&[all, protocol], true, true),
        ] {
            let export = export(pairs);
            assert_eq!(
                (export.traces, export.metrics),
                (traces, metrics),
                "{pairs:?}"
            );
            assert_eq!(export.unusable, None, "{pairs:?}");
        }
    }

    #[test]
    fn what_cannot_be_used_switches_the_export_off_and_stops_nothing() {
        let good = (names::OTEL_EXPORTER_OTLP_ENDPOINT, "http://127.0.0.1:4318");
        for pair in [
            (names::OTEL_EXPORTER_OTLP_PROTOCOL, "grpc"),
            (names::OTEL_EXPORTER_OTLP_TRACES_PROTOCOL, "grpc"),
            (names::OTEL_EXPORTER_OTLP_HEADERS, REFERENCE),
            (names::OTEL_EXPORTER_OTLP_METRICS_HEADERS, REFERENCE),
            (names::OTEL_EXPORTER_OTLP_ENDPOINT, REFERENCE),
            (names::OTEL_EXPORTER_OTLP_TRACES_ENDPOINT, "127.0.0.1:4318"),
            (names::OTEL_EXPORTER_OTLP_METRICS_ENDPOINT, "ftp://x/"),
            (names::OTEL_EXPORTER_OTLP_METRICS_ENDPOINT, "not an address"),
        ] {
            let pairs = if pair.0 == good.0 {
                vec![pair]
            } else {
                vec![good, pair]
            };
            let export = export(&pairs);
            assert!(!export.traces && !export.metrics, "{pair:?}");
            assert_eq!(export.unusable, Some(pair.0));
        }
    }
}
