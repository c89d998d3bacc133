// A hospital's OpenID provider for tests: `node start.js CLIENT_SECRET`; prints its address when it is ready.
// Every sign-in succeeds at once, as the person in the file that PERSON_FILE names: {"sub", "groups", "name"}.
// POST /test/rotate begins to sign with a new key and forgets the old ones.
import { createServer } from "node:http";
import { readFileSync } from "node:fs";
import { generateKeyPairSync } from "node:crypto";
import { Provider } from "oidc-provider";

let keys = 0;
const freshKeys = () => ({
  keys: [
    {
      ...generateKeyPairSync("rsa", { modulusLength: 2048 }).privateKey.export({ format: "jwk" }),
      use: "sig",
      alg: "RS256",
      kid: `key-${++keys}`,
    },
  ],
});
const person = () => JSON.parse(readFileSync(process.env.PERSON_FILE, "utf8"));
const redirectUri = process.env.REDIRECT_URI;
let port = 0;

function build() {
  const provider = new Provider(`http://127.0.0.1:${port}`, {
    clients: [
      {
        client_id: "qianli",
        client_secret: process.argv[2],
        redirect_uris: [redirectUri],
        post_logout_redirect_uris: [new URL("/", redirectUri).href],
        grant_types: ["authorization_code"],
        response_types: ["code"],
      },
    ],
    jwks: freshKeys(),
    claims: { openid: ["sub"], profile: ["name", "groups"] },
    cookies: { keys: ["tests only"] },
    features: { devInteractions: { enabled: false }, rpInitiatedLogout: { enabled: true } },
    pkce: { required: () => true },
    findAccount: (_context, id) => ({ accountId: id, claims: () => ({ ...person(), sub: id }) }),
    interactions: { url: (_context, interaction) => `/interaction/${interaction.uid}` },
    loadExistingGrant: async (context) => {
      const grant = new provider.Grant({
        clientId: context.oidc.client.clientId,
        accountId: context.oidc.session.accountId,
      });
      grant.addOIDCScope("openid profile");
      await grant.save();
      return grant;
    },
    renderError: (context, out) => {
      context.type = "json";
      context.body = out;
    },
  });
  return provider;
}

let provider;
let answer;
const server = createServer(async (request, response) => {
  if (request.url.startsWith("/interaction/")) {
    const result = { login: { accountId: person().sub } };
    await provider.interactionFinished(request, response, result, { mergeWithLastSubmission: false });
  } else if (request.method === "POST" && request.url === "/test/rotate") {
    provider = build();
    answer = provider.callback();
    response.end();
  } else {
    answer(request, response);
  }
});
server.listen(0, "127.0.0.1", () => {
  port = server.address().port;
  provider = build();
  answer = provider.callback();
  console.log(`ready http://127.0.0.1:${port}`);
});
