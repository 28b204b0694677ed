//! The admin origin: what a person with `curl`, or a test in another language, changes while the mirror runs.
//!
//! ```text
//! GET    /               where everything is
//! GET    /log            every request so far, as JSON       DELETE /log      forgets them
//! GET    /faults         the rules in force                  DELETE /faults   removes them
//! POST   /faults         adds a rule: {"path": "mnist", "times": 1, "fault": {"kind": "cut-after", "bytes": 1000}}
//! PUT    /pace/{bytes}   bytes per second and connection; 0 is as fast as can be
//! ```

use hyper::{Method, StatusCode};
use serde_json::json;

use crate::faults::FaultRule;
use crate::hubs::Reply;
use crate::server::{Ask, Role, State, Via};

pub(crate) fn answer(state: &State, ask: &Ask) -> Reply {
    let parts: Vec<&str> = ask.parts.iter().map(String::as_str).collect();
    match (&ask.method, parts.as_slice()) {
        (&Method::GET, []) => {
            let places: serde_json::Map<String, serde_json::Value> = Role::ALL
                .into_iter()
                .filter_map(|role| {
                    Some((
                        serde_json::to_value(role).ok()?.as_str()?.to_owned(),
                        state.base(role, Via::Direct).into(),
                    ))
                })
                .collect();
            Reply::json(&places.into(), &[])
        }
        (&Method::GET, ["log"]) => Reply::json(&json!(state.log.entries()), &[]),
        (&Method::DELETE, ["log"]) => {
            state.log.clear();
            done()
        }
        (&Method::GET, ["faults"]) => Reply::json(&json!(*state.rules()), &[]),
        (&Method::DELETE, ["faults"]) => {
            state.rules().clear();
            done()
        }
        (&Method::POST, ["faults"]) => match serde_json::from_slice::<FaultRule>(&ask.body) {
            Ok(rule) => {
                state.rules().push(rule);
                done()
            }
            Err(error) => Reply::status(StatusCode::BAD_REQUEST, &error.to_string()),
        },
        (&Method::PUT, ["pace", bytes]) => match bytes.parse::<u64>() {
            Ok(bytes) => {
                state.set_pace(Some(bytes));
                done()
            }
            Err(error) => Reply::status(StatusCode::BAD_REQUEST, &error.to_string()),
        },
        _ => Reply::status(StatusCode::NOT_FOUND, "no such thing here; GET / lists what there is"),
    }
}

fn done() -> Reply {
    Reply::other(StatusCode::NO_CONTENT, "text/plain; charset=utf-8", String::new(), &[])
}
