/** A model of the server: its log with offsets and epochs, sessions, rooms, and faults. */

import type { io } from "socket.io-client";
import type {
  ContractError,
  Furniture,
  FurnitureEvent,
  FurnitureEventType,
  HandshakeAuth,
} from "../src/events.js";
import { type Auth, FakeSocket } from "./socket.js";

export interface Logged {
  readonly event: FurnitureEvent;
  readonly rooms: readonly string[];
}

export interface ConnectData extends HandshakeAuth {
  pid?: string;
  offset?: string;
}

export interface Session {
  readonly start: number;
  /** The session began with a gap, and its client may not know it. */
  readonly hadGap: boolean;
  rooms: readonly string[];
}

export function piece(id: string, nombre = "Mesa", material = "roble"): Furniture {
  return {
    ...{ furniture_id: id, nombre, material, descripcion: "", altura: 75, ancho: 120 },
    autor_username: "Ana",
  };
}

export class Broker {
  epoch = 1;
  log: Logged[] = [];
  /** The number of the oldest events that are no longer kept. */
  trimmed = 0;
  isUp = true;
  /** Whether messages are delivered at once. */
  isQuick = true;
  /** Whether an acknowledgement comes before its event. */
  acksFirst = false;
  /** Whether the connection ends before the answer to a command. */
  losesAnswers = false;
  checkToken: (token: string | undefined) => ContractError | undefined = () => undefined;
  checkCommand: (name: string, argument: unknown) => ContractError | undefined = () => undefined;
  readonly handshakes: ConnectData[] = [];
  readonly commands: { name: string; argument: unknown }[] = [];
  readonly origins: string[] = [];
  readonly downOrigins = new Set<string>();
  readonly sessions = new Map<string, Session>();
  readonly sockets = new Set<FakeSocket>();

  readonly io = ((origin: string, options: { auth: Auth }) => {
    this.origins.push(origin);
    return new FakeSocket(this, origin, options.auth);
  }) as unknown as typeof io;

  get position(): string {
    return this.offset(this.log.length);
  }

  offset(count: number): string {
    return `e${this.epoch}-${count}`;
  }

  /** Return how many events an offset covers; undefined for an offset that is a gap. */
  countOf(offset: string | undefined): number | undefined {
    const [epoch, count] = (offset ?? "").split("-");
    const isKept = Number(count) >= this.trimmed && Number(count) <= this.log.length;
    return epoch === `e${this.epoch}` && isKept ? Number(count) : undefined;
  }

  /** Append an event, and send it to the consumers; return its offset. */
  append(type: FurnitureEventType, furniture: Furniture, id = `log-${this.log.length}`): string {
    const former = this.rows().get(furniture.furniture_id);
    const rooms = ["catalog", `material:${furniture.material}`, `material:${former?.material}`];
    const event = { type, furniture, id, timestamp: "2024-01-15T14:30:00.000Z" };
    this.log.push({ event, rooms });
    for (const socket of this.sockets) socket.deliverLogged(this.log.length - 1);
    return this.position;
  }

  /** Return the pieces as the log says: the fold of its first events. */
  rows(count = this.log.length, belongs = (_: Furniture) => true): Map<string, Furniture> {
    const rows = new Map<string, Furniture>();
    for (const { event } of this.log.slice(0, count)) {
      const id = event.furniture.furniture_id;
      if (event.type === "furniture_deleted" || !belongs(event.furniture)) rows.delete(id);
      else rows.set(id, event.furniture);
    }
    return rows;
  }

  /** End all connections without a farewell. */
  cut(): void {
    for (const socket of [...this.sockets]) socket.lose("transport close");
  }

  /** Begin a new log. The pieces stay as they are. */
  renew(): void {
    this.epoch++;
    this.trimmed = this.log.length;
    this.cut();
    this.sessions.clear();
  }

  deliver(count = Infinity): void {
    for (const socket of this.sockets) socket.flush(count);
  }
}
