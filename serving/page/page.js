// The page: its state, its events. Requests are in service.js, what is shown in view.js, words in words.js.
import { ask, curl } from "./service.js";
import { copy, element, entityRow, marked } from "./view.js";
import { EXAMPLES, WORDS } from "./words.js";

const $ = (id) => document.getElementById(id);
const state = { language: "en", kinds: [], chosen: new Set(), operators: {}, key: "", text: "", found: null, clean: null, asked: 0 };
const words = () => WORDS[state.language];
const fill = (template, values) => template.replace(/\{(\w+)\}/g, (_, name) => values[name]);
const kindOf = (type) => state.kinds.find((kind) => kind.name === type);
// Until the list of types has come, and for types of the caller's own, the name is all there is to show.
const label = (type) => kindOf(type)?.[state.language] ?? type;
const remembered = { get: (name) => { try { return localStorage.getItem(name); } catch { return null; } },
  set: (name, value) => { try { localStorage.setItem(name, value); } catch { /* a private window */ } } };

// --- requests ------------------------------------------------------------------------------------

const lines = (id) => $(id).value.split("\n").map((line) => line.trim()).filter(Boolean);

function reading() {
  const body = { text: $("text").value, offset_unit: "utf16" };
  const usual = state.kinds.filter((kind) => kind.default && kind.detectors.length).map((kind) => kind.name);
  const chosen = state.kinds.map((kind) => kind.name).filter((name) => state.chosen.has(name));
  if (state.kinds.length && chosen.join() !== usual.join()) body.types = chosen;
  if ($("detectors").value) body.detectors = $("detectors").value;
  if ($("point").value) body.operating_point = $("point").value;
  if (lines("allow").length) body.allow_list = lines("allow");
  if (lines("deny").length) body.deny_list = lines("deny");
  return body;
}

const operatorOf = (name) => (name === "mask" ? { operator: "mask", keep_first: 1, keep_last: 0 } : { operator: name });

function redacting() {
  const body = reading();
  const chosen = $("operator").value;
  const types = Object.fromEntries(Object.entries(state.operators).map(([type, name]) => [type, operatorOf(name)]));
  if (chosen.startsWith("policy:")) body.policy = chosen.slice(7);
  else if (chosen !== "replace" || Object.keys(types).length) body.policy = { default: operatorOf(chosen), types };
  return body;
}

async function find() {
  state.key = $("key").value;
  if (!$("text").value) { tell(words().empty); $("text").focus(); return; }
  const asked = ++state.asked;
  const text = $("text").value;
  tell(words().working);
  showCode();
  const started = performance.now();
  const [found, clean] = await Promise.allSettled([ask("extract", reading(), state.key), ask("redact", redacting(), state.key)]);
  // A later request has been sent meanwhile: its answer is the one to show.
  if (asked !== state.asked) return;
  const ms = Math.round(performance.now() - started);
  Object.assign(state, { text, found: found.value ?? null, clean: clean.value ?? null });
  show();
  const failed = [found, clean].find((outcome) => outcome.status === "rejected");
  if (failed) refused(failed.reason);
  else tell(fill(words().summary, { n: state.found.entities.length, ms }));
}

function refused(error) {
  if (error.code === "no_key") { $("key-row").hidden = false; $("key").focus(); }
  tell(words().problems[error.code] ?? fill(words().problem, { code: error.code ?? "?" }), "wrong");
}

async function greet() {
  try {
    const told = await ask("readyz");
    status("yes", `${words().ready} · ${told.model ? told.engine : words().patterns}`);
    // Without a model there is nobody to choose between, and nothing has a score.
    for (const name of ["detectors", "point"]) $(name).disabled = !told.model;
    if (!state.kinds.length) {
      state.kinds = (await ask("entity_types", null, state.key)).entity_types;
      chooseTypes((kind) => kind.default);
    }
    $("version").textContent = (await ask("version", null, state.key)).version;
  } catch (error) {
    if (error.code === "no_key") { $("key-row").hidden = false; return; }
    status("no", error.code === "unreachable" ? words().away : words().loading);
    setTimeout(greet, 2000);
  }
}

// --- what is shown -------------------------------------------------------------------------------

function tell(message, kind = "") { $("told").textContent = message; $("told").dataset.kind = kind; }
function status(ready, message) { $("state").dataset.ready = ready; $("state").textContent = message; }

function show() {
  const entities = state.found?.entities ?? [];
  $("found").replaceChildren(...(state.found ? marked(state.text, entities, label) : []));
  $("clean").replaceChildren(...(state.clean ? marked(state.clean.text, state.clean.replacements, null) : []));
  $("entities").replaceChildren(...entities.map((entity, index) => entityRow(entity, index, words(), label)));
  if (state.found && !entities.length) {
    const cell = element("td", { colSpan: 5, className: "quiet" }, words().none);
    $("entities").append(element("tr", {}, cell));
  }
  const parts = state.found?.truncated?.length ?? 0;
  $("remark").hidden = !parts;
  $("remark").textContent = parts ? fill(words().truncated, { n: parts }) : "";
  showCode();
}

function showCode() {
  const [form, path] = $("shown").value.split("-");
  const body = path === "extract" ? reading() : redacting();
  const answer = path === "extract" ? state.found : state.clean;
  if (form === "curl") $("code").textContent = curl(path, body, state.key);
  else $("code").textContent = answer ? JSON.stringify(answer, null, 1) : "";
}

function showTypes() {
  const names = [...$("operator").querySelectorAll("option")].filter((option) => !option.value.startsWith("policy:"));
  $("types").replaceChildren(...state.kinds.map((kind) => {
    const known = kind.detectors.length > 0;
    const box = element("input", { type: "checkbox", checked: state.chosen.has(kind.name), disabled: !known, value: kind.name });
    const name = element("span", { title: known ? `${kind[state.language]} (${kind.name})` : words().unknown_here }, kind[state.language]);
    const choice = element("select", {}, element("option", { value: "" }, words().same),
      ...names.map((option) => element("option", { value: option.value }, option.textContent)));
    choice.value = state.operators[kind.name] ?? "";
    choice.dataset.type = kind.name;
    choice.setAttribute("aria-label", `${words().operator}: ${kind[state.language]}`);
    const item = element("li", {}, element("label", {}, box, name), choice);
    item.dataset.known = known ? "yes" : "no";
    return item;
  }));
  $("types-count").textContent = fill(words().types_chosen, { n: state.chosen.size });
}

function chooseTypes(wanted) {
  state.chosen = new Set(state.kinds.filter((kind) => kind.detectors.length && wanted(kind)).map((kind) => kind.name));
  showTypes();
  showCode();
}

function speak(language) {
  state.language = language;
  document.documentElement.lang = language === "zh" ? "zh-CN" : "en";
  document.title = words().title;
  $("language").value = language;
  for (const node of document.querySelectorAll("[data-word]")) node.textContent = words()[node.dataset.word];
  for (const node of document.querySelectorAll("[data-word-label]")) node.label = words()[node.dataset.wordLabel];
  if ($("state").dataset.ready === "yes") greet();
  tell("");
  measure();
  showTypes();
  show();
}

const measure = () => { $("length").textContent = fill(words().characters, { n: [...$("text").value].length }); };

function paint(theme) {
  if (theme) document.documentElement.dataset.theme = theme;
  else delete document.documentElement.dataset.theme;
  $("theme").value = theme;
}

// Pointing at an entity shows where it is, in text and table.
function point(event) {
  const index = event.target.closest?.("[data-index]")?.dataset.index;
  for (const node of document.querySelectorAll("#found mark, #entities tr")) {
    node.classList.toggle("shown", index !== undefined && node.dataset.index === index);
  }
}

// --- events --------------------------------------------------------------------------------------

$("form").addEventListener("submit", (event) => { event.preventDefault(); find(); });
document.addEventListener("keydown", (event) => { if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) find(); });
$("text").addEventListener("input", () => { measure(); showCode(); });
$("form").addEventListener("change", (event) => {
  const { target } = event;
  if (target.dataset.type) {
    if (target.value) state.operators[target.dataset.type] = target.value;
    else delete state.operators[target.dataset.type];
  } else if (target.type === "checkbox") {
    if (target.checked) state.chosen.add(target.value); else state.chosen.delete(target.value);
    $("types-count").textContent = fill(words().types_chosen, { n: state.chosen.size });
  } else if (target.id === "key") {
    state.key = target.value;
    greet();
  }
  showCode();
  // Whoever has seen an answer wants to see what an option changes.
  if (state.found && target.id !== "text") find();
});
$("types-default").addEventListener("click", () => chooseTypes((kind) => kind.default));
$("types-all").addEventListener("click", () => chooseTypes(() => true));
$("types-none").addEventListener("click", () => chooseTypes(() => false));
$("clear").addEventListener("click", () => {
  $("text").value = "";
  Object.assign(state, { text: "", found: null, clean: null, asked: state.asked + 1 });
  tell(""); measure(); show(); $("text").focus();
});
for (const button of document.querySelectorAll("[data-example]")) {
  button.addEventListener("click", () => { $("text").value = EXAMPLES[button.dataset.example]; measure(); find(); });
}
for (const button of document.querySelectorAll("[data-copy]")) {
  button.addEventListener("click", async () => {
    await copy(button.dataset.copy === "clean" ? state.clean?.text ?? "" : $("code").textContent);
    button.textContent = words().copied;
    setTimeout(() => { button.textContent = words().copy; }, 1500);
  });
}
$("shown").addEventListener("change", showCode);
$("language").addEventListener("change", () => { remembered.set("language", $("language").value); speak($("language").value); });
$("theme").addEventListener("change", () => { remembered.set("theme", $("theme").value); paint($("theme").value); });
for (const id of ["found", "entities"]) {
  $(id).addEventListener("pointerover", point);
  $(id).addEventListener("pointerleave", point);
}

paint(remembered.get("theme") ?? "");
speak(remembered.get("language") ?? (navigator.language.startsWith("zh") ? "zh" : "en"));
greet();
