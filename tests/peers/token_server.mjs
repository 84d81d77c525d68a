// oauth2-mock-server as one system's token endpoint: `node token_server.mjs TOKEN_PATH SYSTEM_PATH CLIENT SECRET`.
// It knows no clients and guards nothing by itself; for both it has hooks and routes, which are used here.
import { createLocalJWKSet, jwtVerify } from "jose";
import { OAuth2Server } from "oauth2-mock-server";

const [tokenPath, systemPath, client, secret] = process.argv.slice(2);
const server = new OAuth2Server(undefined, undefined, { endpoints: { token: tokenPath } });
const told = { asked: 0, issued: [], let_in: 0, turned_away: 0 };
let lifetime = 3600;
let good = () => true;

server.service.on("beforeTokenSigning", ({ payload }) => {
  payload.jti = String(told.issued.push(payload));
});
server.service.on("beforeResponse", (response, { body: form }) => {
  told.asked += 1;
  if (form.client_id === client && form.client_secret === secret) {
    response.body.expires_in = lifetime;
  } else {
    told.issued.pop();
    response.statusCode = 401;
    response.body = { error: "invalid_client", error_description: "Client authentication failed." };
  }
});

// The system behind: it lets in who shows a token that the published keys have signed.
server.service.addRoute("GET", systemPath, async (request, response) => {
  const shown = (request.headers.authorization ?? "").replace(/^Bearer /, "");
  const keys = createLocalJWKSet({ keys: server.issuer.keys.toJSON() });
  const token = await jwtVerify(shown, keys, { issuer: server.issuer.url }).catch(() => null);
  const known = token !== null && good(Number(token.payload.jti));
  told[known ? "let_in" : "turned_away"] += 1;
  response.writeHead(known ? 200 : 401, { "Content-Type": "application/json" });
  response.end(JSON.stringify(known ? { value: [] } : {}));
});

// What a test asks of it.
server.service.addRoute("POST", "/test/begin", (request, response) => {
  Object.assign(told, { asked: 0, issued: [], let_in: 0, turned_away: 0 });
  lifetime = request.body.lifetime ?? 3600;
  good = () => true;
  response.writeHead(204).end();
});
server.service.addRoute("POST", "/test/withdraw", (request, response) => {
  const last = request.body.later_ones_too ? Infinity : told.issued.length;
  good = (number) => number > last;
  response.writeHead(204).end();
});
server.service.addRoute("GET", "/test/told", (_, response) => {
  response.writeHead(200, { "Content-Type": "application/json" }).end(JSON.stringify(told));
});

await server.issuer.keys.generate("RS256");
await server.start(0, "127.0.0.1");
console.log(`listening on http://127.0.0.1:${server.address().port}`);
