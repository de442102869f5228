// The event types of the contract, which the server and all clients are compared with.
import { readFileSync } from "node:fs";

const contract = readFileSync(new URL("../vectors/contract.json", import.meta.url), "utf8");
export const EVENT_TYPES = JSON.parse(contract).event_types;
