// The server's answers; what it refuses is thrown with its code.
export class Refused extends Error {
  constructor(status, {code, message, hint}) {
    super(hint ? `${message} (${hint})` : message);
    this.status = status;
    this.code = code;
  }
}

export async function ask(path, given) {
  let answer;
  try {
    answer = await fetch(path, given);
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new Refused(0, {code: "unreachable", message: "the server does not answer"});
  }
  if (answer.status === 401) location.replace("/login");
  const told = await answer.json();
  if (!answer.ok) throw new Refused(answer.status, told.error);
  return told;
}

export const post = (path, body, given = {}) => ask(path, {method: "POST", headers: {"Content-Type": "application/json"}, body: JSON.stringify(body), ...given});

export const facts = () => ask("/review/facts");
export const progress = () => ask("/review/progress");
export const records = query => ask(`/review/records?${new URLSearchParams(query)}`);
export const record = row => ask(`/review/records/${row}`);
export const photo = row => ask(`/review/records/${row}/photo`);
export const decide = (row, decision) => post(`/review/records/${row}`, decision);
export const undo = who => post("/review/undo", {who});
