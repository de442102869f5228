/* The view "Connect": how to publish and how to listen, on every door of this server. */

import { $, el } from "./dom.js";
import { codeTabs, LISTEN, PUBLISH } from "./commands.js";
import { t } from "./words.js";

const PATHS = ["api/docs", "api/openapi.json", "api/asyncapi.json", "client/furniture-events.js", "socket.io/socket.io.js", "healthz", "readyz", "metrics"];

export function renderConnect() {
  $("view-connect").replaceChildren(el("div", { class: "page-narrow" },
    el("h1", { id: "h-connect" }, t("connect_title")), el("p", { class: "lead" }, t("connect_lead")),
    el("h2", {}, t("publish")), codeTabs(PUBLISH, "publish"), el("h2", {}, t("listen")), codeTabs(LISTEN, "listen"),
    el("h2", {}, t("contracts")), el("ul", { class: "paths" }, PATHS.map((path) => el("li", {}, el("a", { href: path }, `/${path}`))))));
}
