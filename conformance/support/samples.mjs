// Data that tells a careful client from a careless one.

/** Lines of every kind that Server-Sent Events can carry: all but CR. */
export const LINES = [
  "first",
  "",
  " a blank in front, one behind ",
  "data: not a field",
  ": not a comment",
  "a tab\t, a form feed\f, a next line\u0085 and a line separator\u2028 end no line",
  "ünï ✓ 🎉",
  "",
].join("\n");

/** Text that only WebSocket, NDJSON and JSON carry as it is. */
export const TEXT = `${LINES}\r\nCR LF\rCR\0NUL`;

/** Every byte, so that it is not UTF-8, and every value after every eighth bit pattern. */
export const BYTES = Buffer.from(Array.from({ length: 1024 }, (_, at) => (at * 7 + (at >> 8)) % 256));
