/** Commands: their order, their retries, their errors. */

import assert from "node:assert/strict";
import { afterEach, beforeEach, test } from "node:test";
import { type Commands, makeCommands } from "../src/commands.js";
import type { Answer } from "../src/events.js";
import { CatalogError } from "../src/state.js";
import { pass, restoreTime, settle, stopTime } from "./time.js";

beforeEach(stopTime);
afterEach(restoreTime);

interface Sent {
  readonly argument: unknown;
  answer(answer: Answer<object>): void;
}

function connection(commands: Commands): Sent[] {
  const sent: Sent[] = [];
  commands.connected((_, argument, answer) => sent.push({ argument, answer }));
  return sent;
}

const refusal = (code: "log_unavailable" | "forbidden"): Answer<object> => ({
  ok: false,
  error: { code, message: code, details: [{ field: "x", message: "y" }] },
});

const rejected = (promise: Promise<unknown>): Promise<CatalogError> =>
  promise.then(
    () => assert.fail("resolved"),
    (error: unknown) => {
      assert.ok(error instanceof CatalogError);
      return error;
    },
  );

test("commands wait for a connection, and are sent in their order", async () => {
  const commands = makeCommands();
  const results = [1, 2, 3].map((n) => commands.request("x", n, `piece ${n}`, 1_000));
  const sent = connection(commands);
  assert.deepEqual(sent.map(({ argument }) => argument), [1, 2, 3]);
  for (const { argument, answer } of sent) answer({ ok: true, argument } as never);
  assert.deepEqual(await Promise.all(results), [{ argument: 1 }, { argument: 2 }, { argument: 3 }]);
});

test("a command without an answer is sent again after a reconnect, before later ones", async () => {
  const commands = makeCommands();
  const first = connection(commands);
  void commands.request("x", 1, "a", 1_000);
  void commands.request("x", 2, "b", 1_000);
  first[1]!.answer({ ok: true });
  commands.lost();
  void commands.request("x", 3, "c", 1_000);
  assert.deepEqual(connection(commands).map(({ argument }) => argument), [1, 3]);
});

test("commands of one piece never overtake each other", async () => {
  const commands = makeCommands();
  const sent = connection(commands);
  void commands.request("x", 1, "a", 60_000);
  void commands.request("x", 2, "a", 60_000);
  void commands.request("x", 3, "b", 60_000);
  const order = () => sent.map(({ argument }) => argument);
  assert.deepEqual(order(), [1, 3]);
  sent[0]!.answer(refusal("log_unavailable"));
  assert.deepEqual(order(), [1, 3], "it waits before it is sent again");
  await pass(500);
  assert.deepEqual(order(), [1, 3, 1]);
  sent[2]!.answer({ ok: true });
  assert.deepEqual(order(), [1, 3, 1, 2]);
});

test("an error of the server rejects with its code, message and details", async () => {
  const commands = makeCommands();
  const sent = connection(commands);
  const error = rejected(commands.request("x", 1, "a", 1_000));
  sent[0]!.answer(refusal("forbidden"));
  const { code, message, details, maybeAppended } = await error;
  assert.deepEqual([code, message, maybeAppended], ["forbidden", "forbidden", false]);
  assert.deepEqual(details, [{ field: "x", message: "y" }]);
});

test("an error after a lost answer says that the event may be in the log", async () => {
  const commands = makeCommands();
  connection(commands);
  const error = rejected(commands.request("x", 1, "a", 1_000));
  commands.lost();
  connection(commands)[0]!.answer(refusal("forbidden"));
  assert.equal((await error).maybeAppended, true);
});

test("after its time a command is rejected, and the next one of its piece is sent", async () => {
  const commands = makeCommands();
  const unsent = rejected(commands.request("x", 0, "a", 500));
  await pass(500);
  assert.deepEqual([(await unsent).code, (await unsent).maybeAppended], ["timeout", false]);
  const sent = connection(commands);
  const error = rejected(commands.request("x", 1, "a", 1_000));
  void commands.request("x", 2, "a", 5_000);
  await pass(1_000);
  assert.deepEqual([(await error).code, (await error).maybeAppended], ["timeout", true]);
  assert.deepEqual(sent.map(({ argument }) => argument), [1, 2]);
  sent[0]!.answer({ ok: true }); // too late, and no error
});

test("only the longest sent message is blamed for a message that is too large", async () => {
  const commands = makeCommands();
  connection(commands);
  void commands.request("x", "short", "a", 1_000);
  const error = rejected(commands.request("x", "much longer", "b", 1_000));
  commands.tooLarge();
  commands.lost();
  assert.equal((await error).code, "too_large");
  assert.deepEqual(connection(commands).map(({ argument }) => argument), ["short"]);
});

test("a refusal rejects all commands, also the later ones, until the client is accepted", async () => {
  const commands = makeCommands();
  const first = rejected(commands.request("x", 1, "a", 1_000));
  commands.refuse({ code: "forbidden", message: "no" });
  const second = rejected(commands.request("x", 2, "a", 1_000));
  assert.deepEqual([(await first).code, (await second).code], ["forbidden", "forbidden"]);
  commands.accept();
  void commands.request("x", 3, "a", 1_000);
  assert.equal(connection(commands).length, 1);
});

test("a value that is no JSON is rejected, and harms no other command", async () => {
  const commands = makeCommands();
  await assert.rejects(commands.request("x", { altura: 1n }, "a", 1_000), TypeError);
  void commands.request("x", 1, "a", 1_000);
  assert.equal(connection(commands).length, 1);
});

test("a result that nobody looks at is no unhandled rejection", async () => {
  const commands = makeCommands();
  void commands.request("x", 1, "a", 10);
  await pass(50);
  await settle();
});
