/** The Vue composables: they follow the catalogue as long as their scope lives. */

import assert from "node:assert/strict";
import { test } from "node:test";
import { computed, effectScope } from "vue";
import { useCatalog, useCatalogState } from "../src/vue.js";
import { piece } from "./broker.js";
import { broker, connect } from "./scene.js";
import { settle } from "./time.js";

test("a list and a state in Vue are current until their scope ends", async () => {
  const { catalog, store, becomes } = connect();
  const scope = effectScope();
  const { names, state } = scope.run(() => {
    const list = useCatalog(store);
    return {
      names: computed(() => list.value.items.map(({ nombre }) => nombre)),
      state: useCatalogState(catalog),
    };
  })!;
  assert.deepEqual([names.value, state.value.name], [[], "connecting"]);
  await becomes("live");
  broker.append("furniture_created", piece("1", "Mesa"));
  await settle();
  assert.deepEqual([names.value, state.value.name], [["Mesa"], "live"]);
  scope.stop();
  broker.append("furniture_deleted", piece("1"));
  await settle();
  assert.deepEqual(names.value, ["Mesa"]);
});
