/** One WebSocket that always comes back. It knows nothing about what is said over it. */

import { BackOff } from "./back-off";

/** Close code of the server: there is no session, or it ended (docs/live-api.md). */
const NOT_LOGGED_IN = 4401;

export interface ConnectionEvents {
  onText: (text: string) => void;
  onBinary: (frame: ArrayBuffer) => void;
  /** The socket closed; `refused`: it never opened, or the server said that there is no login. */
  onClose: (refused: boolean) => void;
}

export class Connection {
  private readonly url: () => string;
  private readonly events: ConnectionEvents;
  private readonly backOff = new BackOff();
  private socket: WebSocket | null = null;
  private timer: ReturnType<typeof setTimeout> | undefined;

  /** `url` is asked at each attempt. */
  constructor(url: () => string, events: ConnectionEvents) {
    this.url = url;
    this.events = events;
  }

  open(): void {
    const socket = new WebSocket(this.url());
    let opened = false;
    socket.binaryType = "arraybuffer";
    socket.onopen = () => (opened = true);
    socket.onmessage = (event: MessageEvent<string | ArrayBuffer>) => {
      if (socket !== this.socket) return;
      this.backOff.reset();
      if (typeof event.data === "string") this.events.onText(event.data);
      else this.events.onBinary(event.data);
    };
    socket.onclose = (event) => {
      if (socket !== this.socket) return;
      this.socket = null;
      this.timer = setTimeout(() => this.open(), this.backOff.next());
      this.events.onClose(!opened || event.code === NOT_LOGGED_IN);
    };
    this.socket = socket;
  }

  /** Gives up a socket that says nothing (half-open) and tries anew. */
  restart(): void {
    if (!this.socket) return;
    this.drop();
    this.timer = setTimeout(() => this.open(), this.backOff.next());
    this.events.onClose(false);
  }

  close(): void {
    clearTimeout(this.timer);
    this.drop();
  }

  private drop(): void {
    const socket = this.socket;
    this.socket = null;
    socket?.close();
  }
}
