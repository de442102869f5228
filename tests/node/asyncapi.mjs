// Reads a document of AsyncAPI from the standard input; prints what AsyncAPI's own parser finds wrong.
import { readFileSync } from "node:fs";
import { Parser } from "@asyncapi/parser";

const NEWER_VERSION = "asyncapi-latest-version";
const { diagnostics } = await new Parser().parse(readFileSync(0, "utf8"));
for (const { code, message, path } of diagnostics) {
  if (code !== NEWER_VERSION) console.log(`${path.join(".")}: ${code}: ${message}`);
}
