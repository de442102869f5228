// Consumers with stock clients: node consumers.mjs socketio|websocket|sse COUNT URL…
// They take turns with the URLs. Standard output has a line of JSON with the new arrivals, every 50 ms:
// [[consumer, number, nanoseconds of the monotonic clock], …]. The process ends with its standard input.
import { EventSource } from "eventsource";
import ReconnectingWebSocket from "reconnecting-websocket";
import { io } from "socket.io-client";
import WebSocket from "ws";

const [kind, count, ...urls] = process.argv.slice(2);
const NUMBER = /"furniture_id":\s*"(\d{24})"/;

let arrivals = [];
const saw = (consumer, text) => {
  const number = NUMBER.exec(text);
  if (number) arrivals.push([consumer, Number(number[1]), Number(process.hrtime.bigint())]);
};

// A browser's WebSocket has no "error" that ends the program if nobody listens.
class BrowserWebSocket extends WebSocket {
  constructor(...values) {
    super(...values).on("error", () => {});
  }
}

const consume = {
  // With its default options.
  socketio(url, consumer) {
    io(url, { forceNew: true }).onAny((...values) => saw(consumer, JSON.stringify(values)));
  },
  // It waits as long between its attempts as socket.io-client does by default.
  websocket(url, consumer) {
    const minReconnectionDelay = 500 + 1000 * Math.random();
    const options = { WebSocket: BrowserWebSocket, minReconnectionDelay, maxReconnectionDelay: 5000, reconnectionDelayGrowFactor: 2, minUptime: 0 };
    new ReconnectingWebSocket(url, [], options).onmessage = ({ data }) => saw(consumer, data);
  },
  // With its default options. It obeys the "retry" of a server.
  sse(url, consumer) {
    new EventSource(url).onmessage = ({ data }) => saw(consumer, data);
  },
}[kind];

for (let consumer = 0; consumer < Number(count); consumer++) consume(urls[consumer % urls.length], consumer);

setInterval(() => {
  if (arrivals.length) process.stdout.write(`${JSON.stringify(arrivals)}\n`);
  arrivals = [];
}, 50);
process.stdin.on("end", () => process.exit()).resume();
