/**
 * A model of a socket of socket.io-client, and of what the server does for it.
 *
 * It follows the wire contract: recovery, gaps, duplicates, rooms. Everything that the server sends
 * waits in a queue until the test delivers it.
 */

import type { Answer, Furniture, FurnitureEventType } from "../src/events.js";
import type { Broker, ConnectData, Session } from "./broker.js";

type Listener = (...values: never[]) => void;
export type Auth = (give: (data: ConnectData) => void) => void;

class FakeEngine {
  private readonly listeners = new Map<string, (value: unknown) => void>();

  constructor(private readonly socket: FakeSocket) {}

  on(name: string, listener: (value: unknown) => void): void {
    this.listeners.set(name, listener);
  }

  call(name: string, value?: unknown): void {
    this.listeners.get(name)?.(value);
  }

  close(): void {
    this.socket.lose("forced close");
  }
}

let pids = 0;

export class FakeSocket {
  connected = false;
  readonly io: { engine: FakeEngine };
  private isActive = false;
  private listeners = new Map<string, Listener>();
  private queue: (() => void)[] = [];
  private pid: string | undefined;
  private lastOffset: string | undefined;
  private rooms: readonly string[] = [];

  constructor(
    private readonly broker: Broker,
    private readonly origin: string,
    private readonly auth: Auth,
  ) {
    this.io = { engine: new FakeEngine(this) };
  }

  on(name: string, listener: Listener): void {
    this.listeners.set(name, listener);
  }

  off(): void {
    this.listeners.clear();
  }

  connect(): void {
    this.isActive = true;
    const engine = (this.io.engine = new FakeEngine(this));
    queueMicrotask(() => {
      if (!this.isActive || engine !== this.io.engine) return;
      const { broker } = this;
      if (!broker.isUp || broker.downOrigins.has(this.origin)) {
        this.call("connect_error", new Error("websocket error"));
        return;
      }
      engine.call("handshake", { pingInterval: 25_000, pingTimeout: 20_000 });
      this.auth((data) => {
        const own = this.pid ? { pid: this.pid, offset: this.lastOffset } : {};
        this.shakeHands(JSON.parse(JSON.stringify({ ...own, ...data })));
      });
    });
  }

  disconnect(): void {
    if (this.connected && this.pid) this.broker.sessions.delete(this.pid);
    this.isActive = false;
    if (this.connected) this.lose("io client disconnect");
  }

  emit(name: string, argument: unknown, ack: (answer: Answer<object>) => void): void {
    const { broker } = this;
    if (!this.connected) throw new Error("the client emits without a connection");
    const error = broker.checkCommand(name, argument);
    if (broker.losesAnswers) {
      if (!error) this.execute(name, argument);
      broker.cut();
      return;
    }
    broker.commands.push({ name, argument });
    const waiting = this.queue.length;
    const answer: Answer<object> = error
      ? { ok: false, error }
      : { ok: true, ...this.execute(name, argument) };
    this.queue.splice(broker.acksFirst ? waiting : this.queue.length, 0, () => ack(answer));
    this.sent();
  }

  /** The transport ends. */
  lose(why: string): void {
    if (!this.connected) return;
    this.connected = false;
    this.queue = [];
    this.broker.sockets.delete(this);
    this.call("disconnect", why);
  }

  /** The server says something that is no event of the log. */
  say(name: string, ...values: unknown[]): void {
    this.queue.push(() => this.call(name, ...values));
    this.sent();
  }

  deliverLogged(index: number): void {
    const { event, rooms } = this.broker.log[index]!;
    if (!rooms.some((room) => this.rooms.includes(room))) return;
    const offset = this.broker.offset(index + 1);
    this.queue.push(() => {
      this.lastOffset = offset;
      this.call(event.type, event, offset);
    });
    this.sent();
  }

  flush(count: number): void {
    for (const message of this.queue.splice(0, count)) {
      if (!this.connected) return;
      this.io.engine.call("packet");
      message();
    }
  }

  private sent(): void {
    if (this.broker.isQuick) queueMicrotask(() => this.flush(Infinity));
  }

  private call(name: string, ...values: unknown[]): void {
    this.listeners.get(name)?.(...(values as never[]));
  }

  private shakeHands(data: ConnectData): void {
    const { broker } = this;
    broker.handshakes.push(data);
    const error = broker.checkToken(data.token);
    if (error) {
      this.isActive = false;
      this.call("connect_error", Object.assign(new Error(error.message), { data: error }));
      return;
    }
    const session = broker.sessions.get(data.pid ?? "");
    const recoveredFrom = session && this.recover(session, data.offset);
    const from = recoveredFrom ?? broker.countOf(data.since);
    const gap = from === undefined && (data.since !== undefined || data.pid !== undefined);
    const recovered = recoveredFrom !== undefined;
    this.rooms = recovered ? session!.rooms : (data.rooms ?? ["catalog"]);
    if (!recovered) {
      this.pid = `pid-${++pids}`;
      const start = from ?? broker.log.length;
      broker.sessions.set(this.pid, { start, hadGap: gap, rooms: this.rooms });
    }
    this.connected = true;
    broker.sockets.add(this);
    const end = broker.log.length;
    for (let index = from ?? end; index < end; index++) this.deliverLogged(index);
    const position = broker.offset(end);
    this.say("ready", { type: "ready", position, rooms: this.rooms, recovered, gap, replayed: 0 });
    this.call("connect"); // its commands are appended after the missed events
  }

  /** Return from where a session continues; undefined if events may be missing. */
  private recover({ start, hadGap }: Session, offset: string | undefined): number | undefined {
    const count = this.broker.countOf(offset);
    if (count !== undefined && count >= start) return count;
    return hadGap || start < this.broker.trimmed ? undefined : start;
  }

  private execute(name: string, argument: unknown): object {
    const { broker } = this;
    if (name === "subscribe" || name === "unsubscribe") {
      const names = [argument].flat() as string[];
      const others = this.rooms.filter((room) => !names.includes(room));
      this.rooms = name === "subscribe" ? [...others, ...names].sort() : others;
      broker.sessions.get(this.pid!)!.rooms = this.rooms;
      return { rooms: this.rooms };
    }
    if (name === "authenticate") return { expires: null, rooms: this.rooms };
    const { furniture, id } = argument as { furniture: Furniture; id: string };
    const known = broker.log.findIndex(({ event }) => event.id === id);
    if (known >= broker.trimmed) return { id, offset: broker.offset(known + 1), duplicate: true };
    const offset = broker.append(name as FurnitureEventType, furniture, id);
    return { id, offset, duplicate: false };
  }
}
