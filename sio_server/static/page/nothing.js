/* What the catalogue shows if it has no cards: no pieces yet, no match, or no access. */

import { $, bdi, el } from "./dom.js";
import { codeTabs, PUBLISH } from "./commands.js";
import { emptyRoom } from "./figure.js";
import { currentToken, rights } from "./visitor.js";
import { has, t } from "./words.js";

const TABLE = "M-60 -75H60M-52 -75V0M52 -75V0", SHELF = "M-70 0V-70H70V0M-70 -35H70", DOOR = "M-42 0V-120H42V0M30 -58v8";
const button = (key, click, look = "") => el("button", { type: "button", class: `button ${look}`, on: { click } }, t(key));

/** The sentence for a reason of the connection; the server's own words if there is none. */
export const why = ({ code, message }) => (has(`r_${code}`) ? t(`r_${code}`) : message);

/**
 * Show why there is nothing.
 * @param link the state of the connection
 * @param count the number of pieces, and `found` the number that match
 * @param act {clear, publishExample, create, retry, forgetToken}
 */
export function renderNothing({ link, count, found, asked, act }) {
  const place = $("nothing"), isDenied = link.name === "denied";
  const kind = isDenied ? "denied" : found ? "" : count || asked ? "none" : ["live", "still"].includes(link.name) ? "empty" : "waiting";
  const now = JSON.stringify([kind, asked, link.reason, rights.publish, t("copy")]);
  place.hidden = kind === "" || kind === "waiting";
  if (place.dataset.now === now) return;
  place.dataset.now = now;
  if (place.hidden) place.replaceChildren();
  else place.replaceChildren(...{ denied, none, empty }[kind]({ link, asked, act }));
}

function denied({ link: { reason }, act }) {
  if (reason?.code === "wrong_version")
    return [emptyRoom(DOOR), el("h2", {}, t("version_title")), el("p", {}, t("version_text")), reasonCode(reason), button("reload", () => location.reload())];
  return [emptyRoom(DOOR), el("h2", {}, t("denied")), el("p", {}, reason ? why(reason) : ""), el("p", {}, t("denied_text")), reason && reasonCode(reason),
    el("div", { class: "choices" }, button("retry", act.retry), currentToken() && button("forget_token", act.forgetToken, "plain"))].filter(Boolean);
}

/** The code and the server's words, for developers. */
const reasonCode = ({ code, message }) => el("p", { class: "mono reason" }, `${code}: ${message}`);

const none = ({ asked, act }) => [emptyRoom(SHELF), el("h2", {}, t("none_title")), el("p", {}, bdi(t("none_text", asked))), button("clear", act.clear)];

const empty = ({ act }) => [emptyRoom(TABLE), el("h2", {}, t("empty_title")), el("p", {}, t(rights.publish ? "empty_text" : "empty_closed")),
  ...(rights.publish ? [el("div", { class: "choices" }, button("publish_example", act.publishExample), button("new_piece", act.create, "plain")), el("p", { class: "quiet-line" }, t("or_terminal"))] : [el("p", { class: "quiet-line" })]),
  codeTabs(PUBLISH, "empty")];
