//! `leasehold webhook set`.

use super::named::existing;
use crate::{
    context::Context,
    failure::Failure,
    output::{self, webhooks},
};
use leasehold_client::{Client, NewWebhook, WebhookChange, WebhookMade, check_webhook_queue};
use leasehold_core::{Kind, State};
use leasehold_webhooks::{Networks, Secret, Target};
use serde_json::json;
use std::{path::PathBuf, process::ExitCode};

/// The states that a webhook tells of.
const STATES: [&str; 3] = ["succeeded", "dead", "cancelled"];

/// Make a webhook, and print its secret; or change what is given of a webhook
///
/// A webhook that exists is enabled again, and its earlier failures are forgotten, unless --disable is given. Its secret stays: see
/// `leasehold webhook rotate`.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The id: 1 to 128 letters, digits and . _ : / -
    id: Kind,
    /// Where messages go: https://… or http://…; a new webhook needs it
    #[arg(long)]
    url: Option<String>,
    /// The queue of the jobs, or a pattern that ends in * [default: *]
    #[arg(long, value_name = "QUEUE", value_parser = queue)]
    queue: Option<String>,
    /// The kind of the jobs [default: every kind] (repeatable)
    #[arg(long = "kind", value_name = "KIND")]
    kinds: Vec<Kind>,
    /// Tell of jobs of every kind again
    #[arg(long, conflicts_with = "kinds")]
    every_kind: bool,
    /// The final state of the jobs [default: all three] (repeatable)
    #[arg(long = "state", value_name = "STATE", value_parser = STATES)]
    states: Vec<String>,
    /// A file with the secret of a new webhook: whsec_ and the base64 of 24 to 64 bytes [default: a new secret]
    #[arg(long, value_name = "FILE")]
    secret_file: Option<PathBuf>,
    /// Make no deliveries until the webhook is set again
    #[arg(long)]
    disable: bool,
}

fn queue(text: &str) -> Result<String, String> {
    check_webhook_queue(text).map(|()| text.to_owned()).map_err(|error| format!("{text:?} {error}"))
}

/// The networks that webhooks may reach although they are not public.
pub(crate) fn allowed_networks(context: &Context) -> Result<Networks, Failure> {
    let allowed = context.config.webhooks.allow_networks.as_deref().unwrap_or_default();
    allowed.parse().map_err(|error| Failure::usage(format!("webhooks.allow_networks: {error}")))
}

pub(crate) async fn run(args: Args, context: &Context) -> Result<ExitCode, Failure> {
    if let Some(url) = &args.url {
        Target::parse(url, &allowed_networks(context)?).map_err(|error| Failure::usage(error.to_string()))?;
    }
    let states: Vec<State> = args.states.iter().filter_map(|state| state.parse().ok()).collect();
    let change = WebhookChange {
        url: args.url.clone(),
        queue: args.queue.clone(),
        kinds: (args.every_kind || !args.kinds.is_empty()).then(|| args.kinds.clone()),
        states: (!states.is_empty()).then_some(states),
        enabled: Some(!args.disable),
    };
    let client = context.operator().await?;
    let is_there = client.webhook(&args.id).await.map_err(|error| context.failure(&error))?.is_some();
    if is_there && args.secret_file.is_some() {
        return Err(Failure::usage(format!(
            "the webhook {} has a secret; `leasehold webhook rotate` gives it a new one",
            args.id
        )));
    }
    let change_of = json!({
        "url": change.url, "queue": change.queue, "kinds": change.kinds, "states": change.states, "enabled": change.enabled,
    });
    if is_there {
        context.audit_operator(&client, "webhook.set", args.id.as_str(), change_of.clone()).await?;
    }
    if is_there && client.change_webhook(&args.id, &change).await.map_err(|error| context.failure(&error))? {
        return shown(&client, &args.id, None, context).await;
    }
    let url =
        args.url.ok_or_else(|| Failure::usage(format!("there is no webhook {}; a new one needs --url", args.id)))?;
    let secret = match &args.secret_file {
        Some(path) => {
            let text = std::fs::read_to_string(path)
                .map_err(|error| Failure::usage(format!("{}: {error}", path.display())))?;
            text.trim().parse().map_err(|error| Failure::usage(format!("{}: {error}", path.display())))?
        }
        None => Secret::generate(),
    };
    let secret = secret.reveal();
    let new = NewWebhook {
        id: args.id.clone(),
        url,
        queue: change.queue.clone().unwrap_or_else(|| "*".to_owned()),
        kinds: args.kinds,
        states: change.states.clone().unwrap_or_else(|| vec![State::Succeeded, State::Dead, State::Cancelled]),
        secret: secret.clone(),
    };
    context.audit_operator(&client, "webhook.set", args.id.as_str(), change_of).await?;
    match client.make_webhook(&new).await.map_err(|error| context.failure(&error))? {
        WebhookMade::Made => {}
        WebhookMade::Exists => {
            return Err(Failure::new(format!("somebody else has just made the webhook {}", args.id)));
        }
        WebhookMade::Full => return Err(Failure::new("there are as many webhooks as there may be: 1000")),
    }
    if args.disable {
        let change = WebhookChange { enabled: Some(false), ..WebhookChange::default() };
        client.change_webhook(&args.id, &change).await.map_err(|error| context.failure(&error))?;
    }
    shown(&client, &args.id, Some(secret), context).await
}

/// Prints the webhook, and its secret if it is new.
async fn shown(client: &Client, id: &Kind, secret: Option<String>, context: &Context) -> Result<ExitCode, Failure> {
    let webhook = existing(client, id, context).await?;
    match (&secret, context.json) {
        (Some(secret), true) => output::json(&json!({ "webhook": webhook, "secret": secret }))?,
        (None, true) => output::json(&json!({ "webhook": webhook }))?,
        (secret, false) => {
            output::text(&webhooks::card(&webhook))?;
            if let Some(secret) = secret {
                output::line(&format!("{:<12}  {secret}", "secret"))?;
                output::note("the secret is shown only now");
            }
        }
    }
    if webhook.disabled_at.is_none() && !webhook.active {
        output::note(
            "an open transaction of another session delays the webhook: a running `leasehold api` makes it active when it can",
        );
    }
    Ok(ExitCode::SUCCESS)
}
