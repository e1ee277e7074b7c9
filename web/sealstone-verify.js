// The interface of sealstone-verify.wasm; sealstone-verify.d.ts has its types.

// Thrown when something that was handed in can't be read. Nothing was judged.
export class VerifyError extends Error {
  constructor({ document, problem, exit_code }) {
    super(`${document}: ${problem}`);
    this.name = "VerifyError";
    this.document = document;
    this.problem = problem;
    this.exitCode = exit_code;
  }
}

export async function load(module) {
  const compiled = module instanceof WebAssembly.Module ? module : await WebAssembly.compile(module);
  // No imports: an instance can do nothing but answer.
  const { exports } = await WebAssembly.instantiate(compiled, {});

  const answer = (question) => {
    const request = new TextEncoder().encode(JSON.stringify(question));
    const at = exports.request(request.length) >>> 0;
    // Looked up after each call: memory that grows gets another buffer.
    new Uint8Array(exports.memory.buffer, at, request.length).set(request);
    const from = exports.answer() >>> 0;
    const bytes = new Uint8Array(exports.memory.buffer, from, exports.answer_length() >>> 0);
    const said = JSON.parse(new TextDecoder("utf-8", { fatal: true }).decode(bytes));
    if (said.error) throw new VerifyError(said.error);
    return said.verdict ?? said.chain;
  };

  // `ask` last, so that nothing in a request can turn it into another question.
  return Object.freeze({
    verify: (request) => answer({ ...request, ask: "verify" }),
    verifySnp: (request) => answer({ ...request, ask: "verify_snp" }),
    verifyTdx: (request) => answer({ ...request, ask: "verify_tdx" }),
    verifyRelease: (request) => answer({ ...request, ask: "verify_release" }),
    explain: (request) => answer({ ...request, ask: "explain" }),
  });
}
