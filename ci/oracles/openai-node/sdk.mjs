// The unmodified OpenAI SDK for Node through `sealstone proxy`: what openai_sdk.py does with the one for Python.
//
//     node sdk.mjs SEALSTONE URL PIN POLICY
//
// How it could fool itself: by a reply that isn't the model's (so it is compared: whole with streamed, again with before, another question's with
// it), by errors that are the proxy's (so status and code are the API's).

import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { createInterface } from "node:readline";
import OpenAI from "openai";

const [sealstone, url, pin, policy] = process.argv.slice(2);
const proxy = spawn(sealstone, ["proxy", url, "--pin", pin, "--policy", policy, "--listen", "127.0.0.1:0"], {
	stdio: ["ignore", "pipe", "inherit"],
});
try {
	const ended = once(proxy, "exit").then(([code]) => assert.fail(`the proxy ended with ${code}`));
	const [base] = await Promise.race([once(createInterface({ input: proxy.stdout }), "line"), ended]);
	await main(new OpenAI({ baseURL: `${base.trim()}/v1`, apiKey: "none", maxRetries: 0, timeout: 120_000 }));
} finally {
	proxy.removeAllListeners("exit");
	proxy.kill();
}

async function main(client) {
	const models = (await client.models.list()).data.map((model) => model.id);
	assert(models.length > 0, "no model");
	const model = models[0];
	console.log("models:", models);

	const question = "Tell me about the zwieselstein quarry";
	const ask = (content, options = {}) =>
		client.chat.completions.create({ model, messages: [{ role: "user", content }], temperature: 0, max_tokens: 40, ...options });

	const whole = await ask(question);
	const reply = whole.choices[0].message.content;
	assert(reply && whole.usage.completion_tokens > 0, "an empty reply");
	assert.equal((await ask(question)).choices[0].message.content, reply, "the same question, another answer");
	assert.notEqual((await ask("What is a kernel?")).choices[0].message.content, reply, "another question, the same answer");
	console.log("chat:", whole.usage.total_tokens, "tokens,", whole.choices[0].finish_reason);

	const pieces = [];
	let usage;
	for await (const chunk of await ask(question, { stream: true, stream_options: { include_usage: true } })) {
		pieces.push(chunk.choices[0]?.delta.content ?? "");
		usage = chunk.usage ?? usage;
	}
	assert.equal(pieces.join(""), reply, "streamed and whole differ");
	assert.equal(usage.completion_tokens, whole.usage.completion_tokens);
	console.log("streamed in", pieces.length, "chunks, equal");

	// Not in the alphabet's order: a reply keeps the schema's.
	const flag = { type: "boolean" };
	const schema = { type: "object", properties: { sure: flag, ok: flag }, required: ["sure", "ok"], additionalProperties: false };
	const formed = await ask("Answer", { response_format: { type: "json_schema", json_schema: { name: "answer", strict: true, schema } } });
	const value = JSON.parse(formed.choices[0].message.content);
	assert.deepEqual([Object.keys(value), typeof value.sure, typeof value.ok], [["sure", "ok"], "boolean", "boolean"]);
	console.log("schema:", value);

	// The SDK asks for base64 unless told otherwise, and turns it into numbers; both forms must say the same.
	const vectors = {};
	for (const encoding_format of [undefined, "float"]) {
		const { data } = await client.embeddings.create({ model, input: ["quarry", "stone"], encoding_format });
		vectors[encoding_format] = data.map(({ embedding }) => [...embedding].map((number) => Math.fround(number)));
	}
	assert.deepEqual(vectors.undefined, vectors.float);
	assert(vectors.float.length === 2 && vectors.float[0].length > 8);
	assert.notDeepEqual(vectors.float[0], vectors.float[1]);
	console.log("embeddings:", vectors.float[0].length, "numbers");

	await assert.rejects(client.chat.completions.create({ model: "none", messages: [{ role: "user", content: "x" }] }), (error) => {
		console.log("unknown model:", error.status, error.code);
		return error instanceof OpenAI.NotFoundError && error.code === "model_not_found";
	});
	await assert.rejects(ask("x", { top_p: "a" }), (error) => {
		console.log("wrong type:", error.status, error.code);
		return error instanceof OpenAI.BadRequestError;
	});

	// A stream that its reader leaves must not keep the model from the next.
	for await (const _ of await ask(question, { stream: true, max_tokens: 200 })) break;
	assert.equal((await ask(question)).choices[0].message.content, reply);
	console.log("a stream was left, and the next request answered as before");
}
