// Shows the description that the node serves. Text goes in as text: nothing from the description becomes markup.
"use strict";

const byId = (id) => document.getElementById(id);

// Makes an element: el("p", {class: "quiet"}, "words", otherElement).
function el(tag, attributes, ...children) {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes ?? {})) {
    if (value !== undefined && value !== false) made.setAttribute(name, value === true ? "" : value);
  }
  made.append(...children.filter((child) => child !== undefined && child !== null));
  return made;
}

// Words with `code` in them.
function words(text) {
  return (text ?? "").split("`").map((part, nth) => (nth % 2 ? el("code", {}, part) : part));
}

let api;
const nameOf = (ref) => ref.split("/").pop();
const follow = (schema) => (schema?.$ref ? ref(schema.$ref) : schema ?? {});
const ref = (path) => path.slice(2).split("/").reduce((value, key) => value?.[key], api);

// What a value may be, with links to named types.
function kind(schema) {
  if (!schema || schema === true || Object.keys(schema).length === 0) return ["any JSON"];
  if (schema.$ref) return [el("a", { href: "#type-" + nameOf(schema.$ref) }, nameOf(schema.$ref))];
  if (schema.const !== undefined) return [el("code", {}, JSON.stringify(schema.const))];
  const choices = schema.anyOf ?? (schema.properties ? undefined : schema.oneOf);
  if (choices) return choices.flatMap((choice, nth) => (nth ? [" or ", ...kind(choice)] : kind(choice)));
  const types = [].concat(schema.type ?? (schema.enum ? "string" : "any JSON"));
  return types.flatMap((type, nth) => {
    const one = type === "array" ? ["list of ", ...kind(schema.items)] : [type];
    if (schema.format && ["string", "integer"].includes(type)) one[0] = /^u?int/.test(schema.format) ? "integer" : schema.format;
    return nth ? [" or ", ...one] : one;
  });
}

const LIMITS = [
  ["minLength", "at least", "characters"], ["maxLength", "at most", "characters"],
  ["minimum", "from", ""], ["maximum", "to", ""], ["minItems", "at least", "items"], ["maxItems", "at most", "items"],
  ["maxProperties", "at most", "entries"],
];

function bounds(schema) {
  const own = schema ?? {};
  const list = LIMITS.filter(([name]) => own[name] !== undefined && own[name] !== 0 && !(name === "minLength" && own[name] === 1)).map(([name, before, after]) => {
    const value = own[name] > Number.MAX_SAFE_INTEGER ? "2⁶⁴−1" : own[name];
    return `${before} ${value} ${after}`.trim();
  });
  if (own.minLength === 1) list.unshift("not empty");
  const each = own.items && !own.items.$ref ? bounds(own.items) : "";
  if (each) list.push("each " + each);
  if (own.uniqueItems) list.push("none twice");
  if (own.enum) list.push("one of " + own.enum.filter((value) => value !== null).join(", "));
  if (own.default !== undefined && own.default !== null && own.default !== "") list.push("by default " + JSON.stringify(own.default));
  if (own.pattern) list.push(own.pattern.includes("\\u0000") && !own.pattern.includes("http") ? "no U+0000" : "like " + own.pattern);
  return list.join("; ");
}

function row(name, schema, options) {
  const limits = bounds(schema);
  const about = options.description ?? schema?.description ?? (schema?.$ref ? follow(schema).description : "");
  return el("tr", {},
    el("td", {}, el("code", {}, name), options.needed ? el("span", { class: "needed" }, "required") : null,
      options.absent ? el("span", { class: "quiet" }, " may be absent") : null,
      options.place ? el("span", { class: "place" }, options.place) : null),
    el("td", {}, ...kind(schema), limits ? el("span", { class: "bounds" }, limits) : null),
    el("td", {}, ...words(about)));
}

function table(rows) {
  const head = el("tr", {}, ...["field", "type", "meaning"].map((name) => el("th", { scope: "col" }, name)));
  return el("div", { class: "wide" }, el("table", {}, el("thead", {}, head), el("tbody", {}, ...rows)));
}

// Fields of an input, those that are required first.
function fieldRows(schema, place) {
  const needed = schema.required ?? [];
  const fields = Object.entries(schema.properties ?? {}).sort(([a], [b]) => needed.includes(b) - needed.includes(a));
  return fields.map(([name, field]) => row(name, field, { needed: needed.includes(name), place }));
}

// Fields of an output, where nearly all are always there.
function outputRows(schema) {
  const always = schema.required ?? [];
  return Object.entries(schema.properties ?? {}).map(([name, field]) => row(name, field, { absent: !always.includes(name) }));
}

const bodyOf = (operation) => operation.requestBody?.content["application/json"];
const success = (operation) => Object.entries(operation.responses).find(([status]) => status.startsWith("2"));

// Puts an input where it belongs: path, query, header or body.
function request(method, path, operation, input) {
  const rest = { ...input };
  const query = [], headers = {};
  for (const parameter of operation.parameters) {
    const value = rest[parameter.name];
    delete rest[parameter.name];
    if (value === undefined) continue;
    if (parameter.in === "path") path = path.replace(`{${parameter.name}}`, encodeURIComponent(value));
    else if (parameter.in === "query") query.push(`${parameter.name}=${encodeURIComponent(value)}`);
    else headers[parameter.name.toLowerCase()] = String(value);
  }
  const url = location.origin + "/api/v1" + path + (query.length ? "?" + query.join("&") : "");
  if (operation.security.length) headers.authorization = "Bearer " + (byId("token").value || "$TOKEN");
  const body = bodyOf(operation) ? JSON.stringify(rest) : undefined;
  if (body !== undefined) headers["content-type"] = "application/json";
  return { method, url, headers, body };
}

function exampleInput(operation) {
  const input = {};
  for (const parameter of operation.parameters) if (parameter.example !== undefined) input[parameter.name] = parameter.example;
  return { ...input, ...(bodyOf(operation)?.example ?? {}) };
}

function curl({ method, url, headers, body }) {
  const quoted = (text) => "'" + text.replaceAll("'", "'\\''") + "'";
  const lines = ["curl" + (method === "GET" ? "" : " -X " + method) + " " + quoted(url)];
  // A token in a shell's history is one that others can read.
  for (const [name, value] of Object.entries(headers)) {
    lines.push(name === "authorization" ? '-H "authorization: Bearer $TOKEN"' : "-H " + quoted(`${name}: ${value}`));
  }
  if (body !== undefined) lines.push("-d " + quoted(body));
  return lines.join(" \\\n  ");
}

function copyButton(text) {
  const button = el("button", { type: "button" }, "Copy as curl");
  button.addEventListener("click", async () => {
    await navigator.clipboard.writeText(text()).then(() => (button.textContent = "Copied"), () => (button.textContent = "Select it below"));
    setTimeout(() => (button.textContent = "Copy as curl"), 2000);
  });
  return button;
}

// A form that sends the input as JSON and shows what came back.
function tryIt(method, path, operation, shown) {
  const input = el("textarea", { "aria-label": "Input as JSON", spellcheck: "false", rows: "4" });
  input.value = JSON.stringify(exampleInput(operation), null, 2);
  const result = el("pre", { hidden: true, tabindex: "0" });
  const send = el("button", { type: "button" }, "Send");
  const read = () => JSON.parse(input.value || "{}");
  input.addEventListener("input", () => {
    try { shown.textContent = curl(request(method, path, operation, read())); } catch { /* not JSON yet */ }
  });
  send.addEventListener("click", async () => {
    result.hidden = false;
    result.textContent = "…";
    try {
      const { url, ...options } = request(method, path, operation, read());
      const answer = await fetch(url, { ...options, credentials: "omit", cache: "no-store" });
      const text = await answer.text();
      let body = text;
      try { body = JSON.stringify(JSON.parse(text), null, 2); } catch { /* shown as it is */ }
      result.textContent = `${answer.status} ${answer.statusText}\n${body}`;
    } catch (error) {
      result.textContent = String(error);
    }
  });
  return el("div", {}, el("div", { class: "bar" }, el("h3", {}, "Try it"), send), input, result);
}

function details(method, path, operation) {
  const inside = el("div", { class: "inside" });
  const { name, role } = operation["x-permission"];
  const who = operation.security.length === 0 ? "anyone, without a token" : role ? `${role} or higher` : "anyone with a token";
  inside.append(el("p", { class: "meta" }, el("span", {}, "Operation ", el("code", {}, operation.operationId)),
    el("span", {}, "Permission ", el("code", {}, name), " " + who)));
  const inputs = operation.parameters.map((one) => row(one.name, one.schema, { needed: one.required, place: one.in, description: one.description }));
  if (bodyOf(operation)) inputs.push(...fieldRows(bodyOf(operation).schema, "body"));
  inside.append(el("h3", {}, "Input"), inputs.length ? table(inputs) : el("p", { class: "quiet" }, "None."));
  const [status, answer] = success(operation);
  const schema = answer.content["application/json"].schema;
  inside.append(el("h3", {}, "Output ", el("span", { class: "quiet" }, status)), el("p", {}, ...kind(schema)), table(outputRows(follow(schema))));
  inside.append(el("h3", {}, "Errors"), el("ul", { class: "codes" }, ...operation["x-error-codes"].map((code) => el("li", {}, el("a", { href: "#errors-" + code }, code)))));
  const shown = el("code", {}, curl(request(method, path, operation, exampleInput(operation))));
  inside.append(el("div", { class: "bar" }, el("h3", {}, "curl"), copyButton(() => shown.textContent)), el("pre", { tabindex: "0" }, shown));
  inside.append(tryIt(method, path, operation, shown));
  return inside;
}

function showOperation(method, path, operation) {
  const box = el("details", { class: "operation", id: operation.operationId }, el("summary", {},
    el("span", { class: "method " + method }, method), el("span", { class: "path" }, path),
    el("span", { class: "says" }, ...words(operation.summary))));
  // Most are never opened: their insides are made when they are.
  box.addEventListener("toggle", () => { if (box.open && box.children.length === 1) box.append(details(method, path, operation)); });
  const fields = [...operation.parameters.map((one) => one.name), ...Object.keys(bodyOf(operation)?.schema.properties ?? {})];
  const entry = el("li", {}, el("a", { href: "#" + operation.operationId }, operation.operationId.split(".").pop()));
  const text = [operation.operationId, method, path, operation.summary, ...fields].join(" ").toLowerCase();
  return { box, entry, text };
}

function showType(name, schema) {
  const variants = (schema.oneOf ?? schema.anyOf ?? []).flatMap((one) => {
    if (one.properties) return [el("p", {}, ...words(one.description)), table(fieldRows(one))];
    const values = one.const !== undefined ? [one.const] : one.enum ?? [];
    return [el("p", {}, ...values.flatMap((value) => [el("code", {}, String(value)), " "]), ...words(one.description))];
  });
  const rows = /View$|^Page/.test(name) ? outputRows(schema) : fieldRows(schema);
  const inside = rows.length ? table(rows) : el("div", { class: "wide" }, el("p", {}, ...(schema.oneOf ? [] : kind(schema)), " ", el("span", { class: "quiet" }, bounds(schema))));
  inside.append(...variants);
  return el("details", { class: "type", id: "type-" + name }, el("summary", {}, el("code", {}, name), " ", ...words(schema.description)), inside);
}

// Opens what the address names, and whatever it is in.
function openTarget() {
  const target = byId(decodeURIComponent(location.hash.slice(1)));
  if (!target) return;
  if (target.tagName === "DETAILS") target.open = true;
  target.hidden = false;
  target.scrollIntoView();
}

function search(routers) {
  const box = byId("search");
  const look = () => {
    const wanted = box.value.toLowerCase().split(/\s+/).filter(Boolean);
    let count = 0;
    for (const router of routers) {
      let any = false;
      for (const one of router.operations) {
        const fits = wanted.every((word) => one.text.includes(word));
        one.box.hidden = one.entry.hidden = !fits;
        any ||= fits;
        count += fits;
      }
      router.section.hidden = router.group.hidden = !any;
    }
    byId("found").textContent = wanted.length ? `${count} found` : "";
  };
  box.addEventListener("input", look);
  document.addEventListener("keydown", (event) => {
    const typing = /^(INPUT|TEXTAREA)$/.test(document.activeElement.tagName);
    if (event.key === "/" && !typing && !event.ctrlKey && !event.metaKey) { event.preventDefault(); box.focus(); }
    if (event.key === "Escape" && document.activeElement === box) { box.value = ""; look(); }
  });
}

function show() {
  byId("version").textContent = api.info.version;
  byId("waiting").remove();
  const routers = api.tags.map((tag) => {
    const section = el("section", { class: "router", id: "router-" + tag.name }, el("h2", {}, tag.name), el("p", {}, ...words(tag.description)));
    const list = el("ul");
    const group = el("div", {}, el("p", { class: "group" }, el("a", { href: "#router-" + tag.name }, tag.name)), list);
    byId("operations").append(section);
    byId("contents").append(group);
    return { name: tag.name, section, group, list, operations: [] };
  });
  for (const [path, methods] of Object.entries(api.paths)) {
    for (const [method, operation] of Object.entries(methods)) {
      const router = routers.find((one) => one.name === operation.tags[0]);
      const shown = showOperation(method.toUpperCase(), path, operation);
      router.section.append(shown.box);
      router.list.append(shown.entry);
      router.operations.push(shown);
    }
  }
  for (const [name, schema] of Object.entries(api.components.schemas)) byId("types").append(showType(name, schema));
  byId("types").hidden = false;
  search(routers);
  addEventListener("hashchange", openTarget);
  openTarget();
}

fetch("/api/v1/openapi.json").then((answer) => answer.json()).then((read) => { api = read; show(); }, () => {
  byId("waiting").textContent = "The description could not be read. Reload the page to try again.";
});
