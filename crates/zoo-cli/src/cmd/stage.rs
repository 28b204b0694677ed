//! `zoo stage`: makes a model ready for a framework, and prints what that opens, one path a line.

use serde_json::Value;

use crate::args::Stage;
use crate::cmd::{App, blocking, staged_json};
use crate::exit::{Exit, Result};
use crate::hubs::{self, Wishes};

pub(super) async fn run(args: &Stage, app: &App) -> Result<Exit> {
    let wishes = Wishes::new(args.to.clone(), &args.how, &args.repository);
    let (out, link) = (args.out.clone(), args.link);
    let staged = match hubs::as_path(&args.model)? {
        Some(path) => {
            vec![blocking(move || hubs::stage_local(&path, &wishes, out.as_deref(), link)).await?]
        }
        None => {
            let hubs = app.hubs()?;
            let name = hubs.name(&args.model)?;
            hubs.allow(&name, &wishes).await?;
            let model = match hubs.find_for(&name, &wishes).await? {
                Some(model) => model,
                None => hubs.pull(&name, &wishes).await?,
            };
            match out {
                Some(out) => vec![blocking(move || model.export(&wishes, &out, link)).await?],
                None => model.stage(&wishes).await?,
            }
        }
    };
    if app.out.is_json() {
        app.out.json(&staged_json(&staged))?;
    } else {
        for staged in &staged {
            app.out.path(&staged.path())?;
            // Whoever did not name the network wants to know why it is this one.
            let note = |name: &str| staged.staged().other.get(name).and_then(Value::as_str);
            if let (Some(network), Some(evidence), None) = (note("network"), note("evidence"), &args.how.arch)
            {
                app.out.remark(&format!("{network}: {evidence}"));
            }
        }
    }
    Ok(Exit::Ok)
}
