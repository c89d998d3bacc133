import { describe, expect, it } from "vitest";
import { chainOf, flatten, treeOf } from "./tree";

const part = (id: string, part_of: string | null) => ({ id, part_of });
const WARD = [part("ward", null), part("room", "ward"), part("bed-1", "room"), part("bed-2", "room")];

describe("a tree of parts", () => {
  it("nests each below what it is part of, in the order of the list", () => {
    const shown = flatten(treeOf(WARD)).map(({ item, depth }) => `${depth} ${item.id}`);
    expect(shown).toEqual(["0 ward", "1 room", "2 bed-1", "2 bed-2"]);
  });

  it("loses nothing whose parent is out of sight", () => {
    expect(treeOf([part("clinic", "county-beyond-reach")]).map(({ item }) => item.id)).toEqual(["clinic"]);
  });

  it("takes a part that comes before its parent", () => {
    const [top] = treeOf([part("bed", "ward"), part("ward", null)]);
    expect(top?.parts.map(({ item }) => item.id)).toEqual(["bed"]);
  });

  it("names what something is part of, nearest first", () => {
    expect(chainOf(WARD, "bed-2").map(({ id }) => id)).toEqual(["bed-2", "room", "ward"]);
  });

  it("ends a chain that runs in a circle", () => {
    expect(chainOf([part("a", "b"), part("b", "a")], "a").map(({ id }) => id)).toEqual(["a", "b"]);
  });
});
