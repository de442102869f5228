// Makes the files for pages without a bundler.
import { build } from "esbuild";

const NOTICE =
  "/* furniture-events, MIT license. With socket.io-client and its parts, MIT license, " +
  "(c) Guillermo Rauch and Socket.IO contributors. */";
const common = {
  entryPoints: ["src/index.ts"],
  bundle: true,
  minify: true,
  target: "es2022",
  banner: { js: NOTICE },
};

await build({ ...common, format: "esm", outfile: "dist/browser/furniture-events.js" });
await build({
  ...common,
  format: "iife",
  globalName: "FurnitureEvents",
  outfile: "dist/browser/furniture-events.global.js",
});
await build({
  ...common,
  entryPoints: ["src/django.ts"],
  format: "iife",
  outfile: "dist/browser/django-live.js",
});
