import type { LocationKind } from "../api/places";

/** What a location of a kind may lie in; the server decides. */
export const MAY_LIE_IN: Partial<Record<LocationKind, readonly LocationKind[]>> = {
  room: ["ward", "hut", "home"],
  bed: ["room", "ward", "hut", "vehicle", "home"],
};
