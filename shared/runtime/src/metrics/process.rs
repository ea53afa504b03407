//! The series of the process itself, read from `/proc` when they are asked for.
//!
//! `go_info` and `go_memstats_alloc_bytes` are there because the dashboards made for Flux count
//! controllers by the one and plot the other.

use prometheus::{
    Gauge, Opts,
    core::{Collector, Desc},
    proto::MetricFamily,
};
use std::{fs, time::SystemTime};

/// Kernel clock ticks in a second; a constant of Linux' interface to user space.
const TICKS: f64 = 100.0;

pub(super) struct ProcessCollector {
    info: Gauge,
    allocated: Gauge,
    tasks: Gauge,
    threads: Gauge,
    cpu: Gauge,
    resident: Gauge,
    virtual_size: Gauge,
    max_virtual_size: Gauge,
    start: Gauge,
    open_files: Gauge,
    max_files: Gauge,
    received: Gauge,
    sent: Gauge,
}

impl ProcessCollector {
    pub(super) fn new() -> Result<Self, prometheus::Error> {
        let gauge = |name, help| Gauge::with_opts(Opts::new(name, help));
        let info = Opts::new("go_info", "Information about the toolchain the controller was built with.")
            .const_label("version", concat!("fluxide-", env!("CARGO_PKG_VERSION")));
        let collector = Self {
            info: Gauge::with_opts(info)?,
            allocated: gauge(
                "go_memstats_alloc_bytes",
                "Number of bytes of anonymous memory currently in use.",
            )?,
            tasks: gauge("go_goroutines", "Number of asynchronous tasks that currently exist.")?,
            threads: gauge("go_threads", "Number of OS threads.")?,
            cpu: gauge("process_cpu_seconds_total", "Total user and system CPU time spent in seconds.")?,
            resident: gauge("process_resident_memory_bytes", "Resident memory size in bytes.")?,
            virtual_size: gauge("process_virtual_memory_bytes", "Virtual memory size in bytes.")?,
            max_virtual_size: gauge(
                "process_virtual_memory_max_bytes",
                "Maximum amount of virtual memory available in bytes.",
            )?,
            start: gauge(
                "process_start_time_seconds",
                "Start time of the process since unix epoch in seconds.",
            )?,
            open_files: gauge("process_open_fds", "Number of open file descriptors.")?,
            max_files: gauge("process_max_fds", "Maximum number of open file descriptors.")?,
            received: gauge(
                "process_network_receive_bytes_total",
                "Number of bytes received by the process over the network.",
            )?,
            sent: gauge(
                "process_network_transmit_bytes_total",
                "Number of bytes sent by the process over the network.",
            )?,
        };
        collector.info.set(1.0);
        let started = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
        collector.start.set(started.map_or(0.0, |time| time.as_secs_f64()));
        Ok(collector)
    }

    fn gauges(&self) -> [&Gauge; 13] {
        [
            &self.info,
            &self.allocated,
            &self.tasks,
            &self.threads,
            &self.cpu,
            &self.resident,
            &self.virtual_size,
            &self.max_virtual_size,
            &self.start,
            &self.open_files,
            &self.max_files,
            &self.received,
            &self.sent,
        ]
    }

    fn refresh(&self) {
        if let Ok(status) = fs::read_to_string("/proc/self/status") {
            let kibibytes = |name: &str| number_after(&status, name) * 1024.0;
            self.allocated.set(kibibytes("RssAnon:"));
            self.resident.set(kibibytes("VmRSS:"));
            self.virtual_size.set(kibibytes("VmSize:"));
            self.threads.set(number_after(&status, "Threads:"));
        }
        if let Ok(stat) = fs::read_to_string("/proc/self/stat") {
            self.cpu.set(cpu_ticks(&stat) / TICKS);
        }
        if let Ok(limits) = fs::read_to_string("/proc/self/limits") {
            self.max_files.set(number_after(&limits, "Max open files"));
            self.max_virtual_size.set(match number_after(&limits, "Max address space") {
                0.0 => u64::MAX as f64,
                limit => limit,
            });
        }
        if let Ok(table) = fs::read_to_string("/proc/self/net/netstat") {
            self.received.set(counter_of(&table, "IpExt:", "InOctets"));
            self.sent.set(counter_of(&table, "IpExt:", "OutOctets"));
        }
        if let Ok(runtime) = tokio::runtime::Handle::try_current() {
            self.tasks.set(runtime.metrics().num_alive_tasks() as f64);
        }
        if let Ok(files) = fs::read_dir("/proc/self/fd") {
            self.open_files.set(files.count() as f64);
        }
    }
}

impl Collector for ProcessCollector {
    fn desc(&self) -> Vec<&Desc> {
        self.gauges().into_iter().flat_map(Collector::desc).collect()
    }

    fn collect(&self) -> Vec<MetricFamily> {
        self.refresh();
        let mut families: Vec<MetricFamily> =
            self.gauges().into_iter().flat_map(Collector::collect).collect();
        for family in &mut families {
            if family.name().ends_with("_total") {
                to_counter(family);
            }
        }
        families
    }
}

fn to_counter(family: &mut MetricFamily) {
    for metric in family.mut_metric() {
        let mut counter = prometheus::proto::Counter::default();
        counter.set_value(metric.get_gauge().get_value());
        metric.set_counter(counter);
    }
    family.set_field_type(prometheus::proto::MetricType::COUNTER);
}

/// The first number after a name in one of proc's tables, 0 if there is none.
fn number_after(table: &str, name: &str) -> f64 {
    table
        .lines()
        .find_map(|line| line.strip_prefix(name))
        .and_then(|rest| rest.split_whitespace().next())
        .and_then(|number| number.parse().ok())
        .unwrap_or(0.0)
}

/// A counter of a table whose rows come in pairs: names, then numbers.
fn counter_of(table: &str, row: &str, name: &str) -> f64 {
    let mut rows = table.lines().filter_map(|line| line.strip_prefix(row)).map(str::split_whitespace);
    let (Some(mut names), Some(mut numbers)) = (rows.next(), rows.next()) else {
        return 0.0;
    };
    let position = names.position(|other| other == name);
    position.and_then(|at| numbers.nth(at)).and_then(|number| number.parse().ok()).unwrap_or(0.0)
}

/// User and system time from `/proc/self/stat`: fields 14 and 15, counted from the pid; the second
/// field is a name that may contain anything.
fn cpu_ticks(stat: &str) -> f64 {
    let after_name = stat.rsplit_once(')').map_or("", |(_, rest)| rest);
    after_name.split_whitespace().skip(11).take(2).filter_map(|field| field.parse::<f64>().ok()).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_the_tables_of_proc() {
        let status = "Name:\tx\nVmRSS:\t  1234 kB\nThreads:\t7\n";
        assert_eq!(number_after(status, "VmRSS:"), 1234.0);
        assert_eq!(number_after(status, "Threads:"), 7.0);
        assert_eq!(number_after(status, "Absent:"), 0.0);
        let stat = "1 (a ) b) S 1 2 3 4 5 6 7 8 9 10 150 50 0 0 20 0 1 0 5 6";
        assert_eq!(cpu_ticks(stat), 200.0);
        let netstat = "TcpExt: A\nTcpExt: 9\nIpExt: InNoRoutes InOctets OutOctets\nIpExt: 0 11 22\n";
        assert_eq!(counter_of(netstat, "IpExt:", "InOctets"), 11.0);
        assert_eq!(counter_of(netstat, "IpExt:", "OutOctets"), 22.0);
        assert_eq!(counter_of(netstat, "IpExt:", "Absent"), 0.0);
    }
}
