//! `zoo list` and `zoo search`: what the hubs have, and which of it is stored.

use zoo_core::error::human;

use crate::args::{List, Search};
use crate::cmd::App;
use crate::exit::{Exit, Result};
use crate::hubs::Listed;
use crate::output::Grid;

pub(super) async fn all(args: &List, app: &App) -> Result<Exit> {
    let listed = app.hubs()?.list(args.hub.as_deref()).await?;
    print(&listed, app)
}

pub(super) async fn search(args: &Search, app: &App) -> Result<Exit> {
    let words = args.words.join(" ");
    let found = app.hubs()?.search(&words).await?;
    if found.is_empty() {
        app.out.remark(&format!("no name and no tags hold `{words}`"));
    }
    print(&found, app)
}

fn print(listed: &[Listed], app: &App) -> Result<Exit> {
    if app.out.is_json() {
        app.out.json(&listed)?;
    } else if !listed.is_empty() {
        app.out.table(&table(listed))?;
    }
    Ok(Exit::Ok)
}

fn table(listed: &[Listed]) -> Grid {
    let mut grid = Grid::new(["HANDLE", "OPSET", "SIZE", "TEST DATA", "STORED", "TAGS"]).right([1, 2]);
    let yes = |is: bool| if is { "yes" } else { "" }.to_owned();
    for line in listed {
        grid.row([
            line.handle.clone(),
            line.opset.map(|v| v.to_string()).unwrap_or_default(),
            line.bytes.or(line.about_bytes).map(human).unwrap_or_default(),
            yes(line.test_data),
            yes(line.stored),
            line.tags.join(", "),
        ]);
    }
    grid
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn models_are_a_table() {
        let listed = |handle: &str, opset, bytes, stored| Listed {
            handle: handle.into(),
            model: "M".into(),
            opset,
            bytes,
            tags: vec!["vision".into()],
            test_data: stored,
            stored,
            ..Listed::default()
        };
        let all =
            [listed("onnx:mnist-12", Some(12), Some(26_143), true), listed("onnx:b", None, None, false)];
        insta::assert_snapshot!(table(&all).draw(None), @r"
        HANDLE         OPSET      SIZE  TEST DATA  STORED  TAGS
        onnx:mnist-12     12  25.5 KiB  yes        yes     vision
        onnx:b                                             vision
        ");
    }
}
