import { describe, expect, it } from "vitest";
import type { Location, LocationKind } from "../api/places";
import { byKind } from "./nesting";

const location = (kind: LocationKind, code: string): Location => ({
  id: `${kind}-${code}`,
  site: "site",
  kind,
  part_of: null,
  code,
  name_zh: "",
  name_en: "",
  closed_at: null,
});

describe("locations by kind", () => {
  it("stand wards first and keep the server's order within a kind", () => {
    const given = [
      location("bed", "2"),
      location("bed", "10"),
      location("vehicle", "1"),
      location("ward", "A"),
    ];
    expect(byKind(given).map((one) => one.id)).toEqual(["ward-A", "bed-2", "bed-10", "vehicle-1"]);
  });
});
