/**
 * Commands that wait for their answers: kept in order, and sent again after each reconnect.
 *
 * Commands with the same key never overtake each other. So a retry cannot bring back an older
 * state of a piece of furniture.
 */

import type { Answer, ContractError } from "./events.js";
import { TEMPORARY } from "./failures.js";
import { CatalogError, type Reason } from "./state.js";
import { backoff, makeTimer, type Timer } from "./timing.js";

type Ack = (answer: Answer<object>) => void;
export type Send = (event: string, argument: unknown, ack: Ack) => void;

interface Command {
  readonly event: string;
  readonly argument: unknown;
  readonly key: string;
  /** The characters of its JSON. */
  readonly size: number;
  readonly resolve: (result: never) => void;
  readonly reject: (error: CatalogError) => void;
  readonly deadline: Timer;
  readonly pause: Timer;
  failures: number;
  /** It was sent on the present connection, and has no answer yet. */
  isSent: boolean;
  /** It was sent on an earlier connection, and got no answer. */
  isLost: boolean;
}

export interface Commands {
  /** Send a command, now or when there is a connection. Reject after `timeout` milliseconds. */
  request<R extends object>(
    event: string,
    argument: unknown,
    key: string,
    timeout: number,
  ): Promise<R>;
  /** Send the waiting commands: there is a new connection. */
  connected(send: Send): void;
  /** Keep the commands for the next connection. */
  lost(): void;
  /** The connection ended because a message was too long. The longest sent one is at fault. */
  tooLarge(): void;
  /** Reject all waiting commands, and new ones until `accept`. */
  refuse(reason: Reason): void;
  /** Keep new commands for the next connection again. */
  accept(): void;
}

export function makeCommands(): Commands {
  let waiting: Command[] = [];
  let send: Send | undefined;
  let refusal: Reason | undefined;

  function request<R extends object>(
    event: string,
    argument: unknown,
    key: string,
    timeout: number,
  ): Promise<R> {
    const result = new Promise<R>((resolve, reject) => {
      const size = JSON.stringify(argument).length; // rejects what is no JSON
      const command: Command = {
        event,
        argument,
        key,
        size,
        resolve,
        reject,
        deadline: makeTimer(),
        pause: makeTimer(),
        failures: 0,
        isSent: false,
        isLost: false,
      };
      waiting.push(command);
      const seconds = timeout / 1000;
      command.deadline.start(timeout, () =>
        fail(command, { code: "timeout", message: `no answer within ${seconds} s` }),
      );
    });
    result.catch(() => {}); // a page that ignores the result gets no unhandled rejection
    if (refusal) refuse(refusal);
    else flush();
    return result;
  }

  function connected(present: Send): void {
    send = present;
    flush();
  }

  function lost(): void {
    send = undefined;
    for (const command of waiting) {
      command.isLost ||= command.isSent;
      command.isSent = false;
    }
  }

  function tooLarge(): void {
    const sent = waiting.filter(({ isSent }) => isSent);
    const [longest] = sent.sort((one, other) => other.size - one.size);
    if (longest) fail(longest, { code: "too_large", message: "the message is too large" });
  }

  function accept(): void {
    refusal = undefined;
  }

  function refuse(reason: Reason): void {
    lost();
    refusal = reason;
    for (const command of [...waiting]) fail(command, reason);
  }

  /** Send each command that was not sent yet, unless an earlier one with its key still waits. */
  function flush(): void {
    const busy = new Set<string>();
    for (const command of [...waiting]) {
      if (send && !command.isSent && !command.pause.runs() && !busy.has(command.key)) {
        command.isSent = true;
        send(command.event, command.argument, (answer) => answered(command, answer));
      }
      busy.add(command.key);
    }
  }

  /** An answer that comes too late, or twice, changes nothing: the promise is settled. */
  function answered(command: Command, answer: Answer<object>): void {
    if (answer?.ok) {
      const { ok, ...result } = answer;
      remove(command);
      command.resolve(result as never);
    } else if (answer && TEMPORARY.has(answer.error.code)) {
      command.isSent = false;
      command.pause.start(backoff(command.failures++), flush);
    } else {
      fail(command, answer?.error ?? { code: "internal", message: "no result" });
    }
    flush();
  }

  function fail(command: Command, error: ContractError | Reason): void {
    const { isLost, isSent } = command;
    const isUnknown = isLost || (isSent && error.code === "timeout");
    const details = "details" in error ? error.details : undefined;
    remove(command);
    command.reject(new CatalogError(error.code, error.message, details, isUnknown));
    flush();
  }

  function remove(command: Command): void {
    command.deadline.stop();
    command.pause.stop();
    waiting = waiting.filter((other) => other !== command);
  }

  return { request, connected, lost, tooLarge, accept, refuse };
}
