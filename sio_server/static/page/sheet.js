/* The form: creates, changes and deletes a piece. It closes once the broker has stored the event. */

import { $, bdi, el, icon, ICONS } from "./dom.js";
import { figure, wallFor } from "./figure.js";
import { swatch } from "./grain.js";
import { N, parseNumber, plainNumber } from "./numbers.js";
import { brokerFaults, faults, FIELDS, fieldsOf, newId, NUMBERS } from "./rules.js";
import { rights } from "./visitor.js";
import { t } from "./words.js";

const KNOWN = ["roble", "pino", "nogal", "haya", "tela", "metal", "cristal", "mármol", "plástico"];
const EMPTY = { nombre: "", descripcion: "", altura: "", ancho: "", material: "", autor_username: "" };

/**
 * Open the form.
 * @param piece the piece to change; null: a new one
 * @param on {publish(type, furniture, id), isLive(), exists(id)}
 */
export function openSheet(piece, on) {
  const sheet = $("sheet"), inputs = {}, hosts = {}, touched = new Set();
  // Without a change of the fields, a second attempt has the same id, so it cannot double the event.
  let attempt = { fields: "", id: "" }, refused = {};
  const id = piece?.furniture_id ?? newId();
  const start = piece ?? { ...EMPTY, autor_username: rights.identity ?? "" };
  const stage = el("div", { class: "preview", role: "img", "aria-label": t("preview") });
  const summary = el("p", { class: "summary", role: "alert" });

  function field(name, label, { hint = "", unit = null, rows = null, optional = false } = {}) {
    const inputId = `in-${name}`;
    const input = el(rows ? "textarea" : "input", { id: inputId, name, rows, type: !rows && "text", inputmode: unit && "decimal", autocomplete: "off", "aria-describedby": `${inputId}-help`, required: !optional });
    input.value = NUMBERS.includes(name) ? plainNumber(start[name]) : start[name];
    inputs[name] = input;
    hosts[name] = el("div", { class: `field field-${name}` }, el("label", { for: inputId }, label, optional && el("span", { class: "optional" }, t("optional"))),
      el("div", { class: "control" }, input, unit && el("span", { class: "unit", "aria-hidden": "true" }, unit)), el("p", { class: "help", id: `${inputId}-help` }, hint));
    hosts[name].hint = hint;
    return hosts[name];
  }

  const read = () => Object.fromEntries(FIELDS.map((name) => [name, inputs[name].value]));

  /** Show the faults of the fields that the visitor has left, and the broker's. */
  function mark() {
    const found = { ...faults(read()), ...refused };
    for (const name of FIELDS) {
      const fault = touched.has(name) ? found[name] : undefined, help = hosts[name].querySelector(".help");
      hosts[name].classList.toggle("is-wrong", Boolean(fault));
      if (fault) inputs[name].setAttribute("aria-invalid", "true");
      else inputs[name].removeAttribute("aria-invalid");
      help.replaceChildren(...(fault ? [icon(ICONS.warn), bdi(fault)] : [hosts[name].hint]));
    }
    return FIELDS.filter((name) => found[name]);
  }

  function preview() {
    const values = read(), size = (text, other) => (parseNumber(text) >= 0 && Number.isFinite(parseNumber(text)) ? parseNumber(text) : other);
    const shown = { ...values, altura: size(values.altura, 75), ancho: size(values.ancho, 120) };
    const number = (value, name) => (size(values[name], null) === null ? "?" : N(value));
    stage.replaceChildren(figure(shown, { wall: wallFor([shown], { width: 400, height: 224, numbers: true }), number }));
    stage.classList.toggle("is-blank", !values.nombre && !values.material);
    for (const sample of sheet.querySelectorAll("[data-set-material]")) sample.setAttribute("aria-pressed", String(sample.dataset.setMaterial === values.material));
  }

  /** Publish, and close the form; or say in the form why not. */
  async function send(type, furniture, button) {
    if (!on.isLive()) return void (summary.textContent = t("e_offline"));
    const fields = JSON.stringify([type, furniture]);
    if (attempt.fields !== fields) attempt = { fields, id: newId() };
    const label = button.textContent;
    button.disabled = true;
    button.textContent = t("saving");
    try {
      await on.publish(type, furniture, attempt.id);
      if (sheet.contains(button)) sheet.close();
    } catch (error) {
      refuse(error);
    } finally {
      button.disabled = false;
      button.textContent = label;
    }
  }

  function refuse({ code, message, details = [], maybeAppended = false }) {
    refused = brokerFaults(details);
    Object.keys(refused).forEach((name) => touched.add(name));
    const [first] = mark();
    const known = maybeAppended ? t("e_maybe") : first ? t("e_summary", Object.keys(refused).length) : t("e_server");
    summary.replaceChildren(`${known} `, el("code", {}, code ?? "internal"), first || maybeAppended ? "" : bdi(` ${message}`));
    (first ? inputs[first] : summary).focus();
  }

  function submit(event) {
    event.preventDefault();
    FIELDS.forEach((name) => touched.add(name));
    refused = {};
    const wrong = mark();
    summary.textContent = wrong.length ? t("e_summary", wrong.length) : "";
    if (wrong.length) return void inputs[wrong[0]].focus();
    // The fields that this form does not know stay as they were.
    const furniture = { ...piece, furniture_id: id, ...fieldsOf(read()) };
    return void send(piece && on.exists(id) ? "furniture_updated" : "furniture_created", furniture, sheet.querySelector("footer .button"));
  }

  const close = () => sheet.close();
  const sample = (name) => el("button", { type: "button", class: "sample", "data-set-material": name, "aria-pressed": "false", on: { click() {
    inputs.material.value = name;
    touched.add("material");
    changed("material");
  } } }, swatch(name), el("span", {}, name));

  function changed(name) {
    delete refused[name];
    mark();
    preview();
  }

  const form = el("form", { class: "sheet-form", novalidate: true, on: { submit, input: (event) => changed(event.target.name), focusout({ target }) {
    if (!inputs[target.name] || !target.value) return;
    touched.add(target.name);
    mark();
  } } },
  el("header", {}, el("h2", { id: "h-sheet" }, t(piece ? "edit_title" : "create_title")), el("button", { type: "button", class: "icon", "aria-label": t("close"), on: { click: close } }, icon(ICONS.close))),
  el("div", { class: "sheet-body" }, stage, summary, field("nombre", t("name"), { hint: t("name_hint") }),
    el("div", { class: "two" }, field("ancho", t("width"), { unit: t("cm") }), field("altura", t("height"), { unit: t("cm") })),
    field("material", t("material"), { hint: t("material_hint") }), el("div", { class: "palette", role: "group", "aria-label": t("material") }, KNOWN.map(sample)),
    field("autor_username", t("author_label")), field("descripcion", t("description"), { rows: 3, optional: true })),
  el("footer", {}, el("button", { class: "button" }, t(piece ? "save_edit" : "save")), el("button", { type: "button", class: "button plain", on: { click: close } }, t("cancel")),
    piece && removal(() => piece && send("furniture_deleted", piece, sheet.querySelector(".sure .danger")))));
  sheet.replaceChildren(form);
  preview();
  sheet.showModal();
  inputs.nombre.focus();
  return {
    /** Somebody deleted the piece meanwhile. */
    warn: () => (summary.textContent = t("e_gone")),
    id: piece?.furniture_id ?? null,
  };
}

/** The button that deletes. It asks once, in its place. */
function removal(remove) {
  const no = () => toggle(false);
  const button = el("button", { type: "button", class: "button quiet-danger", on: { click: () => toggle(true) } }, t("remove"));
  const sure = el("div", { class: "sure", hidden: true }, el("p", {}, t("remove_sure")), el("button", { type: "button", class: "button danger", on: { click: remove } }, t("remove_yes")), el("button", { type: "button", class: "button plain", on: { click: no } }, t("remove_no")));
  function toggle(asks) {
    sure.hidden = !asks;
    button.hidden = asks;
    (asks ? sure.querySelector("button") : button).focus();
  }
  return [button, sure];
}
