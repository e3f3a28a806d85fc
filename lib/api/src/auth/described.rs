//! Tokens in the description of the interface: the scheme, the scope of each operation, and its errors.

use super::routes::needs;
use utoipa::openapi::{
    Components, OpenApi, Ref, RefOr, Response,
    content::ContentBuilder,
    path::{HttpMethod, Operation},
    security::{HttpAuthScheme, HttpBuilder, SecurityRequirement, SecurityScheme},
};

const SCHEME: &str = "token";
const ABOUT: &str =
    "A token of `leasehold token create`. A server without tokens listens on loopback addresses only, and needs none.";

/// Adds the scopes and the errors of tokens to each operation.
pub(crate) fn describe(api: &mut OpenApi) {
    let bearer = HttpBuilder::new().scheme(HttpAuthScheme::Bearer).description(Some(ABOUT)).build();
    api.components.get_or_insert_with(Components::new).add_security_scheme(SCHEME, SecurityScheme::Http(bearer));
    for (path, item) in &mut api.paths.paths {
        let operations = [
            (HttpMethod::Get, &mut item.get),
            (HttpMethod::Post, &mut item.post),
            (HttpMethod::Put, &mut item.put),
            (HttpMethod::Patch, &mut item.patch),
            (HttpMethod::Delete, &mut item.delete),
        ];
        for (method, operation) in operations {
            if let Some(operation) = operation {
                describe_one(name(&method), path, operation);
            }
        }
    }
}

const fn name(method: &HttpMethod) -> &'static str {
    match method {
        HttpMethod::Get => "GET",
        HttpMethod::Post => "POST",
        HttpMethod::Put => "PUT",
        HttpMethod::Patch => "PATCH",
        _ => "DELETE",
    }
}

fn describe_one(method: &str, path: &str, operation: &mut Operation) {
    let Some(scope) = needs(method, path).scope() else { return };
    let forbidden = format!("The token lacks the scope `{scope}`");
    operation.security = Some(vec![SecurityRequirement::new(SCHEME, [scope])]);
    for (status, description) in [
        ("401", "There are tokens, and the request has none that is valid"),
        ("403", forbidden.as_str()),
        ("429", "Too many requests: `Retry-After` says when to try again"),
    ] {
        operation.responses.responses.entry(status.to_owned()).or_insert_with(|| error(description));
    }
}

fn error(description: &str) -> RefOr<Response> {
    let content = ContentBuilder::new().schema(Some(Ref::from_schema_name("ErrorBody"))).build();
    let mut response = Response::new(description);
    response.content.insert("application/json".to_owned(), content);
    RefOr::T(response)
}
