import { describe, expect, it } from "vitest";
import { liveUrl } from "./address";

describe("the address of the live view", () => {
  it("is beside the page, by WebSocket, without the page's own place", () => {
    expect(liveUrl("https://ward.test:8443/qianli/#/bed/p-1", null)).toBe(
      "wss://ward.test:8443/qianli/api/live",
    );
  });

  it("says how far the page has heard", () => {
    expect(liveUrl("http://127.0.0.1:8000/?x=1#/wall", { journal: "ab12", upto: 7 })).toBe(
      "ws://127.0.0.1:8000/api/live?journal=ab12&after=7",
    );
  });
});
