//! `zoo pull`: fetches, proves, keeps and stages, and prints what a framework opens, one path a line.

use std::slice;

use crate::args::Pull;
use crate::cmd::{App, staged_json};
use crate::exit::{Exit, Result};
use crate::hubs::Wishes;

pub(super) async fn run(args: &Pull, app: &App) -> Result<Exit> {
    let hubs = app.hubs()?;
    let wishes = Wishes::new(args.to.into_iter().collect(), &args.how, &args.repository);
    let mut wanted = Vec::new();
    for text in &args.handles {
        let name = hubs.name(text)?;
        hubs.allow(&name, &wishes).await?;
        let here = hubs.settled(&name, &wishes).await?;
        // A wrong name should not come to light after hours of fetching the others.
        if here.is_none() && args.handles.len() > 1 && !hubs.offline() {
            hubs.about(&name).await?;
        }
        wanted.push((name, here));
    }
    let mut documents = Vec::new();
    for (name, here) in wanted {
        let model = match here {
            Some(model) => model,
            None => hubs.pull(&name, &wishes).await?,
        };
        for staged in model.stage(&wishes).await? {
            if app.out.is_json() {
                documents.push(staged_json(slice::from_ref(&staged)));
            } else {
                app.out.path(&staged.path())?;
            }
        }
    }
    if app.out.is_json() {
        app.out.json(&documents)?;
    }
    Ok(Exit::Ok)
}
