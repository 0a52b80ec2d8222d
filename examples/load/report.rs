//! The report in markdown, and which budgets are met.

use std::{fmt::Write as _, fs, io, path::Path};

use super::in_process::InProcess;

const BEGIN_SUMMARY: &str = "<!-- begin: four rows by examples/load -->";
const END_SUMMARY: &str = "<!-- end: four rows by examples/load -->";
const BEGIN: &str = "<!-- begin: written by examples/load -->";
const END: &str = "<!-- end: written by examples/load -->";

/// What one case asks.
pub(crate) struct Case {
    pub(crate) function: &'static str,
    pub(crate) mode: &'static str,
    pub(crate) method: &'static str,
    pub(crate) path: String,
    pub(crate) request: String,
}

/// Medians over the rounds. Times in microseconds.
pub(crate) struct Figures {
    pub(crate) per_second: f64,
    pub(crate) p50: f64,
    pub(crate) p99: f64,
    pub(crate) p999: f64,
    pub(crate) cpu: f64,
}

pub(crate) struct Load {
    pub(crate) function: &'static str,
    pub(crate) mode: &'static str,
    pub(crate) connections: usize,
    /// The handler's, in parts of the bare server's.
    pub(crate) throughput: f64,
    pub(crate) p99: f64,
    pub(crate) cpu: f64,
    pub(crate) bare: Figures,
    pub(crate) handler: Figures,
}

/// In milliseconds from the start of the process.
pub(crate) struct Start {
    pub(crate) name: &'static str,
    pub(crate) ready: f64,
    pub(crate) answered: f64,
}

/// In MB.
pub(crate) struct Memory {
    pub(crate) name: &'static str,
    pub(crate) idle: f64,
    pub(crate) loaded: f64,
    pub(crate) full: f64,
    pub(crate) later: f64,
}

pub(crate) struct Report {
    pub(crate) rounds: usize,
    pub(crate) starts: Vec<Start>,
    pub(crate) memory: Vec<Memory>,
    pub(crate) loads: Vec<Load>,
    /// Of the handler and the bare server, in MB.
    pub(crate) size: (f64, f64),
    pub(crate) in_process: InProcess,
}

struct Budget {
    what: String,
    found: f64,
    limit: f64,
    is_met: bool,
}

impl Budget {
    fn at_least(what: impl Into<String>, found: f64, limit: f64) -> Self {
        Self {
            what: what.into(),
            found,
            limit,
            is_met: found >= limit,
        }
    }

    fn at_most(what: impl Into<String>, found: f64, limit: f64) -> Self {
        Self {
            what: what.into(),
            found,
            limit,
            is_met: found <= limit,
        }
    }
}

pub(crate) fn median(mut figures: Vec<f64>) -> f64 {
    figures.sort_by(f64::total_cmp);
    figures.get(figures.len() / 2).copied().unwrap_or(f64::NAN)
}

impl Report {
    fn budgets(&self) -> Vec<Budget> {
        let mut budgets = Vec::new();
        for load in self.loads.iter().filter(|load| load.connections == 64) {
            let least = match (load.mode, load.function) {
                ("envelope", _) => 0.5,
                (_, "secrets-metadata") => 0.85,
                _ => 0.9,
            };
            let what = format!("{}, {}, 64 connections", load.function, load.mode);
            budgets.push(Budget::at_least(
                format!("{what}: throughput, × bare"),
                load.throughput,
                least,
            ));
            if load.mode == "direct" {
                let what = |figure| format!("{what}: {figure}, × bare");
                budgets.push(Budget::at_most(what("p99"), load.p99, 1.3));
                budgets.push(Budget::at_most(what("CPU per request"), load.cpu, 1.3));
            }
        }
        if let Some((bare, handlers)) = self.starts.split_first() {
            for start in handlers {
                let what = format!("ready, × bare: {}", start.name);
                budgets.push(Budget::at_most(what, start.ready / bare.ready, 2.0));
            }
        }
        if let [bare, handler] = self.memory.as_slice() {
            budgets.push(Budget::at_most(
                "memory idle, × bare",
                handler.idle / bare.idle,
                2.5,
            ));
            budgets.push(Budget::at_most("memory idle, MB", handler.idle, 12.0));
            budgets.push(Budget::at_most(
                "memory with 1,000 cached secrets, MB",
                handler.full,
                16.0,
            ));
            let growth = handler.later - handler.full;
            budgets.push(Budget::at_most(
                "growth over 1,000,000 requests, MB",
                growth,
                0.5,
            ));
        }
        budgets.push(Budget::at_most("binary, MB", self.size.0, 8.0));
        let own = &self.in_process;
        budgets.push(Budget::at_most("cache hit in process, ns", own.hit, 200.0));
        budgets.push(Budget::at_most(
            "cache hit in process, allocations",
            own.hit_allocations,
            0.0,
        ));
        budgets
    }

    pub(crate) fn is_met(&self) -> bool {
        self.budgets().iter().all(|budget| budget.is_met)
    }

    pub(crate) fn markdown(&self) -> String {
        let mut text = String::new();
        // Writing to a string does not fail.
        let _ = self.tables(&mut text);
        text
    }

    fn tables(&self, text: &mut String) -> std::fmt::Result {
        writeln!(text, "| budget | limit | found | |")?;
        writeln!(text, "| --- | --: | --: | --- |")?;
        for Budget {
            what,
            found,
            limit,
            is_met,
        } in self.budgets()
        {
            let word = if is_met { "met" } else { "**not met**" };
            writeln!(text, "| {what} | {limit} | {found:.2} | {word} |")?;
        }
        writeln!(
            text,
            "\nBare axum / handler, medians of {} rounds; times in µs.\n",
            self.rounds
        )?;
        writeln!(
            text,
            "| function | mode | connections | requests/s | ratio | p50 | p99 | p99.9 | CPU per request |"
        )?;
        writeln!(
            text,
            "| --- | --- | --: | --: | --: | --: | --: | --: | --: |"
        )?;
        for load in &self.loads {
            let Load {
                function,
                mode,
                connections,
                throughput,
                bare,
                handler,
                ..
            } = load;
            write!(text, "| {function} | {mode} | {connections} ")?;
            write!(
                text,
                "| {:.0} / {:.0} | {throughput:.2} ",
                bare.per_second, handler.per_second
            )?;
            for (bare, handler) in [
                (bare.p50, handler.p50),
                (bare.p99, handler.p99),
                (bare.p999, handler.p999),
            ] {
                write!(text, "| {bare:.0} / {handler:.0} ")?;
            }
            writeln!(text, "| {:.1} / {:.1} |", bare.cpu, handler.cpu)?;
        }
        self.other_tables(text)
    }

    fn other_tables(&self, text: &mut String) -> std::fmt::Result {
        writeln!(
            text,
            "\nFrom the start of the process, medians of {} starts, in ms.\n",
            super::STARTS
        )?;
        writeln!(
            text,
            "| | first 200 on `GET /` | first answer of `config-check` |"
        )?;
        writeln!(text, "| --- | --: | --: |")?;
        for Start {
            name,
            ready,
            answered,
        } in &self.starts
        {
            writeln!(text, "| {name} | {ready:.1} | {answered:.1} |")?;
        }
        writeln!(text, "\nResident memory and size, in MB.\n")?;
        writeln!(
            text,
            "| | idle | after 100,000 requests | with 1,000 cached secrets | after 1,000,000 more requests | binary |"
        )?;
        writeln!(text, "| --- | --: | --: | --: | --: | --: |")?;
        let sizes = [self.size.1, self.size.0];
        for (
            Memory {
                name,
                idle,
                loaded,
                full,
                later,
            },
            size,
        ) in self.memory.iter().zip(sizes)
        {
            writeln!(
                text,
                "| {name} | {idle:.1} | {loaded:.1} | {full:.1} | {later:.1} | {size:.2} |"
            )?;
        }
        writeln!(text, "\nIn process, without HTTP.\n")?;
        writeln!(text, "| | time | allocations |")?;
        writeln!(text, "| --- | --: | --: |")?;
        let own = &self.in_process;
        writeln!(
            text,
            "| cache hit | {:.0} ns | {:.0} |",
            own.hit, own.hit_allocations
        )?;
        writeln!(
            text,
            "| parsing a reference | {:.0} ns | {:.0} |",
            own.parse, own.parse_allocations
        )?;
        for (name, time, allocations) in &own.requests {
            writeln!(text, "| {name} | {time:.0} ns | {allocations:.0} |")?;
        }
        Ok(())
    }

    /// What a user pays for, in four rows.
    fn summary(&self) -> String {
        let ready = |start: Option<&Start>| start.map_or(f64::NAN, |start| start.ready);
        let start = (ready(self.starts.get(2)), ready(self.starts.first()));
        let full = |memory: Option<&Memory>| memory.map_or(f64::NAN, |memory| memory.full);
        let memory = (full(self.memory.get(1)), full(self.memory.first()));
        let is_hit = |load: &&Load| {
            (load.function, load.mode, load.connections) == ("secrets-metadata", "direct", 64)
        };
        let load = self.loads.iter().find(is_hit);
        let requests = load.map_or((f64::NAN, f64::NAN), |load| {
            (load.handler.per_second, load.bare.per_second)
        });
        format!(
            "| | this handler | a bare axum server |\n\
             | --- | --: | --: |\n\
             | start to the first answer, ms | {:.1} | {:.1} |\n\
             | memory with 1,000 secrets in the cache, MB | {:.1} | {:.1} |\n\
             | size of the program, MB | {:.1} | {:.1} |\n\
             | answers from the cache in a second, on two cores | {:.0} | {:.0} |\n",
            start.0, start.1, memory.0, memory.1, self.size.0, self.size.1, requests.0, requests.1,
        )
    }

    /// Puts the report between its marks in `docs/performance.md`.
    pub(crate) fn write(&self) -> io::Result<()> {
        let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/performance.md");
        let text = fs::read_to_string(&file)?;
        let no_marks = || io::Error::other("has no marks for the report");
        let (before, rest) = text.split_once(BEGIN).ok_or_else(no_marks)?;
        let (_, after) = rest.split_once(END).ok_or_else(no_marks)?;
        let report = self.markdown();
        let text = format!("{before}{BEGIN}\n{report}{END}{after}");
        let (before, rest) = text.split_once(BEGIN_SUMMARY).ok_or_else(no_marks)?;
        let (_, after) = rest.split_once(END_SUMMARY).ok_or_else(no_marks)?;
        let summary = self.summary();
        fs::write(
            file,
            format!("{before}{BEGIN_SUMMARY}\n{summary}{END_SUMMARY}{after}"),
        )
    }
}
