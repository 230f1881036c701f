// Requests to the service, and the same as text for people to copy.

// What a failed answer becomes: a code of the service, or `unreachable`.
export class Refused extends Error {
  constructor(code) { super(code); this.code = code; }
}

export async function ask(path, body, key) {
  const headers = key ? { authorization: `Bearer ${key}` } : {};
  const options = { headers, cache: "no-store", credentials: "omit" };
  if (body) {
    options.method = "POST";
    headers["content-type"] = "application/json";
    options.body = JSON.stringify(body);
  }
  let response;
  try {
    response = await fetch(path, options);
  } catch {
    throw new Refused("unreachable");
  }
  let answer = null;
  try { answer = await response.json(); } catch { /* told by its status */ }
  if (!response.ok) throw new Refused(answer?.code ?? String(response.status));
  return answer;
}

export function curl(path, body, key) {
  const address = new URL(path, document.baseURI).href;
  const quoted = JSON.stringify(body).replaceAll("'", "'\\''");
  const authorization = key ? " \\\n  -H \"authorization: Bearer $PII_API_KEY\"" : "";
  return `curl -s ${address} \\\n  -H 'content-type: application/json'${authorization} \\\n  -d '${quoted}'`;
}
