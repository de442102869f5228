/**
 * Makes a list on the page equal to the same list in a newer page of the site.
 *
 * A row is a child of the list. It is known by its `data-furniture-id`, any other child by its
 * HTML. Only what the server changed is changed: the rest of a row, such as its focus, typed text
 * and attributes of other scripts, stays.
 */

/** What the server has sent for a row, which other scripts may have changed since. */
const sent = new WeakMap<Element, Element>();

/** Rows that the server does not send any more, while the site's CSS shows how they go. */
const leaving = new WeakSet<Element>();

const CSRF = "input[name=csrfmiddlewaretoken]";

export type RowChange = "created" | "updated";

/** Remember the rows as the server has sent them, before other scripts change them. */
export function rememberRows(list: Element): void {
  for (const row of list.children) sent.set(row, row.cloneNode(true) as Element);
}

/** Show the rows of a newer list. Returns the new and the changed rows. */
export function showRows(list: Element, newer: Element): Map<Element, RowChange> {
  const focused = document.activeElement;
  const rest = new Map<string, Element[]>();
  for (const row of list.children) {
    if (leaving.has(row)) continue;
    const key = keyOf(row);
    rest.set(key, [...(rest.get(key) ?? []), row]);
  }
  const changes = new Map<Element, RowChange>();
  const rows = [...newer.children].map((now) => {
    const row = rest.get(keyOf(now))?.shift() ?? document.importNode(now, true);
    const before = sentFor(row);
    if (row.parentNode !== list) {
      changes.set(row, "created");
    } else if (htmlOf(before) !== htmlOf(now)) {
      patch(row, before, now);
      changes.set(row, "updated");
    }
    sent.set(row, now);
    return row;
  });
  for (const row of [...rest.values()].flat()) leave(row);
  order(list, rows);
  if (focused !== document.activeElement && focused instanceof HTMLElement && focused.isConnected)
    focused.focus({ preventScroll: true });
  return changes;
}

/** Remove a row when the animations that it has as a deleted row are over: at once if it has none. */
function leave(row: Element): void {
  leaving.add(row);
  row.setAttribute("data-furniture-change", "deleted");
  row.toggleAttribute("inert", true);
  const ends = row
    .getAnimations()
    .filter(({ effect }) => effect?.getComputedTiming().endTime !== Infinity)
    .map(({ finished }) => finished);
  if (ends.length) void Promise.allSettled(ends).then(() => row.remove());
  else row.remove();
}

function sentFor(row: Element): Element {
  return sent.get(row) ?? (row.cloneNode(true) as Element);
}

function keyOf(row: Element): string {
  const id = row.getAttribute("data-furniture-id");
  return id === null ? htmlOf(sentFor(row)) : `id ${id}`;
}

/** Return the HTML of a row, without Django's CSRF token: that one is another one in each page. */
function htmlOf(row: Element): string {
  if (!row.querySelector(CSRF)) return row.outerHTML;
  const copy = row.cloneNode(true) as Element;
  for (const input of copy.querySelectorAll(CSRF)) input.removeAttribute("value");
  return copy.outerHTML;
}

/** Change a node on the page as the server has changed it. */
function patch(node: Node, before: Node, now: Node): void {
  if (before.isEqualNode(now)) return;
  if (!isElement(node) || !isElement(before) || !isElement(now)) {
    node.nodeValue = now.nodeValue;
    return;
  }
  for (const { name } of before.attributes) if (!now.hasAttribute(name)) node.removeAttribute(name);
  for (const { name, value } of now.attributes)
    if (before.getAttribute(name) !== value) node.setAttribute(name, value);
  const [nodes, olds, news] = [node, before, now].map((it) => [...it.childNodes]);
  if (haveOneForm(nodes!, olds!) && haveOneForm(olds!, news!)) {
    nodes!.forEach((child, index) => patch(child, olds![index]!, news![index]!));
  } else if (htmlOf(before) !== htmlOf(now)) {
    node.replaceChildren(...news!.map((child) => document.importNode(child, true)));
  }
}

function isElement(node: Node): node is Element {
  return node.nodeType === Node.ELEMENT_NODE;
}

function haveOneForm(some: Node[], others: Node[]): boolean {
  const names = (nodes: Node[]) => nodes.map(({ nodeName }) => nodeName).join();
  return names(some) === names(others);
}

/** Put the rows in this order. A row that is in its place is not moved: a move may end its focus. */
function order(list: Element, rows: Element[]): void {
  let next = staying(list.firstElementChild);
  for (const row of rows) {
    if (next !== row && staying(next?.nextElementSibling) === row) next = row; // the one before it moves later
    if (next === row) next = staying(row.nextElementSibling);
    else move(list, row, next);
  }
}

/** Return this row, or the first one after it that stays. */
function staying(row: Element | null | undefined): Element | null {
  while (row && leaving.has(row)) row = row.nextElementSibling;
  return row ?? null;
}

function move(list: Element, row: Element, next: Element | null): void {
  // Newer browsers keep the focus of a row that they move.
  if (row.isConnected && "moveBefore" in list)
    (list.moveBefore as typeof list.insertBefore)(row, next);
  else list.insertBefore(row, next);
}
