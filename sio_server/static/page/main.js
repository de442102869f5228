/* The live page: puts the parts together. */

import { makeActivity } from "./activity.js";
import { makeCatalogue } from "./catalogue.js";
import { renderConnect } from "./connect_view.js";
import { connect } from "./connection.js";
import { $, inFrame } from "./dom.js";
import { makeFilters } from "./filters.js";
import { headline, pulse, showLink, words } from "./header.js";
import { renderNothing } from "./nothing.js";
import { newId } from "./rules.js";
import { followServer, renderServer } from "./server_view.js";
import { openSheet } from "./sheet.js";
import { recall, remember, rights } from "./visitor.js";
import { language, speak, t } from "./words.js";

const VIEWS = { "#servidor": "server", "#conectar": "connect" };
const EXAMPLE = { nombre: "Mesa de roble", descripcion: "", altura: 75, ancho: 180, material: "roble" };

/** The page before there is a connection. */
let connection = { fold: { shown: new Map(), pieces: new Map(), narrow: null, narrowRooms: null, activity: [], older: null, isPartial: false }, link: () => ({ name: "connecting" }), enter() {}, older: async () => false, retry() {}, forgetToken() {} };
let rooms = null, sheet = null, mayPublish = null;

const filters = makeFilters({ all: () => [...connection.fold.pieces.values()], isNarrow: () => rooms !== null }, {
  changed() {
    filters.render();
    catalogue.render();
    rest();
  },
  rooms: (wanted) => connection.enter(wanted),
});
const catalogue = makeCatalogue({ pieces: () => connection.fold.shown, matches: filters.matches, material: filters.material });
const activity = makeActivity({ entries: () => connection.fold.activity, position: () => connection.fold.position, hasOlder: () => connection.fold.older !== null, older: () => connection.older() });

/** Everything beside the cards and the activity. */
function rest() {
  const link = connection.link(), isDenied = link.name === "denied", count = connection.fold.shown.size, found = catalogue.found();
  document.body.classList.toggle("is-denied", isDenied);
  headline({ count: isDenied ? 0 : count, found, isPartial: connection.fold.isPartial, band: catalogue.band(), rooms });
  renderNothing({ link, count, found, asked: filters.asked(), act: { clear: filters.clear, publishExample, create: () => edit(null), retry: connection.retry, forgetToken: connection.forgetToken } });
  $("new").hidden = !rights.publish || isDenied || connection.fold.pieces.size === 0;
  for (const tab of document.querySelectorAll('[data-view="server"]')) tab.hidden = !rights.stats;
}

function renderFilters() {
  filters.render();
  rest();
}

/** Show everything again, over several frames: no step blocks the page for long. */
function all() {
  rest();
  catalogue.render();
  inFrame(renderFilters);
  inFrame(activity.render);
}

function changed(isOther, entries) {
  if (isOther) all();
  else {
    catalogue.update(entries);
    activity.update(entries);
    filters.renderSoon();
    rest();
  }
  if (!isOther) pulse(entries.map(({ event }) => event.type));
  if (sheet && $("sheet").open && entries.some(({ event }) => event.type === "furniture_deleted" && event.furniture.furniture_id === sheet.id)) sheet.warn();
}

function edit(piece) {
  sheet = openSheet(piece, { publish: connection.publish, isLive: () => connection.link().name === "live", exists: (id) => connection.fold.shown.has(id) });
}

function publishExample() {
  const furniture = { ...EXAMPLE, furniture_id: newId(), autor_username: rights.identity ?? "ana" };
  connection.publish("furniture_created", furniture, newId()).catch(() => edit(null)); // the form says why
}

function route() {
  const wanted = VIEWS[location.hash] ?? "catalog", view = wanted === "server" && !rights.stats ? "catalog" : wanted;
  document.body.dataset.view = view;
  for (const section of document.querySelectorAll(".view")) section.hidden = section.id !== `view-${view}`;
  for (const tab of document.querySelectorAll(".views a")) {
    if (tab.dataset.view === view) tab.setAttribute("aria-current", "page");
    else tab.removeAttribute("aria-current");
  }
  if (view === "connect") renderConnect();
  followServer(view === "server");
}

const dark = matchMedia("(prefers-color-scheme: dark)");
const isDark = () => (document.documentElement.dataset.theme ?? (dark.matches ? "dark" : "light")) === "dark";
const themeLabel = () => $("theme").setAttribute("aria-label", t(isDark() ? "theme_to_light" : "theme_to_dark"));

function say(lang) {
  speak(lang);
  document.title = t("page_title");
  themeLabel();
  words();
  all();
  if (!$("view-connect").hidden) renderConnect();
  if (!$("view-server").hidden) renderServer();
}

function listen() {
  addEventListener("hashchange", route);
  for (const button of document.querySelectorAll("[data-lang]")) button.addEventListener("click", () => say(button.dataset.lang));
  $("theme").addEventListener("click", () => {
    const theme = isDark() ? "light" : "dark";
    document.documentElement.dataset.theme = theme;
    remember("theme", theme);
    themeLabel();
  });
  dark.addEventListener("change", themeLabel);
  $("new").addEventListener("click", () => edit(null));
  $("sheet").addEventListener("click", (event) => event.target === $("sheet") && $("sheet").close());
  // The browser gives the focus back to the button that opened the form. A deleted piece has none.
  $("sheet").addEventListener("close", () => !$("main").contains(document.activeElement) && catalogue.leaveFocus(sheet.id));
  $("view-catalog").addEventListener("click", (event) => {
    const button = event.target.closest("[data-edit]"), piece = button && connection.fold.shown.get(button.dataset.edit);
    if (piece) edit(piece);
  });
}

const theme = recall("theme");
if (theme === "dark" || theme === "light") document.documentElement.dataset.theme = theme;
listen();
route();
say(language());
connection = await connect({
  link(link) {
    showLink(link, { retry: () => connection.retry() });
    const isOther = mayPublish !== rights.publish;
    mayPublish = rights.publish;
    rest();
    if (isOther) catalogue.render(); // with pencils, or without
    if (VIEWS[location.hash] === "server" && document.body.dataset.view !== "server") route();
  },
  change: changed,
  rooms(now) {
    rooms = now;
    filters.render();
    rest();
  },
});
all();
