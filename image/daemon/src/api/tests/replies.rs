//! Good requests: what the engine gets, and what the client does.

use std::time::{Duration, Instant};

use sealstone_protocol::{Constraint, Embedding, Finish, Order, Prompt, Report, Salt};

use super::mock::prompt_text;
use super::*;

#[test]
fn models() {
    run(async {
        let (api, _mock) = started(engine::Limits::DEFAULT).await;
        let list = value(send(&api, Method::GET, "/v1/models", b"").await.unwrap()).await;
        let alpha = json!({"id": "alpha", "object": "model", "created": 0, "owned_by": "sealstone", "sealstone": {
            "state": "ready", "root": "00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff",
            "context": 512, "embedding_width": 3, "parameters": 1000}});
        let beta = json!({"id": "beta", "object": "model", "created": 0, "owned_by": "sealstone", "sealstone": {
            "state": "unavailable", "root": "ffeeddccbbaa99887766554433221100ffeeddccbbaa99887766554433221100",
            "context": null, "embedding_width": null, "parameters": null}});
        assert_eq!(list, json!({"object": "list", "data": [alpha, beta]}));
        assert_eq!(value(send(&api, Method::GET, "/v1/models/alpha", b"").await.unwrap()).await, alpha);
        assert!(send(&api, Method::GET, "/v1/other", b"").await.is_none(), "left to the front");
    });
}

#[test]
fn a_chat() {
    run(async {
        let (api, mut mock) = started(engine::Limits::DEFAULT).await;
        let play = async {
            let order = mock.generate().await;
            assert_eq!(prompt_text(&order.prompt), "User: {hello}\n");
            assert_eq!(order.salt, Salt([0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15]));
            assert_eq!((order.max_tokens, order.logprobs, order.stop.len()), (512, None, 0));
            assert_eq!((order.sampling.temperature, order.sampling.top_p), (1.0, 1.0));
            mock.token(order.id, b"Gr\xc3").await;
            mock.token(order.id, b"\xbc\xc3\x9fe").await;
            mock.done(order.id, b"!", Finish::Stop(0)).await;
        };
        let request = hello();
        let (response, ()) = tokio_join(post(&api, "/v1/chat/completions", &request), play).await;
        assert_eq!(response.status(), 200);
        assert_eq!(response.headers()["content-type"], "application/json");
        assert_eq!(
            scrubbed(value(response).await),
            json!({"object": "chat.completion", "model": "alpha",
                "choices": [{"index": 0, "message": {"role": "assistant", "content": "Grüße!", "refusal": null},
                    "logprobs": null, "finish_reason": "stop"}],
                "usage": {"prompt_tokens": 11, "completion_tokens": 3, "total_tokens": 14,
                    "prompt_tokens_details": {"cached_tokens": 5}}})
        );
    });
}

/// Both at once; tokio's own needs its macros.
async fn tokio_join<A, B>(a: impl Future<Output = A>, b: impl Future<Output = B>) -> (A, B) {
    let (mut a, mut b) = (Box::pin(a), Box::pin(b));
    let (mut left, mut right) = (None, None);
    std::future::poll_fn(move |cx| {
        use std::task::Poll;
        if left.is_none() {
            if let Poll::Ready(value) = a.as_mut().poll(cx) {
                left = Some(value);
            }
        }
        if right.is_none() {
            if let Poll::Ready(value) = b.as_mut().poll(cx) {
                right = Some(value);
            }
        }
        match (left.take(), right.take()) {
            (Some(a), Some(b)) => Poll::Ready((a, b)),
            (a, b) => {
                (left, right) = (a, b);
                Poll::Pending
            }
        }
    })
    .await
}

#[test]
fn every_field_reaches_the_engine() {
    run(async {
        let (api, mut mock) = started(engine::Limits::DEFAULT).await;
        let schema = json!({"type": "object", "properties": {"a": {"type": "integer"}}});
        let fields = json!({
            "messages": [
                {"role": "developer", "content": [{"type": "text", "text": "a"}, {"type": "text", "text": "b"}]},
                {"role": "assistant", "content": "c", "refusal": null, "annotations": [], "tool_calls": null},
                {"role": "user", "content": "<|end|>", "name": "n"}],
            "temperature": 0.25, "top_p": 0, "top_k": 40, "min_p": 0.05, "seed": 4_294_967_298_i64,
            "frequency_penalty": -0.5, "presence_penalty": 1.5, "repetition_penalty": 1.25,
            "logit_bias": {"12": -100, "13": 2.5}, "max_completion_tokens": 9, "max_tokens": 5,
            "stop": ["x", "yy"], "logprobs": true, "top_logprobs": 2, "n": 1, "user": "u", "store": false,
            "metadata": {"a": "b"}, "stream": false, "stream_options": null, "tools": [], "tool_choice": "none",
            "response_format": {"type": "json_schema", "json_schema": {"name": "s", "strict": true, "schema": schema}},
        });
        let play = async {
            let order = mock.generate().await;
            assert_eq!(prompt_text(&order.prompt), "System: {ab}\nAssistant: {c}\nUser(n): {<|end|>}\n");
            let sampling = &order.sampling;
            assert_eq!((sampling.temperature, sampling.top_k, sampling.min_p, sampling.seed), (0.25, 40, 0.05, 3));
            assert!(sampling.top_p > 0.0 && sampling.top_p < 1e-30);
            assert_eq!((sampling.frequency, sampling.presence, sampling.repetition), (-0.5, 1.5, 1.25));
            let biases: Vec<_> = sampling.biases.iter().map(|b| (b.token, b.bias)).collect();
            assert_eq!(biases, [(12, -100.0), (13, 2.5)]);
            assert_eq!((order.max_tokens, order.stop, order.logprobs), (9, vec!["x".to_owned(), "yy".to_owned()], Some(2)));
            assert_eq!(order.constraint, Constraint::JsonSchema(schema.to_string()));
            mock.likely(order.id, "é".as_bytes(), -0.5).await;
            mock.done(order.id, b"", Finish::Length).await;
        };
        let request = with(json!({"model": "alpha"}), fields);
        let (response, ()) = tokio_join(post(&api, "/v1/chat/completions", &request), play).await;
        let reply = value(response).await;
        assert_eq!(reply["choices"][0]["finish_reason"], "length");
        assert_eq!(
            reply["choices"][0]["logprobs"],
            json!({"refusal": null, "content": [{"token": "é", "logprob": -0.5, "bytes": [195, 169], "top_logprobs": [
                {"token": "é", "logprob": -0.5, "bytes": [195, 169]},
                {"token": "\u{fffd}", "logprob": -9999.0, "bytes": [230]}]}]})
        );
    });
}

/// Objects are written in the schema's order, so it matters: an answer behind its reasons is another answer.
#[test]
fn a_schema_reaches_the_engine_as_it_was_written() {
    const SCHEMA: &str = r#"{"type": "object", "properties": {"why": {"enum": [1.0, -2, "é\\n", null, true]}, "answer": {"type": "null"}}, "required": ["why", "answer"]}"#;
    run(async {
        let (api, mut mock) = started(engine::Limits::DEFAULT).await;
        for (path, input) in
            [("/v1/chat/completions", r#""messages":[{"role":"user","content":"x"}]"#), ("/v1/completions", r#""prompt":"x""#)]
        {
            let body = format!(
                r#"{{"model":"alpha",{input},"response_format":{{"type":"json_schema","json_schema":{{"name":"s","schema":{SCHEMA}}}}}}}"#
            );
            let play = async {
                let order = mock.generate().await;
                assert_eq!(order.constraint, Constraint::JsonSchema(SCHEMA.replace([' '], "")));
                mock.done(order.id, b"", Finish::End).await;
            };
            let (response, ()) = tokio_join(send(&api, Method::POST, path, body.as_bytes()), play).await;
            assert_eq!(response.unwrap().status(), 200);
            let twice = body.replace(r#""name":"s""#, r#""schema":{}"#);
            let refused = send(&api, Method::POST, path, twice.as_bytes()).await.unwrap();
            assert_eq!(
                (refused.status().as_u16(), value(refused).await["error"]["param"].as_str()),
                (400, Some("response_format"))
            );
        }
    });
}

#[test]
fn a_completion() {
    run(async {
        let (api, mut mock) = started(engine::Limits::DEFAULT).await;
        let play = async {
            let order = mock.generate().await;
            assert_eq!(prompt_text(&order.prompt), "Once");
            mock.likely(order.id, b" up", -0.25).await;
            mock.likely(order.id, b"on", -0.125).await;
            mock.done(order.id, b"", Finish::End).await;
        };
        let request = json!({"model": "alpha", "prompt": ["Once"], "logprobs": 2, "best_of": 1, "echo": false, "suffix": null});
        let (response, ()) = tokio_join(post(&api, "/v1/completions", &request), play).await;
        let top = json!([{" up": -0.25, "\u{fffd}": -9999.0}, {"on": -0.125, "\u{fffd}": -9999.0}]);
        assert_eq!(
            scrubbed(value(response).await)["choices"],
            json!([{"index": 0, "text": " upon", "finish_reason": "stop", "logprobs": {
                "tokens": [" up", "on"], "token_logprobs": [-0.25, -0.125], "text_offset": [0, 3], "top_logprobs": top}}])
        );
    });
}

#[test]
fn prompts_as_tokens() {
    run(async {
        let (api, mut mock) = started(engine::Limits::DEFAULT).await;
        for prompt in [json!([1, 2, 3]), json!([[1, 2, 3]])] {
            let play = async {
                let order = mock.generate().await;
                assert_eq!(order.prompt, Prompt::Tokens(vec![1, 2, 3]));
                mock.done(order.id, b"x", Finish::End).await;
            };
            let request = json!({"model": "alpha", "prompt": prompt});
            let (response, ()) = tokio_join(post(&api, "/v1/completions", &request), play).await;
            assert_eq!(value(response).await["choices"][0]["text"], "x");
        }
    });
}

#[test]
fn a_stream() {
    run(async {
        let (api, mut mock) = started(engine::Limits::DEFAULT).await;
        let play = async {
            let order = mock.generate().await;
            mock.token(order.id, b"a\xf0\x9f").await;
            mock.token(order.id, b"\xa6\xad").await;
            mock.done(order.id, b"b", Finish::End).await;
        };
        let request = with(hello(), json!({"stream": true, "stream_options": {"include_usage": true}}));
        let (response, ()) = tokio_join(post(&api, "/v1/chat/completions", &request), play).await;
        assert_eq!(response.headers()["content-type"], "text/event-stream");
        let mut events = events(&text(response).await);
        assert_eq!(events.pop(), Some(json!("[DONE]")));
        let events: Vec<_> = events.into_iter().map(scrubbed).collect();
        let usage = json!({"object": "chat.completion.chunk", "model": "alpha", "choices": [], "usage":
            {"prompt_tokens": 11, "completion_tokens": 3, "total_tokens": 14, "prompt_tokens_details": {"cached_tokens": 5}}});
        let (last, pieces) = events.split_last().unwrap();
        assert_eq!(*last, usage);
        let first = &pieces[0]["choices"][0];
        assert_eq!(
            (&first["delta"]["role"], &first["finish_reason"], &pieces[0]["usage"]),
            (&json!("assistant"), &json!(null), &json!(null))
        );
        let (end, before) = pieces.split_last().unwrap();
        assert_eq!(end["choices"], json!([{"index": 0, "delta": {}, "logprobs": null, "finish_reason": "stop"}]));
        let said: String = before.iter().map(|piece| piece["choices"][0]["delta"]["content"].as_str().unwrap()).collect();
        assert_eq!(said, "a🦭b");
    });
}

#[test]
fn a_stream_of_text() {
    run(async {
        let (api, mut mock) = started(engine::Limits::DEFAULT).await;
        let play = async {
            let order = mock.generate().await;
            mock.done(order.id, b"all", Finish::Length).await;
        };
        let request = json!({"model": "alpha", "prompt": "p", "stream": true});
        let (response, ()) = tokio_join(post(&api, "/v1/completions", &request), play).await;
        let events = events(&text(response).await);
        assert_eq!(events.len(), 3);
        let choice = |text, finish: Value| json!([{"index": 0, "text": text, "logprobs": null, "finish_reason": finish}]);
        assert_eq!(scrubbed(events[0].clone())["choices"], choice("all", json!(null)));
        assert_eq!(
            scrubbed(events[1].clone()),
            json!({"object": "text_completion", "model": "alpha", "choices": choice("", json!("length"))})
        );
    });
}

#[test]
fn tokens_are_passed_on_together() {
    run(async {
        let (api, mut mock) = started(engine::Limits::DEFAULT).await;
        let play = async move {
            let order = mock.generate().await;
            for _ in 0..100 {
                mock.token(order.id, b"x").await;
                tokio::time::sleep(Duration::from_millis(2)).await;
            }
            mock.done(order.id, b"", Finish::End).await;
            mock
        };
        let playing = tokio::spawn(play);
        let began = Instant::now();
        let response = post(&api, "/v1/completions", &json!({"model": "alpha", "prompt": "p", "stream": true})).await;
        let events = events(&text(response).await);
        let intervals = began.elapsed().as_millis() / super::super::stream::PACE.as_millis();
        let (pieces, most) = (events.len() - 2, usize::try_from(intervals).unwrap() + 2);
        assert!((2..=most).contains(&pieces), "{pieces} pieces, at most {most}");
        let said: String = events[..=pieces].iter().map(|piece| piece["choices"][0]["text"].as_str().unwrap()).collect();
        assert_eq!(said, "x".repeat(100));
        drop(playing.await);
    });
}

#[test]
fn embeddings() {
    run(async {
        let (api, mut mock) = started(engine::Limits::DEFAULT).await;
        let play = async {
            for n in 0..20_u8 {
                match mock.order().await {
                    Some(Order::Embed(embed)) => {
                        assert_eq!(prompt_text(&embed.prompt), format!("text {n}"));
                        let vector = vec![f32::from(n), 0.5, -1.0];
                        mock.say(Report::Embedding(Embedding { id: embed.id, vector, tokens: 2 })).await;
                    }
                    other => panic!("{other:?}"),
                }
            }
        };
        let input: Vec<_> = (0..20).map(|n| format!("text {n}")).collect();
        let request = json!({"model": "alpha", "input": input, "dimensions": 3, "encoding_format": "float"});
        let (response, ()) = tokio_join(post(&api, "/v1/embeddings", &request), play).await;
        let reply = value(response).await;
        assert_eq!(reply["usage"], json!({"prompt_tokens": 40, "total_tokens": 40}));
        assert_eq!(
            (&reply["object"], &reply["model"], reply["data"].as_array().unwrap().len()),
            (&json!("list"), &json!("alpha"), 20)
        );
        assert_eq!(reply["data"][19], json!({"object": "embedding", "index": 19, "embedding": [19.0, 0.5, -1.0]}));
        let play = async {
            let Some(Order::Embed(embed)) = mock.order().await else { panic!() };
            mock.say(Report::Embedding(Embedding { id: embed.id, vector: vec![1.0, 0.5, -1.0], tokens: 2 })).await;
        };
        let request = json!({"model": "alpha", "input": [5, 6], "encoding_format": "base64", "user": "u"});
        let (response, ()) = tokio_join(post(&api, "/v1/embeddings", &request), play).await;
        // Computed with Python's struct and base64.
        assert_eq!(value(response).await["data"][0]["embedding"], "AACAPwAAAD8AAIC/");
    });
}

#[test]
fn two_hundred_at_once_get_their_own() {
    run(async {
        let (api, mock) = started(engine::Limits::DEFAULT).await;
        let api = std::sync::Arc::new(api);
        let engine = tokio::spawn(mock.echo(200));
        let ask = |n: usize| {
            let api = std::sync::Arc::clone(&api);
            tokio::spawn(async move {
                let said = format!("Ünique {n} {}", "y".repeat(n % 17));
                let stream = n % 2 == 0;
                let request = json!({"model": "alpha", "stream": stream, "messages": [{"role": "user", "content": said}]});
                let response = post(&api, "/v1/chat/completions", &request).await;
                assert_eq!(response.status(), 200);
                let got = if stream {
                    let events = events(&text(response).await);
                    assert_eq!(events.last(), Some(&json!("[DONE]")));
                    events.iter().filter_map(|event| event["choices"][0]["delta"]["content"].as_str()).collect::<String>()
                } else {
                    value(response).await["choices"][0]["message"]["content"].as_str().unwrap().to_owned()
                };
                assert_eq!(got, format!("User: {{{said}}}\n"));
            })
        };
        let asked: Vec<_> = (0..200).map(ask).collect();
        for one in asked {
            one.await.unwrap();
        }
        engine.abort();
    });
}

/// Many megabytes for a few bytes of a request: whoever doesn't take them can't have more made without bound.
#[test]
fn replies_that_nobody_takes_are_bounded() {
    run(async {
        let (client, mut mock) = silent(engine::Limits::DEFAULT);
        mock.hello(facts()).await;
        until(|| matches!(client.state(), State::Ready(_))).await;
        let measured = MeasuredConfig::parse(CONFIG.into()).unwrap();
        let api = Api::new(&measured, vec![client], Limits { replies: 250_000, ..Limits::DEFAULT });
        let mut ask = async |width: usize| {
            let play = async {
                let Some(Order::Embed(embed)) = mock.order().await else { panic!("no order") };
                mock.say(Report::Embedding(Embedding { id: embed.id, vector: vec![0.5; width], tokens: 2 })).await;
            };
            tokio_join(post(&api, "/v1/embeddings", &json!({"model": "alpha", "input": "a"})), play).await.0
        };
        let held = [ask(30_000).await, ask(30_000).await];
        assert_eq!(held.each_ref().map(|held| held.status().as_u16()), [200; 2]);
        assert_eq!(ask(30_000).await.status(), 429);
        assert_eq!(ask(1000).await.status(), 200, "small ones take no room");
        // Taken or not: what is gone takes no room.
        let [taken, _left] = held;
        assert_eq!(value(taken).await["data"][0]["embedding"][29_999], 0.5);
        assert_eq!(ask(30_000).await.status(), 200);
    });
}
