/** Which errors of socket.io-client are final, and what the page is told. */

import assert from "node:assert/strict";
import { test } from "node:test";
import { explain, isTooLarge } from "../src/failures.js";

const failure = (message: string, fields: object = {}) =>
  explain(Object.assign(new Error(message), fields));
const answer = (status: number, responseText: string) => ({ context: { status, responseText } });

test("a refusal of the server has the server's code, and is final unless it is temporary", () => {
  for (const [code, isFinal] of [
    ["forbidden", true],
    ["unknown_room", true],
    ["invalid_offset", true],
    ["rate_limited", false],
    ["too_many_connections", false],
  ] as const) {
    const { reason, ...rest } = failure("why", { data: { code, message: "why" } });
    assert.deepEqual([reason, rest.isFinal], [{ code, message: "why" }, isFinal]);
  }
});

test("another server, or another version, is final", () => {
  for (const found of [
    failure("Invalid namespace", { data: undefined }),
    failure("no", { data: { reason: "of another server" } }),
    failure("It seems you are trying to reach a Socket.IO server in v2.x with a v3.x client"),
    failure("xhr poll error", answer(400, '{"code":5,"message":"Unsupported protocol version"}')),
  ])
    assert.deepEqual([found.reason.code, found.isFinal], ["wrong_version", true]);
});

test("a server that is away, or a proxy in its place, is not final", () => {
  for (const [found, detail] of [
    [failure("websocket error"), "websocket error"],
    [failure("timeout"), "timeout"],
    [failure("xhr poll error", answer(502, "<html>502 Bad Gateway</html>")), "HTTP 502"],
    [failure("xhr poll error", answer(404, '{"code":404}')), "HTTP 404"],
    [failure("xhr poll error", answer(200, "null")), "HTTP 200"],
  ] as const) {
    assert.deepEqual([found.reason.code, found.isFinal], ["unreachable", false]);
    assert.ok(found.reason.message.includes(detail));
  }
});

test("a problem that the server answers over HTTP keeps its code", () => {
  const body = '{"type":"about:blank","status":503,"code":"too_many_connections","message":"full"}';
  const { reason, isFinal } = failure("xhr poll error", answer(503, body));
  assert.deepEqual([reason, isFinal], [{ code: "too_many_connections", message: "full" }, false]);
});

test("only the close code 1009 says that a message was too large", () => {
  assert.ok(isTooLarge({ context: { code: 1009 } }));
  for (const other of [undefined, new Error("x"), {}, { context: { code: 1006 } }])
    assert.ok(!isTooLarge(other));
});
