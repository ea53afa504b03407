//! Prometheus' text format and OpenMetrics, with numbers as Go writes them: the `le` labels of
//! histograms are part of a series' name, so they must be spelled as before.

use prometheus::proto::{LabelPair, Metric, MetricFamily, MetricType};
use std::fmt::Write;

/// The two text formats.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// `text/plain; version=0.0.4`
    Text,
    /// `application/openmetrics-text; version=1.0.0`
    OpenMetrics,
}

/// Writes families in a format.
pub(super) fn encode(families: &[MetricFamily], format: Format) -> String {
    let mut text = String::new();
    for family in families.iter().filter(|family| !family.get_metric().is_empty()) {
        write_family(&mut text, family, format);
    }
    if format == Format::OpenMetrics {
        text.push_str("# EOF\n");
    }
    text
}

fn write_family(text: &mut String, family: &MetricFamily, format: Format) {
    let name = family.name();
    let kind = family.get_field_type();
    // OpenMetrics names a counter's family without the suffix of its samples.
    let family_name = match (format, kind) {
        (Format::OpenMetrics, MetricType::COUNTER) => name.strip_suffix("_total").unwrap_or(name),
        _ => name,
    };
    let kind_name = match kind {
        MetricType::COUNTER => "counter",
        MetricType::GAUGE => "gauge",
        MetricType::HISTOGRAM => "histogram",
        MetricType::SUMMARY => "summary",
        _ => "untyped",
    };
    let help = escape(family.help(), false);
    let _ = writeln!(text, "# HELP {family_name} {help}\n# TYPE {family_name} {kind_name}");
    for metric in family.get_metric() {
        match kind {
            MetricType::COUNTER => {
                sample(text, name, metric, None, metric.get_counter().get_value());
            }
            MetricType::GAUGE => {
                sample(text, name, metric, None, metric.get_gauge().get_value());
            }
            MetricType::HISTOGRAM => write_histogram(text, name, metric),
            _ => {}
        }
    }
}

fn write_histogram(text: &mut String, name: &str, metric: &Metric) {
    let histogram = metric.get_histogram();
    let bucket_name = format!("{name}_bucket");
    for bucket in histogram.get_bucket() {
        let bound = float(bucket.upper_bound());
        if bound != "+Inf" {
            let count = bucket.cumulative_count() as f64;
            sample(text, &bucket_name, metric, Some(&bound), count);
        }
    }
    let count = histogram.get_sample_count() as f64;
    sample(text, &bucket_name, metric, Some("+Inf"), count);
    sample(text, &format!("{name}_sum"), metric, None, histogram.get_sample_sum());
    sample(text, &format!("{name}_count"), metric, None, count);
}

fn sample(text: &mut String, name: &str, metric: &Metric, le: Option<&str>, value: f64) {
    text.push_str(name);
    let mut labels: Vec<&LabelPair> = metric.get_label().iter().collect();
    labels.sort_by(|a, b| a.name().cmp(b.name()));
    if !labels.is_empty() || le.is_some() {
        let pairs = labels
            .into_iter()
            .map(|pair| format!("{}=\"{}\"", pair.name(), escape(pair.value(), true)))
            .chain(le.map(|le| format!("le=\"{le}\"")));
        let _ = write!(text, "{{{}}}", pairs.collect::<Vec<_>>().join(","));
    }
    let _ = writeln!(text, " {}", float(value));
}

fn escape(text: &str, quotes: bool) -> String {
    let mut escaped = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '\\' => escaped.push_str("\\\\"),
            '\n' => escaped.push_str("\\n"),
            '"' if quotes => escaped.push_str("\\\""),
            character => escaped.push(character),
        }
    }
    escaped
}

/// The shortest text of a number, with an exponent below 1e-4 and from 1e6 on.
fn float(value: f64) -> String {
    if value.is_nan() {
        return "NaN".to_owned();
    }
    if value.is_infinite() {
        return if value > 0.0 { "+Inf" } else { "-Inf" }.to_owned();
    }
    let scientific = format!("{value:e}");
    let Some((mantissa, exponent)) = scientific.split_once('e') else {
        return scientific;
    };
    let exponent: i32 = exponent.parse().unwrap_or(0);
    if (-4..6).contains(&exponent) || value == 0.0 {
        return value.to_string();
    }
    let sign = if exponent < 0 { '-' } else { '+' };
    format!("{mantissa}e{sign}{:02}", exponent.abs())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_spelled_as_in_go() {
        for (value, text) in [
            (0.0, "0"),
            (1.0, "1"),
            (1e-8, "1e-08"),
            (9.999999999999999e-06, "9.999999999999999e-06"),
            (0.0001, "0.0001"),
            (16.82, "16.82"),
            (20000.0, "20000"),
            (999_999.5, "999999.5"),
            (1e6, "1e+06"),
            (13_682_584.0, "1.3682584e+07"),
            (u64::MAX as f64, "1.8446744073709552e+19"),
            (-2.5, "-2.5"),
            (f64::INFINITY, "+Inf"),
        ] {
            assert_eq!(float(value), text);
        }
    }

    #[test]
    fn both_formats() {
        let registry = prometheus::Registry::new();
        let options = prometheus::Opts::new("a_total", "Counts \\ and\nmore.");
        let counter = prometheus::IntCounterVec::new(options, &["x"]).unwrap();
        counter.with_label_values(&["q\"\\\n"]).inc();
        registry.register(Box::new(counter)).unwrap();
        let families = registry.gather();
        let sample = "a_total{x=\"q\\\"\\\\\\n\"} 1\n";
        assert_eq!(
            encode(&families, Format::Text),
            format!("# HELP a_total Counts \\\\ and\\nmore.\n# TYPE a_total counter\n{sample}")
        );
        assert_eq!(
            encode(&families, Format::OpenMetrics),
            format!("# HELP a Counts \\\\ and\\nmore.\n# TYPE a counter\n{sample}# EOF\n")
        );
    }
}
