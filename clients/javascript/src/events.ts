/** What the server and its clients send. Generated from the server by `make docs`. */

export const EVENT_TYPES = ["furniture_created", "furniture_updated", "furniture_deleted"] as const;
export type FurnitureEventType = (typeof EVENT_TYPES)[number];

/** A piece of furniture. */
export interface Furniture {
  /** A string of 1 to 128 characters. */
  furniture_id: string;
  /** A string of 1 to 255 characters. */
  nombre: string;
  /** A string of at most 10000 characters. */
  descripcion: string;
  /** A number ≥ 0. */
  altura: number;
  /** A number ≥ 0. */
  ancho: number;
  /** A string of 1 to 255 characters. */
  material: string;
  /** A string of 1 to 255 characters. */
  autor_username: string;
  /** Further fields are delivered as they came. */
  [field: string]: unknown;
}

/** A change of one piece of furniture. */
export interface FurnitureEvent<F extends Furniture = Furniture> {
  type: FurnitureEventType;
  furniture: F;
  id: string;
  timestamp: string;
}

/** The event is in the log permanently. */
export interface Receipt {
  id: string;
  offset: string;
  timestamp: string;
  duplicate: boolean;
}

/** The consumer has caught up, and is live. */
export interface Ready {
  type: "ready";
  position: string;
  rooms: string[];
  recovered: boolean;
  gap: boolean;
  replayed: number;
}

/** The answer to a ping. */
export interface Pong {
  type: "pong";
  timestamp: string;
}

/** The codes of failures. */
export type ErrorCode =
  | "invalid_json"
  | "invalid_message"
  | "unknown_room"
  | "invalid_offset"
  | "unauthorized"
  | "token_expired"
  | "forbidden"
  | "not_found"
  | "method_not_allowed"
  | "id_conflict"
  | "too_large"
  | "too_many_events"
  | "unsupported_media_type"
  | "unknown_type"
  | "invalid_furniture"
  | "rate_limited"
  | "internal"
  | "log_unavailable"
  | "shutting_down"
  | "too_many_connections";

/** One bad field. */
export interface ErrorDetail {
  field: string;
  message: string;
}

/** A failure, the same on every transport. */
export interface ContractError {
  code: ErrorCode;
  /** One sentence for the person who reads it. */
  message: string;
  /** The bad fields, if the error is about fields. */
  details?: ErrorDetail[];
}

/** The answer to a command. */
export type Answer<Result> = ({ ok: true } & Result) | { ok: false; error: ContractError };

/** The `auth` of a handshake. `pid` and `offset` are socket.io-client's own. */
export interface HandshakeAuth {
  token?: string | undefined;
  rooms?: readonly string[] | undefined;
  /** Ask for all events after this offset. */
  since?: string | undefined;
  /** With false, handlers get no offset, and the session cannot be recovered. */
  recovery?: boolean;
}

/** For a bare socket.io-client: `Socket<ServerToClientEvents, ClientToServerEvents>`. */
export interface ServerToClientEvents {
  furniture_created: (event: FurnitureEvent, offset: string) => void;
  furniture_updated: (event: FurnitureEvent, offset: string) => void;
  furniture_deleted: (event: FurnitureEvent, offset: string) => void;
  ready: (ready: Ready) => void;
  pong: (pong: Pong) => void;
  /** The failure of a command that was emitted without an ack; `event` names the command. */
  error: (error: ContractError & { event?: string }) => void;
}

type Ack<Result> = (answer: Answer<Result>) => void;
type Publish = (message: { furniture: Furniture; id?: string }, ack: Ack<Receipt>) => void;
type ChangeRooms = (rooms: string | readonly string[], ack: Ack<{ rooms: string[] }>) => void;
type Authenticate = (
  argument: { token: string },
  ack: Ack<{ expires: string | null; rooms: string[] }>,
) => void;
type SendMessage = (message: object | string, ack: (answer: Answer<object> | Pong) => void) => void;
type Ping = (ack: (pong: Pong) => void) => void;

/** The commands. Their types require an ack: without one, a failure comes as the event `error`. */
export interface ClientToServerEvents {
  furniture_created: Publish;
  furniture_updated: Publish;
  furniture_deleted: Publish;
  authenticate: Authenticate;
  message: SendMessage;
  ping: Ping;
  subscribe: ChangeRooms;
  unsubscribe: ChangeRooms;
}
