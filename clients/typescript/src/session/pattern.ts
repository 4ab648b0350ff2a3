/** Names and patterns of channels: `*` is one segment, `**` any number. */

export const isPattern = (name: string): boolean => /(^|\/)\*\*?(\/|$)/.test(name);

/** Follows all ways through the pattern side by side, so that no name takes long. */
export function matches(pattern: string, name: string): boolean {
  const parts = pattern.split("/");
  /** With what may follow where `**` stands for nothing. What is added is looked at as well. */
  const open = (at: Set<number>) => {
    for (const part of at) if (parts[part] === "**") at.add(part + 1);
    return at;
  };
  let at = open(new Set([0]));
  for (const segment of name.split("/")) {
    const next = new Set<number>();
    for (const part of at) {
      if (parts[part] === "**") next.add(part);
      else if (parts[part] === "*" || parts[part] === segment) next.add(part + 1);
    }
    at = open(next);
  }
  return at.has(parts.length) && !name.startsWith("$");
}
