//! Bad requests, bad engines, and clients that go.

use std::time::Duration;

use sealstone_protocol::{Failure, Finish, Order, Report, RequestId};

use super::*;

const CHAT: &str = "/v1/chat/completions";
const TEXT: &str = "/v1/completions";
const EMBED: &str = "/v1/embeddings";

/// Status, code and param of an error.
async fn error(response: Response<Body>) -> (u16, String, Option<String>) {
    let status = response.status().as_u16();
    let body = value(response).await;
    let error = &body["error"];
    assert!(error["message"].is_string() && error["type"].is_string(), "{body}");
    assert_eq!((body.as_object().unwrap().len(), error.as_object().unwrap().len()), (1, 4), "{body}");
    (status, error["code"].as_str().unwrap().to_owned(), error["param"].as_str().map(str::to_owned))
}

#[test]
fn fields_that_are_wrong_are_named() {
    run(async {
        let (api, _mock) = started(engine::Limits::DEFAULT).await;
        let text = json!({"model": "alpha", "prompt": "p"});
        let embed = json!({"model": "alpha", "input": "p"});
        let one = |message: Value| json!({"messages": [message]});
        let format = |format: Value| json!({"response_format": format});
        let table: Vec<(&str, Value, Value, &str, &str)> = vec![
            (CHAT, hello(), json!({"model": null}), "missing_parameter", "model"),
            (CHAT, hello(), json!({"model": 1}), "invalid_type", "model"),
            (CHAT, hello(), json!({"messages": null}), "missing_parameter", "messages"),
            (CHAT, hello(), json!({"messages": "hi"}), "invalid_type", "messages"),
            (CHAT, hello(), json!({"messages": []}), "invalid_type", "messages"),
            (CHAT, hello(), json!({"messages": vec![json!({"role": "user", "content": ""}); 2049]}), "invalid_type", "messages"),
            (CHAT, hello(), one(json!("hi")), "invalid_type", "messages[0]"),
            (CHAT, hello(), one(json!({"content": "x"})), "missing_parameter", "messages[0].role"),
            (CHAT, hello(), one(json!({"role": "tool", "content": "x"})), "invalid_type", "messages[0].role"),
            (CHAT, hello(), one(json!({"role": "user"})), "missing_parameter", "messages[0].content"),
            (CHAT, hello(), one(json!({"role": "user", "content": 1})), "invalid_type", "messages[0].content"),
            (
                CHAT,
                hello(),
                one(json!({"role": "user", "content": [{"type": "image_url"}]})),
                "unsupported_content",
                "messages[0].content[0].type",
            ),
            (
                CHAT,
                hello(),
                one(json!({"role": "user", "content": "x", "tool_calls": [{}]})),
                "unsupported_parameter",
                "messages[0].tool_calls",
            ),
            (CHAT, hello(), one(json!({"role": "user", "content": "x", "mood": 1})), "unknown_parameter", "messages[0].mood"),
            (CHAT, hello(), json!({"temperature": "hot"}), "invalid_type", "temperature"),
            (CHAT, hello(), json!({"temperature": 2.1}), "invalid_type", "temperature"),
            (CHAT, hello(), json!({"temperature": 1e300}), "invalid_type", "temperature"),
            (CHAT, hello(), json!({"top_p": -0.1}), "invalid_type", "top_p"),
            (CHAT, hello(), json!({"top_k": 1.5}), "invalid_type", "top_k"),
            (CHAT, hello(), json!({"min_p": 2}), "invalid_type", "min_p"),
            (CHAT, hello(), json!({"seed": "x"}), "invalid_type", "seed"),
            (CHAT, hello(), json!({"presence_penalty": 3}), "invalid_type", "presence_penalty"),
            (CHAT, hello(), json!({"frequency_penalty": [1]}), "invalid_type", "frequency_penalty"),
            (CHAT, hello(), json!({"logit_bias": {"x": 1}}), "invalid_type", "logit_bias"),
            (CHAT, hello(), json!({"logit_bias": {"1": 101}}), "invalid_type", "logit_bias"),
            (CHAT, hello(), json!({"max_tokens": 0}), "invalid_type", "max_tokens"),
            (CHAT, hello(), json!({"max_completion_tokens": -1}), "invalid_type", "max_completion_tokens"),
            (CHAT, hello(), json!({"stop": 1}), "invalid_type", "stop"),
            (CHAT, hello(), json!({"stop": [""]}), "invalid_type", "stop"),
            (CHAT, hello(), json!({"stop": vec!["x"; 17]}), "invalid_type", "stop"),
            (CHAT, hello(), json!({"n": 2}), "unsupported_parameter", "n"),
            (CHAT, hello(), json!({"stream": "yes"}), "invalid_type", "stream"),
            (CHAT, hello(), json!({"stream_options": {}}), "invalid_value", "stream_options"),
            (
                CHAT,
                hello(),
                json!({"stream": true, "stream_options": {"include": 1}}),
                "unknown_parameter",
                "stream_options.include",
            ),
            (CHAT, hello(), json!({"top_logprobs": 3}), "invalid_value", "top_logprobs"),
            (CHAT, hello(), json!({"logprobs": true, "top_logprobs": 21}), "invalid_type", "top_logprobs"),
            (CHAT, hello(), format(json!("json")), "invalid_type", "response_format"),
            (CHAT, hello(), format(json!({"type": "xml"})), "invalid_type", "response_format.type"),
            (CHAT, hello(), format(json!({"type": "json_schema"})), "missing_parameter", "response_format.json_schema"),
            (
                CHAT,
                hello(),
                format(json!({"type": "json_schema", "json_schema": {"schema": 1}})),
                "invalid_type",
                "response_format.json_schema.schema",
            ),
            (CHAT, hello(), json!({"tools": [{"type": "function"}]}), "unsupported_parameter", "tools"),
            (CHAT, hello(), json!({"reasoning_effort": "high"}), "unknown_parameter", "reasoning_effort"),
            (TEXT, text.clone(), json!({"prompt": null}), "missing_parameter", "prompt"),
            (TEXT, text.clone(), json!({"prompt": {"a": 1}}), "invalid_type", "prompt"),
            (TEXT, text.clone(), json!({"prompt": [1, "x"]}), "invalid_type", "prompt"),
            (TEXT, text.clone(), json!({"prompt": [-1]}), "invalid_type", "prompt"),
            (TEXT, text.clone(), json!({"prompt": []}), "invalid_value", "prompt"),
            (TEXT, text.clone(), json!({"prompt": ["a", "b"]}), "invalid_value", "prompt"),
            (TEXT, text.clone(), json!({"logprobs": true}), "invalid_type", "logprobs"),
            (TEXT, text.clone(), json!({"echo": true}), "unsupported_parameter", "echo"),
            (TEXT, text, json!({"messages": []}), "unknown_parameter", "messages"),
            (EMBED, embed.clone(), json!({"input": [["a"]]}), "invalid_type", "input"),
            (EMBED, embed.clone(), json!({"encoding_format": "hex"}), "invalid_type", "encoding_format"),
            (EMBED, embed.clone(), json!({"dimensions": 4}), "invalid_value", "dimensions"),
            (EMBED, embed, json!({"stream": true}), "unknown_parameter", "stream"),
        ];
        for (path, good, bad, code, param) in table {
            let got = error(post(&api, path, &with(good, bad.clone())).await).await;
            assert_eq!(got, (400, code.into(), Some(param.into())), "{bad}");
        }
    });
}

#[test]
fn bodies_paths_and_models() {
    run(async {
        let (api, _mock) = started(engine::Limits::DEFAULT).await;
        for body in ["", "{", "[]", "nul", "{\"model\":\"\\ud800\"}", &"[".repeat(100_000)] {
            let got = error(send(&api, Method::POST, CHAT, body.as_bytes()).await.unwrap()).await;
            assert_eq!(got, (400, "invalid_json".into(), None));
        }
        let large = vec![b' '; Limits::DEFAULT.body + 1];
        assert_eq!(error(send(&api, Method::POST, CHAT, &large).await.unwrap()).await.0, 413);
        let long = json!({"model": "alpha", "messages": [{"role": "user", "content": "x".repeat((1 << 20) + 1)}]});
        let name = json!({"model": "alpha", "messages": [{"role": "user", "content": "a", "name": "x".repeat(1025)}]});
        let refused = (400, "invalid_type".into(), Some("messages[0].name".into()));
        assert_eq!(error(post(&api, CHAT, &name).await).await, refused);
        assert_eq!(error(post(&api, CHAT, &long).await).await, (400, "context_length_exceeded".into(), Some("messages".into())));
        let unknown = with(hello(), json!({"model": "gamma"}));
        assert_eq!(error(post(&api, CHAT, &unknown).await).await, (404, "model_not_found".into(), Some("model".into())));
        let gone = with(hello(), json!({"model": "beta"}));
        assert_eq!(error(post(&api, CHAT, &gone).await).await, (503, "model_unavailable".into(), None));
        assert_eq!(error(send(&api, Method::GET, "/v1/models/gamma", b"").await.unwrap()).await.0, 404);
        for (method, path, allow) in [
            (Method::GET, CHAT, "POST"),
            (Method::POST, "/v1/models", "GET, HEAD"),
            (Method::DELETE, "/v1/models/alpha", "GET, HEAD"),
        ] {
            let response = send(&api, method, path, b"").await.unwrap();
            assert_eq!(response.headers()["allow"], allow);
            assert_eq!(error(response).await.0, 405);
        }
    });
}

#[test]
fn what_the_engine_refuses() {
    run(async {
        let (api, mut mock) = started(engine::Limits::DEFAULT).await;
        let table = [
            (Failure::TooLong, 400, "context_length_exceeded", Some("messages")),
            (Failure::Empty, 400, "empty_input", Some("messages")),
            (Failure::Schema, 400, "invalid_json_schema", Some("response_format")),
            (Failure::Unsupported, 400, "unsupported_by_model", Some("model")),
            (Failure::NoTemplate, 400, "no_chat_template", Some("model")),
            (Failure::TemplateRefused, 400, "chat_template", Some("messages")),
            (Failure::TemplateFaulty, 400, "chat_template_faulty", Some("model")),
            (Failure::TemplateBounds, 400, "chat_template_bounds", Some("messages")),
            (Failure::Busy, 429, "queue_full", None),
            (Failure::Internal, 500, "internal_error", None),
            (Failure::Cancelled, 500, "internal_error", None),
        ];
        let engine = tokio::spawn(async move {
            for (failure, ..) in [table, table].concat() {
                let id = mock.generate().await.id;
                mock.say(Report::Failed { id, failure }).await;
            }
            mock
        });
        for stream in [false, true] {
            for (failure, status, code, param) in table {
                let got = error(post(&api, CHAT, &with(hello(), json!({"stream": stream}))).await).await;
                assert_eq!(got, (status, code.into(), param.map(str::to_owned)), "{failure:?}");
            }
        }
        drop(engine.await);
    });
}

#[test]
fn a_client_that_goes_cancels() {
    run(async {
        let (api, mut mock) = started(engine::Limits { requests: 1, ..engine::Limits::DEFAULT }).await;
        // In the middle of a stream.
        let request = json!({"model": "alpha", "prompt": "p", "stream": true});
        let engine = tokio::spawn(async move {
            let id = mock.generate().await.id;
            mock.token(id, b"x").await;
            assert_eq!(mock.order().await, Some(Order::Cancel(id)));
            (id, mock)
        });
        let response = post(&api, TEXT, &request).await;
        assert_eq!(response.status(), 200);
        drop(response);
        let (id, mut mock) = engine.await.unwrap();
        // The engine hasn't ended it yet, so its place is taken.
        let response = post(&api, TEXT, &request).await;
        assert_eq!(response.headers()["retry-after"], "1");
        assert_eq!(error(response).await, (429, "queue_full".into(), None));
        mock.token(id, b"late").await;
        mock.done(id, b"", Finish::Cancelled).await;
        // Before the first token.
        tokio::time::sleep(Duration::from_millis(50)).await;
        let waiting = tokio::time::timeout(Duration::from_millis(200), post(&api, TEXT, &request)).await;
        assert!(waiting.is_err(), "no answer");
        let id = mock.generate().await.id;
        assert_eq!(mock.order().await, Some(Order::Cancel(id)));
    });
}

#[test]
fn the_queue_is_bounded() {
    run(async {
        let (api, mut mock) = started(engine::Limits { requests: 3, ..engine::Limits::DEFAULT }).await;
        let api = std::sync::Arc::new(api);
        let ask = || {
            let api = std::sync::Arc::clone(&api);
            tokio::spawn(async move { post(&api, CHAT, &hello()).await.status().as_u16() })
        };
        let asked = [ask(), ask(), ask()];
        let mut ids = Vec::new();
        for _ in 0..3 {
            ids.push(mock.generate().await.id);
        }
        assert_eq!(ask().await.unwrap(), 429);
        for id in ids {
            mock.done(id, b"x", Finish::End).await;
        }
        for one in asked {
            assert_eq!(one.await.unwrap(), 200);
        }
    });
}

#[test]
fn an_engines_end_is_its_requests_end() {
    run(async {
        let (api, mut mock) = started(engine::Limits::DEFAULT).await;
        let api = std::sync::Arc::new(api);
        let (other, waiting) = (std::sync::Arc::clone(&api), hello());
        let waiting = tokio::spawn(async move { error(post(&other, CHAT, &waiting).await).await });
        mock.generate().await;
        let engine = tokio::spawn(async move {
            let id = mock.generate().await.id;
            mock.token(id, b"some").await;
            tokio::time::sleep(Duration::from_millis(100)).await;
        });
        let response = post(&api, CHAT, &with(hello(), json!({"stream": true}))).await;
        let events = events(&text(response).await);
        assert_eq!(events[0]["choices"][0]["delta"]["content"], "some");
        assert_eq!(events.last().unwrap()["error"]["code"], "model_unavailable");
        assert_eq!(waiting.await.unwrap(), (503, "model_unavailable".into(), None));
        assert_eq!(error(post(&api, CHAT, &hello()).await).await, (503, "model_unavailable".into(), None));
        assert_eq!(api.state(0), "unavailable");
        engine.await.unwrap();
    });
}

#[test]
fn engines_that_break_the_protocol_are_given_up() {
    run(async {
        let nonsense: [fn() -> Vec<Report>; 4] = [
            || vec![Report::Failed { id: RequestId(1), failure: Failure::Busy }],
            || vec![Report::Hello(Box::new(facts())), Report::Hello(Box::new(facts()))],
            || vec![Report::Hello(Box::new(facts())), Report::Failed { id: RequestId(99), failure: Failure::Busy }],
            || vec![Report::Hello(Box::new(Facts { name: "beta".into(), ..facts() }))],
        ];
        for (n, reports) in nonsense.iter().enumerate() {
            let (client, mut mock) = silent(engine::Limits::DEFAULT);
            let api = api(client);
            assert_eq!(error(post(&api, CHAT, &hello()).await).await, (503, "model_loading".into(), None));
            for report in reports() {
                mock.say(report).await;
            }
            assert_eq!(mock.order().await, None, "{n}: its socket is closed");
            assert_eq!(api.state(0), "unavailable", "{n}");
        }
        let (client, mut mock) = silent(engine::Limits::DEFAULT);
        mock.write(&[0xff; 64]).await;
        assert_eq!(mock.order().await, None);
        assert!(matches!(client.state(), State::Gone));
    });
}

#[test]
fn time_and_slowness_end_a_request() {
    run(async {
        let (api, mut mock) =
            started(engine::Limits { time: Duration::from_millis(100), reports: 8, ..engine::Limits::DEFAULT }).await;
        let got = error(post(&api, CHAT, &hello()).await).await;
        assert_eq!(got, (503, "timeout".into(), None));
        let id = mock.generate().await.id;
        assert_eq!(mock.order().await, Some(Order::Cancel(id)));
        let (api, mut mock) = started(engine::Limits { reports: 8, ..engine::Limits::DEFAULT }).await;
        let engine = tokio::spawn(async move {
            let id = mock.generate().await.id;
            for _ in 0..50 {
                mock.token(id, b"x").await;
            }
            assert_eq!(mock.order().await, Some(Order::Cancel(id)));
            mock.done(id, b"", Finish::Cancelled).await;
            mock
        });
        let response = post(&api, TEXT, &json!({"model": "alpha", "prompt": "p", "stream": true})).await;
        // Taken only after the engine has gone far ahead.
        let _mock = engine.await.unwrap();
        let events = events(&text(response).await);
        assert_eq!(events.last().unwrap()["error"]["code"], "client_too_slow");
    });
}

#[test]
fn bodies_share_their_room_until_the_engine_is_done() {
    run(async {
        let (client, mut mock) = silent(engine::Limits::DEFAULT);
        mock.hello(facts()).await;
        until(|| matches!(client.state(), State::Ready(_))).await;
        let measured = MeasuredConfig::parse(CONFIG.into()).unwrap();
        let body = hello().to_string();
        let bodies = body.len() * 3 / 2;
        let api = std::sync::Arc::new(Api::new(&measured, vec![client], Limits { bodies, ..Limits::DEFAULT }));
        let other = std::sync::Arc::clone(&api);
        let first = tokio::spawn(async move { post(&other, CHAT, &hello()).await.status().as_u16() });
        let id = mock.generate().await.id;
        assert_eq!(error(post(&api, CHAT, &hello()).await).await, (429, "queue_full".into(), None));
        mock.done(id, b"x", Finish::End).await;
        assert_eq!(first.await.unwrap(), 200);
        let waiting = tokio::time::timeout(Duration::from_millis(100), post(&api, CHAT, &hello())).await;
        assert!(waiting.is_err(), "it is with the engine");
    });
}

#[test]
fn no_body_makes_a_parser_panic() {
    type Parse = fn(&[u8]) -> bool;
    let chat: Parse = |body| super::super::chat::Chat::parse(body).is_ok();
    let text: Parse = |body| super::super::completions::Completion::parse(body).is_ok();
    let embed: Parse = |body| super::super::embeddings::Embeddings::parse(body).is_ok();
    let shared = json!({
        "model": "alpha", "logit_bias": {"1": -2.5}, "stop": ["x"], "seed": i64::MIN, "top_k": 3, "max_tokens": 1,
        "temperature": 0.5, "stream": true, "stream_options": {"include_usage": true},
        "response_format": {"type": "json_schema", "json_schema": {"schema": {"type": "object"}}},
    });
    let messages =
        json!([{"role": "user", "content": [{"type": "text", "text": "a\u{fdd0}🦭"}]}, {"role": "user", "content": "b"}]);
    let table = [
        (with(shared.clone(), json!({"messages": messages})), chat),
        (with(shared, json!({"prompt": [1, 2], "logprobs": 2})), text),
        (json!({"model": "alpha", "input": ["a", [1]], "encoding_format": "base64", "dimensions": 3}), embed),
    ];
    for (good, parse) in table {
        let good = good.to_string().into_bytes();
        assert!(parse(&good));
        let accepted = (0..5_000).zip(mutations(&good)).filter(|(_, body)| parse(body)).count();
        assert!((10..4_990).contains(&accepted), "{accepted} accepted: the changes test nothing");
    }
}

/// `good` with a few bytes changed, differently each time.
fn mutations(good: &[u8]) -> impl Iterator<Item = Vec<u8>> {
    // A fixed sequence (xorshift), so that a failure comes again.
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    let mut random = move |below: usize| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        usize::try_from(state % u64::try_from(below).unwrap()).unwrap()
    };
    let spice = br#"{}[]",:0-9e.nulltruefalse\u0"#;
    std::iter::repeat_with(move || {
        let mut body = good.to_vec();
        for _ in 0..=random(3) {
            let at = random(body.len());
            match random(4) {
                0 => body[at] = spice[random(spice.len())],
                1 => drop(body.remove(at)),
                2 => body.insert(at, spice[random(spice.len())]),
                _ => {
                    let end = (at + random(12)).min(body.len());
                    drop(body.drain(at..end));
                }
            }
        }
        body
    })
}
