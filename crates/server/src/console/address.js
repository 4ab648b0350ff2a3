// Where things are: channels by name, and their addresses on this server.

export const NDJSON = "application/x-ndjson";

/** The address of a channel: slashes stay, the rest is encoded. */
export const pathOf = (name) => "/channels/" + name.split("/").map(encodeURIComponent).join("/").replaceAll("'", "%27");

/** A path with those parameters that have a value. */
export function withQuery(path, parameters) {
  const given = Object.entries(parameters).filter(([, value]) => value !== null && value !== undefined);
  if (given.length === 0) return path;
  return path + "?" + given.map(([key, value]) => `${key}=${encodeURIComponent(value)}`).join("&");
}

/** What the naming rules say against a channel's name; empty if nothing. */
export function wrongWith(name) {
  const segments = name.split("/");
  if (!name) return "it is empty";
  if (new TextEncoder().encode(name).length > 255) return "it has more than 255 bytes";
  if (segments.includes("")) return "a segment is empty: look for a slash at either end, or two in a row";
  if (segments.some((segment) => segment === "." || segment === "..")) return "a segment is . or ..";
  if (segments.some((segment) => segment === "*" || segment === "**")) return "* and ** select several channels and name none";
  if (/\p{Cc}/u.test(name)) return "it holds a control character";
  if (name.startsWith("$")) return "names that begin with $ are the system's own";
  return "";
}

/** The channel that the page's own address names behind its #. */
export function channelInAddress() {
  try {
    return decodeURI(location.hash.slice(1)) || "hello";
  } catch {
    return "hello";
  }
}
