import { describe, expect, it } from "vitest";
import { BackOff } from "./back-off";

const take = (backOff: BackOff, n: number) => Array.from({ length: n }, () => backOff.next());

describe("the wait before a new connection", () => {
  it("doubles from half a second and stops at five", () => {
    expect(take(new BackOff(() => 0), 6)).toEqual([500, 1000, 2000, 4000, 5000, 5000]);
  });

  it("is spread but stays between half a second and five", () => {
    expect(take(new BackOff(() => 1), 6)).toEqual([500, 750, 1500, 3000, 3750, 3750]);
  });

  it("starts anew after a message", () => {
    const backOff = new BackOff(() => 0);
    take(backOff, 5);
    backOff.reset();
    expect(backOff.next()).toBe(500);
  });
});
