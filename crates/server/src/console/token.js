// What a request shows of who asks, and what an answer says that refuses somebody for who they are. Nothing here needs the
// page, so that its worker has it as well.

/** An API key is shown in `Authorization`, and nowhere else. */
export const isApiKey = (token) => token.startsWith("swk_");

/** The denial of the page itself, where a transport has no place for what was given. */
export const NO_PLACE = "no_place";

/** The fields of a request that shows a token, if there is one. */
export const bearer = (token) => (token ? { Authorization: `Bearer ${token}` } : {});

// `forbidden_origin` is not among them: it is about the page, and no token helps.
const DENIALS = new Set(["unauthorized", "token_expired", "token_revoked", "forbidden"]);
const BY_STATUS = { 401: "unauthorized", 4401: "unauthorized", 4403: "forbidden" };

/** The code of a refusal that is about who asks; null of any other. `status` may be a WebSocket's close code. */
export function denialOf(status, { code } = {}) {
  // What has no code of the server's is a proxy's answer, which may ask who it is that asks as well.
  return (code ? DENIALS.has(code) && code : BY_STATUS[status]) || null;
}

/** What an answer that is none says: why, in the server's words if it has any, and whether it is about who asks. */
export async function problemOf(response) {
  const problem = await response.json().catch(() => ({}));
  const why = problem.detail || problem.title || response.statusText || `status ${response.status}`;
  return { why, denial: denialOf(response.status, problem) };
}
