/* Commands to copy, with this server's own address: they work as they stand. */

import { el } from "./dom.js";
import { BASE } from "./visitor.js";
import { t } from "./words.js";

const url = BASE.replace(/\/$/, ""), socket = BASE.replace(/^http/, "ws").replace(/\/$/, "");
const prefix = new URL(BASE).pathname;
const EXAMPLE = '{"type": "furniture_created", "furniture": {"furniture_id": "1", "nombre": "Mesa de roble", "descripcion": "", "altura": 75, "ancho": 120, "material": "roble", "autor_username": "ana"}}';

export const PUBLISH = [
  ["wscat", `npx wscat -c ${socket} -x '${EXAMPLE}'`],
  ["curl", `curl ${url}/api/events \\\n  -H 'Content-Type: application/json' \\\n  -d '${EXAMPLE}'`],
  ["Python", `from furniture_events import Producer

with Producer("${url}") as producer:
    producer.furniture_created({
        "furniture_id": "1", "nombre": "Mesa de roble", "descripcion": "",
        "altura": 75, "ancho": 120, "material": "roble", "autor_username": "ana",
    })`],
  ["Django", `# settings.py
INSTALLED_APPS += ["furniture_events.django"]
FURNITURE_EVENTS = {
    "URL": "${url}",
    "MODELS": {"catalog.Mueble": {"autor_username": "autor__username"}},
}

$ python manage.py migrate
$ python manage.py relay_furniture_events`],
];

export const LISTEN = [
  ["Socket.IO", `const socket = io("${new URL(BASE).origin}"${prefix === "/" ? "" : `, { path: "${prefix}socket.io/" }`});
socket.on("furniture_created", ({ furniture }) => show(furniture));`],
  ["WebSocket", `npx wscat -c "${socket}?room=material:roble"`],
  ["SSE", `curl -N ${url}/api/stream`],
  ["HTTP", `curl "${url}/api/events?limit=10"`],
];

/** Make tabs of commands: arrow keys move between them, and each has a button that copies it. */
export function codeTabs(list, name) {
  const tabs = [], panels = [];
  const choose = (at) => tabs.forEach((tab, i) => {
    tab.setAttribute("aria-selected", String(i === at));
    tab.tabIndex = i === at ? 0 : -1;
    panels[i].hidden = i !== at;
  });
  const move = (event, from) => {
    const step = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
    if (!step) return;
    event.preventDefault();
    const to = (from + step + list.length) % list.length;
    choose(to);
    tabs[to].focus();
  };
  const copyButton = (code, panel) => el("button", { type: "button", class: "copy", on: { async click({ currentTarget: button }) {
    try {
      await navigator.clipboard.writeText(code);
      button.textContent = t("copied");
      setTimeout(() => { button.textContent = t("copy"); }, 1600);
    } catch {
      getSelection().selectAllChildren(panel.querySelector("code")); // one key press copies it
    }
  } } }, t("copy"));
  list.forEach(([label, code], i) => {
    tabs.push(el("button", { type: "button", role: "tab", id: `${name}-tab-${i}`, "aria-controls": `${name}-panel-${i}`, on: { click: () => choose(i), keydown: (event) => move(event, i) } }, label));
    const panel = el("div", { role: "tabpanel", id: `${name}-panel-${i}`, "aria-labelledby": `${name}-tab-${i}`, class: "panel" }, el("pre", { tabindex: 0, role: "region", "aria-label": label }, el("code", {}, code)));
    panel.append(copyButton(code, panel));
    panels.push(panel);
  });
  choose(0);
  return el("div", { class: "code" }, el("div", { class: "tabs", role: "tablist", "aria-label": t(name === "listen" ? "listen" : "publish") }, tabs), panels);
}
