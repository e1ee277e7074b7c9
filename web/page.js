// The page: documents in, verdict out. Text from documents only ever becomes text nodes.

const byId = (id) => document.getElementById(id);

// What was given: the input's id → { name, bytes }.
const given = new Map();
let verifier;
let last;

const element = (name, attributes = {}, ...children) => {
  const made = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  made.append(...children);
  return made;
};

const text = (file) => new TextDecoder("utf-8", { fatal: true }).decode(file.bytes);

// Which document a dropped file is, from what every one of them says of itself.
const kind = ({ name, bytes }) => {
  const start = new TextDecoder().decode(bytes.subarray(0, 1 << 20));
  if (start.includes("sealstone/pin/v1")) return "pin";
  if (start.includes("sealstone/evidence/v1")) return "evidence";
  if (start.includes("sealstone/policy/v1")) return "policy";
  if (start.includes("-----BEGIN CERTIFICATE-----")) return name.endsWith(".json") ? "collateral" : "certificates";
  return undefined;
};

const say = (id, words, how = "") => {
  const state = byId(`${id}-state`);
  if (!state) return;
  state.textContent = words;
  state.className = how;
};

async function take(id, file) {
  given.set(id, { name: file.name, bytes: new Uint8Array(await file.arrayBuffer()) });
  say(id, `${file.name}, ${file.size.toLocaleString("en")} bytes`);
}

const optional = (id) => (given.has(id) ? text(given.get(id)) : null);

function moment() {
  const typed = byId("at").value.trim();
  if (typed === "") return Math.floor(Date.now() / 1000);
  const seconds = Number(typed);
  if (!/^[0-9]+$/.test(typed) || !Number.isSafeInteger(seconds)) {
    throw new VerifyError({ document: "at", problem: "the time is a number of seconds since 1970", exit_code: 3 });
  }
  return seconds;
}

// A document that isn't UTF-8 can't be handed on as text; the command line says the same of it.
function readable(id) {
  try {
    return optional(id);
  } catch {
    throw new VerifyError({ document: id, problem: "not UTF-8", exit_code: 3 });
  }
}

function judge() {
  if (!verifier) return;
  explainPin();
  if (!given.has("pin") || !given.has("evidence")) return;
  try {
    const request = {
      pin: readable("pin"),
      evidence: readable("evidence"),
      policy: readable("policy"),
      nonce: byId("nonce").value.trim() || null,
      at: moment(),
      certificates: readable("certificates"),
      collateral: readable("collateral"),
    };
    const started = performance.now();
    const verdict = verifier.verify(request);
    const took = performance.now() - started;
    showVerdict(verdict, took);
  } catch (error) {
    showProblem(error);
  }
}

const refusals = {
  signature: "not shown to come from genuine hardware",
  measurement: "something else is running than what the pin says",
  policy: "under conditions that the policy doesn't accept",
  transparency: "not shown to have been published",
};

function showVerdict(verdict, took) {
  last = verdict;
  byId("answer").className = verdict.accepted ? "accepted" : "refused";
  const count = (outcome) => verdict.checks.filter((check) => check.outcome === outcome).length;
  const worst = verdict.checks.find((check) => check.refusal)?.refusal;
  byId("verdict").textContent = verdict.accepted ? "Accepted" : `Refused: ${refusals[worst]}`;
  const at = new Date(verdict.at * 1000).toISOString().replace(".000", "");
  byId("summary").textContent =
    `Checks: ${count("refused")} refused, ${count("passed")} passed, ${count("not-asked")} had nothing to compare with. ` +
    `${verdict.tee}, ${verdict.profile ?? "no profile"}, at ${at}, exit code ${verdict.exit_code}, judged in ${Math.ceil(took)} ms.`;
  byId("actions").hidden = false;
  byId("list").replaceChildren(...verdict.checks.map(line));
  byId("checks").hidden = false;
  if (verdict.profile) {
    byId("profile").value = verdict.profile;
    showProfile();
  }
}

function showProblem(error) {
  last = undefined;
  byId("answer").className = "refused";
  byId("actions").hidden = true;
  byId("checks").hidden = true;
  if (error instanceof VerifyError) {
    byId("verdict").textContent = "Nothing judged: a document can't be read";
    byId("summary").textContent = `${error.message} (exit code ${error.exitCode})`;
    say(error.document, error.problem, "bad");
  } else {
    byId("verdict").textContent = "Nothing judged: the verifier failed";
    byId("summary").textContent = `${error}. Reload the page; if it happens again, it is a mistake of this program.`;
  }
}

const words = { refused: "refused", "not-asked": "not asked", passed: "passed" };

function line(check) {
  const details = element("dl");
  const row = (name, value) => value && details.append(element("dt", {}, name), element("dd", { class: "value" }, value));
  if (check.outcome === "refused") row("expected", check.expected);
  row("found", check.found);
  if (check.outcome === "refused" && check.why) details.append(element("dt", {}, "why"), element("dd", {}, check.why));
  return element("li", { class: check.outcome },
    element("span", { class: "word" }, words[check.outcome]), element("code", { class: "id" }, check.id), details);
}

let chain;

function explainPin() {
  chain = undefined;
  byId("chain").hidden = true;
  if (!given.has("pin")) return;
  try {
    chain = verifier.explain({ pin: readable("pin") });
  } catch (error) {
    say("pin", error.problem ?? `${error}`, "bad");
    return;
  }
  say("pin", `${chain.image.name} ${chain.image.version}, id ${chain.pin.slice(0, 16)}…`, "good");
  byId("profile").replaceChildren(...chain.profiles.map((profile) => element("option", { value: profile.id }, profile.id)));
  byId("chain").hidden = false;
  showProfile();
}

function showProfile() {
  const profile = chain?.profiles.find((profile) => profile.id === byId("profile").value);
  const registers = new Map();
  for (const event of profile?.events ?? []) {
    registers.set(event.register, [...(registers.get(event.register) ?? []), event]);
  }
  byId("registers").replaceChildren(...[...registers].map(([register, events]) =>
    element("details", {},
      element("summary", {}, `${register} `, element("span", {}, events.length === 1 ? "1 step" : `${events.length} steps`)),
      element("ol", {}, ...events.map(step)))));
}

function step(event, index) {
  const details = element("dl");
  const row = (name, value, how = {}) => details.append(element("dt", {}, name), element("dd", how, value));
  row("what", event.how);
  row("digest", `${event.op} ${event.digest}`, { class: "value" });
  for (const other of event.or) row("or", `${other.digest} when ${other.when}`, { class: "value" });
  row("from", event.input + (event.size === null ? "" : `, ${event.size.toLocaleString("en")} bytes`) + `; decided by the ${event.controlled_by}`);
  return element("li", { class: "event" }, element("span", { class: "number" }, `${index + 1}.`), details);
}

async function drop(files) {
  for (const file of files) {
    const id = kind({ name: file.name, bytes: new Uint8Array(await file.arrayBuffer()) });
    if (id) await take(id, file);
    else showProblem(new VerifyError({ document: "request", problem: `${file.name} is neither pin, evidence nor policy`, exit_code: 3 }));
  }
  judge();
}

function save() {
  const link = element("a", { download: "verdict.json" });
  link.href = URL.createObjectURL(new Blob([JSON.stringify(last, null, 2) + "\n"], { type: "application/json" }));
  link.click();
  URL.revokeObjectURL(link.href);
}

for (const id of ["pin", "evidence", "policy", "certificates", "collateral"]) {
  byId(id).addEventListener("change", async ({ target }) => {
    if (target.files.length === 0) {
      given.delete(id);
      say(id, id === "policy" ? "not given: the defaults" : "not given");
    } else {
      await take(id, target.files[0]);
    }
    judge();
  });
}
for (const id of ["nonce", "at"]) byId(id).addEventListener("change", judge);
byId("documents").addEventListener("submit", (event) => event.preventDefault());
byId("profile").addEventListener("change", showProfile);
byId("save").addEventListener("click", save);
for (const name of ["dragenter", "dragover"]) {
  addEventListener(name, (event) => {
    event.preventDefault();
    document.body.classList.add("over");
  });
}
addEventListener("dragleave", (event) => event.relatedTarget ?? document.body.classList.remove("over"));
addEventListener("drop", async (event) => {
  event.preventDefault();
  document.body.classList.remove("over");
  await drop(event.dataTransfer.files);
});

try {
  verifier = await load(Uint8Array.from(atob(byId("module").textContent), (character) => character.charCodeAt(0)));
} catch (error) {
  showProblem(error);
}
// Files may have been chosen while the module was being compiled.
judge();
