//! A table in Markdown, printed row by row while the bench runs.

/// Numbers of up to this many characters are aligned.
const WIDTH: usize = 8;

/// A table that is being printed.
pub struct Table {
    widths: Vec<usize>,
}

impl Table {
    /// Prints the head. The first column is text and has a width, the others are numbers.
    pub fn begin(title: &str, first: usize, columns: &[&str]) -> Self {
        println!("\n### {title}\n");
        let width = |(nth, name): (usize, &&str)| name.len().max(if nth == 0 { first } else { WIDTH });
        let widths: Vec<usize> = columns.iter().enumerate().map(width).collect();
        let table = Self { widths };
        table.row(&columns.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>());
        let rules: Vec<String> = table
            .widths
            .iter()
            .enumerate()
            .map(|(nth, width)| if nth == 0 { "-".repeat(*width) } else { format!("{}:", "-".repeat(width - 1)) })
            .collect();
        table.row(&rules);
        table
    }

    /// Prints one row.
    pub fn row(&self, cells: &[String]) {
        let padded: Vec<String> = cells
            .iter()
            .zip(&self.widths)
            .enumerate()
            .map(|(nth, (cell, width))| if nth == 0 { format!("{cell:<width$}") } else { format!("{cell:>width$}") })
            .collect();
        println!("| {} |", padded.join(" | "));
    }
}
