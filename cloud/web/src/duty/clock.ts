import { minuteTime } from "../format/time";
import { DAY_MS, type Span } from "./roster";

/** `08:00–16:00`; a span that lasts to the end of its day ends at 24:00. */
export const clockSpan = ({ from, to }: Span, day: number): string =>
  `${minuteTime(from)}–${to === day + DAY_MS ? "24:00" : minuteTime(to)}`;
