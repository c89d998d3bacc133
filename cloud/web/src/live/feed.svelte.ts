/** Everything the page knows about the present, and how sure it is that it is the present. */

import { liveUrl, markOf } from "./address";
import { Connection } from "./connection";
import type { Mark, Part, ServerMessage, Value, Vocabulary } from "./messages";
import { recordPaint } from "./paint-probe";
import { PatientState } from "./patient-state.svelte";
import { ServerClock } from "./server-clock";
import { parseWaveFrame } from "./wave-frame";

const TIMER_MS = 250;
/** No tick for so long: what is on the screen is not live. */
const LOST_AFTER_MS = 3000;
/** A socket that stays silent for so long is half-open: give it up. */
const RESTART_AFTER_MS = 6000;
const THAW_AFTER_MS = 3000;
const THAW_SHOWN_MS = 15000;

export type Link = "connecting" | "live" | "lost";

class Feed {
  patients = $state.raw<readonly PatientState[]>([]);
  parts = $state.raw<Readonly<Record<string, Part>>>({});
  link = $state<Link>("connecting");
  /** Server time of the last sign of life. */
  lastTickAt = $state(NaN);
  /** Grows with every sign of life: rewinds the dead-man band. */
  ticks = $state(0);
  displayDelayMs = $state(2000);
  /** The server's clock as of the last local timer. */
  now = $state(NaN);
  thawedSeconds = $state(0);
  greeted = $state(false);
  vocabulary = $state.raw<Vocabulary>({});
  readonly clock = new ServerClock(() => performance.now());

  /** Server time of the first `hello`: everything measured since then was sent to this page. */
  watchedSince = NaN;

  /** Grows each time that the page has come back to a server that it had lost. */
  returns = $state(0);

  /** Of the last tick: all that was sent before has arrived. */
  private heard: Mark | null = null;
  private connection: Connection | null = null;
  private timer: ReturnType<typeof setInterval> | undefined;
  private lastTickMono = 0;
  private lastTimer = { mono: 0, wall: 0, hidden: false };
  private thawedMono = 0;

  /** `onRefused` is asked when the server refuses the socket: the login may be over. */
  start(onRefused: () => void): void {
    if (this.connection) return;
    this.lastTickMono = performance.now();
    this.lastTimer = { mono: performance.now(), wall: Date.now(), hidden: document.hidden };
    this.connection = new Connection(() => liveUrl(location.href, this.heard), {
      onText: (text) => this.take(JSON.parse(text) as ServerMessage),
      onBinary: (frame) => this.takeWave(frame),
      onClose: (refused) => {
        if (this.link === "live") this.link = "connecting";
        if (refused) onRefused();
      },
    });
    this.connection.open();
    this.timer = setInterval(() => this.watch(), TIMER_MS);
    void this.loadVocabulary();
  }

  stop(): void {
    clearInterval(this.timer);
    this.connection?.close();
    this.connection = null;
    this.patients = [];
    this.parts = {};
    this.link = "connecting";
    this.greeted = false;
    this.lastTickAt = NaN;
    this.heard = null;
  }

  patient(id: string): PatientState | undefined {
    return this.patients.find((patient) => patient.id === id);
  }

  private take(message: ServerMessage): void {
    switch (message.type) {
      case "hello":
        if (this.link !== "live") this.clock.reset();
        this.greet(message);
        break;
      case "tick":
        this.parts = message.parts;
        this.heard = markOf(message);
        this.alive(message.server_at);
        break;
      case "values":
        this.takeValues(message.patient, message.values);
        break;
      default:
        this.patient(message.patient)?.take(message);
    }
  }

  private greet(hello: Extract<ServerMessage, { type: "hello" }>): void {
    this.displayDelayMs = hello.display_delay_ms;
    this.patients = hello.patients.map((patient) => new PatientState(patient, this.patient(patient.id)));
    if (!this.greeted) this.watchedSince = hello.server_at;
    else if (this.link !== "live") this.returns += 1;
    // Of one that continues what we heard, the waves that we missed are still to come.
    if (this.heard?.journal !== hello.journal) this.heard = markOf(hello);
    this.greeted = true;
    this.alive(hello.server_at);
  }

  private alive(serverAt: number): void {
    this.clock.observe(serverAt);
    this.lastTickAt = serverAt;
    this.lastTickMono = performance.now();
    this.now = this.clock.now();
    this.ticks += 1;
    if (this.greeted) this.link = "live";
  }

  private takeValues(id: string, values: readonly Value[]): void {
    const fresh = this.patient(id)?.accept(values) ?? [];
    if (fresh.length === 0 || document.hidden) return;
    requestAnimationFrame(() => {
      const paintedAt = this.clock.now();
      for (const value of fresh) {
        if (!value.late) recordPaint(`${id}/${value.key}`, paintedAt - value.measured_at);
      }
    });
  }

  /** A late block fills history in the database; it is never part of the live sweep. */
  private takeWave(buffer: ArrayBuffer): void {
    const { header, samples } = parseWaveFrame(buffer);
    if (!header.late) this.patient(header.patient)?.appendWave(header, samples);
  }

  private watch(): void {
    this.noticeThaw();
    this.now = this.clock.now();
    const silentMs = performance.now() - this.lastTickMono;
    if (silentMs > LOST_AFTER_MS) this.link = "lost";
    if (silentMs > RESTART_AFTER_MS) {
      // The next attempt gets its own time before it is judged.
      this.lastTickMono = performance.now() - LOST_AFTER_MS - 1;
      this.connection?.restart();
    }
  }

  /** A gap between two runs of this timer while the page was in view: the browser had stopped. */
  private noticeThaw(): void {
    const timer = { mono: performance.now(), wall: Date.now(), hidden: document.hidden };
    const gapMs = Math.max(timer.mono - this.lastTimer.mono, timer.wall - this.lastTimer.wall);
    const wasHidden = timer.hidden || this.lastTimer.hidden;
    this.lastTimer = timer;
    if (gapMs > THAW_AFTER_MS && !wasHidden) {
      this.thawedSeconds = Math.round(gapMs / 1000);
      this.thawedMono = timer.mono;
    } else if (this.thawedSeconds > 0 && timer.mono - this.thawedMono > THAW_SHOWN_MS) {
      this.thawedSeconds = 0;
    }
  }

  private async loadVocabulary(): Promise<void> {
    try {
      const answer = await fetch("api/vocabulary");
      if (answer.ok) this.vocabulary = (await answer.json()) as Vocabulary;
    } catch {
      // Names of keys then stay as they are on the wire; the next login asks again.
    }
  }
}

export const feed = new Feed();
