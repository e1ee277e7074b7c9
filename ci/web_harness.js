// Put into the page by ci/web, behind the page's own script: does what a person does (chooses files, saves the verdict), and
// writes what came of it into the document. The word in capitals below is replaced by a JSON object: id of an input → base64 of a file or text.
const given = __CASE__;
// The load event, at which the browser writes out the document, waits for this frame.
const frame = document.body.appendChild(document.createElement("iframe"));
frame.hidden = true;
frame.contentDocument.open();

const bytes = (base64) => Uint8Array.from(atob(base64), (character) => character.charCodeAt(0));
const base64 = (text) => btoa(String.fromCharCode(...new TextEncoder().encode(text)));
const done = (name, value) => {
  document.body.setAttribute(`data-${name}`, value);
  frame.contentDocument.close();
};
const wait = (milliseconds) => new Promise((resolve) => setTimeout(resolve, milliseconds));

// The button makes a file and a link to it; the file is what counts here.
let saved;
const makeUrl = URL.createObjectURL;
URL.createObjectURL = (blob) => makeUrl.call(URL, (saved = blob));

addEventListener("securitypolicyviolation", (event) => done("violation", event.violatedDirective));

for (const [id, content] of Object.entries(given)) {
  const input = document.getElementById(id);
  if (input.type === "file") {
    const chosen = new DataTransfer();
    chosen.items.add(new File([bytes(content)], id === "policy" ? "policy.yaml" : `${id}.json`));
    input.files = chosen.files;
    const state = document.getElementById(`${id}-state`);
    const before = state.textContent;
    input.dispatchEvent(new Event("change"));
    // Files are read in their own time; what is judged afterwards is judged at once.
    while (state.textContent === before) await wait(5);
    await wait(0);
  } else {
    input.value = content;
    input.dispatchEvent(new Event("change"));
  }
}
// Empty until the module was compiled and everything that is there has been judged.
while (document.getElementById("answer").className === "") await wait(5);
document.body.setAttribute("data-widths", `${document.documentElement.scrollWidth} ${innerWidth}`);
if (document.getElementById("actions").hidden) {
  done("problem", base64(document.getElementById("summary").textContent));
} else {
  const judgedIn = /judged in (\d+) ms/.exec(document.getElementById("summary").textContent)[1];
  document.body.setAttribute("data-took", judgedIn);
  document.getElementById("save").click();
  done("verdict", base64(await saved.text()));
}
