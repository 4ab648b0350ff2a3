/** Names and patterns of channels: `*` is one segment, `**` any number. */

export const isPattern = (name: string): boolean => name.split("/").some((segment) => segment === "*" || segment === "**");

export function matches(pattern: string, name: string): boolean {
  return pattern === name || (!name.startsWith("$") && from(pattern.split("/"), 0, name.split("/"), 0));
}

function from(pattern: readonly string[], p: number, name: readonly string[], n: number): boolean {
  for (; p < pattern.length; p++, n++) {
    if (pattern[p] === "**") {
      for (let skip = n; skip <= name.length; skip++) if (from(pattern, p + 1, name, skip)) return true;
      return false;
    }
    if (n >= name.length || (pattern[p] !== "*" && pattern[p] !== name[n])) return false;
  }
  return n === name.length;
}
