import { describe, expect, it } from "vitest";
import type { Certificate } from "../api/devices";
import { countdown, stateOf } from "./certificate";

const DAY_MS = 86_400_000;
const certificate = (state: Certificate["state"]): Certificate => ({
  serial: "01",
  state,
  occasion: "enrolment",
  issued_at: 0,
  expires_at: 90 * DAY_MS,
  revoked_at: null,
});

describe("a certificate", () => {
  it("is none when there never was one", () => {
    expect(stateOf(null, 0)).toBe("none");
  });

  it("expires soon when its agent is late to renew", () => {
    expect(stateOf(certificate("valid"), 75 * DAY_MS - 1)).toBe("valid");
    expect(stateOf(certificate("valid"), 75 * DAY_MS)).toBe("soon");
  });

  it("is what the server says when it holds no longer", () => {
    expect(stateOf(certificate("revoked"), 0)).toBe("revoked");
    expect(stateOf(certificate("expired"), 0)).toBe("expired");
  });
});

describe("the time that a code has left", () => {
  it("counts down in minutes and seconds", () => {
    expect(countdown(15 * 60_000, 0)).toBe("15:00");
    expect(countdown(65_000, 0)).toBe("1:05");
  });

  it("shows a second as long as the code still opens, and never less than nothing", () => {
    expect(countdown(1000, 999)).toBe("0:01");
    expect(countdown(1000, 5000)).toBe("0:00");
  });
});
