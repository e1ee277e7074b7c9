// Behind the module's JavaScript interface, by ci/web: asks about raw evidence. The word in capitals below is replaced by a JSON object: the method
// to call and its request.
const { method, request } = __CASE__;
const frame = document.body.appendChild(document.createElement("iframe"));
frame.hidden = true;
frame.contentDocument.open();
const base64 = (text) => btoa(String.fromCharCode(...new TextEncoder().encode(text)));
try {
  const module = Uint8Array.from(atob(document.getElementById("module").textContent), (character) => character.charCodeAt(0));
  const compiled = await WebAssembly.compile(module);
  const imports = WebAssembly.Module.imports(compiled);
  if (imports.length > 0) throw new Error(`the module imports ${JSON.stringify(imports)}`);
  const verifier = await load(compiled);
  const started = performance.now();
  const verdict = verifier[method](request);
  document.body.setAttribute("data-took", Math.ceil(performance.now() - started));
  document.body.setAttribute("data-verdict", base64(JSON.stringify(verdict, null, 2) + "\n"));
} catch (error) {
  document.body.setAttribute("data-problem", base64(`${error}`));
}
frame.contentDocument.close();
