import { describe, expect, it } from "vitest";
import { ServerClock } from "./server-clock";

const SERVER = 1_790_000_000_000;

function clockAt() {
  const time = { mono: 0 };
  return { time, clock: new ServerClock(() => time.mono) };
}

describe("the server's clock", () => {
  it("is unknown before the first tick", () => expect(clockAt().clock.now()).toBeNaN());

  it("takes the least delayed message as the truth", () => {
    const { time, clock } = clockAt();
    for (const [second, delay] of [
      [0, 300],
      [1, 20],
      [2, 500],
    ] as const) {
      time.mono = second * 1000 + delay;
      clock.observe(SERVER + second * 1000);
    }
    expect(clock.now()).toBe(SERVER + 2500 - 20);
  });

  it("goes on between ticks by the monotonic clock", () => {
    const { time, clock } = clockAt();
    clock.observe(SERVER);
    time.mono = 9000;
    expect(clock.now()).toBe(SERVER + 9000);
  });

  it("is not thrown back by two ticks that queued up in a frozen page", () => {
    const { time, clock } = clockAt();
    clock.observe(SERVER);
    time.mono = 10_000;
    clock.observe(SERVER + 1000);
    clock.observe(SERVER + 2000);
    expect(clock.now()).toBe(SERVER + 10_000);
  });

  it("follows a server whose clock was set back after three ticks", () => {
    const { time, clock } = clockAt();
    clock.observe(SERVER);
    for (let second = 1; second <= 3; second++) {
      time.mono = second * 1000;
      clock.observe(SERVER - 60_000 + second * 1000);
    }
    expect(clock.now()).toBe(SERVER - 57_000);
  });
});
